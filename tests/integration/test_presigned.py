"""Presigned links of boto3 for many operations, used by a program that knows nothing of S3; and what breaks them."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SignerCredentials

from tests.gateway import Credentials, RunningGateway, client
from tests.integration.s3_kit import Answer

pytestmark = pytest.mark.every_engine(without=("rclone",))

OVERRIDES = {
    "ResponseCacheControl": ("cache-control", "no-store"),
    "ResponseContentDisposition": ("content-disposition", 'attachment; filename="a b.txt"'),
    "ResponseContentEncoding": ("content-encoding", "identity"),
    "ResponseContentLanguage": ("content-language", "mi"),
    "ResponseContentType": ("content-type", "text/plain; charset=utf-8"),
    "ResponseExpires": ("expires", "Thu, 01 Dec 1994 16:00:00 GMT"),
}
LIST = b"<Delete><Object><Key>doomed</Key></Object></Delete>"
CORS = (
    b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
    b"</CORSConfiguration>"
)


@pytest.fixture(scope="module")
def s3(s3_gateway: RunningGateway, anna: Credentials) -> Any:
    """It signs links with Signature Version 4."""
    return client(s3_gateway, anna, signature_version="s3v4")


def use(link: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """What urllib gets for a link, a refusal too."""
    request = Request(  # noqa: S310 - our own gateway
        link, body, {name.replace("_", "-"): value for name, value in headers.items()}, method=method
    )
    try:
        answer = urlopen(request)  # noqa: S310 - our own gateway
    except HTTPError as error:
        answer = error
    with answer:
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())


@pytest.fixture
def link(s3: Any, bucket: str) -> str:
    """To read an object for an hour."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    return str(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}))


def changed(link: str, **parameters: str | None) -> str:
    """The link with other parameters in its query; None takes one out."""
    address, _, query = link.partition("?")
    pairs = dict(parse_qsl(query, keep_blank_values=True)) | {
        name.replace("_", "-"): value for name, value in parameters.items()
    }
    return f"{address}?{urlencode({name: value for name, value in pairs.items() if value is not None})}"


@pytest.mark.parametrize(
    ("operation", "method", "parameters", "body", "status"),
    [
        ("list_buckets", "GET", None, None, 200),
        ("head_bucket", "HEAD", {}, None, 200),
        ("get_bucket_location", "GET", {}, None, 200),
        ("list_objects", "GET", {"Prefix": "a b+ü"}, None, 200),
        ("list_objects_v2", "GET", {"Prefix": "k", "Delimiter": "/", "MaxKeys": 1}, None, 200),
        ("list_object_versions", "GET", {}, None, 200),
        ("list_multipart_uploads", "GET", {}, None, 200),
        ("get_bucket_cors", "GET", {}, None, 404),
        ("delete_bucket_cors", "DELETE", {}, None, 204),
        ("get_object", "GET", {"Key": "k"}, None, 200),
        ("get_object", "GET", {"Key": "k", "Range": "bytes=1-2"}, None, 206),
        ("head_object", "HEAD", {"Key": "k"}, None, 200),
        ("put_object", "PUT", {"Key": "dir/ü +%.txt", "Metadata": {"colour": "blue"}}, b"123", 200),
        ("copy_object", "PUT", {"Key": "copy", "CopySource": "{bucket}/k"}, b"", 200),
        ("delete_object", "DELETE", {"Key": "k"}, None, 204),
        ("create_multipart_upload", "POST", {"Key": "big"}, b"", 200),
        ("create_bucket", "PUT", {}, b"", 409),
        ("delete_bucket", "DELETE", {}, None, 409),
    ],
)  # fmt: skip
def test_any_operation_can_be_asked_by_a_link(
    s3: Any,
    bucket: str,
    operation: str,
    method: str,
    parameters: dict[str, Any] | None,
    body: bytes | None,
    status: int,
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    place = {} if parameters is None else {"Bucket": bucket, **parameters}
    sent: dict[str, str] = {}
    if "CopySource" in place:
        place["CopySource"] = sent["x_amz_copy_source"] = place["CopySource"].format(bucket=bucket)
    if "Range" in place:
        sent["Range"] = place["Range"]
    if "Metadata" in place:
        sent["x_amz_meta_colour"] = "blue"
    made = s3.generate_presigned_url(operation, Params=place)
    answer = use(made, method, body, **sent)
    assert status == answer.status, answer
    # The method is part of what was signed.
    other = {"GET": "DELETE", "DELETE": "GET", "PUT": "GET", "HEAD": "DELETE", "POST": "GET"}[method]
    assert 403 == use(made, other).status


@pytest.mark.parametrize(("method", "query", "body"), [("PUT", "cors", CORS), ("POST", "delete", LIST)])
def test_an_operation_with_a_document_can_be_asked_by_a_link(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, method: str, query: str, body: bytes
) -> None:
    """boto3 cannot sign such a link; the signer inside it can."""
    request = AWSRequest(method, f"{s3_gateway.url}/{bucket}?{query}=")
    keys = SignerCredentials(anna.access_key, anna.secret_key)
    S3SigV4QueryAuth(keys, "s3", "us-east-1", expires=60).add_auth(request)
    assert 200 == use(request.url, method, body).status


def test_a_link_sets_every_header_of_the_answer_it_may_set(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345", ContentType="image/png", CacheControl="max-age=1")
    wanted = {name: value for name, (_, value) in OVERRIDES.items()}
    for operation, method in (("get_object", "GET"), ("head_object", "HEAD")):
        answer = use(
            s3.generate_presigned_url(operation, Params={"Bucket": bucket, "Key": "k", **wanted}), method
        )
        assert dict(OVERRIDES.values()) == {name: answer.headers[name] for name, _ in OVERRIDES.values()}
    # boto3 itself refuses an Expires that is no date.
    for name in OVERRIDES.keys() - {"ResponseExpires"}:
        broken = s3.generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": "k", name: "a\r\nX-Bad: b"}
        )
        assert (400, "InvalidArgument") == ((refused := use(broken)).status, refused.code)


@pytest.mark.needs("access_lists")
def test_only_who_signs_may_set_headers_of_an_answer(
    s3_gateway: RunningGateway, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345", ACL="public-read")
    plain = f"{s3_gateway.url}/{bucket}/k"
    assert b"12345" == use(plain).body
    for name in ("response-content-type=text/html", "response-expires=x", "response-cache-control=x"):
        assert (400, "InvalidRequest") == ((answer := use(f"{plain}?{name}")).status, answer.code)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"X_Amz_Expires": "0"}, "AuthorizationQueryParametersError"),
        ({"X_Amz_Expires": "-1"}, "AuthorizationQueryParametersError"),
        ({"X_Amz_Expires": "604801"}, "SignatureDoesNotMatch"),
        ({"X_Amz_Expires": "99999999999999999999"}, "AuthorizationQueryParametersError"),
        ({"X_Amz_Expires": "\u0663\u0660"}, "AuthorizationQueryParametersError"),
        ({"X_Amz_Expires": "abc"}, "AuthorizationQueryParametersError"),
        ({"X_Amz_Expires": None}, "AuthorizationQueryParametersError"),
        ({"X_Amz_Expires": "7200"}, "SignatureDoesNotMatch"),
        ({"X_Amz_Algorithm": "AWS4-HMAC-SHA1"}, "AuthorizationQueryParametersError"),
        ({"X_Amz_Signature": "0" * 64}, "SignatureDoesNotMatch"),
        ({"X_Amz_Signature": ""}, "SignatureDoesNotMatch"),
        ({"X_Amz_Signature": None}, "AuthorizationQueryParametersError"),
        ({"X_Amz_Security_Token": "t"}, "InvalidToken"),
        ({"X_Amz_SignedHeaders": "host;x-amz-date"}, "SignatureDoesNotMatch"),
        ({"X_Amz_SignedHeaders": ""}, "AccessDenied"),
        ({"versionId": "null"}, "SignatureDoesNotMatch"),
        ({"response_content_type": "text/html"}, "SignatureDoesNotMatch"),
    ],
)
def test_a_link_that_was_changed_is_refused(link: str, parameters: dict[str, str | None], code: str) -> None:
    answer = use(changed(link, **parameters))
    assert code == answer.code
    assert answer.status in (400, 403)


def test_a_link_holds_in_any_order_and_for_its_own_host_and_object_only(link: str) -> None:
    address, _, query = link.partition("?")
    assert b"12345" == use(f"{address}?{'&'.join(reversed(query.split('&')))}").body
    assert (400, "InvalidArgument") == ((twice := use(f"{link}&X-Amz-Expires=3600")).status, twice.code)
    assert "SignatureDoesNotMatch" == use(link, Host="elsewhere.example").code
    assert "SignatureDoesNotMatch" == use(link.replace("/k?", "/k2?")).code
    assert "InvalidArgument" == use(link, Authorization="AWS4-HMAC-SHA256 Credential=a").code
    assert "AccessDenied" == use(link, x_amz_acl="public-read").code
    assert 403 == use(address).status


def test_a_link_to_write_keeps_its_writer_to_what_was_signed(s3: Any, bucket: str) -> None:
    place = {"Bucket": bucket, "Key": "k"}
    md5 = hashlib.md5(b"12345")
    typed = s3.generate_presigned_url("put_object", Params={**place, "ContentType": "text/x"})
    assert 200 == use(typed, "PUT", b"12345", Content_Type="text/x").status
    assert "SignatureDoesNotMatch" == use(typed, "PUT", b"12345", Content_Type="text/html").code
    assert f'"{md5.hexdigest()}"' == s3.head_object(**place)["ETag"]
    assert "AccessDenied" == use(typed, "PUT", b"x", Content_Type="text/x", x_amz_meta_slipped="in").code
    assert "k" == urlsplit(typed).path.rpartition("/")[2]
