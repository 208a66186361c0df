"""Access lists of buckets and objects, and the list a write brings along."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.actions import HARMLESS_ACLS
from gateway.call import Bucket, Call, Reply, Services, Subject
from gateway.errors import s3_error
from gateway.exposure import lists_count, parse_block
from gateway.grants import AccessList, has_list, of_headers, parse, private, render
from gateway.handlers.support import bucket_of, xml_reply
from gateway.rights_documents import parse_access_list, render_access_list
from gateway.storage.model import Amendment

DOCUMENT_BYTES_MAX = 128 * 1024
"""A hundred grants with their white space."""


async def get_bucket_acl(services: Services, call: Call) -> Reply:
    """The bucket's list."""
    del services
    bucket = bucket_of(call)
    return _shown(bucket, bucket.documents.get(Subject.ACL, ""))


async def put_bucket_acl(services: Services, call: Call) -> Reply:
    """Replace the bucket's list."""
    bucket = bucket_of(call)
    text = render(await _sent(call, bucket), bucket.owner)
    await services.directory.set_document(bucket, Subject.ACL, text or None, now_us=call.now_us)
    return Reply()


async def get_object_acl(services: Services, call: Call) -> Reply:
    """The list of an object, or of one version."""
    bucket = bucket_of(call)
    head = await services.engine.head_object(bucket.id, call.key, call.query.get("versionId"))
    return _shown(bucket, head.properties.acl)


async def put_object_acl(services: Services, call: Call) -> Reply:
    """Replace the list of an object, or of one version; the bytes stay."""
    bucket = bucket_of(call)
    text = render(await _sent(call, bucket), bucket.owner)
    await services.engine.amend_object(
        bucket.id, call.key, call.query.get("versionId"), Amendment(acl=text), now_us=call.now_us
    )
    return Reply()


def new_acl(call: Call) -> str:
    """The list an object gets that is written now, as the engine keeps it. Raises S3Error, before any byte."""
    bucket = bucket_of(call)
    if not has_list(call.headers):
        return ""
    return render(_allowed(of_headers(call.headers, bucket.owner), call.headers, bucket), bucket.owner)


def _shown(bucket: Bucket, text: str) -> Reply:
    # Where lists do not count, the owner's is all there is to tell.
    counts = lists_count(bucket.documents.get(Subject.OWNERSHIP))
    access = parse(text if counts else "", bucket.owner)
    return xml_reply(render_access_list(access, owner=bucket.owner, owner_name=bucket.owner_name))


async def _sent(call: Call, bucket: Bucket) -> AccessList:
    body = await call.body.document(DOCUMENT_BYTES_MAX)
    if has_list(call.headers):
        if body.strip():
            raise s3_error("UnexpectedContent")
        return _allowed(of_headers(call.headers, bucket.owner), call.headers, bucket)
    if not body.strip():
        raise s3_error("MissingSecurityHeader", MissingHeaderName="x-amz-acl")
    return _allowed(parse_access_list(body, bucket.owner), {}, bucket)


def _allowed(access: AccessList, headers: Mapping[str, str], bucket: Bucket) -> AccessList:
    """The list, if this bucket takes it. Raises AccessControlListNotSupported, AccessDenied."""
    changes_nothing = headers.get("x-amz-acl") in HARMLESS_ACLS or access == private(bucket.owner)
    if not changes_nothing and not lists_count(bucket.documents.get(Subject.OWNERSHIP)):
        raise s3_error("AccessControlListNotSupported")
    if access.is_public and parse_block(bucket.documents.get(Subject.PUBLIC_ACCESS_BLOCK)).block_public_acls:
        raise s3_error("AccessDenied", "The public access block of this bucket refuses public access lists.")
    return access
