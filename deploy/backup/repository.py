"""The backups in one place: opened with a passphrase, written piece by piece, listed, verified, pruned.

weir-backup.json    salt and cost of the passphrase; nothing secret
pieces/ab/abcd…     sealed pieces, each once, whichever backups need it
backups/NAME        the page of a whole backup, sealed, written last: without it there is no backup
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from deploy.backup.page import (
    FORMAT,
    Before,
    Line,
    NotAPage,
    Page,
    parse_lines,
    parse_page,
    render_line,
    render_page,
)
from deploy.backup.sealing import PIECE_BYTES, SALT_BYTES, Cost, DamagedBackup, Keys, WrongPassphrase
from deploy.backup.target import Target
from meter.refusal import Refusal

DESCRIPTION = "weir-backup.json"
PASSPHRASE_LETTERS_MIN = 12
NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}", re.ASCII)
OVERHEAD_BYTES = 1 + 12 + 16
"""Of a sealed piece: mark, nonce and tag."""
Told = Callable[[int], None]


def read_passphrase(path: Path) -> bytes:
    """The first line of a file. Raises Refusal."""
    try:
        first = path.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    except OSError as error:
        raise Refusal(f"the passphrase file {path} cannot be read: {error.strerror}") from None
    if len(first) < PASSPHRASE_LETTERS_MIN:
        raise Refusal(
            f"the passphrase in {path} has {len(first)} characters, and {PASSPHRASE_LETTERS_MIN} is the least; "
            "`openssl rand -base64 30` makes a good one"
        )
    return first


class Repository:
    """Backups that one passphrase opens. Everything blocks."""

    def __init__(self, target: Target, keys: Keys) -> None:
        self.target = target
        self._keys = keys

    @classmethod
    def open(cls, target: Target, passphrase: bytes, *, create: bool = False) -> Repository:
        """Raises WrongPassphrase, DamagedBackup, and Refusal where there are no backups and none are to be made."""
        found = target.get(DESCRIPTION)
        if found is None:
            if not create:
                raise Refusal(f"there are no backups in {target.describe()}")
            if next(target.names("pieces/"), None) is not None:
                raise DamagedBackup(
                    f"{target.describe()} has lost its {DESCRIPTION}: nothing in it can be opened"
                )
            return cls(target, _describe(target, passphrase))
        try:
            told = json.loads(found)
            format_number, salt = int(told["format"]), bytes.fromhex(told["salt"])
            cost, check = Cost(int(told["n"]), int(told["r"]), int(told["p"])), str(told["check"])
        except (ValueError, KeyError, TypeError):
            raise DamagedBackup(f"{DESCRIPTION} in {target.describe()} is damaged") from None
        if format_number > FORMAT:
            raise Refusal(
                f"the backups in {target.describe()} were made by a newer Weir (format {format_number}, this one reads "
                f"up to {FORMAT}); install the newer version"
            )
        keys = Keys.of(passphrase, salt=salt, cost=cost)
        if keys.check != check:
            raise WrongPassphrase(f"the passphrase does not open the backups in {target.describe()}")
        return cls(target, keys)

    def names(self) -> list[str]:
        """Whole backups, the oldest first."""
        found = (name.rpartition("/")[2] for name in self.target.names("backups/"))
        return sorted(name for name in found if NAME.fullmatch(name))

    def page(self, name: str) -> Page:
        """What a backup says of itself. Raises Refusal for an unknown one, DamagedBackup."""
        sealed = self.target.get(f"backups/{name}") if NAME.fullmatch(name) else None
        if sealed is None:
            raise Refusal(
                f"there is no backup {name} in {self.target.describe()}; `weir backup list` shows them"
            )
        try:
            page = parse_page(self._keys.open_root(name, sealed))
        except NotAPage as wrong:
            raise DamagedBackup(f"the backup {name} cannot be read: {wrong}") from None
        if page.name != name:
            raise DamagedBackup(f"the backup {name} holds the page of {page.name}")
        return page

    def latest(self) -> Page | None:
        """The newest whole backup that can be read."""
        for name in reversed(self.names()):
            try:
                return self.page(name)
            except DamagedBackup:
                continue  # `weir backup verify` names it; from this one nothing can be taken over
        return None

    def lines(self, page: Page) -> Iterator[Line]:
        """Its files, ascending by path. Raises DamagedBackup."""
        digest = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            for piece in page.lines:
                chunk = self.content(piece)
                digest.update(chunk)
                yield chunk

        try:
            yield from parse_lines(chunks())
        except NotAPage as wrong:
            raise DamagedBackup(f"the backup {page.name} cannot be read: {wrong}") from None
        if digest.hexdigest() != page.lines_sha256:
            raise DamagedBackup(
                f"the list of files of the backup {page.name} is not the one that was written"
            )

    def content(self, piece: str) -> bytes:
        """What is in a piece. Raises DamagedBackup."""
        sealed = self.target.get(_place(piece))
        if sealed is None:
            raise DamagedBackup(f"the piece {piece} is missing")
        return self._keys.open(piece, sealed)

    def read(self, line: Line) -> Iterator[bytes]:
        """A file's bytes, piece by piece; whoever reads to the end knows that all were right. Raises DamagedBackup."""
        digest, size_bytes = hashlib.sha256(), 0
        for piece in line.pieces:
            try:
                chunk = self.content(piece)
            except DamagedBackup as damage:
                raise DamagedBackup(f"{line.path}: {damage}") from None
            digest.update(chunk)
            size_bytes += len(chunk)
            yield chunk
        if digest.hexdigest() != line.sha256 or size_bytes != line.size_bytes:
            raise DamagedBackup(f"{line.path} is not the file that was backed up")

    def has(self, line: Line) -> bool:
        """Whether every piece of a file lies here; their bytes are not read."""
        return all(self.target.size(_place(piece)) is not None for piece in line.pieces)

    def check(self, page: Page, told: Told) -> int:
        """Open every piece of a backup and compare every digest; the files looked at. Raises DamagedBackup."""
        count = done = 0
        for line in self.lines(page):
            count += 1
            if line.is_kept:
                for chunk in self.read(line):
                    done += len(chunk)
                    told(done)
        if count != page.files:
            raise DamagedBackup(f"the backup {page.name} lists {count} files and should have {page.files}")
        return count

    def prune(self, *, keep: int) -> tuple[list[str], int]:
        """Let all but the newest go, and pieces nobody needs; the names, and how many pieces. Raises DamagedBackup.

        Pages first: a kill in between leaves pieces too many, never a page without its pieces.
        """
        names = self.names()
        gone, kept = names[: max(0, len(names) - keep)], names[max(0, len(names) - keep) :]
        needed = set[bytes]()
        for name in kept:
            page = self.page(name)
            needed.update(bytes.fromhex(piece) for piece in page.lines)
            needed.update(bytes.fromhex(piece) for line in self.lines(page) for piece in line.pieces)
        for name in gone:
            self.target.remove(f"backups/{name}")
        self.target.settle()
        count = 0
        for place in list(self.target.names("pieces/")):
            if bytes.fromhex(place.rpartition("/")[2]) not in needed:
                self.target.remove(place)
                count += 1
        return gone, count

    def writer(self, before: Page | None) -> Writer:
        """What writes the next backup. The caller holds target.alone()."""
        return Writer(self, self._keys, Before(self._readable_lines(before) if before else iter(())))

    def _readable_lines(self, page: Page) -> Iterator[Line]:
        """As far as they can be read: what cannot be taken over from a damaged backup is taken anew."""
        try:
            yield from self.lines(page)
        except DamagedBackup:
            return


class Writer:
    """One backup while it is made. Files are given in ascending order of paths."""

    def __init__(self, repository: Repository, keys: Keys, before: Before) -> None:
        self._repository = repository
        self._target = repository.target
        self._keys = keys
        self._before = before
        self._lines = bytearray()
        self._line_pieces: list[str] = []
        self._digest = hashlib.sha256()
        self._last = ""
        self.files = self.size_bytes = self.new_bytes = 0

    def unchanged(self, path: str, *, size_bytes: int) -> bool:
        """Take over a file that can never change, if the backup before has it under this path with this size."""
        line = self._before.find(path)
        if (
            line is None
            or not line.is_kept
            or line.size_bytes != size_bytes
            or not self._repository.has(line)
        ):
            return False
        self._add(line)
        return True

    def add(self, path: str, chunks: Iterable[bytes], *, packs: bool = True) -> Line:
        """Take a file in. Pieces that are there are opened and compared before they are relied upon."""
        digest, size_bytes, pieces = hashlib.sha256(), 0, list[str]()
        for chunk in in_pieces(chunks):
            digest.update(chunk)
            size_bytes += len(chunk)
            pieces.append(self._keep(chunk, packs=packs))
        line = Line(path, size_bytes, digest.hexdigest(), tuple(pieces))
        self._add(line)
        return line

    def name_only(self, path: str, *, size_bytes: int) -> None:
        """Take only a file's name and size."""
        self._add(Line(path, size_bytes, "", ()))

    def finish(self, make: Callable[[tuple[str, ...], str], Page]) -> Page:
        """Write the list of files and, once all of it survives a power cut, the page: from then on it is a backup."""
        self._flush_lines(at_least=1)
        page = make(tuple(self._line_pieces), self._digest.hexdigest())
        self._target.settle()
        self._target.put(f"backups/{page.name}", self._keys.seal_root(page.name, render_page(page)))
        self._target.settle()
        return page

    def _add(self, line: Line) -> None:
        assert line.path > self._last, "files come in ascending order of paths"
        self._last = line.path
        self.files += 1
        self.size_bytes += line.size_bytes
        text = render_line(line)
        self._digest.update(text)
        self._lines += text
        self._flush_lines(at_least=PIECE_BYTES)

    def _flush_lines(self, *, at_least: int) -> None:
        while len(self._lines) >= at_least:
            self._line_pieces.append(self._keep(bytes(self._lines[:PIECE_BYTES]), packs=True))
            del self._lines[:PIECE_BYTES]

    def _keep(self, content: bytes, *, packs: bool) -> str:
        name = self._keys.name(content)
        place = _place(name)
        if self._target.size(place) is not None:
            try:
                self._repository.content(name)
            except DamagedBackup:
                pass  # a power cut left half of it: it is written anew
            else:
                return name
        self._target.put(place, self._keys.seal(name, content, packs=packs))
        self.new_bytes += len(content)
        return name


def in_pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of PIECE_BYTES, the last one shorter."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= PIECE_BYTES:
            yield bytes(waiting[:PIECE_BYTES])
            del waiting[:PIECE_BYTES]
    if waiting:
        yield bytes(waiting)


def _place(piece: str) -> str:
    return f"pieces/{piece[:2]}/{piece}"


def _describe(target: Target, passphrase: bytes) -> Keys:
    salt, cost = secrets.token_bytes(SALT_BYTES), Cost()
    keys = Keys.of(passphrase, salt=salt, cost=cost)
    told = {"format": FORMAT, "salt": salt.hex(), "n": cost.n, "r": cost.r, "p": cost.p, "check": keys.check}
    target.put(DESCRIPTION, json.dumps(told).encode() + b"\n")
    target.settle()
    return keys
