"""Laws of the register: sums, order, corrections, and days of shares against a calendar that is walked day by day."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.register.operations import Operation, OperationKind, effects, paid_back, people_at
from billing.register.shares import check
from billing.register.year import members_of_year, share_lots
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import MemberClass
from meter.window import Month, to_us
from tests.register_kit import KINDS

YEAR = 2026
START = datetime(YEAR - 1, 11, 1, tzinfo=UTC)
PEOPLE = range(1, 5)
LAST_US = to_us(datetime(YEAR + 1, 3, 1, tzinfo=UTC))


@st.composite
def registers(draw: st.DrawFn) -> list[Operation]:
    """Operations as a registrar would get them past the checks; what is refused is left out."""
    made: list[Operation] = []
    chance = draw(st.randoms(use_true_random=False))
    for member in PEOPLE:
        opening = OperationKind.CUSTOMER if chance.random() < 0.2 else OperationKind.JOIN
        classes = (MemberClass.CUSTOMER,) if opening is OperationKind.CUSTOMER else (MemberClass.USER,)
        when = to_us(START + timedelta(days=chance.randrange(40)))
        made.append(
            Operation(len(made) + 1, opening, MemberId(member), when, LAST_US, "law", classes=classes)
        )
    for _ in range(draw(st.integers(0, 30))):
        asked = _next(chance, made)
        try:
            check(asked, made, KINDS, closed=None)
        except Refusal:
            continue
        made.append(asked)
    return made


def _next(chance: random.Random, made: list[Operation]) -> Operation:
    member, other = (MemberId(chance.choice(PEOPLE)) for _ in range(2))
    when = to_us(START + timedelta(days=chance.randrange(480), seconds=chance.randrange(86_400)))
    base = Operation(
        len(made) + 1, OperationKind.SUBSCRIPTION, member, when, LAST_US, "law",
        share_kind=chance.choice(["member", "double"]), quantity=chance.randrange(1, 6),
    )  # fmt: skip
    assert base.share_kind is not None
    par = KINDS[base.share_kind].par_minor
    person = people_at(made, when).get(member)
    held = None if person is None else person.holdings.get(base.share_kind)
    leaving = 0 if held is None else paid_back(held, base.quantity or 0, par)
    match chance.randrange(6):
        case 0 | 1:
            return base
        case 2 | 3:
            paid = chance.randrange(1, 3 * par)
            return replace(
                base, kind=OperationKind.PAYMENT, quantity=None, amount_minor=paid, entry=base.number
            )
        case 4:
            return replace(base, kind=OperationKind.TRANSFER, amount_minor=leaving, counterpart=other)
        case _:
            return replace(base, kind=OperationKind.REDEMPTION, amount_minor=leaving)


@given(registers())
@settings(deadline=None)
def test_shares_come_by_subscription_go_by_redemption_and_nowhere_else(made: list[Operation]) -> None:
    for kind in ("member", "double"):
        held = [one.holdings.get(kind) for one in people_at(made, LAST_US).values()]
        sums = {
            what: (
                sum(one.quantity or 0 for one in made if one.kind.value == what and one.share_kind == kind),
                sum(
                    one.amount_minor or 0 for one in made if one.kind.value == what and one.share_kind == kind
                ),
            )
            for what in ("subscription", "payment", "redemption")
        }
        assert sum(one.shares for one in held if one) == sums["subscription"][0] - sums["redemption"][0]
        assert sum(one.paid_minor for one in held if one) == sums["payment"][1] - sums["redemption"][1]


@given(registers(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_in_which_operations_are_read_changes_nothing(
    made: list[Operation], chance: random.Random
) -> None:
    mixed = chance.sample(made, len(made))
    assert people_at(made, LAST_US) == people_at(mixed, LAST_US)
    assert share_lots(made, KINDS, Month(YEAR, 1)) == share_lots(mixed, KINDS, Month(YEAR, 1))
    assert members_of_year(made, Month(YEAR, 1)) == members_of_year(mixed, Month(YEAR, 1))


@given(registers())
@settings(deadline=None)
def test_no_day_has_less_than_nothing_or_more_paid_than_subscribed(made: list[Operation]) -> None:
    for when in {one.effective_us for one in made}:
        for person in people_at(made, when).values():
            for kind, held in person.holdings.items():
                assert 0 <= held.paid_minor <= held.shares * KINDS[kind].par_minor


@given(registers())
@settings(deadline=None)
def test_a_correction_on_the_same_day_is_as_if_it_had_never_been(made: list[Operation]) -> None:
    last = made[-1]
    if not effects([last]):
        return
    undone = replace(
        last, number=last.number + 1, kind=OperationKind.CORRECTION, corrects=last.number, quantity=None,
        amount_minor=None, counterpart=None,
    )  # fmt: skip
    assert people_at(made[:-1], LAST_US) == people_at([*made, undone], LAST_US)
    months = Month(YEAR, 1)
    assert share_lots(made[:-1], KINDS, months) == share_lots([*made, undone], KINDS, months)


@given(registers(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_days_of_shares_are_those_of_a_calendar(made: list[Operation], is_leaving: bool) -> None:
    """Another way: each day of the year on its own, what everybody held when it ended."""
    if is_leaving:
        left = to_us(datetime(YEAR, 8, 9, 10, tzinfo=UTC))
        made = [*made, Operation(len(made) + 1, OperationKind.LEAVE, MemberId(1), left, LAST_US, "law")]
    expected: dict[tuple[MemberId, str], int] = {}
    day = datetime(YEAR, 1, 1, tzinfo=UTC)
    while day.year == YEAR:
        ends_us = to_us(day + timedelta(days=1)) - 1
        for member, person in people_at(made, ends_us).items():
            for kind, held in person.holdings.items():
                if person.classes and held.paid_minor:
                    expected[member, kind] = expected.get((member, kind), 0) + held.paid_minor
        day += timedelta(days=1)
    found: dict[tuple[MemberId, str], int] = {}
    for lot in share_lots(made, KINDS, Month(YEAR, 1)):
        assert 1 <= lot.days_held <= 365 == lot.days_in_year
        key = (lot.member, lot.share_kind)
        found[key] = found.get(key, 0) + lot.paid_minor * lot.days_held
    assert expected == found
