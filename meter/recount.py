"""Usage from the raw segments alone, without Postgres' sums: the other side of `weir verify`.

It needs only the watermarks, to know in which month a late record was billed, and which records have a time
that cannot be true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from meter import frame
from meter.event import Event, Mark, StorageLine, Zone
from meter.ids import NO_BUCKET, NOBODY, BucketId, MemberId, StreamId
from meter.reader import streams
from meter.retention import Beginning, kept_chain, refuse_older
from meter.segments import stream_of
from meter.stillness import held_still
from meter.tally import PART_OF_A_REQUEST, Displaced, billable_requests, placed
from meter.usage import DISK, LOGICAL, Late, Usage, on_engines
from meter.window import Month

Watermarks = Mapping[Month, Mapping[StreamId, int]]


@dataclass(slots=True)
class _Counts:
    bytes_in: int = 0
    bytes_out: int = 0
    bytes_out_peering: int = 0
    bytes_out_own: int = 0
    requests_a: int = 0
    requests_b: int = 0
    corrected_in: int = 0
    corrected_out: int = 0
    byte_us: Counter[StorageLine] = field(default_factory=Counter)
    late: dict[tuple[Month, bool], _Counts] = field(default_factory=dict)
    """What happened before the month, by when and whether it is a correction."""
    engines: dict[str, _Counts] = field(default_factory=dict)
    """What was of buckets on engines that were asked for."""

    def of(self, month: Month, *, is_correction: bool) -> _Counts:
        return self.late.setdefault((month, is_correction), _Counts())


@dataclass(frozen=True, slots=True)
class Placement:
    """Which engines are counted apart, and which bucket numbers are not on the disk."""

    engines: frozenset[str] = frozenset()
    numbers: Mapping[BucketId, str] = field(default_factory=dict)

    def of(self, bucket: BucketId) -> str | None:
        """The engine under whose name the bucket's events count too."""
        engine = self.numbers.get(bucket, DISK)
        return engine if bucket != NO_BUCKET and engine in self.engines else None


EVERYWHERE = Placement()
"""No engine is counted apart."""


def billed_in(event: Event, *, stream: StreamId, sequence: int, watermarks: Watermarks) -> Month:
    """The month an event is billed in: its own, or the first month that was still open when it was shipped."""
    month = Month.of(event.ended_us)
    for closed in sorted(watermarks):
        if closed >= month and sequence > watermarks[closed].get(stream, 0):
            month = closed.next()
    return month


def recount(
    journal_directory: Path,
    month: Month,
    watermarks: Watermarks,
    *,
    up_to: Mapping[StreamId, int],
    displaced: Sequence[Displaced] = (),
    begins: Mapping[StreamId, Beginning] = MappingProxyType({}),
    placement: Placement = EVERYWHERE,
) -> dict[MemberId, Usage]:
    """Everyone's usage billed in a month, from the segments, records up to `up_to` of each stream.

    begins: where streams begin that retention has shortened. Raises DamagedSegment when a segment or the
    chain is not whole, OlderThanKept when the month's records are gone.
    """
    refuse_older(month, begins)
    counts: dict[MemberId, _Counts] = {}
    for stream, sequence, recorded in _records(journal_directory, up_to, begins):
        event = placed(recorded, stream=stream, sequence=sequence, displaced=displaced)
        billed = billed_in(event, stream=stream, sequence=sequence, watermarks=watermarks)
        if billed > month or event.payer == NOBODY:
            continue
        if not event.marks & Mark.STORAGE and billed < month:
            continue
        found = counts.setdefault(event.payer, _Counts())
        _add(found, event, month, billed)
        engine = placement.of(event.bucket)
        if engine is not None:
            _add(found.engines.setdefault(engine, _Counts()), event, month, billed)
    return {member: _usage(member, month, found) for member, found in sorted(counts.items())}


def _add(found: _Counts, event: Event, month: Month, billed: Month) -> None:
    if event.marks & Mark.STORAGE:
        byte_us = event.stored_bytes * (month.end_us - event.ended_us)
        if billed < month:
            byte_us -= event.stored_bytes * (month.start_us - event.ended_us)
        found.byte_us[event.line] += byte_us
        if billed == month:
            _count_stored_late(found, event, month)
        return
    _count(found, event)
    happened = Month.of(event.ended_us)
    if happened < month:
        _count(found.of(happened, is_correction=bool(event.marks & Mark.CORRECTION)), event)


def _usage(member: MemberId, month: Month, found: _Counts) -> Usage:
    return Usage(
        member, month.start_us, month.end_us, found.bytes_in, found.bytes_out, found.requests_a,
        found.requests_b,
        byte_us=sum(found.byte_us[line] for line in LOGICAL),
        version_byte_us=found.byte_us[StorageLine.VERSION],
        part_byte_us=found.byte_us[StorageLine.PART],
        removed_byte_us=found.byte_us[StorageLine.REMOVED],
        corrected_in=found.corrected_in,
        corrected_out=found.corrected_out,
        bytes_out_peering=found.bytes_out_peering,
        bytes_out_own=found.bytes_out_own,
        late=tuple(sorted(_late(*key, one) for key, one in found.late.items())),
        engines=on_engines({name: _usage(member, month, one) for name, one in found.engines.items()}),
    )  # fmt: skip


def _late(month: Month, is_correction: bool, found: _Counts) -> Late:
    return Late(
        month, is_correction, found.bytes_in, found.bytes_out, found.bytes_out_peering, found.bytes_out_own,
        found.requests_a, found.requests_b,
        byte_us=sum(found.byte_us[line] for line in LOGICAL),
        version_byte_us=found.byte_us[StorageLine.VERSION],
        part_byte_us=found.byte_us[StorageLine.PART],
    )  # fmt: skip


def _count_stored_late(found: _Counts, event: Event, month: Month) -> None:
    """Of a change that came late, what each month before was short of."""
    happened = Month.of(event.ended_us)
    since_us = event.ended_us
    while happened < month:
        late = found.of(happened, is_correction=False)
        late.byte_us[event.line] += event.stored_bytes * (happened.end_us - since_us)
        happened, since_us = happened.next(), happened.end_us


def _count(found: _Counts, event: Event) -> None:
    found.bytes_in += event.bytes_in
    found.bytes_out += event.bytes_out
    if event.zone is Zone.PEERING:
        found.bytes_out_peering += event.bytes_out
    elif event.zone is Zone.OWN:
        found.bytes_out_own += event.bytes_out
    if event.marks & Mark.CORRECTION:
        found.corrected_in += event.bytes_in
        found.corrected_out += event.bytes_out
    if not event.marks & PART_OF_A_REQUEST:
        class_a, class_b = billable_requests(event.request_class, 1)
        found.requests_a += class_a
        found.requests_b += class_b


def _records(
    journal_directory: Path, up_to: Mapping[StreamId, int], begins: Mapping[StreamId, Beginning]
) -> Iterator[tuple[StreamId, int, Event]]:
    with held_still(journal_directory):
        for directory in streams(journal_directory):
            stream = stream_of(directory)
            for segment in kept_chain(directory, begins.get(stream)):
                for sequence, event in frame.events(segment.records):
                    if sequence > up_to.get(stream, 0):
                        break
                    yield stream, sequence, event
