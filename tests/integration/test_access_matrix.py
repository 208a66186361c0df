"""Every operation the gateway answers, over a real socket, by every way of saying who one is.

What is expected is written by hand: with the bucket and the object public-read, nobody's way opens the reading
operations and no other; a wrong signature opens nothing, whatever else would have been open; header and link of the
owner open everything.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SignerCredentials

from gateway.operation import Level, Operation
from tests.gateway import Credentials, RunningGateway
from tests.integration.s3_kit import Answer, Signed, left, line, sign

SUPPORTED = [one for one in Operation if one.supported]
OPEN_TO_ALL = {
    "HeadBucket", "ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads", "GetObject", "HeadObject",
    # A browser asks it unsigned; a form carries its signature inside.
    "PreflightBucket", "PreflightObject", "PostObject",
}  # fmt: skip
NOT_SIGNED_OUTSIDE = (Operation.PREFLIGHT_BUCKET, Operation.PREFLIGHT_OBJECT, Operation.POST_OBJECT)
SIGNED = [one for one in SUPPORTED if one not in NOT_SIGNED_OUTSIDE]
"""Those where a signature in header or link counts; the others have tests of their own."""
REFUSALS = {"AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId"}


@pytest.fixture
def opened(s3: Any, bucket: str) -> str:
    """A public-read bucket with a public-read object."""
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ACL="public-read")
    return bucket


def target(operation: Operation, bucket: str) -> str:
    """The raw path and query that name it."""
    if operation.level is Level.SERVICE:
        path = "/"
    elif operation is Operation.CREATE_BUCKET:
        path = f"/{bucket}-new"
    else:
        path = f"/{bucket}" if operation.level is Level.BUCKET else f"/{bucket}/k"
    more = "&partNumber=1" if operation in (Operation.UPLOAD_PART, Operation.UPLOAD_PART_COPY) else ""
    value = "=none" if operation.parameter == "uploadId" else ""
    return f"{path}?{operation.parameter}{value}{more}" if operation.parameter else path


def headers_of(operation: Operation, bucket: str) -> dict[str, str]:
    return {"x-amz-copy-source": f"{bucket}/k"} if "COPY" in operation.name else {}


def refused(answer: Answer) -> bool:
    """Whether the door stayed shut; an error from further inside is no refusal."""
    return answer.status == 403 and (b"<Error>" not in answer.body or answer.code in REFUSALS)


def send(gateway: RunningGateway, operation: Operation, signed: Signed) -> Answer:
    with line(gateway) as open_line:
        open_line.is_head = operation.method == "HEAD"
        open_line.send(signed.whole(b"<x/>"))
        return open_line.answer()


@pytest.mark.parametrize("operation", SUPPORTED, ids=lambda one: one.s3_name)
def test_nobody_gets_what_is_open_to_all_and_no_more(
    s3_gateway: RunningGateway, opened: str, operation: Operation
) -> None:
    before = left(s3_gateway)
    headers = {"Host": "x"} | headers_of(operation, opened)
    answer = send(s3_gateway, operation, Signed(operation.method, target(operation, opened), headers, ""))
    assert (operation.s3_name not in OPEN_TO_ALL) == refused(answer)
    assert before == left(s3_gateway)


@pytest.mark.parametrize("operation", SIGNED, ids=lambda one: one.s3_name)
def test_a_wrong_signature_opens_nothing_not_even_what_is_open_to_all(
    s3_gateway: RunningGateway, anna: Credentials, opened: str, operation: Operation
) -> None:
    before = left(s3_gateway)
    forged = Credentials(anna.member, anna.name, anna.access_key, "x" * 40)
    unknown = Credentials(anna.member, anna.name, "WEIR" + "A" * 16, anna.secret_key)
    for one in (forged, unknown):
        signed = sign(
            s3_gateway,
            one,
            operation.method,
            target(operation, opened),
            headers=headers_of(operation, opened),
        )
        answer = send(s3_gateway, operation, signed)
        assert 403 == answer.status
        assert operation.method == "HEAD" or answer.code in REFUSALS - {"AccessDenied"}
    assert before == left(s3_gateway)


@pytest.mark.parametrize("operation", SIGNED, ids=lambda one: one.s3_name)
def test_header_and_link_open_the_same_to_the_owner(
    s3_gateway: RunningGateway, anna: Credentials, opened: str, operation: Operation
) -> None:
    place = target(operation, opened)
    by_header = sign(s3_gateway, anna, operation.method, place, headers=headers_of(operation, opened))
    assert not refused(send(s3_gateway, operation, by_header))
    request = AWSRequest(operation.method, s3_gateway.url + place, headers=headers_of(operation, opened))
    signer = SignerCredentials(anna.access_key, anna.secret_key)
    S3SigV4QueryAuth(signer, "s3", "us-east-1", expires=60).add_auth(request)
    parts = urlsplit(request.url)
    headers = {"Host": parts.netloc} | headers_of(operation, opened)
    by_link = Signed(operation.method, f"{parts.path}?{parts.query}", headers, "")
    assert not refused(send(s3_gateway, operation, by_link))
    # A link of a stranger's is a stranger's.
    cut = Signed(operation.method, spoiled(by_link.target), headers, "")
    assert 403 == send(s3_gateway, operation, cut).status


def spoiled(link: str) -> str:
    """The link with another last digit of its signature, whatever that is."""
    return link[:-1] + ("1" if link.endswith("0") else "0")
