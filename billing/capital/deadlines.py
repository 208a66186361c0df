"""The calendar after a fiscal year's end, from a rule set's data. Pure; it knows no clock and sends nothing."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from billing.rules.afterwards import APPROVAL, Afterwards, DeadlineRule
from meter.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Deadline:
    """The last day for something; None while it counts from a day that is not known yet."""

    name: str
    what: str
    source: str
    due_on: date | None
    after: str


def deadlines(rules: Afterwards, *, year_end: date, approved_on: date | None = None) -> tuple[Deadline, ...]:
    """Every deadline of a rule set after a fiscal year's last day, the earliest first, unknown ones last.

    Raises Refusal when the fiscal year does not end with a month.
    """
    if year_end != month_end(year_end.year, year_end.month):
        raise Refusal(f"fiscal year: it ends on the last day of a month, and {year_end} is none")
    if approved_on is not None and approved_on <= year_end:
        raise Refusal(f"approved: {approved_on} is not after the fiscal year's end, {year_end}")
    known: dict[str, date | None] = {"": year_end, APPROVAL: approved_on}
    found = []
    for rule in rules.deadlines:
        start = known[rule.after]
        due = None if start is None else _counted(rule, start)
        known[rule.name] = due
        found.append(Deadline(rule.name, rule.what, rule.source, due, rule.after))
    return tuple(sorted(found, key=lambda one: (one.due_on is None, one.due_on or year_end, one.name)))


def deadlines_by_name(found: tuple[Deadline, ...]) -> Mapping[str, date | None]:
    """Their last days."""
    return {one.name: one.due_on for one in found}


def month_end(year: int, month: int) -> date:
    """The last day of a month."""
    return date(year, month, monthrange(year, month)[1])


def months_after(day: date, months: int, *, on: int = 0) -> date:
    """The same day so many months later, or the day `on` of that month; a day that month lacks is its last.

    The last day of a month stays the last, as where months are counted from the end of a year: 28 February and six
    months are 31 August.
    """
    last = month_end(*_later(day, months))
    if on:
        return last.replace(day=min(on, last.day))
    return last if day == month_end(day.year, day.month) else last.replace(day=min(day.day, last.day))


def date_to_date(day: date, months: int) -> date:
    """The same day so many months later; a day that month lacks is its last: 28 February and six months are 28 August.

    So months and years are counted from something that happened (Spain: Código Civil art. 5.1; Germany: BGB § 188(2)).
    """
    last = month_end(*_later(day, months))
    return last.replace(day=min(day.day, last.day))


def _later(day: date, months: int) -> tuple[int, int]:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return year, month + 1


def _counted(rule: DeadlineRule, start: date) -> date:
    if rule.days:
        return start + timedelta(days=rule.days)
    if rule.after and not rule.day:
        return date_to_date(start, rule.months)
    return months_after(start, rule.months, on=rule.day)
