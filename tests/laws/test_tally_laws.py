"""Laws of the sums: any order, any split, any clock; stored bytes against an integral worked out step by step."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from meter.event import Event, Mark, StorageLine
from meter.tally import Tally, settled, tally
from meter.window import HOUR_US, Credible, Month, hour_start_us, to_datetime, whole_days
from tests.events import PLAIN, stored

DAY_US = 24 * HOUR_US
FIRST = Month(2026, 2)
CREDIBLE = Credible(Month(2026, 1).start_us, Month(2028, 4).end_us, Month(2026, 3).start_us + 5)
EDGES = [Month(2026, 3), Month(2026, 12), Month(2027, 1), Month(2028, 2), Month(2028, 3)]
"""Ends of a short, a long and a leap February and of a year; 2016-12-31 had the last leap second so far."""

instants = st.builds(
    lambda month, step, rest: month.start_us + step * DAY_US + rest,
    st.sampled_from(EDGES),
    st.integers(-1, 1),
    st.sampled_from([-HOUR_US, -1_000_001, -1, 0, 1, HOUR_US]),
)
anything = st.one_of(instants, st.integers(-(2**62), 2**62))
traffic = st.builds(
    lambda at, counts, marks, status: PLAIN._replace(
        ended_us=at, began_us=at + 5, bytes_in=counts, bytes_out=counts * 3, marks=marks, status=status
    ),
    anything, st.integers(0, 2**40), st.sampled_from([Mark.NONE, Mark.CHECKPOINT, Mark.ABORTED]),
    st.sampled_from([200, 404, 503]),
)  # fmt: skip
corrections = st.builds(
    lambda at, count: PLAIN._replace(ended_us=at, bytes_in=count, bytes_out=-count, marks=Mark.CORRECTION),
    anything, st.integers(-(2**40), 2**40),
)  # fmt: skip
changes = st.builds(
    lambda at, delta, line: stored(delta, at, line=line),
    anything, st.integers(-(2**50), 2**50), st.sampled_from(StorageLine),
)  # fmt: skip
histories = st.lists(st.one_of(traffic, corrections, changes), max_size=40)


def sums(events: list[Event], first_open: Month = FIRST) -> Tally:
    return tally(settled(events, CREDIBLE)[0], first_open=first_open)


@given(histories, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_sums(events: list[Event], dice: object) -> None:
    shuffled = list(events)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sums(events) == sums(shuffled)


@given(histories, st.sampled_from([FIRST, *EDGES]))
def test_no_byte_is_lost_and_none_is_in_a_closed_month_whatever_the_clock_did(
    events: list[Event], first_open: Month
) -> None:
    found = sums(events, first_open)
    exchanges = [one for one in events if not one.marks & Mark.STORAGE]
    assert sum(one.bytes_in for one in exchanges) == sum(one.bytes_in for one in found.readings.values())
    assert sum(one.bytes_out for one in exchanges) == sum(one.bytes_out for one in found.readings.values())
    requests = [one for one in exchanges if one.marks in (Mark.NONE, Mark.ABORTED)]
    assert len(requests) == sum(one.requests for one in found.readings.values())
    assert sum(one.status >= 400 for one in requests) == sum(one.failures for one in found.readings.values())
    assert sum(one.stored_bytes for one in events if one.marks & Mark.STORAGE) == sum(
        one.delta for one in found.storage.values()
    )
    for key in [*found.readings, *found.storage]:
        period, hour_us = Month.parse(key[0]), key[1]
        assert first_open <= period
        assert Month.of(hour_us) <= period
        assert CREDIBLE.earliest_us <= hour_us < CREDIBLE.latest_us


@given(histories)
def test_only_corrections_are_negative_and_they_count_no_request(events: list[Event]) -> None:
    for key, reading in sums(events).readings.items():
        if key[7]:
            assert (0, 0, 0) == (reading.requests, reading.failures, reading.aborts)
        else:
            assert min(reading.bytes_in, reading.bytes_out, reading.moved_in, reading.moved_out) >= 0


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 60 * 24)), max_size=20))
def test_stored_bytes_over_a_month_are_the_integral_worked_out_step_by_step(
    steps: list[tuple[int, int]],
) -> None:
    """What is stored is set to a size at certain hours; the clock only goes forward, so nothing is negative."""
    start, end = Month(2026, 3).start_us, Month(2026, 3).end_us
    events, level, expected = [], 0, 0
    points = sorted((start - 10 * DAY_US + hours * HOUR_US, size) for size, hours in steps)
    for (at, size), (following, _) in pairwise([*points, (end + 60 * DAY_US, 0)]):
        events.append(stored(size - level, at))
        level = size
        expected += size * max(0, min(following, end) - max(at, start))
    found = tally(events, first_open=Month(2026, 1)).storage
    # D and M alone: bytes × (end − t) of everything to the month's end, less the same to its start.
    counted = sum(one.delta * end - one.moment for (period, *_), one in found.items() if period <= "2026-03")
    counted -= sum(
        one.delta * start - one.moment for (period, *_), one in found.items() if period < "2026-03"
    )
    assert expected == counted
    assert counted >= 0


@given(st.integers(2000, 2199), st.integers(1, 12))
def test_months_follow_each_other_without_a_gap_and_have_the_calendar_s_days(year: int, number: int) -> None:
    month = Month(year, number)
    assert month.end_us == month.next().start_us
    assert month == month.next().previous()
    assert monthrange(year, number)[1] * DAY_US == month.end_us - month.start_us
    assert (month, month) == (Month.of(month.start_us), Month.of(month.end_us - 1))
    assert month.next() == Month.of(month.end_us)


@given(st.integers(0, 2**50), st.integers(1, 70 * DAY_US))
def test_a_window_is_its_whole_days_and_what_is_before_and_behind_them(start_us: int, length_us: int) -> None:
    end_us = start_us + length_us
    first_us, last_us = whole_days(start_us, end_us)
    assert start_us <= first_us <= last_us <= end_us
    if first_us == last_us:
        assert first_us == end_us
        assert length_us < 2 * DAY_US
    else:
        assert (0, 0) == (first_us % DAY_US, last_us % DAY_US)
        assert max(first_us - start_us, end_us - last_us) < DAY_US


@given(anything)
def test_an_instant_that_cannot_be_true_counts_now_and_every_other_one_as_it_is(instant_us: int) -> None:
    counted = CREDIBLE.counted_us(instant_us)
    assert CREDIBLE.earliest_us <= counted < CREDIBLE.latest_us
    assert counted in (instant_us, CREDIBLE.now_us)
    assert instant_us == counted or not CREDIBLE.earliest_us <= instant_us < CREDIBLE.latest_us


def test_a_leap_second_falls_into_the_month_that_it_ends_or_the_next_and_into_no_third() -> None:
    """2016-12-31T23:59:60Z has no number of its own in POSIX time: clocks repeat or smear a second round it."""
    midnight = int(datetime(2017, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    for step_us in (-1_000_000, -500_000, -1):
        assert Month(2016, 12) == Month.of(midnight + step_us)
        assert to_datetime(midnight) - timedelta(hours=1) == to_datetime(hour_start_us(midnight + step_us))
    assert Month(2017, 1) == Month.of(midnight)
