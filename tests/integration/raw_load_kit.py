"""Load from clients on raw sockets that try nothing twice: each puts and gets, compares every byte, and counts for itself.

There are five kinds, because each meets another moment of a worker's end: who keeps a connection and is never idle; who
makes one for each request; who pauses on a kept one, and looks whether it was closed before sending, as every pool of
connections does; who moves long bodies; and who takes a long answer slowly, and is still at it when its worker is told
to go.
"""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from tests.traffic import signed

PATIENCE_S = 120
MIB = 2**20
KEYS_EACH = 20
"""A client puts to so many keys in turn, so that the disk does not fill."""
SHORT = (0, 100, 4096, 20_000, 200_000)
LONG = (2 * MIB, 5 * MIB)
SLOW_PIECE, SLOW_PAUSE_S = 64 * 1024, 0.2
PAUSES_S = (0.2, 2.0)
"""Shorter and longer than what a stop leaves clients for sending once more (goodbye_ms)."""
KINDS = ("kept", "kept", "fresh", "pausing", "pausing", "pausing", "long", "slow", "slow")
QUICK = tuple(kind for kind in KINDS if kind != "slow")


class Gone(ConnectionError):
    """The other side ended before its answer was whole."""


class Line:
    """One connection, and what came on it."""

    def __init__(self, port: int, *, receive_bytes: int = 0) -> None:
        self._socket = socket.socket()
        if receive_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(("127.0.0.1", port))
        self._data = b""
        self.is_last = False
        """The other side has said that its last answer was the last one."""

    def was_closed(self) -> bool:
        """Whether the other side has ended it while nobody asked anything."""
        readable, _, _ = select.select([self._socket], [], [], 0)
        return bool(readable) and self._socket.recv(1, socket.MSG_PEEK) == b""

    def ask(self, head: bytes, body: bytes, *, pause_s: float = 0.0) -> tuple[int, bytes]:
        """Send, and take the whole answer: status and body. Raises OSError, Gone among them."""
        self._socket.sendall(head)
        self._socket.sendall(body)
        while b"\r\n\r\n" not in self._data:
            self._data += self._more()
        answer, _, self._data = self._data.partition(b"\r\n\r\n")
        status, headers = int(answer.split(b" ", 2)[1]), answer.lower()
        self.is_last = b"\r\nconnection: close" in headers
        size = int(headers.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0] or b"0")
        pieces, missing = [self._data], size - len(self._data)
        while missing > 0:
            threading.Event().wait(pause_s)
            pieces.append(self._more(SLOW_PIECE))
            missing -= len(pieces[-1])
        whole = b"".join(pieces)
        self._data = whole[size:]
        return status, whole[:size]

    def close(self) -> None:
        """End in good order."""
        self._socket.close()

    def _more(self, bytes_max: int = 256 * 1024) -> bytes:
        data = self._socket.recv(bytes_max)
        if not data:
            raise Gone("closed in the middle of an answer")
        return data


@dataclass
class RawLoad:
    """Clients that go on until they are told to stop, also after a failure, so that all of them are counted."""

    port: int
    keys: tuple[str, str]
    bucket: str
    seed: int
    kinds: Sequence[str] = KINDS
    failures: list[str] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    put_bytes: int = 0
    got_bytes: int = 0
    connections: int = 0
    slowest_s: float = 0.0
    """Of a whole exchange, without those that are slow on purpose."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._blob = random.Random(self.seed).randbytes(LONG[-1] + MIB)
        self._threads = [
            threading.Thread(target=self._run, args=(n, kind)) for n, kind in enumerate(self.kinds)
        ]
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for one in self._threads:
            one.join(PATIENCE_S)
            assert not one.is_alive(), "a client hangs"

    def more(self, count: int) -> None:
        """Wait until so many more requests were answered, of every kind at least one."""
        before, until = Counter(self.requests), time.monotonic() + PATIENCE_S
        while (gained := self.requests - before).total() < count or set(gained) < set(self.kinds):
            assert time.monotonic() < until, (gained, self.failures)
            time.sleep(0.01)

    def _run(self, number: int, kind: str) -> None:
        dice = random.Random(f"{self.seed} {number}")
        line: Line | None = None
        for key, body in self._bodies(number, kind, dice):
            for method in ("PUT", "GET"):
                if kind == "pausing":
                    self._stop.wait(dice.choice(PAUSES_S))
                try:
                    line = self._once(line, kind, method, key, body)
                except (OSError, AssertionError, ValueError) as error:
                    with self._lock:
                        self.failures.append(f"{kind} {number}: {method} {len(body)}: {error!r}")
                    line = None
        if line is not None:
            line.close()

    def _bodies(self, number: int, kind: str, dice: random.Random) -> Iterator[tuple[str, bytes]]:
        sizes = LONG if kind in ("long", "slow", "slow") else SHORT
        turn = 0
        while not self._stop.is_set():
            first = dice.randrange(MIB)
            yield f"{self.seed}-{number}-{turn % KEYS_EACH}", self._blob[first : first + dice.choice(sizes)]
            turn += 1

    def _once(self, line: Line | None, kind: str, method: str, key: str, body: bytes) -> Line | None:
        """One exchange, tried once; the connection, if it may be used again."""
        if line is not None and (line.is_last or line.was_closed()):
            line.close()
            line = None
        began = time.monotonic()
        if line is None:
            line = Line(self.port, receive_bytes=SLOW_PIECE if kind == "slow" else 0)
            with self._lock:
                self.connections += 1
        sent = body if method == "PUT" else b""
        head = signed(self.port, *self.keys, method, f"/{self.bucket}/{key}", body=sent)
        slow = kind == "slow" and method == "GET"
        status, got = line.ask(head, sent, pause_s=SLOW_PAUSE_S if slow else 0.0)
        assert status == 200, (status, got[:300])
        assert method == "PUT" or got == body, "other bytes than were put"
        with self._lock:
            self.requests[kind] += 1
            self.put_bytes += len(sent)
            self.got_bytes += len(got)
            if not slow:
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        if kind != "fresh":
            return line
        line.close()
        return None
