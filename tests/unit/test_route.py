"""Every operation of S3's own service model reaches its name; odd targets are kept or refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import botocore.session
import pytest
from botocore.awsrequest import AWSRequest
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import S3Error, not_supported, s3_error
from gateway.names import CopySource, is_bucket_name, parse_copy_source
from gateway.operation import Level, Operation
from gateway.route import READINESS_PATH, is_readiness, parse_query, route, split_target

MODEL = botocore.session.get_session().get_service_model("s3")
SERIALIZER = create_serializer("rest-xml", include_validation=False)

# Old names of operations that have a newer one at the same address, and three that no path-style
# address of a general-purpose gateway can carry.
WITHOUT_A_NAME = {
    "GetBucketLifecycle",
    "PutBucketLifecycle",
    "GetBucketNotification",
    "PutBucketNotification",
    "ListDirectoryBuckets",
    "WriteGetObjectResponse",
}


def _parameters(shape: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in shape.required_members:
        member = shape.members[name]
        if member.serialization.get("location") in ("uri", "querystring", "header"):
            values[name] = {"integer": 7, "list": ["ETag"]}.get(member.type_name, "value")
    return values | {name: given for name, given in (("Bucket", "a-bucket"), ("Key", "k")) if name in values}


@pytest.mark.parametrize("name", sorted(set(MODEL.operation_names) - WITHOUT_A_NAME))
def test_every_operation_of_the_service_model_is_named(name: str) -> None:
    operation = MODEL.operation_model(name)
    parameters = _parameters(operation.input_shape) if operation.input_shape else {}
    request = SERIALIZER.serialize_to_request(parameters, operation)
    query = request["query_string"]
    prepared = AWSRequest(request["method"], "http://localhost" + request["url_path"], params=query).prepare()
    parts = urlsplit(prepared.url)
    headers = {key.lower(): str(value) for key, value in request["headers"].items()}

    found = route(request["method"], parts.path, parts.query, headers)

    assert name == found.operation.s3_name
    assert found.bucket == ("a-bucket" if "Bucket" in parameters else "")
    assert found.key == ("k" if "Key" in parameters else "")


def test_codes_are_one_number_each_and_find_their_operation() -> None:
    assert len(Operation) == len({operation.code for operation in Operation})
    assert Operation.PUT_OBJECT is Operation(6)
    assert all(0 < operation.code <= 255 for operation in Operation)


def test_codes_written_into_journals_do_not_move() -> None:
    assert {
        operation.s3_name: operation.code
        for operation in Operation
        if operation.code in (1, 6, 7, 9, 13, 21, 255)
    } == {
        "ListBuckets": 1,
        "PutObject": 6,
        "GetObject": 7,
        "DeleteObject": 9,
        "ListObjectsV2": 13,
        "ListMultipartUploads": 21,
        "Other": 255,
    }


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        ("/", "", ""),
        ("/abc", "abc", ""),
        ("/abc/", "abc", ""),
        ("/abc//", "abc", "/"),
        ("/abc//a", "abc", "/a"),
        ("/abc/../x", "abc", "../x"),
        ("/abc/./x/", "abc", "./x/"),
        ("/abc/a+b", "abc", "a+b"),
        ("/abc/a%2Bb", "abc", "a+b"),
        ("/abc/a%252Fb", "abc", "a%2Fb"),
        ("/abc/a%2fb", "abc", "a/b"),
        ("/abc/%C3%A9%01", "abc", "é\x01"),
        ("/abc/é", "abc", "é"),
    ],
)
def test_the_path_is_decoded_once_and_never_normalised(path: str, bucket: str, key: str) -> None:
    found = route("GET", path, "", {})
    assert (bucket, key) == (found.bucket, found.key)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=200))
def test_any_encoded_key_comes_back(key: str) -> None:
    assert key == route("GET", "/abc/" + quote(key, safe=""), "", {}).key


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/abc/%00", "InvalidURI"),
        ("/abc/%zz", "InvalidURI"),
        ("/abc/%ff", "InvalidURI"),
        ("/abc/\udcff", "InvalidURI"),
        ("abc", "InvalidURI"),
        ("*", "InvalidURI"),
        ("//abc", "InvalidBucketName"),
        ("/abc%2Fkey", "InvalidBucketName"),
        ("/Abc/key", "InvalidBucketName"),
        ("/ab", "InvalidBucketName"),
        ("/abc/" + "k" * 1025, "KeyTooLongError"),
        ("/abc/" + "%C3%A9" * 513, "KeyTooLongError"),
    ],
)
def test_a_bad_path_has_its_own_error(path: str, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        route("PUT", path, "", {})
    assert code == caught.value.code


def test_a_key_of_exactly_1024_bytes_is_taken() -> None:
    assert route("PUT", "/abc/" + "%C3%A9" * 512, "", {}).key == "é" * 512


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation"),
    [
        ("GET", "/abc", "list-type=1", {}, Operation.LIST_OBJECTS),
        ("GET", "/abc", "list-type=2&prefix=a", {}, Operation.LIST_OBJECTS_V2),
        ("GET", "/abc", "inventory&id=x", {}, Operation.GET_BUCKET_INVENTORY_CONFIGURATION),
        ("GET", "/abc", "inventory", {}, Operation.LIST_BUCKET_INVENTORY_CONFIGURATIONS),
        ("PUT", "/abc/k", "x-id=PutObject", {}, Operation.PUT_OBJECT),
        ("PUT", "/abc/k", "", {"x-amz-copy-source": ""}, Operation.COPY_OBJECT),
        ("PUT", "/abc/k", "partNumber=1&uploadId=u", {}, Operation.UPLOAD_PART),
        ("PUT", "/abc/k", "uploadId=u", {"x-amz-copy-source": "/abc/k"}, Operation.UPLOAD_PART_COPY),
        ("GET", "/abc/k", "partNumber=1", {}, Operation.GET_OBJECT),
        ("POST", "/abc", "", {}, Operation.POST_OBJECT),
        ("OPTIONS", "/abc/k", "", {}, Operation.PREFLIGHT_OBJECT),
        ("PATCH", "/abc/k", "", {}, Operation.OTHER),
        ("DELETE", "/", "", {}, Operation.OTHER),
    ],
)
def test_the_parameter_and_the_copy_header_select(
    method: str, path: str, query: str, headers: dict[str, str], operation: Operation
) -> None:
    assert operation == route(method, path, query, headers).operation


def test_two_selecting_parameters_are_refused() -> None:
    with pytest.raises(S3Error, match="Conflicting query string parameters: acl, tagging"):
        route("GET", "/abc/k", "tagging&acl", {})


def test_a_parameter_named_twice_is_refused() -> None:
    with pytest.raises(S3Error, match="named twice"):
        parse_query("prefix=a&prefix=b")


def test_query_text_is_decoded_once_with_plus_as_space() -> None:
    assert parse_query("prefix=a+b%2Bc%252F&delete") == {"prefix": "a b+c%2F", "delete": ""}


@pytest.mark.parametrize(
    ("host", "bucket", "key"),
    [
        ("abc.s3.example.org", "abc", "key/x"),
        ("a.b.c.s3.example.org:9000", "a.b.c", "key/x"),
        ("s3.example.org", "key", "x"),
        ("s3.example.org:80", "key", "x"),
        ("127.0.0.1:9000", "key", "x"),
        ("[::1]", "key", "x"),
        ("", "key", "x"),
    ],
)
def test_a_host_under_the_suffix_names_the_bucket(host: str, bucket: str, key: str) -> None:
    found = route("GET", "/key/x", "", {"host": host}, host_suffix="s3.example.org")
    assert (bucket, key) == (found.bucket, found.key)


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/a/b?c=d?e", ("/a/b", "c=d?e")),
        ("http://host:1/a/b?c", ("/a/b", "c")),
        ("HTTPS://host?a/b", ("/", "a/b")),
        ("http://host", ("/", "")),
        ("//a", ("//a", "")),
    ],
)
def test_the_target_is_split_raw(target: str, parts: tuple[str, str]) -> None:
    assert parts == split_target(target)


@pytest.mark.parametrize("target", ["*", "ftp://x/y", "", "a/b"])
def test_a_target_of_no_http_form_is_refused(target: str) -> None:
    with pytest.raises(S3Error, match="InvalidURI"):
        split_target(target)


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("abc", True),
        ("a.b-c.1", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("a..b", False),
        ("-ab", False),
        ("ab-", False),
        ("192.168.5.4", False),
        ("xn--abc", False),
        ("abc-s3alias", False),
        ("a_b", False),
        ("abc\n", False),
        ("äbc", False),
    ],
)
def test_bucket_names_follow_s3s_rules(name: str, valid: bool) -> None:
    assert valid == is_bucket_name(name)


@pytest.mark.parametrize(
    ("header", "source"),
    [
        ("/abc/k", CopySource("abc", "k", "")),
        ("abc/k%20x/%2B+", CopySource("abc", "k x/++", "")),
        ("abc%2Fk", CopySource("abc", "k", "")),
        ("/abc//../k?versionId=null", CopySource("abc", "/../k", "null")),
        ("abc/what%3FversionId=1", CopySource("abc", "what?versionId=1", "")),
    ],
)
def test_a_copy_source_is_decoded_once(header: str, source: CopySource) -> None:
    assert source == parse_copy_source(header)


@pytest.mark.parametrize("header", ["", "/", "abc", "/abc/", "//k", "abc/%zz", "abc/k?versionId="])
def test_a_copy_source_without_bucket_and_key_is_refused(header: str) -> None:
    with pytest.raises(S3Error):
        parse_copy_source(header)


def test_an_operation_that_is_not_there_answers_with_its_name() -> None:
    error = not_supported(Operation.PUT_BUCKET_POLICY)
    assert (
        error.status,
        error.code,
        error.message,
    ) == (501, "NotImplemented", "PutBucketPolicy is not implemented.")
    assert not_supported(Operation.OTHER).status == 405


def test_an_unknown_error_code_is_a_bug() -> None:
    with pytest.raises(KeyError):
        s3_error("NoSuchThing")


def test_levels_follow_the_address() -> None:
    assert Operation.GET_OBJECT.level == Level.OBJECT
    assert not Operation.SELECT_OBJECT_CONTENT.writes
    assert Operation.DELETE_OBJECTS.writes


@pytest.mark.parametrize(
    ("path", "host", "suffix", "expected"),
    [
        ("/-/ready", "gw.example.org", "", True),
        ("/-/ready", "s3.example.org", "s3.example.org", True),
        # The key '-/ready' of a bucket that the host names.
        ("/-/ready", "photos.s3.example.org:9000", "s3.example.org", False),
        ("/-/ready/", "a", "", False),
        ("/photos/-/ready", "a", "", False),
    ],
)
def test_a_load_balancer_s_question_is_no_object_s(
    path: str, host: str, suffix: str, *, expected: bool
) -> None:
    assert expected == is_readiness(path, {"host": host}, host_suffix=suffix)


def test_no_bucket_can_have_the_name_that_readiness_takes() -> None:
    assert not is_bucket_name(READINESS_PATH.split("/")[1])
