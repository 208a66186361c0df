"""What every storage engine promises about multipart uploads. Written against Engine only."""

from __future__ import annotations

import asyncio
import os

import pytest

from gateway.settings import GatewaySettings
from gateway.storage.base import Engine
from gateway.storage.errors import (
    InvalidPart,
    InvalidPartOrder,
    NoSuchKey,
    NoSuchUpload,
    PartTooSmall,
    PreconditionFailed,
)
from gateway.storage.model import Checksum, Condition, ObjectHead, ObjectProperties, Part, Upload
from tests.contract.engine_model import (
    BUCKET,
    complete,
    create_upload,
    delete,
    get,
    put,
    put_part,
    read_range,
    stage,
    stored_in,
)

DAY_US = 86_400_000_000


async def test_parts_in_files_and_in_memory_make_one_object(engine: Engine) -> None:
    datas = [os.urandom(size) for size in (70_000, 10, 0, 1024, 600_000, 1)]
    properties = ObjectProperties({"content-type": "a/b"})
    upload_id = await create_upload(engine, "key", properties=properties)
    parts = [await put_part(engine, "key", upload_id, 1 + 2 * n, data) for n, data in enumerate(datas)]
    head = await complete(engine, "key", upload_id, parts, etag="abc-6", now_us=77)
    whole = b"".join(datas)
    sizes = tuple(map(len, datas))
    assert ObjectHead("key", len(whole), "abc-6", 77, properties, sizes) == head
    assert head == (await engine.head_object(BUCKET, "key"))
    assert whole == await get(engine, "key")
    reader = await engine.open_object(BUCKET, "key")
    ends = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
    cuts = sorted({max(0, min(len(whole), end + step)) for end in ends for step in (-1, 0, 1)})
    for start in cuts:
        for stop in [cut for cut in cuts if cut >= start]:
            assert whole[start:stop] == read_range(reader, start, stop)
    reader.close()


async def test_an_object_of_one_part_is_a_multipart_object(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    part = await put_part(engine, "key", upload_id, 5, b"only")
    head = await complete(engine, "key", upload_id, [part], etag="abc-1")
    assert head.part_sizes == (4,)
    assert await get(engine, "key") == b"only"


async def test_a_multipart_object_is_replaced_copied_and_deleted_like_any_other(engine: Engine) -> None:
    for _ in range(2):
        upload_id = await create_upload(engine, "key")
        parts = [await put_part(engine, "key", upload_id, n, bytes([n]) * 3000) for n in (1, 2, 3)]
        await complete(engine, "key", upload_id, parts)
    whole = b"".join(bytes([n]) * 3000 for n in (1, 2, 3))
    reader = await engine.open_object(BUCKET, "key")
    await engine.copy_object(
        reader, BUCKET, "copy", properties=ObjectProperties(), condition=Condition(), now_us=5
    )
    await delete(engine, "key", now_us=6)
    assert whole == read_range(reader, 0, 9000)
    reader.close()
    assert whole == await get(engine, "copy")
    await put(engine, "copy", b"short")
    assert await get(engine, "copy") == b"short"
    changes = await engine.outbox(after=0, limit=100)
    assert stored_in(changes) == 5


async def test_nothing_is_visible_before_complete(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    await put_part(engine, "key", upload_id, 1, b"data")
    with pytest.raises(NoSuchKey):
        await engine.head_object(BUCKET, "key")


async def test_an_upload_is_found_by_its_own_key_only(engine: Engine) -> None:
    properties = ObjectProperties({"x-amz-meta-a": "b"})
    made = await engine.create_upload(
        BUCKET,
        "key",
        properties=properties,
        checksum_algorithm="CRC32",
        checksum_kind="COMPOSITE",
        now_us=44,
    )
    assert Upload(made.upload_id, "key", 44, properties, "CRC32", "COMPOSITE") == made
    assert made == await engine.get_upload(BUCKET, "key", made.upload_id)
    for key, upload_id in (("other", made.upload_id), ("key", "unknown"), ("key", "")):
        with pytest.raises(NoSuchUpload):
            await engine.get_upload(BUCKET, key, upload_id)
        with pytest.raises(NoSuchUpload):
            await put_part(engine, key, upload_id, 1, b"data")
        with pytest.raises(NoSuchUpload):
            await engine.list_parts(BUCKET, key, upload_id, after=0, limit=1)
        with pytest.raises(NoSuchUpload):
            await complete(engine, key, upload_id, [(1, "x")])
        with pytest.raises(NoSuchUpload):
            await engine.abort_upload(BUCKET, key, upload_id, now_us=1)


async def test_a_part_sent_again_replaces_the_first(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    old = await put_part(engine, "key", upload_id, 1, b"old" * 1000, etag="old")
    new = await put_part(engine, "key", upload_id, 1, b"new" * 900, etag="new")
    with pytest.raises(InvalidPart):
        await complete(engine, "key", upload_id, [old])
    await complete(engine, "key", upload_id, [new])
    assert await get(engine, "key") == b"new" * 900


async def test_parts_are_listed_in_pages(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    checksum = Checksum("SHA256", "abc=")
    for number in (3, 1, 10_000, 2):
        staged = await stage(engine, b"x" * number)
        await engine.put_part(
            BUCKET, "key", upload_id, number, staged, etag=f"e{number}", checksum=checksum, now_us=number
        )
    expected = [Part(number, number, f"e{number}", number, checksum) for number in (1, 2, 3, 10_000)]
    assert (tuple(expected[:2]), True) == await engine.list_parts(BUCKET, "key", upload_id, after=0, limit=2)
    assert (tuple(expected[2:]), False) == await engine.list_parts(BUCKET, "key", upload_id, after=2, limit=2)


async def test_wrong_completes_are_refused_and_change_nothing(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    one = await put_part(engine, "key", upload_id, 1, b"x" * 10)
    two = await put_part(engine, "key", upload_id, 2, b"x" * 10)
    before = await engine.outbox(after=0, limit=100)
    for parts in ([two, one], [one, one]):
        with pytest.raises(InvalidPartOrder):
            await complete(engine, "key", upload_id, parts)
    for parts in ([one, (3, "part3")], [(1, "other")], []):
        with pytest.raises(InvalidPart):
            await complete(engine, "key", upload_id, parts)
    with pytest.raises(PartTooSmall) as refused:
        await complete(engine, "key", upload_id, [one, two], part_bytes_min=11)
    assert refused.value.args == (1, 10, 11)
    with pytest.raises(NoSuchKey):
        await engine.head_object(BUCKET, "key")
    assert before == await engine.outbox(after=0, limit=100)
    await complete(engine, "key", upload_id, [one, two], part_bytes_min=10)


async def test_the_last_part_may_be_small(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    parts = [await put_part(engine, "key", upload_id, n, b"x" * size) for n, size in ((1, 100), (2, 1))]
    assert (await complete(engine, "key", upload_id, parts, part_bytes_min=100)).size_bytes == 101


async def test_parts_not_named_are_dropped(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    parts = [await put_part(engine, "key", upload_id, n, bytes([n]) * 2000) for n in (1, 2, 3)]
    await complete(engine, "key", upload_id, [parts[0], parts[2]])
    assert await get(engine, "key") == b"\x01" * 2000 + b"\x03" * 2000
    changes = await engine.outbox(after=0, limit=100)
    assert stored_in(changes) == 4000


async def test_a_complete_keeps_its_condition(engine: Engine) -> None:
    await put(engine, "key", b"old", etag="old")
    upload_id = await create_upload(engine, "key")
    part = await put_part(engine, "key", upload_id, 1, b"new")
    with pytest.raises(PreconditionFailed):
        await complete(engine, "key", upload_id, [part], condition=Condition(if_none_match=True))
    assert await get(engine, "key") == b"old"
    await complete(engine, "key", upload_id, [part], condition=Condition(if_match="old"))
    assert await get(engine, "key") == b"new"


async def test_the_same_complete_again_gives_the_same_answer(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    parts = [await put_part(engine, "key", upload_id, n, b"x" * 2000) for n in (1, 2)]
    first = await complete(engine, "key", upload_id, parts, now_us=10)
    changes = await engine.outbox(after=0, limit=100)
    assert first == await complete(engine, "key", upload_id, parts, now_us=20)
    assert changes == await engine.outbox(after=0, limit=100)
    with pytest.raises(NoSuchUpload):
        await complete(engine, "key", upload_id, parts[:1])
    with pytest.raises(NoSuchUpload):
        await put_part(engine, "key", upload_id, 3, b"late")


async def test_a_complete_long_ago_is_forgotten(engine: Engine) -> None:
    kept_us = GatewaySettings().upload_tombstone_s * 1_000_000
    upload_id = await create_upload(engine, "key")
    part = await put_part(engine, "key", upload_id, 1, b"x")
    head = await complete(engine, "key", upload_id, [part], now_us=DAY_US)
    assert head == await complete(engine, "key", upload_id, [part], now_us=DAY_US + kept_us)
    with pytest.raises(NoSuchUpload):
        await complete(engine, "key", upload_id, [part], now_us=DAY_US + kept_us + 1)


async def test_a_complete_does_not_bring_back_what_was_replaced(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    part = await put_part(engine, "key", upload_id, 1, b"uploaded")
    await complete(engine, "key", upload_id, [part])
    await put(engine, "key", b"later")
    with pytest.raises(NoSuchUpload):
        await complete(engine, "key", upload_id, [part])
    assert await get(engine, "key") == b"later"


async def test_parallel_completes_agree(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    parts = [await put_part(engine, "key", upload_id, n, b"x" * 2000) for n in (1, 2)]
    heads = await asyncio.gather(*(complete(engine, "key", upload_id, parts) for _ in range(10)))
    assert {(await engine.head_object(BUCKET, "key")).etag} == {head.etag for head in heads}
    changes = await engine.outbox(after=0, limit=100)
    assert stored_in(changes) == 4000


async def test_an_aborted_upload_is_gone(engine: Engine) -> None:
    upload_id = await create_upload(engine, "key")
    await put_part(engine, "key", upload_id, 1, b"x" * 5000)
    await engine.abort_upload(BUCKET, "key", upload_id, now_us=2)
    with pytest.raises(NoSuchUpload):
        await engine.abort_upload(BUCKET, "key", upload_id, now_us=3)
    assert await engine.list_uploads(BUCKET, prefix="", after_key="", after_upload_id="", limit=10) == (
        (),
        False,
    )


async def test_open_uploads_are_listed_by_key_then_id(engine: Engine) -> None:
    keys = ["b", "a", "b", "é", "a/x", "z"]
    made = [(key, await create_upload(engine, key, now_us=number)) for number, key in enumerate(keys)]
    expected = sorted(made, key=lambda pair: (pair[0].encode(), pair[1]))

    async def pairs(
        *, prefix: str = "", after: tuple[str, str] = ("", ""), limit: int = 10
    ) -> tuple[list[tuple[str, str]], bool]:
        uploads, more = await engine.list_uploads(
            BUCKET, prefix=prefix, after_key=after[0], after_upload_id=after[1], limit=limit
        )
        return [(upload.key, upload.upload_id) for upload in uploads], more

    assert (expected, False) == await pairs()
    assert (expected[:3], True) == await pairs(limit=3)
    assert (expected[3:], False) == await pairs(after=expected[2])
    assert ([pair for pair in expected if pair[0].startswith("a")], False) == await pairs(prefix="a")
    assert ([pair for pair in expected if pair[0].encode() > b"b"], False) == await pairs(after=("b", ""))


async def test_ids_of_one_key_sort_by_the_time_they_were_given(engine: Engine) -> None:
    made = [await create_upload(engine, "key", now_us=10**15 + number) for number in range(5)]
    uploads, _ = await engine.list_uploads(BUCKET, prefix="", after_key="", after_upload_id="", limit=10)
    assert made == [upload.upload_id for upload in uploads]


async def test_a_part_s_sealing_is_kept_and_complete_gives_the_object_its_own(engine: Engine) -> None:
    upload_id = await create_upload(engine, "k", properties=ObjectProperties(sealing={"verifier": "v"}))
    for number, sealing in ((2, "old"), (1, "one"), (2, "two")):
        staged = await stage(engine, b"data")
        await engine.put_part(
            BUCKET,
            "k",
            upload_id,
            number,
            staged,
            etag=f"part{number}",
            checksum=None,
            now_us=1,
            sealing=sealing,
        )
    parts, _ = await engine.list_parts(BUCKET, "k", upload_id, after=0, limit=10)
    assert [(1, "one"), (2, "two")] == [(part.number, part.sealing) for part in parts]
    assert {"verifier": "v"} == (await engine.get_upload(BUCKET, "k", upload_id)).properties.sealing
    given = {"verifier": "v", "salts": "s" * 10_000}
    head = await engine.complete_upload(
        BUCKET, "k", upload_id, [(1, "part1"), (2, "part2")], etag="e-2", checksum=None,
        condition=Condition(), part_bytes_min=0, now_us=2, sealing=given,
    )  # fmt: skip
    assert given == head.properties.sealing == (await engine.head_object(BUCKET, "k")).properties.sealing
