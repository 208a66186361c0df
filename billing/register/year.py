"""What the closing of a year needs of the register: classes by month, and for how many days which capital was held.

Pure. A day counts for what was held when it ended. So a share held the whole year counts all days of the year, and
one that changes hands counts each day for one of the two, the first and the last included. Days are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from billing.register.operations import (
    INTEREST_UNIT,
    Effect,
    Operation,
    OperationKind,
    ShareKind,
    effects,
    in_force,
)
from billing.year.inputs import ShareInterest
from billing.year.inputs import ShareLot as ClosingLot
from meter.ids import MemberId
from meter.usage import MemberClass
from meter.window import Month, day_number

MONTHS = 12
DAYS_IN_YEAR = 365
"""Where there is no lot to count days by."""


@dataclass(frozen=True, slots=True)
class ClassSpan:
    """The same classes from the first month to the last, both included."""

    classes: tuple[MemberClass, ...]
    first: Month
    last: Month


@dataclass(frozen=True, slots=True)
class YearMember:
    """Somebody who stood in the register at some time of the year."""

    member: MemberId
    spans: tuple[ClassSpan, ...]
    """In order, and only of months in which they were there."""
    joined_us: int
    left_us: int | None

    def classes_in(self, month: Month) -> tuple[MemberClass, ...]:
        """Their classes in a month of the year; none if they were not there."""
        return next((one.classes for one in self.spans if one.first <= month <= one.last), ())


@dataclass(frozen=True, slots=True)
class ShareLot:
    """Capital of one member and kind that did not change for so many days of the year."""

    member: MemberId
    share_kind: str
    paid_minor: int
    days_held: int
    days_in_year: int
    interest_max_millionths: int | None


def months_of(start: Month) -> tuple[Month, ...]:
    """The twelve months of the fiscal year that begins so."""
    found = [start]
    while len(found) < MONTHS:
        found.append(found[-1].next())
    return tuple(found)


def members_of_year(operations: Iterable[Operation], start: Month) -> list[YearMember]:
    """Who was there in the fiscal year, by number, also those who left in it.

    A change of class counts from the first instant of a month, so every month of a member has one set of classes.
    """
    year = months_of(start)
    found = []
    for member, steps in sorted(in_force(operations).items()):
        spans = _spans(steps, year[0], year[-1])
        if spans:
            left = steps[-1].effective_us if steps[-1].kind is OperationKind.LEAVE else None
            found.append(YearMember(member, spans, steps[0].effective_us, left))
    return found


def _spans(steps: Sequence[Operation], first: Month, last: Month) -> tuple[ClassSpan, ...]:
    """What these steps come to between two months; somebody who came within a month has their classes in all of it."""
    found: list[ClassSpan] = []
    for step, following in zip(steps, (*steps[1:], None), strict=True):
        if step.kind is OperationKind.LEAVE:
            break
        begins = max(Month.of(step.effective_us), first)
        # The last instant before the next step: of a change the month before, of a leaving often the same month.
        ends = last if following is None else min(Month.of(following.effective_us - 1), last)
        if begins > ends:
            continue
        if found and found[-1].classes == step.classes:
            begins = found.pop().first
        found.append(ClassSpan(step.classes, begins, ends))
    return tuple(found)


def share_lots(
    operations: Iterable[Operation], kinds: Mapping[str, ShareKind], start: Month
) -> list[ShareLot]:
    """What was paid on shares, and for how many days of the fiscal year, by member, kind and time.

    Whoever leaves holds capital up to the day before; what is owed to them then is a debt, and no share.
    """
    every = list(operations)
    first_day, end_day = day_number(start.start_us), day_number(months_of(start)[-1].end_us)
    left = {
        member: day_number(steps[-1].effective_us)
        for member, steps in in_force(every).items()
        if steps[-1].kind is OperationKind.LEAVE
    }
    by_holding: dict[tuple[MemberId, str], list[Effect]] = {}
    for one in effects(every):
        by_holding.setdefault((one.member, one.share_kind), []).append(one)
    found = []
    for (member, kind), changes in sorted(by_holding.items()):
        end = min(end_day, left.get(member, end_day))
        for paid_minor, days in _runs(changes, first_day, end):
            cap = kinds[kind].interest_max_millionths
            found.append(ShareLot(member, kind, paid_minor, days, end_day - first_day, cap))
    return found


def _runs(changes: Iterable[Effect], first_day: int, end_day: int) -> Iterator[tuple[int, int]]:
    """(paid, days) of each stretch of days in [first_day, end_day) with the same capital above zero."""
    by_day: dict[int, int] = {}
    for one in changes:
        day = max(day_number(one.effective_us), first_day)
        by_day[day] = by_day.get(day, 0) + one.paid_minor
    paid, since = 0, first_day
    for day, change in sorted(by_day.items()):
        if day >= end_day:
            break
        if change and paid and day > since:
            yield paid, day - since
        if change:
            since = day
        paid += change
    if paid and end_day > since:
        yield paid, end_day - since


def share_interest(lots: Iterable[ShareLot], rates: Mapping[str, Fraction]) -> ShareInterest:
    """The lots as the closing of the year takes them: par × min(rate, cap) × days held ÷ days in the year.

    A kind without a rate earns nothing, and a rate above the cap of its kind counts as the cap.
    """
    found, days_in_year = [], DAYS_IN_YEAR
    for lot in lots:
        days_in_year = lot.days_in_year
        rate, cap = rates.get(lot.share_kind, Fraction(0)), lot.interest_max_millionths
        if cap is not None:
            rate = min(rate, Fraction(cap, INTEREST_UNIT))
        if rate:
            found.append(ClosingLot(str(lot.member), lot.paid_minor, rate, lot.days_held))
    return ShareInterest(lots=tuple(found), days_in_year=days_in_year)
