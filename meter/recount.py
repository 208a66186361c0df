"""Usage from the raw segments alone, without Postgres' sums: the other side of `weir verify`.

It needs only the watermarks, to know in which month a late record was billed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from meter import frame
from meter.event import Event, Mark, StorageLine
from meter.ids import NOBODY, MemberId, StreamId
from meter.journal import stream_of
from meter.reader import streams
from meter.retention import Beginning, kept_chain, refuse_older
from meter.stillness import held_still
from meter.tally import billable_requests
from meter.usage import Usage
from meter.window import Month

Watermarks = Mapping[Month, Mapping[StreamId, int]]


@dataclass(slots=True)
class _Counts:
    bytes_in: int = 0
    bytes_out: int = 0
    requests_a: int = 0
    requests_b: int = 0
    byte_us: int = 0
    version_byte_us: int = 0


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
    begins: Mapping[StreamId, Beginning] = MappingProxyType({}),
) -> dict[MemberId, Usage]:
    """Everyone's usage billed in a month, from the segments, records up to `up_to` of each stream.

    begins: where streams begin that retention has shortened. Raises DamagedSegment when a segment or the
    chain is not whole, OlderThanKept when the month's records are gone.
    """
    refuse_older(month, begins)
    counts: dict[MemberId, _Counts] = {}
    for stream, sequence, event in _records(journal_directory, up_to, begins):
        billed = billed_in(event, stream=stream, sequence=sequence, watermarks=watermarks)
        if billed > month or event.payer == NOBODY:
            continue
        if event.marks & Mark.STORAGE:
            found = counts.setdefault(event.payer, _Counts())
            byte_us = event.stored_bytes * (month.end_us - event.ended_us)
            if billed < month:
                byte_us -= event.stored_bytes * (month.start_us - event.ended_us)
            found.byte_us += byte_us
            found.version_byte_us += byte_us if event.line is StorageLine.VERSION else 0
        elif billed == month:
            _count(counts.setdefault(event.payer, _Counts()), event)
    return {
        member: Usage(
            member, month.start_us, month.end_us, found.bytes_in, found.bytes_out, found.requests_a,
            found.requests_b, found.byte_us, found.version_byte_us,
        )
        for member, found in sorted(counts.items())
    }  # fmt: skip


def _count(found: _Counts, event: Event) -> None:
    found.bytes_in += event.bytes_in
    found.bytes_out += event.bytes_out
    if not event.marks & Mark.CHECKPOINT:
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
