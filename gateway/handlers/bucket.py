"""Create, head, delete a bucket, and where it is. The directory holds the name, the engine the place."""

from __future__ import annotations

from gateway.call import Call, Reply, Services, Subject
from gateway.documents import parse_create_bucket
from gateway.errors import S3Error, invalid_argument, s3_error
from gateway.exposure import lists_count
from gateway.grants import of_headers, private, render
from gateway.handlers.support import bucket_of, caller_of, xml_reply
from gateway.placement import choose, location_of
from gateway.results import location
from gateway.rights_documents import ownership_named
from gateway.storage.errors import Unreached, Unsupported
from gateway.storage.model import BucketRules, Versioning
from meter.ids import MemberId

_LOCK_HEADER = "x-amz-bucket-object-lock-enabled"


async def create_bucket(services: Services, call: Call) -> Reply:
    """A new bucket of the caller's. Names are shared by all members, so another's is taken."""
    caller = caller_of(call)
    documents = _opening_documents(call, caller.member)
    locks = _asks_for_lock(call)
    body = await call.body.document(services.settings.document_bytes_max)
    constraint = parse_create_bucket(body)
    engine = choose(
        services.directory.engines, constraint=constraint, region=services.settings.region,
        storage_class=call.headers.get("x-amz-storage-class", ""),
    )  # fmt: skip
    bucket, is_new = await services.directory.create_bucket(
        call.bucket_name, caller.member, engine=engine, now_us=call.now_us
    )
    if bucket.owner != caller.member:
        raise s3_error("BucketAlreadyExists", BucketName=call.bucket_name)
    # Also for a bucket that is there: a crash between the two leaves a name without a place.
    try:
        await services.engine.create_bucket(bucket.id, owner=bucket.owner, locks=locks)
    except (Unsupported, Unreached):
        if is_new:
            # Nothing was made there, so the name is free again.
            await services.directory.delete_bucket(bucket, now_us=call.now_us)
        raise
    if not is_new:
        raise s3_error("BucketAlreadyOwnedByYou", BucketName=call.bucket_name)
    if locks:
        await services.engine.set_bucket_rules(bucket.id, BucketRules(Versioning.ENABLED, locks=True))
    # Last: what fails half-way leaves a bucket that is private.
    for subject, document in documents.items():
        await services.directory.set_document(bucket, subject, document, now_us=call.now_us)
    return Reply(headers={"Location": f"/{bucket.name}"})


def _opening_documents(call: Call, owner: MemberId) -> dict[Subject, str]:
    """The access list and the ownership a bucket begins with. Raises InvalidBucketAclWithObjectOwnership, …"""
    found = {}
    ownership = call.headers.get("x-amz-object-ownership")
    if ownership is not None:
        found[Subject.OWNERSHIP] = ownership_named(ownership).value
    access = of_headers(call.headers, owner)
    if access != private(owner):
        if not lists_count(found.get(Subject.OWNERSHIP)):
            raise s3_error("InvalidBucketAclWithObjectOwnership")
        found[Subject.ACL] = render(access, owner)
    return found


def _asks_for_lock(call: Call) -> bool:
    text = call.headers.get(_LOCK_HEADER, "false")
    if text.lower() not in ("true", "false"):
        raise invalid_argument(_LOCK_HEADER, text, "It is true or false.")
    return text.lower() == "true"


async def head_bucket(services: Services, call: Call) -> Reply:
    """It is there and the caller may see it."""
    bucket_of(call)
    return Reply(headers={"x-amz-bucket-region": services.settings.region}, content_length=0)


async def delete_bucket(services: Services, call: Call) -> Reply:
    """Remove an empty bucket: first its place, which decides whether it is empty, then its name."""
    bucket = bucket_of(call)
    await services.engine.delete_bucket(bucket.id)
    try:
        await services.directory.delete_bucket(bucket, now_us=call.now_us)
    except S3Error:
        # The name stays, so the place must: nothing is half done.
        await services.engine.create_bucket(bucket.id, owner=bucket.owner)
        raise
    return Reply(status=204)


async def get_bucket_location(services: Services, call: Call) -> Reply:
    """The location of its storage engine, or the gateway's region."""
    bucket, region = bucket_of(call), services.settings.region
    return xml_reply(location(location_of(services.directory.engines, bucket.engine, region=region)))
