"""Every engine runs the same tests: add one here and it is held to all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from gateway.storage.base import Engine
from gateway.storage.disk.engine import open_engine
from tests.contract.engine_model import BUCKET, OWNER

OpenEngine = Callable[[Path], Awaitable[Engine]]


async def _open_disk(directory: Path) -> Engine:
    # The assignment is the check: mypy holds DiskEngine to the contract.
    engine: Engine = await open_engine(directory, GatewaySettings(inline_bytes_max=1024))
    return engine


@pytest.fixture(params=[_open_disk], ids=["disk"])
def open_one(request: pytest.FixtureRequest) -> OpenEngine:
    opened: OpenEngine = request.param
    return opened


@pytest.fixture
async def engine(open_one: OpenEngine, tmp_path: Path) -> AsyncIterator[Engine]:
    engine = await open_one(tmp_path / "engine")
    await engine.create_bucket(BUCKET, owner=OWNER)
    yield engine
    await engine.close()
