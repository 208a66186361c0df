"""Multipart uploads: create, upload and copy parts, complete, abort.

The object's ETag follows from the parts' ETags the client names, and the engine checks each of
them in its commit, so a repeated Complete needs nothing that the first one has dropped.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import replace

from gateway.call import Call, Reply, Services
from gateway.checksum import (
    COMPOSITE,
    DEFAULT_ALGORITHM,
    FULL_OBJECT,
    HEADER_PREFIX,
    asked_checksum,
    checksum_headers,
    combined,
    common_algorithm,
    digest_base64,
    hasher,
    header_of,
    upload_checksum,
)
from gateway.customer_key import CustomerKey, check_part, customer_key
from gateway.documents import NamedPart, parse_complete
from gateway.errors import S3Error, invalid_argument, s3_error
from gateway.handlers.copy import open_source, pieces, source_version_headers
from gateway.handlers.lifecycle import abort_headers, expiry_headers
from gateway.handlers.support import (
    announced_bytes,
    bucket_of,
    check_room,
    commit_time_us,
    refuse_version,
    version_headers,
    xml_reply,
)
from gateway.handlers.writing import new_properties
from gateway.headers import quoted, write_condition
from gateway.names import parse_copy_source
from gateway.results import complete_result, copy_part_result, initiate_result
from gateway.sealing import (
    Arrival,
    covered_checksum,
    sealing_of_parts,
    sealing_of_upload,
    shown_checksum,
    shown_part,
    verifier_of,
)
from gateway.storage.errors import NoSuchUpload
from gateway.storage.model import NO_QUOTA, Arriving, Checksum, Part, Upload

PARTS_PAGE = 1000
"""Parts read from the engine at once while completing."""

_ETAG = re.compile(r"[0-9a-fA-F]{32}")
_COPY_RANGE = re.compile(r"bytes=([0-9]{1,40})-([0-9]{1,40})")


async def create_multipart_upload(services: Services, call: Call) -> Reply:
    """Open an upload that remembers the object's properties and its kind of checksum."""
    bucket = bucket_of(call)
    algorithm, kind = upload_checksum(call.headers)
    refuse_version(call)
    key = customer_key(call.headers)
    upload = await services.engine.create_upload(
        bucket.id,
        call.key,
        properties=replace(await new_properties(services, call), sealing=sealing_of_upload(key)),
        checksum_algorithm=algorithm,
        checksum_kind=kind,
        now_us=call.now_us,
    )
    headers = _key_headers(key) | abort_headers(bucket, upload)
    if upload.checksum_algorithm:
        headers |= {f"{HEADER_PREFIX}algorithm": algorithm, f"{HEADER_PREFIX}type": kind}
    return xml_reply(initiate_result(bucket.name, upload), headers)


async def upload_part(services: Services, call: Call) -> Reply:
    """Receive one part; the same number again replaces it."""
    bucket = bucket_of(call)
    upload_id, number = _part_address(services, call)
    upload = await services.engine.get_upload(bucket.id, call.key, upload_id)
    asked = asked_checksum(call.headers)
    _check_algorithm(upload, asked.algorithm if asked else "")
    key = _part_key(call, upload)
    await _check_room_for_part(services, call, upload_id, number, announced_bytes(call))
    staged = await services.engine.stage(
        Arriving(
            bucket.id,
            call.key,
            announced_bytes(call),
            upload_id=upload_id,
            part_number=number,
            is_sealed=key is not None,
        )
    )
    arrival = Arrival(staged, key)
    try:
        received = await call.body.into(arrival.staged, limit_bytes=services.settings.put_bytes_max)
        part = await services.engine.put_part(
            bucket.id,
            call.key,
            upload_id,
            number,
            staged,
            etag=arrival.etag(received.md5),
            checksum=arrival.part_checksum(received.checksum),
            now_us=commit_time_us(call),
            quota=bucket.quota,
            sealing=arrival.part_sealing,
        )
    finally:
        await staged.discard()
    headers = checksum_headers(received.checksum)
    headers.pop(f"{HEADER_PREFIX}type", None)
    return Reply(headers={"ETag": quoted(part.etag)} | headers | _key_headers(key))


async def upload_part_copy(services: Services, call: Call) -> Reply:
    """Make a part from the bytes, or a range of the bytes, of an object."""
    bucket = bucket_of(call)
    upload_id, number = _part_address(services, call)
    upload = await services.engine.get_upload(bucket.id, call.key, upload_id)
    source = parse_copy_source(call.headers.get("x-amz-copy-source", ""))
    key = _part_key(call, upload)
    reader = await open_source(services, call, source)
    try:
        start, stop = _copy_range(call, reader.head.size_bytes)
        if stop - start > services.settings.put_bytes_max:
            raise s3_error(
                "EntityTooLarge", ProposedSize=stop - start, MaxSizeAllowed=services.settings.put_bytes_max
            )
        await _check_room_for_part(services, call, upload_id, number, stop - start)
        algorithm = upload.checksum_algorithm or DEFAULT_ALGORITHM
        md5, check = hashlib.md5(usedforsecurity=False), hasher(algorithm)
        arriving = Arriving(
            bucket.id,
            call.key,
            stop - start,
            upload_id=upload_id,
            part_number=number,
            is_sealed=key is not None,
        )
        staged = await services.engine.stage(arriving)
        arrival = Arrival(staged, key)
        try:
            async for piece in pieces(reader, start=start, stop=stop, digests=[md5, check]):
                await arrival.staged.write(piece)
            checksum = Checksum(algorithm, digest_base64(check))
            part = await services.engine.put_part(
                bucket.id,
                call.key,
                upload_id,
                number,
                staged,
                etag=arrival.etag(md5.digest()),
                checksum=arrival.part_checksum(checksum),
                now_us=commit_time_us(call),
                quota=bucket.quota,
                sealing=arrival.part_sealing,
            )
        finally:
            await staged.discard()
    finally:
        reader.close()
    headers = source_version_headers(reader) | _key_headers(key)
    return xml_reply(copy_part_result(replace(part, checksum=checksum)), headers)


async def complete_multipart_upload(services: Services, call: Call) -> Reply:
    """Make the named parts the object, in one commit. Asked again, it answers again."""
    bucket = bucket_of(call)
    upload_id = call.query.get("uploadId", "")
    condition = write_condition(call.headers)
    key = customer_key(call.headers)
    body = await call.body.document(services.settings.document_bytes_max)
    named = parse_complete(body, parts_max=services.settings.parts_max)
    if any(first.number >= second.number for first, second in itertools.pairwise(named)):
        raise s3_error("InvalidPartOrder", UploadId=upload_id)
    try:
        upload = await services.engine.get_upload(bucket.id, call.key, upload_id)
    except NoSuchUpload:
        # Completed before, perhaps: only the engine's tombstone knows.
        checksum, sealing = None, None
    else:
        checksum, sealing = await _checked(services, call, upload, named, key)
    head = await services.engine.complete_upload(
        bucket.id,
        call.key,
        upload_id,
        [(part.number, part.etag.lower()) for part in named],
        etag=_combined_etag(named, upload_id),
        checksum=checksum,
        condition=condition,
        part_bytes_min=services.settings.part_bytes_min,
        now_us=commit_time_us(call),
        sealing=sealing,
    )
    checksum = shown_checksum(head, key)
    head = replace(head, properties=replace(head.properties, checksum=checksum))
    return xml_reply(
        complete_result(bucket.name, head, location=f"/{bucket.name}/{call.key}"),
        version_headers(head) | expiry_headers(bucket, head),
    )


async def abort_multipart_upload(services: Services, call: Call) -> Reply:
    """Drop an upload and its parts."""
    await services.engine.abort_upload(
        bucket_of(call).id, call.key, call.query.get("uploadId", ""), now_us=call.now_us
    )
    return Reply(status=204)


def _part_key(call: Call, upload: Upload) -> CustomerKey | None:
    key = customer_key(call.headers)
    check_part(key, verifier_of(upload.properties))
    return key


def _key_headers(key: CustomerKey | None) -> dict[str, str]:
    return {} if key is None else key.headers


def _part_address(services: Services, call: Call) -> tuple[str, int]:
    text = call.query.get("partNumber", "")
    most = services.settings.parts_max
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not 1 <= int(text) <= most:
        raise invalid_argument(
            "partNumber", text, f"Part number must be an integer between 1 and {most}, inclusive"
        )
    return call.query.get("uploadId", ""), int(text)


async def _check_room_for_part(
    services: Services, call: Call, upload_id: str, number: int, size_bytes: int
) -> None:
    """Refuse early; a part of the same number is replaced. Raises QuotaExceeded."""
    bucket = bucket_of(call)
    if bucket.quota == NO_QUOTA:
        return
    parts, _ = await services.engine.list_parts(bucket.id, call.key, upload_id, after=number - 1, limit=1)
    replaced = sum(part.size_bytes for part in parts if part.number == number)
    await check_room(services, call, grows_bytes=size_bytes, replaces_bytes=replaced)


def _check_algorithm(upload: Upload, algorithm: str) -> None:
    """Parts of an upload with a checksum all carry it; how else could the whole be proven."""
    if upload.checksum_algorithm and upload.checksum_algorithm != algorithm:
        raise s3_error(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.checksum_algorithm.lower()}, "
            f"actual checksum Type: {algorithm.lower() or 'null'}",
        )


def _copy_range(call: Call, size_bytes: int) -> tuple[int, int]:
    text = call.headers.get("x-amz-copy-source-range")
    if text is None:
        return 0, size_bytes
    match = _COPY_RANGE.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise invalid_argument(
            "x-amz-copy-source-range",
            text,
            "The x-amz-copy-source-range value must be of the form bytes=first-last "
            "where first and last are the zero-based offsets of the first and last bytes to copy",
        )
    start, stop = int(match[1]), int(match[2]) + 1
    if stop > size_bytes:
        raise invalid_argument(
            "x-amz-copy-source-range",
            text,
            f"Range specified is not valid for source object of size: {size_bytes}",
        )
    return start, stop


def _combined_etag(named: tuple[NamedPart, ...], upload_id: str) -> str:
    """MD5 of the parts' MD5s, and their number: what every client expects of a completed upload."""
    digest = hashlib.md5(usedforsecurity=False)
    for part in named:
        if _ETAG.fullmatch(part.etag) is None:
            raise _invalid_part(part, upload_id)
        digest.update(bytes.fromhex(part.etag))
    return f"{digest.hexdigest()}-{len(named)}"


def _invalid_part(part: NamedPart, upload_id: str) -> S3Error:
    return s3_error("InvalidPart", UploadId=upload_id, PartNumber=part.number, ETag=part.etag[:200])


async def _checked(
    services: Services, call: Call, upload: Upload, named: tuple[NamedPart, ...], key: CustomerKey | None
) -> tuple[Checksum | None, dict[str, str]]:
    """Check sizes and checksums of the named parts; the object's checksum and sealing, if the upload has them."""
    sealing = upload.properties.sealing
    if key is not None or (sealing and _tells_checksums(call, named)):
        check_part(key, verifier_of(upload.properties))
    stored = await _stored_parts(services, call, upload, key)
    parts: list[Part] = []
    for wanted in named:
        part = stored.get(wanted.number)
        if part is None or part.etag != wanted.etag.lower() or not _agrees(part, wanted):
            raise _invalid_part(wanted, upload.upload_id)
        parts.append(part)
    size_bytes = sum(part.size_bytes for part in parts)
    if size_bytes > services.settings.object_bytes_max:
        raise s3_error(
            "EntityTooLarge", ProposedSize=size_bytes, MaxSizeAllowed=services.settings.object_bytes_max
        )
    announced = call.headers.get("x-amz-mp-object-size")
    if announced is not None and announced != str(size_bytes):
        raise s3_error(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {announced[:20]} does not match what was "
            f"computed: {size_bytes}",
        )
    if sealing and key is None:
        # S3 asks for the key here only where checksums are to be checked. Without it the whole's cannot be told.
        return None, sealing_of_parts(sealing, parts)
    checksum = _object_checksum(call, upload, parts)
    object_sealing = sealing_of_parts(sealing, parts)
    return covered_checksum(checksum, object_sealing, key), object_sealing


def _tells_checksums(call: Call, named: tuple[NamedPart, ...]) -> bool:
    return any(part.checksums for part in named) or not _VALUE_HEADERS.isdisjoint(call.headers)


async def _stored_parts(
    services: Services, call: Call, upload: Upload, key: CustomerKey | None
) -> dict[int, Part]:
    stored: dict[int, Part] = {}
    after, more = 0, True
    while more:
        page, more = await services.engine.list_parts(
            bucket_of(call).id, call.key, upload.upload_id, after=after, limit=PARTS_PAGE
        )
        stored |= {part.number: shown_part(part, key) for part in page}
        after = page[-1].number if page else after
        more = more and bool(page)
    return stored


def _agrees(part: Part, wanted: NamedPart) -> bool:
    held = part.checksum
    if held is None:
        # Verified as it came, and not kept: this engine's parts are told apart by their ETags.
        return True
    return all((algorithm, value) == (held.algorithm, held.value) for algorithm, value in wanted.checksums)


def _object_checksum(call: Call, upload: Upload, parts: list[Part]) -> Checksum | None:
    """The checksum of the whole, compared with the one the client says it has, if it says."""
    algorithm, kind = upload.checksum_algorithm, upload.checksum_kind
    asked_kind = call.headers.get(f"{HEADER_PREFIX}type")
    if asked_kind is not None and kind and asked_kind.upper() != kind:
        raise s3_error("InvalidRequest", f"The upload was created with the {kind} checksum type.")
    given = [name for name in call.headers if name in _VALUE_HEADERS]
    if not algorithm:
        algorithm, kind = common_algorithm([part.checksum for part in parts]), FULL_OBJECT
        if not algorithm and given:
            raise s3_error(
                "InvalidRequest",
                "The upload was created without a checksum algorithm, so none can be checked.",
            )
        if not algorithm:
            return None
    values: list[tuple[str, int]] = []
    for part in parts:
        if part.checksum is None or part.checksum.algorithm != algorithm:
            raise s3_error(
                "InvalidRequest", f"Part {part.number} was uploaded without its {algorithm} checksum."
            )
        values.append((part.checksum.value, part.size_bytes))
    checksum = combined(algorithm, kind or COMPOSITE, values)
    if given and given != [header_of(algorithm)]:
        raise s3_error("InvalidRequest", f"The upload was created with the {algorithm} checksum algorithm.")
    if given and call.headers[given[0]].strip() not in _spellings(checksum):
        raise s3_error("BadDigest")
    return checksum


_VALUE_HEADERS = frozenset(map(header_of, ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")))


def _spellings(checksum: Checksum) -> tuple[str, ...]:
    """A composite checksum is sent with and without its number of parts."""
    if checksum.kind == FULL_OBJECT:
        return (checksum.value,)
    return checksum.value, checksum.value.rpartition("-")[0]
