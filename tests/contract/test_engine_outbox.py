"""What every storage engine promises about its outbox, restarts, and company on the same place."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway.storage.base import Engine
from gateway.storage.errors import PreconditionFailed
from gateway.storage.model import Condition, StorageChange
from meter.event import StorageLine
from tests.contract.conftest import OpenEngine
from tests.contract.engine_model import (
    BUCKET,
    OWNER,
    create_upload,
    delete,
    get,
    put,
    put_part,
    stored_in,
)


async def test_each_change_of_stored_bytes_is_in_the_outbox(engine: Engine) -> None:
    await put(engine, "key", b"x" * 100, now_us=10)
    await put(engine, "key", b"x" * 30, now_us=20)
    await put(engine, "key", b"y" * 30, now_us=30)  # the same size: no change
    await put(engine, "empty", b"", now_us=40)
    await put(engine, "other", b"x" * 5, now_us=50)
    await delete(engine, "key", "other", "nothing", now_us=60)
    expected = [(1, 100, 10), (2, -70, 20), (3, 5, 50), (4, -35, 60)]
    assert [
        StorageChange(sequence, OWNER, BUCKET, StorageLine.OBJECT, delta, at_us)
        for sequence, delta, at_us in expected
    ] == list(await engine.outbox(after=0, limit=100))


DAY_US = 24 * 3600 * 1_000_000


@pytest.mark.parametrize(("back_us", "gone_us"), [(DAY_US, 30 * DAY_US), (3 * DAY_US, 27 * DAY_US)])
async def test_bytes_do_not_go_before_they_came_when_a_clock_is_set_right(
    engine: Engine, back_us: int, gone_us: int
) -> None:
    """A day ahead the deletion waits for the put's instant; a clock that was further off is believed again."""
    await put(engine, "key", b"x" * 100, now_us=30 * DAY_US)
    await delete(engine, "key", now_us=30 * DAY_US - back_us)
    changes = await engine.outbox(after=0, limit=100)
    assert [(100, 30 * DAY_US), (-100, gone_us)] == [(one.delta_bytes, one.at_us) for one in changes]


async def test_uploads_are_counted_as_parts_until_they_are_objects(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    await put_part(engine, "key", upload_id, 1, b"x" * 10)
    await put_part(engine, "key", upload_id, 1, b"x" * 4)
    parts = [await put_part(engine, "key", upload_id, number, b"x" * 5) for number in (2, 3)]
    await engine.complete_upload(
        BUCKET,
        "key",
        upload_id,
        parts,
        etag="e",
        checksum=None,
        condition=Condition(),
        part_bytes_min=0,
        now_us=70,
    )
    aborted = await create_upload(engine, "other")
    await put_part(engine, "other", aborted, 1, b"x" * 9)
    await engine.abort_upload(BUCKET, "other", aborted, now_us=80)
    changes = await engine.outbox(after=0, limit=100)
    parts_line, objects_line = StorageLine.PART, StorageLine.OBJECT
    assert [
        (parts_line, 10),
        (parts_line, -6),
        (parts_line, 5),
        (parts_line, 5),
        (parts_line, -14),
        (objects_line, 10),
        (parts_line, 9),
        (parts_line, -9),
    ] == [(change.line, change.delta_bytes) for change in changes]


async def test_the_outbox_is_read_in_pages_and_trimmed_without_starting_again(engine: Engine) -> None:
    for number in range(5):
        await put(engine, f"key{number}", b"x")
    page = await engine.outbox(after=1, limit=2)
    assert [change.sequence for change in page] == [2, 3]
    await engine.trim_outbox(up_to=3)
    assert [change.sequence for change in await engine.outbox(after=0, limit=10)] == [4, 5]
    await engine.trim_outbox(up_to=5)
    await put(engine, "after", b"x")
    assert [change.sequence for change in await engine.outbox(after=0, limit=10)] == [6]


async def test_a_refused_change_leaves_no_trace_in_the_outbox(engine: Engine) -> None:
    await put(engine, "key", b"x" * 3)
    for condition in (Condition(if_none_match=True), Condition(if_match="other")):
        with pytest.raises(PreconditionFailed):
            await put(engine, "key", b"y" * 5000, condition=condition)
    assert [change.delta_bytes for change in await engine.outbox(after=0, limit=10)] == [3]


async def test_everything_is_there_after_closing_and_opening(open_one: OpenEngine, tmp_path: Path) -> None:
    first = await open_one(tmp_path / "engine")
    await first.create_bucket(BUCKET, owner=OWNER)
    large = os.urandom(700_000)
    await put(first, "large", large)
    await put(first, "small", b"small")
    await first.trim_outbox(up_to=2)
    await first.close()
    second = await open_one(tmp_path / "engine")
    assert large == await get(second, "large")
    assert await get(second, "small") == b"small"
    await put(second, "more", b"x")
    assert [change.sequence for change in await second.outbox(after=0, limit=10)] == [3]
    await second.close()


async def test_closing_finishes_what_was_begun(open_one: OpenEngine, tmp_path: Path) -> None:
    first = await open_one(tmp_path / "engine")
    await first.create_bucket(BUCKET, owner=OWNER)
    puts = [asyncio.create_task(put(first, f"key{number}", b"x" * 5000)) for number in range(20)]
    await asyncio.gather(*puts)
    await first.close()
    second = await open_one(tmp_path / "engine")
    page = await second.list_objects(BUCKET, prefix="", delimiter="", after="", limit=100)
    assert len(page.objects) == 20
    await second.close()


async def test_two_engines_on_the_same_place_see_each_other(open_one: OpenEngine, tmp_path: Path) -> None:
    one, two = await asyncio.gather(open_one(tmp_path / "engine"), open_one(tmp_path / "engine"))
    await one.create_bucket(BUCKET, owner=OWNER)

    async def write(engine: Engine, name: str) -> None:
        for number in range(25):
            await put(engine, f"{name}{number}", b"x" * (10 if number % 2 else 3000))

    await asyncio.gather(*(write(engine, f"{name}-") for engine in (one, two) for name in ("a", "b", "c")))
    await put(one, "shared", b"from one")
    assert await get(two, "shared") == b"from one"
    await put(two, "shared", b"from two")
    assert await get(one, "shared") == b"from two"
    changes = await two.outbox(after=0, limit=1000)
    assert list(range(1, len(changes) + 1)) == [change.sequence for change in changes]
    assert stored_in(changes) == 3 * (12 * 10 + 13 * 3000) + 8
    await one.close()
    await two.close()


async def test_of_creators_in_two_engines_one_wins(open_one: OpenEngine, tmp_path: Path) -> None:
    engines = [await open_one(tmp_path / "engine") for _ in range(2)]
    await engines[0].create_bucket(BUCKET, owner=OWNER)

    async def create(number: int) -> bool:
        try:
            await put(engines[number % 2], "key", bytes([number]), condition=Condition(if_none_match=True))
        except PreconditionFailed:
            return False
        return True

    assert sum(await asyncio.gather(*map(create, range(40)))) == 1
    for engine in engines:
        await engine.close()
