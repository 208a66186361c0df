"""What every storage engine promises about limits of stored bytes: exact, and decided inside the commit."""

from __future__ import annotations

import asyncio

import pytest

from gateway.storage.base import Engine
from gateway.storage.errors import NoSuchBucket, QuotaExceeded
from gateway.storage.model import BucketRules, Condition, ObjectProperties, Part, Quota, Versioning
from meter.ids import BucketId, MemberId
from tests.contract.engine_model import (
    BUCKET,
    OWNER,
    complete,
    create_upload,
    delete,
    get,
    put,
    put_part,
    stage,
)

OTHER = BucketId(2)


def bucket_quota(limit: int) -> Quota:
    return Quota(bucket_bytes_max=limit)


async def refused(engine: Engine, key: str, data: bytes, quota: Quota) -> tuple[str, int]:
    before = await engine.outbox(after=0, limit=1000)
    with pytest.raises(QuotaExceeded) as over:
        await put(engine, key, data, quota=quota)
    assert before == await engine.outbox(after=0, limit=1000)
    whose, limit = over.value.args
    return whose, limit


@pytest.mark.parametrize("size", [100, 5000])
async def test_a_quota_is_passed_by_one_byte_too_many(engine: Engine, size: int) -> None:
    await put(engine, "full", b"x" * size, quota=bucket_quota(size))
    assert ("bucket", size) == await refused(engine, "more", b"x", bucket_quota(size))
    await put(engine, "nothing", b"", quota=bucket_quota(size))
    await put(engine, "more", b"x", quota=bucket_quota(size + 1))
    assert size + 1 == engine.stored_bytes(BUCKET)


async def test_only_what_grows_is_refused(engine: Engine) -> None:
    await put(engine, "key", b"x" * 100)
    assert ("bucket", 50) == await refused(engine, "key", b"x" * 101, bucket_quota(50))
    await put(engine, "key", b"y" * 100, quota=bucket_quota(50))
    await put(engine, "key", b"z" * 60, quota=bucket_quota(50))
    assert b"z" * 60 == await get(engine, "key")
    await delete(engine, "key")
    assert 0 == engine.stored_bytes(BUCKET)


async def test_a_refused_write_leaves_everything_as_it_was(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED))
    head = await put(engine, "key", b"x" * 3000)
    await refused(engine, "key", b"y" * 2000, bucket_quota(4999))
    assert head == (await engine.head_object(BUCKET, "key"))
    page = await engine.list_versions(
        BUCKET, prefix="", delimiter="", after_key="", after_version_id="", limit=10
    )
    assert [head.version_id] == [line.version_id for line in page.versions]
    assert 3000 == engine.stored_bytes(BUCKET)


async def test_old_versions_count_and_room_comes_back_when_they_go(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED))
    await put(engine, "key", b"x" * 60)
    assert ("bucket", 100) == await refused(engine, "key", b"x" * 60, bucket_quota(100))
    await delete(engine, "key")
    assert 60 == engine.stored_bytes(BUCKET)
    assert ("bucket", 100) == await refused(engine, "key", b"x" * 60, bucket_quota(100))


async def test_parts_count_and_a_complete_never_passes_a_limit(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")

    async def part(number: int, size: int) -> Part:
        return await engine.put_part(
            BUCKET,
            "key",
            upload_id,
            number,
            await stage(engine, b"x" * size),
            etag=f"part{number}",
            checksum=None,
            now_us=1_000,
            quota=bucket_quota(100),
        )

    await part(1, 70)
    with pytest.raises(QuotaExceeded):
        await part(2, 31)
    await part(2, 30)
    await part(1, 69)
    assert 99 == engine.stored_bytes(BUCKET)
    assert ("bucket", 100) == await refused(engine, "other", b"xx", bucket_quota(100))
    await complete(engine, "key", upload_id, [(1, "part1"), (2, "part2")])
    assert 99 == engine.stored_bytes(BUCKET)
    abandoned = await create_upload(engine, "key")
    await put_part(engine, "key", abandoned, 1, b"x")
    await engine.abort_upload(BUCKET, "key", abandoned, now_us=2_000)
    assert 99 == engine.stored_bytes(BUCKET)


async def test_a_member_s_quota_is_over_all_their_buckets(engine: Engine) -> None:
    await engine.create_bucket(OTHER, owner=OWNER)
    await engine.create_bucket(BucketId(3), owner=MemberId(8))
    await put(engine, "key", b"x" * 60, bucket=OTHER)
    await put(engine, "key", b"x" * 1000, bucket=BucketId(3))
    quota = Quota(bucket_bytes_max=1000, member_bytes_max=100)
    assert ("member", 100) == await refused(engine, "key", b"x" * 41, quota)
    await put(engine, "key", b"x" * 40, quota=quota)
    assert (40, 100, 1000) == (
        engine.stored_bytes(BUCKET),
        engine.stored_bytes_of(OWNER),
        engine.stored_bytes_of(MemberId(8)),
    )
    await delete(engine, "key", bucket=OTHER)
    await engine.delete_bucket(OTHER)
    assert 40 == engine.stored_bytes_of(OWNER)


async def test_a_copy_is_held_against_the_quota(engine: Engine) -> None:
    await put(engine, "key", b"x" * 60)
    reader = await engine.open_object(BUCKET, "key")
    with pytest.raises(QuotaExceeded):
        await engine.copy_object(
            reader,
            BUCKET,
            "copy",
            properties=ObjectProperties(),
            condition=Condition(),
            now_us=9,
            quota=bucket_quota(119),
        )
    reader.close()
    assert 60 == engine.stored_bytes(BUCKET)


@pytest.mark.parametrize("size", [7, 2000])
async def test_writers_at_once_fill_a_quota_and_never_pass_it(engine: Engine, size: int) -> None:
    limit = 10 * size + size // 2

    async def write(number: int) -> bool:
        try:
            await put(engine, f"key{number}", b"x" * size, quota=bucket_quota(limit))
        except QuotaExceeded:
            return False
        return True

    assert 10 == sum(await asyncio.gather(*map(write, range(60))))
    assert 10 * size == engine.stored_bytes(BUCKET)


async def test_an_unknown_bucket_stores_nothing_and_says_so(engine: Engine) -> None:
    assert 0 == engine.stored_bytes(BUCKET)
    assert 0 == engine.stored_bytes_of(MemberId(99))
    with pytest.raises(NoSuchBucket):
        engine.stored_bytes(BucketId(99))
