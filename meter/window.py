"""Half-open windows of time [start, end), hours and calendar months, in UTC microseconds.

Pure: no clock is read here. An instant is an int of microseconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from meter.refusal import Refusal

MICROSECONDS = 1_000_000
SLOT_US = 300 * MICROSECONDS
"""Five minutes: what carriers sample a line by."""
HOUR_US = 3600 * MICROSECONDS
DAY_US = 24 * HOUR_US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)


class UnknownMonth(Refusal):
    """The text names no calendar month; its sentence says what does."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month in UTC: the billing period."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """Read 'YYYY-MM', years 2000 to 9998. Raises UnknownMonth."""
        match = _MONTH.fullmatch(text)
        if match is None or not 2000 <= int(match[1]) <= 9998:
            raise UnknownMonth(f"'{text}' is not a month; write it as YYYY-MM, for example 2026-11")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, instant_us: int) -> Month:
        """The month that contains an instant in microseconds."""
        moment = to_datetime(instant_us)
        return cls(moment.year, moment.month)

    def next(self) -> Month:
        """The following month."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    def previous(self) -> Month:
        """The month before."""
        return Month(self.year - (self.number == 1), (self.number - 2) % 12 + 1)

    @property
    def start_us(self) -> int:
        """The first instant, in microseconds; it belongs to the month."""
        return to_us(datetime(self.year, self.number, 1, tzinfo=UTC))

    @property
    def end_us(self) -> int:
        """The first instant after the month, in microseconds."""
        return self.next().start_us

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


@dataclass(frozen=True, slots=True)
class Credible:
    """The instants that can be true when records are shipped."""

    earliest_us: int
    """The start of the month in which the first member joined."""
    latest_us: int
    """The end of the last month that may be opened; what claims to be later has a clock that is wrong."""
    now_us: int
    """When they are shipped: where the others count instead."""

    def counted_us(self, instant_us: int) -> int:
        """The instant itself, or now for one that cannot be true: before the co-op, or months ahead."""
        return instant_us if self.earliest_us <= instant_us < self.latest_us else self.now_us


def to_us(moment: datetime) -> int:
    """An aware datetime as microseconds since 1970, exact."""
    assert moment.tzinfo is not None, "a naive datetime has no instant"
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_datetime(instant_us: int) -> datetime:
    """Microseconds since 1970 as an aware UTC datetime, exact."""
    return _EPOCH + timedelta(microseconds=instant_us)


def whole_days(start_us: int, end_us: int) -> tuple[int, int]:
    """The whole days within [start_us, end_us): where they begin and end; both are end_us when there is none."""
    first_us, last_us = -(-start_us // DAY_US) * DAY_US, end_us // DAY_US * DAY_US
    return (first_us, last_us) if first_us < last_us else (end_us, end_us)


def day_number(instant_us: int) -> int:
    """Whole days from 1970-01-01 to the UTC day that contains the instant."""
    return instant_us // DAY_US


def hour_start_us(instant_us: int) -> int:
    """The first instant of the hour that contains the instant."""
    return instant_us - instant_us % HOUR_US
