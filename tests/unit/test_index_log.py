"""The log's header, looked at in memory, against what SQLite itself says has changed."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.storage.disk.index import connect, connect_reader
from gateway.storage.disk.index_log import LogHeader

SEED = random.randrange(2**32)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index file with a table, in WAL mode as the index is."""
    path = tmp_path / "index.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (n)")
    connection.close()
    return path


def in_another_process(index: Path, statement: str) -> str:
    """What a statement answers there."""
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
        "print(connection.execute(sys.argv[2]).fetchall())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(index), statement], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def test_whenever_sqlite_says_that_there_is_news_the_header_is_another(index: Path) -> None:
    reader, writer = connect_reader(index, busy_timeout_s=1), connect(index, busy_timeout_s=1)
    header = LogHeader(reader)
    chance = random.Random(SEED)
    was = (reader.execute("PRAGMA data_version").fetchone(), header.read())
    seen: set[bytes | None] = {was[1]}
    commits = 0
    for _ in range(400):
        statement = chance.choice(
            ("INSERT INTO t VALUES (1)", "UPDATE t SET n = n + 1", "DELETE FROM t WHERE n > 3", "SELECT * FROM t",
             "PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(RESTART)", "PRAGMA wal_checkpoint(TRUNCATE)",
             "VACUUM", "ROLLBACK")
        )  # fmt: skip
        if statement == "ROLLBACK":
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO t VALUES (2)")
        writer.execute(statement)
        looked = header.read()
        now = (reader.execute("PRAGMA data_version").fetchone(), looked)
        if now[0] != was[0]:
            commits += 1
            assert looked not in seen, f"seed {SEED}, {statement}"
        seen.add(looked)
        was = now
    assert commits > 100
    reader.close()
    writer.close()


def test_a_commit_of_another_process_is_seen(index: Path) -> None:
    reader = connect_reader(index, busy_timeout_s=1)
    header = LogHeader(reader)
    before = header.read()
    assert before == header.read()
    in_another_process(index, "INSERT INTO t VALUES (1)")
    assert before != header.read()
    reader.close()


def test_looking_takes_none_of_sqlite_s_locks_away(index: Path) -> None:
    reader = connect_reader(index, busy_timeout_s=1)
    in_another_process(index, "INSERT INTO t VALUES (1)")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    for _ in range(3):
        other = connect_reader(index, busy_timeout_s=1)
        LogHeader(other).read()
        other.close()
    in_another_process(index, "INSERT INTO t VALUES (2)")
    busy = in_another_process(index, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert busy.startswith("[(1,"), "the log was emptied under a reader"
    reader.close()


def test_two_copies_that_differ_are_no_answer(index: Path) -> None:
    reader = connect_reader(index, busy_timeout_s=1)
    header = LogHeader(reader)
    assert header.read() is not None
    with Path(f"{index}-shm").open("r+b", buffering=0) as file:
        file.seek(48 + 8)
        counter = file.read(4)
        file.seek(48 + 8)
        file.write(bytes(byte ^ 1 for byte in counter))
        assert header.read() is None
    reader.close()
