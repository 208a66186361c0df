"""A request's credentials, read into a Claim: what is claimed and what was signed. Nothing is proven here.

Signature Version 4 for S3, in the Authorization header or in the query, never both. It knows no
secrets and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from gateway.errors import S3Error, s3_error
from gateway.route import parse_query
from meter.window import to_us

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SERVICE = "s3"


class PayloadMode(Enum):
    """The five ways a body may arrive (x-amz-content-sha256)."""

    HASHED = "a SHA-256 in hexadecimal"
    UNSIGNED = UNSIGNED
    SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    UNSIGNED_CHUNKS_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    @property
    def is_chunked(self) -> bool:
        """Whether the body carries aws-chunked framing."""
        return self in _CHUNKED

    # One of a kind, so its place in memory will do; Enum's own hash is Python, and asked for at every body.
    __hash__ = object.__hash__


_CHUNKED = frozenset(
    (PayloadMode.SIGNED_CHUNKS, PayloadMode.SIGNED_CHUNKS_TRAILER, PayloadMode.UNSIGNED_CHUNKS_TRAILER)
)
_MODES = {mode.value: mode for mode in PayloadMode if mode is not PayloadMode.HASHED}


class Payload(NamedTuple):
    """How the body is protected."""

    mode: PayloadMode
    sha256_hex: str = ""
    """Only with HASHED: 64 lower-case digits."""


class Claim(NamedTuple):
    """Who a request says it is from, not yet proven."""

    access_key: str
    scope_date: str
    """YYYYMMDD."""
    region: str
    signed_headers: str
    """As sent: lower-case names, sorted, joined by ';'."""
    signature: str
    """As sent; 64 hexadecimal digits if it is honest."""
    timestamp: str
    """YYYYMMDDTHHMMSSZ, as it is signed."""
    requested_at_us: int
    expires_s: int | None
    """Life of a presigned request in seconds; None when the credentials came in the header."""
    payload: Payload
    payload_text: str
    """The last line of the canonical request."""

    @property
    def scope(self) -> str:
        """The credential scope, without the access key."""
        return f"{self.scope_date}/{self.region}/{SERVICE}/aws4_request"

    @property
    def in_query(self) -> bool:
        """Whether this is a presigned request."""
        return self.expires_s is not None


_ACCESS_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_HEX_64 = re.compile(r"[0-9a-fA-F]{64}")
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
SIGV2 = (
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256; "
    "for presigned links of boto3 that is Config(signature_version='s3v4')."
)


def parse_claim(
    raw_query: str, headers: Mapping[str, str], *, region: str, locations: Container[str] = ()
) -> Claim | None:
    """The request's claim, or None when it carries no credentials at all.

    Some clients sign for the location a bucket tells, so the locations of engines count as the region does.

    headers are what join_headers made of all that arrived. Raises S3Error: credentials twice, a
    scope of another date, region or service, an x-amz-* header that is not signed, an unknown
    payload mode.
    """
    authorization = headers.get("authorization")
    # Cheap test first: nearly every request carries its credentials in the header.
    query = parse_query(raw_query) if "Signature" in raw_query or "X-Amz-" in raw_query else {}
    if query and any(name in query for name in _PRESIGNED):
        if authorization is not None:
            raise s3_error(
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                "Signature query string parameter or the Authorization header should be specified",
            )
        claim = _query_claim(query, headers)
    elif authorization is not None:
        claim = _header_claim(authorization, headers)
    elif "Signature" in query and "AWSAccessKeyId" in query:
        raise s3_error("InvalidRequest", SIGV2)
    else:
        return None
    check_scope(claim, claim.region if claim.region in locations else region)
    _check_signed(claim.signed_headers, headers)
    return claim


_PRESIGNED = ("X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential")


def join_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers under lower-case names, repeated ones joined by ',' as they are signed.

    Raises InvalidRequest where a repetition would be a second identity: host, authorization, dates,
    and the header that selects how the body is verified.
    """
    lowered = [(name.lower(), value) for name, value in headers]
    single = dict(lowered)
    return single if len(single) == len(lowered) else _joined(lowered)


def _joined(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    single: dict[str, str] = {}
    for lower, value in headers:
        if lower in single:
            if lower in _NEVER_TWICE:
                raise s3_error("InvalidRequest", f"The header {lower} was sent more than once.")
            single[lower] = f"{single[lower]},{value}"
        else:
            single[lower] = value
    return single


_NEVER_TWICE = frozenset(
    (
        "host",
        "authorization",
        "x-amz-date",
        "date",
        "content-length",
        "content-md5",
        "x-amz-content-sha256",
        "x-amz-copy-source",
        "x-amz-decoded-content-length",
        "x-amz-security-token",
    )
)


@lru_cache(maxsize=256)
def parse_payload(text: str) -> Payload:
    """Read x-amz-content-sha256. An unknown value is refused: it would be stored with its framing.

    Cached, since all requests without a body say the same.
    """
    mode = _MODES.get(text)
    if mode is not None:
        return Payload(mode)
    if _HEX_64.fullmatch(text) is not None:
        return Payload(PayloadMode.HASHED, text.lower())
    raise s3_error(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER "
        "or a valid sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=text[:200],
    )


def _header_claim(authorization: str, headers: Mapping[str, str]) -> Claim:
    kind, _, rest = authorization.partition(" ")
    if kind != ALGORITHM:
        if kind == "AWS" or kind.startswith("AWS4-"):
            raise s3_error("InvalidRequest", SIGV2)
        raise s3_error("InvalidArgument", "Unsupported Authorization Type", ArgumentName="Authorization")
    # All but the signature is the same from request to request of one client and day.
    before, marker, after = rest.rpartition("Signature=")
    signature, _, behind = after.partition(",")
    if not marker:
        raise s3_error("AuthorizationHeaderMalformed")
    access_key, scope_date, region, signed_headers = _header_fields(before + behind)
    if "x-amz-security-token" in headers:
        raise s3_error("InvalidToken")
    payload_text = headers.get("x-amz-content-sha256")
    if payload_text is None:
        raise s3_error(
            "MissingSecurityHeader", "Missing required header for this request: x-amz-content-sha256"
        )
    timestamp, requested_at_us = _header_instant(headers)
    return Claim(
        access_key, scope_date, region, signed_headers, signature.rstrip(" "), timestamp, requested_at_us, None,
        parse_payload(payload_text), payload_text,
    )  # fmt: skip


@lru_cache(maxsize=256)
def _header_fields(text: str) -> tuple[str, str, str, str]:
    """Access key, scope date, region and signed headers. Cached: bounded, and none of it is secret."""
    fields: dict[str, str] = {}
    for piece in text.split(","):
        if not piece.strip():
            continue
        name, separator, value = piece.strip().partition("=")
        if not separator or name in fields:
            raise s3_error("AuthorizationHeaderMalformed")
        fields[name] = value
    if fields.keys() != {"Credential", "SignedHeaders"}:
        raise s3_error("AuthorizationHeaderMalformed")
    return *split_credential(fields["Credential"], "AuthorizationHeaderMalformed"), fields["SignedHeaders"]


def _query_claim(query: Mapping[str, str], headers: Mapping[str, str]) -> Claim:
    malformed = "AuthorizationQueryParametersError"
    needed = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
    missing = [name for name in needed if f"X-Amz-{name}" not in query]
    if missing:
        raise s3_error(
            malformed,
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        )
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise s3_error(malformed, 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    if "X-Amz-Security-Token" in query or "x-amz-security-token" in headers:
        raise s3_error("InvalidToken")
    timestamp = query["X-Amz-Date"]
    requested_at_us = instant_us(timestamp)
    if requested_at_us is None:
        raise s3_error(malformed, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    access_key, scope_date, region = split_credential(query["X-Amz-Credential"], malformed)
    payload, payload_text = _query_payload(query, headers)
    return Claim(
        access_key,
        scope_date,
        region,
        query["X-Amz-SignedHeaders"],
        query["X-Amz-Signature"],
        timestamp,
        requested_at_us,
        _expires_s(query["X-Amz-Expires"]),
        payload,
        payload_text,
    )


def _query_payload(query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[Payload, str]:
    """How a presigned request's body is protected, and the line that was signed.

    The header selects the verifier, so one that was not signed may only add a check: framing that
    the signer never agreed to is refused.
    """
    signed = "x-amz-content-sha256" in _names(query["X-Amz-SignedHeaders"])
    header = headers.get("x-amz-content-sha256")
    payload_text = query.get("X-Amz-Content-Sha256", UNSIGNED)
    if signed and header is not None:
        payload_text = header
    payload = parse_payload(payload_text)
    if payload.mode.is_chunked:
        raise s3_error(
            "InvalidRequest", "A presigned request cannot have a body in signed or trailed chunks."
        )
    if header is None or signed:
        return payload, payload_text
    added = parse_payload(header)
    if added.mode.is_chunked:
        raise s3_error("AccessDenied", "x-amz-content-sha256 was not signed.")
    return (payload if payload.mode is PayloadMode.HASHED else added), payload_text


def split_credential(text: str, malformed: str) -> tuple[str, str, str]:
    """Access key, scope date and region; malformed is the code of the refusal."""
    pieces = text.rsplit("/", 4)
    if len(pieces) != 5 or _ACCESS_KEY.fullmatch(pieces[0]) is None:
        raise s3_error(
            malformed,
            'The Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
        )
    access_key, scope_date, region, service, terminal = pieces
    if service != SERVICE:
        raise s3_error(malformed, f'Incorrect service. This endpoint belongs to "{SERVICE}".')
    if terminal != "aws4_request":
        raise s3_error(malformed, 'Incorrect terminal. This endpoint uses "aws4_request".')
    return access_key, scope_date, region


def check_scope(claim: Claim, region: str) -> None:
    """Whether the claim is for this region and for its own date. Raises S3Error."""
    if claim.region == region and claim.scope_date == claim.timestamp[:8]:
        return
    malformed = "AuthorizationQueryParametersError" if claim.in_query else "AuthorizationHeaderMalformed"
    if claim.region != region:
        raise s3_error(
            malformed, f"The region '{claim.region[:64]}' is wrong; expecting '{region}'", Region=region
        )
    raise s3_error(malformed, "Invalid credential date. Date is not the same as the request's date.")


# In a presigned request the header's value was never signed, and _query_payload keeps it harmless;
# in the header's case its value is the last signed line.
_EXEMPT = frozenset(("x-amz-content-sha256",))


def _check_signed(signed_headers: str, headers: Mapping[str, str]) -> None:
    """Every x-amz-* header that arrived, and host, must be signed: handlers obey what arrived."""
    signed = _names(signed_headers)
    missing = [name for name in headers.keys() - signed - _EXEMPT if name.startswith("x-amz-")]
    if "host" not in signed:
        missing.append("host")
    if missing:
        raise _unsigned(missing)


@lru_cache(maxsize=256)
def _names(signed_headers: str) -> frozenset[str]:
    names = signed_headers.split(";")
    if len(set(names)) != len(names):
        raise s3_error("InvalidRequest", "A header is named twice in SignedHeaders.")
    return frozenset(names)


def _unsigned(names: Sequence[str]) -> S3Error:
    return s3_error(
        "AccessDenied",
        "There were headers present in the request which were not signed",
        HeadersNotSigned=", ".join(sorted(names))[:500],
    )


def _header_instant(headers: Mapping[str, str]) -> tuple[str, int]:
    timestamp = headers.get("x-amz-date")
    if timestamp is not None:
        requested_at_us = instant_us(timestamp)
        if requested_at_us is not None:
            return timestamp, requested_at_us
    elif "date" in headers:
        try:
            moment = parsedate_to_datetime(headers["date"])
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
            return moment.strftime("%Y%m%dT%H%M%SZ"), to_us(moment)
        except (ValueError, OverflowError):
            pass  # the same refusal as a missing date, below
    raise s3_error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")


@lru_cache(maxsize=256)
def instant_us(timestamp: str) -> int | None:
    """YYYYMMDDTHHMMSSZ in microseconds; None when it is no instant."""
    if _TIMESTAMP.fullmatch(timestamp) is None:
        return None
    try:
        return to_us(datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))
    except ValueError:
        return None


def _expires_s(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) == 0:
        raise s3_error(
            "AuthorizationQueryParametersError",
            "X-Amz-Expires must be a whole number of seconds, at least 1.",
        )
    return int(text)
