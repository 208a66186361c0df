"""The fast tally says what the readable one says, for any events."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from meter import frame
from meter.columns import tally_records
from meter.event import Event, Mark, StorageLine, Zone
from meter.ids import BucketId, MemberId
from meter.tally import Tally, settled, tally
from meter.window import HOUR_US, SLOT_US, Credible, Month
from tests.events import NOON_US, PLAIN, events, stored

FIRST_OPEN = Month(2026, 11)
instants = st.one_of(
    # Around the end of a month, where billing months part; and any instant that has a calendar month.
    st.integers(NOON_US, NOON_US + 14 * 24 * HOUR_US),
    st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
)
signed = st.integers(-(2**63), 2**63 - 1)
few = st.integers(0, 3)
anything = st.builds(
    lambda event, ended_us, delta: event._replace(ended_us=ended_us, stored_bytes=delta),
    events,
    instants,
    signed,
)
like_each_other = st.builds(
    lambda event, member, bucket, ended_us: event._replace(
        payer=MemberId(member), bucket=BucketId(bucket), operation=1, ended_us=ended_us
    ),
    events, few, few, st.integers(NOON_US, NOON_US + 2 * HOUR_US),
)  # fmt: skip


EVER = Credible(-(2**63), 2**63 - 1, 0)
"""Any instant can be true."""
LATELY = Credible(NOON_US, NOON_US + 10 * 24 * HOUR_US, NOON_US + HOUR_US)


def counted(some: list[Event], credible: Credible = EVER) -> Tally:
    """What the columns say."""
    return tally_records(packed(some), first_open=FIRST_OPEN, credible=credible)[0]


def packed(some: list[Event]) -> bytes:
    return b"".join(frame.pack_record(number, event, 0) for number, event in enumerate(some, 1))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(anything, like_each_other), max_size=40))
def test_column_by_column_is_event_by_event(some: list[Event]) -> None:
    for credible in (EVER, LATELY):
        true, displaced = settled(some, credible)
        expected = (tally(true, first_open=FIRST_OPEN), displaced)
        assert expected == tally_records(packed(some), first_open=FIRST_OPEN, credible=credible)


at_once = st.builds(
    lambda event, member, zone, second: event._replace(
        payer=MemberId(member), zone=zone, ended_us=NOON_US + second * 10**6
    ),
    events, few, st.sampled_from(Zone), st.integers(0, 299),
)  # fmt: skip
small = st.builds(
    lambda event, member, slot, moved: PLAIN._replace(
        payer=MemberId(member), zone=event.zone, marks=event.marks, bytes_in=moved, bytes_out=7 - moved,
        ended_us=NOON_US + slot * SLOT_US,
    ),
    events, few, st.integers(0, 40), st.integers(-(2**20), 2**40),
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.lists(at_once, min_size=1, max_size=20) | st.lists(small, min_size=1, max_size=20))
def test_samples_are_the_same_within_five_minutes_and_over_many(some: list[Event]) -> None:
    assert tally(some, first_open=FIRST_OPEN).samples == counted(some).samples


def test_a_sample_ends_with_its_five_minutes_and_leaves_out_corrections_and_what_is_stored() -> None:
    """12:00:00 to 12:04:59.999999 is one sample, 12:05 the next; by zone and payer."""
    some = [
        PLAIN._replace(bytes_out=1),
        PLAIN._replace(bytes_out=2, ended_us=NOON_US + SLOT_US - 1),
        PLAIN._replace(bytes_out=4, ended_us=NOON_US + SLOT_US),
        PLAIN._replace(bytes_out=8, zone=Zone.PEERING),
        PLAIN._replace(bytes_out=16, payer=MemberId(2)),
        PLAIN._replace(bytes_out=32, marks=Mark.CORRECTION),
        PLAIN._replace(bytes_out=64, marks=Mark.CHECKPOINT),
        stored(128, NOON_US),
    ]
    expected = {
        ("2026-11", NOON_US, 1, 0): (3000, 67), ("2026-11", NOON_US + SLOT_US, 1, 0): (1000, 4),
        ("2026-11", NOON_US, 1, 1): (1000, 8), ("2026-11", NOON_US, 2, 0): (1000, 16),
    }  # fmt: skip
    assert expected == {key: (one.bytes_in, one.bytes_out) for key, one in counted(some).samples.items()}


def test_sums_above_64_bits_are_exact() -> None:
    """Ten times the largest count a record can hold, added up by hand."""
    most = 2**63 - 1
    many = [PLAIN._replace(bytes_out=most)] * 10
    (reading,) = counted(many).readings.values()
    assert 92_233_720_368_547_758_070 == reading.bytes_out


def test_a_moment_above_64_bits_is_exact() -> None:
    """A petabyte a microsecond before the hour ends: 10^15 × 1795525199999999, and as much taken away later."""
    last_us = NOON_US + HOUR_US - 1
    some = [stored(10**15, last_us), stored(10**15, last_us), stored(-(10**15), last_us - 1)]
    (sums,) = counted(some).storage.values()
    assert 1_795_525_199_999_999 == last_us
    assert (10**15, 1_795_525_200_000_000 * 10**15) == (sums.delta, sums.moment)


def test_each_mark_and_line_is_told_apart() -> None:
    some = [
        PLAIN,
        PLAIN._replace(marks=Mark.CHECKPOINT),
        PLAIN._replace(marks=Mark.ABORTED, status=499),
        stored(5, NOON_US),
        stored(7, NOON_US, line=StorageLine.VERSION),
    ]
    sums = counted(some)
    (reading,) = sums.readings.values()
    assert (2, 1, 1, 3000) == (reading.requests, reading.failures, reading.aborts, reading.bytes_in)
    assert [5, 7] == sorted(one.delta for one in sums.storage.values())


def test_nothing_sums_to_nothing() -> None:
    assert tally([], first_open=FIRST_OPEN) == counted([])
