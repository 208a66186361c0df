"""What happens just now: exchanges that are still open, and what the journals hold beyond the sums.

It reads beside the living writers, takes no lock and changes nothing. What it says is for people and for
caps; bills come from the sums.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from meter import frame
from meter.caps import CAPPED_LINES
from meter.event import Event, RequestClass
from meter.frame import HEADER_BYTES, RECORD_BYTES, DamagedSegment
from meter.ids import MemberId, StreamId
from meter.ongoing import FILE_NAME, SLOT_BYTES, is_used, standing, taken_places
from meter.reader import read_bytes, segments_from, streams
from meter.segments import segment_path, stream_of
from meter.tally import billable_requests, tally
from meter.usage import Usage
from meter.window import Month

RECORDS_AT_ONCE = 4096


class OpenExchange(NamedTuple):
    """One exchange that has not ended yet."""

    stream: str
    event: Event
    """Who and what; moved_in and moved_out up to ended_us, which is when a byte moved last."""


def open_exchanges(journal_directory: Path) -> list[OpenExchange]:
    """Every exchange that keeps a place just now, the oldest first."""
    found = [one for directory in streams(journal_directory) for one in open_in(directory)]
    return sorted(found, key=lambda one: (one.event.began_us, one.event.request_id))


def open_in(directory: Path) -> Iterator[OpenExchange]:
    """Those of one stream, in no order."""
    try:
        file = (directory / FILE_NAME).open("rb", buffering=0)
    except FileNotFoundError:
        return  # nothing of this stream was ever long
    with file:
        for at in taken_places(file.read()):
            event = steady(partial(os.pread, file.fileno(), SLOT_BYTES, at))
            if event is not None:
                yield OpenExchange(directory.name, event)


def steady(look: Callable[[], bytes]) -> Event | None:
    """The exchange at a place that is looked at thrice; None when it ended, or another came, meanwhile.

    A writer says who, then sets the numbers to nothing, then says that the place is taken: so numbers seen between
    two looks at the same taken place are of that exchange.
    """
    before, numbers, after = look(), look(), look()
    if not (is_used(before, 0) and is_used(after, 0)) or before[:RECORD_BYTES] != after[:RECORD_BYTES]:
        return None
    return standing(after[:RECORD_BYTES] + numbers[RECORD_BYTES:])


@dataclass(frozen=True, slots=True)
class OpenSums:
    """Open exchanges added up."""

    exchanges: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def plus(self, event: Event) -> OpenSums:
        """With one more."""
        return OpenSums(self.exchanges + 1, self.bytes_in + event.moved_in, self.bytes_out + event.moved_out)


def open_by_payer(found: Iterable[OpenExchange]) -> dict[MemberId, OpenSums]:
    """Open exchanges by who pays, in order of their numbers; nobody pays before a request is let in."""
    sums: dict[MemberId, OpenSums] = {}
    for one in found:
        sums[one.event.payer] = sums.get(one.event.payer, OpenSums()).plus(one.event)
    return dict(sorted(sums.items()))


class Follower:
    """Reads what is published of one stream from a place on, each byte once. Not safe for two threads."""

    def __init__(self, directory: Path, *, after: int) -> None:
        self.directory = directory
        self._stream = stream_of(directory)
        self._next = after + 1
        self._file: IO[bytes] | None = None
        self._packed: bytes | None = None
        self._number = 0
        self._first = 0
        self._seed = 0

    def read(self) -> bytes:
        """The next records, RECORDS_AT_ONCE at most; empty when there is none yet. Raises DamagedSegment."""
        if not self._number and not self._find():
            return b""
        while True:
            live = frame.unpack_live(self._at(0, HEADER_BYTES))
            done = self._next - self._first
            count = min(live.published - done, RECORDS_AT_ONCE)
            if count < 0:
                raise DamagedSegment(f"{self.directory.name}: record {self._next - 1} is not there any more")
            if count:
                return self._take(done, count)
            if not live.sealed or not self._enter(self._number + 1):
                return b""

    def close(self) -> None:
        """Let go of the segment."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self, done: int, count: int) -> bytes:
        records = self._at(HEADER_BYTES + done * RECORD_BYTES, count * RECORD_BYTES)
        valid = frame.valid_records(records, first_sequence=self._next, seed=self._seed)
        if valid < count:
            raise DamagedSegment(f"{self.directory.name}: record {self._next + valid} fails its checksum")
        self._seed = frame.next_seed(records, self._seed)
        self._next += count
        return records

    def _find(self) -> bool:
        """Enter the segment of the first record wanted; False when the stream has none yet."""
        paths = segments_from(self.directory, self._next)
        return bool(paths) and self._enter(int(paths[0].name.split(".")[0]))

    def _enter(self, number: int) -> bool:
        """Go over to a segment; False, and nothing changed, when it is not there."""
        path = segment_path(self.directory, number)
        try:
            file, packed = path.open("rb", buffering=0), None
        except FileNotFoundError:
            # Not made yet; or sealed, shipped and compressed before we came to it.
            if not path.with_suffix(".seg.zst").exists():
                return False
            file, packed = None, read_bytes(path.with_suffix(".seg.zst"))
        self.close()
        self._file, self._packed, self._number = file, packed, number
        header = frame.unpack_header(self._at(0, HEADER_BYTES))
        if header.stream != self._stream:
            raise DamagedSegment(f"{path.name} belongs to stream {header.stream}, not to {self._stream}")
        done = self._next - header.first_sequence
        if done < 0:
            raise DamagedSegment(
                f"{self.directory.name}: record {self._next} should be next, segment {number} begins later"
            )
        self._first, self._seed = header.first_sequence, frame.record_seed(header)
        if done:
            before = self._at(HEADER_BYTES + (done - 1) * RECORD_BYTES, RECORD_BYTES)
            self._seed = frame.next_seed(before, self._seed)
        return True

    def _at(self, offset: int, size: int) -> bytes:
        if self._packed is not None:
            return self._packed[offset : offset + size]
        assert self._file is not None
        return os.pread(self._file.fileno(), size, offset)


def follow(journal_directory: Path, places: Mapping[StreamId, int]) -> list[Follower]:
    """A follower for each stream, after the place of that stream; streams without one from their start."""
    return [
        Follower(directory, after=places.get(stream_of(directory), 0))
        for directory in streams(journal_directory)
    ]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the journals hold of one member and the sums do not."""

    usage: Usage
    stored_bytes: int
    """Signed change of stored bytes."""
    whole: bool
    """False: there was more than could be read in one look, or a stream is damaged."""


def unsummed_before(
    journal_directory: Path, places: Mapping[StreamId, int], until_us: int, *, records_max: int
) -> int | None:
    """How many records of this machine ended before an instant and are beyond the sums' places.

    None where that cannot be said: there are more than records_max to look at, or a stream is damaged.
    """
    found = 0
    for follower in follow(journal_directory, places):
        try:
            while records := follower.read():
                records_max -= len(records) // RECORD_BYTES
                if records_max < 0:
                    return None
                found += sum(
                    frame.unpack_record(records[at : at + RECORD_BYTES])[1].ended_us < until_us
                    for at in range(0, len(records), RECORD_BYTES)
                )
        except DamagedSegment:
            return None  # the shipper raises the alarm
        finally:
            follower.close()
    return found


def waiting(
    journal_directory: Path,
    places: Mapping[StreamId, int],
    member: MemberId,
    month: Month,
    *,
    records_max: int,
) -> Waiting:
    """What one member used this month beyond the sums' places, of the first records_max records."""
    found: list[Event] = []
    whole = True
    for follower in follow(journal_directory, places):
        try:
            while records_max > 0 and (records := follower.read()):
                records_max -= len(records) // RECORD_BYTES
                found += _of(member, records)
            whole = whole and records_max > 0
        except DamagedSegment:
            whole = False  # the shipper raises the alarm
        finally:
            follower.close()
    return Waiting(*_sums(found, member, month), whole)


def _of(member: MemberId, records: bytes) -> Iterable[Event]:
    for index, (payer, *_) in enumerate(frame.sent(records)):
        if payer == member:
            yield frame.unpack_record(records[index * RECORD_BYTES : (index + 1) * RECORD_BYTES])[1]


def _sums(events: Iterable[Event], member: MemberId, month: Month) -> tuple[Usage, int]:
    sums = tally(events, first_open=month)
    usage = Usage(member, month.start_us, month.end_us)
    for key, one in sums.readings.items():
        if month.start_us <= key[1] < month.end_us:
            a, b = billable_requests(RequestClass(key[5]), one.requests)
            usage = replace(
                usage, bytes_in=usage.bytes_in + one.bytes_in, bytes_out=usage.bytes_out + one.bytes_out,
                requests_a=usage.requests_a + a, requests_b=usage.requests_b + b,
            )  # fmt: skip
    return usage, sum(one.delta for key, one in sums.storage.items() if key[4] in CAPPED_LINES)
