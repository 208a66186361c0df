"""The commands of the books and of payments, on a co-op that runs; the exported file goes through beancount."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from beancount import loader

from tests.integration.test_up import Weir
from tests.integration.test_up import weir as weir

OWN, ANNA = "DE02120300000000202051", "DE89370400440532013000"


def test_a_treasurer_s_day(weir: Weir, tmp_path: Path) -> None:
    weir.start()
    month = f"{datetime.now(UTC):%Y-%m}"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    weir.command("member", "add", "anna")
    number = weir.json("member", "show", "anna")["id"]
    owed = f"payable:member:{number}"
    weir.command(
        "ledger",
        "post",
        "--debit",
        "bank:main",
        "50.00",
        "--credit",
        "income:grant",
        "50.00",
        "--memo",
        "grant",
    )
    line = (
        "ledger",
        "post",
        "--debit",
        "surplus:undistributed",
        "12.34",
        "--credit",
        owed,
        "12.34",
        "--memo",
        "share",
    )
    posted = weir.json(*line, "--key", "share-1")
    assert [("surplus:undistributed", 1234), (owed, -1234)] == [
        (one["account"], one["amount_minor"]) for one in posted["postings"]
    ]
    assert "was booked already, as entry 2" in weir.command(*line, "--key", "share-1", status=2)
    weir.command("pay", "own-account", OWN, "--name", "The co-op")
    assert "ends in 3000" in weir.command("pay", "account", "anna", ANNA, "--name", "Anna Müller")
    file = tmp_path / "pay.xml"
    assert "batch 1: 1 payment, 12.34 EUR" in weir.command("pay", "export", "--to", str(file))
    assert 0o600 == file.stat().st_mode & 0o777
    assert ANNA in file.read_text()
    assert "nobody is owed anything" in weir.command("pay", "export", "--to", str(file))

    statement = tmp_path / "bank.csv"
    statement.write_text(
        "date,amount,currency,end_to_end,name,text\n"
        f"{today},-12.34,EUR,WEIR-PAY-1-M{number},Anna,\n{today},3.00,EUR,,Ben,who\n"
    )
    told = weir.json("pay", "import", str(statement))
    assert {"lines": 2, "known": 0, "booked": 1, "unmatched": 1} == told
    assert ["who"] == [one["text"] for one in weir.json("pay", "unmatched")["lines"]]
    weir.command("pay", "assign", "2", "income:donation", "--memo", "from Ben")
    assert 1 == weir.json("pay", "list")["batches"][0]["paid"]
    assert "nothing of batch 1 waits" in weir.command("pay", "cancel", "1", status=2)

    sheet = weir.json("ledger", "balance-sheet")
    sums = {one["name"]: one["total_minor"] for one in sheet["sections"]}
    assert {"assets": 4066, "liabilities": 0, "equity": 4066} == sums
    assert 5300 == weir.json("ledger", "income-statement", "--from", month, "--to", month)["result_minor"]
    assert 4066 == weir.json("ledger", "cash-flow")["result_minor"]
    shown = weir.command("ledger", "trial-balance", "--members")
    assert "agrees  debit balances = credit balances" in shown
    assert "income:donation" in shown
    assert "is after" in weir.command("ledger", "cash-flow", "--from", "2027-01", "--to", "2026-01", status=2)
    assert [2, 3] == [one["number"] for one in weir.json("ledger", "entries", "--member", "anna")["entries"]]
    assert "reverses entry 1" in weir.command("ledger", "reverse", "1", "--memo", "not ours")
    proved = weir.json("ledger", "verify")
    assert (5, True, []) == (proved["entries"], proved["agrees"], proved["faults"])

    out = tmp_path / "weir.beancount"
    assert "5 entries" in weir.command("ledger", "export", "--format", "beancount", "--to", str(out))
    found, errors, _ = loader.load_file(str(out))
    assert [] == errors
    assert 5 == sum(type(one).__name__ == "Transaction" for one in found)
    assert "decimal-mark" in weir.command("ledger", "export", "--format", "hledger")
    assert ANNA not in weir.log()
