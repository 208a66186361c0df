"""Objects through boto3 with default settings: put, get, copy, delete, multipart, conditions, checksums."""

from __future__ import annotations

import base64
import hashlib
import random
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.storage.abilities import RADOSGW, Ability, can
from tests.gateway import Credentials, RunningGateway, client
from tests.integration.s3_kit import fetch

pytestmark = pytest.mark.every_engine

MIB = 2**20


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    """Status and code of what the client raised."""
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def read(s3: Any, bucket: str, key: str, **how: Any) -> bytes:
    """An object's bytes."""
    body: bytes = s3.get_object(Bucket=bucket, Key=key, **how)["Body"].read()
    return body


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 16 * 1024 + 1, 64 * 1024 + 1, 3 * MIB + 7])
def test_an_object_of_any_size_comes_back(s3: Any, bucket: str, size: int, seed: int) -> None:
    data = random.Random(seed).randbytes(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, ContentType="text/x", Metadata={"colour": "blue"})
    assert f'"{hashlib.md5(data).hexdigest()}"' == put["ETag"]
    got = s3.get_object(Bucket=bucket, Key="k")
    assert data == got["Body"].read()
    assert (size, "text/x", {"colour": "blue"}) == (
        got["ContentLength"], got["ContentType"], got["Metadata"],
    )  # fmt: skip
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (size, put["ETag"], got["LastModified"]) == (
        head["ContentLength"], head["ETag"], head["LastModified"],
    )  # fmt: skip


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
@pytest.mark.parametrize("size", [0, 100_000])
@pytest.mark.needs("checksums")
def test_every_checksum_is_verified_kept_and_told(s3: Any, bucket: str, algorithm: str, size: int) -> None:
    data = bytes(range(256)) * (size // 256)
    name = f"Checksum{algorithm}"
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert data == got["Body"].read()
    assert put[name] == got[name] == s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[name]
    known = {"CRC32": zlib.crc32(data).to_bytes(4, "big"), "SHA1": hashlib.sha1(data).digest()}
    known["SHA256"] = hashlib.sha256(data).digest()
    if algorithm in known:
        assert base64.b64encode(known[algorithm]).decode() == got[name]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_wrong_checksum_stores_nothing(s3: Any, bucket: str, algorithm: str) -> None:
    length = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}[algorithm]
    wrong = {f"Checksum{algorithm}": base64.b64encode(bytes(length)).decode()}
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"data", **wrong)
    assert (400, "BadDigest") == refusal(error)
    assert 0 == s3.list_objects_v2(Bucket=bucket)["KeyCount"]


def test_a_file_like_body_that_cannot_seek_is_taken(s3: Any, bucket: str, tmp_path: Any) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 300_000)
    with path.open("rb") as file:
        s3.put_object(Bucket=bucket, Key="k", Body=file)
    s3.upload_file(str(path), bucket, "k2")
    assert path.read_bytes() == read(s3, bucket, "k") == read(s3, bucket, "k2")


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=10-", 10, 200_000), ("bytes=-7", 199_993, 200_000),
     ("bytes=5-999999999", 5, 200_000), ("bytes=65535-65537", 65535, 65538), ("bytes=-999999", 0, 200_000)],
)  # fmt: skip
def test_a_range_is_answered_with_those_bytes(
    s3: Any, bucket: str, asked: str, first: int, stop: int
) -> None:
    data = random.Random(1).randbytes(200_000)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert (206, f"bytes {first}-{stop - 1}/200000", data[first:stop]) == (
        got["ResponseMetadata"]["HTTPStatusCode"], got["ContentRange"], got["Body"].read(),
    )  # fmt: skip


@pytest.mark.parametrize("size", [0, 10])
def test_a_range_beyond_the_end_is_invalid(s3: Any, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * size)
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=10-20")
    assert (416, "InvalidRange") == refusal(error)


@pytest.mark.needs("conditional_put")
def test_reads_and_writes_keep_their_conditions(s3: Any, bucket: str, engine: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one", IfNoneMatch="*")["ETag"]
    for how, asked in (
        (s3.put_object, {"Body": b"two", "IfNoneMatch": "*"}),
        (s3.put_object, {"Body": b"two", "IfMatch": '"00000000000000000000000000000000"'}),
        (s3.get_object, {"IfMatch": '"other"'}),
    ):
        with pytest.raises(ClientError) as error:
            how(Bucket=bucket, Key="k", **asked)
        assert (412, "PreconditionFailed") == refusal(error)
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", IfNoneMatch=etag)
    assert 304 == refusal(error)[0]
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="absent", Body=b"two", IfMatch=etag)
    # radosgw holds the condition first, and answers as if there were another object.
    assert ((412, "PreconditionFailed") if engine == RADOSGW else (404, "NoSuchKey")) == refusal(error)
    s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfMatch=etag)
    assert b"two" == read(s3, bucket, "k", IfNoneMatch=etag)


@pytest.mark.needs("conditional_copy", "repeated_complete")
def test_a_complete_keeps_its_condition_and_can_be_asked_again(s3: Any, bucket: str) -> None:
    place = {"Bucket": bucket, "Key": "k"}
    etag = s3.put_object(**place, Body=b"there")["ETag"]
    upload = s3.create_multipart_upload(**place)["UploadId"]
    part = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"new")
    asked = {"UploadId": upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}}
    for refused in ({"IfNoneMatch": "*"}, {"IfMatch": '"00000000000000000000000000000000"'}):
        with pytest.raises(ClientError) as error:
            s3.complete_multipart_upload(**place, **asked, **refused)
        assert "PreconditionFailed" == error.value.response["Error"]["Code"]
        assert b"there" == read(s3, bucket, "k")
    done = s3.complete_multipart_upload(**place, **asked, IfMatch=etag)
    assert b"new" == read(s3, bucket, "k")
    # Its answer may have been lost: the same question has the same answer, though the object is no longer the old one.
    assert done["ETag"] == s3.complete_multipart_upload(**place, **asked, IfMatch=etag)["ETag"]


@pytest.mark.needs("replacing_copy")
def test_a_copy_keeps_or_replaces_what_stands_beside_the_bytes(s3: Any, bucket: str) -> None:
    source = {"Bucket": bucket, "Key": "a +%/ü"}
    s3.put_object(**source, Body=b"x" * 100_000, ContentType="text/a", Metadata={"a": "1"})
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    s3.copy_object(
        Bucket=bucket, Key="replaced", CopySource=source, MetadataDirective="REPLACE",
        ContentType="text/b", Metadata={"b": "2"},
    )  # fmt: skip
    kept, replaced = (s3.get_object(Bucket=bucket, Key=key) for key in ("kept", "replaced"))
    assert ("text/a", {"a": "1"}) == (kept["ContentType"], kept["Metadata"])
    assert ("text/b", {"b": "2"}) == (replaced["ContentType"], replaced["Metadata"])
    assert b"x" * 100_000 == kept["Body"].read() == replaced["Body"].read()
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=bucket, Key=source["Key"], CopySource=source)
    assert (400, "InvalidRequest") == refusal(error)
    s3.copy_object(
        Bucket=bucket, Key=source["Key"], CopySource=source, MetadataDirective="REPLACE", Metadata={"c": "3"}
    )
    assert {"c": "3"} == s3.head_object(**source)["Metadata"]


def test_many_keys_are_deleted_loudly_and_quietly(s3: Any, bucket: str) -> None:
    keys = ["a", "b/ü", "c <&> d"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    asked = [{"Key": key} for key in [*keys[:2], "absent"]]
    loud = s3.delete_objects(Bucket=bucket, Delete={"Objects": asked})
    assert [*keys[:2], "absent"] == [item["Key"] for item in loud["Deleted"]]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": keys[2]}], "Quiet": True})
    assert ([], []) == (quiet.get("Deleted", []), quiet.get("Errors", []))
    assert 0 == s3.list_objects_v2(Bucket=bucket)["KeyCount"]
    s3.delete_object(Bucket=bucket, Key="absent")
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket=bucket)
    assert (404, "NoSuchBucket") == refusal(error)


@pytest.mark.needs("repeated_complete")
def test_parts_arrive_in_any_order_and_are_copied(s3: Any, bucket: str, engine: str) -> None:
    parts = [random.Random(number).randbytes(5 * MIB) for number in (1, 2)] + [b"the end"]
    s3.put_object(Bucket=bucket, Key="source", Body=b"__" + parts[1] + b"__")
    made = s3.create_multipart_upload(Bucket=bucket, Key="k", Metadata={"a": "1"}, ContentType="text/x")
    upload = {"Bucket": bucket, "Key": "k", "UploadId": made["UploadId"]}
    assert ["k"] == [item["Key"] for item in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]]
    last = s3.upload_part(**upload, PartNumber=9, Body=parts[2])["ETag"]
    s3.upload_part(**upload, PartNumber=2, Body=b"to be replaced")
    first = s3.upload_part(**upload, PartNumber=2, Body=parts[0])["ETag"]
    copied = s3.upload_part_copy(
        **upload, PartNumber=5, CopySource={"Bucket": bucket, "Key": "source"},
        CopySourceRange=f"bytes=2-{5 * MIB + 1}",
    )["CopyPartResult"]["ETag"]  # fmt: skip
    page = s3.list_parts(**upload, MaxParts=2)
    assert ([2, 5], True) == ([part["PartNumber"] for part in page["Parts"]], page["IsTruncated"])
    rest = s3.list_parts(**upload, PartNumberMarker=page["NextPartNumberMarker"])
    assert [(9, len(parts[2]))] == [(part["PartNumber"], part["Size"]) for part in rest["Parts"]]
    named = [{"PartNumber": n, "ETag": e} for n, e in ((2, first), (5, copied), (9, last))]
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": named[::-1]})
    assert (400, "InvalidPartOrder") == refusal(error)
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": named})
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    assert f'"{hashlib.md5(digests).hexdigest()}-3"' == done["ETag"]
    again = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": named})
    assert done["ETag"] == again["ETag"]
    got = s3.get_object(Bucket=bucket, Key="k")
    assert ({"a": "1"}, "text/x") == (got["Metadata"], got["ContentType"])
    assert b"".join(parts) == got["Body"].read()
    if can(engine, Ability.PARTS):
        assert parts[1] == read(s3, bucket, "k", PartNumber=2)
    across = f"bytes={5 * MIB - 3}-{5 * MIB + 2}"
    assert parts[0][-3:] + parts[1][:3] == read(s3, bucket, "k", Range=across)


def test_an_aborted_upload_leaves_nothing(s3: Any, bucket: str) -> None:
    made = s3.create_multipart_upload(Bucket=bucket, Key="k")
    upload = {"Bucket": bucket, "Key": "k", "UploadId": made["UploadId"]}
    s3.upload_part(**upload, PartNumber=1, Body=b"x" * 100_000)
    s3.abort_multipart_upload(**upload)
    assert [] == s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    with pytest.raises(ClientError) as error:
        s3.upload_part(**upload, PartNumber=1, Body=b"x")
    assert (404, "NoSuchUpload") == refusal(error)
    s3.delete_bucket(Bucket=bucket)


def test_a_part_too_small_is_refused_and_named(s3: Any, bucket: str) -> None:
    made = s3.create_multipart_upload(Bucket=bucket, Key="k")
    upload = {"Bucket": bucket, "Key": "k", "UploadId": made["UploadId"]}
    etags = [s3.upload_part(**upload, PartNumber=n, Body=b"small")["ETag"] for n in (1, 2)]
    parts = [{"PartNumber": n, "ETag": e} for n, e in enumerate(etags, 1)]
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert (400, "EntityTooSmall") == refusal(error)


def test_a_reader_keeps_the_object_it_opened(s3: Any, bucket: str) -> None:
    old, new = (bytes([number]) * (32 * MIB) for number in (1, 2))
    s3.put_object(Bucket=bucket, Key="k", Body=old)
    reading = s3.get_object(Bucket=bucket, Key="k")["Body"]
    begun = reading.read(1000)
    s3.put_object(Bucket=bucket, Key="k", Body=new)
    s3.delete_object(Bucket=bucket, Key="k")
    rest = reading.read()
    assert hashlib.sha256(old).digest() == hashlib.sha256(begun + rest).digest()


def test_a_presigned_link_is_used_without_a_client(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str
) -> None:
    s3 = client(s3_gateway, anna, signature_version="s3v4")
    place = {"Bucket": bucket, "Key": "presigned ü+%.txt"}
    put = s3.generate_presigned_url("put_object", Params={**place, "ContentType": "text/x"}, ExpiresIn=60)
    answer = fetch(put, b"by link", {"Content-Type": "text/x"})
    assert (200, f'"{hashlib.md5(b"by link").hexdigest()}"') == (answer.status, answer.headers["etag"])
    overrides = {"ResponseContentType": "text/y", "ResponseContentDisposition": 'attachment; filename="f"'}
    get = s3.generate_presigned_url("get_object", Params={**place, **overrides}, ExpiresIn=60)
    answer = fetch(get)
    assert (200, b"by link", "text/y", 'attachment; filename="f"') == (
        answer.status, answer.body, answer.headers["content-type"], answer.headers["content-disposition"],
    )  # fmt: skip
    assert "SignatureDoesNotMatch" == fetch(get.replace("presigned", "another")).code


def test_a_link_of_the_old_signature_is_refused_with_the_way_out(s3: Any, bucket: str) -> None:
    # boto3 without signature_version still presigns with Signature Version 2 for regions it knows.
    link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert "X-Amz-Signature" not in link
    answer = fetch(link)
    assert ("InvalidRequest", True) == (answer.code, b"signature_version=" in answer.body)


def test_a_presigned_link_that_ran_out_is_refused(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = client(s3_gateway, anna, signature_version="s3v4")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    early = datetime.now(UTC) - timedelta(minutes=5)
    for signer in ("botocore.auth", "botocore.crt.auth"):
        monkeypatch.setattr(f"{signer}.get_current_datetime", lambda **how: early)
    long, short = (
        s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=seconds)
        for seconds in (600, 60)
    )
    assert b"x" == fetch(long).body
    refused = fetch(short)
    assert (403, "AccessDenied", True) == (
        refused.status,
        refused.code,
        b"Request has expired" in refused.body,
    )


def test_the_member_is_billed_for_the_bodies_and_no_byte_more(s3_gateway: RunningGateway) -> None:
    bert = s3_gateway.member("bert")
    s3 = client(s3_gateway, bert)
    s3.create_bucket(Bucket="bert-counts")
    place = {"Bucket": "bert-counts", "Key": "k"}
    sent = received = 0
    for size in (0, 5, 70_000, 2 * MIB + 1):  # boto3 frames each in aws-chunked; the frame is not billed
        s3.put_object(**place, Body=b"x" * size)
        received += len(s3.get_object(**place)["Body"].read())
        sent += size
    received += len(s3.get_object(**place, Range="bytes=7-900000")["Body"].read())
    s3.head_object(**place)
    with pytest.raises(ClientError):
        s3.get_object(Bucket="bert-counts", Key="absent")
    used = s3_gateway.usage(bert.member)
    assert (sent, received) == (used.bytes_in, used.bytes_out)
