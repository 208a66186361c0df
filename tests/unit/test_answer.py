"""An answer that cannot go out ends its exchange once, gives its place back and keeps no descriptor."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import StreamReader

from gateway import answer as answer_module
from gateway.accounting import Tab
from gateway.answer import Answer, answer
from gateway.body import Body
from gateway.call import Reply
from gateway.connection import Incoming
from gateway.counting import Counting
from gateway.errors import S3Error
from gateway.intake import Blocks
from gateway.operation import Operation
from gateway.settings import GatewaySettings
from gateway.sigv4.unsigned import unsigned_claim
from gateway.wire import LongSend
from meter import frame
from meter.event import Event, Mark, RequestClass
from meter.ids import MemberId
from meter.reader import chain
from meter.recorder import Recorder, now_us
from meter.settings import MeterSettings

LONG = 200_000
PLACES = 2


@dataclass
class Transport:
    """What the loop keeps of a connection."""

    connection: socket.socket
    waiting_bytes: int = 0
    """What it has not written yet."""
    was_looked_at: asyncio.Event = field(default_factory=asyncio.Event)
    was_aborted: bool = False

    def get_write_buffer_size(self) -> int:
        self.was_looked_at.set()
        return self.waiting_bytes

    def is_closing(self) -> bool:
        return self.was_aborted

    def get_extra_info(self, name: str) -> socket.socket:
        assert "socket" == name
        return self.connection

    def abort(self) -> None:
        self.was_aborted = True


@dataclass
class Exchange:
    """One exchange over a real connection."""

    directory: Path
    recorder: Recorder
    transport: Transport
    client: socket.socket
    counting: Counting
    how: Answer

    def places(self) -> int:
        """Open exchanges."""
        return len(self.recorder._ongoing.left_over())

    def records(self) -> list[Event]:
        """What stands in the journal of it."""
        return [event for segment in chain(self.directory) for _, event in frame.events(segment.records)]


@contextmanager
def exchange(place: Path, operation: Operation = Operation.GET_OBJECT) -> Iterator[Exchange]:
    with ExitStack() as kept:
        recorder = Recorder(place, MeterSettings(data=place), slots_max=PLACES)
        kept.callback(recorder.close)
        server = kept.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = kept.enter_context(socket.create_connection(server.getsockname(), timeout=10))
        here = kept.enter_context(server.accept()[0])
        here.setblocking(False)
        transport = Transport(here)
        raw = SimpleNamespace(
            keep_alive=True, knows_interim=True, descriptor=here.fileno(), transport=transport, headers={},
            content_length=0,
            content=SimpleNamespace(is_eof=lambda: True),
        )  # fmt: skip
        tab = Tab(b"\x09" * 16, now_us(), operation, MemberId(1), MemberId(1), authorised=True)
        counting = Counting(tab, recorder, now_us)
        how = Answer(cast(Incoming, raw), counting, GatewaySettings(data=place))
        yield Exchange(place, recorder, transport, client, counting, how)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def dup_fails_at(call: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """No descriptor is left when one is asked for the call-th time; the calls."""
    really, calls = os.dup, list[int]()

    def dup(descriptor: int) -> int:
        calls.append(descriptor)
        if len(calls) == call:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return really(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "dup", dup)
        yield calls


async def test_whichever_dup_of_a_long_answer_fails_it_is_counted_once_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0
    for call in range(1, 10):
        with exchange(tmp_path / str(call)) as one:
            held = descriptors()
            with dup_fails_at(call, monkeypatch) as seen:
                reading = asyncio.create_task(asyncio.to_thread(received, one.client))
                goes_on, status = await answer(Reply(body=bytes(LONG)), one.counting, one.how)
            one.transport.connection.shutdown(socket.SHUT_WR)
            head, _, body = (await reading).partition(b"\r\n\r\n")
            assert (0, held) == (one.places(), descriptors())
            (event,) = one.records()
            calls = len(seen)
            if call > calls:  # all of them were given
                assert (True, 200, LONG) == (goes_on, status, event.bytes_out)
                break
            assert (True, 503, b"HTTP/1.1 503") == (goes_on, status, head[:12])
            assert b"<Code>SlowDown</Code>" in body
            told = (event.status, event.request_class, event.bytes_out, event.moved_out, event.marks)
            assert (503, RequestClass.FREE, 0, len(body), Mark.NONE) == told
    assert 1 == calls
    (said,) = caplog.records
    assert "no room for a long answer" in said.message
    assert said.exc_info is None


def received(client: socket.socket) -> bytes:
    """All that comes until the other end says that it is all."""
    with client.makefile("rb") as file:
        return file.read()


async def test_without_a_place_a_long_answer_is_slow_down_and_keeps_no_descriptor(tmp_path: Path) -> None:
    with exchange(tmp_path) as one:
        held = descriptors()
        for _ in range(PLACES):
            other = Counting(Tab(bytes(16), now_us()), one.recorder, now_us)
            other.begin_long()
        assert (True, 503) == await answer(Reply(body=bytes(LONG)), one.counting, one.how)
        assert [503] == [event.status for event in one.records()]
        assert held == descriptors()


async def test_an_upload_whose_answer_finds_no_descriptor_gives_its_place_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with exchange(tmp_path, Operation.DELETE_OBJECTS) as one:
        one.counting.begin_long()
        one.counting.received(100_000)
        with dup_fails_at(1, monkeypatch):
            assert (True, 503) == await answer(Reply(body=bytes(LONG)), one.counting, one.how)
        (event,) = one.records()
        assert (0, 503, 0, 100_000) == (one.places(), event.status, event.bytes_in, event.moved_in)


async def test_without_a_descriptor_an_answer_that_has_begun_is_cut_and_bills_what_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes the head and 1000 bytes of a short answer, and the client has them."""
    with exchange(tmp_path) as one:

        def some_of(descriptor: int, head: bytes, body: bytes) -> int:
            return os.write(descriptor, head + body[:1000])

        monkeypatch.setattr("gateway.counting.send_at_once", some_of)
        with dup_fails_at(1, monkeypatch):
            assert (False, 499) == await answer(Reply(body=bytes(5000)), one.counting, one.how)
        (event,) = one.records()
        assert (200, 1000, 1000, Mark.ABORTED) == (
            event.status,
            event.bytes_out,
            event.moved_out,
            event.marks,
        )
        assert one.transport.was_aborted


def test_a_sender_that_cannot_be_set_up_keeps_no_descriptor() -> None:
    """A socket that is no TCP has none of its options."""
    here, there = socket.socketpair()
    with here, there:
        held = descriptors()
        with pytest.raises(OSError, match="not supported"):
            LongSend(here.fileno(), timeout_s=1, bytes_per_s_min=0, on_progress=lambda _: None)
        assert held == descriptors()


async def test_a_cancel_while_the_loop_still_writes_ends_the_count(tmp_path: Path) -> None:
    with exchange(tmp_path, Operation.PUT_OBJECT) as one:
        one.counting.begin_long()
        one.counting.received(100_000)
        one.transport.waiting_bytes = 7
        answering = asyncio.create_task(answer(Reply(), one.counting, one.how))
        await one.transport.was_looked_at.wait()
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering
        (event,) = one.records()
        assert (0, 100_000, Mark.ABORTED) == (one.places(), event.bytes_in, event.marks)


async def test_a_bug_in_the_middle_of_a_long_answer_ends_the_count_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Faulty(LongSend):
        async def send(self, *_: Any, **__: Any) -> None:
            raise ZeroDivisionError

    monkeypatch.setattr(answer_module, "LongSend", Faulty)
    with exchange(tmp_path) as one:
        held = descriptors()
        with pytest.raises(ZeroDivisionError):
            await answer(Reply(body=bytes(LONG)), one.counting, one.how)
        assert (0, held, [Mark.ABORTED]) == (
            one.places(),
            descriptors(),
            [event.marks for event in one.records()],
        )


async def test_an_upload_that_finds_no_descriptor_is_told_to_slow_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with exchange(tmp_path, Operation.PUT_OBJECT) as one:
        body = Body(
            cast(StreamReader, None), {}, claim=unsigned_claim({}), signing_key=b"", counting=one.counting,
            settings=GatewaySettings(data=tmp_path), ask_for_it=False, descriptor=one.how.descriptor,
        )  # fmt: skip
        with dup_fails_at(1, monkeypatch), pytest.raises(S3Error) as refused:
            await body._take_in(100_000, cast(Blocks, None), None)
        assert "SlowDown" == refused.value.code
