"""A long body on its way from the socket to its sums and its file, past the HTTP parser's buffers.

Blocks are received into memory that is used again; one is hashed and written in threads while the next ones
arrive. It knows sockets and blocks, not what the bytes mean and not how they are framed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import ClassVar

from gateway.wire import PeerVanished

BLOCKS = 3
"""Of one body: one is hashed and written, one waits for that, one is being filled."""
BLOCK_BYTES_MAX = 2**20
"""Larger blocks are no faster."""
TAKE_BYTES = 2**18
"""One call to the kernel at most: what it reads is not counted before it returns, while the kernel takes in as much
again, and a kill -9 then leaves both unbilled."""


class Intake:
    """Reads what is left of one body from a connection that nobody else reads meanwhile."""

    def __init__(self, descriptor: int, *, left_bytes: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._loop = asyncio.get_running_loop()
        self.left_bytes = left_bytes

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    def take(self, room: memoryview) -> int:
        """Bytes put into room, TAKE_BYTES at most, never more than are left of the body; 0 when none are there.

        Raises ConnectionError, also when the sender has ended early; PeerVanished.
        """
        try:
            count = self._socket.recv_into(room, min(len(room), self.left_bytes, TAKE_BYTES))
        except BlockingIOError:
            return 0
        except TimeoutError as error:
            raise PeerVanished from error
        if not count:
            raise ConnectionResetError("the body ends early")
        self.left_bytes -= count
        return count

    async def readable(self) -> None:
        """Wait until there is something to take, or the sender is gone."""
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._socket, _set, ready)
        try:
            await ready
        finally:
            self._loop.remove_reader(self._socket)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class Lane:
    """Does one kind of work on blocks in their order, in one thread that stays while there is more.

    Handing each block to a thread of its own would leave a gap between any two.
    """

    def __init__(self, work: Callable[[memoryview], None]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: deque[tuple[memoryview, asyncio.Future[None]]] = deque()
        self._has_thread = False

    def put(self, block: memoryview) -> asyncio.Future[None]:
        """Done when the work on this block is; it raises nothing."""
        done: asyncio.Future[None] = self._loop.create_future()
        with self._lock:
            self._waiting.append((block, done))
            needs_thread, self._has_thread = not self._has_thread, True
        if needs_thread:
            self._loop.run_in_executor(None, self._run)
        return done

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._has_thread = False
                    return
                block, done = self._waiting.popleft()
            self._work(block)
            self._loop.call_soon_threadsafe(_set, done)


class Blocks:
    """Gathers a body into blocks, and has them hashed and written in their order.

    Invariant: holds at most BLOCKS blocks of memory, whatever the body's size. After an error only close() is
    of use.
    """

    _open_count: ClassVar[int] = 0
    _open_bytes: ClassVar[int] = 0
    """Of this process; what each may still take is counted from its beginning."""

    def __init__(
        self, *, hash_block: Callable[[memoryview], Awaitable[object]],
        write: Callable[[memoryview], Coroutine[object, object, None]], body_bytes: int, block_bytes_min: int,
        memory_bytes: int,
    ) -> None:  # fmt: skip
        """Neither may look at a block again when it has ended; hash_block is called in order and does not wait.

        body_bytes as announced, 1 and up: a block is no longer than that. memory_bytes are shared by all bodies
        that come in now: few get large blocks, many get small ones.
        """
        Blocks._open_count += 1
        share_bytes = memory_bytes // (Blocks._open_count * BLOCKS)
        block_bytes = max(block_bytes_min, min(BLOCK_BYTES_MAX, share_bytes))
        self._hash_block = hash_block
        self._write = write
        self._block_bytes = min(block_bytes, body_bytes)
        self._may_take = BLOCKS * self._block_bytes
        Blocks._open_bytes += self._may_take
        self._made = 0
        self._free: list[memoryview] = []
        self._block = self._fresh()
        self._filled = 0
        self._running: deque[tuple[memoryview, Awaitable[object], asyncio.Task[None]]] = deque()

    @classmethod
    def have_room(cls, body_bytes: int, *, block_bytes_min: int, memory_bytes_max: int) -> bool:
        """Whether one more body, of so many bytes as announced, keeps all of them within memory_bytes_max."""
        return cls._open_bytes + BLOCKS * min(block_bytes_min, body_bytes) <= memory_bytes_max

    @property
    def room(self) -> memoryview:
        """Where the next bytes belong; never empty."""
        return self._block[self._filled :]

    async def came(self, count: int) -> None:
        """So many bytes were put into the room. Raises what writing a block before raised."""
        self._filled += count
        if self._filled == len(self._block):
            await self._hand_over()

    async def add(self, piece: bytes) -> None:
        """Put a copy of the bytes into the room, and into the next ones."""
        rest = memoryview(piece)
        while rest:
            count = min(len(rest), len(self._block) - self._filled)
            self._block[self._filled : self._filled + count] = rest[:count]
            rest = rest[count:]
            await self.came(count)

    async def finish(self) -> None:
        """Hash and write what is left; everything is hashed and written then."""
        if self._filled:
            await self._hand_over()
        while self._running:
            await self._settle()

    async def close(self) -> None:
        """Wait for the threads that still look at a block, whatever becomes of them."""
        Blocks._open_count -= 1
        Blocks._open_bytes -= self._may_take
        for _, hashing, writing in self._running:
            await asyncio.gather(hashing, writing, return_exceptions=True)

    async def _hand_over(self) -> None:
        block = self._block[: self._filled]
        before = self._running[-1][2] if self._running else None
        hashing = self._hash_block(block)
        self._running.append((self._block, hashing, asyncio.create_task(self._in_turn(block, before))))
        self._filled = 0
        if not self._free and self._made == BLOCKS:
            await self._settle()
        self._block = self._free.pop() if self._free else self._fresh()

    def _fresh(self) -> memoryview:
        self._made += 1
        return memoryview(bytearray(self._block_bytes))

    async def _settle(self) -> None:
        block, hashing, writing = self._running[0]
        # Shielded: when our caller is cancelled the threads go on, and close() waits for them.
        await asyncio.shield(writing)
        await asyncio.shield(hashing)
        self._running.popleft()
        self._free.append(block)

    async def _in_turn(self, block: memoryview, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        await self._write(block)
