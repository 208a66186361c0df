"""Lifecycle rules of a bucket: set, told, taken away; and the headers that tell what the rules will do."""

from __future__ import annotations

from gateway.call import Bucket, Call, Reply, Services, Subject
from gateway.errors import s3_error
from gateway.handlers.support import bucket_of, xml_reply
from gateway.headers import http_date
from gateway.lifecycle import abortion, expiry
from gateway.lifecycle_document import document_of, parse_lifecycle, parse_minimum_size, rules_of, write
from gateway.markup import DECLARATION, url_encode
from gateway.storage.model import ObjectHead, Upload

_MINIMUM_SIZE = "x-amz-transition-default-minimum-object-size"
_LAST_DATE_US = 253_402_300_800_000_000
"""The end of the year 9999: no HTTP date names a later instant."""


async def put_bucket_lifecycle(services: Services, call: Call) -> Reply:
    """Replace all rules of the bucket."""
    bucket = bucket_of(call)
    minimum_size = parse_minimum_size(call.headers.get(_MINIMUM_SIZE))
    rules = parse_lifecycle(await call.body.document(services.settings.document_bytes_max))
    kept = write(rules, minimum_size)
    await services.directory.set_document(bucket, Subject.LIFECYCLE, kept, now_us=call.now_us)
    return Reply(headers={_MINIMUM_SIZE: minimum_size})


async def get_bucket_lifecycle(services: Services, call: Call) -> Reply:
    """The rules as they were understood."""
    del services
    bucket = bucket_of(call)
    kept = bucket.documents.get(Subject.LIFECYCLE)
    if kept is None:
        raise s3_error("NoSuchLifecycleConfiguration", BucketName=bucket.name)
    minimum_size, document = document_of(kept)
    return xml_reply(f"{DECLARATION}{document}".encode(), {_MINIMUM_SIZE: minimum_size})


async def delete_bucket_lifecycle(services: Services, call: Call) -> Reply:
    """Take the rules away; without any it is done already."""
    bucket = bucket_of(call)
    if Subject.LIFECYCLE in bucket.documents:
        await services.directory.set_document(bucket, Subject.LIFECYCLE, None, now_us=call.now_us)
    return Reply(status=204)


def expiry_headers(bucket: Bucket, head: ObjectHead) -> dict[str, str]:
    """x-amz-expiration of a current object; nothing where no rule means it."""
    kept = bucket.documents.get(Subject.LIFECYCLE)
    if kept is None:
        return {}
    found = expiry(
        rules_of(kept), key=head.key, size_bytes=head.size_bytes, tags=head.properties.tags,
        modified_us=head.modified_us,
    )  # fmt: skip
    if found is None or found[0] >= _LAST_DATE_US:
        return {}
    at_us, rule_id = found
    return {"x-amz-expiration": f'expiry-date="{http_date(at_us)}", rule-id="{url_encode(rule_id)}"'}


def abort_headers(bucket: Bucket, upload: Upload) -> dict[str, str]:
    """x-amz-abort-date and x-amz-abort-rule-id of an open upload; nothing where no rule means it."""
    kept = bucket.documents.get(Subject.LIFECYCLE)
    if kept is None:
        return {}
    found = abortion(rules_of(kept), key=upload.key, started_us=upload.started_us)
    if found is None or found[0] >= _LAST_DATE_US:
        return {}
    at_us, rule_id = found
    return {"x-amz-abort-date": http_date(at_us), "x-amz-abort-rule-id": url_encode(rule_id)}
