"""Buckets on a real S3 system behind the gateway: what members store and read there, counted exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.engines.ceph import Ceph
from tests.gateway import RunningGateway, client
from tests.integration.upstream_kit import (
    OBJECT,
    PART,
    VERSION,
    gateway_before,
    stored,
    upstream_name,
    upstream_side,
)

READ, WRITE = 1001, 1002
MIB = 2**20


@pytest.fixture
def gateway(radosgw: Ceph, database: str, tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway whose buckets are on radosgw."""
    with gateway_before(radosgw, tmp_path, database) as running:
        yield running


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    """S3's code."""
    return str(caught.value.response["Error"]["Code"])


def test_an_object_goes_there_and_comes_back_and_both_sides_are_counted(
    gateway: RunningGateway, radosgw: Ceph
) -> None:
    anna = gateway.member("anna")
    s3 = client(gateway, anna)
    s3.create_bucket(Bucket="photos")
    small, large = os.urandom(5000), os.urandom(3 * MIB + 17)
    s3.put_object(
        Bucket="photos", Key="a/small", Body=small, Metadata={"who": "anna"}, ContentType="image/png"
    )
    s3.put_object(Bucket="photos", Key="a/large", Body=large)
    got = s3.get_object(Bucket="photos", Key="a/small")
    assert small == got["Body"].read()
    assert ("image/png", {"who": "anna"}) == (got["ContentType"], got["Metadata"])
    assert large == s3.get_object(Bucket="photos", Key="a/large")["Body"].read()
    assert large[100 : 2 * MIB] == (
        s3.get_object(Bucket="photos", Key="a/large", Range=f"bytes=100-{2 * MIB - 1}")["Body"].read()
    )
    assert len(large) == s3.head_object(Bucket="photos", Key="a/large")["ContentLength"]
    page = s3.list_objects_v2(Bucket="photos")
    page_bytes, listed = int(page["ResponseMetadata"]["HTTPHeaders"]["content-length"]), page["Contents"]
    assert [("a/large", len(large)), ("a/small", 5000)] == [(one["Key"], one["Size"]) for one in listed]
    straight = radosgw.client()
    assert large == straight.get_object(Bucket=upstream_name(gateway, "photos"), Key="a/large")["Body"].read()
    straight.close()
    usage = gateway.usage(anna.member)
    assert 5000 + len(large) + 2 * MIB - 100 + page_bytes == usage.bytes_out
    assert {OBJECT: 5000 + len(large)} == stored(gateway, anna.member)
    side = upstream_side(gateway, anna.member)
    assert 5000 + len(large) == side[WRITE][1]
    s3.delete_object(Bucket="photos", Key="a/large")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="photos", Key="a/large")
    assert "NoSuchKey" == code_of(caught)
    assert {OBJECT: 5000} == stored(gateway, anna.member)


def test_what_replaces_is_counted_as_the_difference(gateway: RunningGateway) -> None:
    anna = gateway.member("anna")
    s3 = client(gateway, anna)
    s3.create_bucket(Bucket="photos")
    for size in (70_000, 10, 200_000):
        s3.put_object(Bucket="photos", Key="k", Body=os.urandom(size))
    assert {OBJECT: 200_000} == stored(gateway, anna.member)
    s3.copy_object(Bucket="photos", Key="copy", CopySource={"Bucket": "photos", "Key": "k"})
    s3.copy_object(Bucket="photos", Key="copy", CopySource={"Bucket": "photos", "Key": "k"})
    assert {OBJECT: 400_000} == stored(gateway, anna.member)
    answer = s3.delete_objects(
        Bucket="photos", Delete={"Objects": [{"Key": "k"}, {"Key": "copy"}, {"Key": "none"}]}
    )
    assert ["copy", "k", "none"] == sorted(one["Key"] for one in answer["Deleted"])
    assert {} == stored(gateway, anna.member)
    s3.delete_bucket(Bucket="photos")


def test_parts_are_on_their_own_line_until_they_are_an_object(gateway: RunningGateway) -> None:
    anna = gateway.member("anna")
    s3 = client(gateway, anna)
    s3.create_bucket(Bucket="photos")
    upload = s3.create_multipart_upload(Bucket="photos", Key="big")["UploadId"]
    named: dict[str, Any] = {"Bucket": "photos", "Key": "big", "UploadId": upload}
    first, last = os.urandom(5 * MIB), os.urandom(1000)
    s3.upload_part(**named, PartNumber=1, Body=os.urandom(6 * MIB))
    tags = [
        s3.upload_part(**named, PartNumber=number, Body=body)["ETag"]
        for number, body in ((1, first), (2, last))
    ]
    assert {PART: 5 * MIB + 1000} == stored(gateway, anna.member)
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert {OBJECT: 5 * MIB + 1000} == stored(gateway, anna.member)
    assert first + last == s3.get_object(Bucket="photos", Key="big")["Body"].read()
    upload = s3.create_multipart_upload(Bucket="photos", Key="other")["UploadId"]
    s3.upload_part(Bucket="photos", Key="other", UploadId=upload, PartNumber=1, Body=b"x" * 77)
    s3.abort_multipart_upload(Bucket="photos", Key="other", UploadId=upload)
    assert {OBJECT: 5 * MIB + 1000} == stored(gateway, anna.member)


def test_versions_go_to_their_own_line_and_leave_it_again(gateway: RunningGateway) -> None:
    anna = gateway.member("anna")
    s3 = client(gateway, anna)
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="k", Body=b"x" * 100)
    s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    second = s3.put_object(Bucket="photos", Key="k", Body=b"x" * 30)["VersionId"]
    assert {OBJECT: 30, VERSION: 100} == stored(gateway, anna.member)
    marker = s3.delete_object(Bucket="photos", Key="k")["VersionId"]
    assert {VERSION: 130} == stored(gateway, anna.member)
    s3.delete_object(Bucket="photos", Key="k", VersionId=marker)
    assert {OBJECT: 30, VERSION: 100} == stored(gateway, anna.member)
    s3.delete_object(Bucket="photos", Key="k", VersionId=second)
    assert {OBJECT: 100} == stored(gateway, anna.member)
    s3.put_object(Bucket="photos", Key="k", Body=b"x" * 7)
    s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket="photos", Key="k", Body=b"x" * 5)
    assert {OBJECT: 5, VERSION: 7} == stored(gateway, anna.member)
    versions = s3.list_object_versions(Bucket="photos")["Versions"]
    assert [5, 7] == [one["Size"] for one in versions]
    doomed = [{"Key": "k", "VersionId": one["VersionId"]} for one in versions]
    s3.delete_objects(Bucket="photos", Delete={"Objects": doomed})
    assert {} == stored(gateway, anna.member)
