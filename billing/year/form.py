"""Steps 10 to 12 of a closing: cash and retained, small amounts, set-off and withholding. Each on its own line."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from billing.money import ceil_share, divide_half_up, exponent, quotient_text
from billing.ruleset import CashBase, WithholdingRule
from billing.year.course import Course
from billing.year.inputs import ONE, ZERO, Person, Small
from billing.year.outcome import Settlement, YearAllocation
from billing.year.sharing import Place, Shared
from billing.year.split import Split


def cash_share(course: Course) -> Fraction:
    """The part of an allocation that is paid."""
    given = course.inputs.form.cash_share
    return course.rules.cash.number.share if given is None else given


def allocations(course: Course, shared: Shared) -> tuple[tuple[YearAllocation, ...], tuple[Settlement, ...]]:
    """Each member's shares in cash and retained, and what becomes of the cash, by member number and id."""
    people = {person.id: person for person in course.inputs.people}
    rows: dict[Place, list[YearAllocation]] = {}
    for member_class, measures in sorted(shared.measures.items()):
        amounts = shared.amounts.get(member_class, {})
        for place, weight in measures.items():
            amount = amounts.get(place, 0)
            row = YearAllocation(place[1], member_class, weight, amount, 0, amount, 0, 0)
            rows.setdefault(place, []).append(row)
    found: list[YearAllocation] = []
    settled: list[Settlement] = []
    share = cash_share(course)
    plain = not course.inputs.form.minimum_minor and not course.rules.consent_kinds
    for place in sorted(rows):
        own, person = rows[place], people.get(place[1])
        if plain and (person is None or not (person.owed_minor or person.loss_minor or person.withhold)):
            paid, settlement = _pay(own, share)
        else:
            paid, settlement = _settle(course, person or Person(place[1]), own, share)
        found += paid
        if settlement.amount_minor:
            settled.append(settlement)
    return tuple(found), tuple(settled)


def say_cash(course: Course, whole: Split, cash: int, pool: int) -> None:
    """Step 10 on both bases: a co-op that pays all it allocates may have allocated little."""
    if pool > 0:
        of_pool = quotient_text(100 * cash, pool, decimals=2)
        of_result = quotient_text(100 * cash, whole.members_minor, decimals=2)
        formula = f"{of_pool} % of what members share, {of_result} % of the members' result"
        course.note("cash", "of that in cash", formula, cash)


def _pay(own: list[YearAllocation], share: Fraction) -> tuple[list[YearAllocation], Settlement]:
    """The common case, in which nothing happens to the cash but that it is paid."""
    total = sum(row.amount_minor for row in own)
    if total <= 0:
        return own, Settlement(own[0].id, total, 0, total, 0, 0, 0, 0, 0, 0)
    paid = list(_in_cash(own, share, total))
    cash = sum(row.cash_minor for row in paid)
    return paid, Settlement(own[0].id, total, cash, total - cash, 0, 0, 0, 0, 0, cash)


def _settle(
    course: Course, person: Person, own: list[YearAllocation], share: Fraction
) -> tuple[list[YearAllocation], Settlement]:
    total = sum(row.amount_minor for row in own)
    if total <= 0:
        return own, Settlement(person.id, total, 0, total, 0, 0, 0, 0, 0, 0)
    form = course.inputs.form
    small = total < form.minimum_minor
    given = small and form.small is Small.GIVEN
    loss_met = 0 if given else min(person.loss_minor, total)
    paid = list(_in_cash(own, ONE if given else share, total - loss_met))
    cash = sum(row.cash_minor for row in paid)
    withheld = 0 if given else min(_withheld(course, person, total), cash)
    least = sum(_least_money(course, row) for row in paid) if person.consent else 0
    set_off = 0 if given else min(person.owed_minor, max(cash - withheld - least, 0))
    rest = cash - withheld - set_off
    held = rest if small and not given else 0
    kinds = [_kinds(course, person, row, money=not held) for row in paid]
    return kinds, Settlement(
        person.id, total, cash, total - cash, loss_met, withheld, set_off,
        given_minor=rest if given else 0, held_minor=held, paid_minor=0 if given or held else rest,
    )  # fmt: skip


def _in_cash(own: list[YearAllocation], share: Fraction, most: int) -> Iterator[YearAllocation]:
    """Cash of each row, rounded up; together at most so much."""
    for row in own:
        cash = min(ceil_share(row.amount_minor, share), most)
        most -= cash
        amount = row.amount_minor
        yield YearAllocation(row.id, row.member_class, row.weight, amount, cash, amount - cash, 0, 0)


def _nonqualified(course: Course, row: YearAllocation) -> int:
    return min(ceil_share(row.amount_minor, course.inputs.form.nonqualified_share), row.retained_minor)


def _least_money(course: Course, row: YearAllocation) -> int:
    """Money that must reach the member so that the rest may be qualified; 0 where there is no such rule."""
    rule = course.rules.cash
    if not course.rules.consent_kinds or rule.setoff_is_cash or rule.number.least is None:
        return 0
    return ceil_share(row.amount_minor - _nonqualified(course, row), rule.number.least)


def _kinds(course: Course, person: Person, row: YearAllocation, *, money: bool) -> YearAllocation:
    """Which of what is retained is qualified: 26 USC 1388(c), consent and enough of the rest in money."""
    if not course.rules.consent_kinds:
        return row
    nonqualified = _nonqualified(course, row)
    if not (person.consent and money and row.cash_minor >= _least_money(course, row)):
        nonqualified = row.retained_minor
    return row._replace(nonqualified_minor=nonqualified, qualified_minor=row.retained_minor - nonqualified)


def _withheld(course: Course, person: Person, total: int) -> int:
    rule = course.rules.withholding
    if rule is None or not person.withhold:
        return 0
    above = max(total - _threshold(course, rule), 0)
    return divide_half_up(above * rule.number.share.numerator, rule.number.share.denominator)


def _threshold(course: Course, rule: WithholdingRule) -> int:
    return ceil_share(10 ** exponent(course.inputs.currency), rule.above)


def least_cash(course: Course) -> Fraction:
    """The least part in cash that the rule set allows with what is nonqualified left out of its base."""
    least = course.rules.cash.number.least or ZERO
    if course.rules.cash.base is CashBase.QUALIFIED:
        return least * (ONE - course.inputs.form.nonqualified_share)
    return least
