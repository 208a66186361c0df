"""ListParts and ListMultipartUploads."""

from __future__ import annotations

from gateway.call import Call, Reply, Services
from gateway.customer_key import check_part, customer_key
from gateway.handlers.lifecycle import abort_headers
from gateway.handlers.support import bucket_of, xml_reply
from gateway.listing import Page, parse_count, parse_page
from gateway.results import UploadsPage
from gateway.results import list_parts as render_parts
from gateway.results import list_uploads as render_uploads
from gateway.sealing import shown_part, verifier_of
from gateway.storage.base import Engine
from gateway.storage.model import Upload
from meter.ids import BucketId

# Upload ids are ASCII, so this is after every one of them.
_AFTER_EVERY_ID = "\U0010ffff"


async def list_parts(services: Services, call: Call) -> Reply:
    """The parts of an open upload, by number."""
    bucket = bucket_of(call)
    upload_id = call.query.get("uploadId", "")
    limit = parse_count(call.query, "max-parts", services.settings.list_keys_max)
    marker = parse_count(call.query, "part-number-marker", 2**31 - 1)
    after = marker if call.query.get("part-number-marker") else 0
    upload = await services.engine.get_upload(bucket.id, call.key, upload_id)
    key = customer_key(call.headers)
    if key is not None:
        check_part(key, verifier_of(upload.properties))
    stored, more = await services.engine.list_parts(bucket.id, call.key, upload_id, after=after, limit=limit)
    parts = [shown_part(part, key) for part in stored]
    body = render_parts(
        bucket.name,
        upload,
        parts,
        after=after,
        limit=limit,
        truncated=more and bool(parts),
        member=bucket.owner,
        member_name=bucket.owner_name,
    )
    return xml_reply(body, abort_headers(bucket, upload))


async def list_multipart_uploads(services: Services, call: Call) -> Reply:
    """Open uploads by key, then id, rolled up at the delimiter."""
    bucket = bucket_of(call)
    page = parse_page(call.query, limit_name="max-uploads", limit_max=services.settings.list_keys_max)
    key_marker = call.query.get("key-marker", "")
    # Without a key marker the id marker means nothing, and S3 ignores it.
    id_marker = call.query.get("upload-id-marker", "") if key_marker else ""
    result = await _gather(services.engine, bucket.id, page, key_marker, id_marker)
    body = render_uploads(bucket.name, result, member=bucket.owner, member_name=bucket.owner_name)
    return xml_reply(body)


async def _gather(
    engine: Engine, bucket: BucketId, page: Page, key_marker: str, id_marker: str
) -> UploadsPage:
    uploads: list[Upload] = []
    prefixes: list[str] = []
    markers = (key_marker, id_marker)
    after = _start(page, key_marker, id_marker)
    while after is not None and len(uploads) + len(prefixes) < page.limit:
        batch, more = await engine.list_uploads(
            bucket,
            prefix=page.prefix,
            after_key=after[0],
            after_upload_id=after[1],
            limit=page.limit - len(uploads) - len(prefixes),
        )
        after = after if more and batch else None
        for upload in batch:
            rolled = _rolled(page, upload.key)
            if rolled:
                # Jump over everything under the prefix: the rest of the batch may lie there.
                prefixes.append(rolled)
                markers = (rolled, "")
                after = _beyond(rolled)
                break
            uploads.append(upload)
            markers = (upload.key, upload.upload_id)
            after = markers if more else None
    if after is not None and page.limit:
        rest, _ = await engine.list_uploads(
            bucket, prefix=page.prefix, after_key=after[0], after_upload_id=after[1], limit=1
        )
        after = after if rest else None
    next_markers = markers if after is not None and page.limit else None
    return UploadsPage(page, key_marker, id_marker, tuple(uploads), tuple(prefixes), next_markers)


def _start(page: Page, key_marker: str, id_marker: str) -> tuple[str, str] | None:
    if key_marker and _rolled(page, key_marker) == key_marker:
        return _beyond(key_marker)
    if key_marker and not id_marker:
        return key_marker, _AFTER_EVERY_ID
    return key_marker, id_marker


def _rolled(page: Page, key: str) -> str:
    """The common prefix a key is rolled up into; empty when it stands for itself."""
    if not page.delimiter or not key.startswith(page.prefix):
        return ""
    end = key.find(page.delimiter, len(page.prefix))
    return key[: end + len(page.delimiter)] if end >= 0 else ""


def _beyond(prefix: str) -> tuple[str, str] | None:
    """The least position after every key that starts with the prefix; None when there is none."""
    bare = prefix.rstrip("\U0010ffff")
    if not bare:
        return None
    last = ord(bare[-1]) + 1
    # Surrogates are no characters; UTF-8 order goes on after them.
    return bare[:-1] + chr(0xE000 if last == 0xD800 else last), ""
