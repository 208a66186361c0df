"""The directory on a gateway's own disk: a SQLite file that all its workers share, read when Postgres is away at a start.

A change costs its own lines, however many keys there are. Invariant: it holds everything that was visible at
its position; whoever has read less far writes nothing over it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.call import Bucket
from gateway.changes import BEFORE_ALL, Known, Look, News, Position, Seen
from gateway.rates import OwnRates
from gateway.snapshot import (
    SNAPSHOT_FORMAT,
    pack_bucket,
    pack_engine,
    pack_key,
    unpack_bucket,
    unpack_engine,
    unpack_key,
)
from gateway.store import KeyRow
from meter.ids import MemberId

BUSY_TIMEOUT_S = 10.0
_TABLES = """
    CREATE TABLE IF NOT EXISTS about (word TEXT PRIMARY KEY, told TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS key (name TEXT PRIMARY KEY, member INTEGER NOT NULL, line TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS key_by_member ON key (member);
    CREATE TABLE IF NOT EXISTS bucket (name TEXT PRIMARY KEY, member INTEGER NOT NULL, line TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS bucket_by_member ON bucket (member);
    CREATE TABLE IF NOT EXISTS engine (name TEXT PRIMARY KEY, line TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS cap (member INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS rate (member INTEGER PRIMARY KEY, requests INTEGER, bytes INTEGER);
"""


class SnapshotStore:
    """The file. Its methods block, and are called by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sqlite: sqlite3.Connection | None = None

    def open(self) -> None:
        """Make it or open it; one that is damaged or of another format is begun anew."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # One worker after the other: SQLite does not wait for a file that is just being made ready for many.
        turn = os.open(self._path.with_suffix(".opening"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)
            self._open_or_begin_anew()
        finally:
            os.close(turn)

    def _open_or_begin_anew(self) -> None:
        try:
            self._begin()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self.close()
            for ending in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
            self._begin()

    def _begin(self) -> None:
        self._sqlite = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        self._sqlite.execute("PRAGMA journal_mode = WAL")
        self._sqlite.execute("PRAGMA synchronous = FULL")
        for statement in filter(str.strip, _TABLES.split(";")):
            self._sqlite.execute(statement)
        with self._writing() as sqlite:
            if self._about("format") != SNAPSHOT_FORMAT:
                self._empty(sqlite)
                self._tell("place", ("", BEFORE_ALL))
                self._tell("format", SNAPSHOT_FORMAT)

    def close(self) -> None:
        """Let go of the file."""
        if self._sqlite is not None:
            self._sqlite.close()
            self._sqlite = None

    def load(self) -> tuple[Known, Seen]:
        """What it holds, and up to where."""
        sqlite = self._open
        sqlite.execute("BEGIN")
        try:
            keys = [unpack_key(line) for (line,) in sqlite.execute("SELECT line FROM key")]
            buckets = [unpack_bucket(line) for (line,) in sqlite.execute("SELECT line FROM bucket")]
            caps = {MemberId(m): b for m, b in sqlite.execute("SELECT member, bytes FROM cap")}
            engines = [unpack_engine(line) for (line,) in sqlite.execute("SELECT line FROM engine")]
            rates = {MemberId(m): OwnRates(*own) for m, *own in sqlite.execute("SELECT * FROM rate")}
            return Known(keys, buckets, caps, engines, rates), Seen(*self._place())
        finally:
            sqlite.execute("COMMIT")

    def replace(self, known: Known, look: Look, *, always: bool) -> None:
        """Keep this in the place of all that was; unless told always, not where another worker has read further."""
        with self._writing() as sqlite:
            server, found = self._place()
            if not always and server == look.server and look.position < found:
                return
            self._empty(sqlite)
            self._put(sqlite, known)
            self._tell("place", (look.server, look.position))

    def change(self, news: News, look: Look, *, since: Position) -> bool:
        """Keep what changed since a position up to a look; False where the file is not as far as that position."""
        wanted, known = news
        with self._writing() as sqlite:
            server, found = self._place()
            if server != look.server or found < since:
                return False
            if look.position < found:
                return True
            members = [(member,) for member in wanted.members]
            sqlite.executemany("DELETE FROM key WHERE name = ?", [(name,) for name in wanted.access_keys])
            sqlite.executemany("DELETE FROM key WHERE member = ?", members)
            sqlite.executemany("DELETE FROM bucket WHERE name = ?", [(name,) for name in wanted.buckets])
            sqlite.executemany("DELETE FROM bucket WHERE member = ?", members)
            sqlite.executemany("DELETE FROM cap WHERE member = ?", members)
            sqlite.executemany("DELETE FROM rate WHERE member = ?", members)
            self._put(sqlite, known)
            self._tell("place", (look.server, look.position))
            return True

    def note(
        self, *, keys: Iterable[KeyRow] = (), buckets: Iterable[Bucket] = (), gone: str | None = None
    ) -> None:
        """Keep single lines that were read, or made, beside the changes; take one bucket away."""
        with self._writing() as sqlite:
            if gone is not None:
                sqlite.execute("DELETE FROM bucket WHERE name = ?", (gone,))
            self._put(sqlite, Known(list(keys), list(buckets), {}))

    def _put(self, sqlite: sqlite3.Connection, known: Known) -> None:
        sqlite.executemany(
            "INSERT OR REPLACE INTO key VALUES (?, ?, ?)",
            [(row.access_key, row.member, pack_key(row)) for row in known.keys if row.revoked_us is None],
        )
        sqlite.executemany(
            "INSERT OR REPLACE INTO bucket VALUES (?, ?, ?)",
            [(one.name, one.owner, pack_bucket(one)) for one in known.buckets],
        )
        sqlite.executemany(
            "INSERT OR REPLACE INTO engine VALUES (?, ?)",
            [(row.name, pack_engine(row)) for row in known.engines],
        )
        sqlite.executemany("INSERT OR REPLACE INTO cap VALUES (?, ?)", _pairs(known.egress_caps))
        sqlite.executemany(
            "INSERT OR REPLACE INTO rate VALUES (?, ?, ?)",
            [(int(member), *own) for member, own in known.rates.items()],
        )

    def _empty(self, sqlite: sqlite3.Connection) -> None:
        for table in ("key", "bucket", "engine", "cap", "rate"):
            sqlite.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names

    def _place(self) -> tuple[str, Position]:
        server, position = self._about("place")
        return server, Position(*position)

    def _about(self, word: str) -> Any:
        row = self._open.execute("SELECT told FROM about WHERE word = ?", (word,)).fetchone()
        return None if row is None else json.loads(row[0])

    def _tell(self, word: str, told: object) -> None:
        self._open.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (word, json.dumps(told)))

    @property
    def _open(self) -> sqlite3.Connection:
        assert self._sqlite is not None, "used before open()"
        return self._sqlite

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that is on the disk when the block is left."""
        sqlite = self._open
        sqlite.execute("BEGIN IMMEDIATE")
        try:
            yield sqlite
        except BaseException:
            sqlite.execute("ROLLBACK")
            raise
        sqlite.execute("COMMIT")


def _pairs(caps: Mapping[MemberId, int]) -> list[tuple[int, int]]:
    return [(int(member), cap) for member, cap in caps.items()]
