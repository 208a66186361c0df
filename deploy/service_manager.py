"""What systemd is told of us: ready, reloading, stopping, alive (sd_notify(3)); nothing where nobody asked.

It knows the datagram and its words. When each of them is true is the supervisor's matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager

SEND_TIMEOUT_S = 1
"""The manager's socket may be full for a moment; nothing of ours waits longer for it."""


class ServiceManager:
    """Whoever started us, where it named a socket (NOTIFY_SOCKET) and, perhaps, how often it wants a sign of life."""

    def __init__(self, tell: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> None:
        self._tell = tell
        self._address = environment.get("NOTIFY_SOCKET", "")
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watchdog_us = int(environment.get("WATCHDOG_USEC", "0")) if for_us and self._address else 0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Give a sign of life twice in each span it allows, for as long as the block runs, its end included."""
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait({beating})

    async def serving(self, stopping: Awaitable[object]) -> None:
        """Say that all is up; then wait for the reason to stop, and say that we do."""
        self._send("READY=1", "STATUS=serving")
        await stopping
        self._send("STOPPING=1", "STATUS=finishing what is open")

    async def while_reloading(self, reload: Coroutine[None, None, None]) -> None:
        """Carry a reload out, and say when it begins and when it is over, whatever came of it."""
        self._send(
            "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=exchanging workers"
        )
        try:
            await reload
        finally:
            self._send("READY=1", "STATUS=serving")

    async def _beat(self) -> None:
        while self._watchdog_us:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_us / 2_000_000)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A name in the abstract name space is written with @ in place of the zero byte.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as one:
            one.settimeout(SEND_TIMEOUT_S)
            try:
                one.sendto("\n".join(lines).encode(), address)
            except OSError as error:
                self._tell(f"systemd could not be told {lines[0]}: {error}")
