"""What the audit adds up run by run is what the proof of a bill says record by record."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from meter import frame
from meter.audit import StoredSoFar, alike
from meter.audit_store import Books
from meter.columns import stored_changes, tally_share
from meter.event import Event, Mark
from meter.frame import RECORD_BYTES
from meter.ids import BucketId, MemberId, StreamId
from meter.recount import billed_in
from meter.tally import Displaced, Tally, placed
from meter.window import Credible, Month
from tests.events import NOON_US, PLAIN, events

STREAM, ANOTHER = StreamId(UUID(int=1)), StreamId(UUID(int=2))
DAY_US = 86_400 * 10**6
few = st.integers(0, 3)
some_events = st.lists(
    st.builds(
        lambda event, member, bucket, day, delta: event._replace(
            payer=MemberId(member), bucket=BucketId(bucket), ended_us=NOON_US + day * DAY_US, stored_bytes=delta
        ),
        events, few, few, st.integers(-70, 70), st.integers(-(2**62), 2**62),
    ),
    min_size=1, max_size=40,
)  # fmt: skip
sequences = st.integers(0, 60)
watermarks = st.dictionaries(
    st.sampled_from([Month(2026, 10), Month(2026, 11), Month(2026, 12)]),
    st.dictionaries(st.sampled_from([STREAM, ANOTHER]), sequences, max_size=2),
    max_size=3,
)
displaced = st.lists(
    st.builds(
        lambda stream, first, count, day: Displaced(
            stream, first, first + count,
            Credible(NOON_US - 20 * DAY_US, NOON_US + 20 * DAY_US, NOON_US + day * DAY_US),
        ),
        st.sampled_from([STREAM, ANOTHER]), sequences, st.integers(0, 20), st.integers(0, 20),
    ),
    max_size=3,
)  # fmt: skip


def packed(some: list[Event]) -> memoryview:
    return memoryview(b"".join(frame.pack_record(number, event, 0) for number, event in enumerate(some, 1)))


@settings(deadline=None, max_examples=200)
@given(some_events, watermarks, displaced, st.integers(1, 20), st.integers(1, 3), st.data())
def test_run_by_run_is_record_by_record(
    some: list[Event], marks: dict[Month, dict[StreamId, int]], moved: list[Displaced], first: int, parts: int,
    data: st.DataObject,
) -> None:  # fmt: skip
    part = data.draw(st.integers(0, parts - 1))
    expected, found = Tally(), Tally()
    for sequence, event in enumerate(some, first):
        if event.payer % parts == part:
            counted = placed(event, stream=STREAM, sequence=sequence, displaced=moved)
            billed = billed_in(counted, stream=STREAM, sequence=sequence, watermarks=marks)
            expected.add(counted, first_open=billed)
    expected.samples.clear()
    books = Books({}, {}, {}, marks, moved, [], 0)
    records, next_one = packed(some), first
    for run in alike(books, STREAM, first, first + len(some) - 1):
        assert next_one == run.first <= run.last
        next_one = run.last + 1
        piece = records[(run.first - first) * RECORD_BYTES : next_one * RECORD_BYTES - first * RECORD_BYTES]
        found.take_in(
            tally_share(piece, first_open=run.first_open, credible=run.credible, part=part, parts=parts)
        )
    assert first + len(some) == next_one
    assert expected == found


@settings(deadline=None, max_examples=200)
@given(some_events, st.integers(0, 60), st.integers(1, 20), st.booleans())
def test_stored_bytes_so_far_are_those_of_each_change(
    some: list[Event], up_to: int, first: int, is_engine: bool
) -> None:
    label = "engine" if is_engine else "worker-0"
    sums: Counter[tuple[int, int]] = Counter()
    last_fed = 0
    for sequence, event in enumerate(some, first):
        if event.marks & Mark.STORAGE:
            last_fed = sequence if is_engine else 0
            if not (is_engine and sequence > up_to):
                sums[event.bucket, event.line] += event.stored_bytes
    stored = StoredSoFar("engine", up_to)
    stored.add(label, first, packed(some))
    assert (sums, last_fed) == (stored.sums, stored.last_fed)


def test_no_record_is_no_change() -> None:
    assert (Counter(), 0) == stored_changes(b"")
    assert Tally() == tally_share(b"", first_open=Month(1, 1), credible=None, part=0, parts=1)
    assert [] == list(alike(Books({}, {}, {}, {}, [], [], 0), STREAM, 5, 4))
    assert (Counter(), 0) == stored_changes(packed([PLAIN]))


def test_the_record_at_a_watermark_belongs_to_the_closed_month_and_the_next_one_does_not() -> None:
    books = Books({}, {}, {}, {Month(2026, 11): {STREAM: 5}}, [], [], 0)
    runs = [(run.first, run.last, run.first_open) for run in alike(books, STREAM, 5, 7)]
    assert [(5, 5, Month(1, 1)), (6, 7, Month(2026, 12))] == runs
