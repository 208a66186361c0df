"""Numbers and instants in plain words: bytes, months, moments. Pure; it decides nothing and rounds no money."""

from __future__ import annotations

from billing.money import quotient_text, rounded_to_three
from meter.window import Month, to_datetime

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip


def bytes_text(count: int) -> str:
    """Decimal units with three digits, 'about' in front when that is not the exact count."""
    unit = 0
    while unit < len(_UNITS) - 1 and abs(count) >= 1000 ** (unit + 1):
        unit += 1
    text, exact = rounded_to_three(count, 1000**unit)
    return f"{'' if exact else 'about '}{text} {_UNITS[unit]}"


def month_text(month: Month) -> str:
    """'November 2026'."""
    return f"{_MONTHS[month.number - 1]} {month.year}"


def instant_text(instant_us: int) -> str:
    """'23 November 2026, 05:54 UTC', cut to the minute."""
    moment = to_datetime(instant_us)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M} UTC"


def clock_text(instant_us: int) -> str:
    """'05:54:00.123456', of a day that is told already."""
    return to_datetime(instant_us).strftime("%H:%M:%S.%f")


def iso_text(instant_us: int) -> str:
    """'2026-11-23T05:54:00.123456Z': the instant itself, exact."""
    return to_datetime(instant_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def quantity_text(quantity: int, per: int, unit: str) -> str:
    """How many priced units a count is, e.g. '12.345678901 GB'; '…' where the decimals go on."""
    return f"{quotient_text(quantity, per, decimals=9 if per == 10**9 else 6)} {unit}"
