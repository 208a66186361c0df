"""The head and the framing of an upstream's HTTP/1.1 answer, read strictly. Pure.

What could be read in two ways is refused, for the next answer on the connection would begin somewhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

HEAD_BYTES_MAX = 64 * 2**10
"""S3 keeps 2 KiB of metadata; some systems add their own."""
END_OF_HEAD = b"\r\n\r\n"
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: .*)?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DIGITS_MAX = 18
_CHUNK_LINE_MAX = 256
_KNOWN_LINE_MAX = 256
"""Characters of a header line that is kept; longer ones are read each time."""
_WITHOUT_BODY = frozenset((204, 304))


class MalformedAnswer(Exception):
    """It is no HTTP, or could be read in two ways; args[0] says what is wrong."""


class ResponseHead(NamedTuple):
    """An answer's head."""

    status: int
    headers: dict[str, str]
    """Names in lower case; of a name that comes twice the values are joined by ', '."""
    body_bytes: int | None
    """Of the body that follows; None: only its framing, or the connection's end, tells."""
    is_chunked: bool
    keeps_alive: bool
    """Another request may follow on the connection."""


def read_response_head(block: bytes, *, head_only: bool) -> ResponseHead:
    """Everything up to the empty line, without it. head_only: to a HEAD, so no body follows. Raises MalformedAnswer."""
    first, *lines = block.decode("utf-8", "surrogateescape").split("\r\n")
    matched = _STATUS.fullmatch(first)
    if matched is None:
        raise MalformedAnswer(f"the status line {first[:64]!r}")
    status, is_newer = int(matched[2]), matched[1] == "1"
    headers: dict[str, str] = {}
    for line in lines:
        name, value = _known_field(line) if len(line) <= _KNOWN_LINE_MAX else _field(line)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    keeps_alive = _keeps_alive(headers.get("connection", ""), is_newer=is_newer)
    if head_only or status in _WITHOUT_BODY or status < 200:
        return ResponseHead(status, headers, 0, is_chunked=False, keeps_alive=keeps_alive)
    body_bytes, is_chunked = _framing(headers)
    if body_bytes is None and not is_chunked:
        keeps_alive = False
    return ResponseHead(status, headers, body_bytes, is_chunked, keeps_alive)


def _field(line: str) -> tuple[str, str]:
    """A header line's name in lower case, and its value."""
    written, colon, value = line.partition(":")
    if not colon or "\n" in value or "\r" in value:
        raise MalformedAnswer(f"the header line {line[:64]!r}")
    if _NAME.fullmatch(written) is None:
        raise MalformedAnswer(f"the header {written[:64]!r}")
    return written.lower(), value.strip(" \t")


# Of an answer's lines nearly all have been seen before: to look one up takes a fifth of the time of reading it.
_known_field = lru_cache(maxsize=1024)(_field)


def _keeps_alive(connection: str, *, is_newer: bool) -> bool:
    words = connection.lower()
    return "close" not in words if is_newer else "keep-alive" in words


def _framing(headers: dict[str, str]) -> tuple[int | None, bool]:
    encoding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if encoding is not None:
        if length is not None or encoding.lower() != "chunked":
            raise MalformedAnswer(f"the transfer encoding {encoding[:64]!r}")
        return None, True
    if length is None:
        return None, False
    if not (length.isascii() and length.isdigit()) or len(length) > _DIGITS_MAX:
        raise MalformedAnswer(f"the length {length[:64]!r}")
    return int(length), False


class Dechunker:
    """Takes the chunks of a body apart as they arrive."""

    __slots__ = ("_left", "_line", "_state", "is_done")

    def __init__(self) -> None:
        self.is_done = False
        """The body has ended; what was not taken belongs to nobody."""
        self._state = "size"
        self._line = b""
        self._left = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces of the body in it. Raises MalformedAnswer, also for bytes behind the end."""
        at = 0
        while at < len(data):
            if self.is_done:
                raise MalformedAnswer("bytes behind the last chunk")
            if self._state == "bytes":
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = "end"
                yield piece
                continue
            end = data.find(b"\n", at)
            stop = len(data) if end < 0 else end + 1
            self._line += data[at:stop]
            at = stop
            if len(self._line) > _CHUNK_LINE_MAX:
                raise MalformedAnswer("a chunk's line is too long")
            if end >= 0:
                line, self._line = self._line, b""
                if not line.endswith(b"\r\n"):
                    raise MalformedAnswer("a chunk's line ends without CR")
                self._line_came(line[:-2])

    def _line_came(self, line: bytes) -> None:
        if self._state == "size":
            digits = line.partition(b";")[0].strip()
            try:
                self._left = int(digits, 16) if digits.isalnum() and len(digits) <= 12 else -1
            except ValueError:
                self._left = -1
            if self._left < 0:
                raise MalformedAnswer(f"the chunk size {line[:32]!r}")
            self._state = "bytes" if self._left else "trailer"
        elif self._state == "end":
            if line:
                raise MalformedAnswer("a chunk longer than it said")
            self._state = "size"
        elif not line:
            self.is_done = True
