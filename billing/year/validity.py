"""What must hold between a year's inputs before it can be closed. A sentence names the field and the rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import compress
from typing import TypeVar

from billing.money import exponent, percent_text, plain_number
from billing.year.course import Course
from billing.year.form import cash_share, least_cash
from billing.year.inputs import CUSTOMER, ONE, SUPPORTER, WORKER, ZERO, YearInputs
from billing.year.sharing import KNOWN, Shared
from meter.refusal import Refusal

Key = TypeVar("Key", bound=Hashable)
NOTHING = [ZERO, ONE, ZERO, ZERO]
"""Hours, factor, points and minimum of who only has charges."""


def check_inputs(course: Course) -> None:
    """Raises Refusal for the first thing that is wrong."""
    inputs = course.inputs
    exponent(inputs.currency)
    for field, amount in _amounts(inputs):
        if amount < 0:
            raise Refusal(
                f"{field}: {plain_number(amount, inputs.currency)} is negative; it must be 0 or more"
            )
    if set(course.uses.classes) <= {CUSTOMER}:
        raise Refusal("members: there is none; a surplus needs at least one member to belong to")
    _check_uses(course)
    _check_weights(course)
    _check_form(course)
    _check_interest(course)


def _amounts(inputs: YearInputs) -> Iterator[tuple[str, int]]:
    yield "costs", inputs.costs_minor
    yield "side_income", inputs.side_income_minor
    yield "non_member_revenue", inputs.non_member_minor
    yield "prior_deficit", inputs.prior_deficit_minor
    yield "share_interest", inputs.interest.amount_minor
    yield "public_aid", inputs.interest.public_aid_minor
    yield "minimum_amount", inputs.form.minimum_minor
    yield "reserves.compulsory", inputs.reserves.compulsory_minor
    yield "reserves.voluntary", inputs.reserves.voluntary_minor
    yield "reserves.highest_capital", inputs.reserves.highest_capital_minor or 0
    for account, amount in inputs.resolved:
        yield "voluntary_reserve" if account.startswith("reserve:") else account.partition(":")[2], amount


def _check_uses(course: Course) -> None:
    inputs, uses = course.inputs, course.uses
    twice = _twice(list(zip(uses.ids, uses.classes, strict=True)))
    if twice is not None:
        raise Refusal(f"members: '{twice[0]}' is there twice as {twice[1]}; a member has one row a class")
    named = _twice(course.people.ids)
    if named is not None:
        raise Refusal(f"members: '{named}' is there twice")
    allowed = {*KNOWN, CUSTOMER, *inputs.class_weights, *inputs.class_keys}
    for identity, name, charges, *measures, is_member in zip(*uses.every(), strict=True):
        if name not in allowed:
            raise Refusal(f"members: '{identity}' is of class '{name}', which class_weights does not name")
        if charges < 0 or (measures != NOTHING and min(measures) < 0):
            raise Refusal(f"members: '{identity}' has a negative number; all must be 0 or more")
        if not is_member and not (name == WORKER and course.rules.classes.workers_need_not_be_members):
            raise Refusal(
                f"members: '{identity}' is no member, and by {course.rules.id} only members share;"
                f" business with others is of class {CUSTOMER}"
            )
    _check_withholding(course)


def _twice(keys: Sequence[Key]) -> Key | None:
    """The first that is there more than once."""
    if len(set(keys)) == len(keys):
        return None
    return next(key for key, count in Counter(keys).items() if count > 1)


def _check_withholding(course: Course) -> None:
    inputs, held = course.inputs, course.rules.withholding
    first = next(compress(course.people.ids, course.people.withholds), None)
    if first is None:
        return
    if held is None:
        raise Refusal(f"members: '{first}' has withholding, and {course.rules.id} holds no rule for it")
    if held.currency != inputs.currency:
        raise Refusal(
            f"currency: withholding by {course.rules.id} is in {held.currency}, not {inputs.currency}"
        )


def _check_weights(course: Course) -> None:
    weights = course.inputs.class_weights
    for name, weight in weights.items():
        if name == CUSTOMER:
            raise Refusal(f"class_weights: {CUSTOMER} is who is no member, and only members share")
        if weight < 0:
            raise Refusal(f"class_weights.{name}: is negative; it must be 0 or more")
    whole = sum(weights.values(), ZERO)
    if not whole:
        raise Refusal("class_weights: all are zero; at least one class must have a part of the pool")
    investors = course.rules.classes.investors
    supporters = weights.get(SUPPORTER, ZERO)
    if investors is not None and supporters > whole * investors.share:
        raise Refusal(
            f"class_weights.{SUPPORTER}: more than {percent_text(investors.share)} of all weights ({investors.source})"
        )


def _check_form(course: Course) -> None:
    form, rule = course.inputs.form, course.rules.cash
    share = cash_share(course)
    if share > ONE:
        raise Refusal(f"cash_share: {percent_text(share)} is more than the whole, 100 %")
    if not ZERO <= form.nonqualified_share <= ONE:
        raise Refusal("nonqualified_share: is more than the whole, 100 %")
    if form.nonqualified_share and not course.rules.consent_kinds:
        raise Refusal(f"nonqualified_share: {course.rules.id} knows no qualified and nonqualified parts")
    if share + form.nonqualified_share > ONE:
        raise Refusal("nonqualified_share: with cash_share it is more than the whole, 100 %")
    least = least_cash(course)
    if share < least:
        raise Refusal(
            f"cash_share: {percent_text(share)} is less than {percent_text(least)}, the least that"
            f" {course.rules.id} allows ({rule.number.source})"
        )


def _check_interest(course: Course) -> None:
    interest, uses = course.inputs.interest, course.uses
    members = (
        {one for one, name in zip(uses.ids, uses.classes, strict=True) if name != CUSTOMER}
        if interest.lots
        else set()
    )
    if interest.lots and interest.amount_minor:
        raise Refusal("share_interest: share_lots are there too; give the amount or the lots it follows from")
    if interest.days_in_year not in (365, 366):
        raise Refusal(f"days_in_year: {interest.days_in_year} is not 365 or 366")
    for lot in interest.lots:
        if lot.id not in members:
            raise Refusal(f"share_lots: '{lot.id}' is no member here")
        if not 0 <= lot.days <= interest.days_in_year:
            raise Refusal(f"share_lots: {lot.days} days of '{lot.id}' are not 0 to {interest.days_in_year}")
        if lot.par_minor < 0 or lot.rate < 0:
            raise Refusal(f"share_lots: '{lot.id}' has a negative number; all must be 0 or more")


def check_shared(course: Course, shared: Shared) -> None:
    """Interest is at most the workers' part where the rule set says so. Raises Refusal."""
    interest = sum(step.amount_minor for step in course.steps if step.key == "share_interest")
    part = shared.pools.get(WORKER, 0)
    if course.rules.interest.within_worker_part and interest > part:
        currency = course.inputs.currency
        raise Refusal(
            f"share_interest: {plain_number(interest, currency)} is more than the workers' part,"
            f" {plain_number(part, currency)} ({course.rules.interest.source})"
        )
