"""How long lots stay in the co-op, and what it must earn for that: the what-if of paying back. Pure.

It knows growth, shares paid in cash and years; it reads no ledger and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from billing.money import divide_half_up, divide_up, format_decimal
from meter.refusal import Refusal

YEARS_MAX = 60
"""As far as a what-if looks ahead."""


def return_needed(growth: Fraction, cash: Fraction, years: int) -> Fraction:
    """The return on equity at which lots come back after so many years: r = g / ((1−c)(1−(1+g)^−T)), exact.

    Source: Goodwin and Royer, reported by Kenkel (patronage reference, section 3, golden example G11). Without
    growth it is the limit, 1 / ((1−c)·T). Raises Refusal when nothing is retained, or for years out of reach.
    """
    if not 0 <= cash < 1:
        raise Refusal(
            "cash: it is from 0 to less than 100 %; with all paid in cash nothing waits to come back"
        )
    if not 1 <= years <= YEARS_MAX:
        raise Refusal(f"years: {years} is not from 1 to {YEARS_MAX}")
    if growth == 0:
        return ((1 - cash) * years) ** -1
    return growth * ((1 - cash) * (1 - (1 + growth) ** -years)) ** -1


def years_until_back(growth: Fraction, cash: Fraction, earned: Fraction) -> int | None:
    """The fewest whole years after which lots can come back with this return; None within YEARS_MAX."""
    for years in range(1, YEARS_MAX + 1):
        if return_needed(growth, cash, years) <= earned:
            return years
    return None


@dataclass(frozen=True, slots=True)
class Back:
    """When one year's lots are all paid back."""

    year: int
    balance_minor: int
    waits_years: int | None
    """After so many budgets; None: not within YEARS_MAX."""


def when_back(balances: Mapping[int, int], *, budget_minor: int) -> tuple[Back, ...]:
    """Year by year, the oldest first, with the same budget every year and nothing new."""
    if budget_minor <= 0:
        raise Refusal("budget: it must be more than 0")
    found, before = [], 0
    for year, amount in sorted(balances.items()):
        before += amount
        waits = divide_up(before, budget_minor)
        found.append(Back(year, amount, waits if waits <= YEARS_MAX else None))
    return tuple(found)


def percent_text(rate: Fraction, *, decimals: int = 2) -> str:
    """A rate in percent, rounded half up: 0.1003 is '10.03'."""
    return format_decimal(divide_half_up(rate.numerator * 100 * 10**decimals, rate.denominator), decimals)
