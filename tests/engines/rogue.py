"""A small S3 system in memory that misbehaves on demand: real sockets, and whatever a bad day brings.

It keeps objects and answers as S3 does, so that what a fault did can be told from what it should have done.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import threading
import urllib.parse
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

from tests.engines.place import S3System

KEY = "ROGUEKEY"
ENDS_WITHIN_S = 20


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request of a method."""

    method: str
    kind: str
    """status (with code), drop (no answer), forget (done, but no answer), cut (body ends early), stall (no further
    byte), silent (not one), etag (another one is told), garbage (no HTTP), early (answered before the body), surplus (too many bytes)."""
    status: int = 500
    code: str = "InternalError"
    after_bytes: int = 0
    """Of the answer's body, before it is cut or stalls."""


@dataclass
class Rogue:
    """What it holds, and what it was asked."""

    port: int
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path with query, in order."""
    connections: int = 0
    serving: set[asyncio.Task[None] | None] = field(default_factory=set)
    """Nobody else holds one whose client has gone, and a task that only waits for itself is collected in the middle."""

    @property
    def system(self) -> S3System:
        """How it is reached."""
        return S3System(
            "rogue", f"http://127.0.0.1:{self.port}", "us-east-1", KEY, "secret", Path("/nowhere")
        )

    def count(self, method: str) -> int:
        """How often it was asked so."""
        return sum(1 for asked, _ in self.asked if asked == method)

    def _fault(self, method: str) -> Fault | None:
        if self.faults and self.faults[0].method == method:
            return self.faults.popleft()
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.serving.add(asyncio.current_task())
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # The end of the test. A client that is still there may never read what is left, so that is not waited for.
            writer.transport.abort()
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except (OSError, asyncio.CancelledError):
                writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.asked.append((method, target))
        fault = self._fault(method)
        if fault is not None and fault.kind == "early":
            writer.write(_answer(fault.status, b"", _error(fault.code)))
            await writer.drain()
            return False
        if headers.get("expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self.body_of(reader, int(headers.get("content-length", "0")))
        return await self._answer(method, target, headers, body, fault, writer)

    async def body_of(self, reader: asyncio.StreamReader, announced: int) -> bytes:
        """The body; of one that breaks off nothing."""
        return await reader.readexactly(announced)

    async def _answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes, fault: Fault | None,
        writer: asyncio.StreamWriter,
    ) -> bool:  # fmt: skip
        kind = "" if fault is None else fault.kind
        if fault is not None and kind == "status":
            writer.write(_answer(fault.status, b"", _error(fault.code), head_only=method == "HEAD"))
            await writer.drain()
            return True
        if kind == "silent":
            await asyncio.Event().wait()
        if kind == "drop":
            return False
        if kind == "garbage":
            writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            await writer.drain()
            return False
        told = self._done(method, target, headers, body, other_etag=kind == "etag")
        if kind == "forget":
            return False
        if kind == "surplus":
            told += b"more than announced"
        if fault is not None and kind in ("cut", "stall"):
            end = told.index(b"\r\n\r\n") + 4
            writer.write(told[: end + fault.after_bytes])
            await writer.drain()
            if kind == "stall":
                await asyncio.Event().wait()
            return False
        writer.write(told)
        await writer.drain()
        return True

    def _done(
        self, method: str, target: str, headers: dict[str, str], body: bytes, *, other_etag: bool
    ) -> bytes:
        path, _, query = target.partition("?")
        key = urllib.parse.unquote(path)
        if key.count("/") < 2 or not key.split("/", 2)[2]:
            if "versioning" in query:
                return _answer(200, b"", b"<VersioningConfiguration/>")
            return _answer(200, b"", b"")
        if method == "PUT":
            self.objects[key] = body
            etag = hashlib.md5(b"other" if other_etag else body).hexdigest()
            return _answer(200, f'ETag: "{etag}"\r\n'.encode(), b"")
        if method == "DELETE":
            self.objects.pop(key, None)
            return _answer(204, b"", b"")
        found = self.objects.get(key)
        if found is None:
            return _answer(404, b"", _error("NoSuchKey"), head_only=method == "HEAD")
        etag = hashlib.md5(b"other" if other_etag else found).hexdigest()
        more = f'ETag: "{etag}"\r\nLast-Modified: {formatdate(1_790_000_000, usegmt=True)}\r\n'
        status = 200
        if "range" in headers:
            first, last = headers["range"].removeprefix("bytes=").split("-")
            stop = min(int(last) + 1, len(found))
            more += f"Content-Range: bytes {first}-{stop - 1}/{len(found)}\r\n"
            found, status = found[int(first) : stop], 206
        return _answer(status, more.encode(), found, head_only=method == "HEAD")


def _answer(status: int, more: bytes, body: bytes, *, head_only: bool = False) -> bytes:
    length = b"" if status == 204 else b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 %d Said\r\n%s%s\r\n%s" % (status, more, length, b"" if head_only else body)


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>a bad day</Message></Error>".encode()


@contextmanager
def running_rogue(tls: ssl.SSLContext | None = None, kind: type[Rogue] = Rogue) -> Iterator[Any]:
    """It serves in a thread for the time of the block."""
    # It listens before it serves: a port only looked for could be somebody else's by then.
    listener = socket.create_server(("127.0.0.1", 0))
    rogue = kind(listener.getsockname()[1])
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()

    async def serve() -> None:
        server = await asyncio.start_server(rogue.serve, sock=listener, limit=2**20, ssl=tls)
        await stopping.wait()
        server.close()
        # Whoever had come already is met in the loop's next turns, and what was aborted is let go of there.
        for _ in range(5):
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.wait(rest, timeout=1) if rest else await asyncio.sleep(0)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        yield rogue
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(ENDS_WITHIN_S)
        assert not thread.is_alive(), "the rogue system did not end"
        loop.close()
