"""The order in which a put reaches the disk, and what a disk that refuses leaves behind."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from gateway.storage.disk.files import Files
from gateway.storage.disk.opening import make_durable_directory
from gateway.storage.errors import Busy, NoSuchKey, PreconditionFailed, StorageError, StorageFull
from gateway.storage.model import Arriving, Condition, ObjectProperties
from tests.contract.engine_model import BUCKET, OWNER, get, put, stage
from tests.unit.disk_faults import FailingFiles, NamedFiles, RecordingFiles, files_under, open_with

IN_ORDER = ["write", "sync_data", "name", "sync_directory", "COMMIT", "answer"]


async def _calls_of_one_put(directory: Path, files: RecordingFiles) -> list[str]:
    engine = open_with(directory, files)
    await engine.create_bucket(BUCKET, owner=OWNER)
    files.calls.clear()

    def note(statement: str) -> None:
        if statement == "COMMIT":
            files.calls.append(statement)

    engine._committer._connection.set_trace_callback(note)
    await put(engine, "key", b"x" * 5000)
    files.calls.append("answer")
    engine._committer._connection.set_trace_callback(None)
    await engine.close()
    return files.calls


async def test_bytes_name_directory_and_index_are_synced_in_this_order(tmp_path: Path) -> None:
    assert await _calls_of_one_put(tmp_path, RecordingFiles()) == IN_ORDER


async def test_the_order_is_the_same_without_unnamed_files(tmp_path: Path) -> None:
    assert await _calls_of_one_put(tmp_path, NamedFiles()) == IN_ORDER


@pytest.mark.parametrize("dropped", ["sync_data", "sync_directory"])
async def test_the_order_check_sees_a_dropped_sync(tmp_path: Path, dropped: str) -> None:
    calls = await _calls_of_one_put(tmp_path, RecordingFiles(dropped))
    assert [call for call in IN_ORDER if call != dropped] == calls


async def test_the_index_syncs_its_log_at_every_commit(tmp_path: Path) -> None:
    engine = open_with(tmp_path, Files())
    connection = engine._committer._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    await engine.close()


def test_each_new_directory_is_synced_in_its_parent(tmp_path: Path) -> None:
    synced: list[Path] = []

    class Watching(Files):
        def sync_directory(self, path: Path) -> None:
            super().sync_directory(path)
            synced.append(path)

    make_durable_directory(tmp_path / "a" / "b" / "c", Watching())
    assert [tmp_path, tmp_path / "a", tmp_path / "a" / "b"] == synced


@pytest.mark.parametrize("error_number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EIO])
async def test_a_disk_that_fails_at_any_call_leaves_nothing(tmp_path: Path, error_number: int) -> None:
    files = FailingFiles(error_number)
    engine = open_with(tmp_path, files)
    await engine.create_bucket(BUCKET, owner=OWNER)
    raised: list[type] = []
    while True:
        files.arm(len(raised) + 1)
        staged = await engine.stage(Arriving(BUCKET, "key", 0))
        try:
            for _ in range(3):
                await staged.write(b"x" * 400_000)
            await engine.put_object(
                BUCKET,
                "key",
                staged,
                etag="e",
                properties=ObjectProperties(),
                condition=Condition(),
                now_us=1,
            )
        except (StorageError, OSError) as error:
            raised.append(type(error))
            await staged.discard()
        if not files.has_failed:
            break
        with pytest.raises(NoSuchKey):
            await engine.head_object(BUCKET, "key")
        assert files_under(tmp_path) == []
    # create, six short writes, sync, link, sync of the directory
    expected = {errno.EIO: OSError, errno.EMFILE: Busy}.get(error_number, StorageFull)
    assert [expected] * 10 == raised
    assert await get(engine, "key") == b"x" * 1_200_000
    changes = await engine.outbox(after=0, limit=100)
    assert [change.delta_bytes for change in changes] == [1_200_000]
    await engine.close()


async def test_a_refused_put_leaves_no_file(tmp_path: Path) -> None:
    engine = open_with(tmp_path, Files())
    await engine.create_bucket(BUCKET, owner=OWNER)
    await put(engine, "key", b"small")
    with pytest.raises(PreconditionFailed):
        await put(engine, "key", b"x" * 5000, condition=Condition(if_none_match=True))
    assert files_under(tmp_path) == []
    await engine.close()


async def test_small_objects_never_touch_the_file_system(tmp_path: Path) -> None:
    engine = open_with(tmp_path, Files())
    await engine.create_bucket(BUCKET, owner=OWNER)
    await put(engine, "inline", b"x" * 1024)
    assert files_under(tmp_path) == []
    await put(engine, "file", b"x" * 1025)
    assert len(files_under(tmp_path)) == 1
    await engine.close()


async def test_no_key_ever_becomes_a_path(tmp_path: Path) -> None:
    engine = open_with(tmp_path / "engine", Files())
    await engine.create_bucket(BUCKET, owner=OWNER)
    for key in ("../escape", "/etc/escape", "a/b/c", "."):
        await put(engine, key, os.urandom(5000))
    names = files_under(tmp_path / "engine")
    assert len(names) == 4
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]
    await engine.close()


async def test_a_cancelled_put_is_whole_or_absent_and_discarding_it_hurts_nobody(tmp_path: Path) -> None:
    engine = open_with(tmp_path, Files())
    await engine.create_bucket(BUCKET, owner=OWNER)
    for turns in range(12):
        key = f"key{turns}"
        task = asyncio.create_task(put(engine, key, b"x" * 700_000))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await engine.close()
    again = open_with(tmp_path, Files())
    page = await again.list_objects(BUCKET, prefix="", delimiter="", after="", limit=100)
    for listed in page.objects:
        assert await get(again, listed.key) == b"x" * 700_000
    assert len(page.objects) == len(files_under(tmp_path))
    await again.close()


async def test_discarding_waits_for_the_write_that_is_running(tmp_path: Path) -> None:
    engine = open_with(tmp_path, NamedFiles())
    for _ in range(20):
        staged = await stage(engine, b"x" * 700_000)
        await staged.discard()
        assert files_under(tmp_path) == []
    await engine.close()
