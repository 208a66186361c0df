"""What exchanges that are still open have moved so far, in a mapped file beside the journal.

A kill -9 leaves the numbers here; the stream's next writer closes them as events of their own. How much of
them stands in the journal already, the journal itself says: a place only remembers from where to look.
Only the process that holds the stream's lock writes the file; meter/live.py reads it beside.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from meter import frame
from meter.event import Event, Mark

FILE_NAME = "ongoing"
SLOT_BYTES = 256
_USED_AT = frame.RECORD_BYTES
_WORD = frame.WORD_BYTES
_FREE_OF_CHARGE_AT = _USED_AT + _WORD
_MOVED_AT = _USED_AT + 2 * _WORD
_MOVED = struct.Struct("<qqq")
_SINCE_AT = _MOVED_AT + _MOVED.size
_SINCE = struct.Struct("<Qqq")
_CHOICE_AT = _SINCE_AT + 2 * _SINCE.size
assert _CHOICE_AT + _WORD <= SLOT_BYTES


class Recorded(NamedTuple):
    """What stands in the journal of one exchange before a sequence."""

    before_sequence: int
    moved_in: int
    moved_out: int


@dataclass(frozen=True, slots=True)
class LeftOver:
    """What a slot says after a crash."""

    at: int
    recorded: Recorded
    """Later records of the same request may follow it in the journal."""
    event: Event
    """The exchange as if nothing of it were recorded."""
    bills: bool = True
    """Whether it may bill what moved; a failure does not."""


class TooManyExchanges(Exception):
    """Every slot is taken; the exchange must be refused before a byte moves."""


def is_used(data: bytes, at: int) -> bool:
    """Whether the place at that offset of the file's bytes is taken."""
    return int.from_bytes(data[at + _USED_AT : at + _USED_AT + 8], "little") != 0


def taken_places(data: bytes) -> list[int]:
    """The offsets of all places that are taken, of the whole file's bytes."""
    words = memoryview(data).cast("Q")[_USED_AT // _WORD :: SLOT_BYTES // _WORD].tolist()
    return [index * SLOT_BYTES for index, word in enumerate(words) if word]


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

    __slots__ = ("_at", "_choice", "_latest", "_moved_at", "_owner", "_words")

    def __init__(self, owner: Ongoing, at: int, recorded: Recorded) -> None:
        self._owner = owner
        self._words = owner.words
        self._at = at
        self._moved_at = (at + _MOVED_AT) // _WORD
        self._choice = 0
        self._latest = recorded

    def moved(self, *, bytes_in: int, bytes_out: int, now_us: int) -> None:
        """State the body bytes moved so far, both absolute."""
        words, at = self._words, self._moved_at
        words[at] = bytes_in
        words[at + 1] = bytes_out
        words[at + 2] = now_us

    def recorded(self, recorded: Recorded) -> None:
        """A checkpoint stands in the journal: after a crash nobody need look before the one before it.

        One behind, because the journal is on the disk a moment after this file may be. Two places and a
        choice between them: a kill in the middle of writing one finds the other whole.
        """
        at = self._at + _SINCE_AT + (1 - self._choice) * _SINCE.size
        self._owner.map[at : at + _SINCE.size] = _SINCE.pack(*self._latest)
        self._choice = 1 - self._choice
        self._words[(self._at + _CHOICE_AT) // _WORD] = self._choice
        self._latest = recorded

    def bills_nothing(self) -> None:
        """The answer is a failure, or another that is free of charge."""
        self._words[(self._at + _FREE_OF_CHARGE_AT) // _WORD] = 1

    def free(self) -> None:
        """The exchange's event stands in the journal; forget the slot."""
        self._words[(self._at + _USED_AT) // _WORD] = 0
        self._owner.give_back(self._at)


class Ongoing:
    """All slots of one stream."""

    def __init__(self, directory: Path, *, slots_max: int) -> None:
        self._descriptor = os.open(directory / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        size = max(slots_max * SLOT_BYTES, os.fstat(self._descriptor).st_size)
        os.posix_fallocate(self._descriptor, 0, size)
        self.map = mmap.mmap(self._descriptor, size)
        self.words = frame.words(self.map)
        self._free = list(range(size - SLOT_BYTES, -1, -SLOT_BYTES))

    def open(self, event: Event, *, next_sequence: int) -> Slot:
        """Take a slot for an exchange that begins; its event states who and what. Raises TooManyExchanges.

        Nothing of it is in the journal yet: all its records will have next_sequence or a later one.
        """
        if not self._free:
            raise TooManyExchanges("every place for an open exchange is taken")
        at = self._free.pop()
        self.map[at : at + frame.RECORD_BYTES] = frame.pack_record(1, event, 0)
        nothing = Recorded(next_sequence, 0, 0)
        self.map[at + _MOVED_AT : at + _SINCE_AT] = _MOVED.pack(
            event.moved_in, event.moved_out, event.began_us
        )
        self.map[at + _SINCE_AT : at + _SINCE_AT + _SINCE.size] = _SINCE.pack(*nothing)
        self.words[(at + _CHOICE_AT) // _WORD] = self.words[(at + _FREE_OF_CHARGE_AT) // _WORD] = 0
        self.words[(at + _USED_AT) // _WORD] = 1
        return Slot(self, at, nothing)

    def give_back(self, at: int) -> None:
        """A slot is free again."""
        self._free.append(at)

    def journal_ends(self, next_sequence: int) -> None:
        """A power cut took records that this file had heard of: look for what comes now from where they stood.

        Durable at once, before anything is recorded there: else the next crash would not find it, and count twice.
        """
        is_ahead = False
        for at in taken_places(self.map[:]):
            since_at = self._since_at(at) // _WORD
            if self.words[since_at] > next_sequence:
                self.words[since_at] = next_sequence
                is_ahead = True
        if is_ahead:
            os.fsync(self._descriptor)

    def left_over(self) -> list[LeftOver]:
        """After a crash: each open exchange, closed at what it had moved. Clear each once it is recorded."""
        return [
            found
            for at in range(0, len(self.map), SLOT_BYTES)
            if self.words[(at + _USED_AT) // _WORD] and (found := self._read(at)) is not None
        ]

    def clear(self, at: int) -> None:
        """Forget a left-over: its event stands in the journal."""
        self.words[(at + _USED_AT) // _WORD] = 0

    def _read(self, at: int) -> LeftOver | None:
        event = standing(self.map[at : at + SLOT_BYTES])
        if event is None:
            return None  # killed while the slot was being taken: nothing had moved yet
        return LeftOver(
            at,
            Recorded(*_SINCE.unpack_from(self.map, self._since_at(at))),
            event._replace(
                bytes_in=event.moved_in, bytes_out=event.moved_out,
                # A clock that was set back meanwhile makes no exchange end before it began.
                ended_us=max(event.ended_us, event.began_us),
                marks=event.marks | Mark.ABORTED | Mark.RECOVERED,
            ),
            bills=not self.words[(at + _FREE_OF_CHARGE_AT) // _WORD],
        )  # fmt: skip

    def _since_at(self, at: int) -> int:
        choice = self.words[(at + _CHOICE_AT) // _WORD] & 1
        return at + _SINCE_AT + choice * _SINCE.size

    def close(self) -> None:
        """Let go of the file."""
        self.words.release()
        self.map.close()
        os.close(self._descriptor)


def rest_of(left: LeftOver, later: Sequence[Event]) -> Event | None:
    """What is still to be recorded of an exchange that a crash cut; None when its last event stands.

    later: its records that stand in the journal at or behind left.recorded.before_sequence. Pure.
    """
    if not all(event.marks & (Mark.CHECKPOINT | Mark.CORRECTION) for event in later):
        return None
    # Less moved than was recorded? Then a power cut took this file's last pages and left the journal's.
    moved_in = max(0, left.event.moved_in - left.recorded.moved_in - sum(event.moved_in for event in later))
    moved_out = max(
        0, left.event.moved_out - left.recorded.moved_out - sum(event.moved_out for event in later)
    )
    # It failed and was about to say so: what its checkpoints had billed was taken back.
    bills = left.bills and not any(event.marks & Mark.CORRECTION for event in later)
    return left.event._replace(
        bytes_in=moved_in if bills else 0, bytes_out=moved_out if bills else 0,
        moved_in=moved_in, moved_out=moved_out,
    )  # fmt: skip
