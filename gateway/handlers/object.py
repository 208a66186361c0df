"""Put, get, head and delete objects. Bytes stream between body and engine; nothing here holds an object."""

from __future__ import annotations

from gateway.call import Call, Reply, Services
from gateway.checksum import checksum_headers
from gateway.documents import DoomedObject, parse_delete
from gateway.errors import S3Error, invalid_argument, s3_error
from gateway.handlers.support import bucket_of, check_version, commit_time_us, xml_reply
from gateway.headers import (
    Outcome,
    collect_properties,
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
from gateway.names import check_key
from gateway.results import delete_result
from gateway.storage.base import ObjectHead, ObjectProperties

_PROCEED = Outcome.PROCEED


async def put_object(services: Services, call: Call) -> Reply:
    """Receive, verify, commit: the object is visible only after its last check."""
    bucket = bucket_of(call)
    if "partNumber" in call.query:
        # Without its upload id a part would replace the whole object.
        raise invalid_argument(
            "uploadId", "", "This operation does not accept a partNumber without an uploadId."
        )
    condition = write_condition(call.headers)
    kept = collect_properties(call.headers, metadata_bytes_max=services.settings.metadata_bytes_max)
    staged = await services.engine.stage()
    try:
        received = await call.body.into(staged, limit_bytes=services.settings.put_bytes_max)
        head = await services.engine.put_object(
            bucket.id,
            call.key,
            staged,
            etag=received.md5.hex(),
            properties=ObjectProperties(kept, received.checksum),
            condition=condition,
            now_us=commit_time_us(call),
        )
    finally:
        await staged.discard()
    return Reply(headers={"ETag": quoted(head.etag)} | checksum_headers(head.properties.checksum))


async def get_object(services: Services, call: Call) -> Reply:
    """The object, or the part or range of it that was asked for."""
    check_version(call.query.get("versionId"))
    reader = services.engine.open_object(bucket_of(call).id, call.key)
    try:
        reply = _answer(call, reader.head)
    except BaseException:
        reader.close()
        raise
    if reply.status == 304:
        reader.close()
    else:
        reply.reader = reader
    return reply


async def head_object(services: Services, call: Call) -> Reply:
    """What a GET would answer, without the bytes."""
    check_version(call.query.get("versionId"))
    reply = _answer(call, services.engine.head_object(bucket_of(call).id, call.key))
    if reply.status != 304:
        reply.content_length = reply.stop - reply.start
    reply.start = reply.stop = 0
    return reply


async def delete_object(services: Services, call: Call) -> Reply:
    """Remove a key; one that is not there is removed as well, as S3 has it."""
    check_version(call.query.get("versionId"))
    _refuse_conditional_delete(call)
    await services.engine.delete_objects(bucket_of(call).id, [call.key], now_us=call.now_us)
    return Reply(status=204)


async def delete_objects(services: Services, call: Call) -> Reply:
    """Remove many keys in one commit; each entry that is refused says why."""
    bucket = bucket_of(call)
    body = await call.body.document(services.settings.document_bytes_max)
    request = parse_delete(body, keys_max=services.settings.delete_keys_max)
    deleted: list[str] = []
    errors: list[tuple[str, str, S3Error]] = []
    for doomed in request.objects:
        refusal = _refusal(doomed)
        if refusal is None:
            deleted.append(doomed.key)
        else:
            errors.append((doomed.key, doomed.version_id, refusal))
    keys = list(dict.fromkeys(deleted))
    if keys:
        await services.engine.delete_objects(bucket.id, keys, now_us=call.now_us)
    return xml_reply(delete_result([] if request.quiet else deleted, errors))


def _answer(call: Call, head: ObjectHead) -> Reply:
    """Status, headers and range of a read, decided from the head alone."""
    outcome, condition = read_outcome(call.headers, etag=head.etag, modified_us=head.modified_us)
    if outcome is not _PROCEED:
        if outcome is Outcome.FAILED:
            raise precondition_failed(condition)
        return Reply(status=304, headers=not_modified_headers(head))
    headers = object_headers(head)
    span = None
    if call.query:
        headers |= response_overrides(call.query)
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
    sizes = head.part_sizes or (head.size_bytes,)
    number = int(text)
    if number > len(sizes):
        raise s3_error("InvalidPartNumber", PartNumberRequested=number, ActualPartCount=len(sizes))
    if head.part_sizes:
        headers["x-amz-mp-parts-count"] = str(len(sizes))
    start = sum(sizes[: number - 1])
    stop = start + sizes[number - 1]
    return (start, stop) if stop > start else None


def _refuse_conditional_delete(call: Call) -> None:
    if "if-match" in call.headers:
        raise s3_error("NotImplemented", Header="If-Match")


def _refusal(doomed: DoomedObject) -> S3Error | None:
    try:
        if not doomed.key:
            raise s3_error("UserKeyMustBeSpecified")
        check_key(doomed.key)
        check_version(doomed.version_id or None)
        if doomed.is_conditional:
            raise s3_error("NotImplemented", "Conditional deletes are not implemented.")
    except S3Error as error:
        return error
    return None
