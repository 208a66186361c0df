"""Tags of objects and buckets through boto3: set, read back, counted, copied, and refused as S3 refuses them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.gateway import Credentials, RunningGateway, client
from tests.integration.s3_kit import ask, sign

pytestmark = [pytest.mark.every_engine(without=("rclone",)), pytest.mark.needs("tagging")]


def tag_set(tags: dict[str, str]) -> dict[str, Any]:
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tags_of(answer: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def code_of(operation: Any, **how: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as error:
        operation(**how)
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


PLAIN = {"colour": "blue", "Größe + - = . _ : / @": "", "a b": "c d"}


def test_an_object_s_tags_are_set_read_and_taken_away(s3: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**where, Body=b"x")
    assert {} == tags_of(s3.get_object_tagging(**where))
    assert "TagCount" not in s3.get_object(**where)
    s3.put_object_tagging(**where, Tagging=tag_set(PLAIN))
    assert PLAIN == tags_of(s3.get_object_tagging(**where))
    assert (3, 3) == (s3.get_object(**where)["TagCount"], s3.head_object(**where)["TagCount"])
    s3.put_object_tagging(**where, Tagging=tag_set({"only": "one"}))
    assert {"only": "one"} == tags_of(s3.get_object_tagging(**where))
    s3.delete_object_tagging(**where)
    assert {} == tags_of(s3.get_object_tagging(**where))
    assert (404, "NoSuchKey") == code_of(s3.get_object_tagging, Bucket=bucket, Key="none")


def test_tags_belong_to_a_version(s3: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(**where, Body=b"1", Tagging="is=old")["VersionId"]
    new = s3.put_object(**where, Body=b"2", Tagging="is=new")["VersionId"]
    assert old == s3.put_object_tagging(**where, VersionId=old, Tagging=tag_set({"is": "older"}))["VersionId"]
    told = s3.get_object_tagging(**where, VersionId=old)
    assert (old, {"is": "older"}) == (told["VersionId"], tags_of(told))
    told = s3.get_object_tagging(**where)
    assert (new, {"is": "new"}) == (told["VersionId"], tags_of(told))
    assert old == s3.delete_object_tagging(**where, VersionId=old)["VersionId"]
    assert {} == tags_of(s3.get_object_tagging(**where, VersionId=old))


@pytest.mark.needs("parts_extras")
def test_a_write_brings_its_tags(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="put", Body=b"x", Tagging="a=1&b=x%20y+z&c=")
    put = {"a": "1", "b": "x y z", "c": ""}
    assert put == tags_of(s3.get_object_tagging(Bucket=bucket, Key="put"))
    source = {"Bucket": bucket, "Key": "put"}
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    assert put == tags_of(s3.get_object_tagging(Bucket=bucket, Key="kept"))
    s3.copy_object(Bucket=bucket, Key="other", CopySource=source, TaggingDirective="REPLACE", Tagging="d=2")
    assert {"d": "2"} == tags_of(s3.get_object_tagging(Bucket=bucket, Key="other"))
    where = {"Bucket": bucket, "Key": "parts"}
    upload_id = s3.create_multipart_upload(**where, Tagging="e=3")["UploadId"]
    part = s3.upload_part(**where, UploadId=upload_id, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(
        **where, UploadId=upload_id, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert {"e": "3"} == tags_of(s3.get_object_tagging(**where))


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([("", "v")], "InvalidTag"),
        ([("k" * 129, "v")], "InvalidTag"),
        ([("k", "v" * 257)], "InvalidTag"),
        ([("k", "a*b")], "InvalidTag"),
        ([("k", "a\nb")], "InvalidTag"),
        ([("AWS:x", "v")], "InvalidTag"),
        ([("k", "1"), ("k", "2")], "InvalidTag"),
        ([(f"k{number}", "") for number in range(11)], "BadRequest"),
    ],
)
def test_tags_that_cannot_be_are_refused_and_change_nothing(
    s3_gateway: RunningGateway,
    anna: Credentials,
    s3: Any,
    bucket: str,
    tags: list[tuple[str, str]],
    code: str,
) -> None:
    careless = client(s3_gateway, anna, parameter_validation=False)
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**where, Body=b"x", Tagging="a=1")
    asked = {"TagSet": [{"Key": key, "Value": value} for key, value in tags]}
    assert (400, code) == code_of(careless.put_object_tagging, **where, Tagging=asked)
    assert {"a": "1"} == tags_of(s3.get_object_tagging(**where))


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("a=1&a=2", "InvalidArgument"),
        ("a=%FF", "InvalidArgument"),
        ("=x", "InvalidTag"),
        ("a=%2A", "InvalidTag"),
        ("&".join(f"k{number}=" for number in range(11)), "BadRequest"),
    ],
)
def test_a_write_with_tags_that_cannot_be_writes_nothing(
    s3: Any, bucket: str, header: str, code: str
) -> None:
    assert (400, code) == code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"x", Tagging=header)
    assert 0 == s3.list_objects_v2(Bucket=bucket)["KeyCount"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Tagging/>",
        b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Other/></TagSet></Tagging>",
        b"<Tagging><TagSet/><TagSet/></Tagging>",
        b"<TagSet/>",
    ],
)
def test_a_malformed_document_of_tags_is_named(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str, body: bytes
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for target in (f"/{bucket}/k?tagging", f"/{bucket}?tagging"):
        asked = sign(s3_gateway, anna, "PUT", target)
        assert "MalformedXML" == ask(s3_gateway, asked.whole(body)).code


def test_a_bucket_s_tags_are_seen_by_every_worker_at_once(s3: Any, bucket: str) -> None:
    assert (404, "NoSuchTagSet") == code_of(s3.get_bucket_tagging, Bucket=bucket)
    for number in range(10):
        tags = PLAIN | {"round": str(number)}
        s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(tags))
        assert tags == tags_of(s3.get_bucket_tagging(Bucket=bucket))
    fifty = {f"k{number}": "é" * 256 for number in range(50)}
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(fifty))
    too_many = tag_set(fifty | {"one": "more"})
    assert (400, "BadRequest") == code_of(s3.put_bucket_tagging, Bucket=bucket, Tagging=too_many)
    assert fifty == tags_of(s3.get_bucket_tagging(Bucket=bucket))
    s3.delete_bucket_tagging(Bucket=bucket)
    assert (404, "NoSuchTagSet") == code_of(s3.get_bucket_tagging, Bucket=bucket)
