"""Steps 4 to 7 of a closing with a surplus: what comes before the members' pool, each limited to what is left."""

from __future__ import annotations

from fractions import Fraction

from billing.money import (
    apportion_exact,
    ceil_share,
    percent_text,
    plain_number,
    whole_below,
)
from billing.rules.ruleset import Origin, Position
from billing.year.course import CARRIED, COLLECTIVE, COMPULSORY, INTEREST, Course
from billing.year.inputs import ZERO, ShareLot
from billing.year.split import Split, take_levy
from meter.refusal import Refusal


def meet_prior_losses(course: Course, members: int) -> int:
    """Step 4; what is left of the members' result."""
    met = min(members, course.inputs.prior_deficit_minor)
    course.give(CARRIED, met)
    course.take(
        "prior_losses", "earlier losses met", "the deficit brought forward, at most the members' result", met
    )
    return course.note(
        "surplus", "surplus after earlier losses", "members' result - earlier losses met", members - met
    )


def take_compulsory(course: Course, left: int) -> int:
    """Step 5, the levies; what is left."""
    surplus = left
    for levy in (one for one in course.rules.levies if one.origin is Origin.MEMBERS):
        room = _room(course) if levy.until_highest_capital else None
        left -= take_levy(course, levy, surplus=surplus, left=left, room=room)
    return left


def _room(course: Course) -> int | None:
    reserves = course.inputs.reserves
    if reserves.highest_capital_minor is None:
        return None
    filled = reserves.compulsory_minor + course.accounts.get(COMPULSORY, 0)
    return max(reserves.highest_capital_minor - filled, 0)


def top_up(course: Course, left: int, whole: Split, collective: int) -> int:
    """Step 5, a target for the collective account: d = max(0, ceil(share x result) - what it got); what is left."""
    if course.rules.target is None:
        return left
    share = course.rules.target.share
    target = course.note("collective_target", "least for the collective account", f"{percent_text(share)} of the whole result, rounded up", ceil_share(whole.result_minor, share))  # fmt: skip
    added = min(max(target - collective, 0), left)
    course.give(COLLECTIVE, added)
    course.take("top_up", "added to the collective account", "the least for the collective account - what it got by source, 0 or more", added)  # fmt: skip
    return course.note("left", "left for the members", "surplus - what was taken before", left - added)


def pay_interest(course: Course, left: int, position: Position) -> int:
    """Step 6, limited interest on share capital, if its turn is now; what is left."""
    if course.rules.interest.position is not position:
        return left
    given = course.inputs.interest
    asked, exact = interest_asked(course)
    most = max(left, 0)
    formula = "as decided" if not given.lots else "for each lot: par x rate x days held / days of the year"
    if course.rules.interest.without_public_aid and given.public_aid_minor:
        most = max(most - given.public_aid_minor, 0)
        formula += ", at most what is left without public aid"
    else:
        formula += ", at most what is left"
    amount = min(asked, most)
    course.give(INTEREST, amount)
    if exact and amount:
        course.interest = apportion_exact(amount, exact)
    course.take("share_interest", "interest on share capital", formula, amount)
    return left - amount


def interest_asked(course: Course) -> tuple[int, dict[str, Fraction]]:
    """The amount before it is limited to what there is, rounded down, and each member's exact part of it."""
    given = course.inputs.interest
    if not given.lots:
        return given.amount_minor, {}
    cap = interest_cap(course)
    exact: dict[str, Fraction] = {}
    for lot in given.lots:
        rate = lot.rate if cap is None else min(lot.rate, cap)
        part = _part_of_year(lot, given.days_in_year) * lot.par_minor * rate
        exact[lot.id] = exact.get(lot.id, ZERO) + part
    return whole_below(sum(exact.values(), ZERO)), exact


def _part_of_year(lot: ShareLot, days_in_year: int) -> Fraction:
    return Fraction(lot.days, days_in_year)


def interest_cap(course: Course) -> Fraction | None:
    """The highest rate the rule set allows; None where it names none. Raises Refusal for a published rate it lacks."""
    rules, published = course.rules.interest, course.inputs.interest.reference_rate
    fixed = None if rules.cap is None else rules.cap.share
    if rules.over_reference is None:
        return fixed
    if published is None:
        if fixed is None:
            raise Refusal(
                f"reference_rate: is missing; {course.rules.id} allows interest up to"
                f" {percent_text(rules.over_reference.share)} above {rules.reference} ({rules.over_reference.source})"
            )
        return fixed
    above = published + rules.over_reference.share
    return above if fixed is None else max(above, fixed)


def put_aside(course: Course, left: int) -> int:
    """Step 7, what was resolved; what is left is the pool. Raises Refusal for more than there is."""
    for account, amount in course.inputs.resolved:
        name = account.partition(":")[2] if account.startswith("fund:") else "voluntary reserve"
        if amount > left:
            field = "voluntary_reserve" if account == "reserve:voluntary" else name
            raise Refusal(
                f"{field}: {plain_number(amount, course.inputs.currency)} is more than the"
                f" {plain_number(left, course.inputs.currency)} that is left for it"
            )
        course.give(account, amount)
        course.take(
            f"resolved_{account.replace(':', '_')}", f"to the {name}, as resolved", "as resolved", amount
        )
        left -= amount
    return left
