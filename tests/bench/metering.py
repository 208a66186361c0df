"""What counting costs a small GET: one worker, its counting switched on and off in slices of a quarter of a second.

Two workers side by side differ by up to 6 % where neither counts anything: each has its own hash seed, memory layout and
caches, and whoever is asked second meets another machine. So one process is measured, over the same connections, in
rounds on-off-off-on and off-on-on-off in turn, too short for the machine to change much within one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import uvloop

from tests.bench.table import CONNECTIONS, ROOT, show
from tests.bench.unmetered import OFF, ON

ROUNDS = 40
SLICE_S = 0.25
GOAL = 0.97


class Slice(NamedTuple):
    """What the worker did in one turn."""

    answers: int
    seconds: float
    cpu_us: float


class Repeat(asyncio.Protocol):
    """One connection: while a turn lasts it sends, takes the answer, and sends again."""

    def __init__(self, request: bytes, body_bytes: int) -> None:
        self._request = request
        self._body_bytes = body_bytes
        self._got = self._size = self.done = 0
        self._until = 0.0
        self.rests: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first turn."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def begin(self, until: float) -> None:
        """A turn, which is over with the first answer after that time."""
        self.done, self._until = 0, until
        self.rests = asyncio.get_running_loop().create_future()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """An answer is whole when head and body came; any other status than 200 ends the run."""
        if not self._got:
            assert data.startswith(b"HTTP/1.1 200"), data[:400]
            self._size = data.index(b"\r\n\r\n") + 4 + self._body_bytes
        self._got += len(data)
        if self._got == self._size:
            self._got = 0
            self.done += 1
            if time.perf_counter() < self._until:
                self._transport.write(self._request)
            else:
                self.rests.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """A worker that hangs up within a turn would be measured wrongly."""
        if not self.rests.done():
            self.rests.set_exception(exc or ConnectionError("the worker hung up"))


def scheduled_us(process: int) -> float:
    """Processor time of all threads of a process, as the scheduler counts it: in nanoseconds rather than in ticks."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[0]) for one in threads) / 1e3


async def _turn(process: int, connections: Sequence[Repeat]) -> Slice:
    used, began = scheduled_us(process), time.perf_counter()
    for one in connections:
        one.begin(began + SLICE_S)
    await asyncio.gather(*[one.rests for one in connections])
    took = time.perf_counter() - began
    return Slice(sum(one.done for one in connections), took, scheduled_us(process) - used)


async def _rounds(
    process: subprocess.Popen[str], port: int, request: bytes, body_bytes: int
) -> list[tuple[list[Slice], list[Slice]]]:
    """Slices with counting on, and with counting off, of each round but a first one."""
    assert process.stdout is not None
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Repeat(request, body_bytes), "127.0.0.1", port))[1]
        for _ in range(CONNECTIONS)
    ]
    found = []
    for number in range(ROUNDS + 1):
        slices: dict[int, list[Slice]] = {ON: [], OFF: []}
        for switch in (ON, OFF, OFF, ON) if number % 2 else (OFF, ON, ON, OFF):
            process.send_signal(switch)
            assert process.stdout.readline() == ("on\n" if switch is ON else "off\n")
            slices[switch].append(await _turn(process.pid, connections))
        found.append((slices[ON], slices[OFF]))
    return found[1:]


def _rate(slices: Sequence[Slice]) -> float:
    return sum(one.answers for one in slices) / sum(one.seconds for one in slices)


def _cost_us(slices: Sequence[Slice]) -> float:
    return sum(one.cpu_us for one in slices) / sum(one.answers for one in slices)


def bench_metering(request: bytes, body_bytes: int, directory: Path, database: str) -> None:
    """Answers a second, and processor time of one, with counting and without."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.unmetered"],
            env={**os.environ, "WEIR_DATA": str(directory), "WEIR_DATABASE_URL": database,
                 "WEIR_GATEWAY_FD": str(listener.fileno()), "WEIR_WORKER": "77"},
            pass_fds=[listener.fileno()], stdout=subprocess.PIPE, cwd=ROOT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            # The Host header is signed; the request goes to this port with the Host of the other.
            found = uvloop.run(_rounds(process, listener.getsockname()[1], request, body_bytes))
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()
    on, off = ([pair[which] for pair in found] for which in (0, 1))
    for name, of, unit in (
        ("metering on / off", _rate, "/s"),
        ("  processor time of one, off / on", _cost_us, " µs"),
    ):
        pairs = [(of(a), of(b)) for a, b in found]
        ratio = statistics.median(a / b if of is _rate else b / a for a, b in pairs)
        show(
            name, f"{statistics.median(map(of, on)):,.0f}{unit}", f"off {statistics.median(map(of, off)):,.0f}{unit}",
            ratio, f"≥ {GOAL}",
        )  # fmt: skip
