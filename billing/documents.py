"""Papers kept in the data directory by their content: of invoices, resolutions, consents.

A file's name is the SHA-256 of its bytes, so nobody can exchange a paper that the books name. It is written before they
name it, so no row is without its paper.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from billing.document import Document
from meter.refusal import Refusal
from meter.signing import write_durably

DIRECTORY = "documents"
NAME_CHARACTERS_MAX = 255


def path_of(data: Path, sha256: str) -> Path:
    """Where a paper is kept. Those of resolutions and consents once lay beside each other, and are found there."""
    flat = data.joinpath(DIRECTORY, sha256)
    return flat if flat.is_file() else data.joinpath(DIRECTORY, sha256[:2], sha256)


def keep(data: Path, file: Path, *, bytes_max: int) -> Document:
    """Copy a file into the data directory, durably; the same content is kept once. Raises Refusal."""
    content = _read(file, bytes_max=bytes_max)
    name = file.name
    if len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise Refusal(f"document: a file's name has at most {NAME_CHARACTERS_MAX} printable characters")
    document = Document(hashlib.sha256(content).hexdigest(), name, len(content))
    kept = path_of(data, document.sha256)
    if not kept.exists():
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(kept, content, mode=0o400)
        _sync(kept.parent.parent)
        _sync(data)
    return document


def fetch(data: Path, document: Document) -> bytes:
    """A kept paper. Raises Refusal when it is gone, or is not the one that was booked."""
    try:
        content = path_of(data, document.sha256).read_bytes()
    except OSError as error:
        raise Refusal(
            f"the document '{document.name}' cannot be read from the data directory: {error.strerror}"
        ) from None
    if hashlib.sha256(content).hexdigest() != document.sha256:
        raise Refusal(
            f"the document '{document.name}' was changed: it is not the one whose SHA-256 was booked,"
            f" {document.sha256}"
        )
    return content


def problem(data: Path, document: Document) -> str | None:
    """What is wrong with a paper that should be there; None when it is there, byte for byte."""
    try:
        fetch(data, document)
    except Refusal as refusal:
        return str(refusal)
    return None


def _read(file: Path, *, bytes_max: int) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(bytes_max + 1)
    except OSError as error:
        raise Refusal(f"document: {file} cannot be read: {error.strerror}") from None
    if not content:
        raise Refusal(f"document: {file} is empty, and an empty paper proves nothing")
    if len(content) > bytes_max:
        raise Refusal(f"document: {file} is larger than paper_bytes_max, {bytes_max} bytes")
    return content


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
