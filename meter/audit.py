"""The journal held against what Postgres says of it: segments, chain, digests, places, watermarks, sums by key.

It only reads. Postgres' snapshot is taken first and the journal is compared up to its places, so that what is
shipped meanwhile is no difference. It names what differs and mends nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from meter import frame
from meter.audit_store import Books
from meter.columns import stored_changes, tally_share
from meter.difference import Findings, Kind
from meter.frame import RECORD_BYTES, DamagedSegment
from meter.heads import read
from meter.heads_store import StreamRow
from meter.ids import StreamId
from meter.reader import SegmentView, check_link, streams, view
from meter.retention import check_beginning
from meter.segments import number_of, segment_paths, stream_of
from meter.tally import Reading, ReadingKey, StorageKey, StoredSums, Tally
from meter.window import Credible, Month, to_datetime

FIRST_MONTH = Month(1, 1)
Step = Callable[[int], None]
"""Told how many bytes of files were read."""


@dataclass(slots=True)
class StoredSoFar:
    """Stored bytes by bucket and line, out of changes in the journal."""

    engine: str
    """The stream whose sequence is the outbox's own."""
    up_to: int
    """The last of its changes that the storage index had made when it was looked at."""
    sums: Counter[tuple[int, int]] = field(default_factory=Counter)
    last_fed: int = 0
    """The last of its changes that stands in the journal."""

    def add(self, label: str, first_sequence: int, records: memoryview) -> None:
        """Count the changes among records, but those that the index had not made yet."""
        changes, last = stored_changes(records)
        if label == self.engine and last:
            self.last_fed = max(self.last_fed, first_sequence + last - 1)
            if self.last_fed > self.up_to:
                made = max(0, self.up_to - first_sequence + 1)
                changes, _ = stored_changes(records[: made * RECORD_BYTES])
        for place, size_bytes in changes.items():
            self.sums[place] += size_bytes


@dataclass(slots=True)
class Journals:
    """One pass over all segments."""

    directory: Path
    books: Books
    findings: Findings
    stored: StoredSoFar
    step: Step
    published: int = 0
    segments: int = 0
    unshipped: int = 0

    def check(self, sums: Tally, *, part: int, parts: int) -> None:
        """Look at every segment, and add up what every parts-th payer did up to Postgres' places."""
        here: dict[StreamId, str] = {}
        for directory in streams(self.directory):
            stream, label = stream_of(directory), directory.name
            if stream in here:
                self.findings.add(
                    Kind.SEGMENT, label, f"stream {stream} is here twice, as {here[stream]} and {label}"
                )
                continue
            here[stream] = label
            self._check_stream(directory, stream, sums, part=part, parts=parts)
        for stream, row in self.books.streams.items():
            if stream not in here and row.last_sequence:
                self.findings.add(
                    Kind.PLACE, row.label,
                    f"stream {row.label} ({stream}) has {row.last_sequence} records in the sums, and its journal "
                    "is not here",
                )  # fmt: skip

    def _check_stream(self, directory: Path, stream: StreamId, sums: Tally, *, part: int, parts: int) -> None:
        row = self.books.streams.get(stream)
        place = 0 if row is None else row.last_sequence
        tails = _tails(self.books, stream)
        before: SegmentView | None = None
        is_first, last = True, 0
        for path in segment_paths(directory):
            where = f"{directory.name}/{path.name}"
            size_bytes = _size_of(path)
            try:
                segment = view(path, stream=stream)
                last = max(last, segment.last_sequence)
                self._check_one(where, segment, stream, row, tails)
                if is_first:
                    check_beginning(directory.name, segment, self.books.begins.get(stream))
                elif before is not None:
                    check_link(before, segment)
            except DamagedSegment as damage:
                self.findings.add(Kind.SEGMENT, where, f"{directory.name}: {damage}", size_bytes=size_bytes)
                segment = None
            is_first, before = False, segment
            if segment is not None:
                self._count(directory.name, segment, sums, place, part=part, parts=parts)
            self.segments += 1
            self.step(size_bytes)
        self.published += last
        self.unshipped += max(0, last - place)
        if last < place:
            self.findings.add(
                Kind.PLACE, directory.name,
                f"{directory.name}: PostgreSQL counted up to record {place}, and the journal ends with {last}",
            )  # fmt: skip

    def _check_one(
        self, where: str, segment: SegmentView, stream: StreamId, row: StreamRow | None,
        tails: Mapping[int, list[tuple[int, int, str]]],
    ) -> None:  # fmt: skip
        number, first = segment.header.number, segment.header.first_sequence
        if number != number_of(Path(where)):
            raise DamagedSegment(f"the file {where} holds segment {number}")
        link = self.books.links.get(stream, {}).get(number)
        if link is not None and (link.digest, link.first_sequence, link.last_sequence) != (
            segment.digest, first, segment.last_sequence,
        ):  # fmt: skip
            self.findings.add(
                Kind.DIGEST, where, f"{where} is whole, and not the segment that was shipped",
                size_bytes=len(segment.records),
            )  # fmt: skip
        if row is not None and first <= row.last_sequence <= segment.last_sequence:
            at = (row.last_sequence - first) * RECORD_BYTES
            if hashlib.sha256(segment.records[at : at + RECORD_BYTES]).digest() != row.last_record:
                self.findings.add(
                    Kind.PLACE,
                    where,
                    f"{where}: record {row.last_sequence} is not the one that was shipped last",
                )
        for head, last_sequence, digest in tails.get(number, ()):
            records = segment.records[: (last_sequence - first + 1) * RECORD_BYTES]
            if frame.segment_digest(segment.header, records).hex() != digest:
                self.findings.add(
                    Kind.HEAD,
                    where,
                    f"{where}: the records up to {last_sequence} are not those head {head} signed",
                )

    def _count(
        self, label: str, segment: SegmentView, sums: Tally, place: int, *, part: int, parts: int
    ) -> None:
        header, records = segment.header, memoryview(segment.records)
        first = header.first_sequence
        if not part:
            self.stored.add(label, first, records)
        for run in alike(self.books, header.stream, first, min(place, segment.last_sequence)):
            piece = records[(run.first - first) * RECORD_BYTES : (run.last - first + 1) * RECORD_BYTES]
            sums.take_in(
                tally_share(piece, first_open=run.first_open, credible=run.credible, part=part, parts=parts)
            )


class Alike(NamedTuple):
    """Records that follow each other and were counted in the same way."""

    first: int
    last: int
    first_open: Month
    """The first month that was not closed when they were shipped."""
    credible: Credible | None
    """Which instants could be true then, where some of them could not."""


def alike(books: Books, stream: StreamId, first: int, last: int) -> Iterator[Alike]:
    """The records of a stream in such runs: meter.recount.billed_in and meter.tally.placed, for many at once."""
    marks = {month: places.get(stream, 0) for month, places in books.watermarks.items()}
    displaced = [one for one in books.displaced if one.stream == stream]
    edges = {first, last + 1, *(mark + 1 for mark in marks.values())}
    for one in displaced:
        edges |= {one.first_sequence, one.last_sequence + 1}
    starts = sorted(edge for edge in edges if first <= edge <= last + 1)
    for start, stop in pairwise(starts):
        closed = [month for month, mark in marks.items() if start > mark]
        yield Alike(
            start, stop - 1, max(closed).next() if closed else FIRST_MONTH,
            next((one.credible for one in displaced if one.first_sequence <= start <= one.last_sequence), None),
        )  # fmt: skip


def _size_of(path: Path) -> int:
    """Bytes of a segment's file, also of one that is compressed while we look."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return path.with_suffix(".seg.zst").stat().st_size


def _tails(books: Books, stream: StreamId) -> dict[int, list[tuple[int, int, str]]]:
    """Segment number to (head, last sequence, digest) of each tail that a head signed in it."""
    found: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    for kept in books.heads:
        for tip in read(kept.page).tips:
            if tip.stream == str(stream) and tip.tail_digest:
                found[tip.segment + 1].append((kept.number, tip.last_sequence, tip.tail_digest))
    return found


def compare_readings(findings: Findings, counted: Tally, key: ReadingKey, kept: Reading) -> None:
    """Hold one row of Postgres against the journal, and strike it off."""
    found = counted.readings.pop(key, None)
    if found != kept:
        _differ(findings, Kind.READING, key, kept, found or Reading())


def compare_storage(findings: Findings, counted: Tally, key: StorageKey, kept: StoredSums) -> None:
    """The same for changes of stored bytes."""
    found = counted.storage.pop(key, None)
    if found != kept:
        _differ(findings, Kind.STORAGE, key, kept, found or StoredSums())


def compare_rest(findings: Findings, counted: Tally) -> None:
    """What is left of the journal's sums has no row in Postgres."""
    for key, found in counted.readings.items():
        _differ(findings, Kind.READING, key, Reading(), found)
    for stored_key, stored in counted.storage.items():
        _differ(findings, Kind.STORAGE, stored_key, StoredSums(), stored)


_KEY_WORDS = {
    Kind.READING: ("payer", "bucket", "operation", "class", "zone", "correction"),
    Kind.STORAGE: ("member", "bucket", "line"),
}
_BYTES = ("bytes_in", "bytes_out", "delta")


def _differ(
    findings: Findings,
    kind: Kind,
    key: tuple[object, ...],
    kept: Reading | StoredSums,
    found: Reading | StoredSums,
) -> None:
    period, hour_us, *numbers = key
    assert isinstance(hour_us, int)
    where = f"{to_datetime(hour_us):%Y-%m-%dT%HZ} booked to {period}"
    where += "".join(f", {word} {number}" for word, number in zip(_KEY_WORDS[kind], numbers, strict=False))
    names = [name for name in type(kept).__slots__ if getattr(kept, name) != getattr(found, name)]
    told = "; ".join(
        f"{name} is {getattr(kept, name)} in PostgreSQL and {getattr(found, name)} in the journal"
        for name in names
    )
    size_bytes = sum(abs(getattr(kept, name) - getattr(found, name)) for name in names if name in _BYTES)
    findings.add(kind, where, f"{where}: {told}", size_bytes=size_bytes)


def check_watermarks(findings: Findings, books: Books) -> None:
    """Closed months: never beyond what was shipped, never before the month that was closed earlier."""
    before: dict[StreamId, int] = {}
    earlier: Month | None = None
    for month in sorted(books.watermarks):
        marks = books.watermarks[month]
        for stream, last in marks.items():
            row = books.streams.get(stream)
            place = 0 if row is None else row.last_sequence
            if last > place:
                findings.add(
                    Kind.WATERMARK, str(month),
                    f"{month} was closed with record {last} of stream {stream}, of which {place} were shipped",
                )  # fmt: skip
        for stream, last in before.items():
            if marks.get(stream, 0) < last:
                findings.add(
                    Kind.WATERMARK, str(month),
                    f"{month} was closed with record {marks.get(stream, 0)} of stream {stream}, and {earlier} "
                    f"before it with {last}",
                )  # fmt: skip
        before, earlier = dict(marks), month
