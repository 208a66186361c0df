"""What somebody who left, or their estate, is owed: the sum, the schedule, the present value. Pure.

It works out and posts nothing. A schedule's principal sums to the debt, to the cent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction

from billing.capital.deadlines import date_to_date, month_end, months_after
from billing.capital.lots import LotId
from billing.ledger.entry import Account
from billing.money import apportion, divide_half_up
from billing.rules.afterwards import RESOLUTION_RATE, ExitRule, InterestOn
from billing.year.fiscal import FiscalYear
from meter.refusal import Refusal
from meter.window import Month

YEARS_MAX = 40
"""Of a schedule, where no law has a shorter one."""
CYCLE_YEARS_MAX = 60
DAYS_A_YEAR = 365


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a debt is paid."""

    years: int
    rate: Fraction
    interest: InterestOn


@dataclass(frozen=True, slots=True)
class Instalment:
    """One payment of a schedule, in minor units. `place` counts from 1."""

    place: int
    due_on: date
    principal_minor: int
    interest_minor: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a leaver's lots. Invariant: debt + losses + deduction + set-off = the lots."""

    lots_minor: int
    losses_minor: int
    """Their share of earlier losses, met from the lots."""
    deduction_minor: int
    deduction_to: Account
    set_off_minor: int
    """What they owed for use, and now do not."""

    @property
    def debt_minor(self) -> int:
        """What is left to be paid."""
        return self.lots_minor - self.losses_minor - self.deduction_minor - self.set_off_minor


def terms(rule: ExitRule, *, years: int | None, base_rate: Fraction | None, heirs: bool = False) -> Terms:
    """The terms of one exit within its rule. Raises Refusal for more years than the law allows, or no rate."""
    limit = rule.heirs_years_max if heirs and rule.heirs_years_max else rule.years_max or YEARS_MAX
    if years is None and not (rule.years_max or (heirs and rule.heirs_years_max)):
        raise Refusal("years: no law sets them here; give the years of the resolution with --years")
    found = limit if years is None else years
    if not 1 <= found <= limit:
        raise Refusal(f"years: {found} is not from 1 to {limit} ({rule.source})")
    if base_rate is None:
        named = "the rate of the resolution" if rule.rate == RESOLUTION_RATE else f"the {rule.rate}"
        raise Refusal(f"base rate: give {named} in percent a year; 0 where there is none")
    return Terms(found, base_rate + rule.margin, rule.interest)


def settle(
    rule: ExitRule, *, lots_minor: int, losses_minor: int, owed_minor: int, deduction: Fraction
) -> Settlement:
    """Losses first, then the deduction on what is left, then what they owe. Raises Refusal over the law's part."""
    if deduction > rule.deduction_max:
        raise Refusal(
            "deduction: more than the rule allows; it is at most "
            f"{rule.deduction_max.numerator}/{rule.deduction_max.denominator} ({rule.source})"
            if rule.deduction_max
            else f"deduction: this rule set allows none ({rule.source})"
        )
    losses = min(losses_minor, lots_minor)
    exact = (lots_minor - losses) * deduction
    deducted = divide_half_up(exact.numerator, exact.denominator)
    return Settlement(
        lots_minor=lots_minor,
        losses_minor=losses,
        deduction_minor=deducted,
        deduction_to=rule.deduction_to,
        set_off_minor=min(max(owed_minor, 0), lots_minor - losses - deducted),
    )


def schedule(
    debt_minor: int,
    agreed: Terms,
    *,
    left_on: date,
    first_month: int,
    lots: Mapping[int, int] | None = None,
) -> tuple[Instalment, ...]:
    """Equal parts once a year, a left-over cent to the earlier ones, so that k of n parts are never short.

    On year-end balances the parts fall due at the fiscal years' ends within the term; otherwise on the
    anniversaries of the exit. Both count from the day of leaving, also for lots of a later closing: parts whose day
    is over are due at once, and the end stays where it was. Interest is rounded once an instalment, to the nearest
    unit. `lots` says how much of the debt is of which fiscal year, which is named by the year it begins in; years
    begin with `first_month`. What a year kept that ended after they left bears interest only from that year's end.
    """
    if debt_minor == 0:
        return ()
    dues = _dues(agreed, left_on=left_on, first_month=first_month)
    parts = apportion(debt_minor, dict.fromkeys(dues, 1))
    begun: dict[date, int] = {} if lots else {left_on: 1}
    for year, amount in (lots or {}).items():
        day = max(_year_end(year, first_month), left_on)
        begun[day] = begun.get(day, 0) + amount
    return tuple(
        _with_interest({due: parts[due] for due in dues if parts[due]}, agreed, begun, left_on=left_on)
    )


def face_value_schedule(
    lots: Mapping[LotId, int], *, cycle_years: int, died_on: date, first_month: int
) -> tuple[Instalment, ...]:
    """An estate that waits: each year's lots at face value when its cycle ends, without interest.

    Lots whose turn has come are due on the day itself.
    """
    dues: dict[date, int] = {}
    for lot, amount in lots.items():
        due = max(_year_end(lot.year + _cycle(cycle_years), first_month), died_on)
        dues[due] = dues.get(due, 0) + amount
    return tuple(
        Instalment(place, due, amount, 0) for place, (due, amount) in enumerate(sorted(dues.items()), 1)
    )


def present_values(
    lots: Mapping[LotId, int], *, rate: Fraction, cycle_years: int, died_on: date, first_month: int
) -> dict[LotId, int]:
    """An estate that is paid now: lot / (1 + r)^(years still to wait), rounded once a lot to the nearest unit.

    Years are counted from the fiscal year of death. A lot whose turn has come counts in full. Source of the formula:
    patronage reference, section 3 and G14.
    """
    year = FiscalYear.of(Month(died_on.year, died_on.month), first_month).number
    return {
        lot: divide_half_up(exact.numerator, exact.denominator)
        for lot, amount in sorted(lots.items())
        for exact in (amount * discount(rate, max(lot.year + _cycle(cycle_years) - year, 0)),)
    }


def discount(rate: Fraction, years: int) -> Fraction:
    """1 / (1 + r)^years, exact."""
    assert rate >= 0, "a rate is 0 or more"
    return (1 + rate) ** -years


def less(schedule: Iterable[Instalment], amount_minor: int) -> tuple[Instalment, ...]:
    """A schedule without interest, so much shorter: what is due first goes first."""
    found: list[Instalment] = []
    left = amount_minor
    for one in schedule:
        assert one.interest_minor == 0, "interest hangs on the principal"
        taken = min(left, one.principal_minor)
        left -= taken
        if one.principal_minor > taken:
            found.append(Instalment(len(found) + 1, one.due_on, one.principal_minor - taken, 0))
    return tuple(found)


class ExitState(StrEnum):
    """Where somebody's leaving stands."""

    ACTIVE = "active"
    REQUESTED = "exit requested"
    LEFT = "left"
    """The register has them as left, and no exit is booked."""
    SCHEDULED = "payable schedule"
    WAITING = "waits to be fetched"
    PAID = "paid"
    SET_OFF = "set off"
    UNLOCATED = "unlocated"
    FORFEITED = "forfeited"


def state_of(
    *, requested: bool, left: bool, booked: bool, to_pay_minor: int, owed_minor: int, payable_minor: int,
    forfeited_minor: int, reached: bool,
) -> ExitState:  # fmt: skip
    """The state of one member: what is still to come decides before what is over.

    left: in the register; booked: an exit or an estate; to_pay_minor: what those made theirs, at once or in parts.
    """
    if not booked:
        return ExitState.LEFT if left else ExitState.REQUESTED if requested else ExitState.ACTIVE
    if (owed_minor or payable_minor) and not reached:
        return ExitState.UNLOCATED
    if owed_minor:
        return ExitState.SCHEDULED
    if payable_minor:
        return ExitState.WAITING
    if forfeited_minor:
        return ExitState.FORFEITED
    return ExitState.PAID if to_pay_minor else ExitState.SET_OFF


def _cycle(years: int) -> int:
    if not 1 <= years <= CYCLE_YEARS_MAX:
        raise Refusal(f"cycle: {years} is not from 1 to {CYCLE_YEARS_MAX} years")
    return years


def _year_end(year: int, first_month: int) -> date:
    """The last day of a fiscal year, which is named by the year it begins in."""
    last = FiscalYear(year, first_month).last
    return month_end(last.year, last.number)


def _dues(agreed: Terms, *, left_on: date, first_month: int) -> list[date]:
    if agreed.interest is InterestOn.OUTSTANDING:
        return [date_to_date(left_on, 12 * year) for year in range(1, agreed.years + 1)]
    # From the year that ended last before they left: it can be named by the year before.
    ends = (_year_end(left_on.year + add, first_month) for add in range(-1, agreed.years + 1))
    latest = date_to_date(left_on, 12 * agreed.years)
    return [end for end in ends if left_on < end <= latest]


def _with_interest(
    parts: Mapping[date, int], agreed: Terms, begun: Mapping[date, int], *, left_on: date
) -> Iterable[Instalment]:
    left, before, whole = sum(parts.values()), left_on, sum(begun.values())
    for place, (due, principal) in enumerate(parts.items(), 1):
        years = sum(
            (_years(agreed, max(before, day), due) * weight for day, weight in begun.items()), Fraction(0)
        )
        exact = left * agreed.rate * years * Fraction(1, whole)
        yield Instalment(place, due, principal, divide_half_up(exact.numerator, exact.denominator))
        left, before = left - principal, due


def _years(agreed: Terms, start: date, end: date) -> Fraction:
    """A whole year counts as one; a part of one by its days; none before it begins."""
    if end <= start:
        return Fraction(0)
    # Between the anniversaries of a 29 February: from the 28th to the 29th is a year as well.
    if agreed.interest is InterestOn.YEAR_END or end in (date_to_date(start, 12), months_after(start, 12)):
        return Fraction(1)
    return Fraction((end - start).days, DAYS_A_YEAR)
