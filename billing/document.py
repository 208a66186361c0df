"""A paper by its content: invoices, resolutions and consents name it. Pure; documents.py keeps the file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """What the books know of a paper that is kept in the data directory under its SHA-256."""

    sha256: str
    name: str
    size_bytes: int | None = None
    """None where the books keep no size."""
