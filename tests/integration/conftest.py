"""A real PostgreSQL for the tests: one server a session, a fresh database a test from a migrated template."""

import asyncio
import itertools
import subprocess
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from meter.postgres import migrate
from tests.coop import Coop
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.postgres import TestServer

ROOT = Path(__file__).parents[2]
SERVE = """
import asyncio, sys
from pathlib import Path
from deploy.embedded import embedded
from deploy.place import prepare
from deploy.settings import DeploySettings

async def main():
    async with embedded(DeploySettings(), prepare(Path(sys.argv[1])), tell=print) as server:
        print("dsn", server.dsn, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await server.stop(hurry=True)  # nobody needs these files written well

asyncio.run(main())
"""


@pytest.fixture(scope="session")
def billing_server() -> Iterator[str]:
    """The connection string of a server whose database `weir` is a migrated template."""
    with tempfile.TemporaryDirectory(prefix="weir-") as name:
        command = [sys.executable, "-c", SERVE, str(Path(name, "data"))]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as server:
            assert server.stdout is not None
            lines = itertools.takewhile(bool, iter(server.stdout.readline, ""))
            dsn = next(line.split()[1] for line in lines if line.startswith("dsn "))
            asyncio.run(_migrate(dsn))
            yield dsn
            server.communicate(timeout=60)


async def _migrate(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("ALTER SYSTEM SET fsync = off")
    await connection.execute("SELECT pg_reload_conf()")
    await migrate(connection, [(room, ROOT / room / "sql") for room in ("meter", "billing")])
    await connection.close()


_numbers = itertools.count(1)


@pytest.fixture
def billing_database(billing_server: str) -> str:
    """The connection string, as the owner, of a fresh database with the meter's and billing's tables."""
    name = f"test_{next(_numbers)}"
    asyncio.run(_copy(billing_server, name))
    return billing_server.replace("/weir?", f"/{name}?")


async def _copy(dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn.replace("/weir?", "/postgres?"))
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE weir")
    await connection.close()


@pytest_asyncio.fixture
async def co_op(billing_database: str) -> AsyncIterator[Coop]:
    """A co-op without members yet, and its connections."""
    one = Coop(billing_database)
    yield one
    await one.close()


@pytest.fixture(scope="session")
def s3_gateway(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """Two workers for all tests of S3's clients. Whatever was asked of them, none fell and none was surprised."""
    database = postgres_server.database()
    with running_gateway(tmp_path_factory.mktemp("gateway"), database, workers=2) as gateway:
        yield gateway
        assert [None, None] == [process.poll() for process in gateway.processes]
    assert "Traceback" not in gateway.log(), gateway.log()
    postgres_server.drop(database)


@pytest.fixture(scope="session")
def anna(s3_gateway: RunningGateway) -> Credentials:
    """A member of that gateway's co-op."""
    return s3_gateway.member("anna")


@pytest.fixture(scope="session")
def s3(s3_gateway: RunningGateway, anna: Credentials) -> Any:
    """Her boto3 client, with default settings."""
    return client(s3_gateway, anna)


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    """A bucket of her own for one test."""
    name = f"b{next(_numbers)}-{zlib.crc32(request.node.nodeid.encode()):08x}"
    s3.create_bucket(Bucket=name)
    return name
