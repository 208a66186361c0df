"""What the page of our co-op shows: where one unit of what came in went, what is kept by all, and list prices. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billing.ledger.reports import Report
from billing.money import divide_half_up
from billing.portal.books import words
from billing.statements.paper import SHADES, Part, cost_words, cut
from billing.statements.year_paper import parts as year_parts
from billing.tongue import _
from billing.year_losses import account_words
from billing.year_statement import whole_of
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


def closed(documents: Sequence[Mapping[str, Any]], *, after: Month | None = None) -> Closed | None:
    """The last MONTHS closed months, from their stored pages in order; None while none is closed.

    With `after` only those that follow that month.
    """
    shown = [one for one in documents if after is None or Month.parse(one["month"]) > after][-MONTHS:]
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
    """The picture of one euro: each pool and what is left, cut to scale of what came in, or of the cost if that is more.

    Of months alone: what becomes of what is left is not known before their year is closed.
    """
    wanted = [
        (_("Cost: {pool}", pool=pool), SHADES[place % len(SHADES)], minor)
        for place, (pool, minor) in enumerate(found.costs.items())
    ]
    wanted.append((_("Left over, not shared out yet"), "back", found.left_minor))
    whole = max(found.charges_minor, found.costs_minor)
    return {"parts": cut(wanted, of_minor=whole), "is_loss": found.left_minor < 0}


def of_year(page: Mapping[str, Any]) -> dict[str, object]:
    """A closed year from its stored page: what came in, what it cost, and the picture of all of it."""
    co_op = whole_of(page)
    cost, result = co_op["costs_minor"], co_op["result_minor"]
    return {
        "number": page["fiscal_year"],
        "first": Month.parse(page["first_month"]),
        "last": Month.parse(page["last_month"]),
        "came_minor": cost + result,
        "costs_minor": cost,
        "left_minor": result,
        "shared_minor": co_op["pool_minor"],
        "rest_minor": result - co_op["pool_minor"],
        "picture": {"parts": _parts_of_year(co_op), "is_loss": result < 0},
    }


def _parts_of_year(co_op: Mapping[str, Any]) -> list[Part]:
    """Each pool, what members share, and each account that keeps some; with fewer parts where something is taken."""
    kept = co_op["accounts"]
    if co_op["result_minor"] < 0 or co_op["pool_minor"] < 0 or any(one < 0 for one in kept.values()):
        return year_parts(co_op)
    wanted = [
        (cost_words(pool), SHADES[place % len(SHADES)], minor)
        for place, (pool, minor) in enumerate(co_op["costs"].items())
    ]
    wanted.append((_("shared among the members"), "back", co_op["pool_minor"]))
    wanted += [(account_words(name, minor), "in", minor) for name, minor in kept.items()]
    return cut(wanted, of_minor=co_op["costs_minor"] + co_op["result_minor"])


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
