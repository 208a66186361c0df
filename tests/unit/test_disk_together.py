"""What a batch of small puts costs, and what happens to it when one of them goes wrong. The laws say what it does."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from gateway.storage.disk import index_putting
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.disk.index import in_runs
from gateway.storage.errors import PreconditionFailed
from gateway.storage.model import BucketRules, Condition, Quota, Versioning
from meter.ids import BucketId
from tests.contract.engine_model import BUCKET, OWNER, complete, create_upload, delete, get, put, put_part
from tests.unit.disk_faults import SMALL

PUTS = 64


async def put_many(engine: DiskEngine, data: bytes) -> None:
    await asyncio.gather(*(put(engine, f"key{number}", data + b"%d" % number) for number in range(PUTS)))


async def test_a_batch_of_puts_is_one_commit_of_a_dozen_statements(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    statements: list[str] = []
    engine._committer._connection.set_trace_callback(statements.append)
    await put_many(engine, b"first")
    assert 1 == statements.count("COMMIT")
    assert len(statements) < 13, statements
    statements.clear()
    await put_many(engine, b"other")
    assert 1 == statements.count("COMMIT")
    assert len(statements) < 13, statements
    assert [b"other%d" % number for number in range(PUTS)] == [
        await get(engine, f"key{number}") for number in range(PUTS)
    ]
    await engine.close()


async def test_replaced_pieces_are_gone_and_their_numbers_never_come_again(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await put_many(engine, b"first")
    await put_many(engine, b"other")
    connection = engine._committer._connection
    pieces = [number for (number,) in connection.execute("SELECT piece FROM piece ORDER BY piece")]
    assert list(range(PUTS + 1, 2 * PUTS + 1)) == pieces
    connection.execute("DELETE FROM piece")
    connection.execute("DELETE FROM object")
    await asyncio.gather(put(engine, "a", b"x"), put(engine, "b", b"x"))
    pieces = [number for (number,) in connection.execute("SELECT piece FROM piece ORDER BY piece")]
    assert [2 * PUTS + 1, 2 * PUTS + 2] == pieces
    await engine.close()


async def test_one_batch_of_a_race_has_one_winner(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    race = [
        put(engine, "lock", b"%d" % number, condition=Condition(if_none_match=True)) for number in range(9)
    ]
    outcomes = await asyncio.gather(*race, put(engine, "other", b"x"), return_exceptions=True)
    assert 8 == sum(isinstance(outcome, PreconditionFailed) for outcome in outcomes)
    assert b"x" == await get(engine, "other")
    await engine.close()


@pytest.mark.parametrize("whose", ["bucket", "member"])
async def test_a_quota_counts_what_its_own_batch_stores(tmp_path: Path, whose: str) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await put(engine, "full", b"x" * 5)
    quota = Quota(bucket_bytes_max=10) if whose == "bucket" else Quota(member_bytes_max=10)
    outcomes = await asyncio.gather(
        put(engine, "no limit yet", b"x" * 2),
        put(engine, "grows", b"x" * 2, quota=quota),
        put(engine, "full", b"x" * 4, quota=quota),
        put(engine, "grows again", b"x" * 3, quota=quota),
        put(engine, "fills", b"x" * 2, quota=quota),
        put(engine, "one byte too many", b"x", quota=quota),
        put(engine, "nothing", b"", quota=quota),
        return_exceptions=True,
    )
    told = [getattr(one, "key", None) or one.args for one in outcomes]  # type: ignore[union-attr]
    refused = (whose, 10)
    assert ["no limit yet", "grows", "full", refused, "fills", refused, "nothing"] == told
    assert 10 == engine.stored_bytes(BUCKET)
    await engine.close()


async def test_a_put_refused_after_its_rows_were_written_hurts_none_of_its_batch(tmp_path: Path) -> None:
    """In a versioned bucket, whose puts are made alone in the middle of the batch."""
    engine = await open_engine(tmp_path, SMALL)
    versioned = BucketId(2)
    for bucket in (BUCKET, versioned):
        await engine.create_bucket(bucket, owner=OWNER)
    await engine.set_bucket_rules(versioned, BucketRules(Versioning.ENABLED))
    outcomes = await asyncio.gather(
        put(engine, "a", b"x"),
        put(engine, "b", b"x" * 9, bucket=versioned, quota=Quota(bucket_bytes_max=8)),
        put(engine, "c", b"x"),
        return_exceptions=True,
    )
    assert ["a", "QuotaExceeded", "c"] == [getattr(one, "key", type(one).__name__) for one in outcomes]
    assert [1, 1] == [change.delta_bytes for change in await engine.outbox(after=0, limit=9)]
    assert 0 == engine.stored_bytes(versioned)
    await engine.close()


async def test_puts_over_delete_markers_leave_the_history_in_order(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED))
    keys = ("a", "b", "c")
    for key in keys:
        await put(engine, key, b"old")
    await delete(engine, *keys)
    await asyncio.gather(*(put(engine, key, b"new", now_us=3_000) for key in keys))
    page = await engine.list_versions(
        BUCKET, prefix="", delimiter="", after_key="", after_version_id="", limit=100
    )
    found = [(one.key, one.is_latest, one.is_marker, one.superseded_us) for one in page.versions]
    assert found == [
        line
        for key in keys
        for line in ((key, True, False, None), (key, False, True, 3_000), (key, False, False, 2_000))
    ]
    await engine.close()


async def test_an_object_of_parts_replaced_in_a_batch_leaves_no_piece(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    upload_id = await create_upload(engine, "parts")
    parts = [await put_part(engine, "parts", upload_id, number, b"12345") for number in (1, 2, 3)]
    await complete(engine, "parts", upload_id, parts)
    await asyncio.gather(*(put(engine, key, b"new") for key in ("a", "parts", "z")))
    connection = engine._committer._connection
    assert (3, 9) == connection.execute("SELECT count(*), sum(size_bytes) FROM piece").fetchone()
    assert (0,) == connection.execute("SELECT count(*) FROM manifest").fetchone()
    assert {(BUCKET, 0): 9} == await engine.usage_totals()
    await engine.close()


async def test_a_batch_begins_when_a_turn_of_the_loop_brought_nothing_more(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)
    commits: list[str] = []
    begun = threading.Event()

    def trace(statement: str) -> None:
        begun.set()
        if statement == "COMMIT":
            commits.append(statement)

    engine._committer._connection.set_trace_callback(trace)

    async def ask(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await put(engine, f"key{turns}", b"x")

    async def watch(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
            # The loop stands still and lets go of the interpreter: a thread that was woken would begin now.
            assert not begun.wait(timeout=0.05), "the thread began while changes were still coming"

    await asyncio.gather(*(ask(turns) for turns in range(6)), watch(5))
    assert ["COMMIT"] == commits
    await put(engine, "alone", b"x")
    assert ["COMMIT"] * 2 == commits
    await engine.close()


async def test_when_the_way_together_fails_each_put_is_made_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await open_engine(tmp_path, SMALL)
    await engine.create_bucket(BUCKET, owner=OWNER)

    def broken(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("DELETE FROM bucket")
        raise sqlite3.OperationalError("planted")

    monkeypatch.setattr(index_putting, "add_changes", broken)
    await put_many(engine, b"first")
    assert [b"first%d" % number for number in range(PUTS)] == [
        await get(engine, f"key{number}") for number in range(PUTS)
    ]
    assert PUTS == len(await engine.outbox(after=0, limit=1000))
    await engine.close()


@pytest.mark.parametrize(
    ("rows", "runs"), [(0, []), (1, [1]), (3, [2, 1]), (64, [64]), (100, [64, 32, 4]), (130, [64, 64, 2])]
)
def test_rows_come_in_few_lengths_of_runs(rows: int, runs: list[int]) -> None:
    cut = list(in_runs([(number,) for number in range(rows)]))
    assert runs == [len(run) for run in cut]
    assert list(range(rows)) == [number for run in cut for (number,) in run]
