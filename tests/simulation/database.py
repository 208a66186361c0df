"""PostgreSQL as the shipper needs it, in memory: the functions of meter.store with the semantics of a transaction.

A transaction's changes are its own until it commits; a stream's row, once locked, is its own until it ends; the
gate of the months is held by many shippers or by one closing. It passes the contract that the real store passes
(tests/contract/test_meter_store_contract.py). What it does not have is SQL, and thus no slip in SQL.

`pause` is awaited wherever a real server would make its client wait; faults of the server and the network are
what the pause raises, and what becomes of a COMMIT.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import asyncpg

from meter.ids import StreamId
from meter.refusal import Refusal
from meter.tail import SealedSegment
from meter.tally import Displaced, Tally
from meter.window import Credible, Month

Reading = tuple[int, ...]
"""requests, failures, aborts, bytes in, bytes out, moved in, moved out"""
FOUNDED = Month(2000, 1)
"""Of a co-op without members."""


class Commit(Enum):
    """What becomes of a COMMIT."""

    ANSWERED = "answered"
    ANSWER_LOST = "answer lost"
    NEVER_ARRIVED = "never arrived"
    REFUSED = "refused"


@dataclass
class Place:
    """A stream's row."""

    label: str
    last_sequence: int = 0
    last_record: bytes = b""
    exchanges_cut: int = 0


@dataclass
class Tables:
    """What is committed."""

    places: dict[StreamId, Place] = field(default_factory=dict)
    segments: dict[tuple[StreamId, int], SealedSegment] = field(default_factory=dict)
    readings: dict[tuple[Any, ...], Reading] = field(default_factory=dict)
    storage: dict[tuple[Any, ...], tuple[int, int]] = field(default_factory=dict)
    samples: dict[tuple[Any, ...], tuple[int, int]] = field(default_factory=dict)
    closed: dict[Month, dict[StreamId, int]] = field(default_factory=dict)
    months: set[Month] = field(default_factory=set)
    """Those that have partitions."""
    displaced: dict[tuple[StreamId, int], Displaced] = field(default_factory=dict)


class Database:
    """One server, with a clock of its own."""

    def __init__(
        self, pause: Callable[[], Awaitable[None]], now_us: Callable[[], int], *, founded: Month = FOUNDED
    ) -> None:
        self.tables = Tables()
        self.pause = pause
        self.now_us = now_us
        self.founded = founded
        self.fate: Callable[[], Commit] = lambda: Commit.ANSWERED
        self._row_locks: dict[StreamId, Connection] = {}
        self._gate: set[Connection] = set()
        self._gate_alone: Connection | None = None

    def end_session(self, connection: Connection) -> None:
        """Whatever it had not committed never was."""
        connection.is_open = False
        connection.changes.clear()
        self.let_go(connection)

    def let_go(self, connection: Connection) -> None:
        """A transaction's locks end with it."""
        self._row_locks = {stream: one for stream, one in self._row_locks.items() if one is not connection}
        self._gate.discard(connection)
        if self._gate_alone is connection:
            self._gate_alone = None

    async def lock_row(self, connection: Connection, stream: StreamId) -> None:
        """SELECT … FOR UPDATE."""
        while self._row_locks.get(stream, connection) is not connection:
            await connection.wait()
        self._row_locks[stream] = connection

    async def enter_gate(self, connection: Connection, *, alone: bool) -> None:
        """pg_advisory_xact_lock, shared or not."""
        while self._gate_alone not in (None, connection) or (alone and self._gate - {connection}):
            await connection.wait()
        if alone:
            self._gate_alone = connection
        else:
            self._gate.add(connection)


class Connection:
    """A client's session."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.is_open = True
        self.is_in_transaction = False
        self.changes: list[Callable[[Tables], None]] = []

    async def wait(self) -> None:
        """One trip to the server. Raises what a session that ended raises."""
        await self.database.pause()
        if not self.is_open:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    async def change(self, act: Callable[[Tables], None]) -> None:
        """Make a change, in the transaction or at once."""
        await self.wait()
        if self.is_in_transaction:
            self.changes.append(act)
        else:
            act(self.database.tables)

    @asynccontextmanager
    async def _transaction(self) -> Any:
        await self.wait()
        self.is_in_transaction = True
        try:
            yield
            await self._commit()
        except BaseException:
            self.changes.clear()
            raise
        finally:
            self.is_in_transaction = False
            self.database.let_go(self)

    def transaction(self) -> Any:
        """As asyncpg's."""
        return self._transaction()

    async def _commit(self) -> None:
        await self.wait()
        fate = self.database.fate()
        if fate is Commit.REFUSED:
            raise asyncpg.SerializationError("could not serialize access")
        if fate is not Commit.NEVER_ARRIVED:
            for act in self.changes:
                act(self.database.tables)
        self.changes.clear()
        if fate is not Commit.ANSWERED:
            self.database.end_session(self)
            raise ConnectionResetError("connection lost at COMMIT")


async def stream_place(
    connection: Connection, stream: StreamId, *, label: str, lock: bool
) -> tuple[int, bytes]:
    """As meter.store's."""
    await connection.change(lambda tables: void(tables.places.setdefault(stream, Place(label))))
    if lock:
        await connection.database.lock_row(connection, stream)
    await connection.wait()
    place = connection.database.tables.places.get(stream, Place(label))
    return place.last_sequence, place.last_record


async def open_months(connection: Connection) -> tuple[Month, Credible]:
    """As meter.store's."""
    await connection.database.enter_gate(connection, alone=False)
    await connection.wait()
    server = connection.database
    closed = server.tables.closed
    first = max(server.founded, max(closed).next()) if closed else server.founded
    now_us = server.now_us()
    return first, Credible(server.founded.start_us, max(first, Month.of(now_us).next()).end_us, now_us)


async def open_ahead(connection: Connection) -> None:
    """As meter.store's."""
    running = Month.of(connection.database.now_us())
    for month in (running, running.next()):
        if not any(closed >= month for closed in connection.database.tables.closed):
            await _ensure_month(connection, month)


async def _ensure_month(connection: Connection, month: Month) -> None:
    """The function of this name in meter/sql."""
    tables = connection.database.tables
    if month in tables.months:
        return
    ahead = Month.of(connection.database.now_us()).next()
    if month > max([ahead, *(closed.next() for closed in tables.closed)]):
        raise asyncpg.RaiseError(f"the month {month} cannot be opened yet")
    if any(closed >= month for closed in tables.closed):
        raise asyncpg.RaiseError(f"the month {month} is closed")
    await connection.change(lambda now: now.months.add(month))


async def add_displaced(connection: Connection, found: Displaced) -> None:
    """As meter.store's."""
    key = found.stream, found.first_sequence
    if key in connection.database.tables.displaced:
        raise asyncpg.UniqueViolationError("displaced_pkey")
    await connection.change(lambda tables: tables.displaced.__setitem__(key, found))


async def displaced(connection: Connection) -> list[Displaced]:
    """As meter.store's."""
    await connection.wait()
    return [found for _, found in sorted(connection.database.tables.displaced.items())]


async def add_tally(connection: Connection, sums: Tally) -> None:
    """As meter.store's; a closed month's partition can be written by nobody."""
    for period in sorted({key[0] for key in (*sums.readings, *sums.storage)}):
        await _ensure_month(connection, Month.parse(period))
        _refuse_closed(connection, period)
    readings = {
        key: (
            one.requests,
            one.failures,
            one.aborts,
            one.bytes_in,
            one.bytes_out,
            one.moved_in,
            one.moved_out,
        )
        for key, one in sums.readings.items()
    }
    storage = {key: (one.delta, one.moment) for key, one in sums.storage.items()}
    samples = {
        key: (one.bytes_in, one.bytes_out)
        for key, one in sums.samples.items()
        if one.bytes_in or one.bytes_out
    }

    def act(tables: Tables) -> None:
        add(tables.readings, readings)
        add(tables.storage, storage)
        add(tables.samples, samples)

    await connection.change(act)


def _refuse_closed(connection: Connection, period: str) -> None:
    closed = connection.database.tables.closed
    if closed and str(max(closed)) >= period:
        raise asyncpg.InsufficientPrivilegeError(f"permission denied for the partitions of {period}")


def add(sums: dict[Any, Any], more: dict[Any, Any]) -> None:
    """INSERT … ON CONFLICT DO UPDATE SET x = old.x + excluded.x."""
    for key, values in more.items():
        before = sums.get(key, (0,) * len(values))
        sums[key] = tuple(old + new for old, new in zip(before, values, strict=True))


async def move_stream(
    connection: Connection, stream: StreamId, *, last_sequence: int, last_record: bytes, cut: int
) -> None:
    """As meter.store's."""

    def act(tables: Tables) -> None:
        place = tables.places[stream]
        place.last_sequence, place.last_record = last_sequence, last_record
        place.exchanges_cut += cut

    await connection.change(act)


async def add_segment(connection: Connection, stream: StreamId, segment: SealedSegment) -> bytes:
    """As meter.store's."""
    key = stream, segment.number
    await connection.change(lambda tables: void(tables.segments.setdefault(key, segment)))
    await connection.wait()
    return connection.database.tables.segments.get(key, segment).digest


async def close_month(connection: Connection, month: Month, *, now_us: int) -> dict[str, int]:
    """As meter.store's; inside the caller's transaction."""
    del now_us
    await connection.database.enter_gate(connection, alone=True)
    await connection.wait()
    if any(closed >= month for closed in connection.database.tables.closed):
        raise Refusal(f"{month} is closed already")
    places = connection.database.tables.places
    watermark = {stream: place.last_sequence for stream, place in places.items()}
    await connection.change(lambda tables: tables.closed.__setitem__(month, watermark))
    return {str(stream): last for stream, last in sorted(watermark.items())}


def void(_: object) -> None:
    """An expression as a statement."""
