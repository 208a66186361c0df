"""Papers kept by their content in the data directory: evidence of deliveries, texts of resolutions.

A file's name is the SHA-256 of its bytes, so the books need to keep the digest only, and nobody can exchange the paper.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from billing.governance.decisions import Document
from meter.refusal import Refusal

DOCUMENT_BYTES_MAX = 32 * 1024 * 1024
NAME_CHARACTERS_MAX = 255


def keep_document(data: Path, file: Path) -> Document:
    """Copy a file into the data directory, durably, if its content is not there yet. Raises Refusal."""
    name = file.name
    if len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise Refusal("the name of a paper has at most 255 characters that can be printed")
    content = _read(file)
    digest = hashlib.sha256(content).hexdigest()
    directory = data / "documents"
    directory.mkdir(mode=0o700, exist_ok=True)
    kept = directory / digest
    if not kept.exists():
        _write(directory, kept, content)
    return Document(digest, name)


def document_problem(data: Path, document: Document) -> str | None:
    """What is wrong with a paper that should be there; None when it is there, byte for byte."""
    kept = data / "documents" / document.sha256
    try:
        with kept.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        return f"{document.name} ({document.sha256}) cannot be read: {error.strerror}"
    return None if found == document.sha256 else f"{document.name} ({document.sha256}) was changed"


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror}") from None
    if len(content) > DOCUMENT_BYTES_MAX:
        raise Refusal(
            f"{file} is larger than {DOCUMENT_BYTES_MAX:,} bytes, the most that is kept of one paper"
        )
    if not content:
        raise Refusal(f"{file} is empty, and an empty paper proves nothing")
    return content


def _write(directory: Path, kept: Path, content: bytes) -> None:
    """Whole or not at all, also when the power goes."""
    fresh = directory / f".{kept.name}.{os.getpid()}"
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(kept)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
