"""What one member was paid and for what, and when the rest could come back: worked out by hand, cent by cent."""

from __future__ import annotations

from datetime import date

import pytest

from billing.canon import canonical
from billing.capital.expected import Back, Decided, expected, read_decided
from billing.capital.retirement import Method
from billing.payments.paid import For, Movement, Order, Outcome, Paid, Part, State, paid_to

DAY_US = 86_400 * 10**6
FIRST = date(2027, 1, 1)
FIRST_US = 1_798_761_600 * 10**6
"""2027-01-01T00:00Z, by `date -u -d @1798761600`."""


def at(day: int) -> int:
    """That day of January, at midnight."""
    return FIRST_US + (day - 1) * DAY_US


def on(day: int) -> date:
    return date(2027, 1, day)


def owed(
    entry: int, amount: int, *, day: int, kind: str = "year", key: str = "", years: tuple[int, ...] = ()
) -> Movement:
    return Movement(entry, kind, key or f"year:2026:{entry}", at(day), amount, None, "", years)


def order(batch: int, amount: int, *outcomes: Outcome, day: int) -> Order:
    return Order(batch, amount, at(day), "3000", outcomes)


def came(what: str, *, day: int, entry: int | None = None) -> Outcome:
    return Outcome(what, entry, at(day), on(day))


def told(found: Paid) -> list[tuple[str, int, list[tuple[str, int]]]]:
    return [
        (one.state.value, one.amount_minor, [(part.what.value, part.amount_minor) for part in one.parts])
        for one in found.payments
    ]


def waiting(found: Paid) -> list[tuple[str, int]]:
    return [(one.what.value, one.amount_minor) for one in found.waiting]


def test_what_is_owed_longest_is_paid_first() -> None:
    found = paid_to(
        [
            owed(1, 1000, day=1),
            owed(2, 500, day=2, kind="retirement", key="retirement:1:7", years=(2020,)),
            owed(3, -1200, day=6, kind="payment", key="bank:1"),
        ],
        [order(1, 1200, came("paid", day=6, entry=3), day=5)],
    )
    assert [("paid", 1200, [("year", 1000), ("retirement", 200)])] == told(found)
    assert ([("retirement", 300)], 300) == (waiting(found), found.waiting_minor)
    (one,) = found.payments
    assert (on(5), on(6), None, "3000") == (one.begun_on, one.paid_on, one.ended_on, one.last_four)
    assert (Part(For.RETIREMENT, 300, (2020,)),) == found.waiting


def test_what_waits_at_the_bank_is_not_paid() -> None:
    found = paid_to([owed(1, 1000, day=1)], [order(1, 1000, day=2)])
    assert ([("ordered", 1000, [("year", 1000)])], []) == (told(found), waiting(found))
    assert {State.ORDERED: 1000} == found.of_year(2026)
    assert {} == found.of_year(2025)


def test_what_comes_back_is_owed_again_before_what_came_later_and_paid_anew() -> None:
    given = [
        owed(1, 1000, day=1),
        owed(2, -1000, day=3, kind="payment", key="bank:1"),
        owed(3, 50, day=4, kind="claim", key="claim:9"),
        owed(4, 1000, day=5, kind="payment", key="bank:2"),
    ]
    back = order(1, 1000, came("paid", day=3, entry=2), came("returned", day=5, entry=4), day=2)
    found = paid_to(given, [back])
    assert [("returned", 1000, [("year", 1000)])] == told(found)
    assert [("year", 1000), ("claim", 50)] == waiting(found)
    assert {None: 1000} == found.of_year(2026)
    assert (on(3), on(5)) == (found.payments[0].paid_on, found.payments[0].ended_on)
    again = paid_to(
        [*given, owed(5, -1050, day=8, kind="payment", key="bank:3")],
        [back, order(2, 1050, came("paid", day=8, entry=5), day=7)],
    )
    assert [
        ("paid", 1050, [("year", 1000), ("claim", 50)]),
        ("returned", 1000, [("year", 1000)]),
    ] == told(again)
    assert {State.PAID: 1000} == again.of_year(2026)


def test_a_cancelled_order_is_owed_again() -> None:
    found = paid_to([owed(1, 1000, day=1)], [order(1, 1000, came("cancelled", day=3), day=2)])
    assert ([("cancelled", 1000, [("year", 1000)])], [("year", 1000)]) == (told(found), waiting(found))


def test_at_one_instant_the_batches_number_decides() -> None:
    found = paid_to(
        [owed(1, 1000, day=1)],
        [order(1, 1000, came("cancelled", day=1), day=1), order(2, 1000, day=1)],
    )
    assert ["ordered", "cancelled"] == [state for state, *_ in told(found)]
    assert [] == waiting(found)


def test_an_outcome_that_a_slow_clock_dates_before_its_order_follows_it() -> None:
    found = paid_to([owed(1, 1000, day=1)], [order(1, 1000, came("cancelled", day=2), day=3)])
    assert ([("cancelled", 1000, [("year", 1000)])], [("year", 1000)]) == (told(found), waiting(found))


def test_what_is_set_off_is_of_what_just_became_payable_and_what_is_forfeited_of_what_is_oldest() -> None:
    found = paid_to(
        [
            owed(1, 100, day=1),
            owed(2, 300, day=2, kind="retirement", key="retirement:1:7"),
            owed(3, -250, day=2, kind="set-off", key="set-off:1:7"),
            owed(4, -100, day=3, kind="forfeit", key="forfeit:2"),
        ],
        [],
    )
    assert [("forfeited", 100, [("year", 100)]), ("set-off", 250, [("retirement", 250)])] == told(found)
    assert [("retirement", 50)] == waiting(found)
    assert {State.FORFEITED: 100} == found.of_year(2026)


def test_entries_that_were_taken_back_are_none_and_taking_back_can_be_taken_back() -> None:
    booked = [owed(1, 1000, day=1, kind="manual", key="m"), owed(2, -1000, day=2, kind="manual", key="n")]
    back = owed(3, 1000, day=3, kind="reversal", key="reversal:2")
    assert [("other", 1000)] == waiting(paid_to([*booked, back], []))
    again = owed(4, -1000, day=4, kind="reversal", key="reversal:3")
    assert [] == waiting(paid_to([*booked, back, again], []))


def test_money_that_left_without_an_order_is_paid_too() -> None:
    by_hand = Movement(2, "payment", "bank:1", at(4), -600, on(3))
    found = paid_to([owed(1, 1000, day=1), by_hand], [])
    assert ([("paid", 600, [("year", 600)])], [("year", 400)]) == (told(found), waiting(found))
    assert (False, on(3)) == (found.payments[0].is_ordered, found.payments[0].paid_on)


def decided(method: Method = Method.FIFO, budget: int = 6000, **left: int) -> Decided:
    return Decided("2027-3", FIRST, method, budget, {int(year[1:]): amount for year, amount in left.items()})


def test_the_oldest_year_comes_back_first_and_what_is_newer_than_the_decision_has_no_date() -> None:
    # 10,000 of 2020 need two sums of 6,000; the 9,000 of 2021 are whole with 19,000, the fourth sum.
    found = expected(
        {2020: 70, 2021: 30, 2026: 5}, decided(y2020=10_000, y2021=9_000), this_year=2027
    )  # fmt: skip
    assert [Back(2020, 70, 2, 2029), Back(2021, 30, 4, 2031), Back(2026, 5, None, None)] == found


def test_a_part_of_every_year_is_whole_with_the_last_sum() -> None:
    found = expected(
        {2020: 70, 2021: 30}, decided(Method.PERCENTAGE, y2020=10_000, y2021=9_000), this_year=2027
    )
    assert [(2020, 4), (2021, 4)] == [(one.year, one.sums) for one in found]


def test_years_in_which_nothing_was_set_aside_move_it_on() -> None:
    (one,) = expected({2020: 70}, decided(y2020=6_000), this_year=2031)
    assert (1, 2031) == (one.sums, one.about)


@pytest.mark.parametrize("known", [None, decided(Method.HYBRID, y2020=10_000), decided()])
def test_where_nothing_says_so_there_is_no_date(known: Decided | None) -> None:
    assert [Back(2020, 70, None, None)] == expected({2020: 70}, known, this_year=2027)


def test_what_would_take_longer_than_we_look_has_no_date() -> None:
    (one,) = expected({2020: 70}, decided(budget=1, y2020=61), this_year=2027)
    assert one.sums is None
    (one,) = expected({2020: 70}, decided(Method.PERCENTAGE, budget=1, y2020=61), this_year=2027)
    assert one.sums is None


def test_a_decision_is_read_from_what_is_kept_of_it_also_of_an_older_weir() -> None:
    asked = {"method": "fifo", "budget_minor": 6000, "resolution": "2027-3", "rule": []}
    whole = canonical({"asked": asked, "left": [[2020, 10_000]], "total_minor": 6000})
    assert decided(y2020=10_000) == read_decided(whole, on=FIRST)
    assert decided() == read_decided(canonical({"asked": asked}), on=FIRST)
