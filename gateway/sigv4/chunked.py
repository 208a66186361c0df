"""aws-chunked bodies: framing in, payload out, signatures and trailers checked. Sans I/O.

Payload is handed on as it comes, before its chunk is proven; the caller keeps what it stages
invisible until finish() has returned. The end of the input is never taken for the last chunk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum, auto
from hashlib import sha256

from gateway.errors import S3Error, s3_error
from gateway.sigv4.parse import PayloadMode
from gateway.sigv4.signature import matches, sign

CHUNK_LINE_BYTES_MAX = 256
"""Sixteen digits, ';chunk-signature=' and 64 digits need 97; a bound of the framing, not a setting."""
TRAILER_BYTES_MAX = 16 * 1024
SMALL_CHUNK_BYTES = 8192
SMALL_CHUNKS_MAX = 10_000
"""S3 allows one chunk under 8 KiB, the last; we allow some, so that a body cannot be all framing."""

_SIGNED_LINE = re.compile(rb"([0-9a-fA-F]{1,16});chunk-signature=([0-9a-f]{64})")
_PLAIN_LINE = re.compile(rb"([0-9a-fA-F]{1,16})")
_TRAILER_LINE = re.compile(rb"([A-Za-z0-9-]{1,128}):[ \t]*([\x21-\x7e]{1,1024})[ \t]*")
_EMPTY_SHA256 = sha256(b"").hexdigest()
_TRAILER_SIGNATURE = "x-amz-trailer-signature"


class _At(Enum):
    """Where in the framing the next byte falls."""

    LINE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    DONE = auto()


class ChunkDecoder:
    """Decodes one aws-chunked body. feed() until the input ends, then finish().

    Both raise S3Error: IncompleteBody (framing cut short, or another length than announced),
    SignatureDoesNotMatch, MalformedTrailerError, InvalidChunkSizeError, InvalidRequest.
    """

    def __init__(
        self,
        mode: PayloadMode,
        *,
        decoded_length: int,
        trailer_names: Iterable[str] = (),
        seed_signature: str = "",
        signing_key: bytes = b"",
        scope: str = "",
        timestamp: str = "",
    ) -> None:
        """decoded_length in bytes (x-amz-decoded-content-length); trailer_names from x-amz-trailer."""
        assert mode.is_chunked
        self._signed = mode is not PayloadMode.UNSIGNED_CHUNKS_TRAILER
        assert not self._signed or (seed_signature and signing_key and scope and timestamp)
        self._has_trailer = mode is not PayloadMode.SIGNED_CHUNKS
        self._trailer_names = frozenset(name.lower() for name in trailer_names)
        self._key = signing_key
        self._prefix = f"AWS4-HMAC-SHA256-PAYLOAD\n{timestamp}\n{scope}\n"
        self._previous = seed_signature
        self._left = decoded_length
        self._at = _At.LINE
        self._buffer = bytearray()
        self._chunk_left = 0
        self._chunk_signature = ""
        self._chunk_hash = sha256()
        self._small_chunks = 0
        self._trailer_bytes = 0
        self._trailer_text = ""
        self._trailers: dict[str, str] = {}

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived; the payload pieces in it, in order. Whole inputs of payload are not copied."""
        pieces: list[bytes] = []
        position = 0
        while position < len(data):
            if self._at is _At.DATA:
                stop = min(len(data), position + self._chunk_left)
                piece = data if stop - position == len(data) else data[position:stop]
                pieces.append(piece)
                position = stop
                self._took(piece)
            elif self._at is _At.DONE:
                self._after_end(data[position:])
                position = len(data)
            else:
                position = self._take_line(data, position)
        return pieces

    def finish(self) -> dict[str, str]:
        """The input has ended: the trailers by lower-case name. Raises IncompleteBody if it was cut."""
        if self._at is not _At.DONE:
            raise s3_error("IncompleteBody")
        return dict(self._trailers)

    def _took(self, piece: bytes) -> None:
        if self._signed:
            self._chunk_hash.update(piece)
        self._chunk_left -= len(piece)
        if self._chunk_left == 0:
            self._prove_chunk()
            self._at = _At.DATA_END

    def _take_line(self, data: bytes, position: int) -> int:
        """Gather up to the next CR LF and act on the line; the position after it."""
        end = data.find(b"\n", position)
        stop = len(data) if end < 0 else end + 1
        limit = TRAILER_BYTES_MAX if self._at is _At.TRAILER else CHUNK_LINE_BYTES_MAX
        if len(self._buffer) + stop - position > limit:
            raise s3_error("InvalidRequest", "A line of the chunked framing is too long.")
        self._buffer += data[position:stop]
        if end >= 0:
            line = bytes(self._buffer)
            self._buffer.clear()
            if not line.endswith(b"\r\n"):
                # One widely used client ends a trailer with LF before the CR LF, as it is signed.
                if self._at is not _At.TRAILER:
                    raise _malformed()
                line = line[:-1] + b"\r\n"
            self._on_line(line[:-2])
        return stop

    def _on_line(self, line: bytes) -> None:
        if self._at is _At.LINE:
            self._on_chunk_line(line)
        elif self._at is _At.DATA_END:
            if line:
                raise _malformed()
            self._at = _At.LINE
        elif line:
            self._on_trailer(line)
        elif not self._awaits_signature():
            self._end()
        else:
            self._count_trailer(2)

    def _on_chunk_line(self, line: bytes) -> None:
        match = (_SIGNED_LINE if self._signed else _PLAIN_LINE).fullmatch(line)
        if match is None:
            raise _malformed()
        size_bytes = int(match[1], 16)
        if size_bytes > self._left:
            raise s3_error("IncompleteBody", "The body is longer than x-amz-decoded-content-length.")
        self._left -= size_bytes
        self._chunk_left = size_bytes
        if self._signed:
            self._chunk_signature = match[2].decode()
            self._chunk_hash = sha256()
        if size_bytes == 0:
            self._on_last_chunk()
            return
        if size_bytes < SMALL_CHUNK_BYTES:
            self._small_chunks += 1
            if self._small_chunks > SMALL_CHUNKS_MAX:
                raise s3_error("InvalidChunkSizeError")
        self._at = _At.DATA

    def _on_last_chunk(self) -> None:
        if self._left:
            raise s3_error("IncompleteBody", "The body is shorter than x-amz-decoded-content-length.")
        self._prove_chunk()
        self._at = _At.TRAILER

    def _prove_chunk(self) -> None:
        if not self._signed:
            return
        text = f"{self._prefix}{self._previous}\n{_EMPTY_SHA256}\n{self._chunk_hash.hexdigest()}"
        self._prove(text, self._chunk_signature)

    def _prove(self, text: str, given: str) -> None:
        expected = sign(self._key, text.encode())
        if not matches(expected, given):
            raise s3_error("SignatureDoesNotMatch", "A chunk's signature does not match.")
        self._previous = expected

    def _on_trailer(self, line: bytes) -> None:
        self._count_trailer(len(line))
        match = _TRAILER_LINE.fullmatch(line)
        if not self._has_trailer or match is None:
            raise s3_error("MalformedTrailerError")
        name, value = match[1].decode().lower(), match[2].decode()
        if _TRAILER_SIGNATURE in self._trailers or name in self._trailers:
            raise s3_error("MalformedTrailerError")
        if name != _TRAILER_SIGNATURE:
            if name not in self._trailer_names:
                raise s3_error(
                    "MalformedTrailerError", f"The trailer {name} was not announced in x-amz-trailer."
                )
            self._trailer_text += f"{name}:{value}\n"
        elif not self._signed:
            raise s3_error("MalformedTrailerError")
        self._trailers[name] = value

    def _count_trailer(self, size_bytes: int) -> None:
        self._trailer_bytes += size_bytes
        if self._trailer_bytes > TRAILER_BYTES_MAX:
            raise s3_error("MalformedTrailerError")

    def _awaits_signature(self) -> bool:
        return self._signed and self._has_trailer and _TRAILER_SIGNATURE not in self._trailers

    def _after_end(self, rest: bytes) -> None:
        """The same client closes with one CR LF more; anything else after the end is refused."""
        self._buffer += rest[:3]
        if not self._has_trailer or not b"\r\n".startswith(self._buffer):
            raise s3_error("InvalidRequest", "The body goes on after its last chunk.")

    def _end(self) -> None:
        """The empty line after the last chunk and its trailers."""
        given = self._trailers.pop(_TRAILER_SIGNATURE, "")
        if self._trailers.keys() != (self._trailer_names if self._has_trailer else frozenset()):
            raise s3_error("MalformedTrailerError", "A trailer announced in x-amz-trailer is missing.")
        if self._signed and self._has_trailer:
            digest = sha256(self._trailer_text.encode()).hexdigest()
            head = self._prefix.replace("-PAYLOAD\n", "-TRAILER\n", 1)
            self._prove(f"{head}{self._previous}\n{digest}", given)
        self._at = _At.DONE


def _malformed() -> S3Error:
    return s3_error("InvalidRequest", "The body is not well-formed aws-chunked framing.")
