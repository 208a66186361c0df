"""Bytes on their way in: gathered in memory, then written by threads while more arrive.

It knows when bytes become a file, not what they are for. Small bodies never become one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import TypeVar

from gateway.storage.base import Staged
from gateway.storage.disk.blobs import Blobs, Draft
from gateway.storage.disk.piece import Piece
from gateway.storage.errors import DamagedObject
from gateway.storage.model import ComputedExtent, Extent, FileExtent, MemoryExtent, StreamedExtent

T = TypeVar("T")

_GATHER_BYTES = 256 * 1024
"""Written at once: large enough that handing over to a thread costs little beside the write, and small enough
that a hundred uploads at once stay far below what a worker may hold."""


class DiskStaged(Staged):
    """One body. At most one write runs in a thread while the next bytes are gathered.

    Invariant: holds at most 2 × _GATHER_BYTES plus one chunk in memory; write() waits beyond that.
    """

    def __init__(self, blobs: Blobs, executor: Executor, *, inline_bytes_max: int) -> None:
        """Nothing touches the disk before inline_bytes_max is passed."""
        self.size_bytes = 0
        self._blobs = blobs
        self._executor = executor
        self._inline_bytes_max = inline_bytes_max
        self._gather_bytes = max(_GATHER_BYTES, inline_bytes_max + 1)
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._running: Future[None] | None = None
        self._draft: Draft | None = None
        self._is_handed_over = False
        self._md5: bytes | None = None

    async def write(self, chunk: bytes | memoryview) -> None:
        """Append. Raises StorageFull; after an error only discard() is of use."""
        assert not self._is_handed_over, "bytes after the commit"
        if len(chunk) >= self._gather_bytes:
            await self._write_large(chunk)
            return
        self._gathered.append(bytes(chunk))
        self._gathered_bytes += len(chunk)
        self.size_bytes += len(chunk)
        if self._gathered_bytes >= self._gather_bytes:
            await self._settle()
            self._running = self._executor.submit(self._flush, self._take())

    async def _write_large(self, chunk: bytes | memoryview) -> None:
        """From the caller's own memory, without a copy: the caller waits until it is written."""
        await self._settle()
        self.size_bytes += len(chunk)
        self._running = self._executor.submit(self._flush, self._take(), chunk)
        await self._settle()

    async def append(self, extents: tuple[Extent, ...]) -> None:
        """Append the bytes of another object. Raises StorageFull."""
        for extent in extents:
            match extent:
                case MemoryExtent(data):
                    await self.write(data)
                case FileExtent(descriptor, offset, size_bytes):
                    await self._settle()
                    gathered = self._take()
                    self.size_bytes += size_bytes
                    self._running = self._executor.submit(
                        self._flush_and_copy, gathered, descriptor, offset, size_bytes
                    )
                    await self._settle()
                case StreamedExtent(_, read_next):
                    while block := await read_next():
                        await self.write(block)
                case ComputedExtent(size_bytes, read):
                    for at in range(0, size_bytes, _GATHER_BYTES):
                        count = min(_GATHER_BYTES, size_bytes - at)
                        data = await self._in_thread(partial(read, at, count))
                        if len(data) != count:
                            raise DamagedObject(f"the source ends {count - len(data)} bytes early")
                        await self.write(data)

    def hand_over(self, md5: bytes | None = None) -> None:
        """md5 is that of all bytes, if it is known. From now on the bytes belong to publish(), and discard() does nothing.

        A step of its own, because a caller may be cancelled, and discard, before publish() has run.
        """
        assert not self._is_handed_over, "handed over twice"
        self._is_handed_over = True
        self._md5 = md5

    def inline_piece(self) -> Piece | None:
        """The bytes as a piece in the index, if they are few and never touched the disk."""
        assert self._is_handed_over, "published without being handed over"
        if self._draft is None and self._running is None and self.size_bytes <= self._inline_bytes_max:
            return Piece(self.size_bytes, data=b"".join(self._take()), md5=self._md5)
        return None

    async def publish(self) -> Piece:
        """Make the bytes a durable file. Raises StorageFull, OSError, and then nothing is left on the disk."""
        assert self._is_handed_over, "published without being handed over"
        try:
            await self._settle()
            gathered = self._take()
            await self._in_thread(lambda: self._flush_and_publish(gathered))
        except BaseException:
            await self._discard()
            raise
        assert self._draft is not None, "flushing makes a draft"
        return Piece(self.size_bytes, blob=self._draft.blob, md5=self._md5)

    async def discard(self) -> None:
        """Remove what was written. After a commit took the bytes it does nothing."""
        if self._is_handed_over:
            return
        self._is_handed_over = True
        self._gathered.clear()
        if self._running is not None or self._draft is not None:
            # In one thread at a time and to the end, also when the caller is cancelled meanwhile:
            # a descriptor must not be closed under a write that is still running.
            await asyncio.shield(self._discard())

    async def _discard(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            finished = asyncio.wrap_future(running)
            await asyncio.wait({finished})
            # Looked at, so that asyncio does not report it: write() raised it, or nobody wants it.
            _ = finished.cancelled() or finished.exception()
        draft, self._draft = self._draft, None
        if draft is not None:
            await self._in_thread(lambda: self._blobs.abandon(draft))

    async def _settle(self) -> None:
        """Wait for the write that is running and raise its error here."""
        if self._running is not None:
            running = self._running
            # Shielded: when our caller is cancelled, the thread still writes, and discard() waits for it.
            await asyncio.shield(asyncio.wrap_future(running))
            self._running = None

    def _take(self) -> list[bytes]:
        gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
        return gathered

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _flush(self, gathered: list[bytes], chunk: bytes | memoryview = b"") -> None:
        if self._draft is None:
            self._draft = self._blobs.draft()
        if gathered:
            self._blobs.append(self._draft, b"".join(gathered))
        if chunk:
            self._blobs.append(self._draft, chunk)

    def _flush_and_copy(self, gathered: list[bytes], descriptor: int, offset: int, size_bytes: int) -> None:
        self._flush(gathered)
        assert self._draft is not None
        self._blobs.append_file(self._draft, descriptor, offset, size_bytes)

    def _flush_and_publish(self, gathered: list[bytes]) -> None:
        self._flush(gathered)
        assert self._draft is not None
        self._blobs.publish(self._draft)
