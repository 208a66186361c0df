"""Signing keys, signatures, and the one place where a claim is verified. Compares in constant time.

Secrets and the time are arguments; nothing here is printed. What HMAC makes of a key before it sees
a text is kept, so that it is not made again for each request; forget_keys() drops it.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.errors import s3_error
from gateway.sigv4.canonical import string_to_sign
from gateway.sigv4.parse import SERVICE, Claim
from meter.window import MICROSECONDS

if TYPE_CHECKING:
    from hashlib import _Hash

KEYS_MAX = 4096
_BLOCK_BYTES = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


def signing_key(secret: str, scope_date: str, region: str, service: str = SERVICE) -> bytes:
    """The key of one day, region and service: 32 bytes. Worth caching; it is as secret as the secret."""
    key = hmac.digest(b"AWS4" + secret.encode(), scope_date.encode(), "sha256")
    key = hmac.digest(key, region.encode(), "sha256")
    key = hmac.digest(key, service.encode(), "sha256")
    return hmac.digest(key, b"aws4_request", "sha256")


def sign(key: bytes, text: bytes) -> str:
    """The signature in lower-case hexadecimal: HMAC-SHA-256 (RFC 2104).

    Done by hand, because OpenSSL looks its algorithms up anew at each call, which takes longer than
    hashing so little.
    """
    begun, finish = _halves(key)
    inner, outer = begun.copy(), finish.copy()
    inner.update(text)
    outer.update(inner.digest())
    return outer.hexdigest()


@lru_cache(maxsize=KEYS_MAX)
def _halves(key: bytes) -> tuple[_Hash, _Hash]:
    """Both hashes of HMAC, with the padded key taken in."""
    if len(key) > _BLOCK_BYTES:
        key = sha256(key).digest()
    padded = key.ljust(_BLOCK_BYTES, b"\0")
    return sha256(padded.translate(_INNER)), sha256(padded.translate(_OUTER))


forget_keys = _halves.cache_clear
"""Drop what was kept of keys, as their own cache is dropped."""


def matches(expected: str, given: str) -> bool:
    """Whether two signatures are equal, in time that does not tell where they differ."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))


def verify(
    claim: Claim, canonical: bytes, key: bytes, *, now_us: int, skew_s: int, presign_max_s: int
) -> None:
    """Prove the claim, or raise SignatureDoesNotMatch, RequestTimeTooSkewed, AccessDenied (expired).

    For an unknown access key, call it with the key of a secret nobody has, and answer alike.
    """
    expected = sign(key, string_to_sign(claim.timestamp, claim.scope, canonical))
    if not matches(expected, claim.signature):
        raise s3_error("SignatureDoesNotMatch", AWSAccessKeyId=claim.access_key[:128])
    check_time(claim, now_us=now_us, skew_s=skew_s, presign_max_s=presign_max_s)


def verify_form(
    claim: Claim, policy: str, key: bytes, *, now_us: int, skew_s: int, presign_max_s: int
) -> None:
    """Prove a form's claim over its policy as it was sent. Raises as verify does."""
    if not matches(sign(key, policy.encode()), claim.signature):
        raise s3_error("SignatureDoesNotMatch", AWSAccessKeyId=claim.access_key[:128])
    life_s = presign_max_s if claim.expires_s is None else min(claim.expires_s, presign_max_s)
    check_time(claim._replace(expires_s=life_s), now_us=now_us, skew_s=skew_s, presign_max_s=presign_max_s)


def check_time(claim: Claim, *, now_us: int, skew_s: int, presign_max_s: int) -> None:
    """Whether the request is of this time. Raises RequestTimeTooSkewed, AccessDenied or
    AuthorizationQueryParametersError.
    """
    skew_us = skew_s * MICROSECONDS
    if claim.expires_s is None:
        if abs(now_us - claim.requested_at_us) > skew_us:
            raise s3_error("RequestTimeTooSkewed", MaxAllowedSkewMilliseconds=skew_s * 1000)
        return
    if claim.expires_s > presign_max_s:
        raise s3_error(
            "AuthorizationQueryParametersError",
            f"X-Amz-Expires must be at most {presign_max_s} seconds.",
        )
    if claim.requested_at_us > now_us + skew_us:
        raise s3_error("AccessDenied", "Request is not valid yet")
    if now_us > claim.requested_at_us + claim.expires_s * MICROSECONDS:
        raise s3_error("AccessDenied", "Request has expired", Expires=claim.expires_s)
