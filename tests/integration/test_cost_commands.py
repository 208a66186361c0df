"""What a treasurer types, on a co-op that runs: papers, pools, prices, variance; and what is refused."""

from __future__ import annotations

import hashlib
import json
import re

from billing.charges.tariff import Service, parse_tariff
from meter.window import Month
from tests.integration.test_up import Weir
from tests.integration.test_up import weir as weir


def quarter_after(month: Month) -> str:
    """'2027-Q1' of any month of the quarter before."""
    first = month.next()
    while first.number % 3 != 1:
        first = first.next()
    return f"{first.year}-Q{(first.number + 2) // 3}"


def test_a_treasurer_s_month(weir: Weir) -> None:
    """10 GB sent within a month that cost 7.00 for carrier and 3.00 for staff."""
    name = weir.start()["member"]
    told = weir.json(
        "correct", "traffic", name, "--sent", str(10 * 10**9), "--zone", "internet", "--why", "a test",
        "--who", "olga", "--yes",
    )  # fmt: skip
    period = told["period"]
    month = Month.parse(period)
    paper = weir.data.parent / f"{weir.data.name}-bill.pdf"
    paper.write_bytes(b"%PDF invented")
    booked = weir.json(
        "cost", "add", "--period", period, "--pool", "transit", "--amount", "8.00", "--supplier", "Carrier [Ltd]",
        "--date", f"{period}-01", "--document", str(paper),
    )  # fmt: skip
    assert hashlib.sha256(b"%PDF invented").hexdigest() == booked["document"]["sha256"]
    weir.command(
        "cost", "add", "--period", period, "--pool", "transit", "--amount", "-1.00", "--credits", "1"
    )
    weir.command("cost", "add", "--period", period, "--pool", "staff", "--amount", "3.00")
    copy = weir.data / "copy.pdf"
    weir.command("cost", "document", "1", "--to", str(copy))
    assert b"%PDF invented" == copy.read_bytes()
    assert "cannot be written" in weir.command("cost", "document", "1", "--to", str(copy), status=2)
    assert "invoice 2 has no document" in weir.command("cost", "document", "2", "--to", "x", status=2)
    shown = " ".join(weir.command("cost", "show", "1").split())
    assert "Carrier [Ltd]" in shown
    assert f"credit note 2, of {period} -1.00 EUR left of it 7.00 EUR" in shown
    told = weir.json("cost", "show", "1")
    assert ([{"number": 2, "period": period, "amount_minor": -100}], 700) == (
        told["credit_notes"], told["left_minor"],
    )  # fmt: skip
    assert "left of it" not in weir.command("cost", "show", "3")
    trial = weir.command("bill", "trial", period)
    for pool in ("staff", "transit"):
        assert f"`weir pool set {pool} --key KEY --from {period}`" in trial
    assert ["staff", "transit"] == weir.json("bill", "trial", period)["without_key"]

    assert "pool staff: it has no key" in weir.command("pool", "share", period, status=2)
    assert "the weights sum to 90 %" in weir.command(
        "pool", "set", "staff", "--key", "40 % equal + 50 % gb_out", "--from", period, status=2
    )
    weir.command("pool", "set", "staff", "--key", "equal", "--from", period, "--memo", "the board")
    weir.command("pool", "set", "transit", "--key", "fee 1.00 + gb_out:internet", "--from", period)
    assert {"staff": "equal", "transit": "fee 1.00 + gb_out:internet"} == weir.json("pool", "list", period)[
        "pools"
    ]
    assert ["the board"] == [one["memo"] for one in weir.json("pool", "show", "staff")["keys"]]
    shares = weir.json("pool", "share", period)["pools"]
    assert {"staff": 300, "transit": 700} == {
        pool: sum(part["amount_minor"] for part in one["parts"]) for pool, one in shares.items()
    }
    assert "10.00 EUR" in weir.command("pool", "share", period)

    variance = weir.json("cost", "variance")
    assert [("gb_out", 10, 1000, True)] == [
        (one["name"], one["collected_minor"], one["cost_minor"], one["flagged"])
        for one in variance["services"]
    ]
    assert "more than 5 %" in weir.command("cost", "variance")

    weir.command("credit", "add", name, "--amount", "0.03", "--reason", "outage", "--period", period)
    assert ["outage"] == [one["reason"] for one in weir.json("credit", "list")["credits"]]
    assert -3 == weir.json("statement", name, period)["lines"][-1]["amount_minor"]
    assert [] == weir.json("bill", "trial", period)["without_key"]
    weir.command("income", "add", "--period", period, "--kind", "grant", "--amount", "20.00")
    assert [2000] == [one["amount_minor"] for one in weir.json("income", "list")["income"]]
    assert "is open; prices are adjusted" in weir.command("trueup", period, "--post", status=2)
    file = weir.data / "next.toml"
    refused = weir.command(
        "tariff", "suggest", "--quarter", quarter_after(month), "--to", str(file), status=2
    )
    assert "no costs are booked in the months before" in refused
    assert "quarter: 'soon' is no quarter" in weir.command("tariff", "suggest", "--quarter", "soon", status=2)
    weir.command("cost", "add", "--period", str(month.previous()), "--pool", "staff", "--amount", "1.00")
    assert "pool staff: it has no key" in weir.command(
        "tariff", "suggest", "--quarter", quarter_after(month), status=2
    )
    weir.command("pool", "set", "staff", "--key", "equal", "--from", str(month.previous()))
    said = weir.command("tariff", "suggest", "--quarter", quarter_after(month), "--to", str(file))
    assert "no use: as it is" in said
    present = parse_tariff(weir.command("tariff", "show"))
    assert present.prices == parse_tariff(file.read_text()).prices
    assert Service.GB_OUT in present.prices
    assert "no engine" not in weir.command("tariff", "set", str(file))
    begin = parse_tariff(file.read_text()).effective_from
    later = file.read_text().replace(str(begin), str(begin.next()))
    file.write_text(f'{later}\n[engine.disk]\ngb_out = "1"\n[engine.glacier]\ngb_out = "2"\n')
    heard = weir.command("tariff", "set", str(file))
    assert ["glacier"] == re.findall(r"no engine is called (\S+) as yet", heard)
    assert json.loads(weir.command("cost", "list", "--json"))["invoices"][0]["supplier"] == "Carrier [Ltd]"
    paper.unlink()
