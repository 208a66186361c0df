"""Limits of stored bytes: nothing passes them, however many try at once, and nothing of a refused write stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.gateway import Credentials, RunningGateway, client
from tests.integration.s3_kit import Left, eventually, left, line, sign

PIECE = bytes(100_000)
REFUSED = (403, "QuotaExceeded")
_numbers = count(1)


@dataclass
class Tenant:
    """A member of their own, so that a limit hurts no other test."""

    gateway: RunningGateway
    credentials: Credentials
    s3: Any

    def bucket(self) -> str:
        name = f"quota-{next(_numbers)}"
        self.s3.create_bucket(Bucket=name)
        return name

    def limit_bucket(self, bucket: str, bytes_max: int | None) -> None:
        """Set it, and let every worker hear of it: the next document makes them read the directory."""
        value = "NULL" if bytes_max is None else bytes_max
        self.gateway.execute(f"UPDATE gateway.bucket SET bytes_max = {value} WHERE name = '{bucket}'")
        self._tell(bucket)

    def limit_member(self, bucket: str, bytes_max: int) -> None:
        member = self.credentials.member
        self.gateway.execute(f"INSERT INTO gateway.member_limit VALUES ({member}, {bytes_max})")
        self._tell(bucket)

    def _tell(self, bucket: str) -> None:
        tag = {"Key": "told", "Value": str(next(_numbers))}
        self.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [tag]})

    def put(self, bucket: str, key: str, data: bytes = PIECE) -> tuple[int, str]:
        """Status and code of a put."""
        return outcome(self.s3.put_object, Bucket=bucket, Key=key, Body=data)

    def sizes(self, bucket: str) -> list[int]:
        return [item["Size"] for item in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.fixture
def tenant(s3_gateway: RunningGateway) -> Tenant:
    credentials = s3_gateway.member(f"tenant-{next(_numbers)}")
    return Tenant(s3_gateway, credentials, client(s3_gateway, credentials, max_pool_connections=20))


def outcome(operation: Any, **how: Any) -> tuple[int, str]:
    """(200, '') or status and code of the refusal."""
    try:
        operation(**how)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    return 200, ""


def nothing_more(gateway: RunningGateway, before: Left) -> bool:
    """The engine holds what it held, and no draft."""
    now = left(gateway)
    return (before.stored_bytes, before.files, 0) == (now.stored_bytes, now.files, now.drafts)


def test_of_many_at_once_just_as_many_pass_as_fit(tenant: Tenant) -> None:
    bucket = tenant.bucket()
    tenant.limit_bucket(bucket, 1_000_000)
    files = len(left(tenant.gateway).files)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: tenant.put(bucket, f"k{number}"), range(20)))
    assert {(200, ""): 10, REFUSED: 10} == {answer: answers.count(answer) for answer in set(answers)}
    assert [100_000] * 10 == tenant.sizes(bucket)
    assert eventually(
        lambda: (files + 10, 0) == (len(left(tenant.gateway).files), left(tenant.gateway).drafts)
    )
    assert REFUSED == tenant.put(bucket, "one more", b"x")
    tenant.limit_bucket(bucket, None)
    assert (200, "") == tenant.put(bucket, "one more", b"x")


def test_a_body_that_cannot_fit_is_refused_before_it_is_sent(tenant: Tenant) -> None:
    bucket = tenant.bucket()
    tenant.limit_bucket(bucket, 1000)
    before = left(tenant.gateway)
    for query in ("k", "k?partNumber=1&uploadId="):
        if query.endswith("="):
            query += tenant.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        headers = {"x-amz-checksum-crc32": "AAAAAA=="}
        asked = sign(tenant.gateway, tenant.credentials, "PUT", f"/{bucket}/{query}", headers=headers)
        with line(tenant.gateway) as open_line:
            open_line.send(asked.head(Content_Length="1001", Expect="100-continue"))
            answer = open_line.answer()
        assert REFUSED == (answer.status, answer.code)
        assert b"<LimitOf>bucket</LimitOf><LimitBytes>1000</LimitBytes>" in answer.body
    assert eventually(lambda: nothing_more(tenant.gateway, before))


def test_an_overwrite_needs_only_the_room_it_adds(tenant: Tenant) -> None:
    bucket = tenant.bucket()
    tenant.put(bucket, "k")
    tenant.limit_bucket(bucket, 100_000)
    assert (200, "") == tenant.put(bucket, "k", bytes(100_000))
    assert REFUSED == tenant.put(bucket, "k", bytes(100_001))
    tenant.limit_bucket(bucket, 10)
    assert (200, "") == tenant.put(bucket, "k", bytes(99_999))  # over the new limit, and yet less than before
    assert [99_999] == tenant.sizes(bucket)
    tenant.s3.delete_object(Bucket=bucket, Key="k")
    assert (200, "") == tenant.put(bucket, "k", bytes(10))


def test_old_versions_need_room_too(tenant: Tenant) -> None:
    bucket = tenant.bucket()
    tenant.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    tenant.limit_bucket(bucket, 150_000)
    assert (200, "") == tenant.put(bucket, "k")
    assert REFUSED == tenant.put(bucket, "k")
    assert (200, "") == tenant.put(bucket, "k", bytes(50_000))


def test_parts_and_copies_need_room_and_completing_needs_none(tenant: Tenant) -> None:
    bucket, s3 = tenant.bucket(), tenant.s3
    tenant.limit_bucket(bucket, 200_000)
    tenant.put(bucket, "source")
    source = {"Bucket": bucket, "Key": "source"}
    where = {"Bucket": bucket, "Key": "parts"}
    upload = where | {"UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    part = s3.upload_part(**upload, PartNumber=1, Body=PIECE)
    again = outcome(s3.upload_part, **upload, PartNumber=1, Body=PIECE)
    assert (200, "") == again  # the part it replaces makes the room
    assert REFUSED == outcome(s3.upload_part, **upload, PartNumber=2, Body=b"x")
    assert REFUSED == outcome(s3.upload_part_copy, **upload, PartNumber=2, CopySource=source)
    assert REFUSED == outcome(s3.copy_object, Bucket=bucket, Key="copy", CopySource=source)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    assert (200, "") == outcome(s3.complete_multipart_upload, **upload, MultipartUpload=parts)
    assert [100_000, 100_000] == tenant.sizes(bucket)
    s3.delete_object(**where)
    upload = where | {"UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    s3.upload_part(**upload, PartNumber=1, Body=PIECE)
    assert REFUSED == tenant.put(bucket, "k", b"x")
    s3.abort_multipart_upload(**upload)
    assert (200, "") == tenant.put(bucket, "k")


def test_a_member_s_limit_is_over_all_buckets(tenant: Tenant) -> None:
    first, second = tenant.bucket(), tenant.bucket()
    tenant.limit_member(first, 150_000)
    assert (200, "") == tenant.put(first, "k")
    assert REFUSED == tenant.put(second, "k")
    assert (200, "") == tenant.put(second, "k", bytes(50_000))
    assert REFUSED == tenant.put(first, "l", b"x")
