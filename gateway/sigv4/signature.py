"""Signing keys, signatures, and the one place where a claim is verified. Compares in constant time.

Secrets and the time are arguments; nothing here is kept or printed.
"""

from __future__ import annotations

import hmac
from dataclasses import replace

from gateway.errors import s3_error
from gateway.sigv4.canonical import string_to_sign
from gateway.sigv4.parse import SERVICE, Claim
from meter.window import MICROSECONDS


def signing_key(secret: str, scope_date: str, region: str, service: str = SERVICE) -> bytes:
    """The key of one day, region and service: 32 bytes. Worth caching; it is as secret as the secret."""
    key = hmac.digest(b"AWS4" + secret.encode(), scope_date.encode(), "sha256")
    key = hmac.digest(key, region.encode(), "sha256")
    key = hmac.digest(key, service.encode(), "sha256")
    return hmac.digest(key, b"aws4_request", "sha256")


def sign(key: bytes, text: bytes) -> str:
    """The signature in lower-case hexadecimal."""
    return hmac.digest(key, text, "sha256").hex()


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
    check_time(replace(claim, expires_s=life_s), now_us=now_us, skew_s=skew_s, presign_max_s=presign_max_s)


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
