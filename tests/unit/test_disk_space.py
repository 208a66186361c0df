"""What the disk must keep free for index and journal is not taken by objects, whichever way they come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine
from gateway.storage.disk.files import Files
from gateway.storage.errors import StorageFull
from gateway.storage.model import Arriving, Condition, ObjectProperties
from tests.contract.engine_model import BUCKET, OWNER, delete, get, put
from tests.unit.disk_faults import files_under, open_with

FREE_MIN = 1_000_000


class Counted(Files):
    """A file system that has so much for us, less what is written."""

    left = 10_000_000

    def free_bytes(self, directory: Path) -> int:
        assert directory.is_dir()
        return self.left

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        written = super().write(descriptor, data)
        self.left -= written
        return written


@pytest.fixture
def files() -> Counted:
    return Counted()


@pytest.fixture
async def engine(tmp_path: Path, files: Counted) -> AsyncIterator[DiskEngine]:
    settings = GatewaySettings(inline_bytes_max=1024, disk_free_bytes_min=FREE_MIN)
    made = open_with(tmp_path, files, settings)
    await made.create_bucket(BUCKET, owner=OWNER)
    yield made
    await made.close()


async def test_a_body_that_passes_the_mark_in_the_middle_is_refused_and_leaves_nothing(
    engine: DiskEngine, files: Counted, tmp_path: Path
) -> None:
    files.left = FREE_MIN + 700_000
    staged = await engine.stage(Arriving(BUCKET, "key", 0))
    for _ in range(2):
        await staged.write(b"x" * 300_000)
    with pytest.raises(StorageFull):
        await staged.write(b"x" * 300_000)
    await staged.discard()
    assert FREE_MIN <= files.left
    assert [] == files_under(tmp_path)
    assert () == await engine.outbox(after=0, limit=10)


async def test_a_small_object_is_refused_too_and_a_delete_is_not(engine: DiskEngine, files: Counted) -> None:
    await put(engine, "k", b"x")
    files.left = FREE_MIN - 1
    with pytest.raises(StorageFull):
        await put(engine, "other", b"x")
    assert b"x" == await get(engine, "k")
    assert (True,) == await delete(engine, "k")
    files.left = FREE_MIN
    await put(engine, "other", b"x")


async def test_a_copy_inside_the_disk_is_refused_before_it_passes_the_mark(
    engine: DiskEngine, files: Counted, tmp_path: Path
) -> None:
    await put(engine, "k", b"x" * 50_000)
    files.left = FREE_MIN + 49_999
    reader = await engine.open_object(BUCKET, "k")
    with pytest.raises(StorageFull):
        await engine.copy_object(
            reader, BUCKET, "copy", properties=ObjectProperties(), condition=Condition(), now_us=1
        )
    reader.close()
    assert 1 == len(files_under(tmp_path))


def test_what_is_announced_is_held_against_what_is_left(engine: DiskEngine, files: Counted) -> None:
    files.left = FREE_MIN + 5
    engine.check_space(BUCKET, 5)
    with pytest.raises(StorageFull):
        engine.check_space(BUCKET, 6)
