"""Which times a sealed segment covers, learned once and kept beside it, so that a search reads no other segments.

The file is a short cut and proves nothing: an entry that is missing, torn or unreadable is learned again.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from meter import frame
from meter.event import Mark
from meter.reader import SegmentView

FILE_NAME = "spans"
_ENTRY = struct.Struct("<QqqI")
_CRC = struct.Struct("<I")
ENTRY_BYTES = _ENTRY.size + _CRC.size
assert ENTRY_BYTES == 32
_HOLDS_STORAGE = 1
NOTHING_US = (0, -1)
"""First and last instant of a segment without records: a window nothing is in."""


@dataclass(frozen=True, slots=True)
class Span:
    """When the events of a segment ended; both instants belong to it."""

    first_us: int
    last_us: int
    holds_storage: bool
    """Whether a change of stored bytes is among them."""

    def overlaps(self, start_us: int, end_us: int) -> bool:
        """Whether an event of [start_us, end_us) may be in the segment."""
        return self.first_us < end_us and self.last_us >= start_us


def span_of(records: bytes) -> Span:
    """The span of checked records."""
    ended, marks = [], 0
    for _, _, _, _, mark, ended_us in frame.glances(records):
        ended.append(ended_us)
        marks |= mark
    first_us, last_us = (min(ended), max(ended)) if ended else NOTHING_US
    return Span(first_us, last_us, bool(marks & Mark.STORAGE))


def read(directory: Path) -> dict[int, Span]:
    """What is known of a stream's segments, by their numbers."""
    try:
        data = (directory / FILE_NAME).read_bytes()
    except (FileNotFoundError, PermissionError):
        return {}
    found = {}
    for at in range(0, len(data) - ENTRY_BYTES + 1, ENTRY_BYTES):
        number, first_us, last_us, flags = _ENTRY.unpack_from(data, at)
        (checksum,) = _CRC.unpack_from(data, at + _ENTRY.size)
        if number == at // ENTRY_BYTES + 1 and checksum == zlib.crc32(data[at : at + _ENTRY.size]):
            found[number] = Span(first_us, last_us, bool(flags & _HOLDS_STORAGE))
    return found


def keep(directory: Path, number: int, span: Span) -> None:
    """Keep a sealed segment's span; several processes may do it at once, for they write the same bytes."""
    entry = _ENTRY.pack(number, span.first_us, span.last_us, _HOLDS_STORAGE if span.holds_storage else 0)
    entry += _CRC.pack(zlib.crc32(entry))
    try:
        descriptor = os.open(directory / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return  # a journal that is only read, e.g. from a backup: it is learned again next time
    try:
        os.pwrite(descriptor, entry, (number - 1) * ENTRY_BYTES)
    finally:
        os.close(descriptor)


def learn(directory: Path, segment: SegmentView) -> Span:
    """The span of a segment that was read, kept if the segment is sealed."""
    span = span_of(segment.records)
    if segment.sealed:
        keep(directory, segment.header.number, span)
    return span
