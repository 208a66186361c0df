"""One run of bytes as the disk keeps it: in a file of its own, or in memory when it is small. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLAIN_ETAG = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that arrived together. Invariant: exactly one of blob and data is given."""

    size_bytes: int
    blob: str | None = None
    """The random name of a file, 32 hexadecimal digits."""
    data: bytes | None = None
    """The bytes themselves, kept in the index."""
    md5: bytes | None = None
    """Their MD5, if somebody computed it."""

    def __post_init__(self) -> None:
        assert (self.blob is None) != (self.data is None), "a piece is in a file or in the index"


def md5_of(etag: str) -> bytes | None:
    """The MD5 an ETag stands for: that of an object put whole or of a part, and of its copy; else None."""
    return bytes.fromhex(etag) if _PLAIN_ETAG.fullmatch(etag) else None
