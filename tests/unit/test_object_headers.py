"""Ranges, conditions, ETags, dates and what is kept beside the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import S3Error
from gateway.headers import (
    Outcome,
    collect_properties,
    http_date,
    not_modified_headers,
    object_headers,
    parse_http_date,
    parse_range,
    range_applies,
    read_outcome,
    response_overrides,
    write_condition,
)
from gateway.storage.model import Condition, ObjectHead, ObjectProperties
from gateway.unsupported import check_expected_owner, refuse_unsupported

MODIFIED_US = 784_111_777_500_000  # Sun, 06 Nov 1994 08:49:37.5 GMT, the date RFC 9110 prints
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("bytes=0-4", (0, 5)),
        ("bytes=0-0", (0, 1)),
        ("bytes=5-", (5, 10)),
        ("bytes=5-100", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-100", (0, 10)),
        ("BYTES=9-9", (9, 10)),
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=4-3", None),
        ("bytes=0-1,3-4", None),
        ("bytes=a-b", None),
        ("bytes=+1-2", None),
        ("bytes=٣-", None),
        ("items=0-4", None),
        ("bytes=" + "9" * 5000 + "-", None),
        ("bytes=2-99999999999999999999", (2, 10)),
        ("bytes=-18446744073709551615", (0, 10)),
    ],
)
def test_a_range_of_ten_bytes(text: str | None, span: tuple[int, int] | None) -> None:
    assert span == parse_range(text, 10)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("bytes=10-", 10),
        ("bytes=99999999999999999999-", 10),
        ("bytes=-0", 10),
        ("bytes=0-", 0),
        ("bytes=-5", 0),
    ],
)
def test_a_range_without_a_byte_is_refused_and_says_the_size(text: str, size: int) -> None:
    with pytest.raises(S3Error) as caught:
        parse_range(text, size)
    assert (caught.value.status, caught.value.code) == (416, "InvalidRange")
    assert {"Content-Range": f"bytes */{size}"} == caught.value.headers


@given(st.integers(0, 50), st.integers(0, 60), st.integers(1, 50))
def test_a_range_is_a_slice(first: int, last: int, size: int) -> None:
    data = bytes(range(size))
    if first > last or first >= size:
        return
    span = parse_range(f"bytes={first}-{last}", size)
    assert span is not None
    assert data[first : last + 1] == data[slice(*span)]


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({}, Outcome.PROCEED),
        ({"if-match": '"abc"'}, Outcome.PROCEED),
        ({"if-match": "abc"}, Outcome.PROCEED),
        ({"if-match": '"x", "abc"'}, Outcome.PROCEED),
        ({"if-match": "*"}, Outcome.PROCEED),
        ({"if-match": '"x"'}, Outcome.FAILED),
        ({"if-none-match": '"abc"'}, Outcome.NOT_MODIFIED),
        ({"if-none-match": 'W/"abc"'}, Outcome.NOT_MODIFIED),
        ({"if-none-match": "*"}, Outcome.NOT_MODIFIED),
        ({"if-none-match": '"x"'}, Outcome.PROCEED),
        ({"if-modified-since": DATE}, Outcome.NOT_MODIFIED),
        ({"if-modified-since": EARLIER}, Outcome.PROCEED),
        ({"if-modified-since": "yesterday"}, Outcome.PROCEED),
        ({"if-unmodified-since": DATE}, Outcome.PROCEED),
        ({"if-unmodified-since": EARLIER}, Outcome.FAILED),
        # An ETag outweighs its date: the two pairs S3's own reference prints.
        ({"if-match": '"abc"', "if-unmodified-since": EARLIER}, Outcome.PROCEED),
        ({"if-none-match": '"abc"', "if-modified-since": EARLIER}, Outcome.NOT_MODIFIED),
        ({"if-none-match": '"x"', "if-modified-since": LATER}, Outcome.PROCEED),
    ],
)
def test_conditions_of_a_read(headers: dict[str, str], outcome: Outcome) -> None:
    assert outcome == read_outcome(headers, etag="abc", modified_us=MODIFIED_US)[0]


def test_conditions_on_a_copy_source_have_their_own_names() -> None:
    headers = {"x-amz-copy-source-if-match": '"x"', "if-match": '"abc"'}
    outcome = read_outcome(headers, etag="abc", modified_us=MODIFIED_US, prefix="x-amz-copy-source-")
    assert outcome == (Outcome.FAILED, "If-Match")


def test_dates_are_printed_and_read_as_the_standard_does() -> None:
    assert http_date(MODIFIED_US) == DATE
    for text in (DATE, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"):
        assert parse_http_date(text) == 784_111_777_000_000
    assert parse_http_date("Sun, 99 Nov 1994 08:49:37 GMT") is None


@pytest.mark.parametrize(
    ("value", "applies"), [(None, True), ('"abc"', True), ('"x"', False), (DATE, True), (EARLIER, False)]
)
def test_if_range_guards_a_resumed_download(value: str | None, applies: bool) -> None:
    headers = {} if value is None else {"if-range": value}
    assert applies == range_applies(headers, etag="abc", modified_us=MODIFIED_US)


@pytest.mark.parametrize(
    ("headers", "condition"),
    [
        ({}, Condition()),
        ({"if-match": '"abc"'}, Condition(if_match="abc")),
        ({"if-match": "*"}, Condition(if_match="*")),
        ({"if-none-match": "*"}, Condition(if_none_match=True)),
    ],
)
def test_conditions_of_a_write(headers: dict[str, str], condition: Condition) -> None:
    assert condition == write_condition(headers)


def test_conditions_of_a_write_that_s3_does_not_know_are_refused() -> None:
    with pytest.raises(S3Error, match="NotImplemented"):
        write_condition({"if-none-match": '"abc"'})
    with pytest.raises(S3Error, match="InvalidRequest"):
        write_condition({"if-none-match": "*", "if-match": "*"})


def test_properties_are_the_objects_not_the_transfers() -> None:
    kept = collect_properties(
        {
            "Content-Encoding": "aws-chunked, gzip",
            "Cache-Control": "no-store",
            "Content-Length": "5",
            "X-Amz-Meta-Colour": "grün",
            "x-amz-acl": "private",
            "Expires": "",
        },
        metadata_bytes_max=2048,
    )
    assert kept == {
        "content-type": "binary/octet-stream",
        "content-encoding": "gzip",
        "cache-control": "no-store",
        "x-amz-meta-colour": "grün",
    }


def test_an_encoding_that_was_only_the_transfers_is_not_kept() -> None:
    kept = collect_properties(
        {"content-encoding": "aws-chunked", "content-type": "text/plain"}, metadata_bytes_max=0
    )
    assert kept == {"content-type": "text/plain"}


def test_metadata_has_its_limit_to_the_byte() -> None:
    headers = {"x-amz-meta-name": "ü" * 1022}
    assert collect_properties(headers, metadata_bytes_max=2048)
    with pytest.raises(S3Error, match="MetadataTooLarge"):
        collect_properties(headers | {"x-amz-meta-a": ""}, metadata_bytes_max=2048)


@pytest.mark.parametrize("value", ["a\r\nb", "a\x00b", "caf\udce9"])
def test_metadata_that_no_header_can_carry_back_is_refused(value: str) -> None:
    with pytest.raises(S3Error, match="InvalidArgument"):
        collect_properties({"x-amz-meta-a": value}, metadata_bytes_max=2048)


HEAD = ObjectHead(
    "k", 5, "abc", MODIFIED_US, ObjectProperties({"content-type": "text/plain", "x-amz-meta-a": "b"})
)


def test_the_headers_of_an_object() -> None:
    assert object_headers(HEAD) == {
        "ETag": '"abc"',
        "Last-Modified": DATE,
        "Accept-Ranges": "bytes",
        "Content-Type": "text/plain",
        "x-amz-meta-a": "b",
    }
    assert not_modified_headers(HEAD) == {"ETag": '"abc"', "Last-Modified": DATE}


def test_overrides_set_headers_and_never_write_new_ones() -> None:
    assert response_overrides(
        {"response-content-type": "a/b", "response-expires": "never", "prefix": "x"}
    ) == {"Content-Type": "a/b", "Expires": "never"}
    with pytest.raises(S3Error, match="InvalidArgument"):
        response_overrides({"response-content-disposition": "a\r\nSet-Cookie: b"})


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-amz-server-side-encryption", "AES256", "NotImplemented"),
        ("x-amz-mfa", "20899872 301749", "NotImplemented"),
        ("x-amz-if-match-size", "1", "NotImplemented"),
        ("X-Amz-Mfa", "1 2", "NotImplemented"),
        ("x-amz-storage-class", "GLACIER", "InvalidStorageClass"),
    ],
)
def test_a_header_that_would_change_the_meaning_is_refused_by_name(name: str, value: str, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        refuse_unsupported({name: value})
    assert code == caught.value.code


HARMLESS = {
    "x-amz-acl": "private",
    "x-amz-storage-class": "STANDARD",
    "x-amz-meta-server-side-encryption": "x",
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-copy-source-server-side-encryption-customer-key": "k",
    "x-amz-date": "d",
    "host": "h",
}


def test_harmless_habits_pass_and_hide_nothing() -> None:
    refuse_unsupported(HARMLESS)
    with pytest.raises(S3Error, match="NotImplemented"):
        refuse_unsupported(HARMLESS | {"x-amz-mfa": "1 2"})


def test_the_expected_owner_is_the_owner() -> None:
    check_expected_owner({"x-amz-expected-bucket-owner": "000000000007"}, owner=7)
    with pytest.raises(S3Error, match="AccessDenied"):
        check_expected_owner({"x-amz-expected-bucket-owner": "000000000008"}, owner=7)
