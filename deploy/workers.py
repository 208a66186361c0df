"""The gateway workers of one machine: one a listening socket, and while they are exchanged two for a moment.

The parent keeps the sockets, so a connection that waits to be accepted outlives whoever would have accepted it.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping

from deploy.children import Child, ChildSpec, python_module

MakeChild = Callable[[ChildSpec], Child]
StopChild = Callable[[Child], Awaitable[None]]


class Workers:
    """They, by socket. Worker i writes the stream worker-i; its successor, who begins before it has ended, worker-(i + n)."""

    def __init__(
        self, listening: list[socket.socket], environment: Mapping[str, str], *, make: MakeChild, stop: StopChild
    ) -> None:  # fmt: skip
        self._listening = listening
        self._environment = environment
        self._make = make
        self._stop = stop
        self._numbers = list(range(len(listening)))
        self.serving = [self._child(slot, number) for slot, number in enumerate(self._numbers)]
        self._leaving: dict[str, asyncio.Event] = {}
        self._exchange = asyncio.Lock()

    def ready(self) -> int:
        """How many serve."""
        return sum(child.ready.is_set() for child in self.serving)

    def leaving(self, child: Child) -> asyncio.Event:
        """Set once the child is to end for good."""
        return self._leaving.setdefault(child.name, asyncio.Event())

    async def exchange(self, keep: Callable[[Child], None]) -> None:
        """Put a fresh worker in the place of each, one after the other; every connection finds somebody.

        Raises Refusal when a fresh one does not start; then it and those after it stay as they were.
        """
        async with self._exchange:
            ends: list[Awaitable[None]] = []
            try:
                for slot, old in enumerate(self.serving):
                    number = (self._numbers[slot] + len(self._listening)) % (2 * len(self._listening))
                    fresh = self._child(slot, number)
                    self._leaving.pop(fresh.name, None)
                    await fresh.start()
                    self._numbers[slot], self.serving[slot] = number, fresh
                    keep(fresh)
                    # From here on nobody starts it again. It stops accepting at once, and drains.
                    self.leaving(old).set()
                    ends.append(asyncio.ensure_future(self._stop(old)))
            finally:
                await asyncio.gather(*ends)

    def give_notice(self) -> None:
        """Let each say that it is about to end."""
        for child in self.serving:
            child.signal(signal.SIGUSR1)

    async def drain(self) -> None:
        """All finish what is open."""
        for child in self.serving:
            child.signal(signal.SIGTERM)
        for one in self._listening:
            one.close()
        await asyncio.gather(*(self._stop(child) for child in self.serving))

    def _child(self, slot: int, number: int) -> Child:
        descriptor = self._listening[slot].fileno()
        own = {
            "WEIR_GATEWAY_FD": str(descriptor), "WEIR_WORKER": str(number), "WEIR_WORKERS": str(len(self._listening)),
        }  # fmt: skip
        return self._make(
            ChildSpec(
                f"gateway-{number}", python_module("gateway"), {**self._environment, **own}, (descriptor,)
            )
        )
