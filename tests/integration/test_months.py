"""Months as partitions: opened within limits, closed for every role and for the owner, moved over whole."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from meter import store, usage_store
from meter.event import Event, Mark
from meter.ids import MemberId
from meter.journal import Journal
from meter.postgres import connect, migrate
from meter.recount import recount
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.usage import Usage
from meter.window import HOUR_US, Month, to_us
from tests.coop import Coop
from tests.events import NOON_US, PLAIN, stored
from tests.postgres import MIGRATIONS, ROOT, TestServer

NOVEMBER = Month(2026, 11)
ONE = MemberId(1)
ROLES = ("weir_meter", "weir_billing", "weir_gateway", "weir_office")
READING = (
    "VALUES ('{month}-01', 9, '{month}-05 10:00Z', 1, 1, 2, 0, 1, 0, 0, 5, 5, 5, 5, false)"
    " ON CONFLICT DO NOTHING"
)
STORED = "VALUES ('{month}-01', 9, '{month}-05 10:00Z', 1, 0, 5, 5)"
WRITES = {
    "insert a reading": f"INSERT INTO meter.reading_2026_11 {READING.format(month='2026-11')}",
    "insert a reading by the parent": f"INSERT INTO meter.reading {READING.format(month='2026-11')}",
    "add to a reading": "UPDATE meter.reading_2026_11 SET bytes_out = bytes_out + 1",
    "add to a reading by the parent": "UPDATE meter.reading SET bytes_out = bytes_out + 1",
    "insert stored bytes": f"INSERT INTO meter.storage_2026_11 {STORED.format(month='2026-11')}",
    "insert stored bytes by the parent": f"INSERT INTO meter.storage {STORED.format(month='2026-11')}",
    "add to stored bytes": "UPDATE meter.storage_2026_11 SET delta = delta + 1",
    "add to what is carried": "UPDATE meter.stored SET delta = delta + 1",
    "invent what is carried": "INSERT INTO meter.stored VALUES (9, '2026-11-01', 1, 0, 5)",
    "add to a day": "UPDATE meter.reading_day_2026_11 SET bytes_out = bytes_out + 1",
    "add to a day of stored bytes": "UPDATE meter.storage_day_2026_11 SET delta = delta + 1",
    "add to a day by the parent": "UPDATE meter.reading_day SET bytes_out = bytes_out + 1",
    "empty a day": "TRUNCATE meter.storage_day_2026_11",
    "delete readings": "DELETE FROM meter.reading_2026_11",
    "delete stored bytes": "DELETE FROM meter.storage_2026_11",
    "empty a partition": "TRUNCATE meter.reading_2026_11",
    "empty the parent": "TRUNCATE meter.storage",
    "open the month again": "DELETE FROM meter.closed_month",
    "forget that it was opened": "DELETE FROM meter.month",
}
AS_A_ROLE = {
    "take the partition away": "ALTER TABLE meter.reading DETACH PARTITION meter.reading_2026_11",
    "drop the partition": "DROP TABLE meter.reading_2026_11",
    "silence the triggers": "ALTER TABLE meter.reading_2026_11 DISABLE TRIGGER ALL",
    "make it anew": "SELECT meter.make_month('2026-11-01')",
    "call the carrier": "SELECT meter.seal_months('2027-01-01')",
}


@pytest.fixture
def settings(tmp_path: Path, database: str) -> MeterSettings:
    return MeterSettings(data=tmp_path, database_url=database, journal_segment_bytes_max=2**16)


@pytest_asyncio.fixture
async def closed(co_op: Coop, settings: MeterSettings) -> AsyncIterator[Coop]:
    """November has traffic and stored bytes, and is closed."""
    write(settings, PLAIN, stored(600, NOON_US))
    assert 0 == await ship_everything(settings, settings.database_url)
    books = await co_op.books()
    async with books.transaction():
        await store.close_month(books, NOVEMBER, now_us=NOVEMBER.end_us)
    yield co_op


def write(settings: MeterSettings, *events: Event, stream: str = "worker-0") -> None:
    journal = Journal(
        settings.journal_directory / stream, segment_bytes_max=2**16, segment_age_max_s=3600, now_us=NOON_US
    )
    for event in events:
        journal.append(event)
    journal.close()


@pytest.mark.parametrize("attack", [*WRITES, *AS_A_ROLE])
async def test_no_role_writes_a_closed_month(closed: Coop, attack: str) -> None:
    """Not the shipper's, not the books', not the gateways': they lack the right, before any trigger looks."""
    for role in ROLES:
        connection = await closed.connection(role)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute((WRITES | AS_A_ROLE)[attack])


@pytest.mark.parametrize("attack", WRITES)
async def test_the_owner_is_refused_too(closed: Coop, attack: str) -> None:
    owner = await closed.owner()
    with pytest.raises(asyncpg.RaiseError, match=r"2026-11 is closed|is only added to|is written by"):
        await owner.execute(WRITES[attack])


async def test_closing_leaves_the_next_month_open(closed: Coop) -> None:
    meter = await closed.connection("weir_meter")
    await meter.execute("SELECT meter.ensure_month('2026-12-01')")
    await meter.execute(f"INSERT INTO meter.reading_2026_12 {READING.format(month='2026-12')}")
    assert "UPDATE 1" == await meter.execute("UPDATE meter.reading_2026_12 SET bytes_out = bytes_out + 1")


async def test_a_role_cannot_give_itself_a_closed_month(closed: Coop) -> None:
    for role in ROLES:
        connection = await closed.connection(role)
        with contextlib.suppress(asyncpg.PostgresError):  # PostgreSQL warns, or refuses
            await connection.execute("GRANT ALL ON meter.reading_2026_11 TO weir_meter")
    meter = await closed.connection("weir_meter")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await meter.execute(WRITES["insert a reading"])


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE meter.reading_2026_11 SET payer = 2",
        "UPDATE meter.reading_2026_11 SET period = '2026-12-01'",
        "UPDATE meter.reading_2026_11 SET failures = -1",
        "UPDATE meter.storage_2026_11 SET member = 2",
        "DELETE FROM meter.reading_2026_11",
        "TRUNCATE meter.storage_2026_11",
        "DELETE FROM meter.stored",
    ],
)
@pytest.mark.parametrize("role", ["weir_meter", None])
async def test_what_an_open_month_holds_stays_whose_it_is(
    co_op: Coop, settings: MeterSettings, attack: str, role: str | None
) -> None:
    write(settings, PLAIN, stored(600, NOON_US))
    await ship_everything(settings, settings.database_url)
    connection = await co_op.connection(role)
    with pytest.raises(asyncpg.PostgresError, match=r"permission denied|keeps its key|only added to"):
        await connection.execute(attack)


@pytest.mark.parametrize("asked", ["1999-12-01", "1970-01-01", "2100-01-01", "2026-11-02"])
async def test_a_month_outside_of_the_limits_is_not_opened(co_op: Coop, asked: str) -> None:
    meter = await co_op.connection("weir_meter")
    with pytest.raises(asyncpg.RaiseError, match="cannot be opened yet"):
        await meter.execute("SELECT meter.ensure_month($1)", date.fromisoformat(asked))


async def test_a_closed_month_that_had_nothing_is_not_opened(co_op: Coop) -> None:
    books, meter = await co_op.books(), await co_op.connection("weir_meter")
    async with books.transaction():
        await store.close_month(books, NOVEMBER, now_us=NOVEMBER.end_us)
    with pytest.raises(asyncpg.RaiseError, match="2026-10 is closed"):
        await meter.execute("SELECT meter.ensure_month('2026-10-01')")


async def test_the_running_month_and_the_next_are_there_before_they_are_needed(
    co_op: Coop, settings: MeterSettings
) -> None:
    await ship_everything(settings, settings.database_url)
    owner = await co_op.owner()
    opened = [row["month"] for row in await owner.fetch("SELECT month FROM meter.month ORDER BY month")]
    now = datetime.now(UTC).date().replace(day=1)
    assert [now, (now + timedelta(days=31)).replace(day=1)] == opened


async def test_two_shippers_open_a_month_once(co_op: Coop, settings: MeterSettings) -> None:
    first, second = await co_op.connection("weir_meter"), await co_op.connection("weir_meter")
    transaction = first.transaction()
    await transaction.start()
    await first.execute("SELECT meter.ensure_month('2026-11-01')")
    await second.execute("SET lock_timeout = '100ms'")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await second.execute("SELECT meter.ensure_month('2026-11-01')")
    await transaction.commit()
    await second.execute("SELECT meter.ensure_month('2026-11-01')")
    assert 1 == await second.fetchval("SELECT count(*) FROM meter.month WHERE month = '2026-11-01'")


async def test_a_month_is_opened_beside_a_reader(co_op: Coop) -> None:
    reader, shipper = await co_op.books(), await co_op.connection("weir_meter")
    async with reader.transaction():
        assert 0 == await reader.fetchval("SELECT count(*) FROM meter.reading")
        await shipper.execute("SET lock_timeout = '1s'")
        await shipper.execute("SELECT meter.ensure_month('2026-11-01')")


async def test_days_and_what_is_carried_follow_the_hours_also_where_rows_are_added_to(
    co_op: Coop, settings: MeterSettings
) -> None:
    """The same keys shipped three times: once inserted, twice updated, some back, some late."""
    for round_ in range(3):
        write(
            settings,
            *[PLAIN._replace(ended_us=NOON_US - n * HOUR_US, bytes_in=n + round_) for n in range(40)],
        )
        write(settings, *[stored(100 * n - round_, NOON_US - n * HOUR_US) for n in range(40)])
        write(settings, PLAIN._replace(marks=Mark.CORRECTION, bytes_in=-5 * round_))
        await ship_everything(settings, settings.database_url)
    owner = await co_op.owner()
    for table, payer, sums in (
        ("reading", "payer", "sum(requests), sum(bytes_in), sum(moved_in)"),
        ("storage", "member", "sum(delta), sum(moment)"),
    ):
        by_hour, by_day = [
            await owner.fetch(
                f"SELECT {payer}, bucket, {when}, {sums} FROM meter.{name} GROUP BY 1, 2, 3 ORDER BY 3"
            )
            for name, when in ((table, "date_trunc('day', hour, 'UTC')"), (f"{table}_day", "day"))
        ]
        assert [tuple(row) for row in by_hour] == [tuple(row) for row in by_day]
        assert len(by_day) > 1
    assert await owner.fetchval("SELECT sum(delta) FROM meter.storage") == await owner.fetchval(
        "SELECT sum(delta) FROM meter.stored"
    )


# Times that cannot be true


@pytest.mark.parametrize("ended_us", [0, -(2**62), Month(2100, 1).start_us, 2**62], ids=str)
async def test_a_time_that_cannot_be_true_is_counted_when_it_is_shipped(
    co_op: Coop, settings: MeterSettings, ended_us: int
) -> None:
    """1970, before any calendar, 2100, after any: the bytes are in the running month's sums, and the recount agrees."""
    before = to_us(datetime.now(UTC))
    write(settings, PLAIN._replace(ended_us=ended_us), stored(600, ended_us))
    assert 0 == await ship_everything(settings, settings.database_url)
    after = to_us(datetime.now(UTC))
    month = Month.of(before)
    books = await co_op.books()
    used = (await usage_store.period_usage(books, month))[ONE]
    assert (1000, 1) == (used.bytes_in, used.requests_a)
    assert 600 * (month.end_us - after) <= used.byte_us <= 600 * (month.end_us - before)
    assert used == (await recounted(books, settings, month))[ONE]
    between = await usage_store.usage_between(
        books, ONE, start_us=before - before % HOUR_US, end_us=after + HOUR_US
    )
    assert 1000 == between.bytes_in


async def recounted(
    books: asyncpg.Connection, settings: MeterSettings, month: Month
) -> dict[MemberId, Usage]:
    marks = await store.watermarks(books)
    moved = await store.displaced(books)
    places = await store.stream_places(books)
    return recount(settings.journal_directory, month, marks, up_to=places, displaced=moved)


async def test_nothing_counts_before_the_first_member_joined(co_op: Coop, settings: MeterSettings) -> None:
    await co_op.found("anna")  # in September 2026
    write(settings, PLAIN._replace(ended_us=Month(2026, 8).end_us - 1))
    write(settings, PLAIN._replace(ended_us=Month(2026, 9).start_us), stream="worker-1")
    await ship_everything(settings, settings.database_url)
    books = await co_op.books()
    assert Month(2026, 9) == await usage_store.first_month_with_usage(books)
    assert {} == await usage_store.period_usage(books, Month(2026, 8))
    now = Month.of(to_us(datetime.now(UTC)))
    by_month = [(await usage_store.period_usage(books, month))[ONE] for month in (Month(2026, 9), now)]
    assert [1, 1] == [one.requests_a for one in by_month]


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_clock_that_steps_by_a_day_puts_no_byte_into_a_closed_month(
    co_op: Coop, settings: MeterSettings, days: int
) -> None:
    """Records on both sides of a month's end, shipped after it was closed, by a clock a day off."""
    books = await co_op.books()
    end = NOVEMBER.end_us
    write(settings, PLAIN._replace(bytes_in=1, ended_us=end - HOUR_US), stored(10, end - HOUR_US))
    await ship_everything(settings, settings.database_url)
    async with books.transaction():
        await store.close_month(books, NOVEMBER, now_us=end)
    told = await usage_store.period_usage(books, NOVEMBER)
    step = days * 24 * HOUR_US
    write(settings, *[PLAIN._replace(bytes_in=2, ended_us=end + step + n * HOUR_US) for n in range(-30, 30)])
    write(settings, stored(-10, end + max(step, 0)))
    assert 0 == await ship_everything(settings, settings.database_url)
    assert told == await usage_store.period_usage(books, NOVEMBER)
    december = (await usage_store.period_usage(books, NOVEMBER.next()))[ONE]
    assert (120, 60) == (december.bytes_in, december.requests_a)
    assert 10 * max(step, 0) == december.byte_us
    assert december == (await recounted(books, settings, NOVEMBER.next()))[ONE]


async def test_failures_and_aborts_of_checkpoints_and_corrections_are_no_requests(
    co_op: Coop, settings: MeterSettings
) -> None:
    part = PLAIN._replace(marks=Mark.CHECKPOINT | Mark.ABORTED, status=500)
    back = PLAIN._replace(marks=Mark.CORRECTION, bytes_in=-2000, moved_in=-2000, status=500)
    write(settings, part, part, back, PLAIN._replace(status=500, bytes_in=0, moved_in=7))
    await ship_everything(settings, settings.database_url)
    owner = await co_op.owner()
    rows = await owner.fetch(
        "SELECT correction, requests, failures, aborts, bytes_in, moved_in FROM meter.reading ORDER BY correction"
    )
    assert [(False, 1, 1, 0, 2000, 2007), (True, 0, 0, 0, -2000, -2000)] == [tuple(row) for row in rows]
    (used,) = (await usage_store.period_usage(owner, NOVEMBER)).values()
    assert (0, -2000, 1) == (used.bytes_in, used.corrected_in, used.requests_a)
    assert used == (await recounted(owner, settings, NOVEMBER))[ONE]


@pytest.mark.parametrize(
    "row",
    [
        "0, 0, 0, -1, 0, 0, 0, false",
        "0, 0, 0, 0, -1, 0, 0, false",
        "0, 0, 0, 0, 0, 0, -1, false",
        "1, 0, 0, -1, 0, 0, 0, true",
        "0, 1, 0, -1, 0, 0, 0, true",
        "-1, 0, 0, 0, 0, 0, 0, false",
    ],
)
async def test_only_corrections_are_negative_and_they_are_no_requests(co_op: Coop, row: str) -> None:
    meter = await co_op.connection("weir_meter")
    await meter.execute("SELECT meter.ensure_month('2026-11-01')")
    with pytest.raises(asyncpg.CheckViolationError):
        await meter.execute(
            f"INSERT INTO meter.reading_2026_11 VALUES ('2026-11-01', 1, '2026-11-05', 1, 1, 2, 0, {row})"
        )


# What was counted before there were partitions


async def test_rows_of_before_are_moved_over_whole(postgres_server: TestServer, tmp_path: Path) -> None:
    before = tmp_path / "meter"
    before.mkdir()
    shutil.copy(ROOT / "meter" / "sql" / "0001_meter.sql", before)
    dsn = postgres_server.empty_database()
    owner = await connect(dsn)
    try:
        await migrate(owner, [("meter", before)])
        await owner.execute(
            """
            INSERT INTO meter.reading SELECT date_trunc('month', hour)::date, payer, hour, 1, 1, 2, 0, 1, 0, 0, 2, 3, 2, 3
            FROM generate_series(timestamptz '2026-08-15Z', '2026-11-15Z', '1 day') AS hour, generate_series(1, 3) AS payer;
            INSERT INTO meter.reading VALUES ('2026-10-01', 1, '2026-08-02Z', 1, 1, 2, 0, 1, 0, 0, 2, 3, 2, 3);
            INSERT INTO meter.storage SELECT date_trunc('month', hour)::date, payer, hour, 1, line, 7,
                7 * extract(epoch FROM hour)::numeric * 1000000
            FROM generate_series(timestamptz '2026-08-15Z', '2026-11-15Z', '1 day') AS hour,
                generate_series(1, 3) AS payer, generate_series(0, 2) AS line;
            INSERT INTO meter.closed_month VALUES ('2026-09-01', now(), '{}');
            """
        )
        queries = [
            "SELECT period, payer, hour, bytes_in, bytes_out FROM meter.reading ORDER BY 1, 2, 3",
            "SELECT period, member, hour, line, delta, moment FROM meter.storage ORDER BY 1, 2, 3, 4",
        ]
        was = [await owner.fetch(query) for query in queries]
        await migrate(owner, MIGRATIONS)
        assert was == [await owner.fetch(query) for query in queries]
        assert [93 * 3 + 1, 93 * 9] == [len(rows) for rows in was]
        late = await owner.fetch("SELECT month, period FROM meter.late")
        assert [(date(2026, 8, 1), date(2026, 10, 1))] == [tuple(row) for row in late]
        assert 93 * 9 * 7 == await owner.fetchval("SELECT sum(delta) FROM meter.stored")
        for table, sums in (("reading", "bytes_in), sum(bytes_out"), ("storage", "delta), sum(moment")):
            by_hour, by_day = [
                await owner.fetchrow(f"SELECT sum({sums}) FROM meter.{name}")
                for name in (table, f"{table}_day")
            ]
            assert by_hour == by_day
        await owner.execute("SET ROLE weir_meter")
        await owner.execute("UPDATE meter.reading_2026_10 SET bytes_out = bytes_out + 1")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute("UPDATE meter.reading_2026_09 SET bytes_out = bytes_out + 1")
    finally:
        await owner.close()
        postgres_server.drop(dsn)


async def test_a_month_opened_on_a_server_that_writes_days_otherwise_is_the_same_elsewhere(
    co_op: Coop,
) -> None:
    """Its partitions keep their month as a text: 01/12/2026 would be the twelfth of January after a restore."""
    owner = await co_op.owner()
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER DATABASE {name} SET datestyle = 'SQL, DMY'")
    there = await co_op.connection("weir_meter")
    await there.execute("SELECT meter.ensure_month('2026-11-01')")
    books = await co_op.books()
    async with books.transaction():
        await store.close_month(books, NOVEMBER, now_us=NOVEMBER.end_us)
    await there.execute("SELECT meter.ensure_month('2026-12-01')")
    await owner.execute(f"ALTER DATABASE {name} RESET datestyle")
    elsewhere = await co_op.connection("weir_meter")
    done = await elsewhere.execute(f"INSERT INTO meter.reading_2026_12 {READING.format(month='2026-12')}")
    assert "INSERT 0 1" == done
