"""The ledger as other programs read it: kept files, and the programs themselves where they are installed."""

from __future__ import annotations

import csv
import shutil
import subprocess
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from beancount import loader
from beancount.core import data, realization

from billing.ledger.chain import Booked
from billing.ledger.entry import Account, Posting, account_type, member_of, parse_account, without_member
from billing.ledger.export import Format, beancount_name, entry_day, writer
from billing.ledger.reports import Sums
from meter.refusal import Refusal
from meter.window import DAY_US, Month

GOLDEN = Path(__file__).parents[1].joinpath("golden", "ledger")
OCTOBER, NOVEMBER = Month(2026, 10), Month(2026, 11)


def booked(
    number: int, month: Month, day_us: int, memo: str, *sides: tuple[str, int], hashed: bool = True
) -> Booked:
    postings = tuple(Posting(Account(account), amount) for account, amount in sides)
    digest = bytes([number]) * 32 if hashed else None
    return Booked(
        number, month, "charge", memo, f"key:{number}, x", day_us, postings, len(postings), digest, digest
    )


ENTRIES = (
    booked(1, OCTOBER, OCTOBER.start_us + DAY_US, "invoice 1; \"transit\" \\ \n 2", ("cost:transit", 228000),
           ("payable:suppliers", -228000), hashed=False),
    booked(2, OCTOBER, NOVEMBER.start_us + 4 * DAY_US, "=SUM(A1) | use of member 1", ("receivable:member:1", 151237),
           ("revenue:gb_out", -151000), ("revenue:requests_a_1000", -237)),
    booked(3, NOVEMBER, OCTOBER.start_us, "paid", ("bank:main", 51237), ("receivable:member:1", -51237)),
    booked(4, NOVEMBER, NOVEMBER.start_us + 9 * DAY_US, "result", ("revenue:gb_out", 151000),
           ("revenue:requests_a_1000", 237), ("cost:transit", -228000), ("loss:carried", 76763)),
)  # fmt: skip
BALANCES = {
    "bank:main": 51237, "cost:transit": 0, "loss:carried": 76763, "payable:suppliers": -228000,
    "receivable:member:1": 100000, "revenue:gb_out": 0, "revenue:requests_a_1000": 0,
}  # fmt: skip
SUMS = [Sums(name, 0, max(amount, 0), max(-amount, 0)) for name, amount in BALANCES.items()]


def exported(wanted: Format, *, sums: list[Sums] = SUMS, currency: str = "EUR") -> str:
    write = writer(wanted, currency)
    body = "".join(write.entry(one) for one in ENTRIES)
    return write.head(sums, date(2000, 1, 1)) + body + write.foot(sums, date(2026, 11, 10))


@pytest.mark.parametrize("wanted", Format)
def test_the_file_is_the_one_that_is_kept(wanted: Format) -> None:
    assert GOLDEN.joinpath(f"export.{wanted.value}").read_text("utf-8") == exported(wanted)


def test_beancount_takes_it_and_comes_to_the_same_balances() -> None:
    found, errors, _ = loader.load_string(exported(Format.BEANCOUNT))
    assert [] == errors
    real = realization.realize(found)
    names = {entry.account: entry.meta["weir"] for entry in found if isinstance(entry, data.Open)}
    theirs = {}
    for name, ours in names.items():
        amount = realization.get(real, name).balance.get_currency_units("EUR").number
        theirs[ours] = amount * 100
    assert {name: Decimal(amount) for name, amount in BALANCES.items()} == theirs


def test_beancount_sees_a_wrong_balance() -> None:
    wrong = [*SUMS[:-1], Sums(SUMS[-1].account, 0, 1, 0)]
    _, errors, _ = loader.load_string(exported(Format.BEANCOUNT, sums=wrong))
    assert ["Balance failed"] == [str(one.message)[:14] for one in errors]


@pytest.fixture
def hledger() -> str:
    found = shutil.which("hledger")
    if found is None:
        pytest.skip("hledger is not installed (apt-get install hledger)")
    return found


def ask(hledger: str, path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([hledger, "-f", str(path), *words], capture_output=True, text=True, check=False)


def test_hledger_takes_it_and_comes_to_the_same_balances(hledger: str, tmp_path: Path) -> None:
    path = tmp_path / "weir.journal"
    path.write_text(exported(Format.HLEDGER), "utf-8")
    told = ask(hledger, path, "balance", "--flat", "--empty", "--no-total", "-O", "csv")
    assert "" == told.stderr
    rows = list(csv.reader(told.stdout.splitlines()))[1:]
    theirs = {name: Decimal(amount.removesuffix("EUR").strip()) * 100 for name, amount in rows}
    assert {name: Decimal(amount) for name, amount in BALANCES.items()} == theirs
    sheet = ask(hledger, path, "balancesheet", "-O", "csv").stdout
    assert '"bank:main","512.37 EUR"' in sheet
    assert '"payable:suppliers","2280.00 EUR"' in sheet


def test_hledger_sees_a_wrong_balance(hledger: str, tmp_path: Path) -> None:
    path = tmp_path / "weir.journal"
    path.write_text(exported(Format.HLEDGER, sums=[*SUMS[:-1], Sums(SUMS[-1].account, 0, 1, 0)]), "utf-8")
    told = ask(hledger, path, "balance")
    assert told.returncode != 0
    assert "balance assertion" in told.stderr


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "228000"), ("KWD", "228.000"), ("EUR", "2280.00")])
def test_hledger_reads_currencies_of_any_decimals(
    hledger: str, tmp_path: Path, currency: str, amount: str
) -> None:
    path = tmp_path / "weir.journal"
    path.write_text(exported(Format.HLEDGER, currency=currency), "utf-8")
    told = ask(hledger, path, "balance", "payable", "--no-total", "-O", "csv")
    assert f"-{amount} {currency}" in told.stdout.replace(",", "") or f"-{amount} {currency}" in told.stdout


def test_csv_has_a_row_a_posting_that_sum_to_zero() -> None:
    rows = list(csv.DictReader(exported(Format.CSV).splitlines()))
    assert sum(len(one.postings) for one in ENTRIES) == len(rows)
    assert 0 == sum(Decimal(row["amount"]) for row in rows)
    assert "'=SUM(A1) | use of member 1" == rows[2]["memo"]


def test_an_entry_is_dated_in_its_month() -> None:
    days = [entry_day(one) for one in ENTRIES]
    assert [date(2026, 10, 2), date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 10)] == days


def test_two_accounts_that_beancount_cannot_tell_apart_are_refused() -> None:
    assert beancount_name("revenue:a_b") == beancount_name("revenue:a--b")
    sums = [Sums("revenue:a_b", 0, 0, 0), Sums("revenue:a--b", 0, 0, 0)]
    with pytest.raises(Refusal, match="would call revenue:a--b and revenue:a_b by one name"):
        writer(Format.BEANCOUNT, "EUR").head(sums, date(2000, 1, 1))


@pytest.mark.parametrize(
    ("text", "kind", "member"),
    [
        ("bank:main", "asset", None), ("receivable:member:12", "asset", 12), ("payable:suppliers", "liability", None),
        ("payable:member:3", "liability", 3), ("payable:tax", "liability", None), ("payable:unclaimed", "liability", None),
        ("debt:member:3", "liability", 3), ("shares:member:3", "equity", 3), ("capital:member:3:2026:qualified", "equity", 3),
        ("collective:main", "equity", None), ("reserve:compulsory", "equity", None), ("reserve:voluntary", "equity", None),
        ("fund:education", "equity", None), ("fund:roof", "equity", None), ("surplus:undistributed", "equity", None),
        ("loss:carried", "equity", None), ("loss:member:3:2026", "equity", 3), ("revenue:gb_out", "income", None),
        ("income:interest", "income", None), ("adjustment:trueup", "income", None), ("cost:transit", "expense", None),
        ("interest:shares", "expense", None), ("interest:exits", "expense", None),
    ],
)  # fmt: skip
def test_accounts_have_a_type_and_an_owner(text: str, kind: str, member: int | None) -> None:
    account = parse_account(text, field="debit")
    assert (kind, member) == (account_type(account).value, member_of(account))
    assert (":*" in without_member(account)) == (member is not None)


@pytest.mark.parametrize(
    "text",
    ["", "bank", "Bank:main", "slush:fund", "receivable:member:0", "receivable:member:x", "receivable:member:1:2",
     "capital:member:3:26:plain", "capital:member:3:2026:gold", "reserve:secret", "payable:me", "cost:", "cost:a b",
     "cost:-", "loss:member:3", "bank:main\n", "receivable:member:M"],
)  # fmt: skip
def test_what_is_no_account_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match=r"(?s)debit: .* is no account of the books"):
        parse_account(text, field="debit")
