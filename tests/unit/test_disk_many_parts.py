"""Objects of more parts than a reader keeps open: few descriptors, and nothing is taken from a slow reader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.disk.pins import Pins
from gateway.storage.errors import DamagedObject, NoSuchKey
from gateway.storage.model import Condition, Deletion, FileExtent
from tests.contract.engine_model import BUCKET, OWNER, complete, create_upload, get, put, put_part, read_range
from tests.unit.disk_faults import files_under

FILES_MAX = 4
PARTS = 20
PART_BYTES = 100
FAR_FUTURE_US = 10**17
SETTINGS = GatewaySettings(inline_bytes_max=0, blob_delete_delay_s=0, reader_files_max=FILES_MAX)
DATA = b"".join(bytes([number]) * PART_BYTES for number in range(PARTS))


async def opened(directory: Path) -> DiskEngine:
    engine = await open_engine(directory, SETTINGS)
    await engine.create_bucket(BUCKET, owner=OWNER)
    return engine


async def upload(engine: DiskEngine, key: str = "key", data: bytes = DATA) -> None:
    upload_id = await create_upload(engine, key)
    parts = [
        await put_part(engine, key, upload_id, number + 1, data[number * PART_BYTES :][:PART_BYTES])
        for number in range(PARTS)
    ]
    await complete(engine, key, upload_id, parts)


def descriptors(directory: Path) -> int:
    """Open files of this process under the directory's blobs."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.path.lexists(one) and os.readlink(one).startswith(f"{directory}/blobs/") for one in links)


async def test_a_reader_opens_few_files_at_a_time_and_reads_everything(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    await upload(engine)
    reader = await engine.open_object(BUCKET, "key")
    assert descriptors(tmp_path) == 0
    read, most = b"", 0
    for extent in reader.extents(0, len(DATA)):
        assert isinstance(extent, FileExtent)
        read += os.pread(extent.descriptor, extent.size_bytes, extent.offset)
        most = max(most, descriptors(tmp_path))
    assert DATA == read
    assert most == FILES_MAX
    assert read_range(reader, 150, 1234) == DATA[150:1234]
    reader.close()
    assert descriptors(tmp_path) == 0
    assert list((tmp_path / "pins").iterdir()) == []
    await engine.close()


async def test_a_copy_of_many_parts_has_all_bytes(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    await upload(engine)
    reader = await engine.open_object(BUCKET, "key")
    from_the_head = reader.head.properties
    await engine.copy_object(
        reader, BUCKET, "copy", properties=from_the_head, condition=Condition(), now_us=1_000
    )
    reader.close()
    assert await get(engine, "copy") == DATA
    await engine.close()


async def test_a_delete_takes_nothing_from_a_slow_reader_however_late_it_reads(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    await upload(engine)
    slow = await engine.open_object(BUCKET, "key")
    assert read_range(slow, 0, 10) == DATA[:10]
    await engine.delete_objects(BUCKET, [Deletion("key")], now_us=2_000)
    for _ in range(3):
        assert await engine.collect(FAR_FUTURE_US) == 0
    assert len(files_under(tmp_path)) == PARTS
    with pytest.raises(NoSuchKey):
        await engine.open_object(BUCKET, "key")
    assert read_range(slow, 0, len(DATA)) == DATA
    slow.close()
    assert await engine.collect(FAR_FUTURE_US) == PARTS
    assert files_under(tmp_path) == []
    await engine.close()


async def test_a_reader_keeps_only_its_own_object(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    await upload(engine)
    await upload(engine, "other")
    slow = await engine.open_object(BUCKET, "key")
    await engine.delete_objects(BUCKET, [Deletion("key"), Deletion("other")], now_us=2_000)
    assert await engine.collect(FAR_FUTURE_US) == PARTS
    assert read_range(slow, 0, len(DATA)) == DATA
    slow.close()
    await engine.close()


async def test_another_process_collector_respects_a_pin(tmp_path: Path) -> None:
    engine, other = await opened(tmp_path), await opened(tmp_path)
    await upload(engine)
    slow = await engine.open_object(BUCKET, "key")
    await other.delete_objects(BUCKET, [Deletion("key")], now_us=2_000)
    assert await other.collect(FAR_FUTURE_US) == 0
    assert read_range(slow, 0, len(DATA)) == DATA
    slow.close()
    assert await other.collect(FAR_FUTURE_US) == PARTS
    await engine.close()
    await other.close()


async def test_the_pin_of_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    await upload(engine)
    names = sorted(files_under(tmp_path))
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom gateway.storage.disk.pins import Pins\n"
        "Pins(Path(sys.argv[1])).acquire(sys.argv[2:])\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    assert -9 == subprocess.run([sys.executable, "-c", program, str(tmp_path), *names]).returncode
    assert len(list((tmp_path / "pins").iterdir())) == 1
    await engine.delete_objects(BUCKET, [Deletion("key")], now_us=2_000)
    assert await engine.collect(FAR_FUTURE_US) == PARTS
    assert list((tmp_path / "pins").iterdir()) == []
    await engine.close()


async def test_readers_of_one_object_share_a_pin(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    await upload(engine)
    readers = [await engine.open_object(BUCKET, "key") for _ in range(10)]
    assert len(list((tmp_path / "pins").iterdir())) == 1
    for reader in readers[:-1]:
        reader.close()
        reader.close()
    assert len(list((tmp_path / "pins").iterdir())) == 1
    readers[-1].close()
    assert list((tmp_path / "pins").iterdir()) == []
    await engine.close()


async def test_an_object_replaced_before_its_files_are_pinned_is_read_as_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, other = await opened(tmp_path), await opened(tmp_path)
    await upload(engine)
    acquire = Pins.acquire
    replaced: list[int] = []

    def replace_first(pins: Pins, blobs: list[str]) -> bool:
        """The race: everything another worker can do happens between the index and the pin."""
        if not replaced:
            replaced.append(1)
            connection = other._committer._connection
            blobs_now = [name for (name,) in connection.execute("SELECT blob FROM piece")]
            for name in blobs_now:
                (tmp_path / "blobs" / name[:2] / name).unlink()
            connection.execute("UPDATE object SET piece = (SELECT max(piece) FROM piece), size_bytes = 3")
            connection.execute(
                "UPDATE piece SET size_bytes = 3, blob = NULL, data = x'6e6577' WHERE piece = (SELECT max(piece) FROM piece)"
            )
        return acquire(pins, blobs)

    monkeypatch.setattr(Pins, "acquire", replace_first)
    reader = await engine.open_object(BUCKET, "key")
    assert read_range(reader, 0, 3) == b"new"
    reader.close()
    assert list((tmp_path / "pins").iterdir()) == []
    await engine.close()
    await other.close()


async def test_a_full_disk_opens_every_file_rather_than_refusing_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await opened(tmp_path)
    await upload(engine)

    def full(pins: Pins, blobs: list[str]) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Pins, "acquire", full)
    reader = await engine.open_object(BUCKET, "key")
    assert descriptors(tmp_path) == PARTS
    assert read_range(reader, 0, len(DATA)) == DATA
    reader.close()
    assert descriptors(tmp_path) == 0
    await engine.close()


async def test_a_missing_part_is_damage_when_the_reader_comes_to_it(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    await upload(engine)
    reader = await engine.open_object(BUCKET, "key")
    assert read_range(reader, 0, len(DATA)) == DATA
    for path in tmp_path.glob("blobs/*/*"):
        path.unlink()
    with pytest.raises(DamagedObject):
        read_range(reader, 0, len(DATA))
    reader.close()
    await put(engine, "small", b"x" * 10)
    await engine.close()
