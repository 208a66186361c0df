"""HTTP headers of objects: ranges, conditions, dates, ETags, and what is kept beside the bytes.

RFC 9110 where S3 follows it. Pure; it knows no storage but the shape of an object's head.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from enum import Enum, auto
from functools import lru_cache

from gateway.errors import S3Error, invalid_argument, s3_error
from gateway.storage.model import NO_CONDITION, Condition, ObjectHead
from meter.window import MICROSECONDS, to_us

METADATA_PREFIX = "x-amz-meta-"
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
REDIRECT_HEADER = "x-amz-website-redirect-location"
"""Where the object's page of a website sends its visitors."""
REDIRECT_BYTES_MAX = 2048
_KEPT = (
    "cache-control",
    "content-disposition",
    "content-language",
    "content-type",
    "expires",
    REDIRECT_HEADER,
)
_TITLES = {name: name.title() for name in _KEPT if name != REDIRECT_HEADER}
_RANGE = re.compile(r"bytes=([0-9]{0,40})-([0-9]{0,40})", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_OVERRIDES = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}


class Outcome(Enum):
    """What the conditions of a read come to."""

    PROCEED = auto()
    NOT_MODIFIED = auto()
    FAILED = auto()


_PROCEED = Outcome.PROCEED
_CONDITIONS = frozenset(("if-match", "if-none-match", "if-modified-since", "if-unmodified-since"))


def http_date(instant_us: int) -> str:
    """An instant as an IMF-fixdate, whole seconds, rounded down."""
    return _date_of(instant_us // MICROSECONDS)


@lru_cache(maxsize=4096)
def _date_of(second: int) -> str:
    """Formatting a date costs as much as verifying a signature; popular objects repeat theirs."""
    return formatdate(second, usegmt=True)


def parse_http_date(text: str) -> int | None:
    """An HTTP date in microseconds; None for anything else, which a reader must ignore (RFC 9110, 13.1.3)."""
    try:
        moment = parsedate_to_datetime(text)
        return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def quoted(etag: str) -> str:
    """An ETag as it stands in headers and documents."""
    return f'"{etag}"'


def unquoted(text: str) -> str:
    """An ETag as clients send it, with or without quotes."""
    return text.strip().removeprefix('"').removesuffix('"')


def parse_range(text: str | None, size_bytes: int) -> tuple[int, int] | None:
    """The bytes [start, stop) a Range asks for; None for the whole object.

    A malformed Range, another unit and several ranges at once are answered with the whole object,
    as RFC 9110 allows and S3 does. Raises InvalidRange when no byte of it exists.
    """
    if text is None:
        return None
    match = _RANGE.fullmatch(text.strip())
    if match is None or match[1] == match[2] == "":
        return None
    first, last = match[1], match[2]
    if not first:
        start, stop = max(0, size_bytes - int(last)), size_bytes
    elif last and int(last) < int(first):
        return None
    else:
        start = int(first)
        stop = min(int(last) + 1, size_bytes) if last else size_bytes
    if start >= size_bytes:
        raise s3_error(
            "InvalidRange",
            headers={"Content-Range": f"bytes */{size_bytes}"},
            RangeRequested=text,
            ActualObjectSize=size_bytes,
        )
    return start, stop


def range_applies(headers: Mapping[str, str], *, etag: str, modified_us: int) -> bool:
    """If-Range: whether the Range still means the same object (RFC 9110, section 13.1.5)."""
    text = headers.get("if-range")
    if text is None:
        return True
    if text.startswith('"'):
        return unquoted(text) == etag
    return parse_http_date(text) == _whole_second(modified_us)


def read_outcome(
    headers: Mapping[str, str], *, etag: str, modified_us: int, prefix: str = ""
) -> tuple[Outcome, str]:
    """Decide If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since, and name what decided.

    RFC 9110, section 13.2.2, which is S3's precedence: an ETag condition outweighs its date.
    prefix "x-amz-copy-source-" reads the conditions on a copy's source.
    """
    if not prefix and _CONDITIONS.isdisjoint(headers):
        return _PROCEED, ""
    modified_us = _whole_second(modified_us)
    if_match = headers.get(f"{prefix}if-match")
    if if_match is not None:
        if not _lists(if_match, etag):
            return Outcome.FAILED, "If-Match"
    else:
        since_us = _date(headers, f"{prefix}if-unmodified-since")
        if since_us is not None and modified_us > since_us:
            return Outcome.FAILED, "If-Unmodified-Since"
    if_none_match = headers.get(f"{prefix}if-none-match")
    if if_none_match is not None:
        if _lists(if_none_match, etag):
            return Outcome.NOT_MODIFIED, "If-None-Match"
    else:
        since_us = _date(headers, f"{prefix}if-modified-since")
        if since_us is not None and modified_us <= since_us:
            return Outcome.NOT_MODIFIED, "If-Modified-Since"
    return _PROCEED, ""


def write_condition(headers: Mapping[str, str]) -> Condition:
    """If-Match and If-None-Match of a write, to be decided inside the commit.

    S3 knows only If-None-Match: *. Raises NotImplemented for another, InvalidRequest for both at once.
    """
    if_match = headers.get("if-match")
    if_none_match = headers.get("if-none-match")
    if if_none_match is not None and if_none_match.strip() != "*":
        raise s3_error("NotImplemented", Header="If-None-Match")
    if if_match is not None and if_none_match is not None:
        raise s3_error("InvalidRequest", "If-Match and If-None-Match cannot both be given.")
    if if_match is None and if_none_match is None:
        return NO_CONDITION
    return Condition(
        if_match=unquoted(if_match) if if_match is not None else None,
        if_none_match=if_none_match is not None,
    )


def collect_properties(headers: Mapping[str, str], *, metadata_bytes_max: int) -> dict[str, str]:
    """What a write keeps beside the bytes, under lower-case names.

    aws-chunked is the transfer's, not the object's, so it is taken out of Content-Encoding. Raises
    MetadataTooLarge over metadata_bytes_max (names without prefix, and values), InvalidArgument for
    characters no header can carry back.
    """
    kept = {"content-type": DEFAULT_CONTENT_TYPE}
    metadata_bytes = 0
    for name, value in headers.items():
        lower = name.lower()
        is_metadata = lower.startswith(METADATA_PREFIX)
        if lower == "content-encoding":
            value = _without_aws_chunked(value)
        elif not is_metadata and lower not in _KEPT:
            continue
        if _CONTROL.search(value) is not None:
            raise invalid_argument(lower, "", "The header is not valid UTF-8 text.")
        if lower == REDIRECT_HEADER and value:
            _check_redirect(value)
        if is_metadata:
            metadata_bytes += len(lower.encode()) - len(METADATA_PREFIX) + len(value.encode())
            kept[lower] = f"{kept[lower]},{value}" if lower in kept else value
        elif value:
            kept[lower] = value
    if metadata_bytes > metadata_bytes_max:
        raise s3_error("MetadataTooLarge", Size=metadata_bytes, MaxSizeAllowed=metadata_bytes_max)
    return kept


def copied_headers(source: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, str]:
    """What a copy keeps of its source's headers: all but its redirect, which only the request can name anew."""
    kept = {name: value for name, value in source.items() if name != REDIRECT_HEADER}
    onward = headers.get(REDIRECT_HEADER)
    if onward:
        _check_redirect(onward)
        kept[REDIRECT_HEADER] = onward
    return kept


def object_headers(head: ObjectHead) -> dict[str, str]:
    """The headers of a GET or HEAD of the whole object, but its length."""
    answer = {
        "ETag": quoted(head.etag),
        "Last-Modified": http_date(head.modified_us),
        "Accept-Ranges": "bytes",
    }
    for name, value in head.properties.headers.items():
        answer[_TITLES.get(name) or (name if name.startswith("x-amz-") else name.title())] = value
    return answer


def not_modified_headers(head: ObjectHead) -> dict[str, str]:
    """The headers of a 304: what a cache needs and no more (RFC 9110, section 15.4.5)."""
    wanted = ("ETag", "Last-Modified", "Cache-Control", "Expires")
    every = object_headers(head)
    return {name: every[name] for name in wanted if name in every}


def response_overrides(query: Mapping[str, str]) -> dict[str, str]:
    """response-content-type and its kind, as headers. Raises InvalidArgument for control characters."""
    answer: dict[str, str] = {}
    if not query:
        return answer
    for parameter, name in _OVERRIDES.items():
        value = query.get(parameter)
        if value is None:
            continue
        # A line break here would let a link's author write headers of ours.
        if _CONTROL.search(value) is not None:
            raise invalid_argument(parameter, "", "A response header cannot hold control characters.")
        answer[name] = value
    return answer


def precondition_failed(condition: str) -> S3Error:
    """PreconditionFailed that names the condition."""
    return s3_error("PreconditionFailed", Condition=condition)


def _check_redirect(location: str) -> None:
    if not location.startswith(("/", "http://", "https://")) or _CONTROL.search(location) is not None:
        raise s3_error("InvalidRedirectLocation")
    if len(location.encode()) > REDIRECT_BYTES_MAX:
        raise s3_error(
            "InvalidRedirectLocation", f"A redirect location has at most {REDIRECT_BYTES_MAX} bytes."
        )


def _whole_second(instant_us: int) -> int:
    """HTTP dates have seconds only; a finer time would never be equal to the date we printed."""
    return instant_us - instant_us % MICROSECONDS


def _lists(text: str, etag: str) -> bool:
    return any(
        item.strip() == "*" or unquoted(item.strip().removeprefix("W/")) == etag for item in text.split(",")
    )


def _date(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    return None if text is None else parse_http_date(text)


def _without_aws_chunked(value: str) -> str:
    codings = [coding.strip() for coding in value.split(",")]
    return ", ".join(coding for coding in codings if coding and coding.lower() != "aws-chunked")
