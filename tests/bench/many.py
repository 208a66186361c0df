"""Very many connections from one process: most are idle after a request, some ask again and again at a fixed pace.

Its answers are JSON lines: one when the idle ones are there, one when the active ones have asked for their time. Between
them whoever started it can look at the server; the connections stay until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from dataclasses import dataclass, field

import uvloop

AT_ONCE = 200
"""Connections that are being opened at the same time."""
ANSWER_WITHIN_S = 30.0
PACE_S = 1.0
"""An active connection asks this often, whether or not it was slow the last time."""


@dataclass
class Told:
    """What became of the connections and their requests."""

    served: int = 0
    refused: int = 0
    """503."""
    closed: int = 0
    """Ended without an answer."""
    latencies_s: list[float] = field(default_factory=list)

    def document(self) -> dict[str, object]:
        """As JSON, latencies in milliseconds."""
        taken = sorted(self.latencies_s)
        at = {name: taken[int(len(taken) * share)] * 1000 for name, share in SHARES.items()} if taken else {}
        return {"served": self.served, "refused": self.refused, "closed": self.closed, "latency_ms": at}


SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 0.999999}


class One(asyncio.Protocol):
    """A connection that asks one thing at a time."""

    def __init__(self, answer_bytes: int) -> None:
        self._answer_bytes = answer_bytes
        self._got = bytearray()
        self._answered: asyncio.Future[int] | None = None
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to ask."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """An answer of 200 has its known body; any other one ends its connection."""
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or self._answered is None or self._answered.done():
            return
        status = int(head.split(b" ", 2)[1])
        if status != 200 or len(body) == self._answer_bytes:
            self._got.clear()
            self._answered.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side ended it."""
        self.is_open = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(0)

    async def ask(self, request: bytes, told: Told) -> None:
        """One request to the end of its answer."""
        if not self.is_open:
            told.closed += 1
            return
        self._answered = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        self.transport.write(request)
        async with asyncio.timeout(ANSWER_WITHIN_S):
            status = await self._answered
        if status == 200:
            told.served += 1
            told.latencies_s.append(time.perf_counter() - began)
        elif status:
            told.refused += 1
        else:
            told.closed += 1


async def opened(
    port: int, first: int, count: int, request: bytes, answer_bytes: int
) -> tuple[list[One], Told]:
    """So many connections, each from an address of the loopback in turn, each after one answer."""
    loop, told, turn = asyncio.get_running_loop(), Told(), asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> One:
        protocol = One(answer_bytes)
        async with turn:
            try:
                await loop.create_connection(
                    lambda: protocol, "127.0.0.1", port, local_addr=(f"127.0.0.{first + number % 40}", 0)
                )
            except OSError:
                told.closed += 1
                return protocol
            await protocol.ask(request, told)
        return protocol

    return await asyncio.gather(*(one(number) for number in range(count))), told


async def keep_asking(connections: list[One], request: bytes, seconds: float) -> Told:
    """Each asks at its pace, spread over it."""
    told = Told()

    async def one(number: int, connection: One) -> None:
        due = time.perf_counter() + PACE_S * number / len(connections)
        for _ in range(int(seconds / PACE_S)):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await connection.ask(request, told)
            due += PACE_S

    await asyncio.gather(*(one(number, connection) for number, connection in enumerate(connections)))
    return told


async def main(port: int, first: int, idle: int, active: int, seconds: float, answer_bytes: int) -> None:
    """Open, tell, ask, tell, and stay."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    request = sys.stdin.buffer.readline().replace(b"\x00", b"\r\n").removesuffix(b"\n")
    idling, told = await opened(port, first, idle, request, answer_bytes)
    print(json.dumps(told.document() | {"open": sum(one.is_open for one in idling)}), flush=True)
    if active:
        asking, told_first = await opened(port, first, active, request, answer_bytes)
        told = await keep_asking(asking, request, seconds)
        told.refused += told_first.refused
        told.closed += told_first.closed
        print(json.dumps(told.document() | {"open": sum(one.is_open for one in idling + asking)}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    uvloop.run(main(numbers[0], numbers[1], numbers[2], numbers[3], float(numbers[4]), numbers[5]))
