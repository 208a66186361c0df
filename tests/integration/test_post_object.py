"""Upload forms at a real gateway: signed by boto3, encoded by urllib3, sent over plain sockets."""

from __future__ import annotations

import base64
import hashlib
import random
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from urllib3.filepost import encode_multipart_formdata

from gateway.operation import Operation
from gateway.postform import FIELDS_BYTES_MAX
from meter.ids import NOBODY
from tests.gateway import Credentials, RunningGateway, client
from tests.integration.records import record_of
from tests.integration.s3_kit import Answer, ask, eventually, left, line, sign

pytestmark = pytest.mark.every_engine(without=("rclone",))

MIB = 2**20


@dataclass(frozen=True)
class Sender:
    """Sends forms to one bucket."""

    gateway: RunningGateway
    bucket: str

    def encoded(
        self, fields: dict[str, str], data: bytes, filename: str = "photo.jpg"
    ) -> tuple[bytes, bytes]:
        """The request's head and body."""
        parts: list[tuple[str, Any]] = [*fields.items(), ("file", (filename, data, "image/jpeg"))]
        body, content_type = encode_multipart_formdata(parts)
        head = (
            f"POST /{self.bucket} HTTP/1.1\r\nHost: files.example\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode(), body

    def send(self, fields: dict[str, str], data: bytes, filename: str = "photo.jpg") -> Answer:
        """One form, in a piece of a random size and the rest."""
        head, body = self.encoded(fields, data, filename)
        return ask(self.gateway, head + body)


@pytest.fixture(scope="module")
def s3(s3_gateway: RunningGateway, anna: Credentials) -> Any:
    """boto3 signs forms with Signature Version 2 unless it is told."""
    return client(s3_gateway, anna, signature_version="s3v4")


@pytest.fixture
def sender(s3_gateway: RunningGateway, bucket: str) -> Sender:
    return Sender(s3_gateway, bucket)


@pytest.mark.parametrize("size", [0, 5, 70_000, 3 * MIB + 1])
def test_a_form_that_boto3_signs_stores_its_file(s3: Any, sender: Sender, size: int, seed: int) -> None:
    data = random.Random(seed).randbytes(size)
    extra = {"Content-Type": "image/jpeg", "x-amz-meta-colour": "blue", "Cache-Control": "max-age=60"}
    post = s3.generate_presigned_post(
        sender.bucket, "user/${filename}", Fields=extra, Conditions=[{name: extra[name]} for name in extra]
    )
    answer = sender.send(post["fields"], data)
    etag = f'"{hashlib.md5(data).hexdigest()}"'
    assert (204, etag, f"http://files.example/{sender.bucket}/user/photo.jpg", b"") == (
        answer.status, answer.headers["etag"], answer.headers["location"], answer.body,
    )  # fmt: skip
    got = s3.get_object(Bucket=sender.bucket, Key="user/photo.jpg")
    assert (data, etag, "image/jpeg", "max-age=60", {"colour": "blue"}) == (
        got["Body"].read(), got["ETag"], got["ContentType"], got["CacheControl"], got["Metadata"],
    )  # fmt: skip


def test_the_browser_is_answered_as_the_form_asks(s3: Any, sender: Sender) -> None:
    def send(**fields: str) -> Answer:
        post = s3.generate_presigned_post(
            sender.bucket,
            "a/ü&.txt",
            Fields=fields,
            Conditions=[{name: value} for name, value in fields.items()],
        )
        return sender.send(post["fields"], b"12345")

    etag = f'"{hashlib.md5(b"12345").hexdigest()}"'
    assert [200, 204, 204] == [send(success_action_status=one).status for one in ("200", "204", "999")]
    created = send(success_action_status="201")
    where = f"http://files.example/{sender.bucket}/a/%C3%BC%26.txt"
    assert (201, "application/xml", where) == (
        created.status, created.headers["content-type"], created.headers["location"],
    )  # fmt: skip
    told = {one.tag: one.text for one in ElementTree.fromstring(created.body)}  # noqa: S314 - our own gateway
    assert {"Location": where, "Bucket": sender.bucket, "Key": "a/ü&.txt", "ETag": etag} == told
    onward = send(success_action_redirect="https://page.example/done?x=1")
    parts = urlsplit(onward.headers["location"])
    assert (303, "https://page.example/done") == (
        onward.status,
        f"{parts.scheme}://{parts.netloc}{parts.path}",
    )
    assert {"x": ["1"], "bucket": [sender.bucket], "key": ["a/ü&.txt"], "etag": [etag]} == parse_qs(
        parts.query
    )
    refused = send(success_action_redirect="javascript:alert(1)")
    assert (204, where) == (refused.status, refused.headers["location"])


@pytest.mark.parametrize(
    ("conditions", "changed", "code"),
    [
        ([], {"key": "other"}, "AccessDenied"),
        ([], {"x-amz-meta-slipped": "in"}, "AccessDenied"),
        ([], {"success_action_redirect": "https://evil.example/"}, "AccessDenied"),
        ([], {"tagging": "<Tagging/>"}, "AccessDenied"),
        ([], {"acl": "public-read"}, "AccessDenied"),
        ([{"acl": "private"}], {"acl": "public-read"}, "AccessDenied"),
        ([{"acl": "private"}], {}, "AccessDenied"),
        ([["starts-with", "$Content-Type", "image/"]], {"Content-Type": "text/html"}, "AccessDenied"),
        ([["eq", "$x-amz-meta-a", "b"]], {"x-amz-meta-a": "c"}, "AccessDenied"),
        ([["content-length-range", 6, 10]], {}, "EntityTooSmall"),
        ([["content-length-range", 0, 4]], {}, "EntityTooLarge"),
        ([], {"policy": base64.b64encode(b"{}").decode()}, "SignatureDoesNotMatch"),
        ([], {"x-amz-signature": "0" * 64}, "SignatureDoesNotMatch"),
        ([], {"x-amz-signature": "é"}, "SignatureDoesNotMatch"),
        ([], {"x-amz-credential": "NOBODY/20260101/us-east-1/s3/aws4_request"}, "AuthorizationQueryParametersError"),
        ([], {"x-amz-security-token": "t"}, "InvalidToken"),
        ([], {"bucket": "another-bucket"}, "AccessDenied"),
        ([{"Content-MD5": base64.b64encode(bytes(16)).decode()}],
         {"Content-MD5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ([{"x-amz-checksum-crc32": "AAAAAA=="}], {"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
        ([{"x-amz-server-side-encryption": "AES256"}], {"x-amz-server-side-encryption": "AES256"}, "NotImplemented"),
    ],
)  # fmt: skip
def test_what_was_not_signed_is_refused_and_leaves_nothing(
    s3: Any, sender: Sender, conditions: list[Any], changed: dict[str, str], code: str
) -> None:
    post = s3.generate_presigned_post(sender.bucket, "signed-key", Conditions=conditions)
    before = left(sender.gateway)
    answer = sender.send(post["fields"] | changed, b"12345")
    assert code == answer.code
    assert [] == s3.list_objects_v2(Bucket=sender.bucket).get("Contents", [])
    assert eventually(lambda: before == left(sender.gateway))


@pytest.mark.parametrize("size", [4 * MIB, 4 * MIB + 200_000])
def test_a_file_over_its_range_is_refused_with_nothing_left(s3: Any, sender: Sender, size: int) -> None:
    """Once found while it arrives, and once from the announced length alone."""
    post = s3.generate_presigned_post(
        sender.bucket, "k", Conditions=[["content-length-range", 0, 4 * MIB - 1]]
    )
    before = left(sender.gateway)
    assert "EntityTooLarge" == sender.send(post["fields"], bytes(size)).code
    assert eventually(lambda: before == left(sender.gateway))


def test_an_unknown_key_a_revoked_date_and_an_expired_policy_are_refused(
    s3_gateway: RunningGateway, s3: Any, sender: Sender
) -> None:
    nobody = client(s3_gateway, Credentials(0, "nobody", "WEIRNOSUCHKEY", "secret"), signature_version="s3v4")  # type: ignore[arg-type]
    unknown = nobody.generate_presigned_post(sender.bucket, "k")
    assert "InvalidAccessKeyId" == sender.send(unknown["fields"], b"x").code
    expired = s3.generate_presigned_post(sender.bucket, "k", ExpiresIn=-1)
    answer = sender.send(expired["fields"], b"x")
    assert ("AccessDenied", True) == (answer.code, b"Policy expired" in answer.body)


def test_a_form_signed_the_old_way_is_told_how_to_sign(
    s3_gateway: RunningGateway, anna: Credentials, sender: Sender
) -> None:
    old = client(s3_gateway, anna, signature_version="s3").generate_presigned_post(sender.bucket, "k")
    answer = sender.send(old["fields"], b"x")
    assert ("InvalidRequest", True) == (answer.code, b"AWS4-HMAC-SHA256" in answer.body)


def test_a_form_of_another_member_or_of_nobody_is_refused(s3_gateway: RunningGateway, sender: Sender) -> None:
    bert = client(s3_gateway, s3_gateway.member("form-bert"), signature_version="s3v4")
    assert (
        "AccessDenied" == sender.send(bert.generate_presigned_post(sender.bucket, "k")["fields"], b"x").code
    )
    assert "AccessDenied" == sender.send({"key": "k"}, b"x").code


def test_anybody_may_send_a_form_where_the_bucket_lets_everybody_write(
    s3: Any, anna: Credentials, sender: Sender
) -> None:
    s3.put_bucket_acl(Bucket=sender.bucket, ACL="public-read-write")
    answer = sender.send({"key": "anybody/${filename}", "Content-Type": "text/plain"}, b"12345")
    assert 204 == answer.status
    assert b"12345" == s3.get_object(Bucket=sender.bucket, Key="anybody/photo.jpg")["Body"].read()
    record = record_of(sender.gateway, answer.headers["x-amz-request-id"])
    assert (anna.member, NOBODY) == (record.payer, record.requester)


def test_a_form_signed_in_its_address_is_refused(
    s3_gateway: RunningGateway, anna: Credentials, sender: Sender
) -> None:
    """A signature over the head would say nothing of the fields."""
    body, content_type = encode_multipart_formdata([("key", "k"), ("file", ("f", b"x", "text/plain"))])
    signed = sign(s3_gateway, anna, "POST", f"/{sender.bucket}", headers={"Content-Type": content_type})
    assert "InvalidRequest" == ask(s3_gateway, signed.whole(body)).code


def test_a_post_that_is_no_form_says_so(s3_gateway: RunningGateway, sender: Sender) -> None:
    def post(more: str, body: bytes = b"hello") -> Answer:
        head = f"POST /{sender.bucket} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        return ask(s3_gateway, head.encode() + body)

    assert (412, "PreconditionFailed") == ((answer := post("")).status, answer.code)
    assert "MalformedPOSTRequest" == post("Content-Type: multipart/form-data; boundary=b\r\n").code
    too_much = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + bytes(FIELDS_BYTES_MAX)
    assert (
        "MaxPostPreDataLengthExceededError"
        == post("Content-Type: multipart/form-data; boundary=b\r\n", too_much).code
    )


def test_what_follows_the_file_is_ignored(s3: Any, sender: Sender) -> None:
    post = s3.generate_presigned_post(sender.bucket, "k")
    parts: list[tuple[str, Any]] = [
        *post["fields"].items(), ("file", ("a", b"first", "text/plain")), ("file", ("b", b"second", "text/plain")),
        ("key", "other"), ("submit", "Upload"),
    ]  # fmt: skip
    body, content_type = encode_multipart_formdata(parts)
    head = f"POST /{sender.bucket}/ HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}"
    assert 204 == ask(sender.gateway, head.encode() + b"\r\n\r\n" + body).status
    assert ["k"] == [one["Key"] for one in s3.list_objects_v2(Bucket=sender.bucket)["Contents"]]
    assert b"first" == s3.get_object(Bucket=sender.bucket, Key="k")["Body"].read()


@pytest.mark.parametrize("size", [10, 300_000])
def test_the_whole_forms_body_is_what_came_in_and_the_owner_pays(
    s3: Any, anna: Credentials, sender: Sender, size: int
) -> None:
    post = s3.generate_presigned_post(sender.bucket, "k")
    head, body = sender.encoded(post["fields"], bytes(size))
    answer = ask(sender.gateway, head + body)
    record = record_of(sender.gateway, answer.headers["x-amz-request-id"])
    assert (Operation.POST_OBJECT.code, "A", anna.member, anna.member, len(body), len(body), 204) == (
        record.operation, record.request_class.name, record.payer, record.requester, record.bytes_in,
        record.moved_in, record.status,
    )  # fmt: skip
    refused = sender.send(post["fields"] | {"key": "other"}, bytes(size))
    record = record_of(sender.gateway, refused.headers["x-amz-request-id"])
    assert (0, 0) == (record.bytes_in, record.payer)


def test_a_form_broken_off_in_its_file_stores_nothing(s3: Any, sender: Sender) -> None:
    before = left(sender.gateway)
    head, body = sender.encoded(s3.generate_presigned_post(sender.bucket, "k")["fields"], bytes(MIB))
    with line(sender.gateway) as open_line:
        open_line.send(head + body[: len(body) // 2])
    assert eventually(lambda: before == left(sender.gateway))
    # The announced length came, but the form has no end.
    cut = head.replace(str(len(body)).encode(), str(len(body) - 4).encode()) + body[:-4]
    assert "MalformedPOSTRequest" == ask(sender.gateway, cut).code
    assert [] == s3.list_objects_v2(Bucket=sender.bucket).get("Contents", [])


@pytest.mark.needs("checksums")
def test_checksums_among_the_fields_are_verified_and_kept(s3: Any, sender: Sender) -> None:
    value = base64.b64encode(zlib.crc32(b"12345").to_bytes(4, "big")).decode()
    fields = {"x-amz-checksum-crc32": value}
    post = s3.generate_presigned_post(sender.bucket, "k", Fields=fields, Conditions=[fields])
    assert 204 == sender.send(post["fields"], b"12345").status
    assert value == s3.head_object(Bucket=sender.bucket, Key="k", ChecksumMode="ENABLED")["ChecksumCRC32"]


@pytest.mark.needs("customer_keys")
def test_a_form_brings_tags_and_a_key_to_seal_with_as_a_put_does(s3: Any, sender: Sender) -> None:
    secret = bytes(range(32))
    sealing = "x-amz-server-side-encryption-customer-"
    fields = {
        "tagging": "<Tagging><TagSet><Tag><Key>a b</Key><Value>c</Value></Tag></TagSet></Tagging>",
        f"{sealing}algorithm": "AES256", f"{sealing}key": base64.b64encode(secret).decode(),
        f"{sealing}key-MD5": base64.b64encode(hashlib.md5(secret).digest()).decode(),
    }  # fmt: skip
    post = s3.generate_presigned_post(
        sender.bucket, "k", Fields=fields, Conditions=[{name: value} for name, value in fields.items()]
    )
    assert 204 == sender.send(post["fields"], b"12345").status
    assert [{"Key": "a b", "Value": "c"}] == s3.get_object_tagging(Bucket=sender.bucket, Key="k")["TagSet"]
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": secret}
    assert b"12345" == s3.get_object(Bucket=sender.bucket, Key="k", **key)["Body"].read()


def test_a_form_that_waits_to_be_told_is_told(s3: Any, sender: Sender) -> None:
    head, body = sender.encoded(s3.generate_presigned_post(sender.bucket, "k")["fields"], b"12345")
    with line(sender.gateway) as open_line:
        open_line.send(head[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert 100 == open_line.answer().status
        open_line.send(body)
        assert 204 == open_line.answer().status
