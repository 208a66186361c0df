"""The shipper as a process: `python -m meter` ships until it is told to stop, then ships what is left."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from meter.cap_store import caps, sent_in, stored_by
from meter.caps import CapLevel, nearness
from meter.daily import Daily
from meter.gate import wait_at_gate
from meter.logs import begin_log
from meter.metrics import ShipperMetrics
from meter.pace import Pace
from meter.postgres import AWAY, Connection, connect, connect_pooled
from meter.recorder import now_us
from meter.refusal import Refusal
from meter.settings import MeterSettings
from meter.shipper import Shipper, adopt_dead_streams, backlog, places, torn_bytes
from meter.window import Month

log = logging.getLogger("meter")
LAST_TRIES = 20
CAPS_EVERY_S = 10
TRY_AGAIN = (Refusal, asyncpg.PostgresError, *AWAY)
"""After which the same is tried with a fresh connection."""


async def run(settings: MeterSettings) -> None:
    """Ship until SIGTERM; the database may come and go meanwhile."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    metrics = ShipperMetrics()
    await asyncio.to_thread(adopt_dead_streams, settings)
    print("ready", flush=True)  # noqa: T201 - the line the supervisor waits for
    pause_s, tries_left = 0.0, LAST_TRIES
    shipped: dict[Path, int] = {}
    shipper = Shipper(settings)
    while tries_left:
        try:
            await _while_connected(shipper, settings, metrics, stopping, shipped)
            return
        except TRY_AGAIN as error:
            metrics.failures += 1
            pause_s = min(max(pause_s * 2, 0.1), settings.ship_retry_max_s)
            log.warning("cannot ship now, again within %.1f s: %s", pause_s, error)
        metrics.waiting(backlog(settings.journal_directory, shipped), now_us=now_us())
        metrics.publish()
        if stopping.is_set():
            tries_left -= 1
            await asyncio.sleep(0.1)
        else:
            await _wait(stopping, pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret


async def _while_connected(
    shipper: Shipper,
    settings: MeterSettings,
    metrics: ShipperMetrics,
    stopping: asyncio.Event,
    shipped: dict[Path, int],
) -> None:
    connection = await _connected(settings)
    shipper.forget()
    try:
        await ship_until(connection, shipper, settings, metrics, stopping, shipped)
    finally:
        await connection.close()


async def _connected(settings: MeterSettings) -> Connection:
    """Through the pooler, if there is one for shippers."""
    if settings.ship_database_url:
        return await connect_pooled(
            settings.ship_database_url, role="weir_meter", timeout_s=settings.database_timeout_s
        )
    return await connect(settings.database_url, role="weir_meter", timeout_s=settings.database_timeout_s)


async def ship_until(
    connection: Connection,
    shipper: Shipper,
    settings: MeterSettings,
    metrics: ShipperMetrics,
    stopping: asyncio.Event,
    shipped: dict[Path, int],
) -> None:
    """Ship round after round; `shipped` is kept for the time when Postgres is away."""
    daily, looked_s = Daily(settings), -float(CAPS_EVERY_S)
    pace = Pace(interval_s=settings.ship_interval_ms / 1000, longest_s=settings.ship_interval_max_ms / 1000)
    while True:
        last_round, began_s = stopping.is_set(), time.monotonic()
        done = await shipper.ship(connection)
        took_s = time.monotonic() - began_s
        await daily.look(connection, now_us=now_us())
        shipped.update(await places(connection, settings.journal_directory, known=shipper.shipped))
        metrics.rounds(done, took_s=took_s, now_us=now_us())
        metrics.torn(torn_bytes(settings.journal_directory))
        metrics.waiting(backlog(settings.journal_directory, shipped), now_us=now_us())
        if time.monotonic() - looked_s >= CAPS_EVERY_S:
            metrics.capped(await _near_caps(connection))
            looked_s = time.monotonic()
        metrics.publish()
        if last_round:
            return
        await _wait(stopping, pace.after(done.strain, chance=random.random()))  # noqa: S311 - jitter, not a secret


async def _near_caps(connection: Connection) -> Mapping[tuple[str, CapLevel], int]:
    """How many members are near their own caps."""
    known = await caps(connection)
    members = list(known)
    if not members:
        return nearness({}, sent={}, stored={})
    sent = await sent_in(connection, members, Month.of(now_us()))
    return nearness(known, sent=sent, stored=await stored_by(connection, members))


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


def main() -> None:
    """Entry point."""
    begin_log(MeterSettings.read().log_format)
    wait_at_gate()
    asyncio.run(run(MeterSettings.read()))


if __name__ == "__main__":
    main()
