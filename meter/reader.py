"""The reader's side of a stream: what has been published, from mapped, sealed and compressed segments alike.

It reads beside a living writer, changes nothing, and names each damage instead of skipping it.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import zstandard

from meter import frame
from meter.event import Event
from meter.frame import HEADER_BYTES, RECORD_BYTES, DamagedSegment, SegmentHeader
from meter.ids import StreamId
from meter.segments import (
    check_names,
    last_segment,
    number_of,
    placed,
    read_identity,
    segment_path,
    segment_paths,
    sync_directory,
)

_REQUEST_ID = struct.Struct("<8x16s104x")
SEGMENT_BYTES_MAX = 2**30
"""A segment larger than this is refused before memory is spent on it."""
PACKING_LEVEL = 1
"""Of zstd. Records are short and half random: level 6 took seven times as long and made them a tenth larger."""


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
    """The streams' directories: also one that lost its stream.id and still holds segments."""
    if not journal_directory.is_dir():
        return []
    return sorted(
        path
        for path in journal_directory.iterdir()
        if path.is_dir() and ((path / "stream.id").exists() or last_segment(path) is not None)
    )


def identity(directory: Path) -> StreamId:
    """The stream a directory holds, changing nothing. Raises DamagedSegment when id and segments disagree."""
    path = directory / "stream.id"
    if not path.exists():
        raise DamagedSegment(f"{directory.name} has segments and no stream.id")
    stream = read_identity(path)
    last = last_segment(directory)
    if last is not None:
        header, _ = header_of(last)
        if header.stream != stream:
            raise DamagedSegment(f"{last.name} belongs to stream {header.stream}, not to {stream}")
    return stream


def read_bytes(path: Path) -> bytes:
    """A segment's bytes, uncompressed; a segment compressed meanwhile is found under its new name.

    Raises DamagedSegment when it is gone, too.
    """
    number = number_of(path)
    for _ in range(2):
        found = placed(path.parent, number)
        if found is None:
            break
        try:
            return _decompressed(found) if found.suffix == ".zst" else found.read_bytes()
        except FileNotFoundError:
            continue  # compressed between the look and the reading
    raise DamagedSegment(f"{path.parent.name}: segment {number} is gone")


def _decompressed(path: Path) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=SEGMENT_BYTES_MAX)
    except zstandard.ZstdError as error:
        raise DamagedSegment(f"{path.name} does not decompress: {error}") from error


def view(path: Path, *, stream: StreamId) -> SegmentView:
    """Read and check one segment. Raises DamagedSegment."""
    header, live = header_of(path)
    data = read_bytes(path)
    if header.stream != stream:
        raise DamagedSegment(f"{path.name} belongs to stream {header.stream}, not to {stream}")
    if header.number != number_of(path):
        raise DamagedSegment(f"{path.name} holds segment {header.number}")
    records = data[HEADER_BYTES : HEADER_BYTES + live.published * RECORD_BYTES]
    valid = frame.valid_records(records, first_sequence=header.first_sequence, seed=frame.record_seed(header))
    if valid < live.published:
        raise DamagedSegment(
            f"{path.parent.name}/{path.name}: record {valid + 1} of {live.published} fails its checksum"
        )
    if live.sealed and frame.segment_digest(header, records) != live.digest:
        raise DamagedSegment(f"{path.parent.name}/{path.name} does not match its digest")
    return SegmentView(header, records, live.synced, live.sealed, live.digest)


def chain(directory: Path, *, from_sequence: int = 1) -> Iterator[SegmentView]:
    """The stream's segments in order, from the one that holds from_sequence, each checked against the one before.

    Raises DamagedSegment for a missing, doubled or foreign segment and for a broken chain.
    """
    stream = identity(directory)
    check_names(directory)
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
    # Each look opens a file, so halves: a stream keeps years of segments.
    return paths[max(0, bisect_right(paths, sequence, key=first_sequence) - 1) :]


def first_sequence(path: Path) -> int:
    """The first sequence of a segment, from its header alone. Raises DamagedSegment."""
    return header_of(path)[0].first_sequence


def header_of(path: Path) -> tuple[SegmentHeader, frame.Live]:
    """Both halves of a segment's header, plain or compressed. Raises DamagedSegment, which names the segment."""
    data = read_header_bytes(path)
    if frame.says_sealed(data):
        # It may have been sealed while these bytes were copied, some of them from before and some from after. The
        # writer sets the flag last: whoever has seen it reads all that belongs to it, if they read again.
        data = read_header_bytes(path)
    try:
        return frame.unpack_header(data), frame.unpack_live(data)
    except DamagedSegment as damage:
        raise DamagedSegment(f"{path.parent.name}/{path.name}: {damage}") from None


def read_header_bytes(path: Path) -> bytes:
    """The first HEADER_BYTES; a segment compressed meanwhile is read under its new name. Raises DamagedSegment."""
    try:
        if path.suffix == ".zst":
            with zstandard.open(path, "rb") as packed:
                data = bytes(packed.read(HEADER_BYTES))
            if len(data) < HEADER_BYTES:
                raise DamagedSegment(f"{path.name} does not decompress to a segment")
            return data
        with path.open("rb") as file:
            return file.read(HEADER_BYTES)
    except zstandard.ZstdError as error:
        raise DamagedSegment(f"{path.name} does not decompress: {error}") from error
    except FileNotFoundError:
        return read_bytes(path)[:HEADER_BYTES]


def published_sequence(directory: Path) -> int:
    """The last sequence a reader may trust; 0 when nothing was ever written. Raises DamagedSegment."""
    path = last_segment(directory)
    if path is None:
        return 0
    header, live = header_of(path)
    return header.first_sequence + live.published - 1


def events_of(directory: Path, since: Mapping[bytes, int]) -> dict[bytes, list[Event]]:
    """What stands in the journal of these requests, of each at or behind its sequence. Raises DamagedSegment.

    Checksums are not looked at.
    """
    found: dict[bytes, list[Event]] = {}
    from_sequence = min(since.values(), default=0)
    for path in segments_from(directory, from_sequence) if since else ():
        data = memoryview(read_bytes(path))
        first, live = frame.unpack_header(data).first_sequence, frame.unpack_live(data)
        records = data[HEADER_BYTES : HEADER_BYTES + live.published * RECORD_BYTES]
        start = max(0, from_sequence - first)
        for index, (request_id,) in enumerate(
            _REQUEST_ID.iter_unpack(records[start * RECORD_BYTES :]), start
        ):
            if since.get(request_id, first + index + 1) <= first + index:
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
    """Replace a sealed segment by its zstd form: written, fsynced, named, and only then the old one removed.

    Raises DamagedSegment when the number is there twice, with other bytes.
    """
    path = segment_path(directory, number)
    packed = path.with_suffix(".seg.zst")
    content = path.read_bytes()
    if packed.exists() and _decompressed(packed) != content:
        raise DamagedSegment(f"{directory.name}: segment {number} is there twice, and the two differ")
    fresh = directory / f"{number:012d}.zst.new"
    with fresh.open("wb") as file:
        file.write(zstandard.ZstdCompressor(level=PACKING_LEVEL).compress(content))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(packed)
    sync_directory(directory)
    path.unlink()
