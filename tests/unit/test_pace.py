"""How long a shipper rests."""

from __future__ import annotations

import heapq
import random
import statistics

from hypothesis import given
from hypothesis import strategies as st

from meter.pace import Pace, strain

EVEN = 0.5
"""The chance that makes a pause neither longer nor shorter."""


def after(*strains: float) -> list[float]:
    """Pauses of a shipper with half a second set and four seconds at most, rounded to milliseconds."""
    pace = Pace(interval_s=0.5, longest_s=4.0)
    return [round(pace.after(one, chance=EVEN), 3) for one in strains]


def test_while_postgres_is_quick_the_pause_is_the_one_that_is_set() -> None:
    assert [0.5, 0.5, 0.5] == after(0.1, 0.0, 1.0)


def test_a_slow_postgres_doubles_it_up_to_the_longest() -> None:
    assert [1.0, 2.0, 4.0, 4.0] == after(1.1, 5.0, 1.1, 9.0)


def test_it_comes_back_by_fifths_and_not_below_what_is_set() -> None:
    assert [1.0, 0.8, 0.64, 0.512, 0.5] == after(2.0, 0.5, 0.5, 0.5, 0.5)


def test_a_round_without_records_says_nothing_about_postgres() -> None:
    assert [1.0, 1.0, 1.0] == after(2.0, 0.0, 0.0)


def test_a_batch_may_take_as_long_as_its_records_do() -> None:
    """A second for a transaction, and 0.2 ms a record: 200,000 records may take 41 s."""
    assert [True, False] == [strain(took, 1) > 1 for took in (1.01, 1.0)]
    assert [True, False] == [strain(took, 200_000) > 1 for took in (41.1, 40.9)]


def test_a_longest_pause_below_the_one_that_is_set_changes_nothing() -> None:
    pace = Pace(interval_s=2.0, longest_s=1.0)
    assert 2.0 == pace.after(9.0, chance=EVEN)


@given(st.floats(0, 1))
def test_shippers_that_began_together_do_not_stay_together(chance: float) -> None:
    """A tenth to either side."""
    assert 0.45 <= Pace(interval_s=0.5, longest_s=4.0).after(0.0, chance=chance) <= 0.55


def test_a_thousand_shippers_come_as_often_as_postgres_can_take() -> None:
    """Postgres as a queue of 200 transactions a second: at two rounds a second each they would ask for 2,000.

    All settle where few rounds are slow, without anybody telling them how many they are.
    """
    dice = random.Random(7)
    paces = [Pace(interval_s=0.5, longest_s=30.0) for _ in range(1000)]
    due = [(dice.random() * 0.5, number) for number in range(1000)]
    heapq.heapify(due)
    free_s, waits = 0.0, list[float]()
    while due[0][0] < 600:
        now_s, number = heapq.heappop(due)
        free_s = max(free_s, now_s) + 1 / 200
        if now_s > 300:
            waits.append(free_s - now_s)
        pause_s = paces[number].after(strain(free_s - now_s, 10), chance=dice.random())
        heapq.heappush(due, (free_s + pause_s, number))
    assert len(waits) > 300 * 200 / 2
    assert statistics.median(waits) < 1.0
