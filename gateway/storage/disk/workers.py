"""The threads of one engine, and a reading connection of the index for each of them."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gateway.storage.disk.index import Connection, connect_reader, storage_error

T = TypeVar("T")


class Workers:
    """Runs what would block the event loop. Each caller waits for its work, so the queue has its limit
    in the number of connections the gateway keeps."""

    def __init__(self, index: Path, *, threads_max: int, busy_timeout_s: int) -> None:
        """Threads and connections are made when they are first needed."""
        self.executor = ThreadPoolExecutor(threads_max, thread_name_prefix="disk")
        self._index = index
        self._busy_timeout_s = busy_timeout_s
        self._local = threading.local()
        self._connections: list[Connection] = []

    def connection(self) -> Connection:
        """The calling thread's own reading connection, with its statements prepared."""
        try:
            known: Connection = self._local.connection
        except AttributeError:
            known = self._local.connection = connect_reader(self._index, busy_timeout_s=self._busy_timeout_s)
            self._connections.append(known)
        return known

    async def run(self, work: Callable[[], T]) -> T:
        """The answer of work, done in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)

    async def read(self, question: Callable[[Connection], T]) -> T:
        """The answer of a question to the index, asked in a thread. Raises Busy."""

        def ask() -> T:
            try:
                return question(self.connection())
            except sqlite3.OperationalError as error:
                raise storage_error(error) from error

        return await self.run(ask)

    async def close(self) -> None:
        """Finish what runs, then close the connections."""
        await asyncio.to_thread(self.executor.shutdown)
        while self._connections:
            self._connections.pop().close()
