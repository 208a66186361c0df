"""Figures of the storage engine behind a real gateway: durable PUTs, listings of a million keys, memory.

One worker. Every client is a raw socket that sends bytes signed beforehand, so that it costs less than what
it measures. Everything is made in a temporary directory and goes with it. `python -m tests.bench.storage` runs
it alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import socket
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from itertools import cycle
from pathlib import Path
from urllib.parse import quote

import uvloop
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import open_engine
from gateway.storage.disk.index import Connection
from meter.ids import BucketId
from tests.bench.table import show
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.postgres import running_server

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
"""Pages timed in one go."""
AGAIN = 30
"""How often one page is asked for, to compare it with another."""
AT_US = 1_700_000_000_000_000
TRANSFERS = 100
TRANSFER_BYTES = 64 * 2**20
SLOW_EVERY = 5
"""Every fifth transfer pauses after each block."""
SLOW_PAUSE_S = 0.05
BLOCK_BYTES = 2**18
HEAD_END = b"\r\n\r\n"


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


# A bucket of a million keys


def fill(gateway: RunningGateway, bucket: BucketId) -> None:
    """PREFIXES × KEYS/PREFIXES empty objects, straight into the engine's index; no client could in this time."""
    each = KEYS // PREFIXES
    etag = hashlib.md5(b"", usedforsecurity=False).hexdigest()

    def part(connection: Connection, first: int) -> None:
        (last,) = connection.execute("SELECT coalesce(max(piece), 0) FROM piece").fetchone()
        keys = [f"prefix-{n:04}/key-{m:06}".encode() for n in range(first, first + 50) for m in range(each)]
        connection.executemany(
            "INSERT INTO piece (piece, size_bytes, data) VALUES (?, 0, x'')",
            ((last + number,) for number in range(1, len(keys) + 1)),
        )
        connection.executemany(
            "INSERT INTO object (bucket, key, piece, size_bytes, etag, modified_us, headers)"
            " VALUES (?, ?, ?, 0, ?, ?, '{}')",
            ((bucket, key, last + n, etag, AT_US + n * 7_000_000) for n, key in enumerate(keys, start=1)),
        )

    async def work() -> None:
        engine = await open_engine(gateway.data / "engine", GatewaySettings(data=gateway.data))
        for first in range(0, PREFIXES, 50):
            await engine._committer.commit(partial(part, first=first))
        await engine.close()

    asyncio.run(work())


class Lister:
    """One connection that asks for pages; each is signed before its time is taken."""

    def __init__(self, gateway: RunningGateway, member: Credentials, bucket: str) -> None:
        self._ask = partial(signed, gateway, member, "GET")
        self._bucket = bucket
        self._socket = socket.create_connection(("127.0.0.1", gateway.port))
        self._file = self._socket.makefile("rb", buffering=2**20)

    def page(self, query: str) -> tuple[float, bytes]:
        """Seconds from the request's first byte to the answer's last, and the document."""
        request = self._ask(f"{self._bucket}?{query}")
        began = time.perf_counter()
        self._socket.sendall(request)
        head = b"".join(iter(self._file.readline, b"\r\n"))
        assert head.startswith(b"HTTP/1.1 200"), head
        found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert found is not None
        body = self._file.read(int(found[1]))
        return time.perf_counter() - began, body

    def median_s(self, query: str) -> float:
        """Of one page asked for again and again."""
        return statistics.median(self.page(query)[0] for _ in range(AGAIN))

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()


def bench_listing(gateway: RunningGateway, member: Credentials) -> None:
    """Pages of 1000 keys over HTTP (ListObjectsV2), and the same pages at the engine."""
    client(gateway, member).create_bucket(Bucket="million")
    bucket = BucketId(newest_bucket(gateway))
    fill(gateway, bucket)
    lister = Lister(gateway, member, "million")
    flat = f"list-type=2&max-keys={PAGE_KEYS}"
    spent, keys, query = 0.0, 0, flat
    for _ in range(PAGES):
        seconds, body = lister.page(query)
        spent, keys = spent + seconds, keys + body.count(b"<Key>")
        token = re.search(rb"<NextContinuationToken>(.+?)</NextContinuationToken>", body)
        assert token is not None
        query = f"continuation-token={quote(token[1].decode(), safe='')}&{flat}"
    show("list 1 M keys, HTTP", f"{keys / spent:,.0f} keys/s", "goal 100,000", keys / spent / 100_000, "≥ 1")
    last = f"{flat}&start-after=" + quote(f"prefix-{PREFIXES - 2:04}/key-999999", safe="")
    first_s, last_s = lister.median_s(flat), lister.median_s(last)
    show(
        "  last page",
        f"{last_s * 1e3:.2f} ms",
        f"first page {first_s * 1e3:.2f} ms",
        last_s / first_s,
        "≤ 1.2",
    )
    rolled = f"delimiter=%2F&{flat}"
    assert lister.page(rolled)[1].count(b"<CommonPrefixes>") == PREFIXES
    rolled_s = lister.median_s(rolled)
    text = f"{rolled_s * 1e3:.2f} ms"
    show(f"  delimiter over {PREFIXES} prefixes", text, "page of as many keys", rolled_s / first_s, "≤ 2")
    lister.close()
    rate_of_engine(gateway, bucket)


def newest_bucket(gateway: RunningGateway) -> int:
    """The number of the bucket made last."""
    with closing(sqlite3.connect(gateway.data / "engine" / "index.sqlite")) as connection:
        return int(connection.execute("SELECT max(bucket) FROM bucket").fetchone()[0])


def rate_of_engine(gateway: RunningGateway, bucket: BucketId) -> None:
    """The same walk without HTTP and XML, in this process."""

    async def walk() -> float:
        engine = await open_engine(gateway.data / "engine", GatewaySettings(data=gateway.data))
        after, keys, began = "", 0, time.perf_counter()
        for _ in range(PAGES):
            page = await engine.list_objects(bucket, prefix="", delimiter="", after=after, limit=PAGE_KEYS)
            keys, after = keys + len(page.objects), page.next_after or ""
        seconds = time.perf_counter() - began
        await engine.close()
        return keys / seconds

    keys_a_second = uvloop.run(walk())
    show("  at the engine", f"{keys_a_second:,.0f} keys/s", "goal 100,000", keys_a_second / 100_000, "≥ 1")


# Memory


async def upload(port: int, head: bytes, pause_s: float) -> None:
    """Send head and TRANSFER_BYTES, and wait for the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    block = bytes(BLOCK_BYTES)
    for _ in range(TRANSFER_BYTES // BLOCK_BYTES):
        writer.write(block)
        await writer.drain()
        if pause_s:
            await asyncio.sleep(pause_s)
    answered = await reader.readuntil(HEAD_END)
    assert answered.startswith(b"HTTP/1.1 200"), answered
    writer.close()


async def download(port: int, head: bytes, pause_s: float) -> None:
    """Read TRANSFER_BYTES block by block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=BLOCK_BYTES)
    writer.write(head)
    answered = await reader.readuntil(HEAD_END)
    assert answered.startswith(b"HTTP/1.1 200"), answered
    left = TRANSFER_BYTES
    while left:
        left -= len(await reader.read(BLOCK_BYTES))
        if pause_s:
            await asyncio.sleep(pause_s)
    writer.close()


def bench_memory(gateway: RunningGateway, member: Credentials) -> None:
    """TRANSFERS uploads and as many downloads at once, every SLOW_EVERY-th slow; the worker's peak."""
    client(gateway, member).put_object(Bucket="bench", Key="large", Body=bytes(TRANSFER_BYTES))
    before = peak_bytes(gateway)

    async def work() -> None:
        pauses = [SLOW_PAUSE_S if number % SLOW_EVERY == 0 else 0.0 for number in range(TRANSFERS)]
        puts = [
            signed(gateway, member, "PUT", f"bench/up-{number}", TRANSFER_BYTES)
            for number in range(TRANSFERS)
        ]
        get = signed(gateway, member, "GET", "bench/large")
        await asyncio.gather(
            *(upload(gateway.port, head, pause) for head, pause in zip(puts, pauses, strict=True)),
            *(download(gateway.port, get, pause) for pause in pauses),
        )

    uvloop.run(work())
    peak = peak_bytes(gateway)
    name = f"{TRANSFERS} uploads + {TRANSFERS} downloads, 64 MiB"
    show(name, f"{peak / 2**20:.0f} MiB", f"before {before / 2**20:.0f} MiB", peak / (300 * 2**20), "≤ 1")


def peak_bytes(gateway: RunningGateway) -> int:
    """The most memory the worker ever held."""
    status = Path(f"/proc/{gateway.processes[0].pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def run() -> None:
    """Everything, one line a figure."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "pg" / "log").mkdir(parents=True)
        (place / "gateway").mkdir()
        quiet = {"WEIR_SCRUB_BYTES_PER_S": "0"}  # the slow check would read beside what is measured
        with (
            running_server(place / "pg") as server,
            running_gateway(place / "gateway", server.database(), environment=quiet) as gateway,
        ):
            member = gateway.member("bench")
            client(gateway, member).create_bucket(Bucket="bench")
            bench_memory(gateway, member)  # first: a peak is never forgotten, and SQLite's caches come later
            bench_puts(gateway, member)
            bench_listing(gateway, member)


if __name__ == "__main__":
    run()
