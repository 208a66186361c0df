"""The requests behind a line: a member's events out of the journal, streams merged by time, in constant memory.

It reads segments of any kind, and only those that can hold an event of the window. It knows numbers, not the
names of buckets and operations.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from meter import frame, spans
from meter.event import Event, Mark, Zone
from meter.frame import RECORD_BYTES
from meter.ids import BucketId, MemberId
from meter.reader import SegmentView, streams, view
from meter.refusal import Refusal
from meter.segments import number_of, segment_paths, stream_of
from meter.stillness import held_still
from meter.tally import Displaced, billable_requests, placed

_OWN_ROW = Mark.STORAGE | Mark.CORRECTION
"""Events that are no part of an exchange."""


@dataclass(frozen=True, slots=True)
class Search:
    """Whose events, and which."""

    payer: MemberId
    start_us: int
    end_us: int
    """Events that ended in [start_us, end_us)."""
    buckets: frozenset[BucketId] | None = None
    """None: whatever bucket."""
    operation: int | None = None
    zone: Zone | None = None
    storage: bool = False
    """Changes of stored bytes too; else exchanges and corrections alone."""
    displaced: Sequence[Displaced] = ()
    """Records that count from when they were shipped."""


@dataclass(frozen=True, slots=True)
class Found:
    """An event and where it stands, so that it can be looked at in the file."""

    stream: str
    """The stream's directory."""
    segment: int
    sequence: int
    event: Event
    records: int = 1
    """More than one: the records of a request, summed; the place is that of the last."""


@dataclass(slots=True)
class Counts:
    """What events add up to, as on a bill."""

    events: int = 0
    requests_a: int = 0
    requests_b: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    moved_in: int = 0
    moved_out: int = 0
    stored_bytes: int = 0

    def add(self, found: Found) -> None:
        """Count one; a record that is only a part of its request, or none of it, counts no request."""
        event = found.event
        self.events += found.records
        if not event.marks & (Mark.CHECKPOINT | _OWN_ROW):
            class_a, class_b = billable_requests(event.request_class, 1)
            self.requests_a += class_a
            self.requests_b += class_b
        self.bytes_in += event.bytes_in
        self.bytes_out += event.bytes_out
        self.moved_in += event.moved_in
        self.moved_out += event.moved_out
        self.stored_bytes += event.stored_bytes


class TooMuchToSearch(Refusal):
    """The search was given up: there is more to read than there was time for."""


def _always() -> bool:
    return True


def search(
    journal_directory: Path, wanted: Search, *, may_go_on: Callable[[], bool] = _always
) -> Generator[Found, None, None]:
    """The events, ascending in time as far as each stream does; holds one segment a stream in memory.

    may_go_on is asked before each segment is read. Raises DamagedSegment when a segment it must read is not
    whole, TooMuchToSearch when it may not go on.
    """
    with held_still(journal_directory):
        yield from heapq.merge(
            *(_of_stream(directory, wanted, may_go_on) for directory in streams(journal_directory)),
            key=lambda found: found.event.ended_us,
        )


def _of_stream(directory: Path, wanted: Search, may_go_on: Callable[[], bool]) -> Iterator[Found]:
    stream = stream_of(directory)
    displaced = [one for one in wanted.displaced if one.stream == stream]
    # A record that counts at another instant than it names may be in any segment.
    known = {} if displaced else spans.read(directory)
    for path in segment_paths(directory):
        span = known.get(number_of(path))
        if span is not None and not span.overlaps(wanted.start_us, wanted.end_us):
            continue
        if not may_go_on():
            raise TooMuchToSearch(
                "there is more to search than can be shown here; ask for `weir usage --by request`"
            )
        segment = view(path, stream=stream)
        if displaced:
            yield from _of_segment(directory.name, _placed(segment, displaced), wanted)
            continue
        if span is None and not spans.learn(directory, segment).overlaps(wanted.start_us, wanted.end_us):
            continue
        yield from _of_segment(directory.name, segment, wanted)


def _placed(segment: SegmentView, displaced: Sequence[Displaced]) -> SegmentView:
    """The segment with its records as they were counted; their checksums have been looked at."""
    records = b"".join(
        frame.pack_record(
            sequence, placed(event, stream=segment.header.stream, sequence=sequence, displaced=displaced), 0
        )
        for sequence, event in frame.events(segment.records)
    )
    return replace(segment, records=records)


def _of_segment(label: str, segment: SegmentView, wanted: Search) -> Iterator[Found]:
    number, first = segment.header.number, segment.header.first_sequence
    start_us, end_us, payer_wanted = wanted.start_us, wanted.end_us, wanted.payer
    for index, (payer, bucket, operation, zone, marks, ended_us) in enumerate(frame.glances(segment.records)):
        if payer != payer_wanted or not start_us <= ended_us < end_us:
            continue
        if marks & Mark.STORAGE and not wanted.storage:
            continue
        if wanted.buckets is not None and bucket not in wanted.buckets:
            continue
        if wanted.operation not in (None, operation) or wanted.zone not in (None, zone):
            continue
        at = index * RECORD_BYTES
        _, event = frame.unpack_record(segment.records[at : at + RECORD_BYTES])
        yield Found(label, number, first + index, event)


def grouped(found: Iterable[Found]) -> Iterator[Found]:
    """One line a request: its checkpoints added to its last record, in order of the last ones.

    Remembers as many requests as were open at once. Of a request whose last record is not among them, what
    there is comes at the end, still marked as a checkpoint. Corrections stay lines of their own.
    """
    open_requests: dict[tuple[str, bytes], Found] = {}
    for one in found:
        if one.event.marks & _OWN_ROW:
            yield one
            continue
        key = (one.stream, one.event.request_id)
        before = open_requests.pop(key, None)
        whole = one if before is None else _joined(before, one)
        if one.event.marks & Mark.CHECKPOINT:
            open_requests[key] = whole
        else:
            yield whole
    yield from open_requests.values()


def _joined(before: Found, last: Found) -> Found:
    first, event = before.event, last.event
    return replace(
        last,
        records=before.records + last.records,
        event=event._replace(
            began_us=min(first.began_us, event.began_us),
            bytes_in=first.bytes_in + event.bytes_in,
            bytes_out=first.bytes_out + event.bytes_out,
            moved_in=first.moved_in + event.moved_in,
            moved_out=first.moved_out + event.moved_out,
        ),
    )
