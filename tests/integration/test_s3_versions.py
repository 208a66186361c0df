"""Versions through boto3 and raw sockets, two workers behind one port: made, read, hidden, listed, deleted."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.storage.abilities import RADOSGW
from tests.gateway import Credentials, RunningGateway
from tests.integration.s3_kit import ask, sign

pytestmark = [pytest.mark.every_engine(without=("rclone",)), pytest.mark.needs("versioning")]


def refusal(operation: Any, **how: Any) -> dict[str, Any]:
    """What the client was refused with: its parsed answer."""
    with pytest.raises(ClientError) as error:
        operation(**how)
    answer: dict[str, Any] = error.value.response
    return answer


def status_and_code(answer: dict[str, Any]) -> tuple[int, str]:
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def read(s3: Any, bucket: str, key: str, version_id: str | None = None) -> bytes:
    named = {} if version_id is None else {"VersionId": version_id}
    body: bytes = s3.get_object(Bucket=bucket, Key=key, **named)["Body"].read()
    return body


def enable(s3: Any, bucket: str, status: str = "Enabled") -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def put(s3: Any, bucket: str, key: str, data: bytes) -> str:
    """Put, and the new version's id."""
    version_id: str = s3.put_object(Bucket=bucket, Key=key, Body=data)["VersionId"]
    return version_id


def listed(s3: Any, bucket: str, **how: Any) -> list[tuple[str, str, bool, bool]]:
    """(key, version id, is latest, is marker) of every version and marker, page after page."""
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **how):
        rows = [(one, False) for one in page.get("Versions", [])]
        rows += [(one, True) for one in page.get("DeleteMarkers", [])]
        found += [(one["Key"], one["VersionId"], one["IsLatest"], is_marker) for one, is_marker in rows]
    return found


def test_the_state_of_a_bucket_is_told_as_it_was_set(s3: Any, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    enable(s3, bucket)
    assert "Enabled" == s3.get_bucket_versioning(Bucket=bucket)["Status"]
    enable(s3, bucket, "Suspended")
    assert "Suspended" == s3.get_bucket_versioning(Bucket=bucket)["Status"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<VersioningConfiguration/>", "IllegalVersioningConfigurationException"),
        (b"<VersioningConfiguration><Status>on</Status></VersioningConfiguration>", "MalformedXML"),
        (b"<VersioningConfiguration><Status>", "MalformedXML"),
        (b"", "MalformedXML"),
        (
            b"<VersioningConfiguration><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>",
            "NotImplemented",
        ),
    ],
)
def test_a_state_that_cannot_be_is_refused_and_changes_nothing(
    s3: Any, s3_gateway: RunningGateway, anna: Credentials, bucket: str, body: bytes, code: str
) -> None:
    asked = sign(s3_gateway, anna, "PUT", f"/{bucket}?versioning")
    assert code == ask(s3_gateway, asked.whole(body)).code
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)


def test_without_versioning_nobody_hears_of_versions(s3: Any, bucket: str) -> None:
    assert "VersionId" not in s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert "VersionId" not in s3.get_object(Bucket=bucket, Key="k")
    gone = s3.delete_object(Bucket=bucket, Key="k")
    assert {"VersionId", "DeleteMarker"}.isdisjoint(gone)
    assert [] == listed(s3, bucket)


def test_every_write_makes_a_version_that_can_be_read(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    enable(s3, bucket)
    first, second = put(s3, bucket, "k", b"first"), put(s3, bucket, "k", b"second")
    copied = s3.copy_object(
        Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k", "VersionId": first}
    )
    third = copied["VersionId"]
    assert first == copied["CopySourceVersionId"]
    assert 3 == len({first, second, third})
    expected = {"null": b"before", first: b"first", second: b"second", third: b"first"}
    assert expected == {version_id: read(s3, bucket, "k", version_id) for version_id in expected}
    assert b"first" == read(s3, bucket, "k")
    head = s3.head_object(Bucket=bucket, Key="k", VersionId="null")
    assert ("null", 6) == (head["VersionId"], head["ContentLength"])
    assert third == s3.head_object(Bucket=bucket, Key="k")["VersionId"]
    order = [(third, True), (second, False), (first, False), ("null", False)]
    assert order == [(version_id, latest) for _, version_id, latest, _ in listed(s3, bucket)]


def test_a_multipart_upload_makes_a_version(s3: Any, bucket: str) -> None:
    enable(s3, bucket)
    old = put(s3, bucket, "k", b"old")
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    part = s3.upload_part_copy(
        **where, PartNumber=1, CopySource={"Bucket": bucket, "Key": "k", "VersionId": old}
    )
    assert old == part["CopySourceVersionId"]
    etag = part["CopyPartResult"]["ETag"]
    done = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert done["VersionId"] not in ("", "null", old)
    assert [done["VersionId"], old] == [one[1] for one in listed(s3, bucket)]


@pytest.mark.needs("markers")
def test_a_delete_hides_the_key_and_removing_the_marker_brings_it_back(s3: Any, bucket: str) -> None:
    enable(s3, bucket)
    kept = put(s3, bucket, "k", b"kept")
    gone = s3.delete_object(Bucket=bucket, Key="k")
    marker = gone["VersionId"]
    assert gone["DeleteMarker"] is True
    hidden = refusal(s3.get_object, Bucket=bucket, Key="k")
    assert (404, "NoSuchKey") == status_and_code(hidden)
    told = hidden["ResponseMetadata"]["HTTPHeaders"]
    assert ("true", marker) == (told["x-amz-delete-marker"], told["x-amz-version-id"])
    named = refusal(s3.get_object, Bucket=bucket, Key="k", VersionId=marker)
    assert (405, "MethodNotAllowed") == status_and_code(named)
    told = named["ResponseMetadata"]["HTTPHeaders"]
    assert ("DELETE", "true", marker) == (
        told["allow"], told["x-amz-delete-marker"], told["x-amz-version-id"],
    )  # fmt: skip
    assert "last-modified" in told
    assert 405 == status_and_code(refusal(s3.head_object, Bucket=bucket, Key="k", VersionId=marker))[0]
    assert [("k", marker, True, True)] == [one for one in listed(s3, bucket) if one[3]]
    back = s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    assert (True, marker) == (back["DeleteMarker"], back["VersionId"])
    assert b"kept" == read(s3, bucket, "k")
    removed = s3.delete_object(Bucket=bucket, Key="k", VersionId=kept)
    assert kept == removed["VersionId"]
    assert "DeleteMarker" not in removed
    assert [] == listed(s3, bucket)


def test_suspended_a_write_replaces_null_alone(s3: Any, bucket: str) -> None:
    enable(s3, bucket)
    kept = put(s3, bucket, "k", b"kept")
    enable(s3, bucket, "Suspended")
    assert "null" == put(s3, bucket, "k", b"one")
    assert "null" == put(s3, bucket, "k", b"two")
    assert ["null", kept] == [one[1] for one in listed(s3, bucket)]
    gone = s3.delete_object(Bucket=bucket, Key="k")
    assert (True, "null") == (gone["DeleteMarker"], gone["VersionId"])
    assert sorted([("k", "null", True, True), ("k", kept, False, False)]) == sorted(listed(s3, bucket))


@pytest.mark.needs("conditional_delete")
def test_many_are_deleted_each_as_it_was_named(s3: Any, bucket: str) -> None:
    enable(s3, bucket)
    old, new = put(s3, bucket, "a", b"1"), put(s3, bucket, "a", b"2")
    put(s3, bucket, "b", b"1")
    etag = s3.head_object(Bucket=bucket, Key="b")["ETag"]
    answer = s3.delete_objects(
        Bucket=bucket,
        Delete={
            "Objects": [
                {"Key": "a", "VersionId": old},
                {"Key": "b", "ETag": '"00000000000000000000000000000000"'},
                {"Key": "b", "ETag": etag},
                {"Key": "c", "Size": 1},
            ]
        },
    )
    first, second = answer["Deleted"]
    assert {"Key": "a", "VersionId": old} == first
    assert {"Key", "DeleteMarker", "DeleteMarkerVersionId"} == second.keys()
    assert [("b", "PreconditionFailed"), ("c", "NotImplemented")] == sorted(
        (error["Key"], error["Code"]) for error in answer["Errors"]
    )
    markers = [one for one in listed(s3, bucket) if one[3]]
    assert [("b", second["DeleteMarkerVersionId"], True, True)] == markers
    quiet = s3.delete_objects(
        Bucket=bucket, Delete={"Quiet": True, "Objects": [{"Key": "a", "VersionId": new}]}
    )
    assert "Deleted" not in quiet
    assert ["b", "b"] == [one[0] for one in listed(s3, bucket)]


@pytest.mark.needs("conditional_delete")
def test_a_conditional_delete_deletes_only_what_it_meant(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    wrong = refusal(s3.delete_object, Bucket=bucket, Key="k", IfMatch='"0"')
    assert (412, "PreconditionFailed") == status_and_code(wrong)
    assert b"1" == read(s3, bucket, "k")
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
    missing = refusal(s3.delete_object, Bucket=bucket, Key="k", IfMatch="*")
    assert (404, "NoSuchKey") == status_and_code(missing)
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    s3.delete_object(Bucket=bucket, Key="k", IfMatch="*")
    assert 404 == status_and_code(refusal(s3.head_object, Bucket=bucket, Key="k"))[0]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_versions_are_listed_in_pages_of_any_size(s3: Any, bucket: str, size: int) -> None:
    enable(s3, bucket)
    for key in ("a", "b/1", "b/2", "c d&é"):
        for data in (b"1", b"2"):
            put(s3, bucket, key, data)
    s3.delete_object(Bucket=bucket, Key="a")
    pages = {"PaginationConfig": {"PageSize": size}}
    every = listed(s3, bucket, **pages)
    assert 9 == len(every)
    assert {"a": 3, "b/1": 2, "b/2": 2, "c d&é": 2} == {
        key: sum(1 for one in every if one[0] == key) for key in {one[0] for one in every}
    }
    assert 4 == sum(1 for one in every if one[2])
    prefixes, keys = set(), set()
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Delimiter="/", **pages):
        prefixes |= {one["Prefix"] for one in page.get("CommonPrefixes", [])}
        keys |= {one["Key"] for one in page.get("Versions", []) + page.get("DeleteMarkers", [])}
    assert ({"b/"}, {"a", "c d&é"}) == (prefixes, keys)


def test_a_version_that_is_not_there_is_named(s3: Any, bucket: str, engine: str) -> None:
    enable(s3, bucket)
    there = put(s3, bucket, "k", b"1")
    other = "0" * len(there)
    assert (404, "NoSuchVersion") == status_and_code(
        refusal(s3.get_object, Bucket=bucket, Key="k", VersionId=other)
    )
    assert other == s3.delete_object(Bucket=bucket, Key="k", VersionId=other)["VersionId"]
    assert b"1" == read(s3, bucket, "k")
    source = {"Bucket": bucket, "Key": "k", "VersionId": other}
    assert (404, "NoSuchVersion") == status_and_code(
        refusal(s3.copy_object, Bucket=bucket, Key="l", CopySource=source)
    )
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    source = {"Bucket": bucket, "Key": "k", "VersionId": marker}
    # radosgw says of a marker that nothing is there.
    told = (404, "NoSuchVersion") if engine == RADOSGW else (400, "InvalidRequest")
    assert told == status_and_code(refusal(s3.copy_object, Bucket=bucket, Key="l", CopySource=source))


def test_a_write_may_name_no_version(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str
) -> None:
    asked = sign(s3_gateway, anna, "PUT", f"/{bucket}/k?versionId=null")
    assert "InvalidArgument" == ask(s3_gateway, asked.whole(b"x")).code
    assert [] == listed(s3, bucket)
