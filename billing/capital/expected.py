"""When what is kept in a member's name could come back, by the last sum the co-op set aside for that. Pure.

It is arithmetic and no promise: the next sum is decided anew. Where nothing was decided it knows no date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from billing.capital.retirement import Method
from billing.capital.revolving import YEARS_MAX, when_back
from billing.money import divide_up


@dataclass(frozen=True, slots=True)
class Decided:
    """The last sum that was set aside to pay kept capital back, in minor units."""

    resolution: str
    on: date
    method: Method
    budget_minor: int
    left: Mapping[int, int]
    """Year it was kept from → what it left in everybody's names; empty where an older Weir did not note it."""


@dataclass(frozen=True, slots=True)
class Back:
    """What is kept from one year in one member's name, and when it could be back whole."""

    year: int
    kept_minor: int
    sums: int | None
    """With which sum from now on, 1 for the next; None: nothing decided says so."""
    about: int | None
    """In which calendar year that would be, with one such sum a year."""


def read_decided(document: str, *, on: date) -> Decided:
    """What a retirement's kept document says of its sum."""
    kept = json.loads(document)
    asked = kept["asked"]
    left = dict(kept.get("left", ()))
    return Decided(asked["resolution"], on, Method(asked["method"]), asked["budget_minor"], left)


def expected(kept: Mapping[int, int], decided: Decided | None, *, this_year: int) -> list[Back]:
    """By the year it was kept from, the oldest first: as if the last sum came once a year and nothing were added.

    What was kept since that decision comes after all it knew, so nothing is said of it; nor by a list of years and
    shares, which another decision would choose anew.
    """
    sums = {} if decided is None else _sums(decided)
    # A year in which nothing was set aside is over; the next sum is one of this year at the earliest.
    last = this_year if decided is None else max(decided.on.year, this_year - 1)
    return [
        Back(year, amount, sums.get(year), last + sums[year] if year in sums else None)
        for year, amount in sorted(kept.items())
    ]


def _sums(decided: Decided) -> dict[int, int]:
    match decided.method:
        case Method.FIFO:
            found = when_back(decided.left, budget_minor=decided.budget_minor)
            return {one.year: one.waits_years for one in found if one.waits_years is not None}
        case Method.PERCENTAGE:
            # A part of every lot each time: all of them are whole with the last sum.
            waits = divide_up(sum(decided.left.values()), decided.budget_minor)
            return dict.fromkeys(decided.left, waits) if waits <= YEARS_MAX else {}
        case Method.HYBRID:
            return {}
