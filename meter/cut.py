"""A stream as it was at one of its records, whatever was written since: for a copy that begins there.

Segments before the cut are copied as they lie. The one that holds it becomes an open one with the records up to
there, on which a writer goes on. It reads beside a living writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meter import frame
from meter.frame import FIRST_DIGEST, HEADER_BYTES, RECORD_BYTES, SEALED_HEADER_BYTES, DamagedSegment, Live
from meter.reader import header_of, read_bytes
from meter.segments import number_of, segment_path, segment_paths


@dataclass(frozen=True, slots=True)
class CutSegment:
    """One segment of the copy."""

    path: Path
    """Where it lies; it may have been compressed since."""
    records: int | None
    """None: it is copied whole. Else so many records of it, as an open segment."""


def cut(directory: Path, last_sequence: int) -> list[CutSegment]:
    """The segments of a stream up to a record, in order. Raises DamagedSegment when the stream ends before it."""
    found = list[CutSegment]()
    reached = 0
    for path in segment_paths(directory):
        header, live = header_of(path)
        end = header.first_sequence + live.published - 1
        if header.first_sequence > last_sequence + 1:
            break
        if live.sealed and end <= last_sequence:
            found.append(CutSegment(path, None))
            reached = end
            continue
        reached = min(end, last_sequence)
        found.append(
            CutSegment(segment_path(directory, number_of(path)), reached - header.first_sequence + 1)
        )
        break
    if reached < last_sequence:
        raise DamagedSegment(
            f"{directory.name}: the journal ends with record {reached}, before {last_sequence}"
        )
    return found


def opened_anew(segment: CutSegment, *, segment_bytes: int) -> bytes:
    """A segment that is cut, as the file of an open one of `segment_bytes`. Raises DamagedSegment.

    Its unchanging header stays, so the chain does; the seal, if there is one by now, belongs to what came later.
    """
    count = segment.records
    assert count is not None, "a whole segment is copied as it lies"
    data = read_bytes(segment.path)
    header = frame.unpack_header(data)
    records = data[HEADER_BYTES : HEADER_BYTES + count * RECORD_BYTES]
    valid = frame.valid_records(records, first_sequence=header.first_sequence, seed=frame.record_seed(header))
    if valid < count:
        raise DamagedSegment(f"{segment.path.name}: record {valid + 1} of {count} fails its checksum")
    live = frame.pack_live(Live(published=count, synced=count, sealed=False, digest=FIRST_DIGEST))
    head = (data[:SEALED_HEADER_BYTES] + live).ljust(HEADER_BYTES, b"\0")
    return (head + records).ljust(segment_bytes, b"\0")
