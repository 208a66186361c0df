"""A member's own records, byte for byte as they stand in the segments, that count for a month: for their proof.

The same records that a recount of the month adds up for that member, and nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from meter import frame
from meter.event import Mark
from meter.frame import RECORD_BYTES
from meter.ids import MemberId, StreamId
from meter.reader import SegmentView, streams
from meter.recount import Watermarks, billed_in
from meter.retention import Beginning, kept_chain, refuse_older
from meter.segments import stream_of
from meter.stillness import held_still
from meter.tally import Displaced, placed
from meter.window import Month


@dataclass(frozen=True, slots=True)
class Extract:
    """One record, where it stands, and what its checksum begins with."""

    stream: StreamId
    segment: int
    sequence: int
    record: bytes
    seed: int
    counted_us: int | None
    """When it counts, if not at the instant it names: that one could not be true."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A segment that such records stand in, sealed or not."""

    stream: StreamId
    number: int
    first_sequence: int
    last_sequence: int
    digest: bytes
    """Empty while it is not sealed."""


def extract(
    journal_directory: Path,
    member: MemberId,
    month: Month,
    watermarks: Watermarks,
    *,
    displaced: Sequence[Displaced] = (),
    begins: Mapping[StreamId, Beginning] = MappingProxyType({}),
) -> Iterator[tuple[Sealed, list[Extract]]]:
    """The records segment by segment, streams one after the other; a segment without any is left out.

    Exchanges billed in the month, and every change of stored bytes billed in it or before: stored bytes are the
    sum of all of them. The month is closed. Raises DamagedSegment, OlderThanKept.
    """
    refuse_older(month, begins)
    up_to = watermarks[month]
    with held_still(journal_directory):
        for directory in streams(journal_directory):
            stream = stream_of(directory)
            moved = [one for one in displaced if one.stream == stream]
            for segment in kept_chain(directory, begins.get(stream)):
                if segment.header.first_sequence > up_to.get(stream, 0):
                    break
                found = list(_of_segment(segment, member, month, watermarks, moved))
                if found:
                    yield _sealed(segment), found


def _sealed(segment: SegmentView) -> Sealed:
    header = segment.header
    digest = segment.digest if segment.sealed else b""
    last = segment.last_sequence if segment.sealed else 0
    return Sealed(header.stream, header.number, header.first_sequence, last, digest)


def _of_segment(
    segment: SegmentView,
    member: MemberId,
    month: Month,
    watermarks: Watermarks,
    displaced: Sequence[Displaced],
) -> Iterator[Extract]:
    stream, first = segment.header.stream, segment.header.first_sequence
    last = watermarks[month].get(stream, 0)
    for index, (payer, *_) in enumerate(frame.glances(segment.records)):
        if payer != member or first + index > last:
            continue
        at = index * RECORD_BYTES
        record = segment.records[at : at + RECORD_BYTES]
        sequence, recorded = frame.unpack_record(record)
        event = placed(recorded, stream=stream, sequence=sequence, displaced=displaced)
        billed = billed_in(event, stream=stream, sequence=sequence, watermarks=watermarks)
        if billed == month or (billed < month and event.marks & Mark.STORAGE):
            seed = frame.next_seed(
                segment.records[max(at - RECORD_BYTES, 0) : at], frame.record_seed(segment.header)
            )
            counted_us = event.ended_us if event.ended_us != recorded.ended_us else None
            yield Extract(stream, segment.header.number, sequence, record, seed, counted_us)
