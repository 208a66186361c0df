"""The average part of surpluses that went to the compulsory reserve, from pages of closed years. Pure.

Spain's law meets a loss from that reserve only up to it: Ley 27/1999, art. 59.2 b).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from billing.money import parse_amount
from billing.rules.ruleset import Origin
from billing.year.course import COMPULSORY
from billing.year_page import inputs_without_members


def average_paid(pages: Iterable[Mapping[str, Any]]) -> Fraction | None:
    """The mean of the years' parts, each of the members' surplus of its year; None where no year had one.

    A year without a surplus has no part, neither 0 nor another, and is left out.
    """
    parts = [part for page in pages if (part := _part(page)) is not None]
    return Fraction(sum(parts), len(parts)) if parts else None


def _part(page: Mapping[str, Any]) -> Fraction | None:
    inputs = inputs_without_members(page)
    took = {step["key"]: step["amount"] for step in page["steps"]}
    surplus = parse_amount(took.get("surplus", "0"), inputs.currency, field="surplus")
    if not surplus:
        return None
    paid = sum(
        parse_amount(took[levy.key], inputs.currency, field=levy.key)
        for levy in inputs.rule_set.levies
        if levy.origin is Origin.MEMBERS and levy.to == COMPULSORY
    )
    return Fraction(paid, surplus)
