"""A page costs its own length, however many keys and versions are hidden; a plain GET reads rows once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.disk.index import Connection
from gateway.storage.disk.index_listing import list_objects
from gateway.storage.disk.index_version_listing import list_versions
from gateway.storage.model import BucketRules, ObjectProperties, Versioning
from meter.ids import BucketId
from tests.contract.engine_model import OWNER, put

T = TypeVar("T")
PREFIXES = 20


async def _fill(engine: DiskEngine, bucket: BucketId, keys_under_each: int) -> None:
    await engine.create_bucket(bucket, owner=OWNER)
    await asyncio.gather(
        *(
            put(engine, f"p{prefix:02}/{number}", bucket=bucket)
            for prefix in range(PREFIXES)
            for number in range(keys_under_each)
        )
    )


def _counting(connection: Connection, page: Callable[[], T]) -> tuple[T, int]:
    """The page, and how many steps of SQLite's machine it took."""
    steps = 0

    def count_step() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count_step, 1)
    found = page()
    connection.set_progress_handler(None, 1)
    return found, steps


async def _steps_of_a_page(engine: DiskEngine, bucket: BucketId, keys_under_each: int) -> int:
    await _fill(engine, bucket, keys_under_each)
    connection = engine._workers.connection()
    page, steps = _counting(
        connection,
        lambda: list_objects(connection, bucket, prefix="", delimiter="/", after="", limit=1000),
    )
    assert [f"p{prefix:02}/" for prefix in range(PREFIXES)] == list(page.prefixes)
    return steps


async def test_hidden_keys_are_skipped_and_not_read(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, GatewaySettings())
    few = await _steps_of_a_page(engine, BucketId(1), 1)
    many = await _steps_of_a_page(engine, BucketId(2), 100)
    assert many <= few + PREFIXES
    await engine.close()


async def _steps_of_a_page_of_versions(
    engine: DiskEngine, bucket: BucketId, keys_under_each: int, *, rounds: int
) -> int:
    await engine.create_bucket(bucket, owner=OWNER)
    await engine.set_bucket_rules(bucket, BucketRules(Versioning.ENABLED))
    for _ in range(rounds):
        await _fill(engine, bucket, keys_under_each)
    connection = engine._workers.connection()
    page, steps = _counting(
        connection,
        lambda: list_versions(
            connection, bucket, prefix="", delimiter="/", after_key="", after_version_id="", limit=1000
        ),
    )
    assert [f"p{prefix:02}/" for prefix in range(PREFIXES)] == list(page.prefixes)
    return steps


async def test_hidden_versions_are_skipped_and_not_read(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, GatewaySettings())
    few = await _steps_of_a_page_of_versions(engine, BucketId(1), 1, rounds=2)
    many = await _steps_of_a_page_of_versions(engine, BucketId(2), 20, rounds=4)
    assert many <= few + 2 * PREFIXES
    await engine.close()


async def test_a_page_within_a_long_history_costs_its_own_length(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, GatewaySettings())
    bucket = BucketId(1)
    await engine.create_bucket(bucket, owner=OWNER)
    await engine.set_bucket_rules(bucket, BucketRules(Versioning.ENABLED))
    heads = [await put(engine, "key", bucket=bucket) for _ in range(200)]
    connection = engine._workers.connection()

    def page_behind(version_id: str) -> int:
        page, steps = _counting(
            connection,
            lambda: list_versions(
                connection,
                bucket,
                prefix="",
                delimiter="",
                after_key="key",
                after_version_id=version_id,
                limit=5,
            ),
        )
        assert 5 == len(page.versions)
        return steps

    near, far = page_behind(heads[-2].version_id), page_behind(heads[10].version_id)
    assert far <= near
    await engine.close()


async def test_a_plain_get_of_a_small_object_reads_rows_once(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, GatewaySettings())
    bucket = BucketId(1)
    await engine.create_bucket(bucket, owner=OWNER)
    await engine.set_bucket_rules(bucket, BucketRules(Versioning.ENABLED))
    await put(engine, "other", b"small", bucket=bucket)
    for tags in ({}, {"a": "b"}):
        await put(engine, "key", b"small", bucket=bucket, properties=ObjectProperties(tags=tags))
        (await engine.open_object(bucket, "other")).close()  # a connection's first question finds the log
        statements: list[str] = []
        engine._workers.connection().set_trace_callback(statements.append)
        (await engine.open_object(bucket, "key")).close()
        await engine.head_object(bucket, "key")
        engine._workers.connection().set_trace_callback(None)
        assert ["SELECT", "SELECT"] == [statement.split()[0] for statement in statements]
    await engine.close()
