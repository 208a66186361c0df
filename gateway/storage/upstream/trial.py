"""Tries an upstream before it is used: can it be reached, does it take our signature, what does it do rightly.

What it says it can do is not believed; each thing is done once, in a bucket of its own that is removed again.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from gateway.storage.abilities import LOCATION_CONSTRAINT
from gateway.storage.upstream.cold import FAILURES, Cold, code_of
from meter.refusal import Refusal

CLOCK_SKEW_MAX_S = 300
"""Signatures are refused from 15 minutes on; an upstream five minutes off will get there."""
PART_BYTES = 5 * 2**20
BROKEN_OFF = "broken off"
"""The key of an object of which a part is sent."""
_PAYLOAD = bytes(range(256)) * 41
_SHA256_HEADERS = {"ChecksumAlgorithm": "SHA256"}


@dataclass(slots=True)
class Trial:
    """What came of it."""

    skew_s: int = 0
    """Its clock less ours."""
    features: dict[str, bool] = field(default_factory=dict)


def try_out(cold: Cold, *, prefix: str) -> Trial:
    """Reach, signature, clock, put/get/delete of an object, then each feature. Raises Refusal for what must be."""
    found = Trial(skew_s=_reach(cold))
    if abs(found.skew_s) > CLOCK_SKEW_MAX_S:
        raise Refusal(
            f"the clock of {cold.name} is {abs(found.skew_s)} s {'ahead of' if found.skew_s > 0 else 'behind'} ours;"
            " signatures will be refused; set both by NTP"
        )
    bucket = f"{prefix}weir-trial-{secrets.token_hex(6)}"
    found.features[LOCATION_CONSTRAINT] = _takes_constraint(cold, bucket)
    if not found.features[LOCATION_CONSTRAINT]:
        cold.create_bucket(bucket, features=found.features)
    try:
        _objects(cold, bucket)
        # Whether anything came of it is looked for when it had the time to.
        cold.break_off(bucket, BROKEN_OFF)
        for name, attempt in _FEATURES.items():
            found.features[name] = _does(attempt, cold, bucket)
        found.features[CUT_BODIES] = not _does(_is_there, cold, bucket)
    finally:
        cold.empty_bucket(bucket)
    locked = f"{bucket}-lock"
    try:
        is_there = _is_made(cold, locked, found.features)
        for name, attempt in _WITH_LOCK.items():
            found.features[name] = is_there and _does(attempt, cold, locked)
    finally:
        cold.empty_bucket(locked)
    return found


def _takes_constraint(cold: Cold, bucket: str) -> bool:
    """Whether the bucket is made with the region as its location; where that is refused, it is not made yet."""
    try:
        cold.create_bucket(bucket, features={LOCATION_CONSTRAINT: True})
    except Refusal:
        return False
    return True


def _is_made(cold: Cold, bucket: str, features: Mapping[str, bool]) -> bool:
    """Whether there is a bucket that can hold now."""
    try:
        cold.create_bucket(bucket, with_lock=True, features=features)
    except Refusal:
        return False
    return True


def _reach(cold: Cold) -> int:
    """Ask for something that needs a signature; the clock there less ours, in seconds."""
    before = time.time()
    try:
        answer = cold.s3.list_buckets()
    except ClientError as error:
        code = code_of(error)
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "XAdminUserNotFound"):
            raise Refusal(
                f"{cold.name} refuses the key: {code}; is it the right key, secret and region?"
            ) from None
        raise cold.refusal("be asked for its buckets", error) from None
    except BotoCoreError as error:
        raise Refusal(f"{cold.name} cannot be reached: {error}") from None
    told = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    if not told:
        return 0
    return int(parsedate_to_datetime(told).timestamp()) - int((before + time.time()) / 2)


def _objects(cold: Cold, bucket: str) -> None:
    """What no bucket can be without."""
    try:
        put = cold.s3.put_object(Bucket=bucket, Key="a/ü b", Body=_PAYLOAD)
        got = cold.s3.get_object(Bucket=bucket, Key="a/ü b")
        part = cold.s3.get_object(Bucket=bucket, Key="a/ü b", Range="bytes=256-300")
        whole, some = got["Body"].read(), part["Body"].read()
        listed = cold.s3.list_objects_v2(Bucket=bucket, Prefix="a/")
        cold.s3.delete_object(Bucket=bucket, Key="a/ü b")
    except FAILURES as error:
        raise cold.refusal("put, get, list and delete an object", error) from None
    for what, is_right in (
        ("the bytes of an object", whole == _PAYLOAD),
        ("the MD5 as ETag", put["ETag"].strip('"') == hashlib.md5(_PAYLOAD, usedforsecurity=False).hexdigest()),
        ("a range", some == _PAYLOAD[256:301]),
        ("a listing", [one["Key"] for one in listed.get("Contents", ())] == ["a/ü b"]),
    ):  # fmt: skip
        if not is_right:
            raise Refusal(f"{cold.name} does not give {what} back as it should; it cannot hold members' data")


def _does(attempt: Callable[[Any, str], bool], cold: Cold, bucket: str) -> bool:
    try:
        return attempt(cold.s3, bucket)
    except (*FAILURES, LookupError):
        # Refused; or answered without what such an answer must have.
        return False


def _multipart(s3: Any, bucket: str) -> bool:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(
                Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number, Body=bytes(size)
            )["ETag"],
        }
        for number, size in ((1, PART_BYTES), (2, 1))
    ]
    s3.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    return bool(s3.head_object(Bucket=bucket, Key="parts")["ContentLength"] == PART_BYTES + 1)


def _part_markers(s3: Any, bucket: str) -> bool:
    """Parts come in any order: who asks what is behind one that is not there yet is told that nothing is."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="waiting")["UploadId"]
    named = {"Bucket": bucket, "Key": "waiting", "UploadId": upload}
    try:
        return not s3.list_parts(**named, PartNumberMarker=1, MaxParts=1).get("Parts")
    finally:
        s3.abort_multipart_upload(**named)


def _any_parts(s3: Any, bucket: str) -> bool:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="second")["UploadId"]
    named = {"Bucket": bucket, "Key": "second", "UploadId": upload}
    parts = [{"PartNumber": 2, "ETag": s3.upload_part(**named, PartNumber=2, Body=b"1")["ETag"]}]
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    return bool(s3.head_object(Bucket=bucket, Key="second")["ContentLength"] == 1)


def _conditional(s3: Any, bucket: str) -> bool:
    s3.put_object(Bucket=bucket, Key="once", Body=b"1")
    try:
        s3.put_object(Bucket=bucket, Key="once", Body=b"2", IfNoneMatch="*")
    except ClientError as error:
        return code_of(error) in ("PreconditionFailed", "412")
    return False


def _conditional_copy(s3: Any, bucket: str) -> bool:
    """Both of its kinds: the end of an upload, and a copy; what passes over either is believed in neither."""
    for key in ("there", "source"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="there")["UploadId"]
    named = {"Bucket": bucket, "Key": "there", "UploadId": upload}
    part = {"PartNumber": 1, "ETag": s3.upload_part(**named, PartNumber=1, Body=b"2")["ETag"]}
    try:
        s3.complete_multipart_upload(**named, MultipartUpload={"Parts": [part]}, IfNoneMatch="*")
    except ClientError as error:
        if code_of(error) not in ("PreconditionFailed", "412"):
            return False
    else:
        return False
    before = s3.meta.events
    before.register_first("before-sign.s3.CopyObject", _only_where_nothing_is)
    try:
        s3.copy_object(Bucket=bucket, Key="there", CopySource={"Bucket": bucket, "Key": "source"})
    except ClientError as error:
        return code_of(error) in ("PreconditionFailed", "412")
    finally:
        before.unregister("before-sign.s3.CopyObject", _only_where_nothing_is)
    return False


def _only_where_nothing_is(request: Any, **_: object) -> None:
    request.headers["If-None-Match"] = "*"


def _replacing_copy(s3: Any, bucket: str) -> bool:
    s3.put_object(Bucket=bucket, Key="old", Body=b"1", Metadata={"weir": "old", "left": "over"})
    s3.copy_object(
        Bucket=bucket, Key="new", CopySource={"Bucket": bucket, "Key": "old"}, MetadataDirective="REPLACE",
        Metadata={"weir": "new"},
    )  # fmt: skip
    return bool(s3.head_object(Bucket=bucket, Key="new")["Metadata"] == {"weir": "new"})


def _tagging(s3: Any, bucket: str) -> bool:
    s3.put_object(Bucket=bucket, Key="tagged", Body=b"1", Tagging="a=1")
    told = s3.get_object_tagging(Bucket=bucket, Key="tagged")["TagSet"]
    return bool(told == [{"Key": "a", "Value": "1"}])


def _checksums(s3: Any, bucket: str) -> bool:
    put = s3.put_object(Bucket=bucket, Key="sum", Body=b"1", **_SHA256_HEADERS)
    head = s3.head_object(Bucket=bucket, Key="sum", ChecksumMode="ENABLED")
    return bool(put.get("ChecksumSHA256") and put["ChecksumSHA256"] == head.get("ChecksumSHA256"))


def _versioning(s3: Any, bucket: str) -> bool:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket=bucket, Key="v", Body=body).get("VersionId") for body in (b"1", b"2")]
    old = s3.get_object(Bucket=bucket, Key="v", VersionId=ids[0])["Body"].read()
    listed = s3.list_object_versions(Bucket=bucket, Prefix="v").get("Versions", ())
    return old == b"1" and {one["VersionId"] for one in listed} == set(ids)


def _object_lock(s3: Any, bucket: str) -> bool:
    s3.put_object(Bucket=bucket, Key="held", Body=b"1", ObjectLockLegalHoldStatus="ON")
    version = s3.list_object_versions(Bucket=bucket)["Versions"][0]["VersionId"]
    try:
        s3.delete_object(Bucket=bucket, Key="held", VersionId=version)
        return False
    except ClientError as error:
        return code_of(error) == "AccessDenied"
    finally:
        s3.put_object_legal_hold(Bucket=bucket, Key="held", VersionId=version, LegalHold={"Status": "OFF"})


def _default_retention(s3: Any, bucket: str) -> bool:
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    lock: dict[str, Any] = {"ObjectLockEnabled": "Enabled"}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock | {"Rule": rule})
    try:
        s3.put_object(Bucket=bucket, Key="default", Body=b"1")
        head = s3.head_object(Bucket=bucket, Key="default")
    finally:
        s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    return bool(head.get("ObjectLockMode") == "GOVERNANCE" and head.get("ObjectLockRetainUntilDate"))


def _cleared_retention(s3: Any, bucket: str) -> bool:
    version = s3.put_object(Bucket=bucket, Key="kept", Body=b"1")["VersionId"]
    named = {"Bucket": bucket, "Key": "kept", "VersionId": version}
    until = datetime.now(UTC) + timedelta(minutes=5)
    s3.put_object_retention(**named, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    s3.put_object_retention(**named, Retention={}, BypassGovernanceRetention=True)
    s3.delete_object(**named)
    return True


def _parts_extras(s3: Any, bucket: str) -> bool:
    """In a bucket that can hold: retention, a hold and tags given to an upload in parts are its object's."""
    until = (datetime.now(UTC) + timedelta(minutes=5)).replace(microsecond=0)
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="extras", Tagging="a=1", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until,
        ObjectLockLegalHoldStatus="ON",
    )["UploadId"]  # fmt: skip
    named = {"Bucket": bucket, "Key": "extras", "UploadId": upload}
    part = {"PartNumber": 1, "ETag": s3.upload_part(**named, PartNumber=1, Body=b"1")["ETag"]}
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": [part]})
    head = s3.head_object(Bucket=bucket, Key="extras")
    if head.get("ObjectLockLegalHoldStatus") == "ON":
        s3.put_object_legal_hold(Bucket=bucket, Key="extras", LegalHold={"Status": "OFF"})
        tags = s3.get_object_tagging(Bucket=bucket, Key="extras")["TagSet"]
        return bool(head.get("ObjectLockRetainUntilDate") == until and tags == [{"Key": "a", "Value": "1"}])
    return False


def _is_there(s3: Any, bucket: str) -> bool:
    return bool(s3.head_object(Bucket=bucket, Key=BROKEN_OFF))


def _metadata(s3: Any, bucket: str) -> bool:
    s3.put_object(Bucket=bucket, Key="meta", Body=b"1", Metadata={"weir": "trial"}, CacheControl="no-store")
    head = s3.head_object(Bucket=bucket, Key="meta")
    return bool(head["Metadata"] == {"weir": "trial"} and head.get("CacheControl") == "no-store")


_FEATURES: dict[str, Callable[[Any, str], bool]] = {
    "metadata": _metadata,
    "multipart": _multipart,
    "part_markers": _part_markers,
    "any_parts": _any_parts,
    "conditional_put": _conditional,
    "conditional_copy": _conditional_copy,
    "replacing_copy": _replacing_copy,
    "tagging": _tagging,
    "checksums": _checksums,
    # Last: from then on the bucket keeps versions.
    "versioning": _versioning,
}
_WITH_LOCK: dict[str, Callable[[Any, str], bool]] = {
    "object_lock": _object_lock,
    "default_retention": _default_retention,
    "cleared_retention": _cleared_retention,
    "parts_extras": _parts_extras,
}
"""In a bucket that was made to hold."""
CUT_BODIES = "cut_bodies"
FEATURES = (*_FEATURES, *_WITH_LOCK, CUT_BODIES)
