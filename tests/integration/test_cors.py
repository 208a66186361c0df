"""Pages of other origins at a real gateway: rules through boto3, preflights and answers over plain sockets."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.operation import Operation
from meter.ids import NOBODY
from tests.gateway import Credentials, RunningGateway
from tests.integration.records import record_of
from tests.integration.s3_kit import Answer, ask, fetch, sign

PAGE = "https://page.example"
RULES = {
    "CORSRules": [
        {
            "ID": "pages & more",
            "AllowedOrigins": [PAGE, "https://*.coop.example"],
            "AllowedMethods": ["GET", "PUT", "HEAD"],
            "AllowedHeaders": ["content-*", "x-amz-*", "authorization"],
            "ExposeHeaders": ["ETag", "x-amz-request-id"],
            "MaxAgeSeconds": 600,
        },
        {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]},
    ]
}


def preflight(gateway: RunningGateway, target: str, **headers: str) -> Answer:
    """OPTIONS, as browsers send it: without a signature."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return ask(gateway, f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())


def told(answer: Answer) -> dict[str, str]:
    """What of the answer speaks to the browser."""
    return {
        name: value for name, value in answer.headers.items() if name.startswith("access-") or name == "vary"
    }


FOR_THE_PAGE = {
    "access-control-allow-origin": PAGE,
    "access-control-allow-methods": "GET, PUT, HEAD",
    "access-control-expose-headers": "ETag, x-amz-request-id",
    "access-control-max-age": "600",
    "access-control-allow-credentials": "true",
    "vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
}


def test_rules_are_kept_told_and_taken_away(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.get_bucket_cors(Bucket=bucket)
    assert "NoSuchCORSConfiguration" == error.value.response["Error"]["Code"]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    assert RULES["CORSRules"] == s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    s3.delete_bucket_cors(Bucket=bucket)
    with pytest.raises(ClientError):
        s3.get_bucket_cors(Bucket=bucket)


def test_a_preflight_is_answered_without_a_signature_at_once_by_every_worker(
    s3_gateway: RunningGateway, s3: Any, bucket: str
) -> None:
    question = {"Origin": PAGE, "Access_Control_Request_Method": "PUT"}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    for _ in range(8):  # the kernel spreads connections over both workers
        answer = preflight(
            s3_gateway, f"/{bucket}/k", **question, Access_Control_Request_Headers="Content-Type,x-amz-acl"
        )
        assert 200 == answer.status
        assert {**FOR_THE_PAGE, "access-control-allow-headers": "content-type, x-amz-acl"} == told(answer)
    assert {**FOR_THE_PAGE, "access-control-allow-origin": "https://a.coop.example"} == told(
        preflight(
            s3_gateway, f"/{bucket}", Origin="https://a.coop.example", Access_Control_Request_Method="GET"
        )
    )
    s3.delete_bucket_cors(Bucket=bucket)
    assert "AccessForbidden" == preflight(s3_gateway, f"/{bucket}/k", **question).code


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Origin": PAGE}, 400, "BadRequest"),
        ({"Access_Control_Request_Method": "GET"}, 400, "BadRequest"),
        ({"Origin": PAGE, "Access_Control_Request_Method": "PATCH"}, 400, "BadRequest"),
        ({"Origin": PAGE, "Access_Control_Request_Method": "DELETE"}, 403, "AccessForbidden"),
        ({"Origin": "http://page.example", "Access_Control_Request_Method": "PUT"}, 403, "AccessForbidden"),
        (
            {
                "Origin": PAGE,
                "Access_Control_Request_Method": "PUT",
                "Access_Control_Request_Headers": "cookie",
            },
            403,
            "AccessForbidden",
        ),
    ],
)
def test_a_preflight_that_no_rule_fits_is_refused(
    s3_gateway: RunningGateway, s3: Any, bucket: str, headers: dict[str, str], status: int, code: str
) -> None:
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    answer = preflight(s3_gateway, f"/{bucket}/k", **headers)
    assert (status, code, {}) == (answer.status, answer.code, told(answer))


def test_a_bucket_without_rules_and_one_that_is_not_there_say_no(
    s3_gateway: RunningGateway, bucket: str
) -> None:
    question = {"Origin": PAGE, "Access_Control_Request_Method": "GET"}
    for name in (bucket, "never-was-there"):
        assert "AccessForbidden" == preflight(s3_gateway, f"/{name}/k", **question).code


def test_answers_and_errors_carry_what_lets_the_page_read_them(
    s3_gateway: RunningGateway, anna: Credentials, s3: Any, bucket: str
) -> None:
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")

    def asked(method: str, key: str, origin: str) -> Answer:
        signed = sign(s3_gateway, anna, method, f"/{bucket}/{key}", headers={"Origin": origin})
        return ask(s3_gateway, signed.head())

    for key, status in (("k", 200), ("missing", 404)):
        answer = asked("GET", key, PAGE)
        assert (status, FOR_THE_PAGE) == (answer.status, told(answer))
    unsigned = fetch(f"{s3_gateway.url}/{bucket}/k", headers={"Origin": PAGE})
    assert (403, FOR_THE_PAGE) == (unsigned.status, told(unsigned))
    anybody = asked("GET", "k", "https://elsewhere.example")
    assert ("*", None) == (
        anybody.headers["access-control-allow-origin"],
        anybody.headers.get("access-control-allow-credentials"),
    )
    assert {} == told(asked("DELETE", "k", PAGE))
    plain = fetch(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "missing"}))
    assert {} == told(plain)


def test_a_preflight_is_free_and_nobody_pays(s3_gateway: RunningGateway, s3: Any, bucket: str) -> None:
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    answer = preflight(s3_gateway, f"/{bucket}/k", Origin=PAGE, Access_Control_Request_Method="GET")
    record = record_of(s3_gateway, answer.headers["x-amz-request-id"])
    assert (Operation.PREFLIGHT_OBJECT.code, "FREE", NOBODY, 0, 0) == (
        record.operation, record.request_class.name, record.payer, record.bytes_in, record.bytes_out,
    )  # fmt: skip
