"""A long answer of an upstream goes from socket to socket in the kernel: whole, counted, and cut where it is cut."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.pipe import Pipe
from gateway.storage.errors import Unavailable
from gateway.storage.model import MemoryExtent, StreamedExtent
from gateway.storage.upstream.connection import Connection
from gateway.wire import LongSend
from tests.engines.rogue import Fault, Rogue, running_rogue
from tests.integration.test_upstream_failures import BUCKET, Told, before

LONG = 3 * 2**20 + 12_345
HEAD = b"head"
SMALL = 100
OK = (
    b'HTTP/1.1 200 OK\r\nETag: "0"\r\nLast-Modified: Thu, 26 Nov 2026 05:00:00 GMT\r\n'
    b"Content-Length: %d\r\n\r\n"
)


@pytest.fixture
def rogue() -> Iterator[Rogue]:
    """An S3 system with bad days."""
    with running_rogue() as running:
        yield running


@pytest.fixture
async def told(rogue: Rogue, tmp_path: Path) -> AsyncIterator[Told]:
    """An engine in front of it."""
    async with before(rogue, tmp_path) as found:
        yield found


@dataclass
class Got:
    """What a receiver had in the end, and what its sender told."""

    data: bytes = b""
    told: list[int] = field(default_factory=list)
    failure: BaseException | None = None


async def sent(extent: StreamedExtent | MemoryExtent) -> Got:
    """Send it as an answer goes out."""
    got = Got()
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader, writer = await asyncio.open_connection(*server.getsockname())
        here, _ = server.accept()
        receiving = asyncio.create_task(reader.read(-1))
        with here:
            here.setblocking(False)
            sending = LongSend(here.fileno(), timeout_s=10, bytes_per_s_min=0, on_progress=got.told.append)
            try:
                await sending.send(HEAD, (extent,))
            except Unavailable as error:
                got.failure = error
            finally:
                sending.close()
        got.data = await receiving
        writer.close()
        await writer.wait_closed()
    return got


async def read_whole(told: Told, key: str, start: int = 0, stop: int | None = None) -> Got:
    """A GET, as far as bytes go."""
    reader = await told.engine.open_object(BUCKET, key)
    try:
        (extent,) = reader.extents(start, reader.head.size_bytes if stop is None else stop)
        assert isinstance(extent, StreamedExtent | MemoryExtent)
        return await sent(extent)
    finally:
        reader.close()


@pytest.fixture
def poured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each call to the kernel moved out of a pipe."""
    counts: list[int] = []
    through = Pipe.empty_into

    def counted(pipe: Pipe, descriptor: int, count: int) -> int:
        moved = through(pipe, descriptor, count)
        counts.append(moved)
        return moved

    monkeypatch.setattr(Pipe, "empty_into", counted)
    return counts


async def test_a_long_answer_arrives_whole_and_is_told_to_the_byte(told: Told, poured: list[int]) -> None:
    body = os.urandom(LONG)
    told.rogue.objects["/bucket/long"] = body
    got = await read_whole(told, "long")
    assert HEAD + body == got.data
    assert LONG == got.told[-1]
    assert sorted(got.told) == got.told
    assert LONG == told.events[-1].bytes_out
    # Most of it went that way, or this test tries nothing.
    assert LONG // 2 < sum(poured)


async def test_the_connection_is_of_use_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short answer would not be heard of, if the kernel still waited for many bytes."""
    waits, through = asyncio.Event(), Connection._arrival

    async def arrival(connection: Connection, *, since: float) -> None:
        waits.set()
        await through(connection, since=since)

    monkeypatch.setattr(Connection, "_arrival", arrival)
    connections: list[asyncio.StreamWriter] = []

    async def halting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        for size in (LONG, SMALL):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK % size + bytes(size // 2))
            if size == LONG:
                await waits.wait()
            writer.write(bytes(size - size // 2))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(halting, "127.0.0.1", 0)
    async with server:
        async with before(Rogue(server.sockets[0].getsockname()[1]), tmp_path) as told:
            assert LONG == (await read_whole(told, "long")).told[-1]
            assert HEAD + bytes(SMALL) == (await read_whole(told, "small")).data
    assert 1 == len(connections)
    assert [200, 200] == [one.status for one in told.events]


async def test_a_range_of_it_is_no_longer_than_asked_for(told: Told) -> None:
    body = os.urandom(LONG)
    told.rogue.objects["/bucket/long"] = body
    got = await read_whole(told, "long", 0, LONG - 700_000)
    assert HEAD + body[: LONG - 700_000] == got.data
    assert LONG - 700_000 == got.told[-1]


@pytest.mark.parametrize("kind", ["cut", "stall"])
async def test_an_answer_that_breaks_off_is_a_failure_and_tells_what_was_delivered(
    told: Told, poured: list[int], kind: str
) -> None:
    body, there = os.urandom(LONG), 2 * 2**20 + 77
    told.rogue.objects["/bucket/long"] = body
    told.rogue.faults.append(Fault("GET", kind, after_bytes=there))
    got = await read_whole(told, "long")
    assert isinstance(got.failure, Unavailable)
    assert HEAD + body[:there] == got.data
    assert there >= got.told[-1]
    assert there == told.events[-1].bytes_out
    assert poured


async def test_a_slow_upstream_is_not_taken_for_a_silent_one(tmp_path: Path) -> None:
    """It sends less in the time for silence than the kernel would wake us for."""
    body = os.urandom(400_000)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK % len(body) + body[:200_000])
        # The answer's pace is what is tried here: 40 KB/s, so 2.5 times the time for silence in all.
        for at in range(200_000, 400_000, 20_000):
            await asyncio.sleep(0.25)
            writer.write(body[at : at + 20_000])
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        began = time.monotonic()
        async with before(Rogue(port), tmp_path) as told:
            got = await read_whole(told, "slow")
    assert got.failure is None
    assert HEAD + body == got.data
    assert 1 < time.monotonic() - began


async def test_without_a_pipe_the_bytes_are_read(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    body = os.urandom(LONG)
    told.rogue.objects["/bucket/long"] = body
    monkeypatch.setattr(Pipe, "opened", lambda: None)
    got = await read_whole(told, "long")
    assert HEAD + body == got.data
    assert LONG == got.told[-1]


async def test_no_descriptor_is_left(told: Told) -> None:
    told.rogue.objects["/bucket/long"] = bytes(LONG)
    await read_whole(told, "long")
    before_it = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await read_whole(told, "long")
    assert len(before_it) == len(os.listdir("/proc/self/fd"))
