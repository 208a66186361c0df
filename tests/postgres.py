"""A real PostgreSQL for tests: one server a process of the run, one database a test, copied from a migrated template.

Its files lie in memory and are copied as files: a database costs 0.07 s of a processor so, and 0.40 s on a disk by way
of PostgreSQL's log. Nobody needs them after a power cut; tests of those have a server of their own, by `weir up`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from deploy.embedded import EmbeddedServer, dsn
from deploy.settings import DeploySettings
from meter.postgres import migrate

ROOT = Path(__file__).resolve().parents[1]
MIGRATIONS = [(room, ROOT / room / "sql") for room in ("meter", "gateway", "billing")]
TEMPLATE = "weir_template"
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 2 * 2**30
"""What has to be free there: a server keeps 512 MB of log, and each of its databases is 11 MB."""
Answer = TypeVar("Answer")


class Loop:
    """An event loop in a thread of its own, for what lives longer than a test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Do it there, wait for it here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=120)

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class TestServer:
    """The server, and databases on it."""

    __test__ = False

    def __init__(self, server: EmbeddedServer, loop: Loop) -> None:
        self.server = server
        self._loop = loop
        self._count = 0

    def database(self) -> str:
        """A fresh, migrated database; its connection string."""
        self._count += 1
        name = f"weir_{self._count}"
        self._loop.run(self._admin(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY"))
        return dsn(self.server.socket_directory, database=name)

    def empty_database(self, *, options: str = "") -> str:
        """A fresh database without a table, made with these options; its connection string."""
        self._count += 1
        name = f"weir_{self._count}"
        self._loop.run(self._admin(f"CREATE DATABASE {name} STRATEGY FILE_COPY {options}"))
        return dsn(self.server.socket_directory, database=name)

    def copy(self, database_dsn: str) -> str:
        """The same database once more, as it is now; nobody may be connected to it. Its connection string."""
        self._count += 1
        name = f"weir_{self._count}"
        source = database_dsn.partition("///")[2].partition("?")[0]
        self._loop.run(self._admin(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY FILE_COPY"))
        return dsn(self.server.socket_directory, database=name)

    def drop(self, database_dsn: str) -> None:
        """Remove a database, whoever is still connected."""
        name = database_dsn.partition("///")[2].partition("?")[0]
        self._loop.run(self._admin(f"DROP DATABASE {name} WITH (FORCE)"))

    def prepare(self) -> None:
        """Make the template."""
        # Nobody needs these files after a power cut.
        self._loop.run(self._admin("ALTER SYSTEM SET fsync = off"))
        self._loop.run(self._admin("SELECT pg_reload_conf()"))
        self._loop.run(self._admin(f"CREATE DATABASE {TEMPLATE}"))
        self._loop.run(self._migrate())

    async def _admin(self, command: str) -> None:
        connection = await asyncpg.connect(self.server.dsn)
        try:
            await connection.execute(command)
        finally:
            await connection.close()

    async def _migrate(self) -> None:
        connection = await asyncpg.connect(dsn(self.server.socket_directory, database=TEMPLATE))
        try:
            await migrate(connection, MIGRATIONS)
        finally:
            await connection.close()


@contextmanager
def place_for_a_server() -> Iterator[Path]:
    """An empty directory in memory for the time of the block; on the disk where a machine has little of that."""
    # Docker gives a container 64 MB of it unless it is told otherwise.
    roomy = (
        MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN
    )
    with tempfile.TemporaryDirectory(prefix="weir-test-pg-", dir=MEMORY if roomy else None) as name:
        # The server's own user looks for its files below.
        Path(name).chmod(0o711)
        data = Path(name, "data")
        data.mkdir()
        (data / "log").mkdir()
        yield data


@contextmanager
def running_server(data: Path) -> Iterator[TestServer]:
    """A server for the time of the block."""
    loop = Loop()
    server = EmbeddedServer(DeploySettings(), data, tell=print)
    loop.run(server.start())
    try:
        test_server = TestServer(server, loop)
        test_server.prepare()
        yield test_server
    finally:
        loop.run(server.stop())
        loop.close()
