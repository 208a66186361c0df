"""What the co-op itself had to pay: invoices and credit notes in cost pools, each month its part. Pure.

It knows no member, and no document but its name and hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from billing.document import Document
from billing.money import apportion, parse_amount
from meter.refusal import Refusal
from meter.window import Month

MEMO_CHARACTERS_MAX = 500
SUPPLIER_CHARACTERS_MAX = 200
SERVICE_MONTHS_MAX = 120
"""Months that one invoice may be spread over."""
_POOL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SERVICE = re.compile(r"(\d{4}-\d{2}(?:-\d{2})?)\.\.(\d{4}-\d{2}(?:-\d{2})?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Invoice:
    """One bill the co-op received, or its part of one month. `number` is its place in the books, 0 until booked."""

    number: int
    month: Month
    pool: str
    amount_minor: int
    """Below zero of a credit note, and of nothing else."""
    currency: str
    memo: str
    booked_us: int
    supplier: str = ""
    dated: date | None = None
    service: tuple[date, date] | None = None
    """What it pays for: these days, the last one included; None: the month."""
    credits: int | None = None
    """The invoice that a credit note takes back, or part of it."""
    document: Document | None = None


@dataclass(frozen=True, slots=True)
class Paper:
    """What may stand on an invoice besides pool, month and amount; as it was typed."""

    supplier: str = ""
    dated: str = ""
    service: str = ""
    credits: int | None = None
    document: Document | None = None


PLAIN = Paper()


def invoice(
    *, month: Month, pool: str, amount: str, currency: str, memo: str, booked_us: int, paper: Paper = PLAIN
) -> Invoice:
    """Read what a treasurer typed. Raises Refusal naming the field."""
    check_pool(pool)
    check_line(memo, field="memo", characters_max=MEMO_CHARACTERS_MAX)
    check_line(paper.supplier, field="supplier", characters_max=SUPPLIER_CHARACTERS_MAX)
    amount_minor = parse_amount(amount, currency, negative=paper.credits is not None)
    if paper.credits is None and amount_minor == 0:
        raise Refusal("amount: an invoice is more than 0")
    if paper.credits is not None and amount_minor >= 0:
        raise Refusal("amount: a credit note is less than 0; write it like -412.00")
    return Invoice(
        0, month, pool, amount_minor, currency, memo, booked_us,
        supplier=paper.supplier,
        dated=parse_day(paper.dated, field="dated") if paper.dated else None,
        service=parse_service(paper.service) if paper.service else None,
        credits=paper.credits,
        document=paper.document,
    )  # fmt: skip


def check_pool(pool: str) -> None:
    """Raises Refusal for what is no pool's name."""
    if _POOL.fullmatch(pool) is None:
        raise Refusal(
            f"pool: '{pool[:60]}' is not a pool's name; use small letters, digits and '-', at most 63, like transit"
        )


def check_line(text: str, *, field: str, characters_max: int) -> None:
    """Raises Refusal for what is not one printable line."""
    if len(text) > characters_max or not text.isprintable():
        raise Refusal(f"{field}: one line of at most {characters_max} characters")


def parse_day(text: str, *, field: str) -> date:
    """'2026-11-30'. Raises Refusal naming the field."""
    try:
        if _DAY.fullmatch(text) is None:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise Refusal(f"{field}: '{text[:20]}' is not a day; write it like 2026-11-30") from None


def parse_service(text: str) -> tuple[date, date]:
    """'2026-01..2026-12' or with days, both ends included. Raises Refusal."""
    match = _SERVICE.fullmatch(text)
    if match is None:
        raise Refusal(f"service: '{text[:40]}' is not a span; write it like 2026-01..2026-12, or with days")
    ends = []
    for place, one in enumerate(match.groups()):
        if len(one) == 10:
            ends.append(parse_day(one, field="service"))
        else:
            month = Month.parse(one)
            first, after = first_day(month), first_day(month.next())
            ends.append(first if place == 0 else after - timedelta(days=1))
    if ends[1] < ends[0]:
        raise Refusal(f"service: {ends[1]} is before {ends[0]}; the first day comes first")
    if len(months_of(ends[0], ends[1])) > SERVICE_MONTHS_MAX:
        raise Refusal(f"service: an invoice is spread over {SERVICE_MONTHS_MAX} months at most")
    return ends[0], ends[1]


def first_day(month: Month) -> date:
    """Of a month."""
    return date(month.year, month.number, 1)


def months_of(first: date, last: date) -> list[Month]:
    """The months that hold a day of [first, last]."""
    month, found = Month(first.year, first.month), []
    while first_day(month) <= last:
        found.append(month)
        month = month.next()
    return found


def parts(amount_minor: int, service: tuple[date, date], *, first_open: Month | None) -> dict[Month, int]:
    """An amount over the months of its service, by days, by largest remainder: they sum to it exactly.

    A part of a month that is closed falls to the first open one, which then bears it.
    """
    first, last = service
    days = {}
    for month in months_of(first, last):
        start, end = max(first, first_day(month)), min(last, first_day(month.next()) - timedelta(days=1))
        days[month] = (end - start).days + 1
    shared = apportion(abs(amount_minor), days)
    found: dict[Month, int] = {}
    for month, part in sorted(shared.items()):
        booked = month if first_open is None or month >= first_open else first_open
        found[booked] = found.get(booked, 0) + (part if amount_minor > 0 else -part)
    return found


def by_pool(invoices: Iterable[Invoice]) -> dict[str, int]:
    """Sum of each pool in minor units, pools in alphabetical order."""
    sums: dict[str, int] = {}
    for one in invoices:
        sums[one.pool] = sums.get(one.pool, 0) + one.amount_minor
    return dict(sorted(sums.items()))
