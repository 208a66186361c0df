"""What a crash left at the end of a stream's last segment, made fit to be written on.

What was final counts. What was only held is written off: it bills nothing, and is counted. What is torn is
kept beside the segment. It is for the stream's writer, which holds its lock.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NamedTuple

from meter import frame
from meter.event import Mark
from meter.frame import HEADER_BYTES, RECORD_BYTES, SegmentHeader
from meter.segments import free_torn_path, write_durably

log = logging.getLogger(__name__)


class SettledEnd(NamedTuple):
    """Where the next record goes."""

    records: int
    """So many stand."""
    torn_bytes: int


def settle_end(path: Path, header: SegmentHeader, live: frame.Live) -> SettledEnd:
    """Count the records that stand, and clear what is behind them. Raises DamagedSegment."""
    body = memoryview(path.read_bytes())[HEADER_BYTES:]
    count = frame.valid_records(body, first_sequence=header.first_sequence, seed=frame.record_seed(header))
    if count < live.synced:
        raise frame.DamagedSegment(
            f"{path.parent.name}/{path.name}: record {count + 1} of {live.synced} that were on disk fails its checksum"
        )
    count += _write_off_held(path, body, count, header)
    rest = bytes(body[count * RECORD_BYTES :])
    torn = rest.rstrip(b"\0")
    if torn:
        log.error("torn tail: stream=%s segment=%s bytes=%d", header.stream, path.name, len(torn))
        write_durably(free_torn_path(path), torn)
        with path.open("r+b") as file:
            file.seek(HEADER_BYTES + count * RECORD_BYTES)
            file.write(bytes(len(rest)))
            file.flush()
            os.fsync(file.fileno())
    return SettledEnd(records=count, torn_bytes=len(torn))


def _write_off_held(path: Path, body: memoryview, count: int, header: SegmentHeader) -> bool:
    """Whether a record was held when its writer died.

    Nobody can show what of its answer had left, so it bills nothing; as moved it says what can have at most.
    """
    sequence = header.first_sequence + count
    before, behind = body[: count * RECORD_BYTES], body[count * RECORD_BYTES :]
    seed = frame.next_seed(before, frame.record_seed(header))
    held = frame.held_event(behind[:RECORD_BYTES], sequence=sequence, seed=seed)
    if held is None:
        return False
    marks = held.marks | Mark.ABORTED | Mark.RECOVERED
    written_off = held._replace(bytes_in=0, bytes_out=0, marks=marks)
    with path.open("r+b", buffering=0) as file:
        file.seek(HEADER_BYTES + len(before))
        # In one call: no kill leaves half of it.
        file.write(frame.pack_record(sequence, written_off, seed))
    log.warning("a held record is written off: stream=%s sequence=%d", header.stream, sequence)
    return True
