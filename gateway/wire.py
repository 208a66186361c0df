"""The socket's truth: bytes the kernel accepted, and how many of them the receiver has acknowledged.

Everything a response sends goes through here, header and body, so that what is counted is what moved.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import termios
from collections.abc import AsyncIterator, Callable, Sequence

from gateway.pace import Pace, TooSlow
from gateway.storage.model import ComputedExtent, Extent, FileExtent, MemoryExtent, StreamedExtent

SENDFILE_BYTES = 2**18
"""One call to the kernel at most: one fast receiver must not hold the loop, and what a call sent is not told of before
it returns, so that a kill -9 leaves it unbilled, beside what the kernel holds."""
COMPUTED_BYTES = 2**20
"""So much of an object that is made while it is sent is in memory at once, for each receiver."""
TELL_EVERY_S = 1.0
"""While a receiver takes its time, what it has acknowledged is told so often."""
BREATH_BYTES = 4 * 2**20
"""Other exchanges of the worker get their turn after so many bytes to a receiver that never makes us wait."""
SETTLE_POLLS_S = (0.0, 0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
TCP_CLOSE = 7
RESET = struct.pack("ii", 1, 0)
"""Linger for no time: what was not sent is thrown away."""
_UNACKED = struct.Struct("i")


class ReceiverGone(ConnectionError):
    """The receiver reset, or took nothing for too long."""


class PeerVanished(ConnectionError):
    """The other machine answers nothing any more: switched off, or its cable was pulled.

    The kernel says so with ETIMEDOUT, which Python takes for a TimeoutError: the patience of nobody here has ended.
    """


def expect_answers(listener: socket.socket, *, silence_s: int) -> None:
    """Have the kernel end connections whose peer answers nothing for so long; accepted ones inherit it.

    A quiet peer is asked from the half of it on, an eighth of it apart. What it was sent, and has not acknowledged, has
    the same time.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, max(1, silence_s // 2)),
        (socket.TCP_KEEPINTVL, max(1, silence_s // 8)),
        (socket.TCP_USER_TIMEOUT, silence_s * 1000),
    ):
        listener.setsockopt(socket.IPPROTO_TCP, option, value)


def unacknowledged(descriptor: int) -> int:
    """Bytes in the socket's send queue that the receiver has not acknowledged (SIOCOUTQ)."""
    answer: bytes = fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0\0\0\0")
    return int(_UNACKED.unpack(answer)[0])


def send_at_once(descriptor: int, head: bytes, body: bytes) -> int:
    """Bytes the kernel took of head and body in one call; 0 when it takes none. Raises ReceiverGone."""
    try:
        return os.writev(descriptor, (head, body)) if body else os.write(descriptor, head)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise ReceiverGone from error


class LongSend:
    """Sends a header and a long body on a descriptor of its own, and knows at each moment what moved.

    on_progress(acknowledged) is told the body's bytes after each step, and each TELL_EVERY_S while nothing can be
    sent. What it raises ends the sending. The event loop's transport must have nothing queued, and must not be
    written to meanwhile.
    """

    def __init__(
        self, descriptor: int, *, timeout_s: float, bytes_per_s_min: int,
        on_progress: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._pace = Pace(window_s=timeout_s, bytes_per_s_min=bytes_per_s_min)
        self._descriptor = os.dup(descriptor)
        # The kernel would take a full window for silence, although each of its probes is answered. What a receiver
        # acknowledges is looked at here, and so is how long it takes nothing.
        self._kernel_ms = _exchanged(self._descriptor, socket.TCP_USER_TIMEOUT, 0)
        self._timeout_s = timeout_s
        self._on_progress = on_progress
        self._head_bytes = 0
        self._body_bytes = 0
        self._accepted = 0
        self._acknowledged = 0

    def close(self) -> None:
        """Give the descriptor back; delivered must have been read before."""
        _exchanged(self._descriptor, socket.TCP_USER_TIMEOUT, self._kernel_ms)
        os.close(self._descriptor)

    def throw_away(self) -> None:
        """When the last descriptor of the connection is closed, what the kernel still holds is not delivered."""
        with socket.socket(fileno=os.dup(self._descriptor)) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    @property
    def accepted(self) -> int:
        """Body bytes the kernel took."""
        return max(0, self._accepted - self._head_bytes)

    @property
    def delivered(self) -> int:
        """Body bytes the receiver has acknowledged, never more than the body."""
        acknowledged = self._accepted - unacknowledged(self._descriptor)
        return min(max(0, acknowledged - self._head_bytes), self._body_bytes)

    async def send(self, head: bytes, extents: Sequence[Extent], *, skip: int = 0) -> None:
        """Send header and extents, of which the kernel took `skip` bytes before. Raises ReceiverGone.

        On a return without error the receiver has acknowledged everything.
        """
        sizes = [len(e.data) if isinstance(e, MemoryExtent) else e.size_bytes for e in extents]
        self._head_bytes, self._body_bytes = len(head), sum(sizes)
        self._accepted = skip
        at = breath = 0
        async for extent in _at_hand((MemoryExtent(head), *extents)):
            size = len(extent.data) if isinstance(extent, MemoryExtent) else extent.size_bytes
            while self._accepted < at + size:
                await self._step(extent, self._accepted - at)
                if self._accepted - breath > BREATH_BYTES:
                    breath = self._accepted
                    await asyncio.sleep(0)
            at += size
        await self._settle()

    async def _step(self, extent: MemoryExtent | FileExtent, offset: int) -> None:
        """One call to the kernel; waits until it takes something."""
        try:
            taken = self._write(extent, offset)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            raise ReceiverGone from error
        self._accepted += taken
        self._tell()
        if taken == 0:
            await self._writable()

    def _write(self, extent: MemoryExtent | FileExtent, offset: int) -> int:
        if isinstance(extent, MemoryExtent):
            return os.write(self._descriptor, memoryview(extent.data)[offset : offset + SENDFILE_BYTES])
        count = min(extent.size_bytes - offset, SENDFILE_BYTES)
        taken = os.sendfile(self._descriptor, extent.descriptor, extent.offset + offset, count)
        if taken == 0:
            raise DamagedFile(f"a stored file ends {extent.size_bytes - offset} bytes early")
        return taken

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._descriptor, _set, ready)
        patience_until = loop.time() + self._timeout_s
        try:
            while not ready.done():
                began, stood_at = loop.time(), self._acknowledged
                if began >= patience_until:
                    raise ReceiverGone
                await asyncio.wait((ready,), timeout=min(TELL_EVERY_S, patience_until - began))
                self._tell()
                if self._acknowledged > stood_at:
                    # The kernel says that it has room only when a third of its queue has left.
                    patience_until = loop.time() + self._timeout_s
                self._pace.waited(loop.time() - began, moved_bytes=self._acknowledged - stood_at)
        except TooSlow:
            raise ReceiverGone from None
        finally:
            loop.remove_writer(self._descriptor)

    def _tell(self) -> None:
        self._acknowledged = self.delivered
        self._on_progress(self._acknowledged)

    async def _settle(self) -> None:
        """Wait until the receiver has acknowledged everything. Raises ReceiverGone."""
        waited_s, poll = 0.0, 0
        left = unacknowledged(self._descriptor)
        self._tell()
        while left:
            pause_s = SETTLE_POLLS_S[min(poll, len(SETTLE_POLLS_S) - 1)]
            await asyncio.sleep(pause_s)
            poll, waited_s = poll + 1, waited_s + pause_s
            now_left = unacknowledged(self._descriptor)
            if now_left < left:
                waited_s = 0.0
            try:
                self._pace.waited(pause_s, moved_bytes=left - now_left)
            except TooSlow:
                raise ReceiverGone from None
            left = now_left
            self._tell()
            if left and (waited_s > self._timeout_s or not _connected(self._descriptor)):
                raise ReceiverGone


async def _at_hand(extents: Sequence[Extent]) -> AsyncIterator[MemoryExtent | FileExtent]:
    """The extents, of which computed ones are made a block at a time, when the last block has left."""
    for extent in extents:
        if isinstance(extent, StreamedExtent):
            async for arrived in _streamed(extent):
                yield arrived
            continue
        if not isinstance(extent, ComputedExtent):
            yield extent
            continue
        for offset in range(0, extent.size_bytes, COMPUTED_BYTES):
            count = min(COMPUTED_BYTES, extent.size_bytes - offset)
            # A send that is cancelled leaves the thread reading; nobody looks at what it still reads.
            block = await asyncio.to_thread(extent.read, offset, count)
            if len(block) != count:
                raise DamagedFile(f"a stored file ends {count - len(block)} bytes early")
            yield MemoryExtent(block)


async def _streamed(extent: StreamedExtent) -> AsyncIterator[MemoryExtent]:
    """As it comes; the other machine is asked for more when the last block has left."""
    left = extent.size_bytes
    while left:
        block = await extent.read()
        if not block or len(block) > left:
            raise DamagedFile(f"another machine's answer ends {left} bytes early, or does not end")
        left -= len(block)
        yield MemoryExtent(block)


class DamagedFile(Exception):
    """A stored file is shorter than the index says; the connection is cut rather than zeros sent."""


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _exchanged(descriptor: int, option: int, value: int) -> int:
    """Set an option of TCP; what it was before."""
    with socket.socket(fileno=os.dup(descriptor)) as same:
        before = same.getsockopt(socket.IPPROTO_TCP, option)
        same.setsockopt(socket.IPPROTO_TCP, option, value)
    return before


def _connected(descriptor: int) -> bool:
    """Whether the kernel still tries to deliver; TCP_INFO's first byte is the connection's state."""
    with socket.socket(fileno=os.dup(descriptor)) as probe:
        state = probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != TCP_CLOSE
