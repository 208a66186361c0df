"""Signs a request to an upstream: Signature Version 4 in the header, as S3 wants it. Pure; it is handed the time.

The canonical form and the signature are those the gateway verifies its own clients with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.sigv4.canonical import canonical_request, string_to_sign
from gateway.sigv4.signature import sign, signing_key
from meter.window import MICROSECONDS, to_datetime

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
"""In place of a body's SHA-256: the body is streamed, and what it is stands in its ETag and checksums."""
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The SHA-256 of a body without a byte."""
_KEYS_MAX = 64
"""Upstreams times days of which the signing key is kept; a gateway has few of the one and needs one of the other."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a request to an upstream is signed as."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str


def signed_headers(
    account: Account,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    *,
    now_us: int,
    payload: str = UNSIGNED_PAYLOAD,
) -> dict[str, str]:
    """The headers with date, payload and signature; all that are given are signed.

    Names are in lower case and `host` is among them; path and query are as they go over the wire. What the
    signature should not hold (Content-Length, Expect) is added behind this.
    """
    stamp, date = _instant(now_us // MICROSECONDS)
    sent = {**headers, "x-amz-content-sha256": payload, "x-amz-date": stamp}
    names = ";".join(sorted(sent))
    canonical = canonical_request(method, path, query, sent, signed_headers=names, payload_text=payload)
    scope = f"{date}/{account.region}/s3/aws4_request"
    signature = sign(
        _day_key(account.secret_key, date, account.region), string_to_sign(stamp, scope, canonical)
    )
    sent["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={account.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return sent


@lru_cache(maxsize=4)
def _instant(second: int) -> tuple[str, str]:
    """The second as X-Amz-Date, and its day. Many requests share a second."""
    stamp = to_datetime(second * MICROSECONDS).strftime("%Y%m%dT%H%M%SZ")
    return stamp, stamp[:8]


@lru_cache(maxsize=_KEYS_MAX)
def _day_key(secret_key: str, date: str, region: str) -> bytes:
    return signing_key(secret_key, date, region)


forget_keys = _day_key.cache_clear
"""Drop what was kept of secrets."""
