"""An upload form's credentials, read from its fields into a Claim. Nothing is proven here.

What is signed is the policy as it was sent; that the other fields keep to it is gateway.postpolicy's question.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import invalid_argument, s3_error
from gateway.sigv4.parse import (
    ALGORITHM,
    SIGV2,
    UNSIGNED,
    Claim,
    Payload,
    PayloadMode,
    check_scope,
    instant_us,
    split_credential,
)

FORM_LIFE_S = 604_800
"""No form is older than a signing key may be, whatever its policy says."""
_MALFORMED = "AuthorizationQueryParametersError"
_NEEDED = ("x-amz-signature", "x-amz-algorithm", "x-amz-credential", "x-amz-date")
UNSIGNED_FORM = Claim("", "", "", "", "", "", 0, FORM_LIFE_S, Payload(PayloadMode.UNSIGNED), UNSIGNED)
"""How a form's body is protected: by no signature of its own."""


def parse_form_claim(fields: Mapping[str, str], *, region: str) -> Claim | None:
    """The form's claim, or None when it carries neither policy nor signature. Raises S3Error for a half of one."""
    if "signature" in fields or "awsaccesskeyid" in fields:
        raise s3_error("InvalidRequest", SIGV2)
    if "policy" not in fields and not any(name in fields for name in _NEEDED):
        return None
    if "x-amz-security-token" in fields:
        raise s3_error("InvalidToken")
    for name in ("policy", *_NEEDED):
        if not fields.get(name):
            raise invalid_argument(
                name, "",
                f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of "
                "the fields.",
            )  # fmt: skip
    if fields["x-amz-algorithm"] != ALGORITHM:
        raise s3_error(_MALFORMED, 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    timestamp = fields["x-amz-date"]
    requested_at_us = instant_us(timestamp)
    if requested_at_us is None:
        raise s3_error(_MALFORMED, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    access_key, scope_date, claimed_region = split_credential(fields["x-amz-credential"], _MALFORMED)
    claim = Claim(
        access_key, scope_date, claimed_region, "", fields["x-amz-signature"], timestamp, requested_at_us,
        FORM_LIFE_S, Payload(PayloadMode.UNSIGNED), UNSIGNED,
    )  # fmt: skip
    check_scope(claim, region)
    return claim
