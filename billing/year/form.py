"""Steps 10 to 12 of a closing: cash and retained, small amounts, set-off and withholding. Each on its own line."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from billing.money import ceil_share, divide_half_up, exponent, quotient_text
from billing.rules.ruleset import CashBase
from billing.year.course import Course
from billing.year.inputs import ONE, ZERO, Person, Small
from billing.year.outcome import Settlement, YearAllocation
from billing.year.sharing import Place, Shared
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


def allocations(course: Course, shared: Shared) -> tuple[tuple[YearAllocation, ...], tuple[Settlement, ...]]:
    """Each member's shares in cash and retained, and what becomes of the cash, by member number and id."""
    people = {person.id: person for person in course.inputs.people}
    rows: dict[Place, list[tuple[str, Fraction | int, int]]] = {}
    for member_class, measures in sorted(shared.measures.items()):
        amounts = shared.amounts.get(member_class, {})
        for place, weight in measures.items():
            rows.setdefault(place, []).append((member_class, weight, amounts.get(place, 0)))
    found: list[YearAllocation] = []
    settled: list[Settlement] = []
    terms, nobody = _terms(course), Person("")
    for place in sorted(rows):
        identity, own = place[1], rows[place]
        settlement = _settle(terms, identity, people.get(identity, nobody), own, found)
        if settlement is not None:
            settled.append(settlement)
    return tuple(found), tuple(settled)


def _settle(
    terms: Terms,
    identity: str,
    person: Person,
    own: list[tuple[str, Fraction | int, int]],
    found: list[YearAllocation],
) -> Settlement | None:
    """Add one member's rows to those found; what becomes of all of them, None for nothing."""
    total = own[0][2] if len(own) == 1 else sum(amount for _, _, amount in own)
    if total <= 0:
        found += [
            YearAllocation(identity, name, weight, amount, 0, amount, 0, 0) for name, weight, amount in own
        ]
        return Settlement(identity, total, 0, total, 0, 0, 0, 0, 0, 0) if total else None
    small = total < terms.minimum_minor
    if len(own) == 1 and not small and not (person.owed_minor or person.loss_minor or person.withhold):
        return _pay(terms, identity, person.consent, own[0], found)
    given = small and terms.small_is_given
    loss_met = 0 if given else min(person.loss_minor, total)
    paid = _in_cash(own, ONE if given else terms.share, total - loss_met)
    cash = paid[0] if len(paid) == 1 else sum(paid)
    withheld = set_off = 0
    if not given:
        withheld = min(_withheld(terms, total), cash) if person.withhold else 0
        least = sum(_least_money(terms, amount, one) for (_, _, amount), one in zip(own, paid, strict=True)) if person.consent else 0  # fmt: skip
        set_off = min(person.owed_minor, max(cash - withheld - least, 0))
    rest = cash - withheld - set_off
    held = rest if small and not given else 0
    for (name, weight, amount), one in zip(own, paid, strict=True):
        qualified = _qualified(terms, amount, one) if person.consent and not held else 0
        nonqualified = amount - one - qualified if terms.kinds else 0
        found.append(
            YearAllocation(identity, name, weight, amount, one, amount - one, qualified, nonqualified)
        )
    return Settlement(
        identity, total, cash, total - cash, loss_met, withheld, set_off,
        rest if given else 0, held, 0 if given or held else rest,
    )  # fmt: skip


def say_settled(course: Course, settled: Sequence[Settlement], cash: int) -> None:
    """Steps 11 and 12 in total, where not all cash is simply paid."""
    paid = sum(one.paid_minor for one in settled)
    if paid == cash:
        return
    lines = (
        ("withheld", "withheld for taxes", sum(one.withheld_minor for one in settled)),
        ("set_off", "set off against what members owe", sum(one.set_off_minor for one in settled)),
        ("given", "small amounts, to the community purpose", sum(one.given_minor for one in settled)),
        ("held", "small amounts, held until there is more", sum(one.held_minor for one in settled)),
        ("paid", "paid out", paid),
    )
    for key, name, amount in lines:
        course.note(key, name, "the sum over all members, out of what is in cash", amount)


def _pay(
    terms: Terms,
    identity: str,
    consent: bool,
    own: tuple[str, Fraction | int, int],
    found: list[YearAllocation],
) -> Settlement:
    """What _settle comes to for most members: one class, and nothing happens to the cash but that it is paid."""
    name, weight, amount = own
    cash = ceil_share(amount, terms.share)
    retained = amount - cash
    qualified = _qualified(terms, amount, cash) if consent else 0
    nonqualified = retained - qualified if terms.kinds else 0
    found.append(YearAllocation(identity, name, weight, amount, cash, retained, qualified, nonqualified))
    return Settlement(identity, amount, cash, retained, 0, 0, 0, 0, 0, cash)


def _in_cash(own: list[tuple[str, Fraction | int, int]], share: Fraction, most: int) -> list[int]:
    """Cash of each row, rounded up; together at most so much."""
    paid = []
    for _, _, amount in own:
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
