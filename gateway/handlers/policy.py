"""Bucket policy and its status, public access block, ownership controls: what a bucket's owner lets happen."""

from __future__ import annotations

from gateway.access import policy_of
from gateway.call import Bucket, Call, Reply, Services, Subject
from gateway.errors import s3_error
from gateway.exposure import Ownership, PublicAccessBlock, parse_block, render_block
from gateway.grants import parse, private
from gateway.handlers.support import bucket_of, xml_reply
from gateway.policy.document import POLICY_BYTES_MAX, canonical_policy, parse_policy
from gateway.rights_documents import (
    parse_block_document,
    parse_ownership,
    render_block_document,
    render_ownership,
    render_policy_status,
)

DOCUMENT_BYTES_MAX = 16 * 1024
"""Ownership controls and public access blocks are a few hundred bytes long."""


async def get_bucket_policy(services: Services, call: Call) -> Reply:
    """The policy as JSON."""
    del services
    text = bucket_of(call).documents.get(Subject.POLICY)
    if text is None:
        raise _no_policy(call)
    return Reply(headers={"Content-Type": "application/json"}, body=text.encode())


async def put_bucket_policy(services: Services, call: Call) -> Reply:
    """Set the policy, once every word of it was understood."""
    bucket = bucket_of(call)
    text = canonical_policy(await call.body.document(POLICY_BYTES_MAX), bucket=bucket.name)
    if _block(bucket).block_public_policy and parse_policy(text, bucket.name).is_public:
        raise s3_error("AccessDenied", "The public access block of this bucket refuses public policies.")
    await services.directory.set_document(bucket, Subject.POLICY, text, now_us=call.now_us)
    return Reply(status=204)


async def delete_bucket_policy(services: Services, call: Call) -> Reply:
    """Take the policy away; where there is none, nothing happens, as S3 has it."""
    await _drop(services, call, Subject.POLICY)
    return Reply(status=204)


async def get_bucket_policy_status(services: Services, call: Call) -> Reply:
    """Whether the policy is public."""
    del services
    policy = policy_of(bucket_of(call))
    if policy is None:
        raise _no_policy(call)
    return xml_reply(render_policy_status(is_public=policy.is_public))


async def get_public_access_block(services: Services, call: Call) -> Reply:
    """The four flags."""
    del services
    if Subject.PUBLIC_ACCESS_BLOCK not in bucket_of(call).documents:
        raise s3_error("NoSuchPublicAccessBlockConfiguration", BucketName=call.bucket_name)
    return xml_reply(render_block_document(_block(bucket_of(call))))


async def put_public_access_block(services: Services, call: Call) -> Reply:
    """Set the four flags."""
    block = parse_block_document(await call.body.document(DOCUMENT_BYTES_MAX))
    await services.directory.set_document(
        bucket_of(call), Subject.PUBLIC_ACCESS_BLOCK, render_block(block), now_us=call.now_us
    )
    return Reply()


async def delete_public_access_block(services: Services, call: Call) -> Reply:
    """Lift all four."""
    await _drop(services, call, Subject.PUBLIC_ACCESS_BLOCK)
    return Reply(status=204)


async def get_bucket_ownership_controls(services: Services, call: Call) -> Reply:
    """Whether access lists count."""
    del services
    text = bucket_of(call).documents.get(Subject.OWNERSHIP)
    if text is None:
        raise s3_error("OwnershipControlsNotFoundError", BucketName=call.bucket_name)
    return xml_reply(render_ownership(Ownership(text)))


async def put_bucket_ownership_controls(services: Services, call: Call) -> Reply:
    """Set whether access lists count; not off while the bucket's own list gives something to others."""
    bucket = bucket_of(call)
    ownership = parse_ownership(await call.body.document(DOCUMENT_BYTES_MAX))
    access = parse(bucket.documents.get(Subject.ACL, ""), bucket.owner)
    if ownership is Ownership.ENFORCED and set(access.grants) - set(private(bucket.owner).grants):
        raise s3_error("InvalidBucketAclWithObjectOwnership")
    await services.directory.set_document(bucket, Subject.OWNERSHIP, ownership.value, now_us=call.now_us)
    return Reply()


async def delete_bucket_ownership_controls(services: Services, call: Call) -> Reply:
    """Back to where every bucket begins."""
    await _drop(services, call, Subject.OWNERSHIP)
    return Reply(status=204)


async def _drop(services: Services, call: Call, subject: Subject) -> None:
    bucket = bucket_of(call)
    if subject in bucket.documents:
        await services.directory.set_document(bucket, subject, None, now_us=call.now_us)


def _block(bucket: Bucket) -> PublicAccessBlock:
    return parse_block(bucket.documents.get(Subject.PUBLIC_ACCESS_BLOCK))


def _no_policy(call: Call) -> Exception:
    return s3_error("NoSuchBucketPolicy", BucketName=call.bucket_name)
