"""The ledger as other programs read it: hledger's journal, beancount's, and CSV. Pure.

Journals end with what every account comes to, so that the other program checks our sums by its own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from billing.ledger.chain import Booked
from billing.ledger.entry import AccountType, account_type
from billing.ledger.reports import Sums
from billing.money import format_number
from meter.refusal import Refusal
from meter.window import Month, to_datetime

CSV_COLUMNS = (
    "entry", "date", "period", "kind", "memo", "key", "account", "type", "amount", "currency", "hash",
)  # fmt: skip
_HLEDGER_TYPES: Mapping[AccountType, str] = {
    AccountType.ASSET: "A",
    AccountType.LIABILITY: "L",
    AccountType.EQUITY: "E",
    AccountType.INCOME: "R",
    AccountType.EXPENSE: "X",
}
_BEANCOUNT_ROOTS: Mapping[AccountType, str] = {
    AccountType.ASSET: "Assets",
    AccountType.LIABILITY: "Liabilities",
    AccountType.EQUITY: "Equity",
    AccountType.INCOME: "Income",
    AccountType.EXPENSE: "Expenses",
}


class Format(StrEnum):
    """Whose file it is."""

    HLEDGER = "hledger"
    BEANCOUNT = "beancount"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Writer:
    """The three parts of a file. An entry's text can be made and forgotten before the next is read."""

    head: Callable[[Iterable[Sums], date], str]
    entry: Callable[[Booked], str]
    foot: Callable[[Iterable[Sums], date], str]


def writer(wanted: Format, currency: str) -> Writer:
    """What writes this format in this currency."""
    if wanted is Format.HLEDGER:
        return Writer(
            lambda sums, _: _hledger_head(sums, currency),
            lambda one: _hledger_entry(one, currency),
            lambda sums, day: _hledger_foot(sums, day, currency),
        )
    if wanted is Format.BEANCOUNT:
        return Writer(
            lambda sums, day: _beancount_head(sums, day, currency),
            lambda one: _beancount_entry(one, currency),
            lambda sums, day: _beancount_foot(sums, day, currency),
        )
    return Writer(lambda _, __: _row(CSV_COLUMNS), lambda one: _csv_entry(one, currency), lambda _, __: "")


def entry_day(one: Booked) -> date:
    """The day it was booked, where that is in its month; else the month's last day, or its first if booked before."""
    first = date(one.month.year, one.month.number, 1)
    last = _last_day(one.month)
    return min(max(to_datetime(one.booked_us).date(), first), last)


def _last_day(month: Month) -> date:
    after = month.next()
    return date(after.year, after.number, 1) - timedelta(days=1)


def _plain(minor: int, currency: str) -> str:
    return format_number(minor, currency).replace(",", "")


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def _hledger_head(sums: Iterable[Sums], currency: str) -> str:
    lines = ["; The co-op's ledger, written by `weir ledger export`.", "decimal-mark ."]
    lines.append(f"commodity {_plain(0, currency)}{'' if '.' in _plain(0, currency) else '.'} {currency}")
    lines += [f"account {one.account}  ; type: {_HLEDGER_TYPES[account_type(one.account)]}" for one in sums]
    return "\n".join(lines) + "\n"


def _hledger_entry(one: Booked, currency: str) -> str:
    memo = _one_line(one.memo).replace(";", ",")  # a semicolon begins a comment
    lines = ["", f"{entry_day(one)} * ({one.number}) {memo}".rstrip()]
    lines.append(f"    ; kind: {one.kind}")
    lines.append(f"    ; key: {_one_line(one.idempotency_key).replace(',', ';')}")
    if one.hash is not None:
        lines.append(f"    ; hash: {one.hash.hex()}")
    lines += [
        f"    {posting.account}  {_plain(posting.amount_minor, currency)} {currency}"
        for posting in one.postings
    ]
    return "\n".join(lines) + "\n"


def _hledger_foot(sums: Iterable[Sums], day: date, currency: str) -> str:
    zero = _plain(0, currency)
    lines = [
        f"    {one.account}  {zero} {currency} = {_plain(one.closing_minor, currency)} {currency}"
        for one in sums
    ]
    return "\n".join(["", f"{day} * what every account comes to", *lines]) + "\n" if lines else ""


def beancount_name(account: str) -> str:
    """'revenue:gb_out' → 'Income:Revenue:Gb--out': beancount has no '_', and wants a capital or a digit first."""
    words = [word.replace("_", "--") for word in account.split(":")]
    return ":".join(
        [_BEANCOUNT_ROOTS[account_type(account)], *(word[:1].upper() + word[1:] for word in words)]
    )


def _quoted(text: str) -> str:
    return '"' + _one_line(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _beancount_head(sums: Iterable[Sums], day: date, currency: str) -> str:
    names: dict[str, str] = {}
    lines = ['option "title" "The co-op\'s ledger"', f'option "operating_currency" "{currency}"', ""]
    for one in sums:
        name = beancount_name(one.account)
        if name in names:
            raise Refusal(
                f"beancount would call {one.account} and {names[name]} by one name; use another format"
            )
        names[name] = one.account
        lines += [f"{day} open {name} {currency}", f"  weir: {_quoted(one.account)}"]
    return "\n".join(lines) + "\n"


def _beancount_entry(one: Booked, currency: str) -> str:
    lines = ["", f"{entry_day(one)} * {_quoted(one.memo)}", f"  entry: {one.number}"]
    lines += [f"  kind: {_quoted(one.kind)}", f"  key: {_quoted(one.idempotency_key)}"]
    if one.hash is not None:
        lines.append(f'  hash: "{one.hash.hex()}"')
    lines += [
        f"  {beancount_name(posting.account)}  {_plain(posting.amount_minor, currency)} {currency}"
        for posting in one.postings
    ]
    return "\n".join(lines) + "\n"


def _beancount_foot(sums: Iterable[Sums], day: date, currency: str) -> str:
    # A balance holds at the beginning of its day; without "~ 0" beancount would let a cent pass.
    after = day + timedelta(days=1)
    lines = [
        f"{after} balance {beancount_name(one.account)}  {_plain(one.closing_minor, currency)} ~ 0 {currency}"
        for one in sums
    ]
    return "\n".join(["", *lines]) + "\n"


def _csv_entry(one: Booked, currency: str) -> str:
    digest = "" if one.hash is None else one.hash.hex()
    return "".join(
        _row(
            (
                one.number, entry_day(one), one.month, one.kind, _harmless(one.memo),
                _harmless(one.idempotency_key), posting.account, account_type(posting.account).value,
                _plain(posting.amount_minor, currency), currency, digest,
            )
        )
        for posting in one.postings
    )  # fmt: skip


def _harmless(text: str) -> str:
    """A spreadsheet takes what begins so for a formula."""
    line = _one_line(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def _row(values: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    return out.getvalue()
