"""A small load generator: keep-alive connections that send prepared requests and check each answer's size."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator

import uvloop


class Repeat(asyncio.Protocol):
    """One connection: send, count the answer's bytes, send the next."""

    def __init__(self, requests: Iterator[bytes], body_bytes: int, until: float) -> None:
        self._requests = requests
        self._body_bytes = body_bytes
        self._until = until
        self._got = 0
        self._size = 0
        self.done = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """An answer is whole when head and body came; any other status than 200 ends the run."""
        if not self._got:
            if not data.startswith(b"HTTP/1.1 200"):
                print(data[:400], file=sys.stderr)
                self._transport.abort()
                return
            self._size = data.index(b"\r\n\r\n") + 4 + self._body_bytes
        self._got += len(data)
        if self._got == self._size:
            self._got = 0
            self.done += 1
            if time.perf_counter() < self._until:
                self._transport.write(next(self._requests))
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Over."""
        self.ended.set_result(None)


async def main(port: int, requests: bytes, body_bytes: int, connections: int, seconds: float) -> None:
    """Print answers a second. The requests have no bodies and follow each other."""
    end = b"\r\n\r\n"
    in_turn = itertools.cycle([head + end for head in requests.split(end)[:-1]])
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: Repeat(in_turn, body_bytes, began + seconds), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*[protocol.ended for _, protocol in made])
    print(sum(protocol.done for _, protocol in made) / (time.perf_counter() - began))


if __name__ == "__main__":
    uvloop.run(
        main(
            int(sys.argv[1]), sys.stdin.buffer.read(), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
        )
    )
