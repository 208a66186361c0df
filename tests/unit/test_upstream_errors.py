"""Refusals no captured system shows: what a status alone means, Amazon's and others' codes, what may be tried again."""

from __future__ import annotations

import pytest

from gateway.handlers.failure import translate
from gateway.storage import errors as refused
from gateway.storage.errors import StorageError
from gateway.storage.model import Deletion, ObjectProperties
from gateway.storage.upstream import answers, requests, rules
from gateway.storage.upstream.errors import (
    ERROR_BYTES_MAX,
    Asked,
    is_upstreams_fault,
    may_retry,
    read_failure,
    storage_error,
)
from gateway.storage.upstream.properties import property_headers, read_head

ASKED = Asked("ceph-a", "GetObject", key="k")
DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'


def document(code: str, message: str = "words") -> bytes:
    return DECLARATION + f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def error_of(
    status: int, code: str = "", *, headers: dict[str, str] | None = None, asked: Asked = ASKED
) -> StorageError:
    body = document(code) if code else b""
    return storage_error(read_failure(status, headers or {}, body), asked)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (301, "PermanentRedirect", refused.Misconfigured),
        (400, "AuthorizationHeaderMalformed", refused.Misconfigured),
        (403, "RequestTimeTooSkewed", refused.Misconfigured),
        (403, "AccessDenied", refused.Misconfigured),
        (403, "QuotaExceeded", refused.StorageFull),
        (507, "", refused.StorageFull),
        (503, "SlowDown", refused.Busy),
        (429, "", refused.Busy),
        (409, "ConditionalRequestConflict", refused.Busy),
        (409, "OperationAborted", refused.Busy),
        (503, "ServiceUnavailable", refused.Unavailable),
        (500, "InternalError", refused.Unavailable),
        (502, "", refused.Unavailable),
        (400, "RequestTimeout", refused.Unavailable),
        (400, "NeverHeardOf", refused.Unavailable),
        (405, "MethodNotAllowed", refused.Unsupported),
        (501, "", refused.Unsupported),
    ],
)
def test_a_code_means(status: int, code: str, kind: type[StorageError]) -> None:
    assert kind is type(error_of(status, code))


def test_what_a_member_can_help_reaches_them_in_s3s_words() -> None:
    error = error_of(400, "MetadataTooLarge")
    assert (refused.Refused, ("MetadataTooLarge", "words")) == (type(error), error.args)


def test_the_operator_is_told_who_said_what_and_the_member_is_not() -> None:
    error = error_of(403, "SignatureDoesNotMatch")
    assert ("ceph-a answered GetObject with 403 SignatureDoesNotMatch: words",) == error.args
    answered = translate(error, None)  # type: ignore[arg-type]  # nothing of the call is in it
    assert (500, "InternalError") == (answered.status, answered.code)
    assert "words" not in answered.message


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (refused.Unsupported("PutObjectTagging", "b2"), 501, "NotImplemented"),
        (refused.Unavailable("b2 answered"), 503, "ServiceUnavailable"),
        (refused.Refused("MetadataTooLarge", "words"), 400, "MetadataTooLarge"),
        (refused.Refused("NoCodeOfOurs", "words"), 400, "InvalidRequest"),
    ],
)
def test_what_an_engine_refuses_has_its_s3_error(error: StorageError, status: int, code: str) -> None:
    answered = translate(error, None)  # type: ignore[arg-type]  # nothing of the call is in it
    assert (status, code) == (answered.status, answered.code)
    if code == "NotImplemented":
        assert {"Operation": "PutObjectTagging", "Engine": "b2"} == answered.extra


def test_delete_markers_are_told_with_their_ids() -> None:
    headers = {
        "x-amz-delete-marker": "true",
        "x-amz-version-id": "m1",
        "last-modified": "Fri, 24 May 2013 00:00:00 GMT",
    }
    hidden = error_of(404, "NoSuchKey", headers=headers)
    assert isinstance(hidden, refused.NoSuchKey)
    assert (("k",), "m1") == (hidden.args, hidden.marker_version_id)
    named = error_of(405, "", headers=headers, asked=ASKED._replace(version_id="m1"))
    assert (refused.IsDeleteMarker, ("k", "m1", 1_369_353_600_000_000)) == (type(named), named.args)
    # rclone sends the header with 'false'.
    plain = error_of(404, "NoSuchKey", headers={"x-amz-delete-marker": "false", "x-amz-version-id": "m1"})
    assert isinstance(plain, refused.NoSuchKey)
    assert "" == plain.marker_version_id


@pytest.mark.parametrize(
    "body", [b"<html>502</html>", b"<Error><Code>Slow", b"\xff\xfe", b"x" * (ERROR_BYTES_MAX + 1)]
)
def test_a_page_that_is_no_error_document_counts_by_its_status(body: bytes) -> None:
    failure = read_failure(503, {}, body)
    assert (503, "ServiceUnavailable", "") == (failure.status, failure.code, failure.message)


@pytest.mark.parametrize(
    ("status", "code", "again", "fault"),
    [
        (500, "InternalError", True, True),
        (503, "SlowDown", True, True),
        (503, "", True, True),
        (429, "", True, False),
        (400, "RequestTimeout", True, True),
        (409, "OperationAborted", True, False),
        (400, "BadDigest", False, True),
        (501, "NotImplemented", False, False),
        (404, "NoSuchKey", False, False),
        (403, "AccessDenied", False, False),
        (412, "PreconditionFailed", False, False),
        (507, "", False, True),
    ],
)
def test_what_may_be_tried_again_and_what_says_the_upstream_is_not_well(
    status: int, code: str, again: bool, fault: bool
) -> None:
    failure = read_failure(status, {}, document(code) if code else b"")
    assert (again, fault) == (may_retry(failure), is_upstreams_fault(failure))


def test_a_completion_that_fails_after_its_200_is_a_failure() -> None:
    late = b" \n " * 100 + document("InternalError")
    with pytest.raises(refused.Unavailable, match="200 InternalError: words"):
        answers.read_completed(late, ASKED)
    with pytest.raises(refused.NoSuchUpload):
        answers.read_completed(b" " + document("NoSuchUpload"), ASKED)
    with pytest.raises(refused.Busy):
        answers.read_copy(document("SlowDown"), ASKED)


def test_a_completion_behind_white_space_is_read() -> None:
    body = b"  \n" + DECLARATION + b"<CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag>"
    body += b"<ChecksumCRC32>AAAAAA==-2</ChecksumCRC32></CompleteMultipartUploadResult>"
    written = answers.read_completed(body, ASKED)
    assert written.checksum is not None
    assert ("e-2", "COMPOSITE") == (written.etag, written.checksum.kind)


BAD = [
    b"", b"<ListBucketResult>", b"<Other/>", b"x" * (answers.ANSWER_BYTES_MAX + 1),
    b'<!DOCTYPE a [<!ENTITY b "c">]><ListBucketResult><Name>&b;</Name></ListBucketResult>',
    b"<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>",
    b"<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
    b"<ListBucketResult>" + b"<a>" * 50 + b"</a>" * 50 + b"</ListBucketResult>",
    (b"<ListBucketResult><Contents><Key>k</Key><Size>-1</Size>"
    b"<LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>"),
    (b"<ListBucketResult><Contents><Key>k</Key><Size>1</Size>"
    b"<LastModified>yesterday</LastModified></Contents></ListBucketResult>"),
]  # fmt: skip


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_a_document_that_cannot_be_one_is_never_half_an_answer(body: bytes) -> None:
    with pytest.raises(refused.Unavailable):
        answers.read_listing(body, ASKED)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "1", "etag": '"e"'},
        {"content-length": "1", "last-modified": "Fri, 24 May 2013 00:00:00 GMT"},
        {"etag": '"e"', "last-modified": "Fri, 24 May 2013 00:00:00 GMT"},
        *[
            {"content-range": text, "etag": '"e"', "last-modified": "Fri, 24 May 2013 00:00:00 GMT"}
            for text in ("bytes 0-9/*", "bytes 5-4/10", "bytes 0-10/10", "pages 0-1/10", "bytes x-1/10", "")
        ],
    ],
)
def test_a_head_without_size_etag_or_time_is_none(headers: dict[str, str]) -> None:
    with pytest.raises(refused.Unavailable):
        read_head("k", headers, ASKED)


def test_the_tags_of_an_unknown_shape_are_none() -> None:
    with pytest.raises(refused.Unavailable):
        rules.read_tagging(b"<Tagging><TagSet><Tag><Value>v</Value></Tag></TagSet></Tagging>", ASKED)


def test_a_key_no_document_can_hold_is_said_to_be_one() -> None:
    assert [True, False] == [requests.can_be_named(key) for key in ("a\tb", "a\x01b")]
    with pytest.raises(AssertionError):
        requests.delete_document([Deletion("a\x01b")])


def test_a_prefix_that_xml_cannot_hold_is_passed_over_where_names_are_encoded() -> None:
    told = (
        b"<ListBucketResult><EncodingType>url</EncodingType><Prefix>&#x01;&#x1f;&#31;\x02</Prefix><IsTruncated>false"
        b"</IsTruncated><Contents><Key>%01%1F%09&#x9;</Key><Size>1</Size>"
        b"<LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>"
    )
    (one,) = answers.read_listing(told, ASKED).objects
    assert "\x01\x1f\t\t" == one.key


def test_a_blank_in_a_tag_is_no_plus() -> None:
    sent = property_headers(ObjectProperties(tags={"a b": "c+d e"}), keeps_checksums=False)
    assert {"x-amz-tagging": "a%20b=c%2Bd%20e"} == sent
