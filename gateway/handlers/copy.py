"""CopyObject, and the source that CopyObject and UploadPartCopy share.

The right to read the source is asked here, in the one place where a source is opened.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from gateway.admission import admit, concealed, read_asked
from gateway.call import Call, Reply, Services
from gateway.checksum import (
    DEFAULT_ALGORITHM,
    FULL_OBJECT,
    HEADER_PREFIX,
    Hasher,
    digest_base64,
    hasher,
    parse_algorithm,
)
from gateway.customer_key import COPY_SOURCE, CustomerKey, customer_key
from gateway.errors import invalid_argument, s3_error
from gateway.handlers.lifecycle import expiry_headers
from gateway.handlers.support import (
    bucket_of,
    check_room,
    commit_time_us,
    refuse_version,
    version_headers,
    xml_reply,
)
from gateway.handlers.writing import new_properties
from gateway.headers import (
    REDIRECT_HEADER,
    Outcome,
    copied_headers,
    precondition_failed,
    read_outcome,
    write_condition,
)
from gateway.names import CopySource, parse_copy_source
from gateway.results import copy_result
from gateway.sealing import Arrival, opened
from gateway.storage.base import ObjectReader
from gateway.storage.errors import IsDeleteMarker, NoSuchKey, NoSuchVersion
from gateway.storage.model import (
    Arriving,
    Checksum,
    ComputedExtent,
    Condition,
    FileExtent,
    MemoryExtent,
    ObjectHead,
    ObjectProperties,
    StreamedExtent,
    Wanted,
)
from gateway.unsupported import check_expected_owner

HEAD_FIRST = Wanted(head_first=True)
PIECE_BYTES = 1 << 20
"""Read, hashed and written at once while a source is copied."""


async def copy_object(services: Services, call: Call) -> Reply:
    """Copy within the engine, with the source's properties (COPY) or the request's (REPLACE)."""
    refuse_version(call)
    condition = write_condition(call.headers)
    source = parse_copy_source(call.headers.get("x-amz-copy-source", ""))
    replaces = _replaces(call, "x-amz-metadata-directive")
    key = customer_key(call.headers)
    is_itself = (source.bucket, source.key) == (call.bucket_name, call.key)
    is_changed = replaces or REDIRECT_HEADER in call.headers or bool(source.version_id) or key is not None
    if is_itself and not is_changed:
        raise s3_error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing "
            "the object's metadata, storage class, website redirect location or encryption attributes.",
        )
    given = await new_properties(services, call)
    reader = await open_source(services, call, source)
    try:
        if reader.head.size_bytes > services.settings.put_bytes_max:
            raise _too_large(services)
        await check_room(services, call, grows_bytes=reader.head.size_bytes)
        kept = reader.head.properties
        properties = replace(
            given,
            headers=given.headers if replaces else copied_headers(kept.headers, call.headers),
            tags=given.tags if _replaces(call, "x-amz-tagging-directive") else kept.tags,
        )
        head = await _copy(services, call, reader, properties, condition, key)
    finally:
        reader.close()
    headers = source_version_headers(reader) | version_headers(head) | expiry_headers(bucket_of(call), head)
    return xml_reply(copy_result(head), headers | ({} if key is None else key.headers))


async def _copy(
    services: Services,
    call: Call,
    reader: ObjectReader,
    properties: ObjectProperties,
    condition: Condition,
    key: CustomerKey | None,
) -> ObjectHead:
    """The bytes as one piece, with the MD5 and the whole checksum of one; opened and sealed as keys say.

    A plain object of one piece that has its checksum keeps both, and is not read through Python; nor is one that
    another system copies by itself.
    """
    bucket, source = bucket_of(call), reader.head
    algorithm, held = _algorithm(call, source), source.properties.checksum
    keeps_checksum = held is not None and (held.algorithm, held.kind) == (algorithm, FULL_OBJECT)
    is_plain = key is None and not source.properties.sealing
    asks_for_checksum = f"{HEADER_PREFIX}algorithm" in call.headers
    alone = (
        is_plain
        and (keeps_checksum or not asks_for_checksum)
        and services.engine.copies_alone(reader, bucket.id)
    )
    if alone or (is_plain and keeps_checksum and not source.part_sizes):
        return await services.engine.copy_object(
            reader,
            bucket.id,
            call.key,
            properties=replace(properties, checksum=held if keeps_checksum else None),
            condition=condition,
            now_us=commit_time_us(call),
            quota=bucket.quota,
        )
    md5, check = hashlib.md5(usedforsecurity=False), hasher(algorithm)
    digests: list[Hasher] = [md5] if keeps_checksum else [md5, check]
    staged = await services.engine.stage(
        Arriving(bucket.id, call.key, source.size_bytes, properties, condition, is_sealed=key is not None)
    )
    arrival = Arrival(staged, key)
    try:
        async for piece in pieces(reader, start=0, stop=source.size_bytes, digests=digests):
            await arrival.staged.write(piece)
        checksum = held if keeps_checksum else Checksum(algorithm, digest_base64(check))
        properties = replace(properties, checksum=checksum)
        head = await services.engine.put_object(
            bucket.id,
            call.key,
            staged,
            etag=arrival.etag(md5.digest()),
            properties=arrival.properties(properties),
            condition=condition,
            now_us=commit_time_us(call),
            quota=bucket.quota,
        )
        return replace(head, properties=replace(head.properties, checksum=checksum))
    finally:
        await staged.discard()


def _algorithm(call: Call, source: ObjectHead) -> str:
    """The checksum the copy carries: the one asked for, else the source's own, else the one all objects get."""
    asked = call.headers.get(f"{HEADER_PREFIX}algorithm")
    if asked is not None:
        return parse_algorithm(asked, f"{HEADER_PREFIX}algorithm")
    held = source.properties.checksum
    return DEFAULT_ALGORITHM if held is None else held.algorithm


def source_version_headers(reader: ObjectReader) -> dict[str, str]:
    """x-amz-copy-source-version-id, where the source's bucket has versions."""
    version_id = reader.head.version_id
    return {"x-amz-copy-source-version-id": version_id} if version_id else {}


async def open_source(services: Services, call: Call, source: CopySource) -> ObjectReader:
    """The source, open, if the caller may read it and its conditions hold. The caller closes it.

    Raises AccessDenied, NoSuchBucket, NoSuchKey, NoSuchVersion, PreconditionFailed.
    """
    bucket = await services.directory.bucket(source.bucket)
    if bucket is None:
        raise s3_error("NoSuchBucket", BucketName=source.bucket)
    asked = read_asked(services, call, source.bucket, source.key, source.version_id)
    await admit(services, asked, bucket)
    check_expected_owner(call.headers, owner=bucket.owner, prefix="x-amz-source-")
    try:
        reader = await services.engine.open_object(
            bucket.id, source.key, source.version_id or None, wanted=HEAD_FIRST
        )
    except NoSuchKey:
        raise concealed(s3_error("NoSuchKey", Key=source.key), asked, bucket) from None
    except NoSuchVersion:
        raise concealed(
            s3_error("NoSuchVersion", Key=source.key, VersionId=source.version_id[:200]), asked, bucket
        ) from None
    except IsDeleteMarker:
        raise s3_error(
            "InvalidRequest",
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        ) from None
    reader = opened(reader, customer_key(call.headers, prefix=COPY_SOURCE))
    outcome, condition = read_outcome(
        call.headers,
        etag=reader.head.etag,
        modified_us=reader.head.modified_us,
        prefix="x-amz-copy-source-",
    )
    if outcome is not Outcome.PROCEED:
        reader.close()
        raise precondition_failed(f"x-amz-copy-source-{condition}")
    return reader


async def pieces(
    reader: ObjectReader, *, start: int, stop: int, digests: Sequence[Hasher]
) -> AsyncIterator[bytes]:
    """The bytes [start, stop) in pieces of at most PIECE_BYTES, digested as they pass, off the event loop."""
    for extent in reader.extents(start, stop):
        if isinstance(extent, StreamedExtent):
            while block := await extent.read():
                yield await asyncio.to_thread(_digested, block, digests)
            continue
        size_bytes = len(extent.data) if isinstance(extent, MemoryExtent) else extent.size_bytes
        for offset in range(0, size_bytes, PIECE_BYTES):
            count = min(PIECE_BYTES, size_bytes - offset)
            yield await asyncio.to_thread(_read, extent, offset, count, digests)


def _read(
    extent: MemoryExtent | FileExtent | ComputedExtent, offset: int, count: int, digests: Sequence[Hasher]
) -> bytes:
    if isinstance(extent, MemoryExtent):
        data = extent.data[offset : offset + count]
    elif isinstance(extent, ComputedExtent):
        data = extent.read(offset, count)
    else:
        data = os.pread(extent.descriptor, count, extent.offset + offset)
    if len(data) != count:
        raise s3_error("InternalError", "The source is damaged: it is shorter than recorded.")
    return _digested(data, digests)


def _digested(data: bytes, digests: Sequence[Hasher]) -> bytes:
    for digest in digests:
        digest.update(data)
    return data


def _replaces(call: Call, header: str) -> bool:
    directive = call.headers.get(header, "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise invalid_argument(
            header, directive, f"Unknown {header.removeprefix('x-amz-').replace('-', ' ')}."
        )
    return directive == "REPLACE"


def _too_large(services: Services) -> Exception:
    return s3_error(
        "InvalidRequest",
        "The specified copy source is larger than the maximum allowable size for a copy source: "
        f"{services.settings.put_bytes_max}",
    )
