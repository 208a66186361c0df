"""S3's listing rules and an engine's bytes in plain Python, to hold engines against."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from gateway.storage.base import Engine, ObjectReader
from gateway.storage.model import (
    NO_QUOTA,
    Arriving,
    ComputedExtent,
    Condition,
    Deletion,
    FileExtent,
    MemoryExtent,
    ObjectHead,
    ObjectProperties,
    Quota,
    StorageChange,
)
from meter.event import StorageLine
from meter.ids import BucketId, MemberId

OWNER = MemberId(7)
BUCKET = BucketId(1)


async def stage(engine: Engine, data: bytes) -> Any:
    staged = await engine.stage(Arriving(BUCKET, "key", 0))
    await staged.write(data)
    return staged


async def put(
    engine: Engine,
    key: str,
    data: bytes = b"",
    *,
    bucket: BucketId = BUCKET,
    etag: str = "e",
    properties: ObjectProperties | None = None,
    condition: Condition | None = None,
    now_us: int = 1_000,
    quota: Quota = NO_QUOTA,
) -> ObjectHead:
    staged = await stage(engine, data)
    try:
        return await engine.put_object(
            bucket,
            key,
            staged,
            etag=etag,
            properties=properties or ObjectProperties(),
            condition=condition or Condition(),
            now_us=now_us,
            quota=quota,
        )
    finally:
        await staged.discard()


async def delete(
    engine: Engine, *keys: str, bucket: BucketId = BUCKET, now_us: int = 2_000
) -> tuple[bool, ...]:
    """Delete keys, none of which may be refused; whether there was an object."""
    answers = await engine.delete_objects(bucket, [Deletion(key) for key in keys], now_us=now_us)
    assert [(key, None) for key in keys] == [(answer.key, answer.error) for answer in answers]
    return tuple(answer.existed for answer in answers)


async def create_upload(
    engine: Engine, key: str, *, properties: ObjectProperties | None = None, now_us: int = 1_000
) -> str:
    upload = await engine.create_upload(
        BUCKET,
        key,
        properties=properties or ObjectProperties(),
        checksum_algorithm="",
        checksum_kind="",
        now_us=now_us,
    )
    return upload.upload_id


async def put_part(
    engine: Engine, key: str, upload_id: str, number: int, data: bytes, *, etag: str = "", now_us: int = 1_000
) -> tuple[int, str]:
    staged = await stage(engine, data)
    try:
        part = await engine.put_part(
            BUCKET,
            key,
            upload_id,
            number,
            staged,
            etag=etag or f"part{number}",
            checksum=None,
            now_us=now_us,
        )
    finally:
        await staged.discard()
    return part.number, part.etag


async def complete(
    engine: Engine,
    key: str,
    upload_id: str,
    parts: list[tuple[int, str]],
    *,
    condition: Condition | None = None,
    part_bytes_min: int = 0,
    etag: str = "whole-2",
    now_us: int = 1_000,
) -> ObjectHead:
    return await engine.complete_upload(
        BUCKET,
        key,
        upload_id,
        parts,
        etag=etag,
        checksum=None,
        condition=condition or Condition(),
        part_bytes_min=part_bytes_min,
        now_us=now_us,
    )


def stored_in(changes: Sequence[StorageChange]) -> int:
    """What the changes come to for members: files that wait for their last readers are not theirs any more."""
    return sum(change.delta_bytes for change in changes if change.line is not StorageLine.REMOVED)


def read_range(reader: ObjectReader, start: int, stop: int) -> bytes:
    data = b""
    for extent in reader.extents(start, stop):
        match extent:
            case MemoryExtent(part):
                data += part
            case FileExtent(descriptor, offset, size_bytes):
                data += os.pread(descriptor, size_bytes, offset)
            case ComputedExtent(size_bytes, read):
                data += read(0, size_bytes)
    return data


async def get(engine: Engine, key: str, version_id: str | None = None, *, bucket: BucketId = BUCKET) -> bytes:
    reader = await engine.open_object(bucket, key, version_id)
    try:
        return read_range(reader, 0, reader.head.size_bytes)
    finally:
        reader.close()


def list_page(
    keys: set[str], *, prefix: str, delimiter: str, after: str, limit: int
) -> tuple[list[str], list[str], str | None]:
    """ListObjectsV2 as AWS documents it: sort by UTF-8 bytes, roll up, leave out what is not after, cut."""
    items: list[tuple[bytes, bool]] = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix):
            continue
        found = key.find(delimiter, len(prefix)) if delimiter else -1
        if found < 0:
            if key.encode() > after.encode():
                items.append((key.encode(), False))
            continue
        common = key[: found + len(delimiter)]
        hidden = after.startswith(common) or common.encode() <= after.encode()
        if not hidden and (common.encode(), True) not in items:
            items.append((common.encode(), True))
    page = items[:limit]
    more = len(items) > limit and limit > 0
    return (
        [name.decode() for name, is_prefix in page if not is_prefix],
        [name.decode() for name, is_prefix in page if is_prefix],
        page[-1][0].decode() if more else None,
    )
