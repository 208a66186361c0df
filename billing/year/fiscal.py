"""A fiscal year: twelve months from the co-op's first fiscal month, named by the year it begins in. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from meter.refusal import Refusal
from meter.window import Month

MONTHS = 12
_YEAR = re.compile(r"\d{4}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class FiscalYear:
    """Which one it is, and in which month the co-op's years begin."""

    number: int
    first_month: int = 1

    @classmethod
    def of(cls, month: Month, first_month: int = 1) -> FiscalYear:
        """The fiscal year that a month lies in."""
        return cls(month.year - (month.number < first_month), first_month)

    @property
    def first(self) -> Month:
        """Its first month."""
        return Month(self.number, self.first_month)

    @property
    def last(self) -> Month:
        """Its last month."""
        return Month(self.number + (self.first_month > 1), (self.first_month + MONTHS - 2) % MONTHS + 1)

    @property
    def months(self) -> tuple[Month, ...]:
        """All twelve."""
        found = [self.first]
        while len(found) < MONTHS:
            found.append(found[-1].next())
        return tuple(found)

    def __str__(self) -> str:
        return f"{self.number:04d}"


def is_year(text: str) -> bool:
    """Whether a text names a year rather than a month."""
    return _YEAR.fullmatch(text) is not None


def parse_year(text: str) -> int:
    """Read '2026'. Raises Refusal."""
    if not is_year(text) or not 2000 <= int(text) <= 9998:
        raise Refusal(f"'{text[:20]}' is not a fiscal year; write it as YYYY, the year it begins in: 2026")
    return int(text)
