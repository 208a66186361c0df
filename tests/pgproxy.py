"""A small proxy in front of PostgreSQL that understands the messages well enough to cut at the worst moment.

It listens on a Unix socket of its own, so a connection string with its directory goes through it. A `Fault` says
what happens to which message; without one everything passes.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

SOCKET_NAME = ".s.PGSQL.5432"
COMMIT = b"COMMIT"


class Fault(Enum):
    """What the proxy does to a connection."""

    NONE = auto()
    CUT_BEFORE_COMMIT = auto()
    """The COMMIT never reaches the server; both sides are cut."""
    CUT_AFTER_COMMIT = auto()
    """The server has committed; its answer is dropped and both sides are cut."""
    HOLD_AFTER_COMMIT = auto()
    """The server has committed; its answer is kept back until release()."""
    REFUSE = auto()
    """Connections are closed as soon as they come, as if nobody listened."""


@dataclass
class Proxy:
    """The proxy, and what a test may ask of it."""

    directory: Path
    upstream: Path
    fault: Fault = Fault.NONE
    times: int = 0
    """How often the fault still happens; afterwards everything passes."""
    struck: int = 0
    """How often it happened."""
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _held: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _silent: set[asyncio.StreamWriter] = field(default_factory=set)

    def arm(self, fault: Fault, times: int = 1) -> None:
        """Let the fault happen that often."""
        self._held.clear()
        self.times, self.struck, self.fault = times, 0, fault

    def release(self) -> None:
        """Let held answers go."""
        self.loop.call_soon_threadsafe(self._held.set)

    def silence(self) -> None:
        """Of connections that are open now nothing passes any more, and neither side is told; new ones are well."""
        self._silent |= self._open

    def cut_all(self) -> None:
        """Cut every connection that is open now."""

        def cut() -> None:
            for writer in list(self._open):
                writer.transport.abort()

        self.loop.call_soon_threadsafe(cut)

    def dsn(self, direct: str) -> str:
        """A connection string that goes through here instead."""
        return direct.replace(str(self.upstream), str(self.directory))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        if self._strikes(Fault.REFUSE):
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(str(self.upstream / SOCKET_NAME))
        except OSError:
            writer.transport.abort()
            return
        both = {writer, up_writer}
        self._open |= both
        try:
            waits_for_answer = asyncio.Event()
            await asyncio.gather(
                self._forward(reader, up_writer, waits_for_answer, both),
                self._back(up_reader, writer, waits_for_answer, both),
            )
        finally:
            for one in both:
                one.transport.abort()
            self._open -= both

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        commits: asyncio.Event,
        both: set[asyncio.StreamWriter],
    ) -> None:
        """Client to server: the first message has no type, all others have one."""
        try:
            length = await reader.readexactly(4)
            writer.write(length + await reader.readexactly(struct.unpack("!I", length)[0] - 4))
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
                if head[:1] == b"Q" and body.upper().startswith(COMMIT):
                    if self._strikes(Fault.CUT_BEFORE_COMMIT):
                        raise ConnectionResetError
                    commits.set()
                if writer in self._silent:
                    continue
                writer.write(head + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            for one in both:
                one.transport.abort()

    async def _back(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        commits: asyncio.Event,
        both: set[asyncio.StreamWriter],
    ) -> None:
        """Server to client."""
        try:
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
                if head[:1] == b"C" and body.startswith(COMMIT) and commits.is_set():
                    commits.clear()
                    if self._strikes(Fault.CUT_AFTER_COMMIT):
                        raise ConnectionResetError
                    if self._strikes(Fault.HOLD_AFTER_COMMIT):
                        await self._held.wait()
                if writer in self._silent:
                    continue
                writer.write(head + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            for one in both:
                one.transport.abort()

    def _strikes(self, fault: Fault) -> bool:
        if self.fault is not fault or not self.times:
            return False
        self.times -= 1
        self.struck += 1
        return True


@contextmanager
def running_proxy(directory: Path, upstream: Path) -> Iterator[Proxy]:
    """A proxy in a thread of its own for the time of the block."""
    directory.mkdir(parents=True, exist_ok=True)
    proxy = Proxy(directory, upstream)
    started = threading.Event()

    async def work(stop: asyncio.Event) -> None:
        server = await asyncio.start_unix_server(proxy.serve, str(directory / SOCKET_NAME))
        started.set()
        await stop.wait()
        server.close()
        for writer in list(proxy._open):
            writer.transport.abort()

    stop = asyncio.Event()
    thread = threading.Thread(target=proxy.loop.run_until_complete, args=(work(stop),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield proxy
    finally:
        proxy.loop.call_soon_threadsafe(stop.set)
        thread.join()
        for task in asyncio.all_tasks(proxy.loop):
            task.cancel()
        proxy.loop.run_until_complete(proxy.loop.shutdown_asyncgens())
        proxy.loop.close()
