"""Attributes and checksums through boto3: what every object is told to be, whoever computed it."""

from __future__ import annotations

import base64
import hashlib
import random
import zlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.gateway import Credentials, RunningGateway, client
from tests.integration.s3_kit import UNSIGNED_TRAILER, ask, plain_chunks, sign

pytestmark = pytest.mark.every_engine(without=("rclone",))

MIB = 2**20
EVERY = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
CHECK = b"123456789"
CHECK_CRC64NVME = base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode()
"""The check value of CRC-64/NVME, from the catalogue of CRC algorithms."""


@pytest.fixture
def silent(s3_gateway: RunningGateway, anna: Credentials) -> Any:
    """Her client as those of before 2025: it sends no checksum of its own."""
    return client(s3_gateway, anna, request_checksum_calculation="when_required")


def sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def code_of(operation: Any, **how: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as error:
        operation(**how)
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def in_parts(s3: Any, bucket: str, key: str, pieces: list[bytes], **how: Any) -> dict[str, Any]:
    """Upload in parts; with ChecksumAlgorithm each part carries one. The answer of Complete."""
    where = {"Bucket": bucket, "Key": key}
    algorithm = how.get("ChecksumAlgorithm")
    upload_id = s3.create_multipart_upload(**where, **how)["UploadId"]
    parts = []
    for number, piece in enumerate(pieces, 1):
        asked = {"ChecksumAlgorithm": algorithm} if algorithm else {}
        told = s3.upload_part(**where, UploadId=upload_id, PartNumber=number, Body=piece, **asked)
        part = {"PartNumber": number, "ETag": told["ETag"]}
        if algorithm:
            part[f"Checksum{algorithm}"] = told[f"Checksum{algorithm}"]
        parts.append(part)
    answer: dict[str, Any] = s3.complete_multipart_upload(
        **where, UploadId=upload_id, MultipartUpload={"Parts": parts}
    )
    return answer


def attributes(s3: Any, bucket: str, key: str, **how: Any) -> dict[str, Any]:
    told: dict[str, Any] = s3.get_object_attributes(
        Bucket=bucket, Key=key, ObjectAttributes=how.pop("ObjectAttributes", EVERY), **how
    )
    told.pop("ResponseMetadata")
    told.pop("LastModified")
    return told


@pytest.mark.needs("checksums")
def test_a_put_without_a_checksum_gets_one(silent: Any, bucket: str) -> None:
    put = silent.put_object(Bucket=bucket, Key="k", Body=CHECK)
    assert (CHECK_CRC64NVME, "FULL_OBJECT") == (put["ChecksumCRC64NVME"], put["ChecksumType"])
    plain = silent.get_object(Bucket=bucket, Key="k")
    assert "ChecksumCRC64NVME" not in silent.head_object(
        Bucket=bucket, Key="k", ChecksumMode="ENABLED", Range="bytes=0-3"
    )
    asked = silent.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (CHECK_CRC64NVME, "FULL_OBJECT") == (asked["ChecksumCRC64NVME"], asked["ChecksumType"])
    assert CHECK == plain["Body"].read()
    part = silent.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", Range="bytes=1-2")
    assert b"23" == part["Body"].read()
    assert {"ChecksumCRC64NVME", "ChecksumType"}.isdisjoint(part)


@pytest.mark.needs("checksums", "parts")
def test_parts_without_checksums_make_an_object_with_one(silent: Any, bucket: str, seed: int) -> None:
    data = random.Random(seed).randbytes(5 * MIB + 9)
    in_parts(silent, bucket, "parts", [data[: 5 * MIB], data[5 * MIB :]])
    whole = silent.put_object(Bucket=bucket, Key="whole", Body=data)
    told = silent.head_object(Bucket=bucket, Key="parts", ChecksumMode="ENABLED")
    assert whole["ChecksumCRC64NVME"] == told["ChecksumCRC64NVME"]
    assert "FULL_OBJECT" == told["ChecksumType"]


@pytest.mark.needs("checksums", "parts")
def test_an_undeclared_crc_of_all_parts_becomes_the_object_s(
    s3: Any, silent: Any, bucket: str, seed: int
) -> None:
    data = random.Random(seed).randbytes(5 * MIB + 9)
    where = {"Bucket": bucket, "Key": "k"}
    upload_id = silent.create_multipart_upload(**where)["UploadId"]
    parts = []
    for number, piece in enumerate((data[: 5 * MIB], data[5 * MIB :]), 1):
        told = s3.upload_part(
            **where, UploadId=upload_id, PartNumber=number, Body=piece, ChecksumAlgorithm="CRC32"
        )
        parts.append({"PartNumber": number, "ETag": told["ETag"], "ChecksumCRC32": told["ChecksumCRC32"]})
    done = silent.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload={"Parts": parts})
    expected = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    assert (expected, "FULL_OBJECT") == (done["ChecksumCRC32"], done["ChecksumType"])


@pytest.mark.needs("checksums")
def test_the_attributes_of_an_object_put_at_once(silent: Any, bucket: str) -> None:
    silent.put_object(Bucket=bucket, Key="k", Body=CHECK)
    assert {
        "ETag": hashlib.md5(CHECK).hexdigest(),
        "Checksum": {"ChecksumCRC64NVME": CHECK_CRC64NVME, "ChecksumType": "FULL_OBJECT"},
        "StorageClass": "STANDARD",
        "ObjectSize": 9,
    } == attributes(silent, bucket, "k")
    assert {"ObjectSize": 9} == attributes(silent, bucket, "k", ObjectAttributes=["ObjectSize"])


@pytest.mark.needs("checksums", "parts")
def test_the_parts_of_a_composite_checksum_are_told_in_pages(s3: Any, bucket: str, seed: int) -> None:
    pieces = [random.Random(seed + number).randbytes(5 * MIB) for number in range(2)] + [b"end"]
    in_parts(s3, bucket, "k", pieces, ChecksumAlgorithm="SHA256")
    expected = [
        {"PartNumber": number, "Size": len(piece), "ChecksumSHA256": sha256(piece)}
        for number, piece in enumerate(pieces, 1)
    ]
    told = attributes(s3, bucket, "k")
    assert (3, False, expected) == (
        told["ObjectParts"]["TotalPartsCount"], told["ObjectParts"]["IsTruncated"], told["ObjectParts"]["Parts"],
    )  # fmt: skip
    digest = hashlib.sha256(b"".join(hashlib.sha256(piece).digest() for piece in pieces)).digest()
    composite = {"ChecksumSHA256": base64.b64encode(digest).decode() + "-3", "ChecksumType": "COMPOSITE"}
    assert composite == told["Checksum"]
    first = attributes(s3, bucket, "k", MaxParts=2)["ObjectParts"]
    assert (expected[:2], True, 2) == (first["Parts"], first["IsTruncated"], first["NextPartNumberMarker"])
    rest = attributes(s3, bucket, "k", MaxParts=2, PartNumberMarker=2)["ObjectParts"]
    assert (expected[2:], False) == (rest["Parts"], rest["IsTruncated"])


@pytest.mark.needs("checksums", "parts")
def test_parts_of_a_full_checksum_are_counted_only(silent: Any, bucket: str) -> None:
    in_parts(silent, bucket, "k", [bytes(5 * MIB), b"x"])
    assert {"TotalPartsCount": 2} == attributes(silent, bucket, "k")["ObjectParts"]


@pytest.mark.needs("checksums", "versioning")
def test_attributes_are_of_a_version(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"12")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"123")
    told = attributes(s3, bucket, "k", VersionId=old, ObjectAttributes=["ObjectSize"])
    assert {"VersionId": old, "ObjectSize": 2} == told
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    asked = {"Bucket": bucket, "Key": "k", "ObjectAttributes": ["ETag"]}
    assert (404, "NoSuchKey") == code_of(s3.get_object_attributes, **asked)
    assert (405, "MethodNotAllowed") == code_of(s3.get_object_attributes, **asked, VersionId=marker)
    assert (400, "InvalidArgument") == code_of(
        s3.get_object_attributes, **asked | {"ObjectAttributes": ["Colour"]}, VersionId=old
    )


@pytest.mark.needs("checksums", "parts")
def test_a_copy_of_an_object_in_parts_is_one_piece(s3: Any, bucket: str, seed: int) -> None:
    data = random.Random(seed).randbytes(5 * MIB + 1)
    in_parts(s3, bucket, "parts", [data[: 5 * MIB], data[5 * MIB :]], ChecksumAlgorithm="SHA256")
    told = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "parts"})
    result = told["CopyObjectResult"]
    assert f'"{hashlib.md5(data).hexdigest()}"' == result["ETag"]
    assert (sha256(data), "FULL_OBJECT") == (result["ChecksumSHA256"], result["ChecksumType"])
    copy = attributes(s3, bucket, "copy")
    assert hashlib.md5(data).hexdigest() == copy["ETag"]
    assert "ObjectParts" not in copy
    assert data == s3.get_object(Bucket=bucket, Key="copy")["Body"].read()


@pytest.mark.needs("checksums")
def test_a_copy_keeps_the_checksum_and_changes_it_when_asked(silent: Any, bucket: str) -> None:
    silent.put_object(Bucket=bucket, Key="k", Body=CHECK)
    source = {"Bucket": bucket, "Key": "k"}
    same = silent.copy_object(Bucket=bucket, Key="same", CopySource=source)["CopyObjectResult"]
    assert CHECK_CRC64NVME == same["ChecksumCRC64NVME"]
    other = silent.copy_object(Bucket=bucket, Key="other", CopySource=source, ChecksumAlgorithm="SHA256")
    assert sha256(CHECK) == other["CopyObjectResult"]["ChecksumSHA256"]
    assert same["ETag"] == other["CopyObjectResult"]["ETag"]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}, "BadDigest"),
        ({"x-amz-checksum-crc64nvme": "AAAA"}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="}, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "CRC64NVME"}, "InvalidRequest"),
        ({"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest"),
        ({"content-md5": "AAAA"}, "InvalidDigest"),
    ],
)
@pytest.mark.parametrize("place", ["k", "k?partNumber=1&uploadId="])
def test_a_wrong_digest_stores_nothing(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str, place: str, headers: dict[str, str], code: str
) -> None:  # fmt: skip
    where = {"Bucket": bucket, "Key": "k"}
    upload_id = s3.create_multipart_upload(**where, ChecksumAlgorithm="CRC64NVME")["UploadId"]
    if place.endswith("="):
        # An upload that declares nothing takes any checksum a part brings.
        s3.abort_multipart_upload(**where, UploadId=upload_id)
        upload_id = client(
            s3_gateway, anna, request_checksum_calculation="when_required"
        ).create_multipart_upload(**where)["UploadId"]
        place += upload_id
    asked = sign(s3_gateway, anna, "PUT", f"/{bucket}/{place}", headers=headers)
    assert code == ask(s3_gateway, asked.whole(CHECK)).code
    assert 0 == s3.list_objects_v2(Bucket=bucket)["KeyCount"]
    assert "Parts" not in s3.list_parts(**where, UploadId=upload_id)


def test_a_wrong_trailer_stores_nothing(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str
) -> None:
    headers = {"x-amz-trailer": "x-amz-checksum-crc64nvme", "x-amz-decoded-content-length": "9"}
    for value, status in (("AAAAAAAAAAA=", 400), (CHECK_CRC64NVME, 200)):
        asked = sign(s3_gateway, anna, "PUT", f"/{bucket}/k", payload=UNSIGNED_TRAILER, headers=headers)
        body = plain_chunks([CHECK], trailer={"x-amz-checksum-crc64nvme": value})
        assert status == ask(s3_gateway, asked.whole(body)).status
        assert (status == 200) == (s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1)


def test_configurations_that_cannot_be_set_are_told_as_they_are(s3: Any, bucket: str) -> None:
    assert "BucketOwner" == s3.get_bucket_request_payment(Bucket=bucket)["Payer"]
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    assert (501, "NotImplemented") == code_of(
        s3.put_bucket_request_payment, Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"}
    )
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    assert (501, "NotImplemented") == code_of(s3.get_bucket_notification_configuration, Bucket=bucket)
