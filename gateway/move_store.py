"""The SQL of moves: buckets on their way to another engine, and what the workers of gateways answer meanwhile.

A worker that answered 'hold' may write to the old place again only after withdraw(); the row of the move is
locked by it and by switch(), so that one of the two comes first and the other sees it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import asyncpg

from gateway.call import Bucket
from gateway.engine_store import EngineRow
from gateway.placement import upstream_name
from meter.ids import BucketId, MemberId
from meter.postgres import Connection
from meter.window import to_datetime, to_us


class Asked(StrEnum):
    """What workers are asked to do with a bucket that moves; kept in PostgreSQL, so never renamed."""

    NOTHING = "nothing"
    NOTE = "note"
    """Note each key that is written from now on."""
    HAND_OVER = "hand-over"
    """Tell the keys noted so far, and go on noting."""
    HOLD_UPLOADS = "hold-uploads"
    """Let no upload in parts begin."""
    HOLD = "hold"
    """Let no write begin; tell the keys once the last one is over."""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker of some gateway, as it began last."""

    stream: UUID
    incarnation: UUID
    label: str
    host: str


@dataclass(frozen=True, slots=True)
class Move:
    """A bucket on its way, or one whose old place is still to be cleared."""

    id: int
    bucket: BucketId
    """The number it had before."""
    target: BucketId
    name: str
    source_engine: str
    target_engine: str
    asked: Asked
    round: int
    started_us: int
    switched_us: int | None


@dataclass(frozen=True, slots=True)
class Answered:
    """One worker's answer to a round."""

    incarnation: UUID
    is_complete: bool


async def enter_worker(connection: Connection, row: WorkerRow, *, now_us: int) -> None:
    """A worker began: what it remembered before is gone."""
    await connection.execute(
        "INSERT INTO gateway.worker VALUES ($1, $2, $3, $4, $5) ON CONFLICT (stream) DO UPDATE"
        " SET incarnation = excluded.incarnation, label = excluded.label, host = excluded.host,"
        " started_at = excluded.started_at",
        row.stream, row.incarnation, row.label, row.host, to_datetime(now_us),
    )  # fmt: skip


async def forget_worker(connection: Connection, stream: UUID) -> None:
    """A worker ended in order, or somebody who knows says that it is gone for good."""
    await connection.execute("DELETE FROM gateway.worker WHERE stream = $1", stream)


async def workers(connection: Connection) -> list[WorkerRow]:
    """All that may be writing."""
    rows = await connection.fetch(
        "SELECT stream, incarnation, label, host FROM gateway.worker ORDER BY host, label"
    )
    return [WorkerRow(row["stream"], row["incarnation"], row["label"], row["host"]) for row in rows]


_ALONE = int.from_bytes(b"move", "big") << 32
"""Advisory locks of moves begin here."""
_OPEN = """
    SELECT m.id, m.bucket, m.target, b.name, b.engine AS source_engine, t.engine AS target_engine, m.asked, m.round,
           m.started_at, m.switched_at
    FROM gateway.move m JOIN gateway.bucket b ON b.id = m.bucket JOIN gateway.bucket t ON t.id = m.target
    WHERE m.ended_at IS NULL AND ($1::text IS NULL OR b.name = $1) ORDER BY m.id
"""


async def open_moves(connection: Connection, name: str | None = None) -> list[Move]:
    """Moves that have not ended, of all buckets or of the one of that name."""
    return [_move(row) for row in await connection.fetch(_OPEN, name)]


def _move(row: asyncpg.Record) -> Move:
    return Move(
        row["id"], BucketId(row["bucket"]), BucketId(row["target"]), row["name"], row["source_engine"],
        row["target_engine"], Asked(row["asked"]), row["round"], to_us(row["started_at"]),
        None if row["switched_at"] is None else to_us(row["switched_at"]),
    )  # fmt: skip


async def begin(connection: Connection, bucket: BucketId, engine: EngineRow, *, now_us: int) -> Move | None:
    """Enter a move and its target, a bucket that counts as deleted until it takes the name; None: it is gone."""
    async with connection.transaction():
        number: int = await connection.fetchval("SELECT nextval('gateway.bucket_id_seq')")
        row = await connection.fetchrow(
            "SELECT name, owner FROM gateway.bucket WHERE id = $1 AND deleted_at IS NULL", bucket
        )
        if row is None:
            return None
        await connection.execute(
            "INSERT INTO gateway.bucket (id, name, owner, created_at, deleted_at, engine, upstream_name)"
            " OVERRIDING SYSTEM VALUE"
            " SELECT $2, name, owner, created_at, $3, $4, $5 FROM gateway.bucket WHERE id = $1",
            bucket, number, to_datetime(now_us), engine.name, upstream_name(engine, number, row["name"]),
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO gateway.move (bucket, target, started_at) VALUES ($1, $2, $3)",
            bucket, number, to_datetime(now_us),
        )  # fmt: skip
        return (await open_moves(connection, row["name"]))[-1]


async def take_alone(connection: Connection, move: Move) -> bool:
    """Whether this connection alone works on the move from now on, for as long as it lives.

    Two at once could each copy a key, and the older bytes arrive last.
    """
    taken: bool = await connection.fetchval("SELECT pg_try_advisory_lock($1)", _ALONE + move.id)
    return taken


async def bucket_of(connection: Connection, move: Move) -> Bucket:
    """The bucket that moves as it was before, even if it was deleted since; without limits and documents."""
    row = await connection.fetchrow(
        "SELECT id, name, owner, created_at, engine, upstream_name FROM gateway.bucket WHERE id = $1",
        move.bucket,
    )
    assert row is not None, "a move names its bucket"
    return Bucket(
        BucketId(row["id"]), row["name"], MemberId(row["owner"]), to_us(row["created_at"]), engine=row["engine"],
        upstream_name=row["upstream_name"],
    )  # fmt: skip


async def names_there(connection: Connection, move: Move) -> tuple[str, str]:
    """What the old and the new bucket are called on their engines."""
    rows = await connection.fetch(
        "SELECT id, upstream_name FROM gateway.bucket WHERE id = ANY($1::bigint[])",
        [move.bucket, move.target],
    )
    found = {row["id"]: row["upstream_name"] for row in rows}
    return found[move.bucket], found[move.target]


async def ask(connection: Connection, move: Move, asked: Asked) -> int:
    """Ask all workers for something; the number of the round."""
    number: int = await connection.fetchval(
        "UPDATE gateway.move SET asked = $2, round = round + 1 WHERE id = $1 RETURNING round", move.id, asked
    )
    return number


async def answer(
    connection: Connection, move: Move, worker: WorkerRow, keys: Iterable[str], *, is_complete: bool
) -> bool:
    """A worker did what the round asked; whether that round is still the one. All of it, or nothing."""
    async with connection.transaction():
        now = await connection.fetchrow(
            "SELECT asked, round FROM gateway.move WHERE id = $1 FOR UPDATE", move.id
        )
        if now is None or (now["asked"], now["round"]) != (move.asked, move.round):
            return False
        await connection.executemany(
            "INSERT INTO gateway.move_key VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            [(move.id, move.round, key.encode("utf-8", "surrogatepass")) for key in keys],
        )
        await connection.execute(
            "INSERT INTO gateway.move_answer VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            move.id, move.round, worker.stream, worker.incarnation, is_complete,
        )  # fmt: skip
        return True


async def withdraw(connection: Connection, move: Move, stream: UUID) -> None:
    """Take a worker's answers back, so that it may write again.

    Invariant: when this returns, either the switch was made and is seen by whoever asks, or it waits for a new answer.
    """
    async with connection.transaction():
        await connection.fetchrow("SELECT 1 FROM gateway.move WHERE id = $1 FOR UPDATE", move.id)
        await connection.execute(
            "DELETE FROM gateway.move_answer WHERE move = $1 AND stream = $2", move.id, stream
        )


async def answers(connection: Connection, move: Move, number: int) -> dict[UUID, Answered]:
    """Stream to answer, of one round."""
    rows = await connection.fetch(
        "SELECT stream, incarnation, is_complete FROM gateway.move_answer WHERE move = $1 AND round = $2",
        move.id, number,
    )  # fmt: skip
    return {row["stream"]: Answered(row["incarnation"], row["is_complete"]) for row in rows}


async def handed_over(connection: Connection, move: Move) -> set[tuple[int, str]]:
    """Every key that was handed over, with its round."""
    rows = await connection.fetch("SELECT round, key FROM gateway.move_key WHERE move = $1", move.id)
    return {(row["round"], row["key"].decode("utf-8", "surrogatepass")) for row in rows}


async def switch(
    connection: Connection, move: Move, number: int, expected: Collection[WorkerRow], *, without: Collection[UUID],
    now_us: int,
) -> bool:  # fmt: skip
    """Let the target take the name, with limit and documents, if all still hold; whether it did.

    expected are the workers that noted from the beginning. Any other one, or one that began anew, undoes it.
    """
    async with connection.transaction():
        now = await connection.fetchrow(
            "SELECT asked, round FROM gateway.move WHERE id = $1 FOR UPDATE", move.id
        )
        if now is None or (now["asked"], now["round"]) != (Asked.HOLD, number):
            return False
        told = await answers(connection, move, number)
        there = {row for row in await workers(connection) if row.stream not in without}
        if there != set(expected) or not all(
            row.stream in told and told[row.stream] == Answered(row.incarnation, is_complete=True)
            for row in there
        ):
            return False
        at = to_datetime(now_us)
        closed = await connection.execute(
            "UPDATE gateway.bucket SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL", move.bucket, at
        )
        if closed != "UPDATE 1":
            return False
        limit = await connection.fetchval("SELECT bytes_max FROM gateway.bucket WHERE id = $1", move.bucket)
        await connection.execute(
            "UPDATE gateway.bucket SET deleted_at = NULL, bytes_max = $2 WHERE id = $1", move.target, limit
        )
        await connection.execute(
            "INSERT INTO gateway.bucket_document (bucket, subject, document, changed_at)"
            " SELECT $2, subject, document, changed_at FROM gateway.bucket_document WHERE bucket = $1",
            move.bucket, move.target,
        )  # fmt: skip
        await connection.execute(
            "UPDATE gateway.move SET switched_at = $2, asked = 'nothing', round = round + 1 WHERE id = $1",
            move.id,
            at,
        )
        return True


async def end(connection: Connection, move: Move, *, is_given_up: bool, now_us: int) -> None:
    """Nothing is left to do; what members' keys were called is forgotten."""
    async with connection.transaction():
        await connection.execute("DELETE FROM gateway.move_key WHERE move = $1", move.id)
        await connection.execute("DELETE FROM gateway.move_answer WHERE move = $1", move.id)
        await connection.execute(
            "UPDATE gateway.move SET ended_at = $2, was_given_up = $3, asked = 'nothing', round = round + 1"
            " WHERE id = $1",
            move.id, to_datetime(now_us), is_given_up,
        )  # fmt: skip
