"""What exchanges that are still open have moved so far, in a mapped file beside the journal.

A kill -9 leaves the numbers here; the stream's next writer closes them as events of their own.
Only the process that holds the stream's lock touches the file.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from meter import frame
from meter.event import Event, Mark

FILE_NAME = "ongoing"
SLOT_BYTES = 256
_USED_AT = frame.RECORD_BYTES
_USED = struct.Struct("<Q")
_CLOSING_AT = _USED_AT + _USED.size
_MOVED_AT = _CLOSING_AT + _USED.size
_MOVED = struct.Struct("<qqq")


@dataclass(frozen=True, slots=True)
class LeftOver:
    """What a slot says after a crash."""

    at: int
    closing_sequence: int
    """Not 0: the crash came while the event was being written under this sequence."""
    event: Event


class TooManyExchanges(Exception):
    """Every slot is taken; the exchange must be refused before a byte moves."""


def is_used(data: bytes, at: int) -> bool:
    """Whether the place at that offset of the file's bytes is taken."""
    return int.from_bytes(data[at + _USED_AT : at + _USED_AT + 8], "little") != 0


def standing(place: bytes) -> Event | None:
    """A taken place's exchange with what it has moved so far, ended_us the last time a byte did.

    None when its record fails the checksum: it is just being written, and nothing has moved yet.
    """
    record = place[: frame.RECORD_BYTES]
    if int.from_bytes(record[124:128], "little") != zlib.crc32(record[:124]):
        return None
    moved_in, moved_out, updated_us = _MOVED.unpack_from(place, _MOVED_AT)
    _, event = frame.unpack_record(record)
    return event._replace(moved_in=moved_in, moved_out=moved_out, ended_us=updated_us)


class Slot:
    """One open exchange's place."""

    __slots__ = ("_at", "_map", "_owner")

    def __init__(self, owner: Ongoing, at: int) -> None:
        self._owner = owner
        self._map = owner.map
        self._at = at

    def moved(self, *, bytes_in: int, bytes_out: int, now_us: int) -> None:
        """State the body bytes moved so far, both absolute."""
        _MOVED.pack_into(self._map, self._at + _MOVED_AT, bytes_in, bytes_out, now_us)

    def closing(self, sequence: int) -> None:
        """The exchange's event is about to be written under this sequence."""
        _USED.pack_into(self._map, self._at + _CLOSING_AT, sequence)

    def free(self) -> None:
        """The exchange's event stands in the journal; forget the slot."""
        _USED.pack_into(self._map, self._at + _USED_AT, 0)
        self._owner.give_back(self._at)


class Ongoing:
    """All slots of one stream."""

    def __init__(self, directory: Path, *, slots_max: int) -> None:
        self._descriptor = os.open(directory / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        size = max(slots_max * SLOT_BYTES, os.fstat(self._descriptor).st_size)
        os.posix_fallocate(self._descriptor, 0, size)
        self.map = mmap.mmap(self._descriptor, size)
        self._free = list(range(size - SLOT_BYTES, -1, -SLOT_BYTES))

    def open(self, event: Event) -> Slot:
        """Take a slot for an exchange that begins; its event states who and what. Raises TooManyExchanges."""
        if not self._free:
            raise TooManyExchanges("every place for an open exchange is taken")
        at = self._free.pop()
        self.map[at : at + frame.RECORD_BYTES] = frame.pack_record(1, event, 0)
        _MOVED.pack_into(self.map, at + _MOVED_AT, 0, 0, event.began_us)
        _USED.pack_into(self.map, at + _CLOSING_AT, 0)
        _USED.pack_into(self.map, at + _USED_AT, 1)
        return Slot(self, at)

    def give_back(self, at: int) -> None:
        """A slot is free again."""
        self._free.append(at)

    def left_over(self) -> list[LeftOver]:
        """After a crash: each open exchange, closed at what it had moved. Clear each once it is recorded."""
        return [
            found
            for at in range(0, len(self.map), SLOT_BYTES)
            if _USED.unpack_from(self.map, at + _USED_AT)[0] and (found := self._read(at)) is not None
        ]

    def clear(self, at: int) -> None:
        """Forget a left-over: its event stands in the journal."""
        _USED.pack_into(self.map, at + _USED_AT, 0)

    def _read(self, at: int) -> LeftOver | None:
        record = self.map[at : at + frame.RECORD_BYTES]
        if int.from_bytes(record[124:128], "little") != zlib.crc32(record[:124]):
            return None  # killed while the slot was being taken: nothing had moved yet
        moved_in, moved_out, updated_us = _MOVED.unpack_from(self.map, at + _MOVED_AT)
        _, event = frame.unpack_record(record)
        return LeftOver(
            at,
            _USED.unpack_from(self.map, at + _CLOSING_AT)[0],
            event._replace(
                bytes_in=moved_in, bytes_out=moved_out, moved_in=moved_in, moved_out=moved_out,
                ended_us=updated_us, marks=event.marks | Mark.ABORTED | Mark.RECOVERED,
            ),
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the file."""
        self.map.close()
        os.close(self._descriptor)
