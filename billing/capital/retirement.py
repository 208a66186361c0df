"""Which lots a budget pays back: the oldest first, a part of all, or a list of years and shares. Pure.

It plans and posts nothing. Paying back the newest first is not offered: it would leave out those who waited longest.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from billing.capital.lots import LotId, by_year, share
from billing.money import apportion, divide_half_up
from meter.ids import MemberId
from meter.refusal import Refusal

RULES_MAX = 200
"""Lines of a hybrid rule."""


class Method(StrEnum):
    """How a budget is laid on the lots."""

    FIFO = "fifo"
    PERCENTAGE = "percentage"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class YearShare:
    """One line of a hybrid rule: so much of what is left of a year."""

    year: int
    share: Fraction


@dataclass(frozen=True, slots=True)
class Plan:
    """What is paid back of which lot, in minor units; what is too little for a payment stays where it is.

    Invariant: Σ lines + Σ carried = the smaller of the budget and what the method reaches.
    """

    method: Method
    budget_minor: int
    lines: Mapping[LotId, int]
    carried: Mapping[MemberId, int]
    """What a member would have got but is below the least amount that is paid; it stays in their lots."""

    @property
    def total_minor(self) -> int:
        """Of all lines."""
        return sum(self.lines.values())

    @property
    def by_member(self) -> dict[MemberId, int]:
        """What each member gets, by member."""
        return _by_member(self.lines)


def plan(
    balances: Mapping[LotId, int],
    method: Method,
    *,
    budget_minor: int,
    rule: tuple[YearShare, ...] = (),
    minimum_minor: int = 0,
) -> Plan:
    """Lay a budget on the lots. Raises Refusal for a lot below zero, no budget, or a rule that does not fit.

    Inside a year, and inside a part of all, the money is shared by balance with the largest remainder.
    """
    if budget_minor <= 0:
        raise Refusal("budget: it must be more than 0")
    if (method is Method.HYBRID) != bool(rule):
        raise Refusal("rule: the hybrid method, and only it, needs a list of years and shares")
    for lot, amount in sorted(balances.items()):
        if amount < 0:
            raise Refusal(f"the lot {lot.account} is below zero; correct the ledger before anything is paid")
    there = {lot: amount for lot, amount in balances.items() if amount}
    if method is Method.PERCENTAGE:
        lines = _of(there, min(budget_minor, sum(there.values())))
    else:
        steps = rule or tuple(YearShare(year, Fraction(1)) for year in by_year(there))
        lines = _by_steps(there, steps, budget_minor)
    return _without_small(method, budget_minor, lines, minimum_minor)


def parse_rule(text: str) -> tuple[YearShare, ...]:
    """Read a hybrid rule from TOML: [[rule]] with year = 2008 and share = "34 %" or "rest". Raises Refusal."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"rule: not TOML: {error}") from None
    listed = document.pop("rule", None)
    if document or not isinstance(listed, list) or not listed:
        raise Refusal("rule: the file holds [[rule]] and nothing else, each with year and share")
    if len(listed) > RULES_MAX:
        raise Refusal(f"rule: {len(listed)} lines; at most {RULES_MAX}")
    found = tuple(_year_share(number, one) for number, one in enumerate(listed, 1))
    if len({one.year for one in found}) < len(found):
        raise Refusal("rule: a year stands in it twice")
    return found


def _year_share(number: int, one: object) -> YearShare:
    if not isinstance(one, dict) or set(one) != {"year", "share"}:
        raise Refusal(f"rule {number}: it has year and share and nothing else")
    year, part = one["year"], one["share"]
    if not isinstance(year, int) or isinstance(year, bool) or not 1900 <= year <= 9998:
        raise Refusal(f"rule {number}: year: a year is written like 2008")
    if not isinstance(part, str):
        raise Refusal(f'rule {number}: share: it stands in quotes, like "34 %", so that it stays exact')
    found = Fraction(1) if part == "rest" else share(part, field=f"rule {number}: share")
    if found == 0:
        raise Refusal(f"rule {number}: share: it must be more than 0")
    return YearShare(year, found)


def _by_steps(
    there: Mapping[LotId, int], steps: tuple[YearShare, ...], budget_minor: int
) -> dict[LotId, int]:
    years: dict[int, dict[LotId, int]] = {}
    for lot, amount in there.items():
        years.setdefault(lot.year, {})[lot] = amount
    lines: dict[LotId, int] = {}
    left = budget_minor
    for step in steps:
        lots = years.get(step.year, {})
        part = sum(lots.values()) * step.share
        paid = min(divide_half_up(part.numerator, part.denominator), left)
        lines |= _of(lots, paid)
        left -= paid
    return lines


def _of(lots: Mapping[LotId, int], paid: int) -> dict[LotId, int]:
    # paid ≤ Σ balances, so no lot's share is more than the lot: a quota below a whole number rounds up to it at most.
    return {lot: amount for lot, amount in apportion(paid, lots).items() if amount} if paid else {}


def _without_small(method: Method, budget_minor: int, lines: Mapping[LotId, int], minimum_minor: int) -> Plan:
    small = {member: amount for member, amount in _by_member(lines).items() if amount < minimum_minor}
    kept = {lot: amount for lot, amount in lines.items() if lot.member not in small}
    return Plan(method, budget_minor, dict(sorted(kept.items())), small)


def _by_member(lines: Mapping[LotId, int]) -> dict[MemberId, int]:
    sums: dict[MemberId, int] = {}
    for lot, amount in lines.items():
        sums[lot.member] = sums.get(lot.member, 0) + amount
    return dict(sorted(sums.items()))
