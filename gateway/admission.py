"""Lets a request in, or refuses it as S3 does; the one place where rights meet the storage.

Only an object's head is ever read here, and only when its own access list or its tags must decide.
"""

from __future__ import annotations

import asyncio

from gateway.access import Decision, Seen, decide, is_owner, may
from gateway.call import Bucket, Call, Services, Subject
from gateway.errors import S3Error, not_supported, s3_error
from gateway.operation import Level, Operation
from gateway.policy.facts import Asked
from gateway.storage.errors import IsDeleteMarker, NoSuchBucket, NoSuchKey, NoSuchVersion, StorageError
from meter.usage import MemberStatus

_TELLING = frozenset(("NoSuchKey", "NoSuchVersion", "MethodNotAllowed"))
"""Errors from which one learns what is there and what is not."""


def check_there(operation: Operation, bucket: Bucket | None) -> None:
    """Whether this may be asked at all, of something that is there. Raises NotImplemented, NoSuchBucket."""
    if not operation.supported:
        raise not_supported(operation)
    if bucket is None and operation.level is not Level.SERVICE and operation is not Operation.CREATE_BUCKET:
        raise s3_error("NoSuchBucket")


async def admit(services: Services, asked: Asked, bucket: Bucket | None) -> None:
    """Returns when the caller may; bucket None is none named, or one that is to be made.

    Raises AccessDenied; AllAccessDisabled where the owner's account is closed; ExpiredToken; InvalidRequest for an
    answer's headers that nobody signed for.
    """
    caller = asked.caller
    if caller is not None and caller.scope is not None and caller.scope.has_ended(asked.now_us):
        raise s3_error("ExpiredToken", "This access key has expired. Ask your co-op for a new one.")
    if bucket is not None and bucket.owner_status is not MemberStatus.ACTIVE:
        raise s3_error("AllAccessDisabled")
    decision = decide(asked, bucket)
    if decision is Decision.LOOK and bucket is not None:
        decision = decide(asked, bucket, await _look(services, asked, bucket))
    if decision is not Decision.ALLOW:
        raise s3_error("AccessDenied")
    if caller is None and any(name.startswith("response-") for name in asked.query):
        # Else a link could make a stranger's file pass for a page of this host.
        raise s3_error(
            "InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests."
        )


def concealed(error: S3Error, asked: Asked, bucket: Bucket | None) -> S3Error:
    """The error as this caller may see it: who may not list does not learn what is not there."""
    if error.code not in _TELLING or not asked.key or bucket is None:
        return error
    if is_owner(asked.caller, bucket) or may(asked, bucket, "s3:ListBucket"):
        return error
    return s3_error("AccessDenied")


def read_asked(services: Services, call: Call, bucket_name: str, key: str, version_id: str = "") -> Asked:
    """The reading of another object that a call brings along: a copy's source, the page behind a website's path."""
    query = {"versionId": version_id} if version_id else {}
    # The call's x-amz-* headers speak of what it writes.
    headers = {name: value for name, value in call.headers.items() if not name.startswith("x-amz-")}
    return Asked(
        Operation.GET_OBJECT, bucket_name, key, query, headers, call.caller, call.origin, call.now_us,
        services.settings.trusted_proxies,
    )  # fmt: skip


async def refused_deletion(
    services: Services, call: Call, key: str, version_id: str | None
) -> S3Error | None:
    """Why one key of a DeleteObjects may not be deleted by this caller; None where it may."""
    if call.bucket is not None and Subject.POLICY in call.bucket.documents:
        # A long policy and a thousand keys: others get their turn in between.
        await asyncio.sleep(0)
    query = {} if version_id is None else {"versionId": version_id}
    asked = Asked(
        Operation.DELETE_OBJECT, call.bucket_name, key, query, call.headers, call.caller, call.origin, call.now_us,
        services.settings.trusted_proxies,
    )  # fmt: skip
    try:
        await admit(services, asked, call.bucket)
    except S3Error as error:
        return error
    return None


async def _look(services: Services, asked: Asked, bucket: Bucket) -> Seen:
    try:
        head = await services.engine.head_object(bucket.id, asked.key, asked.query.get("versionId"))
    except (NoSuchKey, NoSuchVersion, IsDeleteMarker, NoSuchBucket):
        return Seen(is_there=False)
    except StorageError:
        # Busy, perhaps: no reason to tell somebody that they may not.
        raise s3_error("ServiceUnavailable") from None
    return Seen(is_there=True, acl=head.properties.acl, tags=head.properties.tags)
