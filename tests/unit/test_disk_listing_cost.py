"""A page with a delimiter costs its own length, however many keys its common prefixes hide."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.disk.index_listing import list_objects
from meter.ids import BucketId
from tests.contract.engine_model import OWNER, put

PREFIXES = 20


async def _steps_of_a_page(engine: DiskEngine, bucket: BucketId, keys_under_each: int) -> int:
    await engine.create_bucket(bucket, owner=OWNER)
    await asyncio.gather(
        *(
            put(engine, f"p{prefix:02}/{number}", bucket=bucket)
            for prefix in range(PREFIXES)
            for number in range(keys_under_each)
        )
    )
    connection = engine._workers.connection()
    steps = 0

    def count_step() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count_step, 1)
    page = list_objects(connection, bucket, prefix="", delimiter="/", after="", limit=1000)
    connection.set_progress_handler(None, 1)
    assert [f"p{prefix:02}/" for prefix in range(PREFIXES)] == list(page.prefixes)
    return steps


async def test_hidden_keys_are_skipped_and_not_read(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, GatewaySettings())
    few = await _steps_of_a_page(engine, BucketId(1), 1)
    many = await _steps_of_a_page(engine, BucketId(2), 100)
    assert many <= few + PREFIXES
    await engine.close()
