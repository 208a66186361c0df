"""Tags of objects, kept beside their bytes, and of buckets, kept in the directory."""

from __future__ import annotations

from gateway.call import Call, Reply, Services, Subject
from gateway.errors import s3_error
from gateway.handlers.support import bucket_of, version_asked, version_headers, xml_reply
from gateway.storage.model import Amendment
from gateway.tags import (
    BUCKET_TAGS_MAX,
    OBJECT_TAGS_MAX,
    dump_tags,
    load_tags,
    parse_tagging,
    tagging_document,
)


async def get_object_tagging(services: Services, call: Call) -> Reply:
    """The tags of the object, or of a version; perhaps none."""
    bucket = bucket_of(call)
    head = await services.engine.head_object(bucket.id, call.key, version_asked(call))
    headers = version_headers(head)
    return xml_reply(tagging_document(head.properties.tags), headers)


async def put_object_tagging(services: Services, call: Call) -> Reply:
    """Other tags instead of those there are."""
    version_id = version_asked(call)
    body = await call.body.document(services.settings.document_bytes_max)
    tags = parse_tagging(body, tags_max=OBJECT_TAGS_MAX)
    return Reply(headers=await _amend(services, call, version_id, tags))


async def delete_object_tagging(services: Services, call: Call) -> Reply:
    """No tags any more."""
    return Reply(status=204, headers=await _amend(services, call, version_asked(call), {}))


async def _amend(
    services: Services, call: Call, version_id: str | None, tags: dict[str, str]
) -> dict[str, str]:
    bucket = bucket_of(call)
    head = await services.engine.amend_object(
        bucket.id, call.key, version_id, Amendment(tags=tags), now_us=call.now_us
    )
    return version_headers(head)


async def get_bucket_tagging(services: Services, call: Call) -> Reply:
    """The bucket's tags. Raises NoSuchTagSet where there are none."""
    del services
    bucket = bucket_of(call)
    kept = bucket.documents.get(Subject.TAGGING)
    if kept is None:
        raise s3_error("NoSuchTagSet", BucketName=bucket.name)
    return xml_reply(tagging_document(load_tags(kept)))


async def put_bucket_tagging(services: Services, call: Call) -> Reply:
    """Other tags instead of those there are."""
    body = await call.body.document(services.settings.document_bytes_max)
    tags = parse_tagging(body, tags_max=BUCKET_TAGS_MAX)
    await services.directory.set_document(
        bucket_of(call), Subject.TAGGING, dump_tags(tags), now_us=call.now_us
    )
    return Reply(status=204)


async def delete_bucket_tagging(services: Services, call: Call) -> Reply:
    """No tags any more."""
    await services.directory.set_document(bucket_of(call), Subject.TAGGING, None, now_us=call.now_us)
    return Reply(status=204)
