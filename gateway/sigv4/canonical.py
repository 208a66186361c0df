"""The canonical request and the string to sign of Signature Version 4, as S3 defines them.

S3's own rule: each path segment is encoded once, and nothing is normalised. Works on the raw
target, so that what is verified is what was sent. Pure text; no keys here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

# What encoding would leave as it is: the common path and query pass through after one scan.
_PLAIN_PATH = re.compile(r"(?:[A-Za-z0-9\-._~/]|%[0-9A-F]{2})*")
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9\-._~]*")
_ESCAPED_UNRESERVED = re.compile(r"%(?:2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])")
_NOTHING = sha256()
"""Copied rather than made: OpenSSL looks the algorithm up anew for each hash that is made."""
_BLANKS = re.compile(r"[ \t]+")


def canonical_request(
    method: str,
    raw_path: str,
    raw_query: str,
    headers: Mapping[str, str],
    *,
    signed_headers: str,
    payload_text: str,
) -> bytes:
    """The text whose hash is signed.

    headers have lower-case names, repeated values joined by ','; a signed header that did not
    arrive counts as empty. X-Amz-Signature is left out of the query.
    """
    query = canonical_query(raw_query) if raw_query else ""
    signed = [f"{name}:{headers.get(name, '')}\n" for name in signed_headers.split(";")]
    text = "".join(signed)
    if "  " in text or ": " in text or " \n" in text or "\t" in text:
        text = "".join([f"{name}:{_trimmed(headers.get(name, ''))}\n" for name in signed_headers.split(";")])
    return f"{method}\n{canonical_path(raw_path)}\n{query}\n{text}\n{signed_headers}\n{payload_text}".encode(
        "utf-8", "surrogateescape"
    )


def string_to_sign(timestamp: str, scope: str, canonical: bytes) -> bytes:
    """What the signing key signs."""
    digest = _NOTHING.copy()
    digest.update(canonical)
    return f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{digest.hexdigest()}".encode()


def canonical_path(raw_path: str) -> str:
    """The path decoded once and encoded once, segment by segment; '//' and '..' stay."""
    if _PLAIN_PATH.fullmatch(raw_path) and ("%" not in raw_path or not _ESCAPED_UNRESERVED.search(raw_path)):
        return raw_path
    return "/".join(_encoded(segment) for segment in raw_path.split("/"))


def canonical_query(raw_query: str) -> str:
    """Parameters sorted by encoded name, then value; '+' was a space. Without X-Amz-Signature."""
    pairs = []
    for pair in raw_query.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if name == "X-Amz-Signature":
            continue
        pairs.append((_encoded(name.replace("+", " ")), _encoded(value.replace("+", " "))))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs])


def _encoded(raw: str) -> str:
    if _PLAIN_TEXT.fullmatch(raw):
        return raw
    return quote(unquote_to_bytes(raw.encode("utf-8", "surrogateescape")), safe="-_.~")


def _trimmed(value: str) -> str:
    """Blanks at the ends dropped, runs of them folded (Trimall)."""
    value = value.strip(" \t")
    if "  " in value or "\t" in value:
        return _BLANKS.sub(" ", value)
    return value
