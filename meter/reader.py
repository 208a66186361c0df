"""The reader's side of a stream: what has been published, from mapped, sealed and compressed segments alike.

It reads beside a living writer, changes nothing, and names each damage instead of skipping it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from meter import frame
from meter.event import Event
from meter.frame import HEADER_BYTES, RECORD_BYTES, DamagedSegment, SegmentHeader
from meter.ids import StreamId
from meter.journal import segment_path, segment_paths, stream_of, sync_directory

_REQUEST_ID = struct.Struct("<8x16s104x")
SEGMENT_BYTES_MAX = 2**30
"""A segment larger than this is refused before memory is spent on it."""


@dataclass(frozen=True, slots=True)
class SegmentView:
    """A segment's checked content at one moment."""

    header: SegmentHeader
    records: bytes
    """Published records only, RECORD_BYTES each."""
    synced: int
    """How many of them are known to be on disk."""
    sealed: bool
    digest: bytes

    @property
    def count(self) -> int:
        """Published records."""
        return len(self.records) // RECORD_BYTES

    @property
    def last_sequence(self) -> int:
        """Sequence of the last published record; first_sequence - 1 when there is none."""
        return self.header.first_sequence + self.count - 1


def streams(journal_directory: Path) -> list[Path]:
    """The streams' directories."""
    if not journal_directory.is_dir():
        return []
    return sorted(path.parent for path in journal_directory.glob("*/stream.id"))


def read_bytes(path: Path) -> bytes:
    """A segment's bytes, uncompressed; a segment compressed meanwhile is found under its new name."""
    try:
        if path.suffix == ".zst":
            return _decompressed(path)
        return path.read_bytes()
    except FileNotFoundError:
        packed = path.with_suffix(".seg.zst")
        if path.suffix == ".zst" or not packed.exists():
            raise
        return _decompressed(packed)


def _decompressed(path: Path) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=SEGMENT_BYTES_MAX)
    except zstandard.ZstdError as error:
        raise DamagedSegment(f"{path.name} does not decompress: {error}") from error


def view(path: Path, *, stream: StreamId) -> SegmentView:
    """Read and check one segment. Raises DamagedSegment."""
    data = read_bytes(path)
    header = frame.unpack_header(data)
    live = frame.unpack_live(data)
    if header.stream != stream:
        raise DamagedSegment(f"{path.name} belongs to stream {header.stream}, not to {stream}")
    records = data[HEADER_BYTES : HEADER_BYTES + live.published * RECORD_BYTES]
    valid = frame.valid_records(records, first_sequence=header.first_sequence, seed=frame.record_seed(header))
    if valid < live.published:
        raise DamagedSegment(f"{path.name}: record {valid + 1} of {live.published} fails its checksum")
    if live.sealed and frame.segment_digest(header, records) != live.digest:
        raise DamagedSegment(f"{path.name} does not match its digest")
    return SegmentView(header, records, live.synced, live.sealed, live.digest)


def chain(directory: Path, *, from_sequence: int = 1) -> Iterator[SegmentView]:
    """The stream's segments in order, from the one that holds from_sequence, each checked against the one before.

    Raises DamagedSegment for a missing, doubled or foreign segment and for a broken chain.
    """
    stream = stream_of(directory)
    before: SegmentView | None = None
    for path in segments_from(directory, from_sequence):
        segment = view(path, stream=stream)
        if before is not None:
            check_link(before, segment)
        yield segment
        before = segment


def check_link(before: SegmentView, after: SegmentView) -> None:
    """Raises DamagedSegment unless `after` is the next segment and names the digest of `before`."""
    number = before.header.number + 1
    if after.header.number != number:
        raise DamagedSegment(f"segment {number} is missing; segment {after.header.number} follows instead")
    if not before.sealed or after.header.previous_digest != before.digest:
        raise DamagedSegment(f"segment {number} does not continue segment {before.header.number}")
    if after.header.first_sequence != before.last_sequence + 1:
        raise DamagedSegment(f"segment {number} begins at {after.header.first_sequence}, a gap")


def segments_from(directory: Path, sequence: int) -> list[Path]:
    """The paths from the segment that holds `sequence` on; all of them if it is before the first."""
    paths = segment_paths(directory)
    start = 0
    for index, path in enumerate(paths):
        if first_sequence(path) <= sequence:
            start = index
        else:
            break
    return paths[start:]


def first_sequence(path: Path) -> int:
    """The first sequence of a segment, from its header alone. Raises DamagedSegment."""
    if path.suffix == ".zst":
        try:
            with zstandard.open(path, "rb") as file:
                data = file.read(HEADER_BYTES)
        except zstandard.ZstdError as error:
            raise DamagedSegment(f"{path.name} does not decompress: {error}") from error
    else:
        data = read_header_bytes(path)
    return frame.unpack_header(data).first_sequence


def read_header_bytes(path: Path) -> bytes:
    """The first HEADER_BYTES; a segment compressed meanwhile is read under its new name."""
    try:
        with path.open("rb") as file:
            return file.read(HEADER_BYTES)
    except FileNotFoundError:
        return read_bytes(path)[:HEADER_BYTES]


def published_sequence(directory: Path) -> int:
    """The last sequence a reader may trust; 0 when nothing was ever written."""
    paths = segment_paths(directory)
    if not paths:
        return 0
    data = (
        read_header_bytes(paths[-1]) if paths[-1].suffix == ".seg" else read_bytes(paths[-1])[:HEADER_BYTES]
    )
    return frame.unpack_header(data).first_sequence + frame.unpack_live(data).published - 1


def events_of(
    directory: Path, request_ids: Collection[bytes], from_sequence: int
) -> dict[bytes, list[Event]]:
    """What stands in the journal of these requests at or behind from_sequence. Raises DamagedSegment.

    Checksums are not looked at.
    """
    found: dict[bytes, list[Event]] = {}
    for path in segments_from(directory, from_sequence) if request_ids else ():
        data = memoryview(read_bytes(path))
        first, live = frame.unpack_header(data).first_sequence, frame.unpack_live(data)
        records = data[HEADER_BYTES : HEADER_BYTES + live.published * RECORD_BYTES]
        start = max(0, from_sequence - first)
        for index, (request_id,) in enumerate(
            _REQUEST_ID.iter_unpack(records[start * RECORD_BYTES :]), start
        ):
            if request_id in request_ids:
                _, event = frame.unpack_record(records[index * RECORD_BYTES :])
                found.setdefault(request_id, []).append(event)
    return found


def event_at(directory: Path, sequence: int) -> Event | None:
    """The event of that sequence; None when the journal does not hold it. Its checksum is not looked at."""
    paths = segments_from(directory, sequence)
    if not paths:
        return None
    at = HEADER_BYTES + (sequence - first_sequence(paths[0])) * RECORD_BYTES
    if paths[0].suffix == ".zst" or not paths[0].exists():
        record = read_bytes(paths[0])[at : at + RECORD_BYTES]
    else:
        with paths[0].open("rb") as file:
            file.seek(at)
            record = file.read(RECORD_BYTES)
    if len(record) < RECORD_BYTES:
        return None
    found, event = frame.unpack_record(record)
    return event if found == sequence else None


def compress(directory: Path, number: int) -> None:
    """Replace a sealed segment by its zstd form: written, fsynced, named, and only then the old one removed."""
    path = segment_path(directory, number)
    fresh = directory / f"{number:012d}.zst.new"
    with fresh.open("wb") as file:
        file.write(zstandard.ZstdCompressor(level=6).compress(path.read_bytes()))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path.with_suffix(".seg.zst"))
    sync_directory(directory)
    path.unlink()
