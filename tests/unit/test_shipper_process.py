"""The shipper as a process: whatever says that PostgreSQL is away, it tries again."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

import meter.__main__ as shipper
from meter.postgres import DatabaseAway
from meter.settings import MeterSettings


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.InterfaceError("connection is closed"),
        ConnectionResetError(),
        TimeoutError(),
        DatabaseAway("the database does not answer"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_database_that_is_away_is_tried_again(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of these a kill -9 of PostgreSQL brought up: the shipper had died of it."""
    tries: list[int] = []

    async def ship(*_: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise error

    monkeypatch.setattr(shipper, "_while_connected", ship)
    await shipper.run(MeterSettings(data=tmp_path, ship_retry_max_s=1))
    assert 2 == len(tries)
