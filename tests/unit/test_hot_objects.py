"""Objects kept in memory: never older than the index, and never more than their limit."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.disk.index_hot import OVERHEAD_BYTES, HotObjects
from gateway.storage.disk.index_log import LogHeader
from gateway.storage.disk.reader import DiskReader
from gateway.storage.errors import NoSuchKey
from gateway.storage.model import Deletion, MemoryExtent
from tests.contract.engine_model import BUCKET, OWNER, get, put


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[DiskEngine]:
    """An engine with one bucket."""
    one = await open_engine(tmp_path, GatewaySettings(inline_bytes_max=1024))
    await one.create_bucket(BUCKET, owner=OWNER)
    yield one
    await one.close()


@pytest_asyncio.fixture
async def neighbour(engine: DiskEngine, tmp_path: Path) -> AsyncIterator[DiskEngine]:
    """Another worker's engine over the same directory."""
    one = await open_engine(tmp_path, GatewaySettings(inline_bytes_max=1024))
    yield one
    await one.close()


async def test_a_small_object_is_read_once_while_nothing_changes(engine: DiskEngine) -> None:
    await put(engine, "small", b"bytes")
    await engine.open_object(BUCKET, "small")
    statements: list[str] = []
    connection: sqlite3.Connection = engine._workers.connection()
    connection.set_trace_callback(statements.append)
    assert b"bytes" == await get(engine, "small")
    assert [] == statements


async def test_a_header_that_is_being_written_is_no_ground_to_keep_or_give_anything(
    engine: DiskEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(engine, "key", b"bytes")
    reader = await engine.open_object(BUCKET, "key")
    assert isinstance(reader, DiskReader)
    hot, connection = HotObjects(), engine._workers.connection()
    hot.find(connection, BUCKET, "key")
    hot.keep(BUCKET, "key", reader)
    assert reader is hot.find(connection, BUCKET, "key")
    monkeypatch.setattr(LogHeader, "read", lambda self: None)
    assert hot.find(connection, BUCKET, "key") is None
    hot.keep(BUCKET, "key", reader)
    assert hot.find(connection, BUCKET, "key") is None


@pytest.mark.parametrize("writer", ["itself", "another"])
async def test_what_was_committed_is_what_is_read_next(
    engine: DiskEngine, neighbour: DiskEngine, writer: str
) -> None:
    writes = engine if writer == "itself" else neighbour
    await put(engine, "key", b"first")
    for number in range(50):
        fresh = b"number %d" % number
        await get(engine, "key")
        await put(writes, "key", fresh)
        assert fresh == await get(engine, "key")
    await writes.delete_objects(BUCKET, [Deletion("key")], now_us=2)
    with pytest.raises(NoSuchKey):
        await engine.open_object(BUCKET, "key")


async def test_a_commit_between_question_and_reading_is_not_forgotten(
    engine: DiskEngine, neighbour: DiskEngine
) -> None:
    hot = HotObjects()
    connection = engine._workers.connection()
    await put(engine, "key", b"old")
    stale = await engine.open_object(BUCKET, "key")
    assert isinstance(stale, DiskReader)
    assert hot.find(connection, BUCKET, "key") is None
    await put(neighbour, "key", b"new")
    hot.keep(BUCKET, "key", stale)
    assert hot.find(connection, BUCKET, "key") is None


async def test_an_object_with_a_file_is_opened_each_time(engine: DiskEngine) -> None:
    await put(engine, "large", os.urandom(1025))
    one, other = await engine.open_object(BUCKET, "large"), await engine.open_object(BUCKET, "large")
    assert one is not other
    one.close()
    other.close()


async def test_the_oldest_go_when_there_is_no_more_room(engine: DiskEngine) -> None:
    readers = {}
    for key in ("a", "b", "c"):
        await put(engine, key, key.encode() * 100)
        readers[key] = await engine.open_object(BUCKET, key)
    hot, connection = HotObjects(bytes_max=2 * (100 + OVERHEAD_BYTES)), engine._workers.connection()
    hot.find(connection, BUCKET, "")
    for key, reader in readers.items():
        assert isinstance(reader, DiskReader)
        hot.keep(BUCKET, key, reader)
    found = [hot.find(connection, BUCKET, key) for key in readers]
    assert [None, readers["b"], readers["c"]] == found


async def test_readers_that_share_an_object_take_nothing_from_each_other(engine: DiskEngine) -> None:
    await put(engine, "small", b"0123456789")
    one, other = await engine.open_object(BUCKET, "small"), await engine.open_object(BUCKET, "small")
    one.close()
    await asyncio.sleep(0)
    assert (MemoryExtent(b"345"),) == other.extents(3, 6)
