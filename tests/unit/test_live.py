"""What happens just now, read beside living writers: open exchanges, and records beyond the sums' places."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from meter import frame
from meter.event import Event, Mark, RequestClass
from meter.frame import DamagedSegment
from meter.ids import MemberId
from meter.journal import Journal
from meter.live import RECORDS_AT_ONCE, Follower, follow, open_exchanges, steady, waiting
from meter.ongoing import SLOT_BYTES
from meter.reader import compress
from meter.recorder import Recorder
from meter.segments import stream_of
from meter.settings import MeterSettings
from meter.window import Month
from tests.events import NOON_US, PLAIN, stored

SEGMENT = 256 + 8 * 128  # room for eight records
NOVEMBER = Month(2026, 11)
SETTINGS = MeterSettings(journal_segment_bytes_max=2**16)
LONG = PLAIN._replace(status=499, bytes_in=0, moved_in=0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "worker-0"


@pytest.fixture
def recorder(directory: Path) -> Iterator[Recorder]:
    one = Recorder(directory, SETTINGS, slots_max=4)
    yield one
    one.close()


def opened(directory: Path) -> Journal:
    return Journal(directory, segment_bytes_max=SEGMENT, segment_age_max_s=3600, now_us=NOON_US)


def numbers(follower: Follower) -> list[int]:
    found = []
    while records := follower.read():
        found += [number for number, _ in frame.events(records)]
    return found


def after(directory: Path, place: int) -> list[int]:
    """The sequences a fresh follower finds after that place."""
    with closing(Follower(directory, after=place)) as follower:
        return numbers(follower)


def numbered(request: int) -> Event:
    return LONG._replace(request_id=request.to_bytes(16, "big"), began_us=NOON_US + request)


def test_an_open_exchange_is_seen_with_what_it_has_moved(directory: Path, recorder: Recorder) -> None:
    later, earlier = recorder.open(numbered(2)), recorder.open(numbered(1))
    later.moved(bytes_in=5, bytes_out=700, now_us=NOON_US + 10)
    first, second = open_exchanges(directory.parent)
    assert ("worker-0", numbered(1).request_id, 0) == (
        first.stream,
        first.event.request_id,
        first.event.moved_out,
    )
    assert (5, 700, NOON_US + 10) == (second.event.moved_in, second.event.moved_out, second.event.ended_us)
    later.moved(bytes_in=5, bytes_out=900, now_us=NOON_US + 11)
    assert [0, 900] == [one.event.moved_out for one in open_exchanges(directory.parent)]
    later.free()
    earlier.free()
    assert [] == open_exchanges(directory.parent)


def test_a_place_whose_record_is_torn_is_no_exchange(directory: Path, recorder: Recorder) -> None:
    recorder.open(LONG)
    assert 1 == len(open_exchanges(directory.parent))
    path = directory / "ongoing"
    data = bytearray(path.read_bytes())
    taken = next(at for at in range(0, len(data), SLOT_BYTES) if data[at : at + 128] != bytes(128))
    with path.open("r+b") as file:
        file.seek(taken + 30)
        file.write(b"\xff")
    assert [] == open_exchanges(directory.parent)


def test_an_exchange_never_shows_the_bytes_of_another(directory: Path, recorder: Recorder) -> None:
    """Three looks at a place fall anywhere between the steps by which one exchange leaves it and the next takes it."""

    def place() -> bytes:
        return bytes(recorder._ongoing.map[:SLOT_BYTES])

    old = recorder.open(numbered(1))
    states = [place()]
    old.moved(bytes_in=0, bytes_out=111, now_us=NOON_US)
    states.append(place())
    old.free()
    states.append(place())
    new = recorder.open(numbered(2))
    taken = place()
    states.append(taken[:128] + states[-1][128:])  # who it is
    states.append(
        taken[:128] + states[-1][128:136] + taken[136:]
    )  # and its numbers, not yet that it is taken
    states.append(taken)
    new.moved(bytes_in=0, bytes_out=222, now_us=NOON_US)
    states.append(place())
    looks = list(combinations_with_replacement(states, 3))
    seen = Counter(
        None if event is None else (int.from_bytes(event.request_id, "big"), event.moved_out)
        for event in (steady(iter(three).__next__) for three in looks)
    )
    assert {None, (1, 0), (1, 111), (2, 0), (2, 222)} == set(seen)
    new.free()


def test_a_follower_reads_each_record_once_over_segments_and_new_ones(directory: Path) -> None:
    journal = opened(directory)
    follower = Follower(directory, after=0)
    assert [] == numbers(follower)
    for first in range(1, 60, 3):
        for _ in range(3):
            journal.append(PLAIN)
        assert list(range(first, first + 3)) == numbers(follower)
    follower.close()
    journal.close()


def test_a_follower_begins_after_its_place_in_open_and_compressed_segments(directory: Path) -> None:
    journal = opened(directory)
    for _ in range(20):
        journal.append(PLAIN)
    for place in (0, 1, 7, 8, 9, 16, 19, 20):
        assert list(range(place + 1, 21)) == after(directory, place)
    early = Follower(directory, after=3)
    early.read()
    compress(directory, 1)
    compress(directory, 2)
    assert list(range(9, 21)) == numbers(early)
    early.close()
    for place in (0, 5, 8, 15, 16):
        assert list(range(place + 1, 21)) == after(directory, place)
    journal.close()


def test_a_held_record_is_not_read_before_it_is_final(directory: Path) -> None:
    journal = opened(directory)
    follower = Follower(directory, after=0)
    journal.hold(PLAIN)
    assert [] == numbers(follower)
    journal.publish()
    assert [1] == numbers(follower)
    follower.close()
    journal.close()


def test_damage_is_named_and_not_counted(directory: Path) -> None:
    journal = opened(directory)
    for _ in range(3):
        journal.append(PLAIN)
    with (directory / "000000000001.seg").open("r+b") as file:
        file.seek(256 + 128 + 80)
        file.write(b"\x01")
    with pytest.raises(DamagedSegment, match="record 2 fails"):
        after(directory, 0)
    with pytest.raises(DamagedSegment, match="not there"):
        after(directory, 9)
    journal.close()


def test_what_waits_is_summed_for_one_member_and_month(directory: Path) -> None:
    journal = opened(directory)
    ben = MemberId(2)
    for event in (
        PLAIN,  # in the sums already
        PLAIN._replace(bytes_out=40, request_class=RequestClass.B),
        PLAIN._replace(bytes_in=0, bytes_out=2, marks=Mark.CHECKPOINT, request_class=RequestClass.B),
        PLAIN._replace(payer=ben, bytes_out=10**6),
        PLAIN._replace(ended_us=NOVEMBER.start_us - 1, bytes_out=10**7),
        stored(500, NOON_US),
        stored(-20, NOON_US),
        stored(9, NOON_US, member=2),
    ):
        journal.append(event)
    told = waiting(
        directory.parent, {stream_of(directory): 1}, MemberId(1), NOVEMBER, records_max=10 * RECORDS_AT_ONCE
    )
    assert (1000, 42, 0, 1) == (
        told.usage.bytes_in, told.usage.bytes_out, told.usage.requests_a, told.usage.requests_b,
    )  # fmt: skip
    assert (480, True) == (told.stored_bytes, told.whole)
    few = waiting(directory.parent, {}, MemberId(1), NOVEMBER, records_max=1)
    assert not few.whole
    journal.close()


def test_what_a_living_writer_publishes_is_whole(directory: Path) -> None:
    """A follower beside a writer that never rests sees each record once, in order, with its checksum right."""
    journal = Journal(directory, segment_bytes_max=2**16, segment_age_max_s=3600, now_us=NOON_US)
    total = 5_000

    def write() -> None:
        for _ in range(total):
            journal.append(PLAIN)

    writer = threading.Thread(target=write)
    (follower,) = follow(directory.parent, {})
    writer.start()
    found: list[int] = []
    while writer.is_alive():
        found += numbers(follower)
    found += numbers(follower)
    assert list(range(1, total + 1)) == found
    follower.close()
    journal.close()
