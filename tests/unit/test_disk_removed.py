"""Files that are gone for members and wait for their last readers: a line of their own, exact to the byte."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.storage.disk import index
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.model import BucketRules, Deletion, Quota, Versioning
from meter.event import StorageLine
from meter.ids import BucketId, MemberId
from tests.contract.engine_model import (
    BUCKET,
    OWNER,
    complete,
    create_upload,
    delete,
    put,
    put_part,
)
from tests.unit.disk_faults import SMALL, files_under

FAR_US = 10**16


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[DiskEngine]:
    """Objects above 1024 bytes are files."""
    made = await open_engine(tmp_path / "engine", SMALL)
    await made.create_bucket(BUCKET, owner=OWNER)
    yield made
    await made.close()


async def removed(engine: DiskEngine) -> list[int]:
    """Changes of the line, in their order."""
    changes = await engine.outbox(after=0, limit=1000)
    return [change.delta_bytes for change in changes if change.line is StorageLine.REMOVED]


async def test_an_overwritten_file_is_on_the_line_until_it_is_collected(engine: DiskEngine) -> None:
    await put(engine, "k", b"x" * 5000, now_us=10)
    await put(engine, "k", b"x" * 3000, now_us=20)
    changes = await engine.outbox(after=1, limit=10)
    # In the order in which a change notes its lines: what objects lost, and what the disk still holds.
    assert [(StorageLine.OBJECT, -2000, 20), (StorageLine.REMOVED, 5000, 20)] == [
        (change.line, change.delta_bytes, change.at_us) for change in changes
    ]
    await engine.collect(FAR_US)
    (last,) = await engine.outbox(after=3, limit=10)
    assert (StorageLine.REMOVED, -5000, FAR_US, OWNER, BUCKET) == (
        last.line, last.delta_bytes, last.at_us, last.member, last.bucket,
    )  # fmt: skip


async def test_what_lived_in_the_index_leaves_no_file_behind(engine: DiskEngine) -> None:
    await put(engine, "k", b"x" * 1000)
    await put(engine, "k", b"y" * 1000)
    await delete(engine, "k")
    assert [] == await removed(engine)


async def test_parts_replaced_not_named_and_aborted(engine: DiskEngine) -> None:
    upload = await create_upload(engine, "k")
    await put_part(engine, "k", upload, 1, b"x" * 2000)
    parts = [await put_part(engine, "k", upload, number, b"x" * 2000 * number) for number in (1, 2, 3)]
    assert [2000] == await removed(engine)
    await complete(engine, "k", upload, [parts[0], parts[2]])
    assert [2000, 4000] == await removed(engine)
    aborted = await create_upload(engine, "k")
    for number in (1, 2):
        await put_part(engine, "k", aborted, number, b"x" * 1500 * number)
    await engine.abort_upload(BUCKET, "k", aborted, now_us=5)
    assert [2000, 4000, 4500] == await removed(engine)
    await delete(engine, "k", now_us=6)
    assert [2000, 4000, 4500, 8000] == await removed(engine)
    await engine.collect(FAR_US)
    assert [2000, 4000, 4500, 8000, -18500] == await removed(engine)


async def test_a_version_is_on_the_line_only_when_it_goes_for_good(engine: DiskEngine) -> None:
    await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED))
    first = await put(engine, "k", b"x" * 5000, now_us=10)
    await put(engine, "k", b"y" * 3000, now_us=20)
    await delete(engine, "k", now_us=30)
    assert [] == await removed(engine)
    await engine.delete_objects(BUCKET, [Deletion("k", first.version_id)], now_us=40)
    assert [5000] == await removed(engine)


async def test_a_bucket_that_is_deleted_leaves_its_files_to_its_owner_until_they_go(
    engine: DiskEngine,
) -> None:
    await put(engine, "k", b"x" * 5000)
    await delete(engine, "k", now_us=5)
    await engine.delete_bucket(BUCKET)
    assert {(BUCKET, StorageLine.REMOVED): 5000} == await engine.usage_totals()
    await engine.collect(FAR_US)
    assert {} == await engine.usage_totals()
    last = (await engine.outbox(after=0, limit=10))[-1]
    assert (-5000, OWNER) == (last.delta_bytes, last.member)


async def test_what_waits_counts_against_no_quota(engine: DiskEngine) -> None:
    quota = Quota(bucket_bytes_max=5000, member_bytes_max=5000)
    for _ in range(3):
        await put(engine, "k", b"x" * 5000, quota=quota)
    assert (5000, 5000) == (engine.stored_bytes(BUCKET), engine.stored_bytes_of(OWNER))
    assert {(BUCKET, StorageLine.OBJECT): 5000, (BUCKET, StorageLine.REMOVED): 10_000} == (
        await engine.usage_totals()
    )


async def test_who_is_over_a_quota_may_still_make_less_of_it(engine: DiskEngine) -> None:
    await put(engine, "k", b"x" * 5000)
    await put(engine, "k", b"x" * 4000, quota=Quota(bucket_bytes_max=1000))
    assert 4000 == engine.stored_bytes(BUCKET)


async def test_what_a_reader_still_needs_stays_on_the_line(engine: DiskEngine, tmp_path: Path) -> None:
    upload = await create_upload(engine, "k")
    parts = [await put_part(engine, "k", upload, number, b"x" * 2000) for number in range(1, 101)]
    await complete(engine, "k", upload, parts)
    reader = await engine.open_object(BUCKET, "k")
    await delete(engine, "k", now_us=5)
    await engine.collect(FAR_US)
    on_disk = sum(path.stat().st_size for path in (tmp_path / "engine").glob("blobs/*/*"))
    assert {(BUCKET, StorageLine.REMOVED): on_disk} == await engine.usage_totals()
    assert 0 < on_disk
    reader.close()
    await engine.collect(2 * FAR_US)
    assert {} == await engine.usage_totals()
    assert [] == files_under(tmp_path / "engine")


async def test_orphans_of_a_crash_were_never_counted_and_are_not_taken_off(
    engine: DiskEngine, tmp_path: Path
) -> None:
    orphan = tmp_path / "engine" / "blobs" / "00" / ("00" + "0" * 30)
    orphan.write_bytes(b"x" * 7000)
    assert 7000 == (await engine.sweep(FAR_US)).orphan_bytes
    assert () == await engine.outbox(after=0, limit=10)


async def test_files_that_waited_before_there_was_a_line_are_in_no_sum(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        for number, name in enumerate(("index", "versions", "scrub", "part_sealing"), start=1):
            connection.executescript((index._MIGRATIONS / f"{number:04d}_{name}.sql").read_text())
        connection.execute("PRAGMA user_version = 4")
        connection.execute("INSERT INTO garbage (blob, after_us) VALUES ('00aa', 5)")
    connection.close()
    engine = await open_engine(tmp_path, SMALL)
    assert 1 == await engine.collect(FAR_US)
    assert ((), {}) == (await engine.outbox(after=0, limit=10), await engine.usage_totals())
    await engine.close()


async def test_a_round_of_the_collector_writes_one_row_a_bucket_and_owner(engine: DiskEngine) -> None:
    other = BucketId(2)
    await engine.create_bucket(other, owner=MemberId(8))
    for number in range(3):
        await put(engine, f"k{number}", b"x" * 2000)
        await put(engine, f"k{number}", b"x" * 3000, bucket=other)
    await delete(engine, "k0", "k1", "k2", now_us=5)
    await delete(engine, "k0", "k1", bucket=other, now_us=5)
    before = await engine.last_sequence()
    await engine.collect(FAR_US)
    taken = {(one.bucket, one.member): one.delta_bytes for one in await engine.outbox(after=before, limit=10)}
    assert {(BUCKET, OWNER): -6000, (other, MemberId(8)): -6000} == Counter(taken)
