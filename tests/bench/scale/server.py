"""PostgreSQL for the simulation: fsync as in earnest, memory and connections as asked, and what it says of itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from deploy.embedded import EmbeddedServer, dsn
from deploy.settings import DeploySettings
from meter.postgres import migrate
from tests.bench.scale.plan import Plan
from tests.postgres import MIGRATIONS, Loop

DATABASE = "fleet"
SPARE_CONNECTIONS = 50
PARTS = ("reading", "reading_day", "storage", "storage_day", "sample")


class MeasuredServer(EmbeddedServer):
    """The embedded server with more connections and memory."""

    def __init__(self, data: Path, *, connections: int, shared_buffers_mb: int) -> None:
        super().__init__(DeploySettings(), data, tell=print)
        self._more = {
            "max_connections": str(connections + SPARE_CONNECTIONS),
            "shared_buffers": f"{shared_buffers_mb}MB",
            "max_wal_size": "4GB",
            "track_wal_io_timing": "on",
        }

    def _write_access_rules(self) -> None:
        """The pooler's user too: its socket lies in a directory that only the server's own user enters."""
        super()._write_access_rules()
        with (self._directory / "pg_hba.conf").open("a") as file:
            file.write("local all weir_pooled trust\n")

    def _server_command(self) -> list[str | Path]:
        more = [part for name, value in self._more.items() for part in ("-c", f"{name}={value}")]
        return [*super()._server_command(), *more]

    @property
    def postmaster(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid


@contextmanager
def measured_server(
    data: Path, *, connections: int, shared_buffers_mb: int = 1024
) -> Iterator[MeasuredServer]:
    """A server for the time of the block."""
    (data / "log").mkdir(parents=True, exist_ok=True)
    data.chmod(0o755)
    loop = Loop()
    server = MeasuredServer(data, connections=connections, shared_buffers_mb=shared_buffers_mb)
    loop.run(server.start())
    try:
        yield server
    finally:
        loop.run(server.stop())
        loop.close()


async def fresh_database(server: MeasuredServer) -> str:
    """An empty, migrated database in place of the last run's; its connection string."""
    owner = await asyncpg.connect(server.dsn)
    try:
        await owner.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        await owner.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await owner.close()
    found = dsn(server.socket_directory, database=DATABASE)
    connection = await asyncpg.connect(found)
    try:
        await migrate(connection, MIGRATIONS)
    finally:
        await connection.close()
    return found


async def prepare(owner: asyncpg.Connection, plan: Plan) -> None:
    """The register, the months, and what the plan changes; then all of it on the disk."""
    await owner.execute(
        "INSERT INTO meter.member (name, class, joined_at)"
        " SELECT 'm' || n, 'user', now() - interval '1 day' FROM generate_series(1, $1::int) n",
        plan.members,
    )
    await owner.execute("SELECT meter.ensure_month(date_trunc('month', now() AT TIME ZONE 'UTC')::date)")
    await owner.execute(f"ALTER DATABASE {DATABASE} SET synchronous_commit = {plan.synchronous_commit}")
    if plan.fillfactor:
        for parent in PARTS:
            await owner.execute(
                f"ALTER TABLE meter.{await part(owner, parent)} SET (fillfactor = {plan.fillfactor})"
            )
    if plan.pooled:
        await owner.execute("DROP ROLE IF EXISTS weir_pooled")
        await owner.execute("CREATE ROLE weir_pooled LOGIN IN ROLE weir_meter")
        await owner.execute("ALTER ROLE weir_pooled SET role = 'weir_meter'")
    await owner.execute("VACUUM ANALYZE")
    await owner.execute("CHECKPOINT")


async def part(owner: asyncpg.Connection, parent: str) -> str:
    """This month's partition."""
    name = await owner.fetchval(
        "SELECT meter.part_name($1, date_trunc('month', now() AT TIME ZONE 'UTC')::date)", parent
    )
    assert isinstance(name, str)
    return name


@dataclass(frozen=True, slots=True)
class Counters:
    """PostgreSQL's own counters at one moment."""

    cpu_s: float
    commits: int
    wal_bytes: int
    full_page_images: int
    updated: int
    updated_in_place: int
    inserted: int


async def counters(owner: asyncpg.Connection, server: MeasuredServer) -> Counters:
    """What was counted up to now; sessions tell the rest as they end, and at most a second late."""
    row = await owner.fetchrow(
        """
        SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits,
               (SELECT wal_bytes FROM pg_stat_wal)::bigint AS wal_bytes, (SELECT wal_fpi FROM pg_stat_wal) AS images,
               coalesce(sum(n_tup_upd), 0)::bigint AS updated, coalesce(sum(n_tup_hot_upd), 0)::bigint AS in_place,
               coalesce(sum(n_tup_ins), 0)::bigint AS inserted
        FROM pg_stat_user_tables WHERE schemaname = 'meter' AND relname <> 'member'
        """
    )
    assert row is not None
    return Counters(
        sum(cpu_s(pid) for pid in processes(server)), row["commits"], row["wal_bytes"], row["images"],
        row["updated"], row["in_place"], row["inserted"],
    )  # fmt: skip


async def sizes(owner: asyncpg.Connection) -> tuple[int, int, int]:
    """Bytes of this month's tables, bytes of their indexes, and rows, all of PARTS together."""
    tables = indexes = rows = 0
    for parent in PARTS:
        name = f"meter.{await part(owner, parent)}"
        found = await owner.fetchrow(
            f"SELECT pg_table_size('{name}') AS t, pg_indexes_size('{name}') AS i, (SELECT count(*) FROM {name}) AS n"
        )
        assert found is not None
        tables, indexes, rows = tables + found["t"], indexes + found["i"], rows + found["n"]
    return tables, indexes, rows


def processes(server: MeasuredServer) -> list[int]:
    """The postmaster and its children."""
    found = [server.postmaster]
    for task in Path(f"/proc/{server.postmaster}/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def cpu_s(pid: int) -> float:
    """Processor time of a process, and of its children that have ended."""
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(one) for one in ticks[11:15]) / os.sysconf("SC_CLK_TCK")


def memory_bytes(server: MeasuredServer) -> int:
    """Proportional memory (PSS) of all its processes."""
    total = 0
    for pid in processes(server):
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total
