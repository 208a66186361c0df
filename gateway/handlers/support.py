"""What several handlers need: replies, the bucket of a call, versions, room, the commit's time."""

from __future__ import annotations

import time

from gateway.call import Bucket, Call, Caller, Reply, Services
from gateway.errors import S3Error, invalid_argument, s3_error
from gateway.storage.errors import IsDeleteMarker, NoSuchKey, NoSuchVersion
from gateway.storage.model import NO_QUOTA, NULL_VERSION, ObjectHead, Versioning

VERSION_HEADER = "x-amz-version-id"
MARKER_HEADER = "x-amz-delete-marker"
BYPASS_HEADER = "x-amz-bypass-governance-retention"


def xml_reply(body: bytes, headers: dict[str, str] | None = None) -> Reply:
    """200 with a document."""
    return Reply(headers={"Content-Type": "application/xml"} | (headers or {}), body=body)


def bucket_of(call: Call) -> Bucket:
    """The call's bucket. Raises NoSuchBucket where the directory knows none."""
    if call.bucket is None:
        raise s3_error("NoSuchBucket", BucketName=call.bucket_name)
    return call.bucket


def caller_of(call: Call) -> Caller:
    """Who signed. Raises AccessDenied where nobody did."""
    if call.caller is None:
        raise s3_error("AccessDenied")
    return call.caller


def version_asked(call: Call) -> str | None:
    """The version the query names; None for the newest. Raises InvalidArgument for an empty id."""
    version_id = call.query.get("versionId")
    if version_id == "":
        raise invalid_argument("versionId", "", "Version id cannot be the empty string")
    return version_id


def refuse_version(call: Call) -> None:
    """A write makes its own version. Raises InvalidArgument where the query names one."""
    if "versionId" in call.query:
        raise invalid_argument(
            "versionId", call.query["versionId"], "This operation does not accept a version-id."
        )


def version_headers(head: ObjectHead) -> dict[str, str]:
    """x-amz-version-id: none in a bucket that never had versions."""
    return {VERSION_HEADER: head.version_id} if head.version_id else {}


def may_bypass(call: Call) -> bool:
    """Whether the caller bypasses GOVERNANCE retention. Who asks without the right was refused before."""
    return call.headers.get(BYPASS_HEADER, "").lower() == "true"


SMALL_BYTES = 64 * 1024
"""Of which many more fit where any do: whether there is room for them is seen when they are staged."""


async def check_room(
    services: Services, call: Call, *, grows_bytes: int, replaces_bytes: int | None = None
) -> None:
    """Refuse early what no commit could take, before its body is sent. Raises QuotaExceeded, StorageFull.

    It never refuses what the commit would accept: what the write replaces is taken off. replaces_bytes
    None: what it replaces is the object of the call's key.
    """
    bucket = bucket_of(call)
    if grows_bytes > SMALL_BYTES:
        services.engine.check_space(bucket.id, grows_bytes)
    quota = bucket.quota
    if quota is NO_QUOTA:
        return
    if replaces_bytes is None:
        replaces_bytes = await _replaced_bytes(services, call)
    delta_bytes = grows_bytes - replaces_bytes
    if delta_bytes <= 0:
        return
    for whose, limit, stored in (
        ("bucket", quota.bucket_bytes_max, services.engine.stored_bytes(bucket.id)),
        ("member", quota.member_bytes_max, services.engine.stored_bytes_of(bucket.owner)),
    ):
        if limit is not None and stored + delta_bytes > limit:
            raise quota_exceeded(whose, limit, bucket)


def quota_exceeded(whose: str, limit: int, bucket: Bucket) -> S3Error:
    """QuotaExceeded that says whose limit it is: the bucket's, the member's, or the one members set themselves."""
    if whose == "member" and limit == bucket.owner_cap_bytes:
        return s3_error(
            "QuotaExceeded",
            f"This would pass the bucket owner's own cap of {limit} stored bytes; nothing was stored. Delete "
            "something, or let the owner raise the cap in the co-op's portal.",
            LimitOf="owner",
            LimitBytes=limit,
        )
    return s3_error(
        "QuotaExceeded",
        f"This would pass the {whose}'s limit of {limit} stored bytes; nothing was stored.",
        LimitOf=whose,
        LimitBytes=limit,
    )


def announced_bytes(call: Call) -> int:
    """The size of the body as its sender announced it; 0 where it did not, or not in digits."""
    text = call.headers.get("x-amz-decoded-content-length") or call.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


async def _replaced_bytes(services: Services, call: Call) -> int:
    bucket = bucket_of(call)
    if (await services.engine.bucket_rules(bucket.id)).versioning is Versioning.ENABLED:
        return 0
    try:
        return (await services.engine.head_object(bucket.id, call.key, NULL_VERSION)).size_bytes
    except (NoSuchKey, NoSuchVersion, IsDeleteMarker):
        return 0


def commit_time_us(call: Call) -> int:
    """Now, for a commit after a long body: a member must not pay storage for the time of the upload."""
    return max(call.now_us, time.time_ns() // 1000)
