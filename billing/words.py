"""Numbers and instants in plain words, as the reader's language writes them: bytes, amounts, months, moments. Pure.

It decides nothing and rounds no money: a number is written by `money`, exactly, and here its separators are exchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import lru_cache

from babel.dates import format_date, format_skeleton
from babel.lists import format_list

from billing.money import format_decimal, format_number, percent_text, quotient_text, rounded_to_three
from billing.tongue import LOCALES, SOURCE, _, phrase, separators, spoken
from meter.refusal import Refusal
from meter.window import Month, to_datetime

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_INSTANT = re.compile(r"(\d{1,2}) (\w+) (\d{4}), (\d\d):(\d\d) UTC", re.ASCII)
DAYS_KEPT = 4096
"""Days that are told in another language again and again: a year of them costs as much as the page around them."""
NO_BREAK = "\N{NO-BREAK SPACE}"


def numeral(text: str) -> str:
    """A number as `money` writes it, e.g. '-1,512.37' or '0.33…', with the reader's separators; no digit changes."""
    language = spoken()
    return text if language == SOURCE else text.translate(separators(language))


def count_text(count: int) -> str:
    """A whole number, digits grouped."""
    return numeral(f"{count:,}")


def counter(language: str) -> Callable[[int], str]:
    """count_text() of one language, for pages with thousands of numbers: it need not ask each time which is spoken."""
    if language == SOURCE:
        return "{:,}".format
    marks = separators(language)
    return lambda count: f"{count:,}".translate(marks)


def number_text(minor: int, currency: str) -> str:
    """An amount without its currency, e.g. '1,512.37'."""
    return numeral(format_number(minor, currency))


def amount_text(minor: int, currency: str) -> str:
    """An amount with its currency, e.g. '1,512.37 EUR'."""
    blank = " " if spoken() == SOURCE else NO_BREAK
    return f"{number_text(minor, currency)}{blank}{currency}"


def hundredths_text(hundredths: int, currency: str = "") -> str:
    """An amount with two decimals, whatever its currency has; of examples in round numbers."""
    number = numeral(format_decimal(hundredths, 2))
    return f"{number}{' ' if spoken() == SOURCE else NO_BREAK}{currency}" if currency else number


def percent_told(share: Fraction) -> str:
    """A share as an exact percentage, e.g. '42.5 %'; as a fraction where its decimals never end."""
    text = numeral(percent_text(share))
    return text if spoken() == SOURCE else text.replace(" ", NO_BREAK)


def bytes_text(count: int) -> str:
    """Decimal units with three digits, 'about' in front when that is not the exact count."""
    unit = 0
    while unit < len(_UNITS) - 1 and abs(count) >= 1000 ** (unit + 1):
        unit += 1
    text, exact = rounded_to_three(count, 1000**unit)
    if spoken() == SOURCE:
        return f"{'' if exact else 'about '}{text} {_UNITS[unit]}"
    size = f"{numeral(text)}{NO_BREAK}{_('bytes') if unit == 0 else _UNITS[unit]}"
    return size if exact else _("about {size}", size=size)


def month_text(month: Month) -> str:
    """'November 2026'."""
    if spoken() == SOURCE:
        return f"{_MONTHS[month.number - 1]} {month.year}"
    return format_skeleton("yMMMM", date(month.year, month.number, 1), locale=LOCALES[spoken()])


def month_told(month: Month | str) -> str:
    """'2026-11', or as the reader's language says a month; what is no month stays as it is."""
    if spoken() == SOURCE:
        return str(month)
    try:
        return month_text(month if isinstance(month, Month) else Month.parse(month))
    except Refusal:
        return str(month)


def list_text(words: Sequence[str]) -> str:
    """'user and worker', each in the reader's language."""
    return format_list([phrase(one) for one in words], locale=LOCALES[spoken()])


def day_text(day: date) -> str:
    """'2026-11-23', or as the reader's language writes a day in a table."""
    return day.isoformat() if spoken() == SOURCE else _day_text(day, LOCALES[spoken()])


@lru_cache(maxsize=DAYS_KEPT)
def _day_text(day: date, locale: str) -> str:
    return format_date(day, "medium", locale=locale)


def instant_text(instant_us: int) -> str:
    """'23 November 2026, 05:54 UTC', cut to the minute."""
    return _moment(to_datetime(instant_us))


def _moment(moment: datetime) -> str:
    if spoken() == SOURCE:
        return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M} UTC"
    return f"{format_date(moment, 'long', locale=LOCALES[spoken()])}, {moment:%H:%M} UTC"


def instant_again(text: str) -> str:
    """What instant_text() wrote into a document that is kept, as the reader's language has it."""
    found = _INSTANT.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return text
    month = _MONTHS.index(found[2]) + 1
    return _moment(
        datetime(int(found[3]), month, int(found[1]), int(found[4]), int(found[5]), tzinfo=UTC)
    )  # fmt: skip


def clock_text(instant_us: int) -> str:
    """'05:54:00.123456', of a day that is told already."""
    return to_datetime(instant_us).strftime("%H:%M:%S.%f")


def iso_text(instant_us: int) -> str:
    """'2026-11-23T05:54:00.123456Z': the instant itself, exact."""
    return to_datetime(instant_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def quantity_text(quantity: int, per: int, unit: str) -> str:
    """How many priced units a count is, e.g. '12.345678901 GB'; '…' where the decimals go on."""
    number = numeral(quotient_text(quantity, per, decimals=9 if per == 10**9 else 6))
    return f"{number} {unit}" if spoken() == SOURCE else f"{number}{NO_BREAK}{phrase(unit)}"
