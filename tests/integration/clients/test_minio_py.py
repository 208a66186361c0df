"""minio-py: files, streams of unknown length, listings, links, copies put together from parts."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from minio import S3Error
from minio.commonconfig import ComposeSource, CopySource
from minio.deleteobjects import DeleteObject

from tests.gateway import Credentials, RunningGateway
from tests.integration.clients.kit import (
    LARGE,
    MIB,
    ODD_KEYS,
    WILD_KEYS,
    link_key,
    made_by_page,
    sha256,
    with_wrong_secret,
)
from tests.integration.s3_kit import fetch

pytestmark = pytest.mark.every_engine

CLIENT = "minio-py"
NAMES = {*ODD_KEYS, *WILD_KEYS, "with space/c"} - {"dot/./and/../dot"}
"""Without the one it refuses itself."""


@pytest.fixture
def page(s3_gateway: RunningGateway, anna: Credentials) -> Any:
    """The client that the page makes."""
    return made_by_page(CLIENT, s3_gateway.url, anna)["s3"]


def read(page: Any, bucket: str, name: str, **how: Any) -> bytes:
    """An object, or a range of it."""
    answer = page.get_object(bucket, name, **how)
    try:
        return bytes(answer.read())
    finally:
        answer.close()
        answer.release_conn()


@pytest.mark.journey
def test_files_and_streams_of_unknown_length_go_there_and_back(
    page: Any, bucket: str, tmp_path: Path
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(LARGE)
    metadata = {"colour": "blue"}
    page.fput_object(bucket, "a dir/file + ü", str(there), part_size=5 * MIB, metadata=metadata)
    page.fget_object(bucket, "a dir/file + ü", str(back))
    assert sha256(LARGE) == sha256(back)
    told = page.stat_object(bucket, "a dir/file + ü")
    assert (len(LARGE), "blue") == (told.size, told.metadata["x-amz-meta-colour"])
    page.put_object(bucket, "a dir/file + ü", io.BytesIO(LARGE[:-1]), length=-1, part_size=5 * MIB)
    assert sha256(LARGE[:-1]) == sha256(read(page, bucket, "a dir/file + ü"))
    assert LARGE[5:12] == read(page, bucket, "a dir/file + ü", offset=5, length=7)


@pytest.mark.needs("any_key")
def test_odd_names_are_listed_and_removed(page: Any, bucket: str) -> None:
    for name in NAMES:
        page.put_object(bucket, name, io.BytesIO(name.encode()), len(name.encode()))
    assert NAMES == {one.object_name for one in page.list_objects(bucket, recursive=True)}
    top = {one.object_name for one in page.list_objects(bucket)}
    assert {name.partition("/")[0] + "/" * ("/" in name) for name in NAMES} == top
    inside = {one.object_name for one in page.list_objects(bucket, prefix="with space/")}
    assert {"with space/a b.txt", "with space/c"} == inside
    for name in NAMES:
        assert name.encode() == read(page, bucket, name)
    assert [] == list(page.remove_objects(bucket, [DeleteObject(name) for name in NAMES]))
    assert [] == list(page.list_objects(bucket, recursive=True))


def test_objects_are_copied_and_composed_on_the_server(page: Any, bucket: str) -> None:
    page.put_object(bucket, "first ü+", io.BytesIO(LARGE[: 6 * MIB]), 6 * MIB)
    page.put_object(bucket, "second", io.BytesIO(b"the end"), 7)
    page.copy_object(bucket, "copy", CopySource(bucket, "first ü+"))
    assert sha256(LARGE[: 6 * MIB]) == sha256(read(page, bucket, "copy"))
    page.compose_object(bucket, "both", [ComposeSource(bucket, "first ü+"), ComposeSource(bucket, "second")])
    assert sha256(LARGE[: 6 * MIB] + b"the end") == sha256(read(page, bucket, "both"))


def test_links_get_and_put_without_a_key(page: Any, bucket: str, engine: str) -> None:
    name, soon = link_key(engine), timedelta(minutes=5)
    assert 200 == fetch(page.presigned_put_object(bucket, name, expires=soon), b"put by link").status
    assert b"put by link" == fetch(page.presigned_get_object(bucket, name, expires=soon)).body


def test_buckets_are_made_found_and_removed(page: Any) -> None:
    page.make_bucket("minio-py-bucket")
    assert page.bucket_exists("minio-py-bucket")
    assert "minio-py-bucket" in {one.name for one in page.list_buckets()}
    page.remove_bucket("minio-py-bucket")
    assert not page.bucket_exists("minio-py-bucket")


def test_refusals_are_told_by_their_code(
    page: Any, s3_gateway: RunningGateway, anna: Credentials, bucket: str
) -> None:
    with pytest.raises(S3Error) as gone:
        page.get_object(bucket, "gone")
    assert "NoSuchKey" == gone.value.code
    wrong = made_by_page(CLIENT, s3_gateway.url, with_wrong_secret(anna))["s3"]
    with pytest.raises(S3Error) as refused:
        wrong.get_object(bucket, "gone")
    assert "SignatureDoesNotMatch" == refused.value.code
