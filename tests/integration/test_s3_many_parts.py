"""An upload of as many parts as S3 allows, through the door: sent in any order, listed in pages, completed, read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.integration.s3_kit import line, sign
from tests.postgres import TestServer

PARTS = 10_000
BREATH = 100
"""Parts sent before their answers are read."""


def part_bytes(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()[: 1 + number % 32]


@pytest.fixture
def small_parts(postgres_server: TestServer, tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway that takes parts of any size, and keeps no object in its index, so that each part is a file."""
    database = postgres_server.database()
    environment = {"WEIR_PART_BYTES_MIN": "1", "WEIR_INLINE_BYTES_MAX": "0"}
    with running_gateway(tmp_path, database, environment=environment) as gateway:
        yield gateway
    assert "Traceback" not in gateway.log()
    postgres_server.drop(database)


def send_parts(gateway: RunningGateway, member: Credentials, upload: str) -> dict[int, str]:
    """ETags by number; the last part is sent first, and one is sent twice."""
    numbers = [7, *range(PARTS, 0, -1)]
    etags = {}
    with line(gateway) as one:
        for begin in range(0, len(numbers), BREATH):
            some = numbers[begin : begin + BREATH]
            for number in some:
                place = f"/parts/k?partNumber={number}&uploadId={upload}"
                body = b"replaced later" if (begin, number) == (0, 7) else part_bytes(number)
                one.send(sign(gateway, member, "PUT", place).whole(body))
            for number in some:
                answer = one.answer()
                assert 200 == answer.status, answer
                etags[number] = answer.headers["etag"]
    return etags


def test_ten_thousand_parts_become_one_object(small_parts: RunningGateway) -> None:
    member = small_parts.member("anna")
    s3 = client(small_parts, member)
    s3.create_bucket(Bucket="parts")
    place = {"Bucket": "parts", "Key": "k"}
    upload = s3.create_multipart_upload(**place)["UploadId"]
    etags = send_parts(small_parts, member, upload)
    pages = s3.get_paginator("list_parts").paginate(**place, UploadId=upload)
    listed = [(part["PartNumber"], part["ETag"], part["Size"]) for page in pages for part in page["Parts"]]
    assert [(n, etags[n], len(part_bytes(n))) for n in range(1, PARTS + 1)] == listed
    with pytest.raises(s3.exceptions.ClientError, match="between 1 and 10000"):
        s3.upload_part(**place, UploadId=upload, PartNumber=PARTS + 1, Body=b"x")
    parts = [{"PartNumber": n, "ETag": etags[n]} for n in range(1, PARTS + 1)]
    done = s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    digests = b"".join(hashlib.md5(part_bytes(n)).digest() for n in range(1, PARTS + 1))
    assert f'"{hashlib.md5(digests).hexdigest()}-{PARTS}"' == done["ETag"]
    whole = b"".join(map(part_bytes, range(1, PARTS + 1)))
    assert whole == s3.get_object(**place)["Body"].read()
    last = s3.get_object(**place, PartNumber=PARTS)
    assert (part_bytes(PARTS), PARTS) == (last["Body"].read(), last["PartsCount"])
