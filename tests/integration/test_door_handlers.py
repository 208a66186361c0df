"""The handlers over the real disk engine; every document is read by a real client's parser."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import botocore.session
import pytest
from botocore.parsers import create_parser

from gateway.call import Reply, Services
from gateway.checksum import digest_base64, hasher
from gateway.errors import S3Error, render_error, s3_error
from gateway.handlers.table import HANDLERS
from gateway.operation import Operation
from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import open_engine
from tests.integration.door_kit import BERT, Door, MemoryDirectory, read

MODEL = botocore.session.get_session().get_service_model("s3")


def parsed(operation: str, reply: Reply) -> dict[str, Any]:
    """A reply as boto reads it."""
    parser = create_parser("rest-xml")
    response = {"status_code": reply.status, "headers": reply.headers, "body": reply.body}
    shape = MODEL.operation_model(operation).output_shape
    answer: dict[str, Any] = parser.parse(response, shape)
    answer.pop("ResponseMetadata")
    return answer


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    settings = GatewaySettings(
        inline_bytes_max=64, part_bytes_min=10, put_bytes_max=1000, object_bytes_max=2000, region="eu-coop-1"
    )
    engine = await open_engine(tmp_path / "engine", settings)
    directory = MemoryDirectory()
    door = Door(Services(engine, directory, settings), directory)
    await door.ask("PUT", "/abc")
    yield door
    await engine.close()


async def refusal(door: Door, *request: Any, **more: Any) -> S3Error:
    """The error a request is refused with."""
    with pytest.raises(S3Error) as caught:
        await door.ask(*request, **more)
    return caught.value


def crc32(data: bytes) -> str:
    """Base64 of CRC32."""
    digest = hasher("CRC32")
    digest.update(data)
    return digest_base64(digest)


def test_every_supported_operation_has_its_handler() -> None:
    assert {operation for operation in Operation if operation.supported} == HANDLERS.keys()


async def test_buckets_are_made_found_listed_and_removed(door: Door) -> None:
    await door.ask("PUT", "/xyz")
    await door.ask("PUT", "/bert", caller=BERT)
    answer = parsed("ListBuckets", await door.ask("GET", "/"))
    assert ["abc", "xyz"] == [bucket["Name"] for bucket in answer["Buckets"]]
    assert {"DisplayName": "anna", "ID": "000000000001"} == answer["Owner"]
    first = parsed("ListBuckets", await door.ask("GET", "/", {"max-buckets": "1"}))
    rest = await door.ask("GET", "/", {"continuation-token": first["ContinuationToken"]})
    assert ["xyz"] == [bucket["Name"] for bucket in parsed("ListBuckets", rest)["Buckets"]]
    assert {"x-amz-bucket-region": "eu-coop-1"} == (await door.ask("HEAD", "/abc")).headers
    where = await door.ask("GET", "/abc", {"location": ""})
    assert where.body.endswith(b'2006-03-01/">eu-coop-1</LocationConstraint>')
    assert 204 == (await door.ask("DELETE", "/xyz")).status
    assert "NoSuchBucket" == (await refusal(door, "DELETE", "/xyz")).code


async def test_a_bucket_name_is_taken_once(door: Door) -> None:
    assert "BucketAlreadyOwnedByYou" == (await refusal(door, "PUT", "/abc")).code
    assert "BucketAlreadyExists" == (await refusal(door, "PUT", "/abc", caller=BERT)).code
    place = b"<CreateBucketConfiguration><LocationConstraint>mars</LocationConstraint></CreateBucketConfiguration>"
    assert "InvalidLocationConstraint" == (await refusal(door, "PUT", "/new", body=place)).code
    await door.ask("PUT", "/new", body=place.replace(b"mars", b"eu-coop-1"))


async def test_a_bucket_with_objects_or_without_its_directory_stays_whole(door: Door) -> None:
    await door.ask("PUT", "/abc/k", body=b"x")
    error = await refusal(door, "DELETE", "/abc")
    assert ("BucketNotEmpty", {"BucketName": "abc"}) == (error.code, error.extra)
    await door.ask("DELETE", "/abc/k")
    door.directory.is_away = True
    assert "ServiceUnavailable" == (await refusal(door, "DELETE", "/abc")).code
    await door.ask("PUT", "/abc/k", body=b"still a place")


@pytest.mark.parametrize("size", [0, 1, 64, 65, 1000])
async def test_an_object_comes_back_with_its_properties(door: Door, size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    put = await door.ask(
        "PUT",
        "/abc/a%2F%2Fb",
        body=data,
        headers={
            "content-type": "text/plain",
            "x-amz-meta-colour": "red",
            "x-amz-checksum-crc32": crc32(data),
        },
    )
    etag = f'"{hashlib.md5(data).hexdigest()}"'
    assert etag == put.headers["ETag"]
    got = await door.ask("GET", "/abc/a//b", headers={"x-amz-checksum-mode": "ENABLED"})
    facts = parsed("HeadObject", got)
    assert (etag, "text/plain", {"colour": "red"}) == (facts["ETag"], facts["ContentType"], facts["Metadata"])
    assert (crc32(data), "FULL_OBJECT") == (facts["ChecksumCRC32"], facts["ChecksumType"])
    assert data == read(got)
    head = await door.ask("HEAD", "/abc/a//b")
    assert (size, None, b"") == (head.content_length, head.reader, head.body)
    assert "x-amz-checksum-crc32" not in head.headers


async def test_ranges_and_conditions(door: Door) -> None:
    data = bytes(range(100))
    etag = (await door.ask("PUT", "/abc/k", body=data)).headers["ETag"]
    part = await door.ask("GET", "/abc/k", headers={"range": "bytes=10-19", "x-amz-checksum-mode": "ENABLED"})
    assert (206, "bytes 10-19/100", data[10:20]) == (part.status, part.headers["Content-Range"], read(part))
    head = await door.ask("HEAD", "/abc/k", headers={"range": "bytes=-1"})
    assert (206, 1) == (head.status, head.content_length)
    stale = await door.ask("GET", "/abc/k", headers={"range": "bytes=0-0", "if-range": '"other"'})
    assert (200, data) == (stale.status, read(stale))
    same = await door.ask("GET", "/abc/k", headers={"if-none-match": etag})
    assert (304, None, b"") == (same.status, same.reader, same.body)
    assert "PreconditionFailed" == (await refusal(door, "GET", "/abc/k", headers={"if-match": '"x"'})).code
    assert "InvalidRange" == (await refusal(door, "GET", "/abc/k", headers={"range": "bytes=100-"})).code
    one = await door.ask("GET", "/abc/k", {"partNumber": "1"})
    assert (206, data) == (one.status, read(one))
    assert "InvalidPartNumber" == (await refusal(door, "GET", "/abc/k", {"partNumber": "2"})).code


async def test_without_versioning_there_is_no_version_but_null(door: Door) -> None:
    await door.ask("PUT", "/abc/k", body=b"x")
    assert b"x" == read(await door.ask("GET", "/abc/k", {"versionId": "null"}))
    assert "NoSuchVersion" == (await refusal(door, "GET", "/abc/k", {"versionId": "v1"})).code
    assert 204 == (await door.ask("DELETE", "/abc/k", {"versionId": "v1"})).status
    assert b"x" == read(await door.ask("GET", "/abc/k"))
    assert "InvalidArgument" == (await refusal(door, "HEAD", "/abc/k", {"versionId": ""})).code


async def test_a_conditional_put_is_decided_by_what_is_there(door: Door) -> None:
    fresh = {"if-none-match": "*"}
    etag = (await door.ask("PUT", "/abc/lock", body=b"1", headers=fresh)).headers["ETag"]
    assert "PreconditionFailed" == (await refusal(door, "PUT", "/abc/lock", body=b"2", headers=fresh)).code
    await door.ask("PUT", "/abc/lock", body=b"3", headers={"if-match": etag})
    error = await refusal(door, "PUT", "/abc/lock", body=b"4", headers={"if-match": etag})
    assert 412 == error.status
    assert "NoSuchKey" == (await refusal(door, "PUT", "/abc/none", headers={"if-match": etag})).code


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ({"x-amz-checksum-crc32": "AAAAAA=="}, {}, "BadDigest"),
        ({"x-amz-server-side-encryption": "AES256"}, {}, "NotImplemented"),
        ({"x-amz-expected-bucket-owner": "000000000002"}, {}, "AccessDenied"),
        ({"x-amz-meta-a": "x" * 2048}, {}, "MetadataTooLarge"),
        ({}, {"partNumber": "1"}, "InvalidArgument"),
    ],
)
async def test_a_refused_put_leaves_nothing(
    door: Door, headers: dict[str, str], query: dict[str, str], code: str
) -> None:
    assert code == (await refusal(door, "PUT", "/abc/k", query, body=b"data", headers=headers)).code
    error = await refusal(door, "GET", "/abc/k")
    assert ("NoSuchKey", {"Key": "k"}) == (error.code, error.extra)
    assert () == await door.services.engine.outbox(after=0, limit=10)


async def test_an_object_over_the_limit_is_refused(door: Door) -> None:
    assert "EntityTooLarge" == (await refusal(door, "PUT", "/abc/k", body=b"x" * 1001)).code


async def test_many_keys_are_deleted_and_bad_entries_named(door: Door) -> None:
    for key in ("a", "b", "c"):
        await door.ask("PUT", f"/abc/{key}", body=b"x")
    entries = "".join(f"<Object><Key>{key}</Key></Object>" for key in ("a", "gone", "a", "k" * 1025))
    entries += (
        "<Object><Key>b</Key><VersionId>v9</VersionId></Object><Object><Key>c</Key><ETag>x</ETag></Object>"
    )
    body = f"<Delete>{entries}</Delete>".encode()
    answer = parsed("DeleteObjects", await door.ask("POST", "/abc", {"delete": ""}, body=body))
    assert ["a", "gone", "a", "b"] == [entry["Key"] for entry in answer["Deleted"]]
    assert ["KeyTooLongError", "PreconditionFailed"] == [error["Code"] for error in answer["Errors"]]
    left = parsed("ListObjectsV2", await door.ask("GET", "/abc", {"list-type": "2"}))
    assert ["b", "c"] == [item["Key"] for item in left["Contents"]]
    quiet = b"<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>"
    assert {} == parsed("DeleteObjects", await door.ask("POST", "/abc", {"delete": ""}, body=quiet))


ODD = ["a b", "a&b", "a+b", "a/b", "a/c/d", "a\x01b", "é", "z\r\n", "z<>"]


async def _fill(door: Door, keys: list[str]) -> None:
    for key in keys:
        await door.ask("PUT", "/abc/" + "".join(f"%{byte:02X}" for byte in key.encode()), body=b"x")


@pytest.mark.parametrize("name", ["ListObjects", "ListObjectsV2", "ListObjectVersions"])
@pytest.mark.parametrize("delimiter", ["", "/"])
async def test_pages_of_a_listing_are_walked_to_their_end(door: Door, name: str, delimiter: str) -> None:
    await _fill(door, ODD)
    query = {"max-keys": "2", "encoding-type": "url", "delimiter": delimiter}
    query |= {"ListObjectsV2": {"list-type": "2"}, "ListObjectVersions": {"versions": ""}}.get(name, {})
    keys: list[str] = []
    prefixes: list[str] = []
    while True:
        answer = parsed(name, await door.ask("GET", "/abc", query))
        items = answer.get("Contents" if name != "ListObjectVersions" else "Versions", [])
        keys += [_plain(item["Key"]) for item in items]
        prefixes += [_plain(entry["Prefix"]) for entry in answer.get("CommonPrefixes", [])]
        assert len(items) + len(answer.get("CommonPrefixes", [])) <= 2
        if not answer["IsTruncated"]:
            break
        match name:
            case "ListObjects":
                assert ("NextMarker" in answer) == bool(delimiter)
                query["marker"] = _plain(answer.get("NextMarker") or items[-1]["Key"])
            case "ListObjectsV2":
                query["continuation-token"] = answer["NextContinuationToken"]
            case _:
                query["key-marker"] = _plain(answer["NextKeyMarker"])
                query["version-id-marker"] = answer.get("NextVersionIdMarker", "")
    rolled = [key for key in sorted(ODD, key=str.encode) if not (delimiter and delimiter in key)]
    assert rolled == keys
    assert (["a/"] if delimiter else []) == prefixes


def _plain(text: str) -> str:
    from urllib.parse import unquote

    assert "+" not in text
    return unquote(text)


async def test_a_listing_tells_all_facts_of_an_object(door: Door) -> None:
    put = await door.ask("PUT", "/abc/k", body=b"data", headers={"x-amz-checksum-crc32": crc32(b"data")})
    query = {"list-type": "2", "fetch-owner": "true", "start-after": "j", "prefix": "k"}
    answer = parsed("ListObjectsV2", await door.ask("GET", "/abc", query))
    [item] = answer.pop("Contents")
    modified = (await door.ask("HEAD", "/abc/k")).headers["Last-Modified"]
    assert modified == item.pop("LastModified").strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert {
        "Key": "k",
        "ETag": put.headers["ETag"],
        "Size": 4,
        "StorageClass": "STANDARD",
        "ChecksumAlgorithm": ["CRC32"],
        "ChecksumType": "FULL_OBJECT",
        "Owner": {"ID": "000000000001", "DisplayName": "anna"},
    } == item
    assert {
        "Name": "abc",
        "Prefix": "k",
        "StartAfter": "j",
        "KeyCount": 1,
        "MaxKeys": 1000,
        "IsTruncated": False,
    } == answer


async def test_a_key_xml_cannot_hold_is_listed_encoded_even_unasked(door: Door) -> None:
    await _fill(door, ["a\x01b"])
    answer = parsed("ListObjects", await door.ask("GET", "/abc"))
    assert ("url", "a%01b") == (answer["EncodingType"], answer["Contents"][0]["Key"])


@pytest.mark.parametrize("query", [{}, {"list-type": "2"}])
async def test_beside_such_a_key_all_other_names_stand_as_they_are(door: Door, query: dict[str, str]) -> None:
    """rclone, s3cmd, obstore and pyarrow ask for no encoding, and decode none."""
    keys = ["a\x01b", "c+d", "plain &<>.txt", "x%y", "\u00fc b.txt"]
    await _fill(door, keys)
    answer = parsed("ListObjectsV2" if query else "ListObjects", await door.ask("GET", "/abc", query))
    named = [one["Key"] for one in answer["Contents"]]
    assert ["a%01b", "c%2Bd", "plain &<>.txt", "x%25y", "\u00fc b.txt"] == named
    assert keys == [unquote_plus(one) for one in named] == [unquote(one) for one in named]


@pytest.mark.parametrize(
    "query",
    [
        {"max-keys": "-1"},
        {"max-keys": "many"},
        {"max-keys": "2147483648"},
        {"encoding-type": "base64"},
        {"list-type": "2", "continuation-token": "%%%"},
        {"list-type": "2", "continuation-token": ""},
        {"versions": "", "version-id-marker": "null"},
    ],
)
async def test_a_listing_of_nonsense_is_refused(door: Door, query: dict[str, str]) -> None:
    assert "InvalidArgument" == (await refusal(door, "GET", "/abc", query)).code


async def test_no_keys_asked_is_no_keys_and_no_more(door: Door) -> None:
    await door.ask("PUT", "/abc/k", body=b"x")
    answer = parsed("ListObjects", await door.ask("GET", "/abc", {"max-keys": "0"}))
    assert (0, False, None) == (answer["MaxKeys"], answer["IsTruncated"], answer.get("Contents"))


async def test_a_copy_keeps_or_replaces_the_properties(door: Door) -> None:
    original = {"content-type": "text/plain", "x-amz-meta-a": "1"}
    etag = (await door.ask("PUT", "/abc/k", body=b"data", headers=original)).headers["ETag"]
    copied = await door.ask("PUT", "/abc/copy", headers={"x-amz-copy-source": "/abc/k"})
    assert etag == parsed("CopyObject", copied)["CopyObjectResult"]["ETag"]
    kept = await door.ask("HEAD", "/abc/copy")
    assert ("text/plain", "1") == (kept.headers["Content-Type"], kept.headers["x-amz-meta-a"])
    self_copy = {"x-amz-copy-source": "abc/k"}
    assert "InvalidRequest" == (await refusal(door, "PUT", "/abc/k", headers=self_copy)).code
    replace = {
        "x-amz-metadata-directive": "REPLACE",
        "x-amz-meta-b": "2",
        "x-amz-checksum-algorithm": "CRC32",
    }
    answer = parsed("CopyObject", await door.ask("PUT", "/abc/k", headers=self_copy | replace))[
        "CopyObjectResult"
    ]
    assert crc32(b"data") == answer["ChecksumCRC32"]
    now = await door.ask("GET", "/abc/k")
    assert ("binary/octet-stream", "2") == (now.headers["Content-Type"], now.headers["x-amz-meta-b"])
    assert "x-amz-meta-a" not in now.headers
    assert b"data" == read(now)


async def test_a_copy_reads_only_what_the_caller_may_read(door: Door) -> None:
    await door.ask("PUT", "/abc/secret", body=b"anna's")
    await door.ask("PUT", "/bert", caller=BERT)
    source = {"x-amz-copy-source": "/abc/secret"}
    assert "AccessDenied" == (await refusal(door, "PUT", "/bert/k", headers=source, caller=BERT)).code
    upload_id = await _upload(door, "/bert/k", caller=BERT)
    part = {"partNumber": "1", "uploadId": upload_id}
    assert "AccessDenied" == (await refusal(door, "PUT", "/bert/k", part, headers=source, caller=BERT)).code
    for text in ("/bert/../abc/secret", "/abc%2Fsecret", "/abc/secret?versionId=null"):
        error = await refusal(door, "PUT", "/bert/k", headers={"x-amz-copy-source": text}, caller=BERT)
        assert error.code in ("AccessDenied", "NoSuchKey")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amz-copy-source": "/abc/none"}, "NoSuchKey"),
        ({"x-amz-copy-source": "/none/k"}, "NoSuchBucket"),
        ({"x-amz-copy-source": ""}, "InvalidArgument"),
        ({"x-amz-copy-source": "/abc/k", "x-amz-copy-source-if-match": '"x"'}, "PreconditionFailed"),
        ({"x-amz-copy-source": "/abc/k", "x-amz-copy-source-if-none-match": "*"}, "PreconditionFailed"),
        ({"x-amz-copy-source": "/abc/k", "x-amz-metadata-directive": "MERGE"}, "InvalidArgument"),
        ({"x-amz-copy-source": "/abc/k?versionId=v"}, "NoSuchVersion"),
    ],
)
async def test_a_copy_that_cannot_be_is_refused(door: Door, headers: dict[str, str], code: str) -> None:
    await door.ask("PUT", "/abc/k", body=b"data")
    assert code == (await refusal(door, "PUT", "/abc/copy", headers=headers)).code


async def _upload(door: Door, path: str, headers: dict[str, str] | None = None, **more: Any) -> str:
    reply = await door.ask("POST", path, {"uploads": ""}, headers=headers, **more)
    return str(parsed("CreateMultipartUpload", reply)["UploadId"])


def _complete(parts: list[tuple[int, str]], more: str = "") -> bytes:
    lines = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag>{more}</Part>"
        for number, etag in parts
    )
    return f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()


async def _parts(
    door: Door, upload_id: str, parts: dict[int, bytes], *, with_checksum: bool = False
) -> list[tuple[int, str]]:
    done = []
    for number, data in parts.items():
        headers = {"x-amz-checksum-crc32": crc32(data)} if with_checksum else {}
        query = {"partNumber": str(number), "uploadId": upload_id}
        reply = await door.ask("PUT", "/abc/big", query, body=data, headers=headers)
        done.append((number, reply.headers["ETag"]))
    return done


BIG = {1: b"a" * 100, 3: b"b" * 50, 7: b"c"}


async def test_an_upload_is_completed_with_the_etag_of_its_parts_twice(door: Door) -> None:
    upload_id = await _upload(door, "/abc/big", {"content-type": "video/mp4", "x-amz-meta-a": "1"})
    parts = await _parts(door, upload_id, BIG)
    where = {"uploadId": upload_id}
    digests = b"".join(hashlib.md5(data).digest() for data in BIG.values())
    etag = f'"{hashlib.md5(digests).hexdigest()}-3"'
    for _ in range(2):
        answer = parsed(
            "CompleteMultipartUpload", await door.ask("POST", "/abc/big", where, body=_complete(parts))
        )
        assert (etag, "abc", "big") == (answer["ETag"], answer["Bucket"], answer["Key"])
    got = await door.ask("GET", "/abc/big")
    assert (etag, "video/mp4", "1") == tuple(
        got.headers[name] for name in ("ETag", "Content-Type", "x-amz-meta-a")
    )
    assert b"".join(BIG.values()) == read(got)
    second = await door.ask("GET", "/abc/big", {"partNumber": "2"})
    assert ("3", "bytes 100-149/151") == (
        second.headers["x-amz-mp-parts-count"],
        second.headers["Content-Range"],
    )
    assert BIG[3] == read(second)
    across = await door.ask("GET", "/abc/big", headers={"range": "bytes=98-151"})
    assert b"aa" + BIG[3] + b"c" == read(across)


async def test_a_complete_that_names_other_parts_is_refused(door: Door) -> None:
    upload_id = await _upload(door, "/abc/big")
    parts = await _parts(door, upload_id, BIG)
    where = {"uploadId": upload_id}

    async def code(body: bytes, headers: dict[str, str] | None = None) -> str:
        return (await refusal(door, "POST", "/abc/big", where, body=body, headers=headers)).code

    assert "InvalidPartOrder" == await code(_complete(parts[::-1]))
    assert "InvalidPartOrder" == await code(_complete([parts[0], parts[0]]))
    assert "InvalidPart" == await code(_complete([(2, parts[0][1])]))
    assert "InvalidPart" == await code(_complete([(1, parts[1][1])]))
    assert "InvalidPart" == await code(_complete([(1, "what")]))
    assert "InvalidPart" == await code(_complete(parts, "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"))
    assert "MalformedXML" == await code(b"<CompleteMultipartUpload/>")
    assert "InvalidRequest" == await code(_complete(parts), {"x-amz-mp-object-size": "152"})
    assert "InvalidRequest" == await code(_complete(parts), {"x-amz-checksum-crc32": "AAAAAA=="})
    await _parts(door, upload_id, {4: b"small"})
    small = hashlib.md5(b"small").hexdigest()
    assert "EntityTooSmall" == await code(_complete([parts[0], (4, small), parts[2]]))
    await door.ask("POST", "/abc/big", where, body=_complete(parts), headers={"x-amz-mp-object-size": "151"})


@pytest.mark.parametrize("kind", ["FULL_OBJECT", "COMPOSITE"])
async def test_the_checksum_of_the_whole_follows_from_the_parts(door: Door, kind: str) -> None:
    wanted = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": kind}
    upload_id = await _upload(door, "/abc/big", wanted)
    part = {"partNumber": "1", "uploadId": upload_id}
    assert "InvalidRequest" == (await refusal(door, "PUT", "/abc/big", part, body=b"x")).code
    parts = await _parts(door, upload_id, BIG, with_checksum=True)
    whole = crc32(b"".join(BIG.values()))
    where = {"uploadId": upload_id}
    if kind == "FULL_OBJECT":
        wrong = {"x-amz-checksum-crc32": "AAAAAA=="}
        assert (
            "BadDigest"
            == (await refusal(door, "POST", "/abc/big", where, body=_complete(parts), headers=wrong)).code
        )
        right = {"x-amz-checksum-crc32": whole, "x-amz-checksum-type": kind}
    else:
        right = {}
    answer = parsed(
        "CompleteMultipartUpload",
        await door.ask("POST", "/abc/big", where, body=_complete(parts), headers=right),
    )
    assert kind == answer["ChecksumType"]
    if kind == "FULL_OBJECT":
        assert whole == answer["ChecksumCRC32"]
    else:
        assert answer["ChecksumCRC32"].endswith("-3")


async def test_parts_and_uploads_are_listed_in_pages(door: Door) -> None:
    upload_id = await _upload(door, "/abc/big")
    parts = await _parts(door, upload_id, BIG)
    query = {"uploadId": upload_id, "max-parts": "2"}
    first = parsed("ListParts", await door.ask("GET", "/abc/big", query))
    assert (True, 3) == (first["IsTruncated"], first["NextPartNumberMarker"])
    rest = parsed("ListParts", await door.ask("GET", "/abc/big", query | {"part-number-marker": "3"}))
    assert not rest["IsTruncated"]
    found = [(part["PartNumber"], part["ETag"]) for part in first["Parts"] + rest["Parts"]]
    assert parts == found
    assert 204 == (await door.ask("DELETE", "/abc/big", {"uploadId": upload_id})).status
    for method, more in (("GET", {}), ("DELETE", {}), ("PUT", {"partNumber": "1"})):
        error = await refusal(door, method, "/abc/big", {"uploadId": upload_id} | more)
        assert ("NoSuchUpload", {"UploadId": upload_id}) == (error.code, error.extra)


@pytest.mark.parametrize("delimiter", ["", "/"])
async def test_uploads_are_walked_to_their_end_and_rolled_up(door: Door, delimiter: str) -> None:
    keys = ["a", "a", "b/1", "b/2", "b/3", "c", "d/1"]
    for key in keys:
        await _upload(door, f"/abc/{key}")
    for limit in (1, 2, 3, 1000):
        query = {"uploads": "", "delimiter": delimiter, "max-uploads": str(limit)}
        seen: list[str] = []
        for _ in range(20):
            answer = parsed("ListMultipartUploads", await door.ask("GET", "/abc", query))
            page = [upload["Key"] for upload in answer.get("Uploads", [])]
            page += [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])]
            assert len(page) <= limit
            seen += page
            if not answer["IsTruncated"]:
                break
            query["key-marker"] = answer["NextKeyMarker"]
            query["upload-id-marker"] = answer.get("NextUploadIdMarker", "")
        assert sorted(["a", "a", "b/", "c", "d/"] if delimiter else keys) == sorted(seen)


async def test_a_part_is_copied_whole_or_by_range(door: Door) -> None:
    data = bytes(range(200))
    await door.ask("PUT", "/abc/source", body=data)
    upload_id = await _upload(door, "/abc/big", {"x-amz-checksum-algorithm": "CRC32"})
    done = []
    for number, span in ((1, "bytes=10-99"), (2, None)):
        headers = {"x-amz-copy-source": "/abc/source"} | ({"x-amz-copy-source-range": span} if span else {})
        query = {"partNumber": str(number), "uploadId": upload_id}
        answer = parsed("UploadPartCopy", await door.ask("PUT", "/abc/big", query, headers=headers))
        assert crc32(data[10:100] if span else data) == answer["CopyPartResult"]["ChecksumCRC32"]
        done.append((number, answer["CopyPartResult"]["ETag"]))
    await door.ask("POST", "/abc/big", {"uploadId": upload_id}, body=_complete(done))
    assert data[10:100] + data == read(await door.ask("GET", "/abc/big"))


@pytest.mark.parametrize("span", ["bytes=0-200", "bytes=5-4", "bytes=-5", "bytes=0-", "0-5"])
async def test_a_copy_range_outside_the_source_is_refused(door: Door, span: str) -> None:
    await door.ask("PUT", "/abc/source", body=bytes(200))
    upload_id = await _upload(door, "/abc/big")
    headers = {"x-amz-copy-source": "/abc/source", "x-amz-copy-source-range": span}
    query = {"partNumber": "1", "uploadId": upload_id}
    assert "InvalidArgument" == (await refusal(door, "PUT", "/abc/big", query, headers=headers)).code


@pytest.mark.parametrize("number", ["0", "10001", "x", "", "1.0"])
async def test_a_part_number_outside_its_range_is_refused(door: Door, number: str) -> None:
    upload_id = await _upload(door, "/abc/big")
    query = {"partNumber": number, "uploadId": upload_id}
    assert "InvalidArgument" == (await refusal(door, "PUT", "/abc/big", query, body=b"x")).code


def test_an_error_document_stays_well_formed_and_is_what_a_client_reads() -> None:
    error = s3_error("NoSuchKey", Key="a<&\x01\ud800")
    body = render_error(error, resource="/abc/a<&\x01", request_id="0f")
    root = ElementTree.fromstring(body)  # noqa: S314 - our own document, read as a client would
    assert ["Code", "Message", "Key", "Resource", "RequestId"] == [child.tag for child in root]
    assert ["NoSuchKey", "a<&%01%ED%A0%80", "/abc/a<&%01"] == [
        root.findtext(name) for name in ("Code", "Key", "Resource")
    ]
    shape = MODEL.operation_model("GetObject").output_shape
    answer = create_parser("rest-xml").parse({"status_code": 404, "headers": {}, "body": body}, shape)
    assert ("NoSuchKey", "The specified key does not exist.") == (
        answer["Error"]["Code"],
        answer["Error"]["Message"],
    )
