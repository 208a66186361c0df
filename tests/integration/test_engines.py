"""The table of what engines can and cannot do, attacked from both sides: what it says is there works, what it says is
missing is refused by name and leaves everything as it was."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.storage.abilities import Ability, can

pytestmark = pytest.mark.every_engine
_names = itertools.count(1)
KEY = "0" * 32


def read(s3: Any, bucket: str, key: str = "k") -> bytes:
    with s3.get_object(Bucket=bucket, Key=key)["Body"] as body:
        return bytes(body.read())


def refused(error: pytest.ExceptionInfo[ClientError], engine: str) -> None:
    """It says that it cannot, and who cannot."""
    answer = error.value.response
    assert (501, "NotImplemented") == (
        answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"],
    )  # fmt: skip
    assert engine == answer["Error"]["Engine"]
    assert engine in answer["Error"]["Message"]


def tried(engine: str, ability: Ability, operation: Any, **how: Any) -> dict[str, Any] | None:
    """The answer where the table says that the engine can; None where it cannot, and said so."""
    if can(engine, ability):
        return dict(operation(**how))
    with pytest.raises(ClientError) as error:
        operation(**how)
    refused(error, engine)
    return None


def test_versions(s3: Any, bucket: str, engine: str) -> None:
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert "VersionId" not in first
    enabled = {"Status": "Enabled"}
    how = {"Bucket": bucket, "VersioningConfiguration": enabled}
    done = tried(engine, Ability.VERSIONING, s3.put_bucket_versioning, **how)
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    assert b"2" == read(s3, bucket)
    assert (done is not None) == ("VersionId" in second)
    status = s3.get_bucket_versioning(Bucket=bucket).get("Status")
    assert (None if done is None else "Enabled") == status
    if done is None:
        with pytest.raises(ClientError) as error:
            s3.delete_object(Bucket=bucket, Key="k", VersionId="0123456789abcdef")
        refused(error, engine)
        assert b"2" == read(s3, bucket)


def test_object_lock(s3: Any, engine: str) -> None:
    name = f"lock-{engine}-{next(_names)}"
    done = tried(engine, Ability.OBJECT_LOCK, s3.create_bucket, Bucket=name, ObjectLockEnabledForBucket=True)
    if done is None:
        # It was refused whole: the name is free, and an ordinary bucket may have it.
        assert name not in [one["Name"] for one in s3.list_buckets()["Buckets"]]
        s3.create_bucket(Bucket=name)
        return
    put = s3.put_object(Bucket=name, Key="k", Body=b"1", ObjectLockLegalHoldStatus="ON")
    with pytest.raises(ClientError) as error:
        s3.delete_object(Bucket=name, Key="k", VersionId=put["VersionId"])
    assert "AccessDenied" == error.value.response["Error"]["Code"]
    assert b"1" == read(s3, name)


def test_default_retention(s3: Any, engine: str) -> None:
    name = f"default-{engine}-{next(_names)}"
    lock = can(engine, Ability.OBJECT_LOCK)
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    asked = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    how = {"Bucket": name, "ObjectLockConfiguration": asked}
    if not lock:
        # A bucket that cannot hold has no rule either, on any engine.
        with pytest.raises(ClientError, match="InvalidBucketState"):
            s3.put_object_lock_configuration(**how)
        return
    done = tried(engine, Ability.DEFAULT_RETENTION, s3.put_object_lock_configuration, **how)
    s3.put_object(Bucket=name, Key="k", Body=b"1")
    mode = s3.head_object(Bucket=name, Key="k").get("ObjectLockMode")
    assert (None if done is None else "GOVERNANCE") == mode
    if done is None:
        told = s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
        assert {"ObjectLockEnabled": "Enabled"} == told


def test_tags(s3: Any, bucket: str, engine: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    tags = [{"Key": "a", "Value": "1"}]
    how = {"Bucket": bucket, "Key": "k", "Tagging": {"TagSet": tags}}
    done = tried(engine, Ability.TAGGING, s3.put_object_tagging, **how)
    assert ([] if done is None else tags) == s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    tried(engine, Ability.TAGGING, s3.put_object, Bucket=bucket, Key="k", Body=b"2", Tagging="b=2")
    assert (b"1" if done is None else b"2") == read(s3, bucket)


def test_conditional_writes(s3: Any, bucket: str, engine: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    tried(engine, Ability.CONDITIONAL_PUT, s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)
    now = read(s3, bucket)
    assert (b"2" if can(engine, Ability.CONDITIONAL_PUT) else b"1") == now
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfNoneMatch="*")
    if can(engine, Ability.CONDITIONAL_PUT):
        assert "PreconditionFailed" == error.value.response["Error"]["Code"]
    else:
        refused(error, engine)
    assert now == read(s3, bucket)


def test_conditional_copies_and_completions(s3: Any, bucket: str, engine: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    s3.put_object(Bucket=bucket, Key="other", Body=b"2")
    copied = {"Bucket": bucket, "Key": "k", "CopySource": {"Bucket": bucket, "Key": "other"}}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"3")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    whole = {"Bucket": bucket, "Key": "k", "UploadId": upload, "MultipartUpload": parts}
    for operation, how, ability in (
        (s3.copy_object, copied, Ability.CONDITIONAL_PUT),  # where its own copy will not, it is put
        (s3.complete_multipart_upload, whole, Ability.CONDITIONAL_COPY),
    ):
        with pytest.raises(ClientError) as error:
            operation(**how, IfNoneMatch="*")
        if can(engine, ability):
            assert "PreconditionFailed" == error.value.response["Error"]["Code"]
        else:
            refused(error, engine)
        assert b"1" == read(s3, bucket)
    s3.complete_multipart_upload(**whole)
    assert b"3" == read(s3, bucket)


def test_copies_without_what_their_source_has(s3: Any, bucket: str, engine: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Metadata={"old": "1"})
    how = {"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": "k"}}
    how |= {"MetadataDirective": "REPLACE", "Metadata": {"new": "2"}}
    s3.copy_object(**how)
    told = s3.head_object(Bucket=bucket, Key="copy")["Metadata"]
    assert ("2", False) == (told["new"], "old" in told)


def test_tags_and_locks_of_uploads_in_parts(s3: Any, bucket: str, engine: str) -> None:
    where = {"Bucket": bucket, "Key": "k"}
    made = tried(engine, Ability.PARTS_EXTRAS, s3.create_multipart_upload, **where, Tagging="a=1")
    if made is not None:
        part = s3.upload_part(**where, UploadId=made["UploadId"], PartNumber=1, Body=b"1")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
        s3.complete_multipart_upload(**where, UploadId=made["UploadId"], MultipartUpload=parts)
        assert [{"Key": "a", "Value": "1"}] == s3.get_object_tagging(**where)["TagSet"]


def test_conditional_deletes(s3: Any, bucket: str, engine: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    with pytest.raises(ClientError) as error:
        s3.delete_object(Bucket=bucket, Key="k", IfMatch='"00000000000000000000000000000000"')
    if can(engine, Ability.CONDITIONAL_DELETE):
        assert "PreconditionFailed" == error.value.response["Error"]["Code"]
    else:
        refused(error, engine)
    assert b"1" == read(s3, bucket)
    tried(engine, Ability.CONDITIONAL_DELETE, s3.delete_object, Bucket=bucket, Key="k", IfMatch=etag)
    left = s3.list_objects_v2(Bucket=bucket)["KeyCount"]
    assert (0 if can(engine, Ability.CONDITIONAL_DELETE) else 1) == left


def test_checksums(s3: Any, bucket: str, engine: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", ChecksumAlgorithm="SHA256")
    told = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED").get("ChecksumSHA256")
    # echo -n 1 | sha256sum | xxd -r -p | base64
    expected = "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s="
    assert (expected if can(engine, Ability.CHECKSUMS) else None) == told
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", ChecksumSHA256=expected)
    assert "BadDigest" == error.value.response["Error"]["Code"]
    assert b"1" == read(s3, bucket)


def test_access_lists(s3: Any, bucket: str, engine: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    done = tried(engine, Ability.ACCESS_LISTS, s3.put_object_acl, Bucket=bucket, Key="k", ACL="public-read")
    grants = s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    assert (1 if done is None else 2) == len(grants)
    how = {"Bucket": bucket, "Key": "k", "Body": b"2", "ACL": "public-read"}
    tried(engine, Ability.ACCESS_LISTS, s3.put_object, **how)
    assert (b"1" if done is None else b"2") == read(s3, bucket)


def test_encryption_with_the_customers_key(s3: Any, bucket: str, engine: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    how = {
        "Bucket": bucket,
        "Key": "k",
        "Body": b"2",
        "SSECustomerAlgorithm": "AES256",
        "SSECustomerKey": KEY,
    }
    done = tried(engine, Ability.CUSTOMER_KEYS, s3.put_object, **how)
    if done is None:
        assert b"1" == read(s3, bucket)


def test_parts_of_a_finished_upload(s3: Any, bucket: str, engine: str) -> None:
    where = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    etags = [
        s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in ((1, bytes(5 * 2**20)), (2, b"the end"))
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    answer = tried(engine, Ability.PARTS, s3.get_object, **where, PartNumber=2)
    if answer is not None:
        with answer["Body"] as body:
            assert (b"the end", 2) == (body.read(), answer["PartsCount"])
    told = s3.get_object_attributes(**where, ObjectAttributes=["ObjectParts"])
    assert (2 if can(engine, Ability.PARTS) else None) == told.get("ObjectParts", {}).get("TotalPartsCount")


def test_a_bucket_that_is_there_is_said_to_be_the_caller_s_own(s3: Any, bucket: str) -> None:
    """As clients that make sure of their bucket rely on, and whatever the system behind says of its own."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    with pytest.raises(ClientError) as error:
        s3.create_bucket(Bucket=bucket)
    assert "BucketAlreadyOwnedByYou" == error.value.response["Error"]["Code"]
    assert b"1" == read(s3, bucket)


def test_parts_come_in_any_order(s3: Any, bucket: str, engine: str) -> None:
    """The second before the first, and a look behind what is there; the ETag by hand, as S3 makes it."""
    where = {"Bucket": bucket, "Key": "k"}
    bodies = {2: b"the end", 1: bytes(5 * 2**20)}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    named = {**where, "UploadId": upload}
    etags = {
        number: s3.upload_part(**named, PartNumber=number, Body=body)["ETag"]
        for number, body in bodies.items()
    }
    assert [] == s3.list_parts(**named, PartNumberMarker=7).get("Parts", [])
    assert [2] == [one["PartNumber"] for one in s3.list_parts(**named, PartNumberMarker=1)["Parts"]]
    parts = [{"PartNumber": number, "ETag": etags[number]} for number in (1, 2)]
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    digests = b"".join(hashlib.md5(bodies[number]).digest() for number in (1, 2))
    in_parts = f'"{hashlib.md5(digests).hexdigest()}-2"'
    whole = f'"{hashlib.md5(bodies[1] + bodies[2]).hexdigest()}"'
    assert (in_parts if can(engine, Ability.PARTS_ETAG) else whole) == s3.head_object(**where)["ETag"]


def test_numbers_of_parts_may_leave_some_out(s3: Any, bucket: str, engine: str) -> None:
    where = {"Bucket": bucket, "Key": "k"}
    named = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    bodies = {2: bytes(5 * 2**20), 7: b"the end"}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**named, PartNumber=number, Body=body)["ETag"]}
        for number, body in bodies.items()
    ]
    how = {**named, "MultipartUpload": {"Parts": parts}}
    done = tried(engine, Ability.ANY_PARTS, s3.complete_multipart_upload, **how)
    assert [] == s3.list_objects_v2(Bucket=bucket).get("Contents", []) if done is None else done["Key"] == "k"
    assert done is None or b"".join(bodies.values()) == read(s3, bucket)


def test_every_key_is_a_key(s3: Any, bucket: str, engine: str) -> None:
    for key in ("a", "a/b", "a//b", "./x", "y/../z"):
        if can(engine, Ability.ANY_KEY):
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
    assert (["./x", "a", "a//b", "a/b", "y/../z"] if can(engine, Ability.ANY_KEY) else []) == keys
