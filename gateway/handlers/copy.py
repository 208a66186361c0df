"""CopyObject, and the source that CopyObject and UploadPartCopy share.

The right to read the source is asked here, in the one place where a source is opened.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from gateway.access import may_read_source
from gateway.call import Call, Reply, Services
from gateway.checksum import FULL_OBJECT, HEADER_PREFIX, Hasher, digest_base64, hasher, parse_algorithm
from gateway.customer_key import COPY_SOURCE, CustomerKey, customer_key
from gateway.errors import invalid_argument, s3_error
from gateway.handlers.lifecycle import expiry_headers
from gateway.handlers.support import bucket_of, check_version, commit_time_us, xml_reply
from gateway.headers import Outcome, collect_properties, precondition_failed, read_outcome, write_condition
from gateway.names import CopySource, parse_copy_source
from gateway.results import copy_result
from gateway.sealing import Arrival, opened
from gateway.storage.base import ObjectReader
from gateway.storage.errors import NoSuchKey
from gateway.storage.model import (
    Checksum,
    ComputedExtent,
    Condition,
    Extent,
    MemoryExtent,
    ObjectHead,
    ObjectProperties,
)
from gateway.unsupported import check_expected_owner

PIECE_BYTES = 1 << 20
"""Read, hashed and written at once while a source is copied."""


async def copy_object(services: Services, call: Call) -> Reply:
    """Copy within the engine, with the source's properties (COPY) or the request's (REPLACE)."""
    bucket = bucket_of(call)
    condition = write_condition(call.headers)
    source = parse_copy_source(call.headers.get("x-amz-copy-source", ""))
    replaces = _replaces(call)
    key = customer_key(call.headers)
    if not replaces and key is None and (source.bucket, source.key) == (call.bucket_name, call.key):
        raise s3_error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing "
            "the object's metadata, storage class, website redirect location or encryption attributes.",
        )
    reader = await open_source(services, call, source)
    try:
        if reader.head.size_bytes > services.settings.put_bytes_max:
            raise _too_large(services)
        properties = reader.head.properties
        if replaces:
            kept = collect_properties(call.headers, metadata_bytes_max=services.settings.metadata_bytes_max)
            properties = replace(properties, headers=kept)
        checksum = await _asked_checksum(call, reader)
        if checksum is not None:
            properties = replace(properties, checksum=checksum)
        if key is None and not properties.sealing:
            head = await services.engine.copy_object(
                reader, bucket.id, call.key, properties=properties, condition=condition, now_us=call.now_us
            )
        else:
            head = await _copy_bytes(services, call, reader, properties, condition, key)
    finally:
        reader.close()
    headers = {} if key is None else key.headers
    return xml_reply(copy_result(head), headers | expiry_headers(bucket, head))


async def _copy_bytes(
    services: Services,
    call: Call,
    reader: ObjectReader,
    properties: ObjectProperties,
    condition: Condition,
    key: CustomerKey | None,
) -> ObjectHead:
    """Open what is sealed and seal what is to be; the copy is one piece, so a checksum of parts is not its own."""
    if properties.checksum is not None and properties.checksum.kind != FULL_OBJECT:
        properties = replace(properties, checksum=None)
    md5 = hashlib.md5(usedforsecurity=False)
    staged = await services.engine.stage()
    arrival = Arrival(staged, key)
    try:
        async for piece in pieces(reader, start=0, stop=reader.head.size_bytes, digests=[md5]):
            await arrival.staged.write(piece)
        head = await services.engine.put_object(
            bucket_of(call).id,
            call.key,
            staged,
            etag=arrival.etag(md5.digest()),
            properties=arrival.properties(properties),
            condition=condition,
            now_us=commit_time_us(call),
        )
    finally:
        await staged.discard()
    return replace(head, properties=properties)


async def open_source(services: Services, call: Call, source: CopySource) -> ObjectReader:
    """The source, open, if the caller may read it and its conditions hold. The caller closes it.

    Raises AccessDenied, NoSuchBucket, NoSuchKey, NoSuchVersion, PreconditionFailed.
    """
    check_version(source.version_id or None)
    bucket = await services.directory.bucket(source.bucket)
    if bucket is None:
        raise s3_error("NoSuchBucket", BucketName=source.bucket)
    if not may_read_source(caller=call.caller, bucket=bucket):
        raise s3_error("AccessDenied")
    check_expected_owner(call.headers, owner=bucket.owner, prefix="x-amz-source-")
    try:
        reader = services.engine.open_object(bucket.id, source.key)
    except NoSuchKey:
        raise s3_error("NoSuchKey", Key=source.key) from None
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
        size_bytes = len(extent.data) if isinstance(extent, MemoryExtent) else extent.size_bytes
        for offset in range(0, size_bytes, PIECE_BYTES):
            count = min(PIECE_BYTES, size_bytes - offset)
            yield await asyncio.to_thread(_read, extent, offset, count, digests)


def _read(extent: Extent, offset: int, count: int, digests: Sequence[Hasher]) -> bytes:
    if isinstance(extent, MemoryExtent):
        data = extent.data[offset : offset + count]
    elif isinstance(extent, ComputedExtent):
        data = extent.read(offset, count)
    else:
        data = os.pread(extent.descriptor, count, extent.offset + offset)
    if len(data) != count:
        raise s3_error("InternalError", "The source is damaged: it is shorter than recorded.")
    for digest in digests:
        digest.update(data)
    return data


def _replaces(call: Call) -> bool:
    directive = call.headers.get("x-amz-metadata-directive", "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise invalid_argument("x-amz-metadata-directive", directive, "Unknown metadata directive.")
    return directive == "REPLACE"


async def _asked_checksum(call: Call, reader: ObjectReader) -> Checksum | None:
    """The checksum the copy is asked to carry, if the source does not carry it already."""
    name = call.headers.get(f"{HEADER_PREFIX}algorithm")
    if name is None:
        return None
    algorithm = parse_algorithm(name, f"{HEADER_PREFIX}algorithm")
    held = reader.head.properties.checksum
    if held is not None and (held.algorithm, held.kind) == (algorithm, FULL_OBJECT):
        return held
    digest = hasher(algorithm)
    async for _ in pieces(reader, start=0, stop=reader.head.size_bytes, digests=[digest]):
        continue
    return Checksum(algorithm, digest_base64(digest), FULL_OBJECT)


def _too_large(services: Services) -> Exception:
    return s3_error(
        "InvalidRequest",
        "The specified copy source is larger than the maximum allowable size for a copy source: "
        f"{services.settings.put_bytes_max}",
    )
