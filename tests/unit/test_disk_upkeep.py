"""The collector, the sweep, and damage that must never be silent."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.disk.files import Files
from gateway.storage.disk.index import storage_error
from gateway.storage.disk.turnstile import Turnstile, only_one
from gateway.storage.disk.upkeep import Damage, SweepReport
from gateway.storage.errors import Busy, DamagedObject, StorageFull
from meter.refusal import Refusal
from tests.contract.engine_model import (
    BUCKET,
    OWNER,
    complete,
    create_upload,
    delete,
    get,
    put,
    put_part,
    read_range,
)
from tests.unit.disk_faults import SMALL, files_under, open_with

HOUR_US = 3_600_000_000
DELAY_US = SMALL.blob_delete_delay_s * 1_000_000


def _now_us() -> int:
    return time.time_ns() // 1000


async def test_replaced_and_deleted_files_go_after_their_delay(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await put(engine, "a", b"x" * 5000, now_us=1000)
    await put(engine, "a", b"y" * 5000, now_us=2000)
    await put(engine, "b", b"z" * 5000, now_us=2000)
    await delete(engine, "b", now_us=3000)
    reader = await engine.open_object(BUCKET, "a")
    assert await engine.collect(2000 + DELAY_US - 1) == 0
    assert len(files_under(tmp_path)) == 3
    assert await engine.collect(2000 + DELAY_US) == 1
    assert await engine.collect(3000 + DELAY_US) == 1
    assert await engine.collect(10**17) == 0
    assert len(files_under(tmp_path)) == 1
    await delete(engine, "a", now_us=4000)
    assert await engine.collect(10**17) == 1
    assert files_under(tmp_path) == []
    assert read_range(reader, 0, 5000) == b"y" * 5000
    reader.close()
    await engine.close()


async def test_the_collector_takes_a_bounded_number_of_files(tmp_path: Path) -> None:
    settings = GatewaySettings(inline_bytes_max=0, collect_files_max=2, blob_delete_delay_s=0)
    engine = await open_engine(tmp_path, settings)
    await engine.create_bucket(BUCKET, owner=OWNER)
    keys = [f"key{number}" for number in range(5)]
    for key in keys:
        await put(engine, key, b"x")
    await delete(engine, *keys, now_us=2000)
    assert [await engine.collect(2000) for _ in range(4)] == [2, 2, 1, 0]
    await engine.close()


async def test_every_part_of_a_dropped_upload_is_collected(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    upload_id = await create_upload(engine, "key")
    parts = [await put_part(engine, "key", upload_id, n, b"x" * 5000) for n in (1, 2, 3)]
    await put_part(engine, "key", upload_id, 3, b"y" * 5000)
    await complete(engine, "key", upload_id, parts[:2])
    aborted = await create_upload(engine, "key")
    await put_part(engine, "key", aborted, 1, b"x" * 5000)
    await engine.abort_upload(BUCKET, "key", aborted, now_us=1000)
    assert await engine.collect(10**17) == 3
    assert await get(engine, "key") == b"x" * 10_000
    await delete(engine, "key", now_us=1000)
    assert await engine.collect(10**17) == 2
    assert files_under(tmp_path) == []
    await engine.close()


async def test_only_one_process_collects_or_sweeps(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await put(engine, "a", b"x" * 5000)
    await delete(engine, "a", now_us=1000)
    with only_one(tmp_path / "upkeep.lock") as is_ours:
        assert is_ours
        assert await engine.collect(10**17) == 0
        assert SweepReport() == await engine.sweep(10**17)
    assert await engine.collect(10**17) == 1
    await engine.close()


async def test_a_sweep_removes_what_crashes_left_and_nothing_else(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await put(engine, "kept", b"x" * 5000)
    await put(engine, "deleted", b"x" * 5000)
    await delete(engine, "deleted", now_us=1000)
    orphan = tmp_path / "blobs" / "ab" / ("ab" + "0" * 30)
    orphan.write_bytes(b"orphan")
    (tmp_path / "staging" / "leftover").write_bytes(b"half")
    assert SweepReport() == await engine.sweep(_now_us() + HOUR_US - 60_000_000)
    assert SweepReport(1, 1, 6) == await engine.sweep(_now_us() + HOUR_US + 60_000_000)
    assert not orphan.exists()
    assert len(files_under(tmp_path)) == 2
    assert await get(engine, "kept") == b"x" * 5000
    await engine.close()


async def test_missing_and_short_files_are_named_and_never_read_as_zeros(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    blobs: dict[str, Path] = {}

    def remember(key: str) -> None:
        (new,) = set(tmp_path.glob("blobs/*/*")) - set(blobs.values())
        blobs[key] = new

    await put(engine, "missing", b"x" * 5000)
    remember("missing")
    await put(engine, "short", b"x" * 6000)
    remember("short")
    upload_id = await create_upload(engine, "multipart")
    one = await put_part(engine, "multipart", upload_id, 1, b"x" * 10)
    two = await put_part(engine, "multipart", upload_id, 2, b"x" * 7000)
    remember("multipart")
    await complete(engine, "multipart", upload_id, [one, two])
    open_id = await create_upload(engine, "uploading")
    await put_part(engine, "uploading", open_id, 1, b"x" * 8000)
    remember("uploading")
    for key in ("missing", "multipart", "uploading"):
        blobs[key].unlink()
    os.truncate(blobs["short"], 5999)
    for key in ("missing", "short", "multipart"):
        with pytest.raises(DamagedObject):
            await engine.open_object(BUCKET, key)
    report = await engine.sweep(_now_us())
    sizes = {"missing": 5000, "short": 6000, "multipart": 7000, "uploading": 8000}
    expected = {
        Damage(BUCKET, key, blobs[key].name, size, 5999 if key == "short" else None)
        for key, size in sizes.items()
    }
    assert expected == set(report.damaged)
    assert report.damaged_count == 4
    await engine.close()


async def test_the_list_of_damage_is_bounded_and_its_count_is_not(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, GatewaySettings(inline_bytes_max=0, damage_reported_max=2))
    await engine.create_bucket(BUCKET, owner=OWNER)
    for number in range(5):
        await put(engine, f"key{number}", b"x")
    for path in tmp_path.glob("blobs/*/*"):
        path.unlink()
    report = await engine.sweep(_now_us())
    assert (len(report.damaged), report.damaged_count) == (2, 5)
    await engine.close()


async def test_a_file_swept_before_its_commit_is_not_acknowledged(tmp_path: Path) -> None:
    class Swept(Files):
        def sync_directory(self, path: Path) -> None:
            super().sync_directory(path)
            for blob in path.glob("?" * 32):
                blob.unlink()

    engine = open_with(tmp_path, Swept())
    await engine.create_bucket(BUCKET, owner=OWNER)
    with pytest.raises(DamagedObject):
        await put(engine, "key", b"x" * 5000)
    assert await engine.usage_totals() == {}
    await engine.close()


async def test_parallel_readers_share_one_descriptor_a_file(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await put(engine, "key", b"x" * 5000)
    await get(engine, "key")  # the index's connection of this thread is open now
    before = len(os.listdir("/proc/self/fd"))
    readers = [await engine.open_object(BUCKET, "key") for _ in range(50)]
    assert len(os.listdir("/proc/self/fd")) == before + 1
    for reader in readers[1:]:
        reader.close()
    assert read_range(readers[0], 0, 5000) == b"x" * 5000
    readers[0].close()
    assert len(os.listdir("/proc/self/fd")) == before
    await engine.close()


async def test_closing_gives_every_descriptor_back(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await put(engine, "key", b"x" * 700_000)
    await get(engine, "key")
    await engine.close()
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # the event loop may have opened its own


# What is refused at the door


async def test_a_newer_index_is_refused_with_a_sentence(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.close()
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Refusal, match="schema version 99"):
        await open_engine(tmp_path, SMALL)


async def test_a_file_in_the_way_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(Refusal, match="cannot be used"):
        await open_engine(tmp_path / "file" / "engine", SMALL)


async def test_an_index_that_is_none_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"this is not a database, it is a letter " * 100)
    with pytest.raises(Refusal, match="cannot be used"):
        await open_engine(tmp_path, SMALL)


async def test_a_full_queue_is_busy_and_not_longer(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, GatewaySettings(commit_queue_max=3, commit_batch_max=1))
    await engine.create_bucket(BUCKET, owner=OWNER)
    with Turnstile(tmp_path, timeout_s=10).turn():
        answers = [asyncio.create_task(put(engine, f"key{number}", b"x")) for number in range(10)]
        refused, _ = await asyncio.wait(answers, timeout=5, return_when=asyncio.FIRST_EXCEPTION)
        assert {Busy} == {type(task.exception()) for task in refused}
    outcomes = await asyncio.gather(*answers, return_exceptions=True)
    kept = [outcome for outcome in outcomes if not isinstance(outcome, Busy)]
    # Three in the queue, and at most one that the thread had taken already.
    assert 3 <= len(kept) <= 4
    assert await engine.usage_totals() == {(BUCKET, 0): len(kept)}
    await engine.close()


async def test_a_worker_that_keeps_the_index_makes_others_busy(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, GatewaySettings(index_busy_timeout_s=1))
    with Turnstile(tmp_path, timeout_s=10).turn(), pytest.raises(Busy):
        await engine.create_bucket(BUCKET, owner=OWNER)
    stranger = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy):
        await engine.create_bucket(BUCKET, owner=OWNER)
    stranger.close()
    await engine.create_bucket(BUCKET, owner=OWNER)
    await engine.close()


async def test_a_bug_in_one_change_is_raised_there_and_hurts_no_other(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE bucket SET owner = 99")
        raise ZeroDivisionError

    def nonsense(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM nowhere")

    outcomes = await asyncio.gather(
        put(engine, "a", b"x"),
        engine._committer.commit(broken),
        engine._committer.commit(nonsense),
        put(engine, "b", b"x"),
        return_exceptions=True,
    )
    assert [ZeroDivisionError, sqlite3.OperationalError] == [type(outcomes[1]), type(outcomes[2])]
    assert b"x" == await get(engine, "a") == await get(engine, "b")
    assert [OWNER, OWNER] == [change.member for change in await engine.outbox(after=0, limit=9)]
    await engine.close()


async def _has_room(engine: DiskEngine, key: str) -> bool:
    try:
        await put(engine, key, b"x" * 1000)
    except StorageFull:
        return False
    return True


async def test_a_full_index_is_storage_full_and_leaves_no_file(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    connection = engine._committer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 3}")
    kept = 0
    while await _has_room(engine, f"key{kept}"):
        kept += 1
    with pytest.raises(StorageFull):
        await put(engine, "k" * 1000, b"x" * 5000)
    assert files_under(tmp_path) == []
    assert kept > 0
    assert await engine.usage_totals() == {(BUCKET, 0): kept * 1000}
    connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    await put(engine, "key", b"again")
    await engine.close()


def test_only_full_and_busy_have_errors_of_the_contract() -> None:
    other = sqlite3.OperationalError("disk I/O error")
    assert other is storage_error(other)
