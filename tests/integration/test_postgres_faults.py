"""PostgreSQL away, killed, in recovery, cut, slow, out of connections and full, under the real shipper process.

What is the same each time: the sums equal the journal in the end, at every moment in between they equal the
stream's place, so the backlog drains in order and never twice, and no alarm is raised, for nothing is lost.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.integration.s3_kit import eventually
from tests.integration.shipping_kit import shipping, write
from tests.pgproxy import Fault, Proxy, running_proxy
from tests.postgres import TestServer, place_for_a_server, running_server

LONG_S = 60


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    """A PostgreSQL that these tests may kill."""
    with place_for_a_server() as data, running_server(data) as found:
        yield found


@pytest.fixture
def database(server: TestServer) -> Iterator[str]:
    found = server.database()
    yield found
    server.drop(found)


@pytest.fixture
def proxy(server: TestServer) -> Iterator[Proxy]:
    # A Unix socket's path is short; pytest's own directories are not.
    with (
        tempfile.TemporaryDirectory() as name,
        running_proxy(Path(name), server.server.socket_directory) as one,
    ):
        yield one


def look(dsn: str) -> tuple[int, int, int]:
    """(sum of the streams' places, requests, bytes), all of one instant."""

    async def work() -> tuple[int, int, int]:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            # A month's first batch attaches its partition. A statement of its own may be planned before that and look after it.
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                place = await connection.fetchval(
                    "SELECT coalesce(sum(last_sequence), 0)::bigint FROM meter.stream"
                )
                row = await connection.fetchrow(
                    "SELECT coalesce(sum(requests), 0)::bigint AS requests, coalesce(sum(bytes_in), 0)::bigint AS bytes"
                    " FROM meter.reading"
                )
            return place, row["requests"], row["bytes"]
        finally:
            await connection.close()

    return asyncio.run(work())


def drains(dsn: str, count: int) -> bool:
    """Whether all comes into the sums, which at every look are what the place says."""

    def holds() -> bool:
        place, requests, moved = look(dsn)
        assert (place, place * 10) == (requests, moved)
        return place == count

    return eventually(holds, within_s=LONG_S)


def execute(dsn: str, *statements: str) -> None:
    """Run statements as the owner."""

    async def work() -> None:
        connection = await asyncpg.connect(dsn)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(work())


def test_away_for_long_while_segments_roll_and_everything_restarts(
    tmp_path: Path, server: TestServer, database: str
) -> None:
    write(tmp_path, 1000)
    server._loop.run(server.server.stop())
    with shipping(tmp_path, database) as away:
        for _ in range(3):
            write(tmp_path, 1500)  # a worker that restarts each time, three segments each
        assert eventually(lambda: away.failures >= 2)
        assert eventually(lambda: away.latest["weir_meter_unshipped_events"] == 5500)
    with shipping(tmp_path, database):  # a shipper that starts while the database is away
        write(tmp_path, 500, stream="worker-1")
        server._loop.run(server.server.start())
        assert drains(database, 6000)
        # The compressing comes after the sums.
        assert eventually(lambda: len(list(tmp_path.glob("journal/worker-0/*.zst"))) == 5500 // 510)


def test_killed_again_and_again_and_in_recovery(tmp_path: Path, server: TestServer, database: str) -> None:
    write(tmp_path, 20_000)
    with shipping(tmp_path, database, ship_batch_records_max=50) as shipper:
        for kill in range(1, 4):
            assert eventually(lambda mark=kill * 500: look(database)[0] > mark, within_s=LONG_S)
            server._loop.run(server.server.stop(hurry=True))
            assert eventually(lambda mark=kill: shipper.failures >= mark)
            server._loop.run(server.server.start())
        assert drains(database, 20_000)


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE_COMMIT, Fault.CUT_AFTER_COMMIT], ids=lambda one: one.name)
def test_a_connection_cut_around_the_commit_counts_each_batch_once(
    tmp_path: Path, proxy: Proxy, database: str, fault: Fault
) -> None:
    write(tmp_path, 3000)
    proxy.arm(fault, times=5)
    with shipping(tmp_path, proxy.dsn(database), ship_retry_max_s=1) as shipper:
        assert drains(database, 3000)
        assert 5 == proxy.struck
        assert eventually(lambda: shipper.failures == 5)


def test_an_answer_to_the_commit_that_comes_too_late_counts_once(
    tmp_path: Path, proxy: Proxy, database: str
) -> None:
    write(tmp_path, 1000)
    proxy.arm(Fault.HOLD_AFTER_COMMIT)
    with shipping(tmp_path, proxy.dsn(database), database_timeout_s=1) as shipper:
        assert drains(database, 1000)
        assert eventually(lambda: shipper.failures >= 1)
        proxy.release()
    assert 1 == proxy.struck


def test_a_statement_held_longer_than_the_timeout_is_tried_again(tmp_path: Path, database: str) -> None:
    write(tmp_path, 100)
    with shipping(tmp_path, database, database_timeout_s=1):
        assert drains(database, 100)

    async def hold() -> None:
        connection = await asyncpg.connect(database)
        async with connection.transaction():
            await connection.execute("SELECT FROM meter.stream FOR UPDATE")
            write(tmp_path, 900)
            with shipping(tmp_path, database, database_timeout_s=1) as shipper:
                assert await asyncio.to_thread(eventually, lambda: shipper.failures >= 2)
                await connection.execute("SELECT 1")
                assert 100 == await connection.fetchval("SELECT last_sequence FROM meter.stream")
        await connection.close()

    asyncio.run(hold())
    with shipping(tmp_path, database, database_timeout_s=1):
        assert drains(database, 1000)


def test_out_of_connections(tmp_path: Path, server: TestServer, database: str) -> None:
    write(tmp_path, 1000)

    async def crowd() -> None:
        taken: list[asyncpg.Connection] = []
        is_full = False
        while not is_full:
            try:
                taken.append(await asyncpg.connect(database))
            except asyncpg.TooManyConnectionsError:
                is_full = True
        with shipping(tmp_path, database) as shipper:
            assert await asyncio.to_thread(eventually, lambda: shipper.failures >= 2)
            assert 0 == await taken[0].fetchval("SELECT count(*) FROM meter.stream")
            for connection in taken:
                await connection.close()
            assert await asyncio.to_thread(drains, database, 1000)

    asyncio.run(crowd())


def test_a_database_whose_disk_is_full(tmp_path: Path, database: str) -> None:
    """The server says 53100, as it does when a write finds no space; half of a transaction stands before it."""
    write(tmp_path, 1000)
    execute(
        database,
        "CREATE TABLE public.disk_full ()",
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " IF to_regclass('public.disk_full') IS NOT NULL THEN"
        " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';"
        " END IF; RETURN NEW; END $$",
        # After the sums, in the statement that moves the place: both must be undone.
        "CREATE TRIGGER full_disk BEFORE UPDATE ON meter.stream FOR EACH ROW EXECUTE FUNCTION public.refuse()",
    )
    with shipping(tmp_path, database) as shipper:
        assert eventually(lambda: shipper.failures >= 2)
        assert (0, 0, 0) == look(database)
        execute(database, "DROP TABLE public.disk_full")
        assert drains(database, 1000)


def test_a_stop_ships_what_is_left_once_the_database_is_back(
    tmp_path: Path, proxy: Proxy, database: str
) -> None:
    """SIGTERM while nobody listens: the shipper tries some more times before it gives up."""
    write(tmp_path, 1000)
    proxy.arm(Fault.REFUSE, times=4)
    with shipping(tmp_path, proxy.dsn(database)) as shipper:
        assert eventually(lambda: proxy.struck >= 1)
        shipper.process.send_signal(signal.SIGTERM)
        assert 0 == shipper.process.wait(timeout=LONG_S)
    assert (1000, 1000, 10_000) == look(database)
