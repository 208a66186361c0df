"""The slow check of stored bytes in one worker: its pace, and what an operator sees of it."""

from __future__ import annotations

import asyncio
import logging

from gateway.metrics import GatewayMetrics
from gateway.storage.disk.scrub import Scrub
from gateway.storage.errors import StorageError
from meter.recorder import now_us

log = logging.getLogger(__name__)
AGAIN_S = 60.0
"""Between looks whether a round is due, whether the other worker has gone, and after an error."""


async def keep_scrubbing(scrub: Scrub, metrics: GatewayMetrics, bytes_per_s: int) -> None:
    """Check for as long as this worker holds the lock; the others wait for it. 0 bytes a second: never."""
    while bytes_per_s:
        with scrub.lock() as is_ours:
            if is_ours:
                try:
                    await _rounds(scrub, metrics, bytes_per_s)
                except (StorageError, OSError):
                    log.exception("the check of stored bytes failed, again in %d s", AGAIN_S)
                finally:
                    scrub.close()
        await asyncio.sleep(AGAIN_S)


async def _rounds(scrub: Scrub, metrics: GatewayMetrics, bytes_per_s: int) -> None:
    await scrub.resume()
    while True:
        done_bytes = await scrub.step(now_us())
        metrics.registry.add("weir_gateway_scrubbed_bytes_total", done_bytes)
        metrics.registry.gauges["weir_gateway_damaged_pieces"] = scrub.progress.damaged
        await asyncio.sleep(done_bytes / bytes_per_s if done_bytes else AGAIN_S)
