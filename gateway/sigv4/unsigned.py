"""The claim of a request that nobody signed: nobody, and a body without signed chunks. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import s3_error
from gateway.sigv4.parse import UNSIGNED, Claim, parse_payload


def unsigned_claim(headers: Mapping[str, str]) -> Claim:
    """How the body arrives. Raises AccessDenied for chunks: their frames would be stored, or trusted, unproven."""
    payload = parse_payload(headers.get("x-amz-content-sha256", UNSIGNED))
    if payload.mode.is_chunked or "aws-chunked" in headers.get("content-encoding", "").lower():
        raise s3_error("AccessDenied", "A body in chunks must be signed.")
    return Claim("", "", "", "", "", "", 0, None, payload, "")
