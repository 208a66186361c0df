"""Keys of every kind, and listings of them, through boto3 with default settings."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.every_engine

ODD = [
    "plain.txt", "a b", " lead and trail ", "a+b", "a%2Bb", "100%", "%", "a//b", "//", "/lead", "trail/", "a/./b",
    "a/../b", "..", ".", "../../etc/passwd", "a?b=c&d", "a#b", "a;b:c,d@e=f", "'\"<>&`|\\^{}[]~*()!$",
    "ümläut", "é", "e\u0301", "\u65e5\u672c\u8a9e", "\U0001f600/\U00020000", "\U0010fffd", "\ufffd",
    "\u202eright", "\u200b", "tab\there", "line\nbreak", "cr\rhere", "\x01\x1f\x7f", "\ufeffbom", "\x85\u2028",
    "x" * 1024, "ü" * 512, "a/" * 512,
    # Of every plane of Unicode, as many as fit: three bytes each in the first, four in the others.
    "\u1234" * 341, *(chr(plane << 16 | 0x1234) * 256 for plane in range(1, 17)),
]  # fmt: skip


def is_writable(key: str) -> bool:
    """Whether XML 1.0 has a way to name it outside a URL-encoded listing."""
    return not set(key) & set("\x01\x1f")


@pytest.mark.parametrize("key", ODD, ids=[ascii(key)[:30] for key in ODD])
@pytest.mark.needs("any_key")
def test_an_odd_key_is_put_read_copied_listed_and_deleted(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert key.encode() == s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert len(key.encode()) == s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
    s3.copy_object(Bucket=bucket, Key="copy of it", CopySource={"Bucket": bucket, "Key": key})
    assert key.encode() == s3.get_object(Bucket=bucket, Key="copy of it")["Body"].read()
    s3.delete_object(Bucket=bucket, Key="copy of it")
    for listing in (s3.list_objects_v2, s3.list_objects):
        assert [key] == [item["Key"] for item in listing(Bucket=bucket)["Contents"]]
        assert [key] == [item["Key"] for item in listing(Bucket=bucket, Prefix=key[:3])["Contents"]]
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)
    if is_writable(key):
        assert key == upload["Key"]
    s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])
    s3.delete_object(Bucket=bucket, Key=key)
    assert 0 == s3.list_objects_v2(Bucket=bucket)["KeyCount"]


@pytest.mark.needs("any_key", "versioning")
def test_odd_keys_are_all_different_keys_in_byte_order(s3: Any, bucket: str) -> None:
    for key in ODD:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    in_order = sorted(ODD, key=str.encode)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 5})
    assert in_order == [item["Key"] for page in pages for item in page["Contents"]]
    pages = s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": 4})
    assert in_order == [item["Key"] for page in pages for item in page["Contents"]]
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 7})
    assert in_order == [item["Key"] for page in pages for item in page["Versions"]]
    writable = [key for key in ODD if is_writable(key)]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in writable]})
    assert (len(writable), []) == (len(answer["Deleted"]), answer.get("Errors", []))
    left = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    assert sorted(set(ODD) - set(writable)) == [item["Key"] for item in left]


@pytest.mark.parametrize("key", ["x" * 1025, "ü" * 513])
def test_a_key_over_1024_bytes_is_refused(s3: Any, bucket: str, key: str) -> None:
    for how in (s3.put_object, s3.get_object, s3.create_multipart_upload):
        with pytest.raises(ClientError) as error:
            how(Bucket=bucket, Key=key)
        assert "KeyTooLongError" == error.value.response["Error"]["Code"]


@pytest.mark.parametrize("name", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.needs("any_key")
def test_pages_with_a_delimiter_hold_every_name_once(s3: Any, bucket: str, name: str, size: int) -> None:
    keys = ["a", "b/1", "b/2", "b/c/3", "b0", "c/", "d//e", "é/1", "é/2", "z"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    paginator = s3.get_paginator(name)

    def walk(prefix: str) -> tuple[list[str], list[str]]:
        objects, prefixes = [], []
        config = {"PageSize": size}
        for page in paginator.paginate(Bucket=bucket, Delimiter="/", Prefix=prefix, PaginationConfig=config):
            found = page.get("Contents", []), page.get("CommonPrefixes", [])
            assert sum(map(len, found)) <= size
            objects += [item["Key"] for item in found[0]]
            prefixes += [item["Prefix"] for item in found[1]]
        return objects, prefixes

    assert (["a", "b0", "z"], ["b/", "c/", "d/", "é/"]) == walk("")
    assert (["b/1", "b/2"], ["b/c/"]) == walk("b/")
    assert ([], ["d//"]) == walk("d/")
    assert (["é/1", "é/2"], []) == walk("é/")


def test_a_listing_starts_after_a_name(s3: Any, bucket: str) -> None:
    for key in ("a", "b", "c d", "e"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"12")
    page = s3.list_objects_v2(Bucket=bucket, StartAfter="b", FetchOwner=True)
    assert [("c d", 2), ("e", 2)] == [(item["Key"], item["Size"]) for item in page["Contents"]]
    assert {"anna"} == {item["Owner"]["DisplayName"] for item in page["Contents"]}
    page = s3.list_objects(Bucket=bucket, Marker="b", MaxKeys=1)
    assert (["c d"], True) == ([item["Key"] for item in page["Contents"]], page["IsTruncated"])


def test_buckets_are_made_listed_located_and_refused(s3: Any, bucket: str) -> None:
    assert bucket in [item["Name"] for item in s3.list_buckets()["Buckets"]]
    assert None is s3.get_bucket_location(Bucket=bucket)["LocationConstraint"]
    assert "us-east-1" == s3.head_bucket(Bucket=bucket)["BucketRegion"]
    # Also where, as on rclone, the system says of one's own bucket that the name is taken.
    for name, code in ((bucket, "BucketAlreadyOwnedByYou"), ("xn--abc", "InvalidBucketName")):
        with pytest.raises(ClientError) as error:
            s3.create_bucket(Bucket=name)
        assert code == error.value.response["Error"]["Code"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=bucket)
    assert "BucketNotEmpty" == error.value.response["Error"]["Code"]
