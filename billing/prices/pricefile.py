"""List prices of a provider on a date, read from TOML: each number with its source, units and steps. Pure.

It knows how a provider says what it asks for; not what anybody used.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any, TypeVar

from billing.money import EXPONENTS, parse_decimal
from meter.refusal import Refusal

Kind = TypeVar("Kind", bound=StrEnum)
FILE_BYTES_MAX = 64 * 1024
DECIMALS_MAX = 9
GIGABYTES: Mapping[str, int] = {"10^9": 10**9, "2^30": 2**30}
TERABYTES: Mapping[int, int] = {10**9: 10**12, 2**30: 2**40}
MONTH_HOURS = "month"
"""As the end of a step: so many units as the month has hours, a quota that grows by the hour."""
_DATED = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_WEB = re.compile(r"https?://([a-zA-Z0-9.-]+(?::\d+)?)(?:[/?#][!-~]*)?", re.ASCII)
_FILE_KEYS = {
    "id", "provider", "region", "currency", "dated", "gb_bytes", "gb_source", "link", "notes", "line",
}  # fmt: skip
_LINE_KEYS = {
    "meter", "words", "unit", "per", "time", "rounding", "minimum_days", "tiers", "source", "standing",
}  # fmt: skip


class Meter(StrEnum):
    """What a line of a price list counts."""

    BASE = "base"
    STORED = "stored"
    OUT = "out"
    IN = "in"
    RETRIEVED = "retrieved"
    REQUESTS_A = "requests_a"
    REQUESTS_B = "requests_b"


class Standing(StrEnum):
    """How good the source of a number is."""

    VENDOR = "vendor"
    SECONDARY = "secondary"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Tier:
    """A price a unit, up to so many units of the month in all; without an end it goes on for ever."""

    price: Fraction
    to: Fraction | None = None
    to_stored: Fraction | None = None
    """Up to so many times the average amount stored instead."""
    to_month_hours: bool = False
    """Up to as many units as the month has hours instead."""


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One line of a price list."""

    meter: Meter
    words: str
    unit: str
    """In words: 'GB', 'GB-month', 'million requests'."""
    unit_count: Fraction
    """How many bytes, bytes × hours or requests make one unit; of storage without hours, bytes for a month."""
    hours: bool
    """Whether storage is counted in hours rather than as the month's average."""
    rounds_up: bool
    """Whether a begun unit counts as a whole one."""
    minimum_days: int
    """Storage that is written counts for so many days at least."""
    tiers: tuple[Tier, ...]
    source: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class PriceFile:
    """What one provider asked for in one region on one date."""

    id: str
    provider: str
    region: str
    currency: str
    dated: str
    """YYYY, YYYY-MM or YYYY-MM-DD, as exactly as the source tells; '' when it tells no date."""
    gb_bytes: int
    gb_source: str
    link: str
    notes: tuple[str, ...]
    lines: tuple[PriceLine, ...]

    @property
    def day(self) -> date | None:
        """The first day the date may mean."""
        match = _DATED.fullmatch(self.dated)
        return date(int(match[1]), int(match[2] or 1), int(match[3] or 1)) if match else None

    @property
    def standing(self) -> Standing:
        """The worst standing of its numbers."""
        return max((line.standing for line in self.lines), key=list(Standing).index)


def parse_prices(text: str, *, name: str) -> PriceFile:
    """Read a price file. Raises Refusal naming the file, the line and the key that is wrong."""
    if len(text.encode("utf-8", "surrogateescape")) > FILE_BYTES_MAX:
        raise Refusal(f"{name}: a price file has at most {FILE_BYTES_MAX} bytes")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"{name}: not TOML: {error}") from None
    _refuse_unknown(table, _FILE_KEYS, name)
    if _ID.fullmatch(_text(table, "id", name)) is None:
        raise Refusal(f"{name}: id: use small letters, digits and '-', at most 63")
    if _text(table, "currency", name) not in EXPONENTS:
        raise Refusal(f"{name}: currency: '{table['currency'][:40]}' is not a currency code of ISO 4217")
    gb_bytes = GIGABYTES.get(_text(table, "gb_bytes", name))
    if gb_bytes is None:
        raise Refusal(f"{name}: gb_bytes: a GB is {' or '.join(GIGABYTES)} bytes")
    notes = table.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(one, str) for one in notes):
        raise Refusal(f"{name}: notes: a list of sentences")
    found = PriceFile(
        table["id"], _text(table, "provider", name), _text(table, "region", name), table["currency"],
        _dated(_text(table, "dated", name), name), gb_bytes, _text(table, "gb_source", name),
        _text(table, "link", name), tuple(notes), tuple(_lines(table, gb_bytes, name)),
    )  # fmt: skip
    if not found.lines:
        raise Refusal(f"{name}: there is no [[line]] in it")
    return found


def in_force(shelf: Iterable[PriceFile], on: date) -> list[PriceFile]:
    """Of each provider the last prices dated on or before a day; if there are none so old, the earliest."""
    chosen: dict[str, PriceFile] = {}
    for prices in sorted(shelf, key=lambda one: (one.id, one.day or date.min)):
        if prices.id not in chosen or (prices.day or date.min) <= on:
            chosen[prices.id] = prices
    return list(chosen.values())


def site_of(link: str) -> str:
    """Whose page an address in the web leads to, 'aws.amazon.com'; empty for what is no such address."""
    found = _WEB.fullmatch(link)
    return "" if found is None else found[1].lower().removeprefix("www.")


def age_days(prices: PriceFile, on: date) -> int | None:
    """How old prices are, counted from the first day their date may mean; None when they bear none."""
    return None if prices.day is None else (on - prices.day).days


def _refuse_unknown(table: Mapping[str, Any], known: set[str], name: str) -> None:
    for key in table:
        if key not in known:
            raise Refusal(f"{name}: unknown key '{key[:60]}'; there are {', '.join(sorted(known))}")


def _text(table: Mapping[str, Any], key: str, name: str, *, default: str | None = None) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise Refusal(f'{name}: {key}: must be there, in quotes, for example {key} = "…"')
    return value


def _dated(text: str, name: str) -> str:
    match = _DATED.fullmatch(text)
    try:
        if text == "unknown":
            return ""
        if match is not None:
            date(int(match[1]), int(match[2] or 1), int(match[3] or 1))
            return text
    except ValueError:
        pass  # no day of the calendar: said below
    raise Refusal(f"{name}: dated: '{text[:40]}' is no YYYY, YYYY-MM or YYYY-MM-DD, and not 'unknown'")


def _lines(table: Mapping[str, Any], gb_bytes: int, name: str) -> Iterator[PriceLine]:
    rows = table.get("line", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refusal(f"{name}: line: write each as [[line]]")
    for number, row in enumerate(rows, 1):
        yield _line(row, gb_bytes, f"{name}: line {number}")


def _line(row: Mapping[str, Any], gb_bytes: int, place: str) -> PriceLine:
    _refuse_unknown(row, _LINE_KEYS, place)
    meter = _choice(Meter, _text(row, "meter", place), f"{place}: meter")
    standing = _choice(Standing, _text(row, "standing", place), f"{place}: standing")
    hours = _text(row, "time", place, default="month")
    rounding = _text(row, "rounding", place, default="exact")
    if rounding not in ("exact", "up"):
        raise Refusal(f"{place}: rounding: is exact or up")
    unit, count = _unit(row, meter, gb_bytes, place)
    if meter is Meter.STORED and hours != "month":
        count *= _number(hours, f"{place}: time")
    if count <= 0:
        raise Refusal(f"{place}: a unit is more than 0")
    minimum_days = row.get("minimum_days", 0)
    if not isinstance(minimum_days, int) or not 0 <= minimum_days <= 3660:
        raise Refusal(f"{place}: minimum_days: whole days, 0 to 3660")
    return PriceLine(
        meter, _text(row, "words", place), unit, count, hours != "month", rounding == "up", minimum_days,
        _tiers(row, place), _text(row, "source", place), standing,
    )  # fmt: skip


def _choice(kind: type[Kind], text: str, place: str) -> Kind:
    try:
        return kind(text)
    except ValueError:
        raise Refusal(f"{place}: '{text[:40]}' is none of {', '.join(one.value for one in kind)}") from None


def _unit(row: Mapping[str, Any], meter: Meter, gb_bytes: int, place: str) -> tuple[str, Fraction]:
    unit = _text(row, "unit", place)
    match meter:
        case Meter.BASE:
            return unit, Fraction(1)
        case Meter.REQUESTS_A | Meter.REQUESTS_B:
            return unit, _number(_text(row, "per", place), f"{place}: per")
        case _:
            sizes = {"GB": gb_bytes, "TB": TERABYTES[gb_bytes]}
            size = sizes.get(unit[:2])
            if size is None:
                raise Refusal(f"{place}: unit: begins with GB or TB")
            return unit, Fraction(size)


def _tiers(row: Mapping[str, Any], place: str) -> tuple[Tier, ...]:
    steps = row.get("tiers")
    if not isinstance(steps, list) or not steps or not all(isinstance(one, dict) for one in steps):
        raise Refusal(f'{place}: tiers: a list such as [{{ to = "100", price = "0" }}, {{ price = "0.09" }}]')
    tiers = tuple(_tier(one, f"{place}: tier {number}") for number, one in enumerate(steps, 1))
    ends = [one.to for one in tiers if one.to is not None]
    if ends != sorted(set(ends)):
        raise Refusal(f"{place}: tiers: each step ends after the one before")
    is_open = [one.to is None and one.to_stored is None and not one.to_month_hours for one in tiers]
    if is_open != [False] * (len(tiers) - 1) + [True]:
        raise Refusal(f"{place}: tiers: the last step, and no other, has no end")
    return tiers


def _tier(step: Mapping[str, Any], place: str) -> Tier:
    _refuse_unknown(step, {"price", "to", "to_stored"}, place)
    price = _number(_text(step, "price", place), f"{place}: price")
    if "to_stored" in step:
        return Tier(price, to_stored=_number(_text(step, "to_stored", place), f"{place}: to_stored"))
    if "to" not in step:
        return Tier(price)
    to = _text(step, "to", place)
    if to == MONTH_HOURS:
        return Tier(price, to_month_hours=True)
    return Tier(price, _number(to, f"{place}: to"))


def _number(text: str, field: str) -> Fraction:
    return Fraction(parse_decimal(text, field=field, decimals_max=DECIMALS_MAX), 10**DECIMALS_MAX)
