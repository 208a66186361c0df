"""What every storage engine promises about buckets, objects and conditions. Written against Engine only."""

from __future__ import annotations

import asyncio
import os

import pytest

from gateway.storage.base import Engine
from gateway.storage.errors import BucketNotEmpty, NoSuchBucket, NoSuchKey, PreconditionFailed
from gateway.storage.model import Arriving, Checksum, Condition, ObjectHead, ObjectProperties
from meter.ids import BucketId, MemberId
from tests.contract.engine_model import (
    BUCKET,
    OWNER,
    create_upload,
    delete,
    get,
    put,
    read_range,
    stage,
)

SIZES = [0, 1, 1023, 1024, 1025, 300_000, 3 * 2**20 + 1]
ODD_KEYS = [
    "/",
    "//",
    "../../etc/passwd",
    ".",
    "a/",
    "a//b",
    " ",
    "\n\t\r",
    "\x01\x7f",
    "ключ/密钥/🔑",
    "é",
    "e\u0301",
    "%2F+%20?#&",
    "'; DROP TABLE object; --",
    "k" * 1024,
    "\U0010ffff",
]


@pytest.mark.parametrize("size", SIZES)
async def test_an_object_comes_back_as_it_was_put(engine: Engine, size: int) -> None:
    data = os.urandom(size)
    await put(engine, "key", data)
    assert data == await get(engine, "key")


async def test_chunks_of_any_size_are_put_together(engine: Engine) -> None:
    chunks = [os.urandom(size) for size in (1, 0, 700_000, 65_536, 1, 1_048_576, 3)]
    staged = await engine.stage(Arriving(BUCKET, "key", 0))
    for chunk in chunks:
        await staged.write(chunk)
    assert sum(map(len, chunks)) == staged.size_bytes
    await engine.put_object(
        BUCKET, "key", staged, etag="e", properties=ObjectProperties(), condition=Condition(), now_us=1
    )
    assert b"".join(chunks) == await get(engine, "key")


async def test_the_head_is_what_was_put(engine: Engine) -> None:
    properties = ObjectProperties(
        {"content-type": "text/plain", "x-amz-meta-name": "Zoë 🦀"}, Checksum("CRC32C", "yZRlqg==")
    )
    expected = ObjectHead("key", 5, "5d41402abc4b2a76b9719d911017c592", 1234, properties)
    answered = await put(engine, "key", b"hello", etag=expected.etag, properties=properties, now_us=1234)
    assert expected == answered
    assert expected == (await engine.head_object(BUCKET, "key"))
    reader = await engine.open_object(BUCKET, "key")
    assert expected == reader.head
    reader.close()


@pytest.mark.parametrize("key", ODD_KEYS, ids=range(len(ODD_KEYS)))
async def test_odd_keys_are_keys(engine: Engine, key: str) -> None:
    await put(engine, key, key.encode())
    assert key.encode() == await get(engine, key)
    page = await engine.list_objects(BUCKET, prefix="", delimiter="", after="", limit=10)
    assert [key] == [listed.key for listed in page.objects]
    assert await delete(engine, key, now_us=2) == (True,)


async def test_keys_that_look_alike_are_different(engine: Engine) -> None:
    keys = ["é", "e\u0301", "E\u0301", "a", "A", "a/", "a//"]
    for key in keys:
        await put(engine, key, key.encode())
    assert [key.encode() for key in keys] == [await get(engine, key) for key in keys]


async def test_an_overwritten_object_is_the_new_one(engine: Engine) -> None:
    for data in (b"first", os.urandom(5000), b"third", os.urandom(2**20)):
        await put(engine, "key", data)
        assert data == await get(engine, "key")


async def test_an_open_reader_keeps_its_bytes(engine: Engine) -> None:
    for name, data in (("small", b"x" * 10), ("large", os.urandom(50_000))):
        await put(engine, name, data)
        reader = await engine.open_object(BUCKET, name)
        await put(engine, name, b"new")
        await delete(engine, name, now_us=2)
        assert data == read_range(reader, 0, len(data))
        reader.close()
        reader.close()


async def test_ranges_are_the_bytes_asked_for(engine: Engine) -> None:
    data = os.urandom(5000)
    await put(engine, "key", data)
    reader = await engine.open_object(BUCKET, "key")
    for start, stop in ((0, 0), (0, 1), (4999, 5000), (17, 1711), (5000, 5000), (0, 5000)):
        assert data[start:stop] == read_range(reader, start, stop)
    assert reader.extents(100, 100) == ()
    reader.close()


async def test_a_missing_key_has_its_own_error(engine: Engine) -> None:
    with pytest.raises(NoSuchKey):
        await engine.head_object(BUCKET, "nothing")
    with pytest.raises(NoSuchKey):
        await engine.open_object(BUCKET, "nothing")


async def test_discarded_bytes_are_nowhere(engine: Engine) -> None:
    staged = await stage(engine, os.urandom(700_000))
    await staged.discard()
    await staged.discard()
    with pytest.raises(NoSuchKey):
        await engine.head_object(BUCKET, "key")
    assert await engine.outbox(after=0, limit=10) == ()


async def test_discarding_after_the_commit_does_nothing(engine: Engine) -> None:
    data = os.urandom(700_000)
    await put(engine, "key", data)  # put() discards at its end
    assert data == await get(engine, "key")


async def test_deleting_says_what_existed(engine: Engine) -> None:
    await put(engine, "a", b"1")
    await put(engine, "b", b"2")
    existed = await delete(engine, "b", "nothing", "a", "b", now_us=2)
    assert existed == (True, False, True, False)
    with pytest.raises(NoSuchKey):
        await engine.head_object(BUCKET, "a")


# Buckets


async def test_every_method_knows_a_missing_bucket(engine: Engine) -> None:
    nowhere = BucketId(99)
    with pytest.raises(NoSuchBucket):
        await engine.head_object(nowhere, "key")
    with pytest.raises(NoSuchBucket):
        await engine.open_object(nowhere, "key")
    with pytest.raises(NoSuchBucket):
        await put(engine, "key", b"small", bucket=nowhere)
    with pytest.raises(NoSuchBucket):
        await put(engine, "key", os.urandom(5000), bucket=nowhere)
    with pytest.raises(NoSuchBucket):
        await delete(engine, "key", bucket=nowhere, now_us=1)
    with pytest.raises(NoSuchBucket):
        await engine.list_objects(nowhere, prefix="", delimiter="", after="", limit=1)
    with pytest.raises(NoSuchBucket):
        await engine.list_uploads(nowhere, prefix="", after_key="", after_upload_id="", limit=1)
    with pytest.raises(NoSuchBucket):
        await engine.get_upload(nowhere, "key", "id")
    with pytest.raises(NoSuchBucket):
        await engine.create_upload(
            nowhere,
            "key",
            properties=ObjectProperties(),
            checksum_algorithm="",
            checksum_kind="",
            now_us=1,
        )


async def test_making_a_bucket_twice_changes_nothing(engine: Engine) -> None:
    await put(engine, "key", b"data")
    await engine.create_bucket(BUCKET, owner=OWNER)
    assert await get(engine, "key") == b"data"


async def test_only_an_empty_bucket_is_deleted(engine: Engine) -> None:
    await put(engine, "key", b"data")
    with pytest.raises(BucketNotEmpty):
        await engine.delete_bucket(BUCKET)
    await delete(engine, "key", now_us=2)
    upload_id = await create_upload(engine, "key")
    with pytest.raises(BucketNotEmpty):
        await engine.delete_bucket(BUCKET)
    await engine.abort_upload(BUCKET, "key", upload_id, now_us=3)
    await engine.delete_bucket(BUCKET)
    with pytest.raises(NoSuchBucket):
        await engine.head_object(BUCKET, "key")


async def test_deleting_an_unknown_bucket_changes_nothing(engine: Engine) -> None:
    await put(engine, "key", b"one")
    before = await engine.outbox(after=0, limit=10)
    await engine.delete_bucket(BucketId(99))
    assert before == await engine.outbox(after=0, limit=10)
    assert "key" == (await engine.head_object(BUCKET, "key")).key


async def test_buckets_do_not_see_each_other(engine: Engine) -> None:
    other = BucketId(2)
    await engine.create_bucket(other, owner=MemberId(8))
    await put(engine, "key", b"one")
    await put(engine, "key", b"two", bucket=other)
    await delete(engine, "key", bucket=other, now_us=2)
    assert await get(engine, "key") == b"one"


# Conditions


async def test_if_none_match_refuses_an_existing_key(engine: Engine) -> None:
    await put(engine, "key", b"first", condition=Condition(if_none_match=True))
    with pytest.raises(PreconditionFailed):
        await put(engine, "key", b"second", condition=Condition(if_none_match=True))
    assert await get(engine, "key") == b"first"


async def test_if_match_wants_the_etag_it_names(engine: Engine) -> None:
    await put(engine, "key", b"first", etag="one")
    with pytest.raises(PreconditionFailed):
        await put(engine, "key", b"no", etag="no", condition=Condition(if_match="other"))
    await put(engine, "key", b"second", etag="two", condition=Condition(if_match="one"))
    await put(engine, "key", b"third", etag="three", condition=Condition(if_match="*"))
    assert await get(engine, "key") == b"third"


async def test_if_match_without_an_object_is_no_such_key(engine: Engine) -> None:
    for etag in ("one", "*"):
        with pytest.raises(NoSuchKey):
            await put(engine, "key", b"no", condition=Condition(if_match=etag))


@pytest.mark.parametrize("size", [8, 5000])
async def test_of_a_hundred_creators_one_wins(engine: Engine, size: int) -> None:
    async def create(number: int) -> int | None:
        try:
            await put(engine, "key", bytes([number]) * size, condition=Condition(if_none_match=True))
        except PreconditionFailed:
            return None
        return number

    winners = [number for number in await asyncio.gather(*map(create, range(100))) if number is not None]
    assert len(winners) == 1
    assert bytes(winners) * size == await get(engine, "key")
    changes = await engine.outbox(after=0, limit=1000)
    assert [size] == [change.delta_bytes for change in changes]


async def test_of_many_swappers_each_sees_the_one_before(engine: Engine) -> None:
    await put(engine, "counter", b"0", etag="0")

    async def increment() -> None:
        while True:
            head = await engine.head_object(BUCKET, "counter")
            following = str(int(head.etag) + 1)
            try:
                await put(
                    engine,
                    "counter",
                    following.encode(),
                    etag=following,
                    condition=Condition(if_match=head.etag),
                )
            except PreconditionFailed:
                continue
            return

    await asyncio.gather(*(increment() for _ in range(20)))
    assert await get(engine, "counter") == b"20"


# Copies


@pytest.mark.parametrize("size", [0, 10, 1024, 1025, 2_000_000])
async def test_a_copy_has_the_bytes_and_etag_of_its_source(engine: Engine, size: int) -> None:
    data = os.urandom(size)
    await put(engine, "source", data, etag="abc", properties=ObjectProperties({"content-type": "a/b"}))
    reader = await engine.open_object(BUCKET, "source")
    properties = ObjectProperties({"content-type": "c/d"})
    head = await engine.copy_object(
        reader, BUCKET, "copy", properties=properties, condition=Condition(), now_us=9
    )
    reader.close()
    assert (
        ObjectHead("copy", size, "abc", 9, properties) == head == (await engine.head_object(BUCKET, "copy"))
    )
    await delete(engine, "source", now_us=10)
    assert data == await get(engine, "copy")


async def test_an_object_copied_onto_itself_keeps_its_bytes(engine: Engine) -> None:
    data = os.urandom(100_000)
    await put(engine, "key", data)
    reader = await engine.open_object(BUCKET, "key")
    await engine.copy_object(
        reader,
        BUCKET,
        "key",
        properties=ObjectProperties({"x-amz-meta-a": "b"}),
        condition=Condition(),
        now_us=9,
    )
    reader.close()
    assert data == await get(engine, "key")
    assert (await engine.head_object(BUCKET, "key")).properties.headers == {"x-amz-meta-a": "b"}


async def test_a_copy_keeps_its_condition(engine: Engine) -> None:
    await put(engine, "source", b"new")
    await put(engine, "target", b"old")
    reader = await engine.open_object(BUCKET, "source")
    with pytest.raises(PreconditionFailed):
        await engine.copy_object(
            reader,
            BUCKET,
            "target",
            properties=ObjectProperties(),
            condition=Condition(if_none_match=True),
            now_us=9,
        )
    reader.close()
    assert await get(engine, "target") == b"old"
