"""What the page of our co-op shows: where one unit of what came in went, what is kept by all, and list prices. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billing.ledger.reports import Report
from billing.money import divide_half_up
from billing.portal.books import words
from billing.statements.paper import SHADES, WIDTH, Part, cut
from billing.tongue import _
from meter.window import Month

MONTHS = 12
KEPT_BY_ALL = ("collective:", "reserve:", "fund:")
IN_NAMES = ("capital:member:", "retained:member:", "shares:member:")
THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class Closed:
    """Closed months added up, in minor units; `costs` by pool."""

    first: Month
    last: Month
    currency: str
    charges_minor: int
    costs: Mapping[str, int]

    @property
    def costs_minor(self) -> int:
        """All pools."""
        return sum(self.costs.values())

    @property
    def left_minor(self) -> int:
        """Above zero a surplus, below a loss."""
        return self.charges_minor - self.costs_minor


def closed(documents: Sequence[Mapping[str, Any]]) -> Closed | None:
    """The last MONTHS closed months, from their stored pages in order; None while none is closed."""
    shown = documents[-MONTHS:]
    if not shown:
        return None
    costs: dict[str, int] = {}
    for one in shown:
        for pool, minor in one["costs"].items():
            costs[pool] = costs.get(pool, 0) + minor
    months = [Month.parse(one["month"]) for one in shown]
    charges = sum(int(one["charges_minor"]) for one in shown)
    return Closed(months[0], months[-1], str(shown[-1]["currency"]), charges, dict(sorted(costs.items())))


def one_unit(found: Closed) -> dict[str, object]:
    """The picture of one euro: its parts, and whether it cost more than came in."""
    return {
        "parts": parts_of(found),
        "width": WIDTH,
        "is_loss": found.left_minor < 0,
        "whole_minor": _whole(found),
    }


def parts_of(found: Closed) -> list[Part]:
    """Each pool and what is left, cut to scale of what came in, or of the cost if that is more."""
    wanted = [
        (_("Cost: {pool}", pool=pool), SHADES[place % len(SHADES)], minor)
        for place, (pool, minor) in enumerate(found.costs.items())
    ]
    wanted.append((_("Left over, the members’"), "back", found.left_minor))
    return cut(wanted, of_minor=_whole(found))


def _whole(found: Closed) -> int:
    return max(found.charges_minor, found.costs_minor)


def kept(balance: Report) -> dict[str, list[tuple[str, int]]]:
    """Of what is ours: what nobody has in their name, and what members have in theirs; lines in plain words."""
    (own,) = [one for one in balance.sections if one.name == "equity"]
    found: dict[str, list[tuple[str, int]]] = {"by_all": [], "in_names": [], "besides": []}
    for account, amount in own.lines:
        where = (
            "by_all"
            if account.startswith(KEPT_BY_ALL)
            else "in_names"
            if account.startswith(IN_NAMES)
            else "besides"
        )
        found[where].append((words(account), amount))
    return found


def of_a_thousand(found: Closed) -> tuple[int, int] | None:
    """(cost, left over) of 1,000.00 charged, in hundredths, rounded half up; None where nothing was charged."""
    if found.charges_minor <= 0:
        return None
    cost = divide_half_up(found.costs_minor * THOUSAND * 100, found.charges_minor)
    return cost, THOUSAND * 100 - cost
