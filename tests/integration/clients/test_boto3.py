"""boto3 as programs use it: managed transfers with threads, checksums of every kind, paginators, links."""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from gateway.storage.abilities import Ability, can
from tests.gateway import Credentials, RunningGateway
from tests.integration.clients.kit import (
    LARGE,
    MIB,
    ODD_KEYS,
    WILD_KEYS,
    came_in_parts,
    link_key,
    made_by_page,
    sha256,
    with_wrong_secret,
)
from tests.integration.clients.tls import tls_front
from tests.integration.s3_kit import fetch

pytestmark = pytest.mark.every_engine

CLIENT = "boto3"
THREADS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
CHECK_VALUE = b"123456789"
CHECKSUMS = {  # of CHECK_VALUE: the check values of the catalogue of CRC algorithms, and of FIPS 180-4
    "CRC32": (0xCBF43926).to_bytes(4, "big"),
    "CRC32C": (0xE3069283).to_bytes(4, "big"),
    "CRC64NVME": (0xAE8B14860A799888).to_bytes(8, "big"),
    "SHA1": bytes.fromhex("f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
    "SHA256": bytes.fromhex("15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
}


@pytest.fixture
def page(s3_gateway: RunningGateway, anna: Credentials) -> Any:
    """The client that the page makes."""
    return made_by_page(CLIENT, s3_gateway.url, anna)["s3"]


@pytest.mark.needs("any_key")
def test_odd_and_wild_names_go_there_and_back(page: Any, bucket: str) -> None:
    names = {*ODD_KEYS, *WILD_KEYS, "line\nbreak"}
    for name in names:
        page.put_object(Bucket=bucket, Key=name, Body=name.encode(), Metadata={"colour": "blue"})
    pages = page.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 4})
    assert names == {one["Key"] for part in pages for one in part["Contents"]}
    for name in names:
        got = page.get_object(Bucket=bucket, Key=name)
        assert (name.encode(), {"colour": "blue"}) == (got["Body"].read(), got["Metadata"])
    old = page.get_paginator("list_objects").paginate(
        Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 3}
    )
    assert {name.partition("/")[0] + "/" for name in names if "/" in name} == {
        one["Prefix"] for part in old for one in part.get("CommonPrefixes", [])
    }
    gone = page.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names]})
    assert names == {one["Key"] for one in gone["Deleted"]}


@pytest.mark.journey
def test_a_stream_is_sent_in_parts_by_threads_and_overwritten(
    page: Any, bucket: str, tmp_path: Path, engine: str
) -> None:
    page.put_object(Bucket=bucket, Key="large", Body=b"was here before")
    page.upload_fileobj(io.BytesIO(LARGE), bucket, "large", Config=THREADS)
    told = page.head_object(Bucket=bucket, Key="large", ChecksumMode="ENABLED")
    assert came_in_parts(told["ETag"], 4, engine)
    # The default from botocore 1.36 on; an upstream is not told of the parts' checksums, and may have one of its own.
    assert not can(engine, Ability.PARTS) or "ChecksumCRC32" in told
    page.download_file(bucket, "large", str(tmp_path / "back"), Config=THREADS)
    assert sha256(LARGE) == sha256(tmp_path / "back")
    page.copy({"Bucket": bucket, "Key": "large"}, bucket, "copy", Config=THREADS)
    assert sha256(LARGE) == sha256(page.get_object(Bucket=bucket, Key="copy")["Body"].read())


@pytest.mark.parametrize("algorithm", CHECKSUMS)
@pytest.mark.needs("checksums")
def test_each_checksum_is_sent_kept_and_compared(page: Any, bucket: str, algorithm: str) -> None:
    field = f"Checksum{algorithm}"
    expected = base64.b64encode(CHECKSUMS[algorithm]).decode()
    put = page.put_object(Bucket=bucket, Key="key", Body=CHECK_VALUE, ChecksumAlgorithm=algorithm)
    assert expected == put[field]
    got = page.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert (CHECK_VALUE, expected) == (got["Body"].read(), got[field])
    with pytest.raises(ClientError, match="BadDigest"):
        page.put_object(Bucket=bucket, Key="other", Body=b"not those bytes", **{field: expected})


def test_behind_tls_a_stream_carries_its_checksum_in_a_trailer(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path, engine: str
) -> None:
    with tls_front(s3_gateway.port, tmp_path) as front:
        page = boto3.client(
            "s3", endpoint_url=front.url, verify=str(front.certificate), region_name="us-east-1",
            aws_access_key_id=anna.access_key, aws_secret_access_key=anna.secret_key,
        )  # fmt: skip
        page.put_object(Bucket=bucket, Key="small", Body=io.BytesIO(CHECK_VALUE))
        told = page.head_object(Bucket=bucket, Key="small", ChecksumMode="ENABLED")
        crc = zlib.crc32(CHECK_VALUE).to_bytes(4, "big")
        if can(engine, Ability.CHECKSUMS):
            assert base64.b64encode(crc).decode() == told["ChecksumCRC32"]
        page.upload_fileobj(io.BytesIO(LARGE), bucket, "large", Config=THREADS)
        assert sha256(LARGE) == sha256(page.get_object(Bucket=bucket, Key="large")["Body"].read())
        page.close()


def test_links_get_and_put_without_a_key(page: Any, bucket: str, engine: str) -> None:
    place = {"Bucket": bucket, "Key": link_key(engine)}
    assert 200 == fetch(page.generate_presigned_url("put_object", place), b"put by link").status
    assert b"put by link" == fetch(page.generate_presigned_url("get_object", place)).body
    digest = base64.b64encode(hashlib.md5(b"put by link").digest()).decode()
    bound = page.generate_presigned_url("put_object", place | {"ContentMD5": digest})
    assert 400 == fetch(bound, b"other bytes", {"Content-MD5": digest}).status


def test_without_the_setting_links_are_of_signature_version_2_and_refused(s3: Any, bucket: str) -> None:
    """boto3 still does so in us-east-1, which is why the page asks for s3v4."""
    answer = fetch(s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "key"}))
    assert (400, "InvalidRequest") == (answer.status, answer.code)


def test_refusals_are_told_by_their_code(
    page: Any, s3_gateway: RunningGateway, anna: Credentials, bucket: str
) -> None:
    with pytest.raises(page.exceptions.NoSuchKey):
        page.get_object(Bucket=bucket, Key="gone")
    with pytest.raises(page.exceptions.NoSuchBucket):
        page.list_objects_v2(Bucket="no-such-bucket-here")
    wrong = made_by_page(CLIENT, s3_gateway.url, with_wrong_secret(anna))["s3"]
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        wrong.list_buckets()
