"""A connection's way from one request to the next, over real sockets; the exchanges are the tests' own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.connection import Connection, ConnectionServer, Incoming

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
PATIENCE_S = 5.0
"""Nothing here takes so long unless it hangs."""

Handle = Callable[[Incoming], Coroutine[Any, Any, bool]]


def say(incoming: Incoming) -> None:
    """A whole answer that names the request."""
    body = incoming.raw_path.encode()
    os.write(incoming.descriptor, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


class Client:
    """One connection to the server under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        """Everything."""
        self._writer.write(data)

    async def answer(self) -> bytes:
        """The body of the next answer."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return await self._reader.readexactly(size)

    async def rest(self) -> bytes:
        """Until the other side closes."""
        try:
            return await self._reader.read()
        except ConnectionResetError:
            return b"reset"


@asynccontextmanager
async def serving(handle: Handle, **limits: Any) -> AsyncIterator[tuple[Client, list[Connection]]]:
    """A client, and the connections at the other end."""
    made: list[Connection] = []
    server = ConnectionServer(handle, **({"access_log": None, "auto_decompress": False} | limits))

    def make() -> Connection:
        made.append(server())
        return made[-1]

    listening = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname()[:2])
        try:
            yield Client(reader, writer), made
        finally:
            writer.close()
            listening.close()
            await server.shutdown(0.01)


async def test_an_exchange_that_need_not_wait_ends_where_its_bytes_arrived() -> None:
    turns: list[str] = []

    async def handle(incoming: Incoming) -> bool:
        asyncio.get_running_loop().call_soon(turns.append, "a turn of the loop")
        say(incoming)
        turns.append("answered")
        return True

    async with serving(handle) as (client, made):
        client.send(GET % 1)
        await client.answer()
        turns.clear()

        def arrive() -> None:
            made[0].data_received(GET % 2)
            turns.append("taken in")

        # What takes the bytes in must see the answer go out.
        asyncio.get_running_loop().call_soon(arrive)
        assert b"/2" == await client.answer()
        assert ["answered", "taken in", "a turn of the loop"] == turns


async def test_an_exchange_that_waits_is_finished_and_the_next_one_served() -> None:
    gate = asyncio.Event()

    async def handle(incoming: Incoming) -> bool:
        if incoming.raw_path == "/1":
            await gate.wait()
        say(incoming)
        return True

    async with serving(handle) as (client, made):
        client.send(GET % 1)
        while not made or not made[0]._request_in_progress:
            await asyncio.sleep(0)
        client.send(GET % 2)
        gate.set()
        assert [b"/1", b"/2"] == [await client.answer(), await client.answer()]


async def test_a_timeout_interrupts_the_exchange_that_set_it_and_no_other() -> None:
    async def handle(incoming: Incoming) -> bool:
        try:
            # Set before the exchange first waits, so before the task has it.
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            say(incoming)
        return True

    async with serving(handle) as (client, _):
        for number in (1, 2, 3):
            client.send(GET % number)
            assert b"/%d" % number == await client.answer()


async def test_a_cancellation_between_beginning_and_waiting_reaches_the_exchange() -> None:
    told: list[str] = []

    async def handle(incoming: Incoming) -> bool:
        task = asyncio.current_task()
        assert task is not None
        task.get_loop().call_soon(task.cancel)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append(incoming.raw_path)
            raise
        return True

    async with serving(handle) as (client, made):
        client.send(GET % 1)
        # The very callback that takes the request in asks for the cancellation: it comes before the task.
        while not told:
            await asyncio.sleep(0)
        assert made[0]._begun is None
    assert ["/1"] == told


async def test_requests_sent_at_once_are_answered_in_their_order() -> None:
    async def handle(incoming: Incoming) -> bool:
        if int(incoming.raw_path[1:]) % 3 == 0:
            await asyncio.sleep(0)
        say(incoming)
        return True

    async with serving(handle) as (client, _):
        client.send(b"".join(GET % number for number in range(100)))
        assert [b"/%d" % number for number in range(100)] == [await client.answer() for _ in range(100)]


@pytest.mark.parametrize("waits", [False, True])
async def test_an_exchange_that_ends_the_connection_closes_it(*, waits: bool) -> None:
    async def handle(incoming: Incoming) -> bool:
        if waits:
            await asyncio.sleep(0)
        say(incoming)
        return False

    async with serving(handle) as (client, _):
        client.send(GET % 1 + GET % 2)
        assert b"/1" == await client.answer()
        assert await client.rest() in (b"", b"reset")


@pytest.mark.parametrize("waits", [False, True])
async def test_a_fault_of_an_exchange_cuts_its_connection(
    caplog: pytest.LogCaptureFixture, *, waits: bool
) -> None:
    async def handle(_: Incoming) -> bool:
        if waits:
            await asyncio.sleep(0)
        raise RuntimeError("a bug")

    async with serving(handle) as (client, _):
        client.send(GET % 1)
        assert await client.rest() in (b"", b"reset")
    assert "an exchange failed outside its own edge" in caplog.text


async def test_a_body_nobody_read_is_taken_in_before_the_next_request() -> None:
    async def handle(incoming: Incoming) -> bool:
        say(incoming)
        return True

    async with serving(handle, lingering_time=PATIENCE_S) as (client, _):
        client.send(b"PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n")
        assert b"/1" == await client.answer()
        client.send(GET[:5] + b"x" * 25 + GET % 2)
        assert b"/2" == await client.answer()


async def test_a_body_that_does_not_come_ends_the_connection() -> None:
    async def handle(incoming: Incoming) -> bool:
        say(incoming)
        return True

    async with serving(handle, lingering_time=0.01) as (client, _):
        client.send(b"PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n")
        assert b"/1" == await client.answer()
        assert await client.rest() in (b"", b"reset")


@pytest.mark.parametrize("path", ["/at-once", "/waits"])
async def test_patience_begins_anew_after_an_exchange_longer_than_it(path: str) -> None:
    rang: list[Connection] = []

    async def handle(incoming: Incoming) -> bool:
        connection = incoming._connection
        if incoming.raw_path == "/waits":
            while connection._keepalive_handle is not None:
                await asyncio.sleep(0)
        else:
            assert connection._keepalive_handle is not None
            connection._keepalive_handle.cancel()
            connection._keepalive_handle = None
        rang.append(connection)
        say(incoming)
        return True

    async with serving(handle, keepalive_timeout=0.05) as (client, _):
        client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert path.encode() == await client.answer()
        assert await client.rest() in (b"", b"reset")
    assert rang


async def test_what_is_no_http_is_refused_and_the_connection_closed() -> None:
    async def handle(_: Incoming) -> bool:
        raise AssertionError("no exchange begins")

    async with serving(handle) as (client, _):
        client.send(b"\x16\x03\x01 what is this\r\n\r\n")
        rest = await client.rest()
    assert rest.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nConnection: close\r\n" in rest
    assert rest.endswith(b"</Error>")


async def test_a_leaving_server_answers_once_more_says_so_and_ends_without_a_reset() -> None:
    kept: list[bool] = []

    async def handle(incoming: Incoming) -> bool:
        kept.append(incoming.keep_alive)
        say(incoming)
        return incoming.keep_alive

    async with serving(handle) as (client, made):
        client.send(GET % 1)
        await client.answer()
        leaving = asyncio.create_task(made[0]._server.leave(goodbye_s=PATIENCE_S, drain_s=PATIENCE_S))
        while not made[0].is_leaving:
            await asyncio.sleep(0)
        client.send(GET % 2)
        assert b"/2" == await client.answer()
        assert b"" == await client.rest()
        assert [True, False] == kept
        await leaving


async def test_an_upload_that_is_under_way_when_the_server_leaves_arrives_whole() -> None:
    got: list[bytes] = []

    async def handle(incoming: Incoming) -> bool:
        got.append(await incoming.content.read())
        say(incoming)
        return True

    async with serving(handle) as (client, made):
        client.send(b"PUT /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        while not made or not made[0]._request_in_progress:
            await asyncio.sleep(0)
        leaving = asyncio.create_task(made[0]._server.leave(goodbye_s=0, drain_s=PATIENCE_S))
        while not made[0]._server.is_closing:
            await asyncio.sleep(0)
        client.send(b"3\r\ndef\r\n0\r\n\r\n")
        assert b"/u" == await client.answer()
        assert b"" == await client.rest()
        await leaving
    assert [b"abcdef"] == got


async def test_what_is_sent_after_the_goodbye_is_taken_in_and_not_reset() -> None:
    async def handle(incoming: Incoming) -> bool:
        say(incoming)
        return True

    async with serving(handle) as (client, made):
        client.send(GET % 1)
        await client.answer()
        leaving = asyncio.create_task(made[0]._server.leave(goodbye_s=0, drain_s=PATIENCE_S))
        while not made[0]._has_left:
            await asyncio.sleep(0)
        client.send(GET % 2)
        assert b"" == await client.rest()
        await leaving


async def test_leaving_ends_with_the_last_exchange_and_not_with_the_patience_for_it() -> None:
    """Its client is gone before it; the drain is longer than this test may take."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def handle(_: Incoming) -> bool:
        begun.set()
        await may_end.wait()
        return False

    async with serving(handle) as (client, made):
        client.send(GET % 1)
        await begun.wait()
        server = made[0]._server
        leaving = asyncio.create_task(server.leave(goodbye_s=0, drain_s=10 * PATIENCE_S))
        while not server.is_closing:
            await asyncio.sleep(0)
        client._writer.transport.abort()
        while made[0].transport is not None:
            await asyncio.sleep(0)
        # Let whoever was woken by the loss look at the list, which the exchange is still on.
        await asyncio.sleep(0)
        assert [made[0]] == server.connections
        may_end.set()
        await leaving
        assert [] == server.connections
