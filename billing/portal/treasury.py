"""What the treasurer's pages show: invoices that are missing, months still open, figures of a trial. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from billing.charges.tariff import PRICE_DECIMALS, PRICED, UNITS, WORDS, Service, Tariff
from billing.costs.invoices import Invoice
from billing.costs.variance import NO_POOL, NO_SERVICE, Row
from billing.ledger.reports import Report
from billing.money import format_decimal, parse_amount
from billing.portal.books import words
from billing.spreadsheet import csv_text
from billing.tongue import SOURCE, _, speaking
from billing.words import numeral
from meter.refusal import Refusal
from meter.window import Month

REPORTS: Mapping[str, str] = {
    "balance-sheet": "Balance sheet", "income-statement": "Income statement", "cash-flow": "Cash flow",
    "trial-balance": "Trial balance",
}  # fmt: skip
"""Report → what it is called."""
MONTHS_LOOKED_BACK = 3
COUNTED = "bytes "
"""A month's checks whose names begin so are of bytes; all others are of money."""
OPEN_MONTHS_SHOWN_MAX = 24
_GROUPED = re.compile(r"-?\d{1,3}[.,]\d{3}(?!\d)", re.ASCII)
_DECIMAL = re.compile(r"^(-?\d+),(\d+)$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool in a month, and what is usual for it."""

    name: str
    here_minor: int
    before_minor: int
    """Of the last month before in which it had an invoice."""
    before: Month | None

    @property
    def is_missing(self) -> bool:
        """It cost something lately, and nothing yet in this month."""
        return not self.here_minor and self.before is not None


def pools(month: Month, invoices: Mapping[Month, Sequence[Invoice]]) -> list[Pool]:
    """Every pool of a month and of those looked back at, by name."""
    sums = {one: _by_pool(of) for one, of in invoices.items()}
    names = sorted({name for one in sums.values() for name in one})
    found = []
    for name in names:
        earlier = sorted((one for one, of in sums.items() if one < month and name in of), reverse=True)
        before = earlier[0] if earlier else None
        found.append(
            Pool(name, sums.get(month, {}).get(name, 0), sums[before][name] if before else 0, before)
        )
    return found


def _by_pool(invoices: Iterable[Invoice]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in invoices:
        found[one.pool] = found.get(one.pool, 0) + one.amount_minor
    return found


def looked_back(month: Month) -> list[Month]:
    """The month and those before it, the newest first."""
    found = [month]
    while len(found) <= MONTHS_LOOKED_BACK:
        month = month.previous()
        found.append(month)
    return found


def open_months(due: Month, running: Month) -> list[Month]:
    """From the first that is not closed to the one that runs, the oldest first; OPEN_MONTHS_SHOWN_MAX at most."""
    found: list[Month] = []
    while due <= running and len(found) < OPEN_MONTHS_SHOWN_MAX:
        found.append(due)
        due = due.next()
    return found


def prices(tariff: Tariff) -> list[tuple[str, str, str]]:
    """(service in words, price, of what) as the tariff names them for everybody."""
    return [
        (_(WORDS[one]), numeral(format_decimal(tariff.prices[one], PRICE_DECIMALS)), _(UNITS[one]))
        for one in PRICED
        if one in tariff.prices
    ]


def services(rows: Iterable[Row]) -> list[Row]:
    """Rows of services, named as a tariff's table names them."""
    return [
        replace(one, name=_("no service") if one.name == NO_SERVICE else _(WORDS[Service(one.name)]))
        for one in rows
    ]


def of_pools(rows: Iterable[Row]) -> list[Row]:
    """Rows of pools, which have names of their own but for one."""
    return [replace(one, name=_("no pool")) if one.name == NO_POOL else one for one in rows]


def typed_amount(text: str) -> str:
    """An amount with the reader's decimal mark, as parse_amount() reads it. Raises Refusal for what two read as two."""
    if numeral(".") == ".":
        return text
    if _GROUPED.match(text):
        raise Refusal(
            f"amount: '{text[:40]}' can be read as two amounts; write it without a mark between the thousands"
        )
    return _DECIMAL.sub(r"\1.\2", text)


def same_as(asked: Invoice, booked: Iterable[Invoice]) -> Invoice | None:
    """The newest of a month's invoices that is the same bill by all that was typed, and was not taken back."""
    found = list(booked)
    taken_back = {one.credits for one in found}
    return next(
        (
            one
            for one in reversed(found)
            if one.credits is None and one.number not in taken_back and _bill(one) == _bill(asked)
        ),
        None,
    )


def _bill(one: Invoice) -> tuple[object, ...]:
    typed = (" ".join(text.split()).casefold() for text in (one.supplier, one.memo))
    return (one.month, one.pool, one.amount_minor, *typed)


def trial_page(document: Mapping[str, Any]) -> dict[str, object]:
    """A closing's totals as its page shows them; nothing of a single member."""
    return {
        "charges": document["charges_minor"],
        "costs": list(document["costs"].items()),
        "result": document["result_minor"],
        "outcome": document["outcome"],
        "currency": document["currency"],
        "checks": [{**one, "is_money": not one["name"].startswith(COUNTED)} for one in document["checks"]],
        "digest": document["digest"],
    }


def year_rows(page: Mapping[str, Any]) -> dict[str, object]:
    """The steps and the checks of a fiscal year, their money in minor units, which its document keeps as text."""
    currency = page["currency"]

    def minor(text: str) -> int:
        return parse_amount(text, currency, negative=True)

    return {
        "steps": [{**one, "minor": minor(one["amount"])} for one in page["steps"]],
        "checks": [
            {**one, "left": minor(one["left"]), "right": minor(one["right"])} for one in page["checks"]
        ],
    }


def report_csv(report: Report, currency: str) -> str:
    """A report as rows for a spreadsheet; amounts in minor units. Programs read it, so it is in one language."""
    with speaking(SOURCE):
        return _report_csv(report, currency)


def _report_csv(report: Report, currency: str) -> str:
    rows: list[tuple[object, ...]] = []
    for section in report.sections:
        rows += [
            (section.name, account, words(account), amount, currency) for account, amount in section.lines
        ]
        rows.append((section.name, None, "sum", section.total_minor, currency))
    return csv_text(("section", "account", "in words", "amount_minor", "currency"), rows)
