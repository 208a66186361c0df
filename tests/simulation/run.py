"""One seed: the meter's modules in the simulated world, some hundred steps, a calm end, and the check."""

from __future__ import annotations

import logging
import random
import shutil
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import gateway.feed
import meter.journal
import meter.recorder
import meter.shipper
from meter import frame
from meter.event import Event
from meter.reader import chain, streams
from meter.window import to_us
from tests.simulation import database
from tests.simulation.processes import Blocked
from tests.simulation.world import STARTS, World

STEPS = 220
TRACEBACK_FRAMES = 7
MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Outcome:
    """What a seed came to."""

    seed: int
    complaints: list[str]
    trace: list[str]
    records: int


def simulate(seed: int, *, steps: int = STEPS) -> Outcome:
    """Run one seed. Whatever goes wrong is among the complaints."""
    place = MEMORY if MEMORY.is_dir() else None
    root = Path(tempfile.mkdtemp(prefix="weir-simulation-", dir=place))
    starts = [to_us(datetime.fromisoformat(one)) for one in STARTS]
    world = World(seed, root, starts[seed % len(starts)])
    records = 0
    try:
        with warnings.catch_warnings(), _instead(world):
            try:
                for _ in range(steps):
                    world.step()
                    if world.model.complaints:
                        break
                world.calm()
                journal = _journal(world)
                records = sum(len(one) for one in journal.values())
                if not world.model.complaints:
                    world.model.check(journal, world.database.tables, world.streams())
            except Exception as error:  # noqa: BLE001 - whatever the code under test does that no promise names
                where = "".join(traceback.format_tb(error.__traceback__)[-TRACEBACK_FRAMES:])
                world.model.complaints.append(f"{type(error).__name__}: {error}\n{where}")
            finally:
                for process in world.processes:
                    process.kill()
    finally:
        shutil.rmtree(root)
    return Outcome(seed, world.model.complaints, world.notes, records)


def _journal(world: World) -> dict[str, list[tuple[int, Event]]]:
    return {
        directory.name: [one for segment in chain(directory) for one in frame.events(segment.records)]
        for directory in streams(world.settings.journal_directory)
    }


class SimulatedLock:
    """A lock of a thread that would have to wait for another one: it says so instead."""

    def __init__(self) -> None:
        self._is_held = False

    def __enter__(self) -> None:
        if self._is_held:
            raise Blocked
        self._is_held = True

    def __exit__(self, *_: object) -> None:
        self._is_held = False


class SimulatedThread:
    """The sync thread, whose turns the scheduler gives."""

    def __init__(self, **_: Any) -> None:
        """It never runs by itself."""

    def start(self) -> None:
        """Nothing."""

    def join(self) -> None:
        """Nothing."""


async def _inline(act: Any, *arguments: Any) -> Any:
    return act(*arguments)


@contextmanager
def _instead(world: World) -> Iterator[None]:
    """The outside of the meter's modules, replaced for the time of the block: disk, clock, threads, database."""
    identities = random.Random(world.seed)
    threads = SimpleNamespace(Lock=SimulatedLock, Thread=SimulatedThread, Event=threading.Event)
    loop = SimpleNamespace(to_thread=_inline)
    lock_stream = meter.journal.Journal.__init__.__globals__["lock_stream"]
    outside = {
        "os": world.os, "threading": threads, "now_us": lambda: world.now_us,
        "lock_stream": lambda directory, *, patience_s=0: world.keep_open(lock_stream(directory)),
        "uuid4": lambda: UUID(int=identities.getrandbits(128)),
    }  # fmt: skip
    modules = [module for name, module in sys.modules.items() if name.startswith("meter.")]
    changes = [
        (module, name, value)
        for module in modules
        for name, value in outside.items()
        if hasattr(module, name)
    ]
    changes += [
        (meter.shipper, "store", database),
        (meter.shipper, "asyncio", loop),
        (gateway.feed, "asyncio", loop),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    logging.disable(logging.CRITICAL)
    try:
        # A process that is killed closes no file; the kernel does, and here the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        for module, name, value in changes:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        logging.disable(logging.NOTSET)
