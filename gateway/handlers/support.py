"""What several handlers need: replies with a document, the bucket of a call, versions, the commit's time."""

from __future__ import annotations

import time

from gateway.call import Bucket, Call, Caller, Reply
from gateway.errors import invalid_argument, s3_error


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


def check_version(version_id: str | None) -> None:
    """Buckets here have no versions: only 'null' exists. Raises InvalidArgument, NoSuchVersion."""
    if version_id == "":
        raise invalid_argument("versionId", "", "Version id cannot be the empty string")
    if version_id not in (None, "null"):
        raise s3_error("NoSuchVersion", VersionId=str(version_id)[:200])


def commit_time_us(call: Call) -> int:
    """Now, for a commit after a long body: a member must not pay storage for the time of the upload."""
    return max(call.now_us, time.time_ns() // 1000)
