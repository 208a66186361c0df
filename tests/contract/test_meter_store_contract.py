"""What the shipper relies on in its store, held against PostgreSQL and against the simulation's stand-in alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import ModuleType
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from meter import store
from meter.ids import StreamId
from meter.postgres import connect
from meter.recorder import now_us
from meter.refusal import Refusal
from meter.tail import SealedSegment
from meter.tally import Displaced, Tally, tally
from meter.window import SLOT_US, Credible, Month, to_us
from tests.events import NOON_US, PLAIN, stored
from tests.simulation import database as simulated

STREAM = StreamId(UUID(int=7))
NOVEMBER = Month(2026, 11)
SUMS = tally([PLAIN, PLAIN._replace(bytes_out=5), stored(40, NOON_US)], first_open=Month(2000, 1))
SEGMENT = SealedSegment(1, 1, 8, b"d" * 32, bytes(32))


class Store:
    """One of the two, and sessions with it."""

    def __init__(self, functions: ModuleType, session: Callable[[str], Awaitable[Any]]) -> None:
        self.functions: Any = functions
        self._session = session
        self._open: list[Any] = []

    async def session(self, role: str = "weir_meter") -> Any:
        """A new one."""
        self._open.append(await self._session(role))
        return self._open[-1]

    async def close(self) -> None:
        """End them."""
        for one in self._open:
            if isinstance(one, asyncpg.Connection):
                await one.close()

    async def totals(self) -> tuple[int, int, int]:
        """Requests, bytes in and stored bytes, over everything that is committed."""
        session = await self.session()
        if isinstance(session, simulated.Connection):
            tables = session.database.tables
            rows = list(tables.readings.values())
            return (
                sum(row[0] for row in rows),
                sum(row[3] for row in rows),
                sum(delta for delta, _ in tables.storage.values()),
            )
        moved = await session.fetchrow(
            "SELECT coalesce(sum(requests), 0)::bigint, coalesce(sum(bytes_in), 0)::bigint FROM meter.reading"
        )
        kept = await session.fetchval("SELECT coalesce(sum(delta), 0)::bigint FROM meter.storage")
        return int(moved[0]), int(moved[1]), int(kept)

    async def samples(self) -> list[tuple[int, int, int, int, int]]:
        """(start of the slot, payer, zone, bytes in, bytes out) of everything that is committed."""
        session = await self.session()
        if isinstance(session, simulated.Connection):
            held = session.database.tables.samples
            return sorted((slot, payer, zone, *sums) for (_, slot, payer, zone), sums in held.items())
        rows = await session.fetch("SELECT slot, payer, zone, bytes_in, bytes_out FROM meter.sample")
        return sorted((to_us(row["slot"]), *tuple(row)[1:]) for row in rows)


@pytest_asyncio.fixture(params=["postgres", "simulated"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "postgres":
        dsn = request.getfixturevalue("database")
        one = Store(store, lambda role: connect(dsn, role=role))
    else:
        server = simulated.Database(lambda: asyncio.sleep(0), now_us)

        async def session(role: str) -> simulated.Connection:
            del role
            return simulated.Connection(server)

        one = Store(simulated, session)
    yield one
    await one.close()


async def move(kept: Store, session: Any, last: int, *, cut: int = 0) -> None:
    await kept.functions.move_stream(session, STREAM, last_sequence=last, last_record=b"r" * 32, cut=cut)


async def place(kept: Store) -> tuple[int, bytes]:
    found: tuple[int, bytes] = await kept.functions.stream_place(
        await kept.session(), STREAM, label="w", lock=False
    )
    return found


async def ship(kept: Store, session: Any, last: int) -> None:
    """What a batch does, within the caller's transaction."""
    await kept.functions.stream_place(session, STREAM, label="w", lock=True)
    await kept.functions.open_months(session)
    await kept.functions.add_tally(session, SUMS)
    await move(kept, session, last)


async def test_a_stream_is_made_on_first_sight(kept: Store) -> None:
    assert (0, b"") == await place(kept)
    assert (0, b"") == await place(kept)


async def test_sums_and_place_are_there_together_once_committed(kept: Store) -> None:
    session = await kept.session()
    async with session.transaction():
        await ship(kept, session, 3)
        assert (0, 0, 0) == await kept.totals()
    assert (2, 2000, 40) == await kept.totals()
    assert (3, b"r" * 32) == await place(kept)
    async with session.transaction():
        await ship(kept, session, 6)
    assert (4, 4000, 80) == await kept.totals()


async def test_samples_add_up_and_those_in_which_nothing_moved_are_left_out(kept: Store) -> None:
    """SUMS holds two exchanges of 1,000 bytes in at noon, one of them with 5 out."""
    session = await kept.session()
    await place(kept)
    quiet = tally([PLAIN._replace(bytes_in=0, ended_us=NOON_US + SLOT_US)], first_open=Month(2000, 1))
    for last in (3, 6):
        async with session.transaction():
            await ship(kept, session, last)
            await kept.functions.add_tally(session, quiet)
    assert [(NOON_US, 1, 0, 4000, 10)] == await kept.samples()


async def test_of_a_transaction_that_fails_nothing_is_left(kept: Store) -> None:
    session = await kept.session()
    await place(kept)

    async def fail() -> None:
        async with session.transaction():
            await ship(kept, session, 3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert (0, 0, 0) == await kept.totals()
    assert (0, b"") == await place(kept)


async def test_a_locked_stream_makes_the_second_shipper_wait_and_see_what_the_first_did(kept: Store) -> None:
    first, second = await kept.session(), await kept.session()
    seen: list[int] = []

    async def other() -> None:
        async with second.transaction():
            last, _ = await kept.functions.stream_place(second, STREAM, label="w", lock=True)
            seen.append(last)

    await place(kept)
    async with first.transaction():
        await ship(kept, first, 3)
        waiting = asyncio.create_task(other())
        # Another session's whole trip to the server is over: the second one had its chance.
        await kept.totals()
        assert [] == seen
    await waiting
    assert [3] == seen


async def test_a_segment_keeps_its_first_digest(kept: Store) -> None:
    session = await kept.session()
    await place(kept)
    found = []
    for digest in (SEGMENT.digest, b"e" * 32):
        other = SealedSegment(1, 1, 8, digest, bytes(32))
        async with session.transaction():
            found.append(await kept.functions.add_segment(session, STREAM, other))
    assert [SEGMENT.digest, SEGMENT.digest] == found


async def test_a_closed_month_takes_nothing_and_names_what_was_shipped(kept: Store) -> None:
    session, books = await kept.session(), await kept.session("weir_office")
    async with session.transaction():
        await ship(kept, session, 3)
    async with books.transaction():
        watermark = await kept.functions.close_month(books, NOVEMBER, now_us=NOVEMBER.end_us)
    assert {str(STREAM): 3} == watermark
    async with session.transaction():
        first_open, _ = await kept.functions.open_months(session)
    assert NOVEMBER.next() == first_open
    with pytest.raises(asyncpg.PostgresError):
        async with session.transaction():
            await kept.functions.add_tally(session, SUMS)
    assert (2, 2000, 40) == await kept.totals()


async def test_a_month_is_not_closed_while_somebody_ships(kept: Store) -> None:
    session, books = await kept.session(), await kept.session("weir_office")
    watermarks: list[dict[str, int]] = []

    async def close() -> None:
        async with books.transaction():
            watermarks.append(await kept.functions.close_month(books, NOVEMBER, now_us=NOVEMBER.end_us))

    await place(kept)
    async with session.transaction():
        await ship(kept, session, 3)
        closing = asyncio.create_task(close())
        await kept.totals()
        assert [] == watermarks
    await closing
    assert [{str(STREAM): 3}] == watermarks


def of(month: Month) -> Tally:
    """Sums that are booked to one month."""
    return tally([PLAIN._replace(began_us=month.start_us, ended_us=month.start_us)], first_open=month)


def running() -> Month:
    return Month.of(now_us())


async def book(kept: Store, session: Any, month: Month) -> None:
    async with session.transaction():
        await kept.functions.add_tally(session, of(month))


async def test_what_can_be_true_reaches_from_the_founding_to_the_end_of_the_month_ahead(kept: Store) -> None:
    session, before_us = await kept.session(), now_us()
    async with session.transaction():
        first_open, credible = await kept.functions.open_months(session)
    assert Month(2000, 1) == first_open
    assert Month(2000, 1).start_us == credible.earliest_us
    assert Month.of(credible.now_us).next().end_us == credible.latest_us
    assert before_us <= credible.now_us <= now_us()


async def test_a_month_closed_before_its_time_moves_what_can_be_true_with_it(kept: Store) -> None:
    session, books = await kept.session(), await kept.session("weir_office")
    late = running().next().next()
    async with books.transaction():
        await kept.functions.close_month(books, late, now_us=late.end_us)
    async with session.transaction():
        first_open, credible = await kept.functions.open_months(session)
    assert (late.next(), late.next().end_us) == (first_open, credible.latest_us)
    await kept.functions.open_ahead(session)
    await book(kept, session, late.next())
    assert (1, 1000, 0) == await kept.totals()


async def test_a_month_has_its_place_as_soon_as_sums_come_and_no_further_ahead_than_one(kept: Store) -> None:
    session = await kept.session()
    await kept.functions.open_ahead(session)
    for month in (running().previous(), running(), running().next()):
        await book(kept, session, month)
    with pytest.raises(asyncpg.PostgresError):
        await book(kept, session, running().next().next())
    assert (3, 3000, 0) == await kept.totals()
    await kept.functions.open_ahead(session)
    assert (3, 3000, 0) == await kept.totals()


async def test_a_month_is_closed_once_and_the_ones_before_with_it(kept: Store) -> None:
    session, books = await kept.session(), await kept.session("weir_office")
    await kept.functions.open_ahead(session)
    async with books.transaction():
        await kept.functions.close_month(books, running(), now_us=now_us())
    for month in (running(), running().previous()):
        with pytest.raises(Refusal):
            async with books.transaction():
                await kept.functions.close_month(books, month, now_us=now_us())
        with pytest.raises(asyncpg.PostgresError):
            await book(kept, session, month)
    assert (0, 0, 0) == await kept.totals()


async def test_what_was_displaced_is_kept_with_its_batch_and_each_range_once(kept: Store) -> None:
    session = await kept.session()
    found = Displaced(STREAM, 1, 3, Credible(1, 2**62, 7))
    await place(kept)

    async def fail() -> None:
        async with session.transaction():
            await kept.functions.add_displaced(session, found)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert [] == await kept.functions.displaced(session)
    async with session.transaction():
        await ship(kept, session, 3)
        await kept.functions.add_displaced(session, found)
    second = Displaced(STREAM, 4, 4, Credible(1, 2**62, 8))
    async with session.transaction():
        await kept.functions.add_displaced(session, second)
    with pytest.raises(asyncpg.PostgresError):
        async with session.transaction():
            await kept.functions.add_displaced(session, second)
    assert [found, second] == await kept.functions.displaced(session)
