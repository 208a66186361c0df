"""What a provider would have charged by its list prices: use × steps, exact to the end of a line, rounded once.

Pure. It knows no member and no currency but the provider's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

from billing.money import divide_half_up, exponent, format_decimal, quotient_text
from billing.prices.pricefile import Meter, PriceFile, PriceLine, Tier, in_force
from meter.usage import Usage
from meter.window import DAY_US, HOUR_US, Month, to_datetime

ZERO = Fraction(0)
Exact = Fraction | int
"""A count: whole where it was counted, a fraction where somebody typed it."""
NEEDED = (Meter.STORED, Meter.OUT, Meter.REQUESTS_A, Meter.REQUESTS_B)
"""What a price list must have a line of, if there was any, for its sum to be called whole."""


@dataclass(frozen=True, slots=True)
class Quantities:
    """What was used in one month. Exact; what people type may be a part of a byte in a provider's GB."""

    month_us: int
    """How long the month is."""
    bytes_out: Exact = 0
    bytes_in: Exact = 0
    byte_us: Exact = 0
    requests_a: int = 0
    requests_b: int = 0

    def of(self, meter: Meter) -> Exact:
        """How much of what a line counts."""
        match meter:
            case Meter.BASE:
                return 1
            case Meter.STORED:
                return self.byte_us
            case Meter.OUT | Meter.RETRIEVED:
                return self.bytes_out
            case Meter.IN:
                return self.bytes_in
            case Meter.REQUESTS_A:
                return self.requests_a
            case Meter.REQUESTS_B:
                return self.requests_b


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody asks about, before it is known how many bytes a GB has."""

    gb_out: Fraction = ZERO
    gb_in: Fraction = ZERO
    gb_month: Fraction = ZERO
    requests_a: int = 0
    requests_b: int = 0

    def quantities(self, gb_bytes: int, *, month_us: int) -> Quantities:
        """The same with GB of so many bytes, in a month so long."""
        return Quantities(
            month_us, self.gb_out * gb_bytes, self.gb_in * gb_bytes, self.gb_month * gb_bytes * month_us,
            self.requests_a, self.requests_b,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """So many units at one price."""

    units: Fraction
    price: Fraction


@dataclass(frozen=True, slots=True)
class LineCost:
    """One line: its units step by step, the exact amount in major units, and that rounded to minor ones."""

    line: PriceLine
    units: Fraction
    steps: tuple[Step, ...]
    exact: Fraction
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ListCost:
    """All lines of one price list for one month or several."""

    prices: PriceFile
    lines: tuple[LineCost, ...]
    missing: tuple[Meter, ...]
    """What was used and has no price in the list: the sum is then too low."""

    @property
    def amount_minor(self) -> int:
        """The sum of the rounded lines, in the list's currency."""
        return sum(one.amount_minor for one in self.lines)


@dataclass(frozen=True, slots=True)
class ListSum:
    """What a price list comes to, without its lines."""

    prices: PriceFile
    amount_minor: int
    missing: tuple[Meter, ...]


def quantities_of(usage: Usage) -> Quantities:
    """A member's usage of one whole month."""
    return Quantities(
        usage.end_us - usage.start_us, usage.bytes_out, usage.bytes_in, usage.byte_us, usage.requests_a,
        usage.requests_b,
    )  # fmt: skip


def list_cost(prices: PriceFile, used: Quantities) -> ListCost:
    """What one month would have cost. Counts below zero, left by corrections, cost nothing."""
    lines = tuple(_line_cost(line, used, exponent(prices.currency)) for line in prices.lines)
    there = {line.meter for line in prices.lines}
    missing = tuple(meter for meter in NEEDED if meter not in there and used.of(meter) > 0)
    return ListCost(prices, lines, missing)


def together(months: Sequence[ListCost]) -> ListCost:
    """Several months of one list: allowances and steps begin anew in each, so they are added after rounding."""
    assert months, "there is at least one month"
    lines = tuple(
        replace(
            same[0],
            units=sum((one.units for one in same), ZERO),
            steps=tuple(step for one in same for step in one.steps),
            exact=sum((one.exact for one in same), ZERO),
            amount_minor=sum(one.amount_minor for one in same),
        )
        for same in zip(*(one.lines for one in months), strict=True)
    )
    return ListCost(months[0].prices, lines, _missing(months))


def over_months(shelf: Sequence[PriceFile], provider: str, used: Sequence[tuple[Month, Usage]]) -> ListCost:
    """Each month by the provider's prices of its time; lists whose lines changed are not added, the last stands for all."""
    last, found = _each_month(shelf, provider, used)
    return replace(together(found), prices=last)


def sum_over_months(
    shelf: Sequence[PriceFile], provider: str, used: Sequence[tuple[Month, Usage]]
) -> ListSum:
    """What that comes to."""
    last, found = _each_month(shelf, provider, used)
    return ListSum(last, sum(one.amount_minor for one in found), _missing(found))


def _each_month(
    shelf: Sequence[PriceFile], provider: str, used: Sequence[tuple[Month, Usage]]
) -> tuple[PriceFile, list[ListCost]]:
    own = [one for one in shelf if one.id == provider]
    last, found = _at(own, used[-1][0]), []
    for month, usage in used:
        prices = _at(own, month)
        same = [line.meter for line in prices.lines] == [line.meter for line in last.lines]
        found.append(list_cost(prices if same else last, quantities_of(usage)))
    return last, found


def _missing(months: Sequence[ListCost]) -> tuple[Meter, ...]:
    return tuple(meter for meter in NEEDED if any(meter in one.missing for one in months))


def _at(own: Sequence[PriceFile], month: Month) -> PriceFile:
    (prices,) = own if len(own) == 1 else in_force(own, last_day(month))
    return prices


def last_day(month: Month) -> date:
    """By whose prices a month is compared."""
    return to_datetime(month.end_us - 1).date()


def _line_cost(line: PriceLine, used: Quantities, decimals: int) -> LineCost:
    # A member's year is some five hundred of these on one page, and a fraction costs ten times a whole number.
    units = _units(line, used)
    if units.numerator <= 0:
        return LineCost(line, ZERO, (), ZERO, 0)
    if line.rounds_up:
        units = Fraction(math.ceil(units))
    steps = tuple(_steps(line, units, used))
    exact = sum((step.units * step.price for step in steps), ZERO) if steps[1:] else _alone(steps)
    amount = divide_half_up(exact.numerator * 10**decimals, exact.denominator)
    return LineCost(line, units, steps, exact, amount)


def _alone(steps: tuple[Step, ...]) -> Fraction:
    return steps[0].units * steps[0].price if steps else ZERO


def _units(line: PriceLine, used: Quantities) -> Fraction:
    count = used.of(line.meter)
    if line.meter is not Meter.STORED:
        return Fraction(count, line.unit_count)
    if line.minimum_days:
        count = max(count, used.bytes_in * line.minimum_days * DAY_US)
    return Fraction(count, line.unit_count * (HOUR_US if line.hours else used.month_us))


def _steps(line: PriceLine, units: Fraction, used: Quantities) -> Iterable[Step]:
    begin = ZERO
    for tier in line.tiers:
        end = _end(tier, line, used)
        if end is None or units <= end:
            if units > begin:
                yield Step(units - begin if begin else units, tier.price)
            return
        if end > begin:
            yield Step(end - begin if begin else end, tier.price)
            begin = end


def _end(tier: Tier, line: PriceLine, used: Quantities) -> Fraction | None:
    if tier.to_stored is not None:
        return tier.to_stored * Fraction(used.byte_us, line.unit_count * used.month_us)
    if tier.to_month_hours:
        return Fraction(used.month_us, HOUR_US)
    return tier.to


def units_text(units: Fraction) -> str:
    """Units for people, at most six decimals, '…' where they go on."""
    return quotient_text(units.numerator, units.denominator, decimals=6)


def price_text(price: Fraction) -> str:
    """A price as a plain decimal with at least two decimals; it is exact, files hold no more than nine."""
    text = quotient_text(price.numerator, price.denominator, decimals=9).replace(",", "")
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


def arithmetic(cost: LineCost, currency: str) -> str:
    """The line worked out in view: '100 × 0.00 + 9,900 × 0.09 = 891.00'."""
    steps: dict[Fraction, Fraction] = {}
    for step in cost.steps:
        steps[step.price] = steps.get(step.price, Fraction(0)) + step.units
    terms = [f"{units_text(units)} × {price_text(price)}" for price, units in steps.items()]
    amount = format_decimal(cost.amount_minor, exponent(currency))
    return f"{' + '.join(terms) or '0'} = {amount}"
