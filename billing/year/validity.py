"""What must hold between a year's inputs before it can be closed. A sentence names the field and the rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from billing.money import exponent, percent_text, plain_number
from billing.year.course import Course
from billing.year.form import cash_share, least_cash
from billing.year.inputs import CUSTOMER, ONE, SUPPORTER, WORKER, ZERO, YearInputs
from billing.year.sharing import KNOWN, Shared
from meter.refusal import Refusal


def check_inputs(course: Course) -> None:
    """Raises Refusal for the first thing that is wrong."""
    inputs = course.inputs
    exponent(inputs.currency)
    for field, amount in _amounts(inputs):
        if amount < 0:
            raise Refusal(
                f"{field}: {plain_number(amount, inputs.currency)} is negative; it must be 0 or more"
            )
    if all(use.member_class == CUSTOMER for use in inputs.uses):
        raise Refusal("members: there is none; a surplus needs at least one member to belong to")
    _check_uses(course)
    _check_weights(course)
    _check_form(course)
    _check_interest(inputs)


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
    inputs = course.inputs
    times = Counter((use.id, use.member_class) for use in inputs.uses)
    if len(times) < len(inputs.uses):
        identity, member_class = next(key for key, count in times.items() if count > 1)
        raise Refusal(f"members: '{identity}' is there twice as {member_class}; a member has one row a class")
    people = Counter(person.id for person in inputs.people)
    if len(people) < len(inputs.people):
        raise Refusal(f"members: '{next(key for key, count in people.items() if count > 1)}' is there twice")
    allowed = {*KNOWN, CUSTOMER, *inputs.class_weights, *inputs.class_keys}
    for use in inputs.uses:
        if use.member_class not in allowed:
            raise Refusal(
                f"members: '{use.id}' is of class '{use.member_class}', which class_weights does not name"
            )
        if (
            use.charges_minor < 0
            or use.hours.numerator < 0
            or use.factor.numerator < 0
            or use.points.numerator < 0
            or use.minimum.numerator < 0
        ):
            raise Refusal(f"members: '{use.id}' has a negative number; all must be 0 or more")
        if not use.member and not (
            use.member_class == WORKER and course.rules.classes.workers_need_not_be_members
        ):
            raise Refusal(
                f"members: '{use.id}' is no member, and by {course.rules.id} only members share;"
                f" business with others is of class {CUSTOMER}"
            )
    if course.rules.withholding is None:
        for person in inputs.people:
            if person.withhold:
                raise Refusal(
                    f"members: '{person.id}' has withholding, and {course.rules.id} holds no rule for it"
                )
    elif course.rules.withholding.currency != inputs.currency and any(one.withhold for one in inputs.people):
        raise Refusal(
            f"currency: withholding by {course.rules.id} is in {course.rules.withholding.currency}, not {inputs.currency}"
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


def _check_interest(inputs: YearInputs) -> None:
    interest, members = inputs.interest, {use.id for use in inputs.uses if use.member_class != CUSTOMER}
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
