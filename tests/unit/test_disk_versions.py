"""What the disk engine alone can show of versions: files, damage, and an index of an older Weir."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from gateway.storage.disk import index
from gateway.storage.disk.engine import open_engine
from gateway.storage.disk.upkeep import Damage
from gateway.storage.errors import DamagedObject, NoSuchUpload, ObjectLocked, QuotaExceeded, StorageFull
from gateway.storage.model import (
    BucketRules,
    Deletion,
    ObjectProperties,
    Quota,
    Versioning,
)
from meter.event import StorageLine
from meter.ids import BucketId, MemberId
from tests.contract.engine_model import BUCKET, OWNER, complete, create_upload, delete, get, put, put_part
from tests.unit.disk_faults import SMALL, FailingFiles, files_under, open_with

ENABLED = BucketRules(Versioning.ENABLED)


async def test_files_of_old_versions_stay_and_go_with_their_version(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await engine.set_bucket_rules(BUCKET, ENABLED)
    old = await put(engine, "key", b"x" * 5000)
    upload_id = await create_upload(engine, "key")
    parts = [await put_part(engine, "key", upload_id, n, b"y" * 3000) for n in (1, 2, 3)]
    joined = await complete(engine, "key", upload_id, parts)
    await delete(engine, "key")
    assert 0 == await engine.collect(10**17)
    assert 4 == len(files_under(tmp_path))
    assert b"y" * 9000 == await get(engine, "key", joined.version_id)
    await engine.delete_objects(BUCKET, [Deletion("key", joined.version_id)], now_us=3_000)
    assert 3 == await engine.collect(10**17)
    assert b"x" * 5000 == await get(engine, "key", old.version_id)
    await engine.delete_objects(BUCKET, [Deletion("key", old.version_id)], now_us=3_000)
    assert 1 == await engine.collect(10**17)
    assert [] == files_under(tmp_path)
    await engine.close()


async def test_damage_of_an_old_version_is_named(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await engine.set_bucket_rules(BUCKET, ENABLED)
    old = await put(engine, "key", b"x" * 5000)
    (blob,) = files_under(tmp_path)
    await put(engine, "key", b"new")
    (tmp_path / "blobs" / blob[:2] / blob).unlink()
    with pytest.raises(DamagedObject):
        await engine.open_object(BUCKET, "key", old.version_id)
    report = await engine.sweep(10**17)
    assert (Damage(BUCKET, "key", blob, 5000, None),) == report.damaged
    await engine.close()


async def test_a_write_over_the_quota_leaves_no_file(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    with pytest.raises(QuotaExceeded):
        await put(engine, "key", b"x" * 5000, quota=Quota(bucket_bytes_max=4999))
    assert [] == files_under(tmp_path)
    await engine.close()


async def test_a_disk_that_fails_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    files = FailingFiles(errno.ENOSPC)
    engine = open_with(tmp_path, files)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await engine.set_bucket_rules(BUCKET, ENABLED)
    head = await put(engine, "key", b"x" * 5000)
    before = await engine.usage_totals()
    for call in range(1, 6):
        files.arm(call)
        with pytest.raises(StorageFull):
            await put(engine, "key", b"y" * 5000)
        files.disarm()
        assert head == (await engine.head_object(BUCKET, "key"))
        assert (before, 5000) == (await engine.usage_totals(), engine.stored_bytes(BUCKET))
        assert 1 == len(files_under(tmp_path))
    await engine.close()


async def test_a_lock_left_in_a_bucket_that_lost_its_locks_still_holds(tmp_path: Path) -> None:
    # No call brings a bucket here; the rows are the last guard if somebody does.
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED, locks=True))
    await put(engine, "key", b"held", properties=ObjectProperties(legal_hold=True))
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        connection.execute("UPDATE bucket SET versioning = '', locks = 0")
        connection.execute("UPDATE object SET version_id = ''")
    connection.close()
    with pytest.raises(ObjectLocked):
        await put(engine, "key", b"new")
    (answer,) = await engine.delete_objects(BUCKET, [Deletion("key")], now_us=10**15)
    assert isinstance(answer.error, ObjectLocked)
    assert b"held" == await get(engine, "key")
    await engine.close()


async def test_an_index_of_the_first_weir_opens_with_its_objects_and_exact_totals(
    tmp_path: Path,
) -> None:
    first = index._MIGRATIONS / "0001_index.sql"
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        connection.executescript(first.read_text())
        connection.execute("PRAGMA user_version = 1")
        connection.executescript(
            """
            INSERT INTO bucket (bucket, owner) VALUES (1, 7), (2, 7), (3, 8);
            INSERT INTO piece (piece, size_bytes, data)
                VALUES (1, 5, x'68656c6c6f'), (2, 3, x'6f6e65'), (3, 4, x'74776f21'), (4, 2, x'7033');
            INSERT INTO object (bucket, key, piece, size_bytes, etag, modified_us, headers)
                VALUES (1, x'6b6579', 1, 5, 'tag', 123, '{"content-type": "text/plain"}'),
                       (1, x'6b657932', 2, 3, 'tag', 124, '{}'), (2, x'6b', 3, 4, 'tag', 125, '{}');
            INSERT INTO upload (upload_id, bucket, key, started_us, headers, checksum_algorithm, checksum_kind)
                VALUES ('u', 1, x'6b6579', 1, '{}', '', '');
            INSERT INTO part (upload_id, number, piece, size_bytes, etag, modified_us) VALUES ('u', 1, 4, 2, 'p', 1);
            INSERT INTO tombstone (upload_id, bucket, key, parts, piece, completed_us)
                VALUES ('done', 1, x'6b657932', '[[1, "p"]]', 2, 124);
            """
        )
    connection.close()
    engine = await open_engine(tmp_path, GatewaySettings())
    assert b"hello" == await get(engine, "key") == await get(engine, "key", "null")
    assert BucketRules() == (await engine.bucket_rules(BUCKET))
    stored = [engine.stored_bytes(BucketId(number)) for number in (1, 2, 3)]
    assert [5 + 3 + 2, 4, 0] == stored
    assert [14, 0] == [engine.stored_bytes_of(MemberId(number)) for number in (7, 8)]
    assert {
        (BucketId(1), StorageLine.OBJECT): 8,
        (BucketId(1), StorageLine.PART): 2,
        (BucketId(2), StorageLine.OBJECT): 4,
    } == await engine.usage_totals()
    again = await complete(engine, "key2", "done", [(1, "p")], now_us=200)
    assert ("key2", 3, "") == (again.key, again.size_bytes, again.version_id)
    with pytest.raises(NoSuchUpload):
        await complete(engine, "key2", "other", [(1, "p")], now_us=200)
    assert "tag" == (await complete(engine, "key", "u", [(1, "p")], etag="tag")).etag
    assert 2 + 3 == engine.stored_bytes(BUCKET)
    await engine.close()
