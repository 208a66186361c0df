"""What a backup says of itself: its page, and one line for each file in it. Pure.

Lines are JSON, ascending by path, so that two backups are compared line by line in a memory that does not grow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = 1
"""Version of page and lines; raised when an older Weir could not read them."""


@dataclass(frozen=True, slots=True)
class Line:
    """One file."""

    path: str
    """Below the data directory; 'database.dump' is the database."""
    size_bytes: int
    sha256: str
    """Of all its bytes; empty where only the inventory was taken, or the file was not there."""
    pieces: tuple[str, ...]

    @property
    def is_kept(self) -> bool:
        """Whether the backup has its bytes, and not its name alone."""
        return bool(self.sha256)


@dataclass(frozen=True, slots=True)
class Page:
    """A whole backup. Instants are UTC microseconds."""

    name: str
    weir: str
    """The version that made it."""
    taken_us: int
    """The moment the backup shows."""
    began_us: int
    ended_us: int
    files: int
    size_bytes: int
    """Of all files in it."""
    new_bytes: int
    """Of those, what was not there before; before it was sealed."""
    with_files: bool
    """False: of members' objects above inline_bytes_max only the inventory was taken."""
    index_changes: int
    """Changes of stored bytes that the storage index had made."""
    streams: dict[str, int]
    """Stream directory to the last record in the backup."""
    damaged: tuple[str, ...]
    """Sentences: what was not as it should be where the backup was taken."""
    lines: tuple[str, ...]
    """Pieces of the lines."""
    lines_sha256: str
    format: int = field(default=FORMAT)


class NotAPage(ValueError):
    """The bytes are no page or line that this Weir can read; the text says why."""


def render_page(page: Page) -> bytes:
    """JSON with stable keys."""
    return json.dumps(asdict(page), ensure_ascii=False).encode()


def parse_page(text: bytes) -> Page:
    """Raises NotAPage."""
    try:
        told: dict[str, Any] = json.loads(text)
        if int(told["format"]) > FORMAT:
            raise NotAPage(
                f"it was made by a newer Weir ({told.get('weir', 'unknown')}, format {told['format']}; this one reads "
                f"up to {FORMAT}): install the newer version"
            )
        for name in ("damaged", "lines"):
            told[name] = tuple(told[name])
        return Page(**told)
    except (ValueError, KeyError, TypeError) as error:
        raise error if isinstance(error, NotAPage) else NotAPage("its page is none") from None


def render_line(line: Line) -> bytes:
    """One line with its end."""
    return (
        json.dumps([line.path, line.size_bytes, line.sha256, *line.pieces], ensure_ascii=True).encode()
        + b"\n"
    )


def parse_lines(chunks: Iterable[bytes]) -> Iterator[Line]:
    """Lines out of bytes that come in pieces of any size. Raises NotAPage."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from map(_line, whole)
    if rest:
        raise NotAPage("its list of files ends in the middle of a line")


def _line(text: bytes) -> Line:
    try:
        path, size_bytes, sha256, *pieces = json.loads(text)
        return Line(str(path), int(size_bytes), str(sha256), tuple(map(str, pieces)))
    except (ValueError, TypeError) as error:
        raise NotAPage("its list of files holds a line that is none") from error


class Before:
    """The lines of the backup before, asked for in ascending order of paths."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._next = next(lines, None)

    def find(self, path: str) -> Line | None:
        """The line of that path. Paths must be asked for in ascending order."""
        while self._next is not None and self._next.path < path:
            self._next = next(self._lines, None)
        found = self._next
        return found if found is not None and found.path == path else None
