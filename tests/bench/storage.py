"""Figures of the storage engine behind a real gateway: durable PUTs, listings of a million keys, memory.

One worker. Every client is a raw socket that sends bytes signed beforehand, so that it costs less than what
it measures. Everything is made in a temporary directory and goes with it.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

import uvloop
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from tests.gateway import Credentials, RunningGateway, client

CLIENTS = 64
SMALL_BYTES = 4096
TURNS = 50
"""Keys of each client: made anew at first, then overwritten."""
SECONDS = 4.0
ROUNDS = 5
KEYS = 1_000_000
PREFIXES = 1_000
PAGE_KEYS = 1000
PAGES = 60
"""Pages timed in one go over HTTP."""
TRANSFERS = 100
TRANSFER_BYTES = 64 * 2**20
SLOW_EVERY = 5
"""Every fifth transfer pauses after each block."""
SLOW_PAUSE_S = 0.05
BLOCK_BYTES = 2**18
HEAD_END = b"\r\n\r\n"


def show(name: str, figure: str, base: str, ratio: float, goal: str) -> None:
    """One line of the table."""
    print(f"{name:<44} {figure:>22} {base:>30} {ratio:>8.3f}  {goal}", flush=True)


class Unsigned(S3SigV4Auth):
    """Signs the head alone."""

    def payload(self, request: AWSRequest) -> str:
        """What stands for the body's hash."""
        return "UNSIGNED-PAYLOAD"


def signed(
    gateway: RunningGateway, member: Credentials, method: str, target: str, body: bytes | int = b""
) -> bytes:
    """Head and body of a request; a body given as its size alone is unsigned, and sent by the caller."""
    size, data, kind = (body, b"", Unsigned) if isinstance(body, int) else (len(body), body, S3SigV4Auth)
    request = AWSRequest(
        method, f"{gateway.url}/{target}", headers={"Host": f"127.0.0.1:{gateway.port}"}, data=data
    )
    kind(BotoCredentials(member.access_key, member.secret_key), "s3", "us-east-1").add_auth(request)
    lines = [f"{method} /{target} HTTP/1.1"]
    for name, value in request.headers.items():
        lines.append(f"{name}: {value.decode() if isinstance(value, bytes) else value}")
    if method == "PUT":
        lines.append(f"Content-Length: {size}")
    return "\r\n".join([*lines, "", ""]).encode() + data


async def answer(reader: asyncio.StreamReader) -> bytes:
    """One whole answer's body; anything but 200 ends the run."""
    head = await reader.readuntil(HEAD_END)
    assert head.startswith(b"HTTP/1.1 200"), head
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return await reader.readexactly(int(found[1])) if found else b""


# Small durable PUTs


class Turns(asyncio.Protocol):
    """One connection that sends its requests in turn, each when the one before was answered 200."""

    def __init__(self, requests: Sequence[bytes], body_bytes: int, until: float) -> None:
        self._next = cycle(requests).__next__
        self._body_bytes = body_bytes
        self._until = until
        self._left = 0
        self.done = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        transport.write(self._next())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """An answer is whole when head and body came."""
        if not self._left:
            assert data.startswith(b"HTTP/1.1 200"), data
            self._left = data.index(HEAD_END) + 4 + self._body_bytes
        self._left -= len(data)
        if not self._left:
            self.done += 1
            if time.perf_counter() < self._until:
                self._transport.write(self._next())
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Over."""
        self.ended.set_result(None)


async def rate(port: int, requests: Sequence[Sequence[bytes]], body_bytes: int) -> float:
    """Answers a second of as many connections as there are lists."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        await loop.create_connection(partial(Turns, turns, body_bytes, began + SECONDS), "127.0.0.1", port)
        for turns in requests
    ]
    await asyncio.gather(*[protocol.ended for _, protocol in made])
    return sum(protocol.done for _, protocol in made) / (time.perf_counter() - began)


def bench_puts(gateway: RunningGateway, member: Credentials) -> None:
    """Signed 4 KiB PUTs, each answered after its sync, against signed 4 KiB GETs."""
    body = os.urandom(SMALL_BYTES)
    client(gateway, member).put_object(Bucket="bench", Key="small", Body=body)
    puts = [
        [signed(gateway, member, "PUT", f"bench/put-{number}-{turn}", body) for turn in range(TURNS)]
        for number in range(CLIENTS)
    ]
    gets = [[signed(gateway, member, "GET", "bench/small")]] * CLIENTS

    def both() -> tuple[float, float, float, float]:
        spent = [cpu_s(gateway)]
        put = uvloop.run(rate(gateway.port, puts, 0))
        spent.append(cpu_s(gateway))
        get = uvloop.run(rate(gateway.port, gets, SMALL_BYTES))
        spent.append(cpu_s(gateway))
        return put, get, (spent[1] - spent[0]) / (put * SECONDS), (spent[2] - spent[1]) / (get * SECONDS)

    both()
    rounds = [both() for _ in range(ROUNDS)]
    put, get, put_cpu, get_cpu = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratio = statistics.median(one[0] / one[1] for one in rounds)
    show(f"4 KiB strict PUT, {CLIENTS} clients", f"{put:,.0f}/s", f"signed GET {get:,.0f}/s", ratio, "≥ 0.5")
    ratio = statistics.median(one[3] / one[2] for one in rounds)
    put_text, get_text = f"{put_cpu * 1e6:.0f} µs", f"signed GET {get_cpu * 1e6:.0f} µs"
    show("  the worker's CPU, GET / PUT", put_text, get_text, ratio, "")


def cpu_s(gateway: RunningGateway) -> float:
    """Seconds of processor time the worker has used."""
    fields = Path(f"/proc/{gateway.processes[0].pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
