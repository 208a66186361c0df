"""Steps 10 to 12 of a closing: cash and retained, small amounts, set-off and withholding. Each on its own line."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import compress
from operator import sub
from typing import NamedTuple

from billing.money import ceil_share, ceil_shares, divide_half_up, exponent, quotient_text
from billing.rules.ruleset import CashBase
from billing.year.columns import People, summed
from billing.year.course import Course
from billing.year.inputs import CUSTOMER, ONE, ZERO, Person, Small
from billing.year.outcome import Allocations, Settlements
from billing.year.sharing import Shared
from billing.year.split import Split


def cash_share(course: Course) -> Fraction:
    """The part of an allocation that is paid."""
    given = course.inputs.form.cash_share
    return course.rules.cash.number.share if given is None else given


class Terms(NamedTuple):
    """What holds for every member, worked out once."""

    share: Fraction
    nonqualified: Fraction
    kinds: bool
    """Whether what is retained is qualified or not."""
    least: Fraction
    """Part of what is qualified that must come in money; 0 where there is no such rule."""
    minimum_minor: int
    small_is_given: bool
    withholding: Fraction
    above_minor: int
    """What is withheld is taken of what is above."""


def _terms(course: Course) -> Terms:
    form, rule, held = course.inputs.form, course.rules.cash, course.rules.withholding
    money = course.rules.consent_kinds and not rule.setoff_is_cash
    return Terms(
        share=cash_share(course),
        nonqualified=form.nonqualified_share,
        kinds=course.rules.consent_kinds,
        least=(rule.number.least or ZERO) if money else ZERO,
        minimum_minor=form.minimum_minor,
        small_is_given=form.small is Small.GIVEN,
        withholding=ZERO if held is None else held.number.share,
        above_minor=0 if held is None else ceil_share(10 ** exponent(course.inputs.currency), held.above),
    )


def allocations(course: Course, shared: Shared) -> tuple[Allocations, Settlements]:
    """Each member's shares in cash and retained, and what becomes of the cash, in the order of the roll."""
    people, terms = course.roll.people, _terms(course)
    places, rows = _shares(course, shared)
    totals = summed(places, rows.amounts, of=len(people))
    if not any(amount < 0 for amount in shared.pools.values()):
        rows = _in_form(terms, places, rows, people)

    def by_member(amounts: Sequence[int]) -> list[int]:
        return summed(places, amounts, of=len(people))

    def nothing() -> list[int]:
        return [0] * len(people)

    settled = Settlements(
        people.ids, totals, by_member(rows.cash), by_member(rows.retained), nothing(), nothing(), nothing(), nothing(),
        nothing(), by_member(rows.cash), by_member(rows.qualified), by_member(rows.nonqualified),
    )  # fmt: skip
    for place in _special(terms, totals, people):
        _settle(terms, people[place], place, (places, rows), settled)
    return rows, settled


def _shares(course: Course, shared: Shared) -> tuple[Sequence[int], Allocations]:
    """Whose each share is, and the shares, all of them retained."""
    roll = course.roll
    weights: list[Fraction | int] = [ZERO] * len(roll.uses)
    amounts = [0] * len(roll.uses)
    for name, measures in shared.measures.items():
        got = shared.amounts.get(name) or [0] * len(measures.rows)
        for row, weight, amount in zip(measures.rows, measures.weights, got, strict=True):
            weights[row], amounts[row] = weight, amount
    is_member = [name != CUSTOMER for name in roll.uses.classes]
    own = list(compress(amounts, is_member))
    cash, qualified, nonqualified = ([0] * len(own) for _ in range(3))
    rows = Allocations(
        list(compress(roll.uses.ids, is_member)), list(compress(roll.uses.classes, is_member)),
        list(compress(weights, is_member)), own, cash, own, qualified, nonqualified,
    )  # fmt: skip
    return list(compress(roll.places, is_member)), rows


def _in_form(terms: Terms, places: Sequence[int], rows: Allocations, people: People) -> Allocations:
    """What most shares come to: nothing happens to the cash but that it is paid."""
    cash = ceil_shares(rows.amounts, terms.share)
    retained = list(map(sub, rows.amounts, cash))
    if not terms.kinds:
        return replace(rows, cash=cash, retained=retained)
    consents = [people.consents[place] for place in places]
    qualified = [
        _qualified(terms, amount, paid) if consent else 0
        for amount, paid, consent in zip(rows.amounts, cash, consents, strict=True)
    ]
    nonqualified = list(map(sub, retained, qualified))
    return replace(rows, cash=cash, retained=retained, qualified=qualified, nonqualified=nonqualified)


def _special(terms: Terms, totals: Sequence[int], people: People) -> list[int]:
    """Places of those whose cash is not simply paid: too little, owed, to be withheld of, or with a loss to meet."""
    columns = zip(totals, people.owed, people.losses, people.withholds, strict=True)
    return [
        place
        for place, (total, owed, loss, withhold) in enumerate(columns)
        if total > 0 and (total < terms.minimum_minor or owed or loss or withhold)
    ]


def _settle(
    terms: Terms, person: Person, place: int, shares: tuple[Sequence[int], Allocations], settled: Settlements
) -> None:
    """Work one such member out, and put it into the columns."""
    places, rows = shares
    own = range(bisect_left(places, place), bisect_right(places, place))
    amounts = [rows.amounts[row] for row in own]
    total = sum(amounts)
    small = total < terms.minimum_minor
    given = small and terms.small_is_given
    loss_met = 0 if given else min(person.loss_minor, total)
    paid = _in_cash(amounts, ONE if given else terms.share, total - loss_met)
    cash = sum(paid)
    withheld = set_off = 0
    if not given:
        withheld = min(_withheld(terms, total), cash) if person.withhold else 0
        least = sum(map(partial(_least_money, terms), amounts, paid)) if person.consent else 0
        set_off = min(person.owed_minor, max(cash - withheld - least, 0))
    rest = cash - withheld - set_off
    held = rest if small and not given else 0
    for row, amount, one in zip(own, amounts, paid, strict=True):
        qualified = _qualified(terms, amount, one) if person.consent and not held else 0
        rows.cash[row], rows.retained[row], rows.qualified[row] = one, amount - one, qualified
        rows.nonqualified[row] = amount - one - qualified if terms.kinds else 0
    outcome = (
        total, cash, total - cash, loss_met, withheld, set_off, rest if given else 0, held, 0 if given or held else rest,
    )  # fmt: skip
    for column, amount in zip(settled.lines(), outcome, strict=True):
        column[place] = amount
    settled.qualified[place] = sum(rows.qualified[row] for row in own)
    settled.nonqualified[place] = sum(rows.nonqualified[row] for row in own)


def say_settled(course: Course, settled: Settlements, cash: int) -> None:
    """Steps 11 and 12 in total, where not all cash is simply paid."""
    paid = sum(settled.paid)
    if paid == cash:
        return
    lines = (
        ("withheld", "withheld for taxes", sum(settled.withheld)),
        ("set_off", "set off against what members owe", sum(settled.set_off)),
        ("given", "small amounts, to the community purpose", sum(settled.given)),
        ("held", "small amounts, held until there is more", sum(settled.held)),
        ("paid", "paid out", paid),
    )
    for key, name, amount in lines:
        course.note(key, name, "the sum over all members, out of what is in cash", amount)


def _in_cash(amounts: Sequence[int], share: Fraction, most: int) -> list[int]:
    """Cash of each row, rounded up; together at most so much."""
    paid = []
    for amount in amounts:
        cash = min(ceil_share(amount, share), most)
        most -= cash
        paid.append(cash)
    return paid


def _nonqualified(terms: Terms, amount: int, cash: int) -> int:
    return min(ceil_share(amount, terms.nonqualified), amount - cash)


def _least_money(terms: Terms, amount: int, cash: int) -> int:
    """Money that must reach the member so that the rest may be qualified; 0 where there is no such rule."""
    return ceil_share(amount - _nonqualified(terms, amount, cash), terms.least) if terms.least else 0


def _qualified(terms: Terms, amount: int, cash: int) -> int:
    """What is qualified of what is retained: 26 USC 1388(c), consent given and enough of the rest in money."""
    if not terms.kinds or cash < _least_money(terms, amount, cash):
        return 0
    return amount - cash - _nonqualified(terms, amount, cash)


def _withheld(terms: Terms, total: int) -> int:
    above = max(total - terms.above_minor, 0)
    return divide_half_up(above * terms.withholding.numerator, terms.withholding.denominator)


def say_cash(course: Course, whole: Split, cash: int, pool: int) -> None:
    """Step 10 on both bases: a co-op that pays all it allocates may have allocated little."""
    if pool > 0:
        of_pool = quotient_text(100 * cash, pool, decimals=2)
        of_result = quotient_text(100 * cash, whole.members_minor, decimals=2)
        formula = f"{of_pool} % of what members share, {of_result} % of the members' result"
        course.note("cash", "of that in cash", formula, cash)


def least_cash(course: Course) -> Fraction:
    """The least part in cash that the rule set allows with what is nonqualified left out of its base."""
    least = course.rules.cash.number.least or ZERO
    if course.rules.cash.base is CashBase.QUALIFIED:
        return least * (ONE - course.inputs.form.nonqualified_share)
    return least
