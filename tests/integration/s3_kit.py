"""Raw S3 over a socket: requests signed by botocore, an independent signer; chunks framed and signed by hand.

It also looks into the engine's directory, to see what a refused request left behind.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from xml.etree import ElementTree

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SignerCredentials

from tests.gateway import Credentials, RunningGateway

BIN = Path(sys.executable).parent
"""Where the command-line clients of the test environment are."""
UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


class _Signer(botocore.auth.S3SigV4Auth):  # type: ignore[misc]
    """botocore's S3 signer with the last canonical line as the test wants it."""

    def __init__(self, credentials: Credentials, payload: str, region: str) -> None:
        super().__init__(SignerCredentials(credentials.access_key, credentials.secret_key), "s3", region)
        self._payload = payload

    def payload(self, request: AWSRequest) -> str:
        """x-amz-content-sha256."""
        del request
        return self._payload


@dataclass(frozen=True)
class Signed:
    """A signed request's head, and what its chunks are signed with."""

    method: str
    target: str
    headers: dict[str, str]
    secret_key: str

    @property
    def signature(self) -> str:
        """The seed of the chunks' signatures."""
        return self.headers["Authorization"].rpartition("Signature=")[2]

    @property
    def scope(self) -> str:
        """date/region/s3/aws4_request."""
        return self.headers["Authorization"].partition("Credential=")[2].partition(",")[0].partition("/")[2]

    def head(self, **more: str) -> bytes:
        """The request line and headers, with more headers that are not signed."""
        headers = self.headers | {name.replace("_", "-"): value for name, value in more.items()}
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {headers[name]}" for name in headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def whole(self, body: bytes) -> bytes:
        """Head and body, its length announced truly."""
        return self.head(Content_Length=str(len(body))) + body


def sign(
    gateway: RunningGateway, credentials: Credentials, method: str, target: str, *, payload: str = UNSIGNED,
    headers: dict[str, str] | None = None, at: datetime | None = None, region: str = "us-east-1",
) -> Signed:  # fmt: skip
    """Sign a request; target is the raw path and query."""
    request = AWSRequest(method, gateway.url + target, headers=headers or {})
    with patch("botocore.auth.get_current_datetime", lambda: at or datetime.now(UTC)):
        _Signer(credentials, payload, region).add_auth(request)
    sent = {"Host": gateway.url.removeprefix("http://")} | dict(request.headers.items())
    return Signed(method, target, sent, credentials.secret_key)


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """S3's error code in the body."""
        assert b"<Error>" in self.body, self
        return ElementTree.fromstring(self.body).findtext("Code") or ""  # noqa: S314 - our own gateway


@dataclass
class Line:
    """A socket to the gateway that reads one response after the other."""

    connection: socket.socket
    is_head: bool = False
    _buffer: bytearray = field(default_factory=bytearray)

    def send(self, data: bytes) -> None:
        """Everything, now."""
        self.connection.sendall(data)

    def answer(self) -> Answer:
        """The next response, also an interim one."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = 0 if self.is_head else int(headers.get("content-length", "0"))
        while len(self._buffer) < length:
            self._more()
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return Answer(int(first.split(" ")[1]), headers, body)

    def rest(self) -> bytes:
        """Whatever comes until the gateway closes the connection."""
        try:
            while data := self.connection.recv(65536):
                self._buffer += data
        except ConnectionResetError:
            pass  # closed with something of ours unread: an end all the same
        return bytes(self._buffer)

    def _more(self) -> None:
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionError(f"closed after {bytes(self._buffer)!r}")
        self._buffer += data


@contextmanager
def line(gateway: RunningGateway) -> Iterator[Line]:
    """A fresh connection."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        yield Line(connection)


def ask(gateway: RunningGateway, data: bytes) -> Answer:
    """One request on a connection of its own."""
    with line(gateway) as open_line:
        open_line.send(data)
        return open_line.answer()


def fetch(link: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    """What urllib gets for a link, a refusal too; with a body it puts it there."""
    request = Request(link, body, headers or {}, method="GET" if body is None else "PUT")  # noqa: S310
    try:
        answer = urlopen(request)  # noqa: S310 - our own gateway
    except HTTPError as error:
        answer = error
    with answer:
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())


def signed_chunks(signed: Signed, pieces: Sequence[bytes], *, trailer: dict[str, str] | None = None) -> bytes:
    """aws-chunked with a signature a chunk, and a signed trailer if one is given."""
    key = f"AWS4{signed.secret_key}".encode()
    for part in signed.scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    stamp, previous, body = signed.headers["X-Amz-Date"], signed.signature, b""
    for piece in (*pieces, b""):
        lines = ["AWS4-HMAC-SHA256-PAYLOAD", stamp, signed.scope, previous, EMPTY_SHA256]
        text = "\n".join([*lines, hashlib.sha256(piece).hexdigest()])
        previous = hmac.digest(key, text.encode(), "sha256").hex()
        body += f"{len(piece):x};chunk-signature={previous}\r\n".encode()
        body += piece + b"\r\n" if piece else b""
    if trailer is not None:
        signed_text = "".join(f"{name}:{value}\n" for name, value in sorted(trailer.items()))
        digest = hashlib.sha256(signed_text.encode()).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256-TRAILER", stamp, signed.scope, previous, digest])
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        body += "".join(f"{name}:{value}\r\n" for name, value in trailer.items()).encode()
        body += f"x-amz-trailer-signature:{signature}\r\n".encode()
    return body + b"\r\n"


def plain_chunks(pieces: Sequence[bytes], *, trailer: dict[str, str]) -> bytes:
    """aws-chunked without signatures, with a trailer."""
    body = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n"
    return body + "".join(f"{name}:{value}\r\n" for name, value in trailer.items()).encode() + b"\r\n"


@dataclass(frozen=True)
class Left:
    """What an engine holds: bytes by its index, files, drafts under way."""

    stored_bytes: int
    files: frozenset[str]
    drafts: int


def left(gateway: RunningGateway) -> Left:
    """Look at the disk and at the workers' open files."""
    engine = gateway.data / "engine"
    with closing(sqlite3.connect(f"file:{engine / 'index.sqlite'}?mode=ro", uri=True)) as index:
        stored = index.execute("SELECT coalesce(sum(size_bytes), 0) FROM piece").fetchone()[0]
    files = frozenset(path.name for path in (engine / "blobs").rglob("*") if path.is_file())
    drafts = sum(1 for path in (engine / "staging").iterdir() if path.is_file())
    for process in gateway.processes:
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                drafts += str(engine) in (name := os.readlink(link)) and name.endswith("(deleted)")
            except FileNotFoundError:
                continue  # closed while we looked
    return Left(stored, files, drafts)


def eventually(holds: Callable[[], bool], *, within_s: float = 10) -> bool:
    """Whether it comes to hold; for what another process does after it let go of our connection."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
