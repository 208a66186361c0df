"""The laws of a year's closing: invariants 1 to 8 of the patronage reference, section 3."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from billing.rules.book import rule_set, rule_set_ids
from billing.year.closing import close_year
from billing.year.document import year_document
from billing.year.inputs import Form, Person, ShareInterest, Use, YearInputs
from billing.year.outcome import YearClosing
from billing.year.reading import read_simulation

ZERO = Fraction(0)
unhurried = settings(deadline=None)
"""A busy machine is no broken law."""
rules = st.sampled_from(sorted(rule_set_ids()))
untopped = st.sampled_from([one for one in sorted(rule_set_ids()) if one != "us-selc"])
hours = st.integers(0, 20_000).map(lambda tenths: Fraction(tenths, 10))


@st.composite
def co_ops(draw: st.DrawFn, ids: st.SearchStrategy[str] = rules, *, surplus: bool = False) -> YearInputs:
    charges = draw(st.lists(st.integers(0, 10**7), min_size=1, max_size=6))
    worked = draw(st.lists(hours, min_size=0, max_size=4))
    uses = [Use(f"u{place}", "user", one) for place, one in enumerate(charges)]
    uses += [Use(f"w{place}", "worker", hours=one) for place, one in enumerate(worked)]
    costs = draw(st.integers(0, sum(charges) if surplus else 2 * sum(charges) + 5))
    identity = draw(ids)
    return YearInputs(
        "EUR", rule_set(identity), costs, tuple(uses),
        people=tuple(Person(one.id, draw(st.integers(0, 3)), consent=draw(st.booleans())) for one in uses),
        fiscal_year_number=draw(st.integers(1, 4)),
        side_income_minor=draw(st.integers(0, 10**5)),
        non_member_minor=0 if surplus else draw(st.integers(0, 10**7)),
        class_weights={"user": Fraction(draw(st.integers(1, 90))), "worker": Fraction(draw(st.integers(0, 90)))},
        prior_deficit_minor=draw(st.integers(0, 10**6)),
        interest=ShareInterest(0 if identity == "fr-scop" else draw(st.integers(0, 10**5))),
        form=Form(cash_share=draw(st.sampled_from([None, Fraction(1, 3), Fraction(1)]))),
    )  # fmt: skip


def amounts(closing: YearClosing) -> dict[tuple[str, str], int]:
    return {(row.id, row.member_class): row.amount_minor for row in closing.allocations}


def by_class(closing: YearClosing) -> dict[str, list[tuple[Fraction, int]]]:
    """(weight, amount) of each class that has a pool."""
    found: dict[str, list[tuple[Fraction, int]]] = {}
    for row in closing.allocations:
        if closing.class_pools.get(row.member_class):
            found.setdefault(row.member_class, []).append((Fraction(row.weight), row.amount_minor))
    return found


@unhurried
@given(co_ops())
def test_1_every_sum_is_exact(inputs: YearInputs) -> None:
    closing = close_year(inputs)
    assert closing.pool_minor == sum(closing.class_pools.values())
    for name, pool in closing.class_pools.items():
        assert pool == sum(row.amount_minor for row in closing.allocations if row.member_class == name)
    revenue = sum(use.charges_minor for use in inputs.uses) + inputs.non_member_minor
    result = revenue + inputs.side_income_minor - inputs.costs_minor
    assert result == closing.pool_minor + sum(closing.accounts.values())
    assert all(check.agree for check in closing.checks)


@unhurried
@given(co_ops())
def test_2_cash_and_retained_are_the_share_and_a_fifth_of_what_is_qualified_is_cash(
    inputs: YearInputs,
) -> None:
    for row in close_year(inputs).allocations:
        assert row.cash_minor + row.retained_minor == row.amount_minor
        assert row.amount_minor < 0 or (row.cash_minor >= 0 and row.retained_minor >= 0)
        if row.qualified_minor:
            assert row.cash_minor * 5 >= row.amount_minor - row.nonqualified_minor


@unhurried
@given(co_ops(), st.randoms(use_true_random=False), st.integers(2, 1000))
def test_3_neither_order_nor_scale_matters(inputs: YearInputs, random: object, scale: int) -> None:
    uses, people = list(inputs.uses), list(inputs.people)
    random.shuffle(uses)  # type: ignore[attr-defined]
    random.shuffle(people)  # type: ignore[attr-defined]
    first = close_year(inputs)
    turned = close_year(replace(inputs, uses=tuple(uses), people=tuple(people)))
    assert (first.digest, first.allocations) == (turned.digest, turned.allocations)
    scaled = replace(
        inputs,
        uses=tuple(replace(use, hours=use.hours * scale) for use in inputs.uses),
        class_weights={name: weight * scale for name, weight in inputs.class_weights.items()},
    )
    assert amounts(first) == amounts(close_year(scaled))


@unhurried
@given(co_ops())
def test_4_a_larger_weight_never_gets_less_and_each_share_is_its_quota_or_one_more(
    inputs: YearInputs,
) -> None:
    closing = close_year(inputs)
    for name, rows in by_class(closing).items():
        pool, whole = abs(closing.class_pools[name]), sum(weight for weight, _ in rows)
        for weight, amount in rows:
            assert 0 <= abs(amount) * whole - pool * weight + whole
            assert abs(amount) * whole - pool * weight <= whole
            assert abs(amount) in ((pool * weight) // whole, (pool * weight) // whole + 1)
        in_order = sorted((weight, abs(amount)) for weight, amount in rows)
        for (small, less), (large, more) in pairwise(in_order):
            assert small == large or less <= more


@unhurried
@given(co_ops())
def test_5_no_patronage_no_share_and_no_pool_no_shares(inputs: YearInputs) -> None:
    closing = close_year(inputs)
    for row in closing.allocations:
        assert row.weight or not row.amount_minor
        assert closing.class_pools.get(row.member_class) or not row.amount_minor


@unhurried
@given(co_ops())
def test_5_one_member_gets_the_pool(inputs: YearInputs) -> None:
    charges = sum(use.charges_minor for use in inputs.uses)
    assume(charges)
    closing = close_year(replace(inputs, uses=(Use("u0", "user", charges),), people=()))
    assert [closing.pool_minor] == [row.amount_minor for row in closing.allocations]


@unhurried
@given(co_ops(), st.data())
def test_6_splitting_a_member_leaves_the_pool_and_moves_two_cents_at_most(
    inputs: YearInputs, data: st.DataObject
) -> None:
    whole = data.draw(st.sampled_from([use for use in inputs.uses if use.member_class == "user"]))
    part = data.draw(st.integers(0, whole.charges_minor))
    halves = (
        replace(whole, charges_minor=part),
        replace(whole, id="zz", charges_minor=whole.charges_minor - part),
    )
    before = close_year(inputs)
    others = tuple(use for use in inputs.uses if use.id != whole.id)
    after = close_year(replace(inputs, uses=(*others, *halves)))
    assert before.pool_minor == after.pool_minor
    assert before.class_pools == after.class_pools
    joint = amounts(after)[whole.id, "user"] + amounts(after)["zz", "user"]
    assert abs(joint - amounts(before)[whole.id, "user"]) <= 2


@unhurried
@given(co_ops(untopped, surplus=True), st.integers(1, 20), st.integers(0, 10**9))
def test_7_business_with_others_raises_nobodys_share(inputs: YearInputs, times: int, gain: int) -> None:
    """Others who pay like members and cost like members, and any side income, change no member's share."""
    charges = sum(use.charges_minor for use in inputs.uses)
    with_others = replace(
        inputs,
        non_member_minor=charges * times,
        costs_minor=inputs.costs_minor * (1 + times),
        side_income_minor=inputs.side_income_minor + gain,
    )
    assert amounts(close_year(inputs)) == amounts(close_year(with_others))


@unhurried
@given(co_ops())
def test_7_members_never_share_more_than_was_earned_with_them(inputs: YearInputs) -> None:
    """Also where a target for the collective account is met by others' result: 1 cent is the split's rounding."""
    closing = close_year(inputs)
    charges = sum(use.charges_minor for use in inputs.uses)
    revenue = charges + inputs.non_member_minor
    assume(revenue)
    earned = Fraction((revenue - inputs.costs_minor) * charges, revenue)
    assert closing.pool_minor <= max(earned, ZERO) + 1


@unhurried
@given(co_ops())
def test_8_replaying_the_frozen_inputs_gives_the_same_hash(inputs: YearInputs) -> None:
    closing = close_year(inputs)
    assert closing.digest == close_year(inputs).digest
    frozen = json.dumps(year_document(closing)["inputs"]).encode()
    assert closing.digest == close_year(read_simulation(frozen, rule_set)).digest


@unhurried
@given(co_ops())
def test_8_one_cent_more_is_another_hash(inputs: YearInputs) -> None:
    changed = replace(inputs, costs_minor=inputs.costs_minor + 1)
    assert close_year(inputs).digest != close_year(changed).digest


@pytest.mark.parametrize("field", ["number", "consent", "joined"])
def test_8_what_concerns_a_person_is_in_the_hash(field: str) -> None:
    value = {"number": 9, "consent": True, "joined": "2026-03-01"}[field]
    inputs = YearInputs("EUR", rule_set("us-selc"), 100, (Use("a", "user", 500),), fiscal_year_number=3)
    plain = replace(inputs, people=(Person("a"),))
    assert (
        close_year(plain).digest
        != close_year(replace(inputs, people=(replace(Person("a"), **{field: value}),))).digest
    )
