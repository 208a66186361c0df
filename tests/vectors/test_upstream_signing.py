"""Requests to upstreams are signed as Amazon's published examples are, and as botocore, another signer, signs them."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from unittest.mock import patch

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from gateway.storage.upstream.requests import copy_source, object_path, query_text
from gateway.storage.upstream.signing import EMPTY_SHA256, UNSIGNED_PAYLOAD, Account, signed_headers
from tests.vectors.test_sigv4_published import ACCESS_KEY, EXAMPLES, NOW_US, SECRET

ACCOUNT = Account(ACCESS_KEY, SECRET, "us-east-1")
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)
# botocore folds every blank of Unicode in a header's value, where the standard and S3 mean those of ASCII.
VALUE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z"), include_characters=" "), max_size=40)


class _Signer(botocore.auth.S3SigV4Auth):  # type: ignore[misc]
    """botocore's S3 signer for a given payload."""

    def __init__(self, payload: str, region: str) -> None:
        super().__init__(Credentials(ACCESS_KEY, SECRET), "s3", region)
        self._payload = payload

    def payload(self, request: AWSRequest) -> str:
        """x-amz-content-sha256."""
        del request
        return self._payload


def by_botocore(
    method: str, path: str, query: str, headers: dict[str, str], *, payload: str, at_us: int, region: str
) -> str:
    """The Authorization header botocore makes."""
    target = f"https://{headers['host']}{path}{'?' if query else ''}{query}"
    request = AWSRequest(method, target, headers={k: v for k, v in headers.items() if k != "host"})
    moment = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    with patch("botocore.auth.get_current_datetime", lambda: moment):
        _Signer(payload, region).add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_published_request_gets_its_published_signature(example: str) -> None:
    method, path, query, pairs, signed, signature = EXAMPLES[example]
    headers = {name.lower(): value for name, value in pairs}
    payload = headers.pop("x-amz-content-sha256")
    assert "20130524T000000Z" == headers.pop("x-amz-date")
    sent = signed_headers(ACCOUNT, method, path, query, headers, now_us=NOW_US, payload=payload)
    scope = f"{ACCESS_KEY}/20130524/us-east-1/s3/aws4_request"
    assert (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={signature}"
        == sent["authorization"]
    )
    assert ("20130524T000000Z", payload) == (sent["x-amz-date"], sent["x-amz-content-sha256"])


@given(
    bucket=st.from_regex(r"[a-z0-9]{3,20}", fullmatch=True),
    key=TEXT,
    parameters=st.dictionaries(
        st.from_regex(r"[A-Za-z-]{1,12}", fullmatch=True), TEXT | st.just(""), max_size=4
    ),
    metadata=st.dictionaries(st.from_regex(r"x-amz-meta-[a-z]{1,8}", fullmatch=True), VALUE, max_size=4),
    at_us=st.integers(1_000_000_000_000_000, 4_000_000_000_000_000),
    payload=st.sampled_from((UNSIGNED_PAYLOAD, EMPTY_SHA256)),
    region=st.sampled_from(("us-east-1", "default", "eu-central-003")),
)
def test_every_request_gets_botocores_signature(
    bucket: str, key: str, parameters: dict[str, str], metadata: dict[str, str], at_us: int, payload: str, region: str
) -> None:  # fmt: skip
    path, query = object_path(bucket, key), query_text(parameters)
    headers = {"host": "127.0.0.1:7480", "content-type": "text/plain", **metadata}
    sent = signed_headers(
        Account(ACCESS_KEY, SECRET, region), "PUT", path, query, headers, now_us=at_us, payload=payload
    )
    expected = by_botocore("PUT", path, query, headers, payload=payload, at_us=at_us, region=region)
    assert expected == sent["authorization"]


def test_the_key_changes_with_the_day_and_the_secret() -> None:
    headers = {"host": "a"}
    day_us = 86_400_000_000
    for at_us in (NOW_US, NOW_US + day_us - 1, NOW_US + day_us, NOW_US):
        expected = by_botocore(
            "GET", "/b", "", headers, payload=EMPTY_SHA256, at_us=at_us, region="us-east-1"
        )
        sent = signed_headers(ACCOUNT, "GET", "/b", "", headers, now_us=at_us, payload=EMPTY_SHA256)
        assert expected == sent["authorization"]
    other = signed_headers(Account(ACCESS_KEY, "other", "us-east-1"), "GET", "/b", "", headers, now_us=NOW_US)
    same = signed_headers(ACCOUNT, "GET", "/b", "", headers, now_us=NOW_US)
    assert same["authorization"] != other["authorization"]


def test_the_secret_is_in_nothing_that_is_printed() -> None:
    assert SECRET not in repr(ACCOUNT)
    assert SECRET not in str(signed_headers(ACCOUNT, "GET", "/b", "", {"host": "a"}, now_us=NOW_US))


def test_names_in_targets_are_encoded_once_and_not_normalised(seed: int) -> None:
    assert "/b/a%20b/%2B%25/../%C3%BC%3F%26" == object_path("b", "a b/+%/../ü?&")
    assert "/b//lead//x/" == object_path("b", "/lead//x/")
    assert "/b" == object_path("b")
    pairs = [("uploads", ""), ("prefix", "a/ü +"), ("encoding-type", "url")]
    random.Random(seed).shuffle(pairs)
    assert "encoding-type=url&prefix=a%2F%C3%BC%20%2B&uploads" == query_text(dict(pairs))
    assert "/b/k%20?versionId=a%2Bb" == copy_source("b", "k ", "a+b")
