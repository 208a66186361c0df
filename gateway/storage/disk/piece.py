"""One run of bytes as the disk keeps it: in a file of its own, or in memory when it is small. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that arrived together. Invariant: exactly one of blob and data is given."""

    size_bytes: int
    blob: str | None = None
    """The random name of a file, 32 hexadecimal digits."""
    data: bytes | None = None
    """The bytes themselves, kept in the index."""

    def __post_init__(self) -> None:
        assert (self.blob is None) != (self.data is None), "a piece is in a file or in the index"
