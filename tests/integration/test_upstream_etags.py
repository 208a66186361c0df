"""With upstream_verify_etag off: no MD5 of a long body is made but where its sender asks, and the ETag is the upstream's."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from gateway import body
from gateway.storage.errors import Unavailable
from gateway.storage.model import NO_CONDITION, Arriving, ObjectHead, ObjectProperties
from gateway.storage.upstream import engine_base
from gateway.storage.upstream.response import ResponseHead
from tests.engines.ceph import Ceph
from tests.engines.rogue import Fault, running_rogue
from tests.gateway import RunningGateway, client
from tests.integration.test_upstream_failures import BUCKET, NOW_US, Told, before
from tests.integration.upstream_kit import OBJECT, gateway_before, stored

LONG = 5 * 2**20 + 3
SHORT = 1000


@pytest.fixture
def gateway(radosgw: Ceph, database: str, tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway before radosgw that makes no MD5 of its own."""
    off = {"WEIR_UPSTREAM_VERIFY_ETAG": "false"}
    with gateway_before(radosgw, tmp_path, database, environment=off) as running:
        yield running


def test_clients_are_told_the_upstream_s_etags(gateway: RunningGateway) -> None:
    anna = gateway.member("anna")
    s3 = client(gateway, anna)
    s3.create_bucket(Bucket="bucket")
    long, short = os.urandom(LONG), os.urandom(SHORT)
    for data in (long, short):
        answer = s3.put_object(Bucket="bucket", Key="k", Body=data)
        assert f'"{hashlib.md5(data).hexdigest()}"' == answer["ETag"]
        assert data == s3.get_object(Bucket="bucket", Key="k")["Body"].read()
    upload = {
        "Bucket": "bucket",
        "Key": "k",
        "UploadId": s3.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"],
    }
    etags = [s3.upload_part(**upload, PartNumber=n, Body=one)["ETag"] for n, one in ((1, long), (2, short))]
    assert [f'"{hashlib.md5(one).hexdigest()}"' for one in (long, short)] == etags
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert long + short == s3.get_object(Bucket="bucket", Key="k")["Body"].read()
    assert {OBJECT: LONG + SHORT} == stored(gateway, anna.member)


def test_a_content_md5_is_verified_all_the_same(gateway: RunningGateway) -> None:
    anna = gateway.member("anna")
    s3 = client(gateway, anna)
    s3.create_bucket(Bucket="bucket")
    data = os.urandom(LONG)
    right, wrong = (b64encode(hashlib.md5(one).digest()).decode() for one in (data, b"other"))
    s3.put_object(Bucket="bucket", Key="right", Body=data, ContentMD5=right)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="bucket", Key="wrong", Body=data, ContentMD5=wrong)
    assert "BadDigest" == caught.value.response["Error"]["Code"]
    assert ["right"] == [one["Key"] for one in s3.list_objects_v2(Bucket="bucket")["Contents"]]


async def put(told: Told, data: bytes) -> ObjectHead:
    """Store it without an ETag, as the gateway does where nobody wants an MD5."""
    staged = await told.engine.stage(Arriving(BUCKET, "k", len(data)))
    try:
        assert not staged.wants_md5
        await staged.write(data)
        return await told.engine.put_object(
            BUCKET, "k", staged, etag="", properties=ObjectProperties(), condition=NO_CONDITION, now_us=NOW_US
        )
    finally:
        await staged.discard()


async def test_a_write_without_an_answer_is_found_by_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_base, "LOOK_PAUSE_S", 0.001)
    data = os.urandom(LONG)
    with running_rogue() as rogue:
        async with before(rogue, tmp_path, upstream_verify_etag=False) as told:
            rogue.faults.append(Fault("PUT", "forget"))
            assert hashlib.md5(data).hexdigest() == (await put(told, data)).etag
            assert LONG == told.stored
            rogue.faults.append(Fault("PUT", "drop"))
            with pytest.raises(Unavailable):
                await put(told, data + b"longer")
            assert LONG == told.stored


async def test_who_wants_an_md5(tmp_path: Path) -> None:
    """A short body's is cheap; of a form nobody knows how long it is."""
    short = Arriving(BUCKET, "k", body.SHORT_BYTES)
    long, form = Arriving(BUCKET, "k", LONG), Arriving(BUCKET, "k", LONG, is_exact=False)
    with running_rogue() as rogue:
        for verifies, expected in ((True, [True, True, True]), (False, [True, False, True])):
            async with before(rogue, tmp_path, upstream_verify_etag=verifies) as told:
                staged = [await told.engine.stage(one) for one in (short, long, form)]
                assert expected == [one.wants_md5 for one in staged]
                for one in staged:
                    await one.discard()


async def test_an_upstream_that_tells_no_etag_of_what_nobody_hashed_has_failed(tmp_path: Path) -> None:
    nothing = ResponseHead(200, {}, 0, is_chunked=False, keeps_alive=True)
    with running_rogue() as rogue:
        async with before(rogue, tmp_path) as told:
            with pytest.raises(Unavailable):
                told.engine.etag_of(nothing, sent="")
            assert "abc" == told.engine.etag_of(nothing, sent="abc")
            # A copy is sent under the ETag of its source, which may be that of parts.
            made = nothing._replace(headers={"etag": '"abc"'})
            assert "abc" == told.engine.etag_of(made, sent=f"{hashlib.md5().hexdigest()}-3")
