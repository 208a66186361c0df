"""What a backup asks of the disk engine: one state of the index beside writers, and files that stay meanwhile."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.storage.disk.backup import index_moment, kept_files
from gateway.storage.disk.engine import open_engine
from gateway.storage.disk.index import connect_to_look
from gateway.storage.disk.index_backup import files_of, size_of_files
from gateway.storage.disk.turnstile import only_one
from meter.refusal import Refusal
from tests.contract.engine_model import BUCKET, OWNER, delete, get, put
from tests.unit.disk_faults import SMALL, files_under

LATE_US = 10**17


async def test_the_index_is_copied_as_it_was_and_its_files_stay_until_the_end(tmp_path: Path) -> None:
    place, copy = tmp_path / "engine", tmp_path / "copy.sqlite"
    engine = await open_engine(place, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    for name in ("a", "b", "c"):
        await put(engine, name, name.encode() * 5000)
    with kept_files(place, timeout_s=1):
        with index_moment(place, busy_timeout_s=1) as moment:
            assert moment is not None
            sequence = moment.sequence
            # Everything goes on while the moment is held: an object replaced, one gone, one come.
            await put(engine, "a", b"A" * 6000)
            await delete(engine, "b", now_us=2000)
            await put(engine, "d", b"d" * 5000)
            steps: list[tuple[int, int]] = []
            moment.copy(copy, lambda done, of: steps.append((done, of)))
            assert {BUCKET} == moment.buckets()
        assert 0 == await engine.collect(LATE_US)
        looked = connect_to_look(copy, busy_timeout_s=1)
        found = dict(files_of(looked))
        assert [5000] * 3 == list(found.values())
        assert 15_000 == size_of_files(looked)
        assert sequence == looked.execute("SELECT value FROM meta WHERE name = 'sequence'").fetchone()[0]
        looked.close()
        assert steps[-1][0] == steps[-1][1] > 0
        bodies = {name: (place / "blobs" / name[:2] / name).read_bytes() for name in found}
        assert {b"a" * 5000, b"b" * 5000, b"c" * 5000} == set(bodies.values())
        assert sorted(found) == list(found)
    assert 2 == await engine.collect(LATE_US)
    assert 3 == len(files_under(place))
    assert b"A" * 6000 == await get(engine, "a")
    await engine.close()


async def test_a_backup_waits_for_the_collector_and_gives_up_with_a_sentence(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    with only_one(tmp_path / "upkeep.lock") as is_ours:
        assert is_ours
        with pytest.raises(Refusal, match="the collector or the sweep has been at work"):
            with kept_files(tmp_path, timeout_s=0.1):
                raise AssertionError("somebody else holds it")
    with kept_files(tmp_path, timeout_s=0.1):
        pass
    await engine.close()


def test_where_nothing_was_stored_there_is_no_moment_and_a_damaged_index_is_named(tmp_path: Path) -> None:
    with index_moment(tmp_path, busy_timeout_s=1) as moment:
        assert moment is None
    (tmp_path / "index.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(Refusal, match="cannot be read"), index_moment(tmp_path, busy_timeout_s=1):
        raise AssertionError("it was read")


def test_a_copy_is_a_database_of_its_own(tmp_path: Path) -> None:
    source = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)
    source.execute("PRAGMA journal_mode = WAL")
    source.executescript(
        "CREATE TABLE meta (name TEXT, value INTEGER); INSERT INTO meta VALUES ('sequence', 7);"
    )
    with index_moment(tmp_path, busy_timeout_s=1) as moment:
        assert moment is not None
        source.execute("UPDATE meta SET value = 8")
        moment.copy(tmp_path / "copy.sqlite", lambda _, __: None)
        assert 7 == moment.sequence
    source.close()
    copy = sqlite3.connect(tmp_path / "copy.sqlite")
    assert (7,) == copy.execute("SELECT value FROM meta").fetchone()
    copy.close()
