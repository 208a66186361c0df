"""A journal on a disk that is full: it uses what it reserved, refuses the rest whole, and goes on when there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.feed import feed, keep_feeding
from gateway.storage.disk.engine import open_engine
from meter import frame
from meter.journal import Journal, JournalFull
from meter.reader import chain, published_sequence
from meter.recorder import Recorder
from meter.settings import MeterSettings
from tests.contract.engine_model import BUCKET, OWNER, put
from tests.events import NOON_US, PLAIN
from tests.small_disk import fill, small_disk
from tests.unit.disk_faults import SMALL

SEGMENT = 2**16  # room for 510 records
RECORDS = 510


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", size_bytes=2**20) as place:
        yield place


def opened(directory: Path) -> Journal:
    return Journal(directory, segment_bytes_max=SEGMENT, segment_age_max_s=1, now_us=NOON_US)


def sequences(directory: Path) -> list[int]:
    return [n for segment in chain(directory) for n, _ in frame.events(segment.records)]


def test_what_was_reserved_is_used_to_the_last_place_and_then_nothing_is_half_written(disk: Path) -> None:
    journal = opened(disk / "stream")
    fill(disk)
    assert 2 * RECORDS == journal.room
    for _ in range(2 * RECORDS):
        journal.append(PLAIN)
    assert 0 == journal.room
    for _ in range(3):
        with pytest.raises(JournalFull):
            journal.append(PLAIN)
        journal.sync()
    assert list(range(1, 2 * RECORDS + 1)) == sequences(disk / "stream")
    (disk / "foreign").unlink()
    journal.sync()
    assert RECORDS == journal.room
    assert 2 * RECORDS + 1 == journal.append(PLAIN)
    journal.close()


def test_age_seals_no_segment_whose_successor_has_no_room(disk: Path) -> None:
    journal = opened(disk / "stream")
    for _ in range(RECORDS + 1):
        journal.append(PLAIN)
    fill(disk)
    journal.sync()
    journal.roll_if_aged(NOON_US + 10**9)
    assert RECORDS - 1 == journal.room
    journal.append(PLAIN)
    journal.close()


def test_a_spare_that_the_writer_before_left_is_taken_over_on_a_full_disk(disk: Path) -> None:
    opened(disk / "stream").close()
    fill(disk)
    journal = opened(disk / "stream")
    assert 2 * RECORDS == journal.room
    journal.close()


def test_room_is_kept_for_the_ends_of_all_exchanges_that_may_be_open(disk: Path) -> None:
    settings = MeterSettings(journal_segment_bytes_max=SEGMENT, journal_sync_interval_ms=10_000)
    recorder = Recorder(disk / "stream", settings, slots_max=100)
    fill(disk)
    taken = 0
    while recorder.has_room:
        recorder.record(PLAIN)
        taken += 1
    assert 2 * RECORDS - 2 * 100 == taken
    slots = [recorder.open(PLAIN) for _ in range(100)]
    for slot in slots:
        recorder.record(PLAIN)  # what it takes back
        recorder.finish(slot, PLAIN)
    recorder.close()
    assert 2 * RECORDS == len(sequences(disk / "stream"))


async def test_changes_of_stored_bytes_wait_in_the_outbox_for_room(disk: Path, tmp_path: Path) -> None:
    engine = await open_engine(tmp_path / "engine", SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    settings = MeterSettings(journal_segment_bytes_max=SEGMENT, journal_sync_interval_ms=10_000)
    recorder = Recorder(disk / "engine", settings, slots_max=1)
    fill(disk)
    for number in range(2 * RECORDS + 10):
        await put(engine, f"k{number}", b"x")
    assert [2 * RECORDS, 0] == [await feed(engine, recorder) for _ in range(2)]
    assert 10 == len(await engine.outbox(after=0, limit=100))
    (disk / "foreign").unlink()
    recorder.journal.sync()
    assert 10 == await feed(engine, recorder)
    recorder.close()
    assert list(range(1, 2 * RECORDS + 11)) == sequences(disk / "engine")
    await engine.close()


async def test_a_stream_that_cannot_begin_is_tried_again(disk: Path, tmp_path: Path) -> None:
    engine = await open_engine(tmp_path / "engine", SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await put(engine, "k", b"x")
    fill(disk)
    feeding = asyncio.create_task(
        keep_feeding(engine, disk, MeterSettings(journal_segment_bytes_max=SEGMENT))
    )
    await asyncio.wait((feeding,), timeout=0.5)
    assert not feeding.done()
    (disk / "foreign").unlink()
    async with asyncio.timeout(20):
        while published_sequence(disk / "engine") < 1:
            await asyncio.wait((feeding,), timeout=0.05)
    feeding.cancel()
    await asyncio.gather(feeding, return_exceptions=True)
    await engine.close()
