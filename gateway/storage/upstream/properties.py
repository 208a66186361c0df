"""What is kept beside an object's bytes, as headers of requests to an upstream, and back out of its answers. Pure.

What S3 has a header for is passed through. What is the gateway's own (access list, sealing, a checksum the upstream
does not keep) stands in metadata under a prefix of ours, and a member's metadata of that prefix is kept apart from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlencode

from gateway.checksum import DIGEST_BYTES, HEADER_PREFIX, checksum_headers, header_of
from gateway.headers import METADATA_PREFIX, REDIRECT_HEADER, parse_http_date, unquoted
from gateway.locks import HOLD_HEADER, MODE_HEADER, UNTIL_HEADER, lock_headers
from gateway.storage.model import Checksum, ObjectHead, ObjectProperties, Retention, RetentionMode
from gateway.storage.upstream.answers import checksum_of_value, instant_of, malformed
from gateway.storage.upstream.errors import Asked
from gateway.tags import TAGGING_HEADER

OURS = f"{METADATA_PREFIX}weir-"
"""Metadata of this prefix is the gateway's, and never told to a client."""
_ACL, _SEALING, _CHECKSUM, _MEMBERS = (f"{OURS}{name}" for name in ("acl", "sealing", "checksum", "own-"))
_KEPT = frozenset(
    ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires",
     REDIRECT_HEADER)
)  # fmt: skip
_CHECKSUM_HEADERS = {header_of(algorithm): algorithm for algorithm in DIGEST_BYTES}
_SIZE_DIGITS_MAX = 18


class Told(NamedTuple):
    """What the head of an answer tells of an object."""

    head: ObjectHead
    """Without tags; part_sizes and part_checksums are empty."""
    tags_count: int
    """How many tags there are to be asked for."""
    parts_count: int
    """Of how many parts it was made; 0 where that is not told."""
    first: int
    """The offset of the answer's first byte in the object."""
    body_bytes: int
    """How many bytes the answer's body has, or would have."""


def property_headers(properties: ObjectProperties, *, keeps_checksums: bool) -> dict[str, str]:
    """The headers of a PUT, of a copy that replaces, or of a new upload, with lower-case names.

    keeps_checksums: the upstream knows x-amz-checksum-*; else the checksum stands in our metadata.
    """
    headers = {_sent_name(name): value for name, value in properties.headers.items()}
    headers.update(lock_headers(properties))
    if properties.tags:
        headers[TAGGING_HEADER] = urlencode(
            properties.tags, quote_via=quote
        )  # radosgw keeps a plus as a plus
    if properties.acl:
        headers[_ACL] = properties.acl
    if properties.sealing:
        headers[_SEALING] = json.dumps(dict(properties.sealing), separators=(",", ":"), sort_keys=True)
    checksum = properties.checksum
    if checksum is not None and keeps_checksums and not properties.sealing:
        # Of a sealed object the checksum is of the text, and the upstream gets other bytes.
        headers.update(checksum_headers(checksum))
    elif checksum is not None:
        headers[_CHECKSUM] = f"{checksum.algorithm} {checksum.kind} {checksum.value}"
    return headers


def read_head(key: str, headers: Mapping[str, str], asked: Asked) -> Told:
    """An object out of the headers of a GET, with or without a range, or a HEAD. Names are in lower case.

    Raises Unavailable for an answer without size, ETag or time.
    """
    first, body_bytes, size_bytes = _extent(headers, asked)
    modified_us = _instant_of_date(headers.get("last-modified", ""))
    etag = unquoted(headers.get("etag", "").removeprefix("W/"))
    if modified_us is None or not etag:
        raise malformed(asked, "no time" if modified_us is None else "no ETag")
    head = ObjectHead(
        key,
        size_bytes,
        etag,
        modified_us,
        _properties(headers, asked),
        version_id=headers.get("x-amz-version-id", ""),
    )
    tags_count = _count(headers, "x-amz-tagging-count")
    parts_count = _count(headers, "x-amz-mp-parts-count")
    return Told(head, tags_count, parts_count, first, body_bytes)


def headers_of(pairs: Mapping[str, str]) -> dict[str, str]:
    """An answer's headers with names in lower case, for all that reads them here."""
    return {name.lower(): value for name, value in pairs.items()}


# Reading a date takes longer than all the rest of a head, and popular objects repeat theirs.
_instant_of_date = lru_cache(maxsize=4096)(parse_http_date)


def _sent_name(name: str) -> str:
    return f"{_MEMBERS}{name[len(OURS) :]}" if name.startswith(OURS) else name


@lru_cache(maxsize=1024)
def _told_name(name: str) -> str:
    """Under which name a header of an answer is told to clients; empty: not at all. An upstream uses few names."""
    if name.startswith(_MEMBERS):
        return f"{OURS}{name[len(_MEMBERS) :]}"
    is_told = name in _KEPT or (name.startswith(METADATA_PREFIX) and not name.startswith(OURS))
    return name if is_told else ""


def _properties(headers: Mapping[str, str], asked: Asked) -> ObjectProperties:
    kept = {told: value for name, value in headers.items() if (told := _told_name(name))}
    return ObjectProperties(
        kept,
        _checksum(headers, asked),
        acl=headers.get(_ACL, ""),
        retention=_retention(headers, asked),
        legal_hold=headers.get(HOLD_HEADER, "").upper() == "ON",
        sealing=_sealing(headers, asked),
    )


def _checksum(headers: Mapping[str, str], asked: Asked) -> Checksum | None:
    """Ours first: an upstream that gives back whatever header it was sent has no checksum of its own."""
    ours = headers.get(_CHECKSUM)
    if ours is not None:
        algorithm, _, rest = ours.partition(" ")
        kind, _, value = rest.partition(" ")
        if algorithm not in DIGEST_BYTES or not value:
            raise malformed(asked, "a checksum of ours that is damaged")
        return Checksum(algorithm, value, kind)
    if _CHECKSUM_HEADERS.keys().isdisjoint(headers):
        return None
    for name, algorithm in _CHECKSUM_HEADERS.items():
        told = headers.get(name)
        if told is not None:
            return checksum_of_value(algorithm, told, headers.get(f"{HEADER_PREFIX}type", ""))
    return None


def _retention(headers: Mapping[str, str], asked: Asked) -> Retention | None:
    mode, until = headers.get(MODE_HEADER), headers.get(UNTIL_HEADER)
    if mode is None or until is None:
        return None
    if mode not in RetentionMode.__members__:
        raise malformed(asked, f"the retention {mode[:32]!r}")
    return Retention(RetentionMode(mode), instant_of(until, asked))


def _sealing(headers: Mapping[str, str], asked: Asked) -> dict[str, str]:
    text = headers.get(_SEALING)
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise malformed(asked, "a sealing of ours that is damaged")
    return found


def _extent(headers: Mapping[str, str], asked: Asked) -> tuple[int, int, int]:
    """First byte, bytes of the body, bytes of the whole object. A 200 may carry a range too: rclone's do."""
    content_range = headers.get("content-range")
    if content_range is None:
        length = _whole(headers.get("content-length", ""))
        if length is None:
            raise malformed(asked, "no length")
        return 0, length, length
    unit, _, rest = content_range.strip().partition(" ")
    span, _, total = rest.partition("/")
    numbers = [_whole(text) for text in (*span.partition("-")[::2], total)]
    first, last, size_bytes = numbers
    if unit.lower() != "bytes" or first is None or last is None or size_bytes is None:
        raise malformed(asked, f"the range {content_range[:64]!r}")
    if not first <= last < size_bytes:
        raise malformed(asked, f"the range {content_range[:64]!r}")
    return first, last + 1 - first, size_bytes


def _whole(text: str) -> int | None:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _SIZE_DIGITS_MAX else None


def _count(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name)
    return 0 if text is None else _whole(text) or 0
