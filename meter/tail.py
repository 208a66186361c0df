"""Follows one stream for the shipper: only what is on disk, each byte read and checked once.

It remembers its place in memory; where shipping stands is known to Postgres alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from meter import frame
from meter.frame import HEADER_BYTES, RECORD_BYTES, DamagedSegment, SegmentHeader
from meter.ids import StreamId
from meter.journal import segment_paths, stream_of
from meter.reader import read_bytes, read_header_bytes, segments_from


class LostRecords(DamagedSegment):
    """The journal does not hold a record that must come next: bytes would go unbilled unseen."""


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """What Postgres keeps as proof of a segment that was shipped whole."""

    number: int
    first_sequence: int
    last_sequence: int
    digest: bytes
    previous_digest: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Records to ship next; perhaps none, perhaps the end of a segment."""

    first_sequence: int
    records: bytes
    sealed: SealedSegment | None = None
    """Set when with these records a sealed segment is shipped whole."""

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record; first_sequence - 1 for an empty batch."""
        return self.first_sequence + len(self.records) // RECORD_BYTES - 1


class Tail:
    """A place in a stream. Not safe for two threads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stream: StreamId = stream_of(directory)
        self._path: Path | None = None
        self._header: SegmentHeader | None = None
        self._done = 0
        self._seed = 0
        self._hash = hashlib.sha256()
        self._previous: SealedSegment | None = None

    @property
    def next_sequence(self) -> int:
        """The sequence the next batch begins with; 1 before anything was sought."""
        return 1 if self._header is None else self._header.first_sequence + self._done

    def seek(self, sequence: int) -> None:
        """Stand before `sequence`. Raises LostRecords when the journal ends before it or begins after it."""
        # Into the segment of the record before: if it was sealed only after that was shipped, its link is still due.
        paths = segments_from(self.directory, max(sequence - 1, 1))
        if not paths:
            if sequence != 1:
                raise LostRecords(
                    f"{self.directory.name}: record {sequence} should be next, the journal is empty"
                )
            return
        self._previous = None
        self._enter(paths[0])
        header = self._entered()
        skip = sequence - header.first_sequence
        data = read_bytes(paths[0])
        published = frame.unpack_live(data).published
        if not 0 <= skip <= published:
            last = header.first_sequence + published - 1
            raise LostRecords(
                f"{self.directory.name}: record {sequence} should be next, the journal holds "
                f"{header.first_sequence} to {last}"
            )
        skipped = data[HEADER_BYTES : HEADER_BYTES + skip * RECORD_BYTES]
        self._check(skipped, header.first_sequence)
        self._hash.update(skipped)
        self._done = skip

    def record_before(self) -> bytes | None:
        """The record just before this place, as it stands in the journal; None at the very start."""
        sequence = self.next_sequence - 1
        if sequence == 0:
            return None
        path = segments_from(self.directory, sequence)[0]
        data = read_bytes(path)
        at = HEADER_BYTES + (sequence - frame.unpack_header(data).first_sequence) * RECORD_BYTES
        return data[at : at + RECORD_BYTES]

    def read(self, records_max: int) -> Batch:
        """The next records that are on disk; moves on. Raises DamagedSegment."""
        if self._header is None:
            paths = segment_paths(self.directory)
            if not paths:
                return Batch(1, b"")
            self._enter(paths[0])
        header, path = self._entered(), self._path
        assert path is not None
        live, records = self._read_new(path, records_max)
        first = self.next_sequence
        self._check(records, first)
        self._hash.update(records)
        self._done += len(records) // RECORD_BYTES
        if not live.sealed or self._done < live.published:
            return Batch(first, records)
        sealed = SealedSegment(
            header.number, header.first_sequence, header.first_sequence + live.published - 1,
            self._hash.digest(), header.previous_digest,
        )  # fmt: skip
        if sealed.digest != live.digest:
            raise DamagedSegment(f"{path.name} does not match its digest")
        self._step(sealed)
        return Batch(first, records, sealed)

    def _read_new(self, path: Path, records_max: int) -> tuple[frame.Live, bytes]:
        live = frame.unpack_live(read_header_bytes(path))
        stop = min(live.published if live.sealed else live.synced, self._done + records_max)
        at, size = HEADER_BYTES + self._done * RECORD_BYTES, (stop - self._done) * RECORD_BYTES
        if path.suffix == ".zst" or not path.exists():
            return live, read_bytes(path)[at : at + size]
        with path.open("rb") as file:
            file.seek(at)
            return live, file.read(size)

    def _check(self, records: bytes, first: int) -> None:
        header = self._entered()
        valid = frame.valid_records(records, first_sequence=first, seed=self._seed)
        if valid * RECORD_BYTES != len(records):
            raise DamagedSegment(
                f"{self.directory.name}: record {first + valid} of segment {header.number} fails its checksum"
            )
        self._seed = frame.next_seed(records, self._seed)

    def _enter(self, path: Path) -> None:
        header = frame.unpack_header(read_header_bytes(path))
        if header.stream != self.stream:
            raise DamagedSegment(f"{path.name} belongs to stream {header.stream}, not to {self.stream}")
        previous = self._previous
        if previous is not None and (header.number, header.first_sequence, header.previous_digest) != (
            previous.number + 1, previous.last_sequence + 1, previous.digest,
        ):  # fmt: skip
            raise DamagedSegment(f"segment {header.number} does not continue segment {previous.number}")
        self._path, self._header, self._done = path, header, 0
        self._seed = frame.record_seed(header)
        self._hash = hashlib.sha256(frame.pack_header(header))

    def _step(self, sealed: SealedSegment) -> None:
        """Go to the following segment if it is there already; else stay, and the next read tries again."""
        following = [
            path for path in segment_paths(self.directory) if int(path.name.split(".")[0]) > sealed.number
        ]
        if following:
            self._previous = sealed
            self._enter(following[0])

    def _entered(self) -> SegmentHeader:
        assert self._header is not None, "seek or read first"
        return self._header
