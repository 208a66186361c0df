"""Instants a person types, and the window of whole hours round them. Pure: now is an argument."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

from meter.refusal import Refusal
from meter.window import HOUR_US, Month, hour_start_us, to_datetime, to_us

_SPAN = re.compile(r"([0-9]{1,4})([hd])")
_SPAN_HOURS = {"h": 1, "d": 24}


class BadInstant(Refusal):
    """Not an instant we can read, or a window that ends before it begins."""


@dataclass(frozen=True, slots=True)
class Window:
    """[start_us, end_us): whole hours, but for an end that is now."""

    start_us: int
    end_us: int


def parse_instant(text: str) -> int:
    """Read an ISO 8601 instant or date, UTC where it says no offset; microseconds. Raises BadInstant."""
    try:
        moment = datetime.fromisoformat(text)
        aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInstant(
            f"'{text}' is not a time; write a date like 2026-11-03, or 2026-11-03T14:00:00Z"
        ) from None
    if aware.year < 1970:
        raise BadInstant(f"'{text}' is before 1970, and nothing was counted then")
    return to_us(aware)


def parse_date(text: str, *, field: str) -> date:
    """Read a day. Raises BadInstant naming the field."""
    try:
        found = date.fromisoformat(text) if len(text) == len("2026-11-03") else None
    except ValueError:
        found = None
    if found is None or found.year < 1970:
        raise BadInstant(f"{field}: '{text[:40]}' is not a day; write it like 2026-11-03")
    return found


def parse_end(text: str, *, now_us: int) -> int:
    """An instant still to come: a span from now such as 30d or 12h, or an instant. Raises BadInstant."""
    match = _SPAN.fullmatch(text)
    end_us = now_us + int(match[1]) * _SPAN_HOURS[match[2]] * HOUR_US if match else parse_instant(text)
    if end_us <= now_us:
        raise BadInstant(f"'{text}' is not in the future")
    return end_us


def window(start: str | None, end: str | None, *, now_us: int) -> Window:
    """The window asked for, widened outward to whole hours and never past now.

    Without a start it is the month of the end; without an end it is now. Raises BadInstant.
    """
    end_us = now_us if end is None else min(_hour_end_us(parse_instant(end)), now_us)
    start_us = Month.of(end_us).start_us if start is None else hour_start_us(parse_instant(start))
    if start_us >= now_us:
        raise BadInstant(f"--from {start} is not in the past")
    if start_us >= end_us:
        raise BadInstant("--from must be before --to")
    return Window(start_us, end_us)


def instant_text(instant_us: int) -> str:
    """An instant as ISO 8601 in UTC, with as many digits as it needs."""
    moment = to_datetime(instant_us)
    precision = "microseconds" if moment.microsecond else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _hour_end_us(instant_us: int) -> int:
    return -(-instant_us // HOUR_US) * HOUR_US
