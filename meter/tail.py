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
from meter.reader import header_of, identity, read_bytes, segments_from
from meter.segments import check_names, last_segment, number_of, placed, segment_paths


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
    """Records to ship next; perhaps none, perhaps over the ends of segments."""

    first_sequence: int
    records: bytes
    sealed: tuple[SealedSegment, ...] = ()
    """The sealed segments that are shipped whole with these records."""

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record; first_sequence - 1 for an empty batch."""
        return self.first_sequence + len(self.records) // RECORD_BYTES - 1


class Tail:
    """A place in a stream. Not safe for two threads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stream: StreamId = identity(directory)
        self._path: Path | None = None
        self._header: SegmentHeader | None = None
        self._done = 0
        self._seed = 0
        self._hash = hashlib.sha256()
        self._previous: SealedSegment | None = None
        self._ended: SealedSegment | None = None
        """The segment that is read to its seal, until the following one is entered."""

    @property
    def next_sequence(self) -> int:
        """The sequence the next batch begins with; 1 before anything was sought."""
        return 1 if self._header is None else self._header.first_sequence + self._done

    @property
    def segment_number(self) -> int:
        """The segment in which the next record stands, or will stand."""
        return 1 if self._header is None else self._header.number

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
        check_names(self.directory)
        self._previous = self._ended = None
        header = self._enter(paths[0])
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
        """The next records that are on disk, over as many segments as they fill; moves on. Raises DamagedSegment."""
        if self._header is None:
            check_names(self.directory)
            paths = segment_paths(self.directory)
            if not paths:
                return Batch(1, b"")
            self._enter(paths[0])
        first, pieces, sealed, room = self.next_sequence, list[bytes](), list[SealedSegment](), records_max
        while room:
            self._go_on()
            piece, end = self._read_piece(room)
            pieces.append(piece)
            room -= len(piece) // RECORD_BYTES
            if end is None:
                break
            sealed.append(end)
        return Batch(first, b"".join(pieces), tuple(sealed))

    def _read_piece(self, records_max: int) -> tuple[bytes, SealedSegment | None]:
        """What is new in this segment, and its link when that was the last of it."""
        header, path = self._entered()
        live = self._live(path)
        stop = min(live.published if live.sealed else live.synced, self._done + records_max)
        if stop < self._done:
            raise DamagedSegment(f"{self._name()} held {self._done} records and now holds {stop}")
        records = self._read_from(path, self._done, stop)
        if len(records) < (stop - self._done) * RECORD_BYTES:
            raise DamagedSegment(f"{self._name()} is cut off: it should hold {stop} records")
        self._check(records, header.first_sequence + self._done)
        self._hash.update(records)
        self._done = stop
        if not live.sealed or self._done < live.published:
            return records, None
        ended = SealedSegment(
            header.number, header.first_sequence, header.first_sequence + live.published - 1,
            self._hash.digest(), header.previous_digest,
        )  # fmt: skip
        if ended.digest != live.digest:
            raise DamagedSegment(f"{path.name} does not match its digest")
        if not self._is_followed(ended.number):
            # The seal may not be on the disk yet: after a power cut the segment may go on and end otherwise. Only
            # then is the next one begun.
            return records, None
        self._ended = ended
        return records, ended

    def _live(self, path: Path) -> frame.Live:
        _, live = header_of(path)
        if not live.sealed and placed(self.directory, self.segment_number + 1) is not None:
            # A writer seals before it begins the next one; it may have done both since the look above.
            _, live = header_of(path)
            if not live.sealed:
                raise DamagedSegment(f"{self._name()} was never sealed, and another one follows it")
        return live

    def _read_from(self, path: Path, start: int, stop: int) -> bytes:
        at, size = HEADER_BYTES + start * RECORD_BYTES, (stop - start) * RECORD_BYTES
        if not size:
            return b""
        if path.suffix == ".seg":
            try:
                with path.open("rb") as file:
                    file.seek(at)
                    return file.read(size)
            except FileNotFoundError:
                pass  # compressed meanwhile: read_bytes finds it under its new name
        return read_bytes(path)[at : at + size]

    def _check(self, records: bytes, first: int) -> None:
        valid = frame.valid_records(records, first_sequence=first, seed=self._seed)
        if valid * RECORD_BYTES != len(records):
            raise DamagedSegment(
                f"{self.directory.name}: record {first + valid} of segment "
                f"{self.segment_number} fails its checksum"
            )
        self._seed = frame.next_seed(records, self._seed)

    def _is_followed(self, number: int) -> bool:
        """Whether the segment after that one is begun. Raises DamagedSegment for a hole."""
        if placed(self.directory, number + 1) is not None:
            return True
        last = last_segment(self.directory)
        if last is None or number_of(last) <= number:
            return False
        # Unless the writer began it, and perhaps more, between the two looks.
        if placed(self.directory, number + 1) is None:
            raise DamagedSegment(f"{self.directory.name}: segment {number + 1} is missing")
        return True

    def _go_on(self) -> None:
        """Into the following segment once this one is read to its seal. Raises DamagedSegment for a hole."""
        if self._ended is None:
            return
        following = placed(self.directory, self._ended.number + 1)
        if following is None:
            raise DamagedSegment(f"{self.directory.name}: segment {self._ended.number + 1} is missing")
        self._previous, self._ended = self._ended, None
        self._enter(following)

    def _enter(self, path: Path) -> SegmentHeader:
        header, _ = header_of(path)
        if header.stream != self.stream:
            raise DamagedSegment(f"{path.name} belongs to stream {header.stream}, not to {self.stream}")
        if header.number != number_of(path):
            raise DamagedSegment(f"{self.directory.name}/{path.name} holds segment {header.number}")
        previous = self._previous
        if previous is not None and (header.first_sequence, header.previous_digest) != (
            previous.last_sequence + 1, previous.digest,
        ):  # fmt: skip
            raise DamagedSegment(f"segment {header.number} does not continue segment {previous.number}")
        self._path, self._header, self._done = path, header, 0
        self._seed = frame.record_seed(header)
        self._hash = hashlib.sha256(frame.pack_header(header))
        return header

    def _entered(self) -> tuple[SegmentHeader, Path]:
        assert self._header is not None, "seek or read first"
        assert self._path is not None
        return self._header, self._path

    def _name(self) -> str:
        return f"{self.directory.name}: segment {self.segment_number}"
