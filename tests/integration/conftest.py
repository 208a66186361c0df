"""What integration tests share: a small co-op in a real database, and a gateway for clients of S3."""

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.coop import Coop
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.postgres import TestServer


@pytest_asyncio.fixture
async def co_op(database: str) -> AsyncIterator[Coop]:
    """A co-op without members yet, and its connections."""
    one = Coop(database)
    yield one
    await one.close()


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def s3_gateway(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """Two workers for all tests of the clients of S3. Whatever was asked of them, none fell and none was surprised."""
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
def bucket(s3: Any) -> str:
    """A bucket of her own for one test."""
    name = f"bucket-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name
