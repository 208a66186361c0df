"""Bad input at the door, one clear answer each: signatures, clocks, keys, members, rights, documents, operations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.operation import Level, Operation
from meter.ids import MemberId
from tests.gateway import Credentials, RunningGateway, client
from tests.integration.s3_kit import UNSIGNED, Answer, Signed, ask, eventually, fetch, left, sign


class Asking:
    """Signs as a member and asks."""

    def __init__(self, gateway: RunningGateway, credentials: Credentials) -> None:
        self.gateway, self.credentials = gateway, credentials

    def __call__(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None, **how: Any
    ) -> Answer:
        """The answer to one request."""
        signed = sign(self.gateway, self.credentials, method, target, headers=headers, **how)
        return ask(self.gateway, signed.whole(body))


@pytest.fixture(scope="module")
def as_anna(s3_gateway: RunningGateway, anna: Credentials) -> Asking:
    """Anna asks."""
    return Asking(s3_gateway, anna)


@pytest.fixture(scope="module")
def as_carl(s3_gateway: RunningGateway) -> Asking:
    """Another member asks."""
    return Asking(s3_gateway, s3_gateway.member("carl"))


def test_a_wrong_signature_is_refused(s3_gateway: RunningGateway, anna: Credentials, bucket: str) -> None:
    wrong = Credentials(anna.member, anna.name, anna.access_key, "x" * 40)
    refused = Asking(s3_gateway, wrong)("GET", f"/{bucket}")
    assert (403, "SignatureDoesNotMatch") == (refused.status, refused.code)
    assert wrong.secret_key.encode() not in refused.body


@pytest.mark.parametrize(
    "change",
    [{"method": "DELETE"}, {"target": "/other-bucket"}, {"target": "/?prefix=a"},
     {"headers": {"Host": "elsewhere.example"}}, {"headers": {"X-Amz-Content-SHA256": "0" * 64}}],
)  # fmt: skip
def test_whatever_is_changed_after_signing_is_refused(
    s3_gateway: RunningGateway, anna: Credentials, change: dict[str, Any]
) -> None:
    signed = sign(s3_gateway, anna, "GET", "/?max-buckets=1")
    changed = Signed(
        change.get("method", signed.method), change.get("target", signed.target),
        signed.headers | change.get("headers", {}), "",
    )  # fmt: skip
    assert "SignatureDoesNotMatch" == ask(s3_gateway, changed.whole(b"")).code


def test_a_header_added_after_signing_is_refused(s3_gateway: RunningGateway, anna: Credentials) -> None:
    signed = sign(s3_gateway, anna, "PUT", "/some-bucket/k")
    refused = ask(s3_gateway, signed.head(x_amz_copy_source="/theirs/secret", Content_Length="0"))
    assert ("AccessDenied", True) == (refused.code, b"x-amz-copy-source" in refused.body)


@pytest.mark.parametrize(("minutes", "status"), [(-16, 403), (16, 403), (-14, 200), (14, 200)])
def test_a_clock_that_is_off_is_told_so(as_anna: Asking, minutes: int, status: int) -> None:
    answer = as_anna("GET", "/", at=datetime.now(UTC) + timedelta(minutes=minutes))
    assert status == answer.status
    assert status == 200 or "RequestTimeTooSkewed" == answer.code


def test_an_unknown_key_is_refused(s3_gateway: RunningGateway) -> None:
    refused = Asking(s3_gateway, Credentials(MemberId(0), "", "WEIRNOBODYKNOWSTHIS0", "y" * 40))("GET", "/")
    assert (403, "InvalidAccessKeyId") == (refused.status, refused.code)


def test_a_revoked_key_is_refused_and_no_other(s3_gateway: RunningGateway, as_anna: Asking) -> None:
    dora = s3_gateway.member("dora")
    as_dora = Asking(s3_gateway, dora)
    assert 200 == as_dora("GET", "/").status
    s3_gateway.execute(
        f"UPDATE gateway.access_key SET revoked_at = now() WHERE access_key = '{dora.access_key}'"
    )
    # A worker hears of it within moments; each of them has to have.
    assert eventually(lambda: all(as_dora("GET", "/").status == 403 for _ in range(12)))
    assert "InvalidAccessKeyId" == as_dora("GET", "/").code
    assert 200 == as_anna("GET", "/").status


def test_a_suspended_member_is_told_so_until_active_again(s3_gateway: RunningGateway) -> None:
    emil = s3_gateway.member("emil")
    as_emil = Asking(s3_gateway, emil)
    assert 200 == as_emil("PUT", "/emils-bucket").status
    s3_gateway.execute(f"UPDATE meter.member SET status = 'suspended' WHERE id = {emil.member}")
    assert eventually(lambda: all(as_emil("GET", "/").status == 403 for _ in range(12)))
    refused = as_emil("PUT", "/emils-bucket/k", b"data")
    assert (403, "AccountProblem") == (refused.status, refused.code)
    # The door is as shut for who has left, so the words fit both.
    assert b"is suspended, or they have left" in refused.body
    s3_gateway.execute(f"UPDATE meter.member SET status = 'active' WHERE id = {emil.member}")
    assert eventually(lambda: all(as_emil("GET", "/").status == 200 for _ in range(12)))
    assert "NoSuchKey" == as_emil("GET", "/emils-bucket/k").code


def test_another_region_is_named(as_anna: Asking) -> None:
    refused = as_anna("GET", "/", region="eu-west-1")
    assert (400, "AuthorizationHeaderMalformed", True) == (
        refused.status, refused.code, b"<Region>us-east-1</Region>" in refused.body,
    )  # fmt: skip


# A preflight lets nobody in, and a form carries its signature inside: their own tests attack them.
SIGNED_ELSEWHERE = {Operation.PREFLIGHT_BUCKET, Operation.PREFLIGHT_OBJECT, Operation.POST_OBJECT}
SUPPORTED = [one for one in Operation if one.supported and one not in SIGNED_ELSEWHERE]
IN_A_BUCKET = [
    one for one in SUPPORTED if one.level is not Level.SERVICE and one is not Operation.CREATE_BUCKET
]
# A listing of the table shares its address with another operation, which a parameter of its own tells apart.
OTHER_ADDRESS = {
    Operation.GET_BUCKET_ANALYTICS_CONFIGURATION: "analytics&id=a",
    Operation.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: "intelligent-tiering&id=a",
    Operation.GET_BUCKET_INVENTORY_CONFIGURATION: "inventory&id=a",
    Operation.GET_BUCKET_METRICS_CONFIGURATION: "metrics&id=a",
    Operation.GET_OBJECT_ANNOTATION: "annotation&annotationName=a",
    Operation.UPLOAD_PART: "uploadId=a&partNumber=1",
    Operation.UPLOAD_PART_COPY: "uploadId=a&partNumber=1",
}


def target(operation: Operation, bucket: str) -> str:
    """Path and query that address the operation."""
    path = {Level.SERVICE: "/", Level.BUCKET: f"/{bucket}", Level.OBJECT: f"/{bucket}/k"}[operation.level]
    query = OTHER_ADDRESS.get(operation, operation.parameter)
    return f"{path}?{query}" if query else path


@pytest.mark.parametrize("operation", IN_A_BUCKET, ids=lambda one: one.s3_name)
def test_the_bucket_of_another_member_is_closed(
    as_carl: Asking, s3: Any, bucket: str, operation: Operation
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"anna's")
    headers = {"x-amz-copy-source": f"{bucket}/k"} if "COPY" in operation.name else {}
    refused = as_carl(operation.method, target(operation, bucket), b"<x/>", headers)
    assert 403 == refused.status
    assert operation.method == "HEAD" or "AccessDenied" == refused.code
    assert b"anna's" == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_a_copy_from_the_bucket_of_another_member_is_refused(
    s3_gateway: RunningGateway, as_carl: Asking, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="secret/ü", Body=b"anna's")
    carls = client(s3_gateway, as_carl.credentials)
    carls.create_bucket(Bucket="carls-bucket")
    source = {"Bucket": bucket, "Key": "secret/ü"}
    upload = carls.create_multipart_upload(Bucket="carls-bucket", Key="k")["UploadId"]
    for how, more in (
        (carls.copy_object, {}),
        (carls.upload_part_copy, {"UploadId": upload, "PartNumber": 1}),
    ):
        with pytest.raises(ClientError) as error:
            how(Bucket="carls-bucket", Key="k", CopySource=source, **more)
        assert "AccessDenied" == error.value.response["Error"]["Code"]
    for crooked in (f"/carls-bucket/../{bucket}/secret/ü", f"carls-bucket%2F..%2F{bucket}/secret/%C3%BC"):
        refused = as_carl(
            "PUT", "/carls-bucket/k", b"", {"x-amz-copy-source": crooked.replace("ü", "%C3%BC")}
        )
        assert "NoSuchKey" == refused.code
    assert 0 == carls.list_objects_v2(Bucket="carls-bucket")["KeyCount"]


def test_a_name_taken_by_another_member_is_taken(as_carl: Asking, bucket: str) -> None:
    refused = as_carl("PUT", f"/{bucket}")
    assert (409, "BucketAlreadyExists") == (refused.status, refused.code)


@pytest.mark.parametrize("operation", SUPPORTED, ids=lambda one: one.s3_name)
def test_without_credentials_nothing_opens(
    s3_gateway: RunningGateway, bucket: str, operation: Operation
) -> None:
    headers = {"Host": "x"} | ({"x-amz-copy-source": "a/k"} if "COPY" in operation.name else {})
    anonymous = Signed(operation.method, target(operation, bucket), headers, "")
    refused = ask(s3_gateway, anonymous.whole(b"<x/>"))
    assert 403 == refused.status
    assert operation.method == "HEAD" or "AccessDenied" == refused.code


# Its address is that of ListBuckets; S3 tells them apart by the host name.
UNREACHABLE = {Operation.LIST_DIRECTORY_BUCKETS, Operation.OTHER}
ABSENT = [one for one in Operation if not one.supported and one not in UNREACHABLE]


@pytest.mark.parametrize("operation", ABSENT, ids=lambda one: one.s3_name)
def test_an_operation_that_is_not_there_says_its_name(
    as_anna: Asking, bucket: str, operation: Operation
) -> None:
    refused = as_anna(operation.method, target(operation, bucket), b"<x/>")
    assert (501, "NotImplemented") == (refused.status, refused.code)
    assert f"<Operation>{operation.s3_name}</Operation>".encode() in refused.body


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "LOCK"])
def test_a_method_s3_does_not_have_is_refused(as_anna: Asking, bucket: str, method: str) -> None:
    refused = as_anna(method, f"/{bucket}/k")
    assert (405, "MethodNotAllowed") == (refused.status, refused.code)


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-amz-server-side-encryption", "AES256"), ("x-amz-acl", "aws-exec-read"), ("x-amz-mfa", "1 2"),
     ("x-amz-if-match-size", "1")],
)  # fmt: skip
def test_a_header_that_would_change_the_meaning_is_refused_by_name(
    s3_gateway: RunningGateway, as_anna: Asking, bucket: str, name: str, value: str
) -> None:
    before = left(s3_gateway)
    refused = as_anna("PUT", f"/{bucket}/k", b"data", {name: value})
    assert (501, "NotImplemented") == (refused.status, refused.code)
    assert f"<Header>{name}</Header>".encode() in refused.body
    assert before == left(s3_gateway)


BOMB = b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Delete>&b;</Delete>'


@pytest.mark.parametrize(
    "document",
    [b"", b"nonsense", b"<Delete>", b"<Other/>", b"<Delete/>", b"\xff\xfe", b"<Delete><Object/></Delete>", BOMB,
     b"<Delete>" + b"<a>" * 5000, b'<?xml version="1.0" encoding="martian"?><Delete/>'],
)  # fmt: skip
def test_a_document_that_is_none_is_malformed(as_anna: Asking, bucket: str, document: bytes) -> None:
    refused = as_anna("POST", f"/{bucket}?delete", document)
    assert (400, "MalformedXML") == (refused.status, refused.code)


def test_a_document_beyond_the_limit_is_refused(as_anna: Asking, bucket: str) -> None:
    refused = as_anna("POST", f"/{bucket}?delete", b"<Delete>" + b" " * 2**21 + b"</Delete>")
    assert (400, "EntityTooLarge") == (refused.status, refused.code)


@pytest.mark.parametrize("document", [b"<Bad", b"<CompleteMultipartUpload/>"])
def test_a_bad_complete_leaves_the_upload_open(
    as_anna: Asking, s3: Any, bucket: str, document: bytes
) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    assert "MalformedXML" == as_anna("POST", f"/{bucket}/k?uploadId={upload}", document).code
    assert 1 == len(s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"])


@pytest.mark.parametrize(
    ("path", "code"),
    [("/{}/%zz", "InvalidURI"), ("/{}/%00", "InvalidURI"), ("/{}/%ff", "InvalidURI"), ("/UPPER", "InvalidBucketName"),
     ("/ab", "InvalidBucketName"), ("/{}/" + "k" * 1025, "KeyTooLongError"), ("/no-such-bucket", "NoSuchBucket"),
     ("/no-such-bucket/k", "NoSuchBucket"), ("/{}/absent", "NoSuchKey"), ("/{}?max-keys=-1", "InvalidArgument"),
     ("/{}?list-type=2&continuation-token=%21", "InvalidArgument"), ("/{}?uploads&acl", "InvalidArgument"),
     ("/{}/k?uploadId=nonsense", "NoSuchUpload"), ("/{}/k?versionId=v1", "NoSuchVersion"), ("//k", "InvalidBucketName")],
)  # fmt: skip
def test_a_bad_address_gets_its_own_answer(as_anna: Asking, bucket: str, path: str, code: str) -> None:
    assert code == as_anna("GET", path.format(bucket)).code


def test_a_browser_at_the_door_gets_a_sentence(s3_gateway: RunningGateway) -> None:
    answer = fetch(s3_gateway.url, headers={"Accept": "text/html,application/xhtml+xml"})
    assert (200, "text/plain; charset=utf-8") == (answer.status, answer.headers["content-type"])
    assert b"This is a Weir gateway" in answer.body
    assert (403, "AccessDenied") == ((found := fetch(s3_gateway.url)).status, found.code)


def test_an_error_names_its_request_and_its_resource(as_anna: Asking, bucket: str) -> None:
    refused = as_anna("GET", f"/{bucket}/a%3Cb")
    request_id = refused.headers["x-amz-request-id"]
    assert f"<RequestId>{request_id}</RequestId>".encode() in refused.body
    assert f"<Resource>/{bucket}/a&lt;b</Resource>".encode() in refused.body


def test_refused_requests_cost_nothing(s3_gateway: RunningGateway, as_anna: Asking) -> None:
    frida = s3_gateway.member("frida")
    as_frida = Asking(s3_gateway, frida)
    assert 200 == as_frida("PUT", "/fridas-bucket").status
    before = s3_gateway.usage(frida.member)
    wrong = sign(s3_gateway, frida, "PUT", "/fridas-bucket/k", payload="0" * 64)
    assert "XAmzContentSHA256Mismatch" == ask(s3_gateway, wrong.whole(b"x" * 100_000)).code
    assert "AccessDenied" == as_anna("PUT", "/fridas-bucket/k", b"x" * 1000, payload=UNSIGNED).code
    used = s3_gateway.usage(frida.member)
    assert (before.bytes_in, before.bytes_out) == (used.bytes_in, used.bytes_out)
