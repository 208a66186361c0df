"""An answer's status line and headers as bytes. Pure but for the date, which is cached a second."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_ENDINGS = {True: "keep-alive", False: "close"}
_date_second = 0
_ends: dict[bool, str] = {}


def _end(*, keep_alive: bool) -> str:
    """The last lines, which are the same for a second: now, as HTTP writes it (RFC 9110, section 5.6.7), and so on."""
    global _date_second
    second = int(time.time())
    if _date_second != second:
        date = formatdate(second, usegmt=True)
        for goes_on, word in _ENDINGS.items():
            _ends[goes_on] = f"\r\nDate: {date}\r\nServer: Weir\r\nConnection: {word}\r\n\r\n"
        _date_second = second
    return _ends[keep_alive]


def response_head(
    status: int, headers: Mapping[str, str], *, content_length: int | None, request_id: str, keep_alive: bool
) -> bytes:
    """The head of an HTTP/1.1 answer. A header value with CR or LF is a bug of ours and refused.

    content_length None leaves the header out (204 and 304 have no body).
    """
    fields = "".join([f"\r\n{name}: {value}" for name, value in headers.items()])
    length = "" if content_length is None else f"\r\nContent-Length: {content_length}"
    text = (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}{fields}{length}\r\nx-amz-request-id: {request_id}"
        f"{_end(keep_alive=keep_alive)}"
    )
    assert text.count("\n") == len(headers) + 6 + (content_length is not None), (
        "a header value breaks the line"
    )
    return text.encode("utf-8", "surrogateescape")
