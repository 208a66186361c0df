"""Put, get and head objects. Bytes stream between body and engine; nothing here holds an object."""

from __future__ import annotations

from gateway.call import DISK, Call, Reply, Services
from gateway.checksum import checksum_headers
from gateway.customer_key import customer_key
from gateway.errors import invalid_argument, s3_error
from gateway.handlers.lifecycle import expiry_headers
from gateway.handlers.support import (
    announced_bytes,
    bucket_of,
    check_room,
    commit_time_us,
    refuse_version,
    version_asked,
    version_headers,
)
from gateway.handlers.writing import check_proven, new_properties
from gateway.headers import (
    Outcome,
    not_modified_headers,
    object_headers,
    parse_range,
    precondition_failed,
    quoted,
    range_applies,
    read_outcome,
    response_overrides,
    write_condition,
)
from gateway.locks import lock_headers
from gateway.operation import Operation
from gateway.sealing import Arrival, opened, opened_head
from gateway.storage.errors import Unsupported
from gateway.storage.model import EVERYTHING, Arriving, ObjectHead, Wanted

_PROCEED = Outcome.PROCEED
_CONDITIONS = frozenset(("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"))
_TELLS_WANTED = _CONDITIONS | {"range"}


async def put_object(services: Services, call: Call) -> Reply:
    """Receive, verify, commit: the object is visible only after its last check."""
    bucket = bucket_of(call)
    if "partNumber" in call.query:
        # Without its upload id a part would replace the whole object.
        raise invalid_argument(
            "uploadId", "", "This operation does not accept a partNumber without an uploadId."
        )
    refuse_version(call)
    condition = write_condition(call.headers)
    properties = await new_properties(services, call)
    check_proven(call)
    key = customer_key(call.headers)
    await check_room(services, call, grows_bytes=announced_bytes(call))
    staged = await services.engine.stage(
        Arriving(
            bucket.id,
            call.key,
            announced_bytes(call),
            properties,
            condition,
            is_exact=call.operation is not Operation.POST_OBJECT,
            is_sealed=key is not None,
        )
    )
    arrival = Arrival(staged, key)
    try:
        received = await call.body.into(arrival.staged, limit_bytes=services.settings.put_bytes_max)
        head = await services.engine.put_object(
            bucket.id,
            call.key,
            staged,
            etag=arrival.etag(received.md5),
            properties=arrival.properties(properties.with_checksum(received.checksum)),
            condition=condition,
            now_us=commit_time_us(call),
            quota=bucket.quota,
        )
    finally:
        await staged.discard()
    headers = {"ETag": quoted(head.etag)}
    headers |= checksum_headers(received.checksum)
    if head.version_id:
        headers |= version_headers(head)
    if bucket.documents:
        headers |= expiry_headers(bucket, head)
    if key is not None:
        headers |= key.headers
    return Reply(headers=headers)


async def get_object(services: Services, call: Call) -> Reply:
    """The object, or the version, part or range of it that was asked for."""
    key = customer_key(call.headers)
    wanted = EVERYTHING
    # Most requests want all of it; of the others, no engine on the disk looks.
    if not _TELLS_WANTED.isdisjoint(call.headers) or call.query:
        wanted = _wanted(call)
    reader = opened(
        await services.engine.open_object(bucket_of(call).id, call.key, version_asked(call), wanted=wanted),
        key,
    )
    try:
        reply = _answer(call, reader.head)
    except BaseException:
        reader.close()
        raise
    if reply.status == 304:
        reader.close()
    else:
        reply.reader = reader
    if key is not None:
        reply.headers |= key.headers
    return reply


def _wanted(call: Call) -> Wanted:
    """What will be read, as far as the request alone says it."""
    headers = call.headers
    if "partNumber" in call.query or not _CONDITIONS.isdisjoint(headers):
        return Wanted(head_first=True)
    return Wanted(range=headers.get("range", ""))


async def head_object(services: Services, call: Call) -> Reply:
    """What a GET would answer, without the bytes."""
    key = customer_key(call.headers)
    head = await services.engine.head_object(bucket_of(call).id, call.key, version_asked(call))
    reply = _answer(call, opened_head(head, key))
    if reply.status != 304:
        reply.content_length = reply.stop - reply.start
    reply.start = reply.stop = 0
    if key is not None:
        reply.headers |= key.headers
    return reply


def _answer(call: Call, head: ObjectHead) -> Reply:
    """Status, headers and range of a read, decided from the head alone."""
    outcome, condition = read_outcome(call.headers, etag=head.etag, modified_us=head.modified_us)
    if outcome is not _PROCEED:
        if outcome is Outcome.FAILED:
            raise precondition_failed(condition)
        return Reply(status=304, headers=not_modified_headers(head))
    headers = object_headers(head)
    if head.version_id:
        headers |= version_headers(head)
    properties, query = head.properties, call.query
    if properties.retention is not None or properties.legal_hold:
        headers |= lock_headers(properties)
    if properties.tags:
        headers["x-amz-tagging-count"] = str(len(properties.tags))
    bucket = bucket_of(call)
    if bucket.documents and "versionId" not in query:
        headers |= expiry_headers(bucket, head)
    span = None
    if query:
        headers |= response_overrides(query)
        span = _part_span(call, head, headers)
    wanted = call.headers.get("range")
    if (
        wanted is not None
        and span is None
        and range_applies(call.headers, etag=head.etag, modified_us=head.modified_us)
    ):
        span = parse_range(wanted, head.size_bytes)
    if span is None:
        if call.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            headers |= checksum_headers(head.properties.checksum)
        return Reply(headers=headers, stop=head.size_bytes)
    start, stop = span
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{head.size_bytes}"
    return Reply(status=206, headers=headers, start=start, stop=stop)


def _part_span(call: Call, head: ObjectHead, headers: dict[str, str]) -> tuple[int, int] | None:
    """The bytes of ?partNumber=N; an object put at once is its own part 1."""
    text = call.query.get("partNumber")
    if text is None:
        return None
    if "range" in call.headers:
        raise s3_error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or not 1 <= int(text) <= 10_000:
        raise invalid_argument(
            "partNumber", text, "Part number must be an integer between 1 and 10000, inclusive"
        )
    if bucket_of(call).engine != DISK:
        raise Unsupported("reading by part number", bucket_of(call).engine)
    sizes = head.part_sizes or (head.size_bytes,)
    number = int(text)
    if number > len(sizes):
        raise s3_error("InvalidPartNumber", PartNumberRequested=number, ActualPartCount=len(sizes))
    if head.part_sizes:
        headers["x-amz-mp-parts-count"] = str(len(sizes))
    start = sum(sizes[: number - 1])
    stop = start + sizes[number - 1]
    return (start, stop) if stop > start else None
