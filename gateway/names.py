"""Names clients give: buckets, keys, the source of a copy. Decoded exactly once, never normalised.

A key never becomes a path, so '//', '.' and '..' are ordinary; only NUL and invalid UTF-8 are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from gateway.errors import invalid_argument, s3_error

KEY_BYTES_MAX = 1024
"""S3's own limit, in bytes of UTF-8; a constant of the protocol, not a setting."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}", re.ASCII)
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class CopySource:
    """What x-amz-copy-source names."""

    bucket: str
    key: str
    version_id: str
    """Empty when none was named."""


@lru_cache(maxsize=1024)
def is_bucket_name(name: str) -> bool:
    """S3's rules for general-purpose buckets: 3 to 63 of a-z, 0-9, '.', '-', and the reserved names."""
    return (
        _BUCKET.fullmatch(name) is not None
        and ".." not in name
        and _ADDRESS.fullmatch(name) is None
        and not name.startswith(_RESERVED_PREFIXES)
        and not name.endswith(_RESERVED_SUFFIXES)
    )


def check_bucket_name(name: str) -> None:
    """Raises InvalidBucketName."""
    if not is_bucket_name(name):
        raise s3_error("InvalidBucketName", BucketName=name[:255])


def check_key(key: str) -> None:
    """Raises KeyTooLongError over 1024 bytes of UTF-8. The empty key is the caller's question."""
    # A quarter of the limit in characters cannot exceed it in bytes: the common key is not encoded.
    if len(key) > KEY_BYTES_MAX // 4:
        size_bytes = len(key.encode("utf-8", "surrogatepass"))
        if size_bytes > KEY_BYTES_MAX:
            raise s3_error("KeyTooLongError", Size=size_bytes, MaxSizeAllowed=KEY_BYTES_MAX)


def percent_decode(raw: str) -> str:
    """Raw target text, percent-decoded once; '+' stays '+'. Raises InvalidURI (bad %, UTF-8 or NUL)."""
    if "%" not in raw and raw.isascii():
        text = raw
    else:
        if _BAD_ESCAPE.search(raw) is not None:
            raise s3_error("InvalidURI")
        try:
            # Bytes that were not UTF-8 reach us as lone surrogates; they go back to what they were.
            text = unquote_to_bytes(raw.encode("utf-8", "surrogateescape")).decode("utf-8")
        except UnicodeError:
            raise s3_error("InvalidURI", "The URI is not valid UTF-8.") from None
    if "\x00" in text:
        raise s3_error("InvalidURI", "The URI holds a NUL character.")
    return text


def parse_copy_source(header: str) -> CopySource:
    """Read '/bucket/key?versionId=id', percent-encoded, with or without the first slash.

    It is decoded once, before it is split, and only the result is used afterwards, so that nobody
    sees another name than the one that was checked. Raises InvalidArgument, InvalidBucketName,
    KeyTooLongError.
    """
    raw, marker, version_id = header.partition("?versionId=")
    if marker and not version_id:
        raise invalid_argument("x-amz-copy-source", header, "Version id cannot be the empty string")
    if _BAD_ESCAPE.search(raw) is not None:
        raise invalid_argument("x-amz-copy-source", header, "Invalid copy source encoding")
    bucket, slash, key = percent_decode(raw).removeprefix("/").partition("/")
    if not bucket or not slash or not key:
        raise invalid_argument(
            "x-amz-copy-source", header, "Copy Source must mention the source bucket and key: bucket/key"
        )
    check_bucket_name(bucket)
    check_key(key)
    return CopySource(bucket, key, version_id)
