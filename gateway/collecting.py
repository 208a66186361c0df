"""When the disk engine is swept and when what was replaced goes off the disk, in one worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.storage.disk.engine import DiskEngine
from gateway.storage.errors import StorageError
from meter.recorder import now_us

log = logging.getLogger(__name__)
COLLECT_EVERY_S = 60.0


async def keep_collecting(
    engine: DiskEngine, *, files_max: int, rest: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Sweep once, then collect each minute. What fails is logged and tried again: the next time may do."""
    is_swept = False
    while True:
        try:
            if not is_swept:
                await _sweep(engine)
                is_swept = True
            while await engine.collect(now_us()) >= files_max:
                continue
        except (StorageError, OSError):
            log.exception("collector failed, again in %d s", COLLECT_EVERY_S)
        await rest(COLLECT_EVERY_S)


async def _sweep(engine: DiskEngine) -> None:
    report = await engine.sweep(now_us())
    if report.damaged_count or report.orphans_removed:
        log.error("sweep: %s", report)
