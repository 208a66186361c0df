"""Signed heads held against each other, their files, and what Postgres says of streams and closings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from meter import heads
from meter.audit_store import Books
from meter.daily import file_name
from meter.difference import Findings, Kind
from meter.heads import Head, read
from meter.heads_store import Kept
from meter.ids import StreamId
from meter.window import MICROSECONDS

ON_ITS_WAY_US = 60 * MICROSECONDS
"""A head this young may not have its file yet."""


def check_heads(
    findings: Findings, books: Books, directory: Path, *, public_key: str | None, now_us: int
) -> None:
    """Signatures, the chain, the files, and that each head fits what Postgres says now."""
    pages = [kept.page for kept in books.heads]
    for sentence in heads.check(pages, trusted=_trusted(books.heads, public_key)):
        findings.add(Kind.HEAD, "meter.head", sentence)
    if books.heads and books.heads[0].number != 1:
        findings.add(Kind.HEAD, "meter.head", f"the heads before number {books.heads[0].number} are missing")
    _check_strays(findings, books, directory, now_us=now_us)
    for kept in books.heads:
        head = read(kept.page)
        _check_file(findings, kept, head, directory, now_us=now_us)
        for sentence in _misfits(kept, head, books):
            findings.add(Kind.HEAD, f"head {kept.number}", sentence)
        if kept.month is not None:
            _check_closing(findings, kept, head, books)


def _trusted(kept: Iterable[Kept], public_key: str | None) -> set[str]:
    """The key of this place, and those that heads under it name as lost."""
    found = {public_key} if public_key else set()
    for one in reversed(list(kept)):
        head = read(one.page)
        if head.key in found and head.replaces is not None:
            found.add(head.replaces["key"])
    return found


def _check_strays(findings: Findings, books: Books, directory: Path, *, now_us: int) -> None:
    """Files of heads that Postgres does not have; one that was made while we looked is none."""
    known = {file_name(kept.number, kept.day.isoformat()) for kept in books.heads}
    for path in sorted(directory.glob("*.head")):
        if path.name in known:
            continue
        try:
            made_us = read(heads.from_file(path.read_text("utf-8"))).made_us
        except (heads.BadHead, OSError, UnicodeDecodeError):
            made_us = 0
        if made_us < now_us - ON_ITS_WAY_US:
            findings.add(Kind.HEAD, path.name, f"the head of the file {path.name} is not in the database")


def _check_file(findings: Findings, kept: Kept, head: Head, directory: Path, *, now_us: int) -> None:
    path = directory / file_name(kept.number, kept.day.isoformat())
    try:
        is_same = path.read_text("utf-8") == kept.page.to_file()
    except FileNotFoundError:
        if now_us - head.made_us > ON_ITS_WAY_US:
            findings.add(Kind.HEAD, path.name, f"the file {path.name} of head {kept.number} is missing")
        return
    except (OSError, UnicodeDecodeError) as error:
        findings.add(Kind.HEAD, path.name, f"the file {path.name} cannot be read: {error}")
        return
    if not is_same:
        findings.add(Kind.HEAD, path.name, f"the file {path.name} is not head {kept.number} of the database")


def _misfits(kept: Kept, head: Head, books: Books) -> Iterable[str]:
    if (head.number, head.day, head.key) != (kept.number, kept.day.isoformat(), kept.public_key):
        yield f"head {kept.number} says that it is number {head.number} of {head.day}"
    rows: Mapping[str, StreamId] = {str(stream): stream for stream in books.streams}
    for tip in head.tips:
        stream = rows.get(tip.stream)
        if stream is None:
            yield f"head {kept.number} speaks of stream {tip.label} ({tip.stream}), which PostgreSQL does not know"
            continue
        place = books.streams[stream].last_sequence
        if place < tip.last_sequence:
            yield f"head {kept.number} saw record {tip.last_sequence} of {tip.label}; PostgreSQL is at {place}"
        link = books.links[stream].get(tip.segment)
        if tip.segment and (link is None or link.digest.hex() != tip.segment_digest):
            yield f"head {kept.number} signed another segment {tip.segment} of {tip.label} than PostgreSQL has"


def _check_closing(findings: Findings, kept: Kept, head: Head, books: Books) -> None:
    month = kept.month
    assert month is not None
    marks = {str(stream): last for stream, last in books.watermarks.get(month, {}).items()}
    if head.closed != {"month": str(month), "watermark": marks}:
        findings.add(
            Kind.WATERMARK, str(month),
            f"the watermark of {month} is {json.dumps(marks, sort_keys=True)}, and head {kept.number} signed "
            f"{json.dumps(head.closed, sort_keys=True)}",
        )  # fmt: skip
