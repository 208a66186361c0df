"""Upload forms: another program's encoder and any cut into pieces; the published example; every condition violated."""

from __future__ import annotations

import itertools
import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.filepost import encode_multipart_formdata

from gateway.errors import S3Error
from gateway.postfields import object_headers, object_key, post_result, success_redirect, success_status
from gateway.postform import FIELDS_BYTES_MAX, Form, FormParser, boundary_of
from gateway.postpolicy import check_policy, parse_policy
from gateway.sigv4.form import parse_form_claim
from gateway.sigv4.signature import signing_key, verify_form

# The S3 API reference, "Example: Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)".
PUBLISHED_POLICY = (
    "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6"
    "ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFj"
    "bCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tl"
    "dC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5"
    "cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZl"
    "ci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoN"
    "CiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVx"
    "dWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAx"
    "NTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"
)
PUBLISHED_FIELDS = {
    "policy": PUBLISHED_POLICY,
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request",
    "x-amz-date": "20151229T000000Z",
    "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
}
PUBLISHED_KEY = signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20151229", "us-east-1")
AT_US = 1_451_347_200_000_000  # 2015-12-29T00:00:00Z, checked with `date -u -d @1451347200`
FILLED_IN = {
    "key": "user/user1/photo.jpg",
    "acl": "public-read",
    "success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
    "content-type": "image/jpeg",
    "x-amz-meta-uuid": "14365123651274",
    "x-amz-server-side-encryption": "AES256",
    "x-amz-meta-tag": "",
    **PUBLISHED_FIELDS,
}


def parsed(body: bytes, boundary: str, cuts: list[int]) -> tuple[Form, bytes]:
    """The form, fed in pieces that end at the cuts."""
    parser = FormParser(boundary.encode())
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    pieces = [piece for start, stop in itertools.pairwise(places) for piece in parser.feed(body[start:stop])]
    parser.finish()
    return parser.form, b"".join(pieces)


def code(error: pytest.ExceptionInfo[S3Error]) -> str:
    return error.value.code


def test_the_published_form_is_proven_and_a_changed_one_is_not() -> None:
    claim = parse_form_claim(PUBLISHED_FIELDS, region="us-east-1")
    assert claim is not None
    verify_form(claim, PUBLISHED_POLICY, PUBLISHED_KEY, now_us=AT_US, skew_s=900, presign_max_s=604_800)
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        verify_form(
            claim, PUBLISHED_POLICY + "=", PUBLISHED_KEY, now_us=AT_US, skew_s=900, presign_max_s=604_800
        )
    for late_s, most_s in ((604_801, 604_800), (3601, 3600)):
        with pytest.raises(S3Error, match="expired"):
            verify_form(
                claim,
                PUBLISHED_POLICY,
                PUBLISHED_KEY,
                now_us=AT_US + late_s * 10**6,
                skew_s=900,
                presign_max_s=most_s,
            )
    with pytest.raises(S3Error, match="not valid yet"):
        verify_form(
            claim,
            PUBLISHED_POLICY,
            PUBLISHED_KEY,
            now_us=AT_US - 901 * 10**6,
            skew_s=900,
            presign_max_s=604_800,
        )


def test_the_published_policy_holds_for_its_form_until_it_expires() -> None:
    policy = parse_policy(PUBLISHED_POLICY)
    check_policy(policy, FILLED_IN, bucket="sigv4examplebucket", now_us=AT_US)
    last_us = AT_US + 36 * 3600 * 10**6
    check_policy(policy, FILLED_IN, bucket="sigv4examplebucket", now_us=last_us - 1)
    with pytest.raises(S3Error, match="Policy expired"):
        check_policy(policy, FILLED_IN, bucket="sigv4examplebucket", now_us=last_us)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"key": "user/user2/photo.jpg"}, "Policy Condition failed"),
        ({"acl": "private"}, "Policy Condition failed"),
        ({"content-type": "text/html"}, "Policy Condition failed"),
        ({"content-type": "image/png,text/html"}, "Policy Condition failed"),
        ({"x-amz-meta-uuid": "1436512365127"}, "Policy Condition failed"),
        ({"x-amz-meta-uuid": "14365123651274 "}, "Policy Condition failed"),
        ({"x-amz-meta-tag": None}, "Policy Condition failed"),
        ({"success_action_redirect": "http://evil.example/"}, "Policy Condition failed"),
        ({"x-amz-meta-other": "x"}, "Extra input fields: x-amz-meta-other"),
        ({"success_action_status": "200"}, "Extra input fields: success_action_status"),
        ({"tagging": "<Tagging/>"}, "Extra input fields: tagging"),
        ({"bucket": "another-bucket"}, None),
        ({"x-ignore-me": "x"}, None),
        ({"content-type": "image/png, image/gif"}, None),
    ],
)
def test_a_form_that_breaks_a_condition_is_refused(changed: dict[str, str | None], why: str | None) -> None:
    fields = {name: value for name, value in (FILLED_IN | changed).items() if value is not None}
    policy = parse_policy(PUBLISHED_POLICY)
    if why is None:
        check_policy(policy, fields, bucket="sigv4examplebucket", now_us=AT_US)
        return
    with pytest.raises(S3Error, match="Invalid according to Policy: " + why) as error:
        check_policy(policy, fields, bucket="sigv4examplebucket", now_us=AT_US)
    assert "AccessDenied" == code(error)


def test_a_form_for_another_bucket_and_a_policy_that_names_none_are_refused() -> None:
    with pytest.raises(S3Error, match="Policy Condition failed"):
        check_policy(parse_policy(PUBLISHED_POLICY), FILLED_IN, bucket="another", now_us=AT_US)
    silent = policy_text(conditions=[{"key": "k"}])
    with pytest.raises(S3Error, match="Extra input fields: bucket"):
        check_policy(parse_policy(silent), {"key": "k"}, bucket="any", now_us=AT_US)


def policy_text(**parts: Any) -> str:
    return b64encode(
        json.dumps({"expiration": "2015-12-30T12:00:00Z", "conditions": [{"a": "b"}]} | parts).encode()
    ).decode()


def test_the_narrowest_length_range_counts_and_operators_have_any_case() -> None:
    policy = parse_policy(
        policy_text(
            conditions=[
                ["content-length-range", 1, 10],
                ["Content-Length-Range", "0", "7"],
                ["EQ", "$A", "b"],
            ]
        )
    )
    assert (1, 7) == (policy.least_bytes, policy.most_bytes)
    assert policy.conditions[0].holds({"a": "b"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!",
        b64encode(b"not json").decode(),
        b64encode(b"[]").decode(),
        b64encode(b"[" * 15_000).decode(),
        b64encode(
            b'{"expiration":"2015-12-30T12:00:00Z","conditions":[{"a":"b"}],"conditions":[{"c":"d"}]}'
        ).decode(),
        b64encode(b"\xff\xfe").decode(),
        policy_text(conditions=[]),
        policy_text(conditions=None),
        policy_text(conditions=[{}]),
        policy_text(conditions=[{"a": "b", "c": "d"}]),
        policy_text(conditions=[{"a": 1}]),
        policy_text(conditions=[["eq", "$a"]]),
        policy_text(conditions=[["eq", "a", "b"]]),
        policy_text(conditions=[["ends-with", "$a", "b"]]),
        policy_text(conditions=["eq"]),
        policy_text(conditions=[["content-length-range", 1]]),
        policy_text(conditions=[["content-length-range", 5, 1]]),
        policy_text(conditions=[["content-length-range", -1, 1]]),
        policy_text(conditions=[["content-length-range", True, 1]]),
        policy_text(conditions=[["content-length-range", 0, 1.5]]),
        policy_text(expiration=None),
        policy_text(expiration="tomorrow"),
        policy_text(expiration="2015-12-30T12:00:00"),
        policy_text(surprise=1),
    ],
)
def test_a_policy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(S3Error) as error:
        parse_policy(text)
    assert "InvalidPolicyDocument" == code(error)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"policy": None}, "InvalidArgument"),
        ({"x-amz-signature": None}, "InvalidArgument"),
        ({"x-amz-date": None}, "InvalidArgument"),
        ({"x-amz-algorithm": "AWS4-HMAC-SHA1"}, "AuthorizationQueryParametersError"),
        ({"x-amz-credential": "AKIA/20151229/eu-1/s3/aws4_request"}, "AuthorizationQueryParametersError"),
        (
            {"x-amz-credential": "AKIA/20151228/us-east-1/s3/aws4_request"},
            "AuthorizationQueryParametersError",
        ),
        (
            {"x-amz-credential": "AKIA/20151229/us-east-1/iam/aws4_request"},
            "AuthorizationQueryParametersError",
        ),
        ({"x-amz-date": "yesterday"}, "AuthorizationQueryParametersError"),
        ({"x-amz-security-token": "t"}, "InvalidToken"),
        ({"awsaccesskeyid": "AKIA", "signature": "s"}, "InvalidRequest"),
    ],
)
def test_half_a_signature_is_refused(changed: dict[str, str | None], expected: str) -> None:
    fields = {name: value for name, value in (PUBLISHED_FIELDS | changed).items() if value is not None}
    with pytest.raises(S3Error) as error:
        parse_form_claim(fields, region="us-east-1")
    assert expected == code(error)


def test_a_form_without_any_signature_claims_nobody() -> None:
    assert parse_form_claim({"key": "k"}, region="us-east-1") is None


NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8).filter(
    lambda name: name.lower() != "file"
)


@given(
    st.dictionaries(NAMES.map(str.lower), st.text(st.characters(codec="utf-8"), max_size=20), max_size=5),
    st.binary(max_size=200) | st.just(b"\r\n--b\r\n--bound--\r\n"),
    st.lists(st.integers(0, 2000), max_size=12),
)
def test_another_programs_form_is_read_whatever_pieces_it_comes_in(
    fields: dict[str, str], data: bytes, cuts: list[int]
) -> None:
    parts: list[tuple[str, Any]] = [
        *fields.items(),
        ("file", ("a b.txt", data, "text/plain")),
        ("submit", "go"),
    ]
    body, content_type = encode_multipart_formdata(parts, boundary="boundary")
    boundary = boundary_of(content_type)
    assert b"boundary" == boundary
    form, file = parsed(body, "boundary", cuts)
    assert (fields, "a b.txt", data) == (form.fields, form.filename, file)


PART = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\ndata\r\n'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "MalformedPOSTRequest"),
        (b"hello", "MalformedPOSTRequest"),
        (b"--c\r\n", "MalformedPOSTRequest"),
        (b"--b--\r\n", "InvalidArgument"),
        (PART % (b"key", b"k") + b"--b--", "InvalidArgument"),
        (FILE, "MalformedPOSTRequest"),
        (FILE + b"--b", "MalformedPOSTRequest"),
        (FILE + b"--bx--", "MalformedPOSTRequest"),
        (FILE + b"--b\r\n" + b"x" * 70_000 + b"\r\n--b--", "MalformedPOSTRequest"),
        (PART % (b"key", b"k") * 2 + FILE + b"--b--", "InvalidArgument"),
        (
            b"".join(PART % (b"f%d" % number, b"") for number in range(101)) + FILE + b"--b--",
            "MalformedPOSTRequest",
        ),
        (PART % (b"key", b"\xff") + FILE + b"--b--", "InvalidArgument"),
        (PART % (b"\xff", b"k") + FILE + b"--b--", "MalformedPOSTRequest"),
        (b"--b\r\nContent-Type: text/plain\r\n\r\nk\r\n" + FILE + b"--b--", "MalformedPOSTRequest"),
        (b"--b\r\n" + b"x" * 5000 + b"\r\n\r\n", "MalformedPOSTRequest"),
        (PART % (b"key", b"k" * FIELDS_BYTES_MAX) + FILE + b"--b--", "MaxPostPreDataLengthExceededError"),
        (PART % (b"key", b"k" * FIELDS_BYTES_MAX), "MaxPostPreDataLengthExceededError"),
    ],
)
@pytest.mark.parametrize("step", [1 << 20, 1000, 7])
def test_a_form_that_is_none_or_too_large_is_refused(body: bytes, expected: str, step: int) -> None:
    with pytest.raises(S3Error) as error:
        parsed(body, "b", list(range(0, len(body), step)))
    assert expected == code(error)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
            b"----WebKitFormBoundary7MA4YWxkTrZu0gW",
        ),
        ('Multipart/Form-Data; boundary="a b"', b"a b"),
        ("multipart/form-data; charset=utf-8; boundary=abc", b"abc"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=" + "a" * 71, None),
        ("multipart/mixed; boundary=a", None),
        ("application/x-www-form-urlencoded", None),
    ],
)
def test_the_boundary_is_read_or_it_is_no_form(content_type: str, boundary: bytes | None) -> None:
    assert boundary == boundary_of(content_type)


@pytest.mark.parametrize(
    ("filename", "key"),
    [
        ("photo.jpg", "user/photo.jpg"),
        (r"C:\\My Files\\photo.jpg", "user/photo.jpg"),
        ("../../etc/x%22", 'user/x"'),
    ],
)
def test_the_files_name_goes_into_the_key_without_its_path(filename: str, key: str) -> None:
    body = (
        f'--b\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n\r\n--b--'.encode()
    )
    form, _ = parsed(body, "b", [])
    form.fields["key"] = "user/${filename}"
    assert key == object_key(form)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, "InvalidArgument"), ({"key": ""}, "InvalidArgument"), ({"key": "${filename}"}, "InvalidArgument"),
     ({"key": "a\x00b"}, "InvalidArgument"), ({"key": "k" * 1025}, "KeyTooLongError")],
)  # fmt: skip
def test_a_key_that_cannot_be_is_refused(fields: dict[str, str], expected: str) -> None:
    with pytest.raises(S3Error) as error:
        object_key(Form(fields))
    assert expected == code(error)


def test_only_fields_of_the_object_become_headers() -> None:
    tags = "<Tagging><TagSet><Tag><Key>a b</Key><Value>+:</Value></Tag></TagSet></Tagging>"
    fields = {
        "key": "k", "acl": "private", "content-type": "text/x", "x-amz-meta-a": "ü", "tagging": tags,
        "x-amz-checksum-crc32": "AAAAAA==", "x-amz-copy-source": "/other/key", "x-amz-decoded-content-length": "1",
        "x-amz-trailer": "x-amz-checksum-crc32", "authorization": "x", "range": "bytes=0-1", "if-match": "x",
    }  # fmt: skip
    assert {
        "x-amz-acl": "private", "content-type": "text/x", "x-amz-meta-a": "ü", "x-amz-tagging": "a+b=%2B%3A",
        "x-amz-checksum-crc32": "AAAAAA==",
    } == object_headers(fields)  # fmt: skip
    with pytest.raises(S3Error, match="InvalidArgument"):
        object_headers({"content-type": "a\r\nSet-Cookie: b"})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/done", "https://a.example/done?bucket=b&key=k%2F%C3%BC%20%26&etag=%22e%22"),
        ("http://a.example/?x=1#top", "http://a.example/?x=1&bucket=b&key=k%2F%C3%BC%20%26&etag=%22e%22#top"),
        ("javascript:alert(1)", None),
        ("//a.example/", None),
        ("/done", None),
        ("http:///done", None),
        ("http://[::1/", None),
        ("http://a.example/\r\nSet-Cookie: a=b", None),
        ("http://a.example/ b", None),
        ("", None),
    ],
)
def test_a_redirect_is_an_address_on_the_web_or_none(url: str, expected: str | None) -> None:
    assert expected == success_redirect({"redirect": url}, bucket="b", key="k/ü &", etag='"e"')


def test_the_answers_status_is_one_of_three() -> None:
    told = [success_status({"success_action_status": text}) for text in ("200", "201", "204", "404", "")]
    assert [200, 201, 204, 204, 204] == told
    assert 204 == success_status({})


def test_the_policys_text_is_what_the_reference_prints() -> None:
    assert b'{"bucket": "sigv4examplebucket"}' in b64decode(PUBLISHED_POLICY)
    assert post_result(location="http://h/b/k", bucket="b", key="<k>", etag='"e"').endswith(
        b"<PostResponse><Location>http://h/b/k</Location><Bucket>b</Bucket><Key>&lt;k&gt;</Key>"
        b"<ETag>&quot;e&quot;</ETag></PostResponse>"
    )
