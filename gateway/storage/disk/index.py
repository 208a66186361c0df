"""The index file: connections, schema and transactions. It knows SQLite, not what the rows mean.

The rows are in index_objects, index_uploads, index_listing and index_upkeep; all SQL is in index*.py.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from gateway.storage.disk.files import Files
from gateway.storage.errors import Busy, StorageFull
from meter.refusal import Refusal

Connection = sqlite3.Connection

_MIGRATIONS = Path(__file__).parent / "sql"
_MIGRATION_NAME = re.compile(r"(\d{4})_\w+\.sql", re.ASCII)
_WAL_PAGES = 4000
"""A checkpoint each 16 MiB of 4 KiB pages, not SQLite's 4 MiB: small objects live in the index."""
_ROWS_MAX = 64
"""In one statement; more rows save nothing more."""
_CACHE_KIB = 8192
"""Pages a connection keeps. A page of 1000 common prefixes touches 1000 leaves of the tree, 4 MiB."""


def connect(path: Path, *, busy_timeout_s: int, waits_for_disk: bool = True) -> Connection:
    """A connection that writes. In WAL mode synchronous=FULL syncs the log at each commit; NORMAL only
    before a checkpoint, so that a power cut may take the last commits and never tears the index."""
    connection = sqlite3.connect(
        path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute(f"PRAGMA synchronous = {'FULL' if waits_for_disk else 'NORMAL'}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = {-_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
    return connection


def connect_reader(path: Path, *, busy_timeout_s: int) -> Connection:
    """A connection that cannot change anything."""
    connection = connect(path, busy_timeout_s=busy_timeout_s)
    connection.execute("PRAGMA query_only = ON")
    return connection


def connect_to_look(path: Path, *, busy_timeout_s: int) -> Connection:
    """A connection that leaves every file as it is, beside running writers or with nobody there.

    Where there is no write-ahead log nobody has the index open, and it is read as it lies: to open it in the
    usual way would make a log beside it.
    """
    mode = "ro" if Path(f"{path}-wal").exists() else "ro&immutable=1"
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False,
    )  # fmt: skip


def migrate(connection: Connection) -> None:
    """Bring the schema up to date. Raises Refusal when the file is of a newer Weir."""
    migrations = _migrations()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise Refusal(
            f"the storage index has schema version {version}, this Weir knows {len(migrations)}; "
            "start the newer Weir that wrote it"
        )
    if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise Refusal("the storage index cannot use a write-ahead log on this file system; use a local disk")
    for number, script in enumerate(migrations[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def schema_versions(path: Path, *, busy_timeout_s: int) -> tuple[int, int]:
    """Of the index at this path, which stays as it is, and the newest that this Weir knows."""
    connection = connect_to_look(path, busy_timeout_s=busy_timeout_s)
    try:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
    finally:
        connection.close()
    return int(found), len(_migrations())


def _migrations() -> list[str]:
    paths = sorted(path for path in _MIGRATIONS.iterdir() if _MIGRATION_NAME.fullmatch(path.name))
    numbers = [int(path.name[:4]) for path in paths]
    assert numbers == list(range(1, len(paths) + 1)), "migrations are numbered without gaps"
    return [path.read_text(encoding="utf-8") for path in paths]


def begin(connection: Connection) -> None:
    """Begin a writing transaction. Waits for another writer as long as the connection's timeout."""
    connection.execute("BEGIN IMMEDIATE")


def commit(connection: Connection) -> None:
    """End the transaction; when this returns it survives a power cut, if the connection waits for the disk."""
    connection.execute("COMMIT")


def sync_log(path: Path, files: Files) -> None:
    """What any process committed to the index at this path until now survives a power cut."""
    try:
        # SQLite's locks are on the index and its -shm file, so closing the log again takes none away.
        log = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # the last connection's close has brought everything into the index, and synced that
    try:
        files.sync_data(log)
    finally:
        os.close(log)
    files.sync_directory(path.parent)


def in_runs(rows: Sequence[tuple[object, ...]]) -> Iterator[Sequence[tuple[object, ...]]]:
    """The rows in runs of 1, 2, 4, … up to _ROWS_MAX: so few lengths that each one's statement stays prepared."""
    start, left = 0, len(rows)
    while left:
        count = min(_ROWS_MAX, 1 << (left.bit_length() - 1))
        yield rows[start : start + count]
        start, left = start + count, left - count


@lru_cache(maxsize=256)
def values(columns: int, rows: int) -> str:
    """VALUES of so many rows, each of so many parameters."""
    row = f"({', '.join('?' * columns)})"
    return f"VALUES {', '.join([row] * rows)}"


def insert_rows(connection: Connection, into: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert the rows; `into` is the statement up to its VALUES.

    SQLite lets go of the interpreter's lock at each row that executemany() inserts, and to have it again from a
    busy event loop takes longer than the row. Here it lets go of it once a run.
    """
    for run in in_runs(rows):
        connection.execute(f"{into} {values(len(run[0]), len(run))}", tuple(chain.from_iterable(run)))


def roll_back(connection: Connection) -> None:
    """Undo the transaction, if SQLite has not done so itself."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """What happens inside is undone as a whole when it raises; the transaction around it lives on."""
    connection.execute("SAVEPOINT job")
    try:
        yield
    except BaseException:
        # A full disk makes SQLite roll the whole transaction back; then there is no savepoint left.
        if connection.in_transaction:
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
        raise
    connection.execute("RELEASE job")


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """All reads inside see one state of the index."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        roll_back(connection)


def storage_error(error: sqlite3.Error) -> Exception:
    """The contract's error for a full or busy index; any other error stands for a bug or a broken disk."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StorageFull("the disk of the storage index is full")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy("another worker keeps the storage index")
    return error
