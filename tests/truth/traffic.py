"""Clients of the ground truth: each a member with a bucket, on raw sockets, one exchange after the other.

They do what members do, and break off what they began; what was counted is the relay's business. A client
never begins an exchange before its relay has seen the end of the last one, so that exchanges without an
answer, and therefore without a request id, can still be told apart by when they were.
"""

from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.gateway import Credentials
from tests.traffic import signed
from tests.truth.framing import Head, read_head
from tests.truth.relay import RESET, Relay

MIB = 2**20
PART_BYTES = 5 * MIB
GET_SIZES = (0, 100, 4096, 20_000, 65_537, 200_000, 2 * MIB)
LARGE_BYTES = 8 * MIB
PUT_SIZES = (0, 1, 5000, 65_536, 65_537, 400_000, 3 * MIB)
PUBLIC = {"x-amz-acl": "public-read"}
PATIENCE_S = 60
SLOW_S = 0.03
SLOW_BYTES = 64 * 1024
CONTINUE = {"Expect": "100-continue"}


@dataclass(frozen=True)
class Got:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Gone(ConnectionError):
    """The other side ended before the answer was whole."""


class Line:
    """One connection through the relay."""

    def __init__(self, relay: Relay, *, receive_bytes: int = 0) -> None:
        self._socket = socket.socket()
        if receive_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.settimeout(PATIENCE_S)
        relay.expect()
        self._socket.connect(("127.0.0.1", relay.port))
        self._data = b""

    def send(self, head: bytes, body: bytes = b"") -> None:
        """A request."""
        self._socket.sendall(head)
        self._socket.sendall(body)

    def head(self) -> Head:
        """The next head that arrives. Raises Gone."""
        while (found := read_head(self._data)) is None:
            self._data += self._more()
        head, self._data = found
        return head

    def answer(self, method: str, *, pause_s: float = 0.0) -> Got:
        """The next final answer; with a pause between reads, as a slow client makes. Raises Gone."""
        while (head := self.head()).status < 200:
            continue
        size = head.body_bytes(request=method)
        while len(self._data) < size:
            threading.Event().wait(pause_s)
            self._data += self._more()
        body, self._data = self._data[:size], self._data[size:]
        return Got(head.status, head.headers, body)

    def read(self, count: int) -> None:
        """Take in so many bytes, whatever they are. Raises Gone."""
        while len(self._data) < count:
            self._data += self._more()

    def reset(self) -> None:
        """End as a crashed client does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._socket.close()

    def close(self) -> None:
        """End in good order."""
        self._socket.close()

    def _more(self) -> bytes:
        data = self._socket.recv(256 * 1024)
        if not data:
            raise Gone
        return data


class Client(threading.Thread):
    """One member's traffic until it is told to stop."""

    def __init__(self, member: Credentials, bucket: str, relay: Relay, seed: int) -> None:
        super().__init__(name=member.name, daemon=True)
        self.member = member
        self.bucket = bucket
        self.relay = relay
        self.stopping = False
        self.failure: BaseException | None = None
        self._random = random.Random(seed)
        self._line: Line | None = None
        self._kinds: list[tuple[Callable[[], None], int]] = [
            (self._get, 24), (self._put, 16), (self._range, 8), (self._head, 4), (self._list, 4),
            (self._delete, 4), (self._copy, 3), (self._refused, 6), (self._anonymous, 6), (self._multipart, 2),
            (self._slow_get, 12), (self._slow_put, 8), (self._break_off_a_download, 6), (self._break_off_an_upload, 6),
        ]  # fmt: skip

    def run(self) -> None:
        """Exchange after exchange; that the gateway is cut off in one of them is what this is for."""
        kinds, weights = zip(*self._kinds, strict=True)
        try:
            while not self.stopping and self.relay.failure is None:
                (kind,) = self._random.choices(kinds, weights)
                try:
                    kind()
                except OSError:
                    self._end_line()
                if self._random.random() < 0.3:
                    self._end_line()
            self._end_line()
        except BaseException as error:  # told to the rig, whose run fails with it
            self.failure = error
            raise

    def prepare(self) -> None:
        """A bucket, and what is read from it; before anything is killed."""
        made = self.ask("PUT", "")
        assert 200 == made.status, made
        for size in (*GET_SIZES, LARGE_BYTES):
            made = self.ask("PUT", f"/g{size}", bytes(size), PUBLIC)
            assert 200 == made.status, made
        self._end_line()

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, *,
        pause_s: float = 0.0,
    ) -> Got:  # fmt: skip
        """One exchange, on the line that is open or on a fresh one."""
        line = self._line = self._line or Line(self.relay)
        line.send(self._signed(method, path, body, headers), body)
        return self._ended(line.answer(method, pause_s=pause_s))

    def _signed(self, method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
        more = dict(headers or {})
        if method == "POST":
            more["Content-Length"] = str(len(body))
        return signed(
            self.relay.port, self.member.access_key, self.member.secret_key, method,
            f"/{self.bucket}{path}", body=body, **more,
        )  # fmt: skip

    def _ended(self, got: Got) -> Got:
        if got.headers.get("connection", "").lower() == "close":
            self._end_line()
        return got

    def _end_line(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        self.relay.wait_until_idle()

    def _get(self) -> None:
        self.ask("GET", f"/g{self._random.choice(GET_SIZES)}")

    def _slow_get(self) -> None:
        """Long enough for a kill to find it in the middle."""
        self.ask("GET", f"/g{LARGE_BYTES}", pause_s=SLOW_S)

    def _range(self) -> None:
        size = self._random.choice(GET_SIZES[2:])
        first = self._random.randrange(size)
        last = self._random.randrange(first, size)
        self.ask("GET", f"/g{size}", headers={"Range": f"bytes={first}-{last}"})

    def _put(self) -> None:
        size = self._random.choice(PUT_SIZES)
        self.ask("PUT", f"/p{self._random.randrange(8)}", bytes(size))

    def _slow_put(self) -> None:
        """The same the other way."""
        line = self._line = self._line or Line(self.relay)
        body = bytes(self._random.choice(PUT_SIZES[3:]))
        line.send(self._signed("PUT", f"/p{self._random.randrange(8)}", body))
        for at in range(0, len(body), SLOW_BYTES):
            threading.Event().wait(SLOW_S)
            line.send(body[at : at + SLOW_BYTES])
        self._ended(line.answer("PUT"))

    def _head(self) -> None:
        self.ask("HEAD", f"/g{self._random.choice(GET_SIZES)}")

    def _list(self) -> None:
        self.ask("GET", "?list-type=2")

    def _delete(self) -> None:
        self.ask("DELETE", f"/p{self._random.randrange(8)}")

    def _copy(self) -> None:
        source = f"/{self.bucket}/g{self._random.choice(GET_SIZES)}"
        self.ask("PUT", f"/p{self._random.randrange(8)}", headers={"x-amz-copy-source": source})

    def _refused(self) -> None:
        """Not there, not changed, not within the object, not signed as it must be."""
        kind = self._random.randrange(4)
        if kind == 0:
            self.ask("GET", "/absent")
        elif kind == 1:
            etag = self.ask("HEAD", "/g4096").headers.get("etag", "")
            self.ask("GET", "/g4096", headers={"If-None-Match": etag})
        elif kind == 2:
            self.ask("GET", "/g100", headers={"Range": "bytes=5000-"})
        else:
            line = self._line = self._line or Line(self.relay)
            body = bytes(20_000)
            head = self._signed("PUT", "/forged", body)
            line.send(re.sub(rb"Signature=[0-9a-f]{64}", b"Signature=" + b"0" * 64, head), body)
            self._ended(line.answer("PUT"))

    def _anonymous(self) -> None:
        line = self._line = self._line or Line(self.relay)
        target = f"/{self.bucket}/g{self._random.choice(GET_SIZES)}"
        line.send(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{self.relay.port}\r\n\r\n".encode())
        self._ended(line.answer("GET"))

    def _multipart(self) -> None:
        key = f"/m{self._random.randrange(3)}"
        made = self.ask("POST", f"{key}?uploads=")
        found = re.search(rb"<UploadId>([^<]+)</UploadId>", made.body)
        if found is None:
            return  # the answer was a refusal
        upload = found[1].decode()
        etags = []
        for number, size in enumerate((PART_BYTES, self._random.choice(PUT_SIZES[1:])), 1):
            part = self.ask("PUT", f"{key}?partNumber={number}&uploadId={upload}", bytes(size))
            etags.append(part.headers.get("etag", ""))
        if self._random.random() < 0.4:
            self.ask("DELETE", f"{key}?uploadId={upload}")
            return
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(etags, 1)
        )
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        self.ask("POST", f"{key}?uploadId={upload}", document)

    def _break_off_a_download(self) -> None:
        self._end_line()
        size = self._random.choice((200_000, 2 * MIB, LARGE_BYTES))
        line = Line(self.relay, receive_bytes=64 * 1024)
        try:
            line.send(self._signed("GET", f"/g{size}", b""))
            line.read(self._random.randrange(1, size))
        finally:
            line.reset()
            self.relay.wait_until_idle()

    def _break_off_an_upload(self) -> None:
        """The gateway says that it has begun (100) before anything is sent, and an end comes in the middle."""
        self._end_line()
        size = self._random.choice((60_000, 400_000, 3 * MIB, LARGE_BYTES))
        line = Line(self.relay)
        try:
            line.send(self._signed("PUT", "/cut", bytes(size), CONTINUE))
            if line.head().status == 100:
                line.send(bytes(self._random.randrange(size)))
        finally:
            line.reset()
            self.relay.wait_until_idle()
