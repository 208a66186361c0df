"""The loss branch of a closing: reserves first, then members and the rest; nobody is billed for any of it."""

from __future__ import annotations

from billing.money import floor_share, percent_text
from billing.rules.ruleset import Bearer
from billing.year.course import CARRIED, COLLECTIVE, COMPULSORY, VOLUNTARY, Course
from billing.year.sharing import Shared, share_out
from meter.refusal import Refusal


def bear_loss(course: Course, members: int) -> Shared:
    """Say who bears a members' result below zero. Raises Refusal for what only a surplus allows."""
    loss = course.note("loss", "loss to be borne", "members' result, below zero", -members)
    for account, amount in course.inputs.resolved:
        if amount:
            name = "voluntary_reserve" if account == VOLUNTARY else account.partition(":")[2]
            raise Refusal(f"{name}: the members' result is a loss, and only a surplus can be put aside")
    left = loss - _from_reserves(course, loss)
    borne = course.note("loss_of_members", "members' part of the loss", _members_formula(course), _members_part(course, left))  # fmt: skip
    shared = share_out(course, -borne, surplus=0)
    _rest(course, left - borne - shared.unshared_minor)
    course.note("share_interest", "interest on share capital", "none is paid from a loss", 0)
    return shared


def _from_reserves(course: Course, loss: int) -> int:
    reserves = course.inputs.reserves
    voluntary = min(loss, reserves.voluntary_minor)
    course.give(VOLUNTARY, -voluntary)
    course.note(
        "loss_from_voluntary_reserve", "met from the voluntary reserve", "as far as it goes", voluntary
    )
    share = course.rules.loss.compulsory_reserve.share if reserves.average is None else reserves.average
    most = floor_share(loss, share)
    compulsory = min(loss - voluntary, most, reserves.compulsory_minor)
    course.give(COMPULSORY, -compulsory)
    formula = f"at most {percent_text(share)} of the loss, and what the reserve holds"
    course.note("loss_from_compulsory_reserve", "met from the compulsory reserve", formula, compulsory)
    course.took += [-voluntary, -compulsory]
    return voluntary + compulsory


def _first_years(course: Course) -> bool:
    years, number = course.rules.loss.first_years, course.inputs.fiscal_year_number
    if years and number is None:
        raise Refusal(
            f"fiscal_year_number: is missing; {course.rules.id} treats a loss of the first {years} fiscal years otherwise"
        )
    return number is not None and number <= years


def _members_part(course: Course, left: int) -> int:
    return 0 if _first_years(course) else floor_share(left, course.rules.loss.members.share)


def _members_formula(course: Course) -> str:
    if _first_years(course):
        return f"none in the first {course.rules.loss.first_years} fiscal years"
    return f"{percent_text(course.rules.loss.members.share)} of what the reserves did not meet, rounded down"


def _rest(course: Course, rest: int) -> None:
    formula = "what neither reserves nor members bear"
    if course.rules.loss.rest is Bearer.COLLECTIVE:
        course.give(COLLECTIVE, -rest)
        course.note("loss_collective", "borne by the collective account", formula, rest)
    else:
        course.give(CARRIED, -rest)
        course.took.append(-rest)
        course.note("loss_carried", "carried, to be met from coming surpluses", formula, rest)
