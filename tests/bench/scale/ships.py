"""The shippers' side: some processes, each with the shippers of many gateways, every one on a connection of its own."""

from __future__ import annotations

import asyncio
import random
import resource
import time
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Barrier
from multiprocessing.synchronize import Event as Signal
from pathlib import Path

import numpy as np

from meter.__main__ import ship_until
from meter.frame import RECORD_BYTES
from meter.metrics import ShipperMetrics
from meter.postgres import Connection, connect, connect_pooled
from meter.recorder import now_us
from meter.settings import MeterSettings
from meter.shipper import Round, Shipper
from meter.tail import Batch, Tail
from tests.bench.scale.plan import Count, Plan, Shipped
from tests.bench.scale.traffic import gateway_directory

_ENDED = np.dtype({"names": ["ended_us"], "formats": ["<i8"], "offsets": [64], "itemsize": RECORD_BYTES})
CONNECT_AT_ONCE = 8


class TimedShipper(Shipper):
    """The shipper, with a clock beside each transaction."""

    def __init__(self, settings: MeterSettings, found: list[Shipped], begun: Count) -> None:
        super().__init__(settings, packs=False)
        self._found = found
        self._begun: Count | None = begun

    async def ship(self, connection: Connection) -> Round:
        """As ever; the first time it is told."""
        done = await super().ship(connection)
        if self._begun is not None:
            with self._begun.get_lock():
                self._begun.value += 1
            self._begun = None
        return done

    async def _ship_batch(self, connection: Connection, tail: Tail, batch: Batch) -> bool:
        began = time.monotonic()
        is_ours = await super()._ship_batch(connection, tail, batch)
        if is_ours and batch.records:
            ended = time.monotonic()
            oldest_us = int(np.frombuffer(batch.records, _ENDED)["ended_us"].min())
            self._found.append(
                Shipped(
                    ended, ended - began, len(batch.records) // RECORD_BYTES, (now_us() - oldest_us) / 1e6
                )
            )
        return is_ours


def ship_some(
    plan: Plan,
    place: Path,
    dsn: str,
    gateways: range,
    start: Barrier,
    stop: Signal,
    begun: Count,
    found: Pipe,
) -> None:
    """Ship those gateways' journals until told to stop; then send what was shipped. `begun` counts who has begun."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        shipped = asyncio.run(_ship_some(plan, place, dsn, gateways, start, stop, begun))
    except BaseException:
        start.abort()  # nobody waits at the start for who will not come
        raise
    found.send(shipped)
    found.close()


async def _ship_some(
    plan: Plan, place: Path, dsn: str, gateways: range, start: Barrier, stop: Signal, begun: Count
) -> list[Shipped]:
    shipped: list[Shipped] = []
    at_once = asyncio.Semaphore(CONNECT_AT_ONCE)

    async def connected() -> Connection:
        async with at_once:
            opened = connect_pooled if plan.pooled else connect
            return await opened(dsn, role="weir_meter", timeout_s=600)

    connections = await asyncio.gather(*(connected() for _ in gateways))
    await asyncio.to_thread(start.wait)
    stopping = asyncio.Event()
    work = [
        asyncio.create_task(
            _gateway(plan, gateway_directory(place, gateway), connection, stopping, shipped, begun)
        )
        for gateway, connection in zip(gateways, connections, strict=True)
    ]
    await asyncio.to_thread(stop.wait)
    stopping.set()
    await asyncio.gather(*work)
    await asyncio.gather(*(connection.close() for connection in connections))
    return shipped


async def _gateway(
    plan: Plan,
    data: Path,
    connection: Connection,
    stopping: asyncio.Event,
    shipped: list[Shipped],
    begun: Count,
) -> None:
    """One gateway's shipper, as its process runs it; they do not all begin in the same instant."""
    settings = MeterSettings(data=data, ship_interval_ms=plan.interval_ms)
    try:
        await asyncio.wait_for(stopping.wait(), random.random() * plan.interval_ms / 1000)
    except TimeoutError:
        pass  # its turn has come
    await ship_until(
        connection, TimedShipper(settings, shipped, begun), settings, ShipperMetrics(), stopping, {}
    )
