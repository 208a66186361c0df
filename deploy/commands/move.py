"""weir bucket move: a bucket to another engine, while its members go on using it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

import asyncpg
import click

from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_operator, at_desk, gateway_settings
from deploy.output import bytes_text, counted, number_of, print_json, say
from deploy.settling import settle
from gateway import engine_store, move_store
from gateway.call import Bucket
from gateway.engine_store import DISK_KIND, EngineRow, find
from gateway.move_store import Move
from gateway.moving.compare import SENTENCES, keeps
from gateway.moving.ends import Ends
from gateway.moving.mover import Connect, Inventory, Mover, Progress, look
from gateway.storage.base import Engine
from gateway.storage.errors import StorageError, Unavailable
from gateway.storage.upstream.engine_base import Place
from gateway.store import buckets
from meter.journal import JournalLocked, lock_stream
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.segments import stream_of


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for."""

    name: str
    to: str
    is_dry: bool
    may_change_ids: bool
    aborts_uploads: bool
    gives_up: bool
    without: frozenset[UUID]


@dataclass(slots=True)
class Told:
    """What came of it."""

    bucket: Bucket
    source: str
    target: str
    inventory: Inventory | None = None
    progress: Progress = field(default_factory=Progress)
    number: int | None = None
    state: str = "looked at"
    corrections: int = 0
    """Entries that take the second copy off the member's bill."""


class _Lossy(Refusal):
    """Something would be lost."""

    def __init__(self, told: Told) -> None:
        super().__init__(f"{told.bucket.name} is not moved; nothing was changed")
        self.told = told


@click.command("move")
@click.argument("name")
@click.option("--to", "to", required=True, metavar="ENGINE", help="Where to; `weir engine list` names them.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only say what is there and what would be lost.")
@click.option("--new-version-ids", "may_change_ids", is_flag=True, help="Versions may get new ids there.")
@click.option("--abort-uploads", "aborts_uploads", is_flag=True, help="End uploads in parts that are open.")
@click.option("--give-up", "gives_up", is_flag=True, help="End a move that was begun; the bucket stays.")
@click.option(
    "--without", "without", multiple=True, type=click.UUID, metavar="STREAM",
    help="Do not wait for this worker: it is gone for good.",
)  # fmt: skip
@json_option
@data_option
def move(
    name: str, to: str, is_dry: bool, may_change_ids: bool, aborts_uploads: bool, gives_up: bool,
    without: Sequence[UUID], as_json: bool,
) -> None:  # fmt: skip
    """Move bucket NAME to another engine; members go on reading and writing. Run again, it goes on where it was."""
    wish = Wish(name, to, is_dry, may_change_ids, aborts_uploads, gives_up, frozenset(without))

    async def work(desk: Desk) -> Told:
        try:
            return await _work(desk, wish)
        except Unavailable as error:
            raise Refusal(
                f"the engine {error.args[0]} does not answer; the same command goes on from here"
            ) from None
        except StorageError as error:
            raise Refusal(f"{type(error).__name__}: {error}; the same command goes on from here") from error

    try:
        told = at_desk(work)
    except _Lossy as refused:
        _print(refused.told, as_json=as_json)
        raise
    _print(told, as_json=as_json)


async def _work(desk: Desk, wish: Wish) -> Told:
    async with desk.connected("weir_gateway") as connection:
        engines = await engine_store.engines(connection)
        target = find(engines, wish.to)
        found = await move_store.open_moves(connection, wish.name)
        there = await buckets(connection, name=wish.name)
    under_way = found[0] if found else None
    if under_way is None:
        _check_begin(wish, there, target)
        told = Told(there[0], there[0].engine, wish.to)
    else:
        if under_way.target_engine != wish.to:
            raise Refusal(
                f"{wish.name} is on its way to {under_way.target_engine}; --give-up with that engine ends it"
            )
        async with desk.connected("weir_gateway") as connection:
            told = Told(await move_store.bucket_of(connection, under_way), under_way.source_engine, wish.to)
        if under_way.switched_us is None and under_way.bucket not in [one.id for one in there]:
            # Its owner deleted it on the way: nothing is left to be moved.
            wish = replace(wish, gives_up=True)
    ends = Ends(gateway_settings(desk), desk.meter.model_copy(update={"data": desk.data}), desk.vault())
    try:
        await _move(desk, wish, told, under_way, engines, ends)
        if not wish.is_dry:
            done = as_operator(
                f"move a bucket from {told.source} to {told.target}: {told.state}", detail=wish.name
            )
            done.subject = told.bucket.owner
            await desk.note("weir_gateway", done)
        return told
    finally:
        await ends.close()


def _check_begin(wish: Wish, there: list[Bucket], target: EngineRow) -> None:
    if not there:
        raise Refusal(f"there is no bucket named '{wish.name}'; `weir bucket list` names them")
    if wish.gives_up:
        raise Refusal(f"{wish.name} is not on its way anywhere")
    if there[0].engine == target.name:
        raise Refusal(f"{wish.name} is on {target.name} already")
    if not target.is_open:
        raise Refusal(f"{target.name} takes no new buckets")


async def _move(
    desk: Desk, wish: Wish, told: Told, under_way: Move | None, engines: list[EngineRow], ends: Ends
) -> None:  # fmt: skip
    rows = {row.name: row for row in engines}
    if under_way is None or wish.is_dry:
        source = await ends.engine(
            rows[told.source], Place(told.bucket.id, told.bucket.upstream_name, told.bucket.owner)
        )
        with counted("looking") as tell:
            seen = 0

            def step(more: int) -> None:
                nonlocal seen
                seen += more
                tell(seen, seen)

            told.inventory = await look(
                source, told.bucket.id, keeps(rows[wish.to]), may_change_ids=wish.may_change_ids, told=step
            )
        if told.inventory.lost:
            raise _Lossy(told)
        if wish.is_dry:
            return
        async with desk.connected("weir_gateway") as connection:
            try:
                under_way = await move_store.begin(
                    connection, told.bucket.id, rows[wish.to], now_us=desk.now_us
                )
            except asyncpg.UniqueViolationError:
                raise Refusal(f"somebody else just began to move {wish.name}") from None
        if under_way is None:
            raise Refusal(f"{wish.name} was deleted meanwhile")
    told.number = under_way.target
    async with desk.connected("weir_gateway") as connection:
        source_place, target_place = await _places(connection, under_way, told.bucket)
    source = await ends.engine(rows[under_way.source_engine], source_place)
    target = await ends.engine(rows[under_way.target_engine], target_place)
    await _forget_dead(desk)
    async with _alone(desk, under_way) as connect:
        await _alone_on_it(desk, wish, told, under_way, source, target, rows, connect)


@asynccontextmanager
async def _alone(desk: Desk, under_way: Move) -> AsyncIterator[Connect]:
    """Connections for whoever is the only one to work on the move. Raises Refusal, also when that ends."""
    async with desk.connected("weir_gateway") as lock:
        if not await move_store.take_alone(lock, under_way):
            raise Refusal(f"another command moves {under_way.name} at this moment")

        def connect() -> AbstractAsyncContextManager[Connection]:
            if lock.is_closed():
                raise Refusal("PostgreSQL went away; the same command goes on from here")
            return desk.connected("weir_gateway")

        yield connect


async def _alone_on_it(
    desk: Desk, wish: Wish, told: Told, under_way: Move, source: Engine, target: Engine,
    rows: dict[str, EngineRow], connect: Connect,
) -> None:  # fmt: skip
    with counted("copying") as tell:
        size = told.inventory.size_bytes if told.inventory else 0
        mover = Mover(
            connect, under_way, source, target, gateway_settings(desk),
            clock=lambda: time.time_ns() // 1000, without=wish.without,
            told=lambda now: tell(now.size_bytes, max(size, now.size_bytes)),
        )  # fmt: skip
        told.progress = mover.progress
        await _to_the_end(desk, wish, told, under_way, mover, source, target, rows)


async def _to_the_end(
    desk: Desk, wish: Wish, told: Told, under_way: Move, mover: Mover, source: Engine, target: Engine,
    rows: dict[str, EngineRow],
) -> None:  # fmt: skip
    if under_way.switched_us is None:
        if wish.gives_up:
            # First the row: no worker notes or holds from then on, and nobody else goes on with it.
            async with desk.connected("weir_gateway") as connection:
                await move_store.end(connection, under_way, is_given_up=True, now_us=desk.now_us)
            await mover.clear(target, under_way.target, told=lambda _: None)
            told.corrections = await settle(desk, under_way, told.bucket, switched_us=desk.now_us)
            told.state = "given up"
            return
        if wish.aborts_uploads:
            await mover.abort_uploads(source, under_way.bucket)
        await mover.run(told.bucket)
    elif wish.gives_up:
        raise Refusal(
            f"{wish.name} is on {under_way.target_engine} already; only its old place is to be cleared"
        )
    told.state = "moved"
    await mover.wait_until_known()
    if rows[under_way.source_engine].kind != DISK_KIND:
        # The disk itself keeps files for those who still read them; of an upstream nobody knows.
        await asyncio.sleep(gateway_settings(desk).blob_delete_delay_s)
    await mover.clear(source, under_way.bucket, told=lambda _: None)
    switched_us = await _switched(desk, under_way)
    told.corrections = await settle(desk, under_way, told.bucket, switched_us=switched_us)
    async with desk.connected("weir_gateway") as connection:
        await move_store.end(connection, under_way, is_given_up=False, now_us=desk.now_us)


async def _switched(desk: Desk, under_way: Move) -> int:
    async with desk.connected("weir_gateway") as connection:
        now = next(one for one in await move_store.open_moves(connection) if one.id == under_way.id)
    assert now.switched_us is not None, "it has the name"
    return now.switched_us


async def _places(connection: Connection, under_way: Move, bucket: Bucket) -> tuple[Place, Place]:
    source, target = await move_store.names_there(connection, under_way)
    return Place(under_way.bucket, source, bucket.owner), Place(under_way.target, target, bucket.owner)


async def _forget_dead(desk: Desk) -> None:
    """Workers of this machine whose journal nobody writes are no more; those elsewhere only their operator knows."""
    journal = desk.meter.model_copy(update={"data": desk.data}).journal_directory
    async with desk.connected("weir_gateway") as connection:
        for row in await move_store.workers(connection):
            directory = journal / row.label
            if (
                row.host != socket.gethostname()
                or not directory.exists()
                or stream_of(directory) != row.stream
            ):
                continue
            try:
                lock = lock_stream(directory)
            except JournalLocked:
                continue  # it lives
            with lock:
                await move_store.forget_worker(connection, row.stream)


def _print(told: Told, *, as_json: bool) -> None:
    found, done = told.inventory, told.progress
    if as_json:
        print_json({
            "bucket": told.bucket.name, "from": told.source, "to": told.target, "state": told.state,
            "number_before": told.bucket.id, "number": told.number,
            "objects": None if found is None else found.objects,
            "bytes": None if found is None else found.size_bytes,
            "open_uploads": None if found is None else found.uploads,
            "lost": [] if found is None else [
                {"what": loss.value, "objects": count, "example": found.examples[loss] or None}
                for loss, count in sorted(found.lost.items())
            ],
            "keys": done.keys, "copied_bytes": done.size_bytes, "passes": done.passes,
            "held_ms": int(done.held_s * 1000),
            "corrections": told.corrections,
        })  # fmt: skip
        return
    if found is not None:
        say(
            f"{told.bucket.name} on {told.source}: {number_of(found.objects, 'object', 'objects')} of {bytes_text(found.size_bytes)}"
        )
        for loss, count in sorted(found.lost.items()):
            example = f", such as {found.examples[loss]!r}" if found.examples[loss] else ""
            say(f"would lose {SENTENCES[loss]} ({count:,}{example})")
        if found.uploads:
            say(f"{found.uploads:,} uploads in parts are open; they have to end before the last step")
    if told.state == "moved":
        say(
            f"{told.bucket.name} is on {told.target}: {number_of(done.keys, 'key', 'keys')}, {bytes_text(done.size_bytes)} copied, "
            f"writes waited {int(done.held_s * 1000):,} ms; the old place is cleared"
        )
    elif told.state == "given up":
        say(f"{told.bucket.name} stays on {told.source}; what was copied is removed")
