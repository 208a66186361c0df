"""What integration tests share: a small co-op in a real database."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.coop import Coop


@pytest_asyncio.fixture
async def co_op(database: str) -> AsyncIterator[Coop]:
    """A co-op without members yet, and its connections."""
    one = Coop(database)
    yield one
    await one.close()
