"""Steps 2 and 3 of a closing: the result, and whose it is: the members', or that of others and of no service."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import compress
from operator import and_

from billing.money import apportion_exact, ceil_share, percent_text
from billing.rules.ruleset import Base, Levy, Origin
from billing.year.course import COLLECTIVE, Course
from billing.year.inputs import CUSTOMER, WORKER, ZERO

_MEMBERS, _OTHERS = 0, 1


@dataclass(frozen=True, slots=True)
class Split:
    """A result by source. Invariant: members + non-members + side income = result."""

    revenue_minor: int
    result_minor: int
    members_minor: int
    non_members_minor: int
    others_minor: int
    """Non-member result and side income: never the members' to share."""


def split(course: Course) -> Split:
    """Work the result out and say whose it is; Germany's § 22 KStG has this key: revenue to revenue."""
    inputs = course.inputs
    uses = course.uses
    theirs = [member and name != CUSTOMER for member, name in zip(uses.members, uses.classes, strict=True)]
    of_members = sum(compress(uses.charges, theirs))
    of_others = inputs.non_member_minor + sum(uses.charges) - of_members
    operating = course.note(
        "operating_result", "result of the service",
        "members' charges + non-members' revenue - costs", of_members + of_others - inputs.costs_minor,
    )  # fmt: skip
    by, weights = _key(course, of_members, of_others)
    shares = apportion_exact(operating, weights)
    course.note(
        "member_result",
        "members' result",
        f"result of the service x members' {by} / all {by}",
        shares[_MEMBERS],
    )
    course.note("non_member_result", "non-members' result", f"result of the service x non-members' {by} / all {by}", shares[_OTHERS])  # fmt: skip
    course.note("side_income", "side income", "interest, grants and gains, which come from no service", inputs.side_income_minor)  # fmt: skip
    result = course.note("result", "whole result", "result of the service + side income", operating + inputs.side_income_minor)  # fmt: skip
    others = shares[_OTHERS] + inputs.side_income_minor
    return Split(of_members + of_others, result, shares[_MEMBERS], shares[_OTHERS], others)


def _key(course: Course, of_members: int, of_others: int) -> tuple[str, dict[int, Fraction]]:
    outside, uses = course.inputs.non_member_hours, course.uses
    if outside is None:
        by, members, others = "revenue", Fraction(of_members), Fraction(of_others)
    else:
        works = [name == WORKER for name in uses.classes]
        members = sum(compress(uses.hours, map(and_, works, uses.members)), ZERO)
        others = outside + sum(compress(uses.hours, works), ZERO) - members
        by = "hours"
    if not members + others:
        members = Fraction(1)  # Nobody outside had a part in it.
    return by, {_MEMBERS: members, _OTHERS: others}


def take_from_others(course: Course, others: int) -> int:
    """Compulsory parts of what was earned with others; what is left, for the collective account."""
    left = others
    if others > 0:
        for levy in (one for one in course.rules.levies if one.origin is Origin.OTHERS):
            left -= take_levy(course, levy, surplus=others, left=left, room=None)
    return left


def keep_collective(course: Course, left: int) -> int:
    """What members never share, to the collective account."""
    course.give(COLLECTIVE, left)
    return course.note(
        "collective", "to the collective account, by source",
        "non-members' result + side income - what the law or interest takes of it", left,
    )  # fmt: skip


def take_levy(course: Course, levy: Levy, *, surplus: int, left: int, room: int | None) -> int:
    """One compulsory part, rounded up, for it is a minimum; at most what is left, and what a full reserve lacks."""
    base, of = (surplus, "surplus") if levy.base is Base.SURPLUS else (left, "rest")
    amount = min(ceil_share(base, levy.number.share), left)
    formula = f"{percent_text(levy.number.share)} of the {of}, rounded up"
    if room is not None:
        amount = min(amount, room)
        formula += ", until the reserve is as high as the highest capital"
    course.give(levy.to, amount)
    return course.take(levy.key, levy.words, formula, amount)
