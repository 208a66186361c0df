"""Keeps one child running: starts it again after a pause that grows, and gives up after too many in a row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from deploy.aggregate import BadSnapshot, Fleet, parse_snapshot
from deploy.settings import DeploySettings
from meter.refusal import Refusal

Tell = Callable[[str], None]


class Keepable(Protocol):
    """What is kept: a child of ours, or the embedded database."""

    @property
    def name(self) -> str:
        """How it is called in messages, and its log file's name."""
        ...

    @property
    def tail(self) -> list[str]:
        """Its last lines."""
        ...

    async def start(self) -> None:
        """Start it and wait until it serves. Raises Refusal; then it is not running."""
        ...

    async def wait(self) -> int:
        """Wait for its end; the exit status, negative for a signal."""
        ...


class GaveUp(Refusal):
    """A child ended too often in a row."""


def pause_s(restarts: int, *, min_ms: int, max_s: int) -> float:
    """The pause before the n-th restart in a row, n from 1: doubling, between the two limits."""
    doubled_ms: int = min_ms << min(restarts - 1, 30)
    return min(doubled_ms / 1000, float(max_s))


class Counted:
    """Children's metrics: what they report, and what we know of them ourselves."""

    def __init__(self, settings: DeploySettings) -> None:
        self.fleet = Fleet()
        self.restarts: dict[str, int] = {}
        self.rejected = 0
        self._series_max = settings.metrics_series_max

    def take(self, child: str, line: bytes) -> None:
        """One line from a child's metrics pipe; a line we cannot read is dropped and counted."""
        try:
            self.fleet.report(child, parse_snapshot(line, series_max=self._series_max))
        except BadSnapshot:
            self.rejected += 1


class Either:
    """Set once one of two events is."""

    def __init__(self, first: asyncio.Event, second: asyncio.Event) -> None:
        self._events = (first, second)

    def is_set(self) -> bool:
        """Whether one of them is."""
        return any(event.is_set() for event in self._events)

    async def wait(self) -> bool:
        """Until one of them is."""
        waits = {asyncio.create_task(event.wait()) for event in self._events}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        return True


async def keep(
    child: Keepable,
    settings: DeploySettings,
    counted: Counted,
    *,
    stopping: asyncio.Event | Either,
    tell: Tell,
) -> None:
    """Watch a started child until `stopping`. Raises GaveUp."""
    restarts, began = 0, time.monotonic()
    counted.restarts.setdefault(child.name, 0)
    while True:
        status = await child.wait()
        counted.fleet.end(child.name)
        if stopping.is_set():
            return
        if time.monotonic() - began > settings.restart_forgiven_s:
            restarts = 0
        restarts += 1
        _tell_end(child, status, tell)
        if restarts > settings.restarts_max:
            raise GaveUp(
                f"{child.name} ended {restarts} times in a row (setting restarts_max); Weir stops. "
                f"Its log is log/{child.name}.log in the data directory"
            )
        pause = pause_s(restarts, min_ms=settings.restart_pause_min_ms, max_s=settings.restart_pause_max_s)
        if await _stopped_within(stopping, pause):
            return
        counted.restarts[child.name] = counted.restarts.get(child.name, 0) + 1
        began = time.monotonic()
        try:
            await child.start()
        except Refusal as failure:
            # It has ended again: the next turn of the loop sees that, and counts it.
            tell(str(failure))


def _tell_end(child: Keepable, status: int, tell: Tell) -> None:
    how = f"by signal {-status}" if status < 0 else f"with status {status}"
    tell(f"{child.name} ended {how}; it is started again")
    for line in child.tail:
        tell(f"{child.name}: {line}")


async def _stopped_within(stopping: asyncio.Event | Either, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return False
    return True
