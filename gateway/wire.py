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
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.pace import Pace, TooSlow
from gateway.pipe import PIPE_BYTES, Pipe
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


class ReceiverTooSlow(ReceiverGone):
    """It is there, and takes less than it must: it was we who ended this."""


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


def delivered(descriptor: int, accepted: int, head_bytes: int, body_bytes: int) -> int:
    """Body bytes the receiver has acknowledged, of a head and a body of which the kernel took `accepted` bytes."""
    return min(max(0, accepted - unacknowledged(descriptor) - head_bytes), body_bytes)


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
    sent. What it raises ends the sending. throttle is told how many bytes more the kernel took, and says for how many
    seconds it is to get none. The event loop's transport must have nothing queued, and must not be
    written to meanwhile.
    """

    def __init__(
        self, descriptor: int, *, timeout_s: float, bytes_per_s_min: int,
        on_progress: Callable[[int], None], throttle: Callable[[int], float] | None = None,
    ) -> None:  # fmt: skip
        """Raises OSError when no descriptor is left, and keeps none then."""
        self._pace = Pace(window_s=timeout_s, bytes_per_s_min=bytes_per_s_min)
        self._descriptor = os.dup(descriptor)
        # The kernel would take a full window for silence, although each of its probes is answered. What a receiver
        # acknowledges is looked at here, and so is how long it takes nothing.
        try:
            self._kernel_ms = _exchanged(self._descriptor, socket.TCP_USER_TIMEOUT, 0)
        except OSError:
            os.close(self._descriptor)
            raise
        self._timeout_s = timeout_s
        self._on_progress = on_progress
        self._throttle = throttle
        self._head_bytes = 0
        self._body_bytes = 0
        self._accepted = 0
        self._acknowledged = 0
        self._pipe: Pipe | None = None

    def close(self) -> None:
        """Give the descriptor back; delivered must have been read before."""
        try:
            _exchanged(self._descriptor, socket.TCP_USER_TIMEOUT, self._kernel_ms)
        finally:
            os.close(self._descriptor)
            if self._pipe is not None:
                self._pipe.close()

    def throw_away(self) -> None:
        """When the last descriptor of the connection is closed, what the kernel still holds is not delivered."""
        with _socket_of(self._descriptor) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    @property
    def accepted(self) -> int:
        """Body bytes the kernel took."""
        return max(0, self._accepted - self._head_bytes)

    @property
    def delivered(self) -> int:
        """Body bytes the receiver has acknowledged, never more than the body."""
        return delivered(self._descriptor, self._accepted, self._head_bytes, self._body_bytes)

    async def send(self, head: bytes, extents: Sequence[Extent], *, skip: int = 0) -> None:
        """Send header and extents, of which the kernel took `skip` bytes before. Raises ReceiverGone.

        On a return without error the receiver has acknowledged everything.
        """
        sizes = [len(e.data) if isinstance(e, MemoryExtent) else e.size_bytes for e in extents]
        self._head_bytes, self._body_bytes = len(head), sum(sizes)
        self._accepted = skip
        at = breath = 0
        async for extent in self._at_hand((MemoryExtent(head), *extents)):
            size = len(extent.data) if isinstance(extent, MemoryExtent) else extent.size_bytes
            while self._accepted < at + size:
                taken = self._step(extent, self._accepted - at)
                if not taken:
                    await self._writable()
                elif self._throttle is not None:
                    await self._rest(self._throttle(taken))
                elif self._accepted - breath > BREATH_BYTES:
                    breath = self._accepted
                    await asyncio.sleep(0)
            at += size
        await self._settle()

    async def _rest(self, seconds: float) -> None:
        """The receiver's member is ahead of their pace. No patience is counted meanwhile, for it is we who wait."""
        while seconds > 0:
            await asyncio.sleep(min(seconds, TELL_EVERY_S))
            seconds -= TELL_EVERY_S
            self._tell()

    async def _at_hand(self, extents: Sequence[Extent]) -> AsyncIterator[_AtHand]:
        """The extents, of which those that are not there yet come in blocks, each when the last one has left."""
        for extent in extents:
            if isinstance(extent, StreamedExtent):
                async for arrived in self._streamed(extent):
                    yield arrived
            elif isinstance(extent, ComputedExtent):
                async for made in _computed(extent):
                    yield made
            else:
                yield extent

    async def _streamed(self, extent: StreamedExtent) -> AsyncIterator[MemoryExtent | _Poured]:
        """As it comes, through a pipe where the kernel can do it alone; the other machine is asked for more when the
        last bytes have left."""
        left = extent.size_bytes
        if extent.pour is not None and left > SENDFILE_BYTES:
            self._pipe = self._pipe or Pipe.opened()
        pipe = self._pipe
        while left:
            if pipe is not None and extent.pour is not None:
                count = await extent.pour(pipe.entry, PIPE_BYTES)
                if count:
                    left -= count
                    yield _Poured(pipe, count)
                    continue
            block = await extent.read()
            if not block or len(block) > left:
                raise DamagedFile(f"another machine's answer ends {left} bytes early, or does not end")
            left -= len(block)
            yield MemoryExtent(block)

    def _step(self, extent: _AtHand, offset: int) -> int:
        """One call to the kernel; how many bytes it took."""
        try:
            taken = self._write(extent, offset)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            raise ReceiverGone from error
        self._accepted += taken
        self._tell()
        return taken

    def _write(self, extent: _AtHand, offset: int) -> int:
        if isinstance(extent, MemoryExtent):
            return os.write(self._descriptor, memoryview(extent.data)[offset : offset + SENDFILE_BYTES])
        count = min(extent.size_bytes - offset, SENDFILE_BYTES)
        if isinstance(extent, _Poured):
            return extent.pipe.empty_into(self._descriptor, count)
        taken = os.sendfile(self._descriptor, extent.descriptor, extent.offset + offset, count)
        if taken == 0:
            raise DamagedFile(f"a stored file ends {extent.size_bytes - offset} bytes early")
        return taken

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        patience_until = began + self._timeout_s
        has_room = False
        try:
            while not has_room:
                if began >= patience_until:
                    raise ReceiverTooSlow
                has_room = await self._room_within(min(TELL_EVERY_S, patience_until - began))
                stood_at, now = self._acknowledged, loop.time()
                self._tell()
                if self._acknowledged > stood_at:
                    # The kernel says that it has room only when a third of its queue has left.
                    patience_until = now + self._timeout_s
                self._pace.waited(now - began, moved_bytes=self._acknowledged - stood_at)
                began = now
        except TooSlow:
            raise ReceiverTooSlow from None

    async def _room_within(self, seconds: float) -> bool:
        """Whether the kernel takes more, which is waited for so long. A future and a timer: a task costs more."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[bool] = loop.create_future()
        loop.add_writer(self._descriptor, _set, ready, True)  # noqa: FBT003 - what the future is set to
        timer = loop.call_later(seconds, _set, ready, False)  # noqa: FBT003
        try:
            return await ready
        finally:
            timer.cancel()
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
                raise ReceiverTooSlow from None
            left = now_left
            self._tell()
            if left and not _connected(self._descriptor):
                raise ReceiverGone
            if left and waited_s > self._timeout_s:
                raise ReceiverTooSlow


@dataclass(frozen=True, slots=True)
class _Poured:
    """Bytes that wait in a pipe."""

    pipe: Pipe
    size_bytes: int


_AtHand = MemoryExtent | FileExtent | _Poured


async def _computed(extent: ComputedExtent) -> AsyncIterator[MemoryExtent]:
    """A block at a time, made when the last block has left."""
    for offset in range(0, extent.size_bytes, COMPUTED_BYTES):
        count = min(COMPUTED_BYTES, extent.size_bytes - offset)
        # A send that is cancelled leaves the thread reading; nobody looks at what it still reads.
        block = await asyncio.to_thread(extent.read, offset, count)
        if len(block) != count:
            raise DamagedFile(f"a stored file ends {count - len(block)} bytes early")
        yield MemoryExtent(block)


class DamagedFile(Exception):
    """A stored file is shorter than the index says; the connection is cut rather than zeros sent."""


def _set(ready: asyncio.Future[bool], value: bool) -> None:
    if not ready.done():
        ready.set_result(value)


@contextmanager
def _socket_of(descriptor: int) -> Iterator[socket.socket]:
    """The socket behind a descriptor, which stays its owner's. Not a copy: where none are left it would fail."""
    same = socket.socket(fileno=descriptor)
    try:
        yield same
    finally:
        same.detach()


def _exchanged(descriptor: int, option: int, value: int) -> int:
    """Set an option of TCP; what it was before."""
    with _socket_of(descriptor) as same:
        before = same.getsockopt(socket.IPPROTO_TCP, option)
        same.setsockopt(socket.IPPROTO_TCP, option, value)
    return before


def _connected(descriptor: int) -> bool:
    """Whether the kernel still tries to deliver; TCP_INFO's first byte is the connection's state."""
    with _socket_of(descriptor) as probe:
        state = probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != TCP_CLOSE
