"""Clients on raw sockets that count what they saw: bytes of whole exchanges, and of those that were cut."""

from __future__ import annotations

import random
import socket
import threading

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

MIB = 2**20
UNACKNOWLEDGED_BYTES = 2 * 65_536
"""Two of loopback's: so many may be read and not acknowledged yet (RFC 1122, 4.2.3.2)."""
GET_SIZES = (100, 4096, 20_000, 200_000, 2 * MIB)
"""Objects the traffic reads, under the key g<size> of the bucket `counted`."""


class _Unsigned(S3SigV4Auth):  # type: ignore[misc]
    """botocore's signer for a payload it does not see; over plain HTTP its own would sign an empty one."""

    def payload(self, request: AWSRequest) -> str:
        """x-amz-content-sha256."""
        del request
        return "UNSIGNED-PAYLOAD"


def signed(
    port: int, access_key: str, secret_key: str, method: str, path: str, *, body: bytes = b"", **headers: str
) -> bytes:
    """The head of a request with an unsigned payload, as bytes."""
    request = AWSRequest(
        method, f"http://127.0.0.1:{port}{path}", headers={"Host": f"127.0.0.1:{port}", **headers}
    )
    _Unsigned(Credentials(access_key, secret_key), "s3", "us-east-1").add_auth(request)
    sent = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in request.prepare().headers.items()
    }
    if method == "PUT":
        sent["Content-Length"] = str(len(body))
    return "\r\n".join(
        [f"{method} {path} HTTP/1.1", *[f"{n}: {v}" for n, v in sent.items()], "", ""]
    ).encode()


def connected(port: int, *, receive_bytes: int = 0) -> socket.socket:
    made = socket.socket()
    if receive_bytes:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    try:
        made.connect(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made


def more(connection: socket.socket, bytes_max: int = 65536) -> bytes:
    """What comes next. A closed connection gives nothing for ever, so that fails."""
    data = connection.recv(bytes_max)
    assert data, "closed in the middle"
    return data


class Traffic(threading.Thread):
    """A client that counts what it saw: bytes of whole exchanges, and of those that were cut."""

    def __init__(self, port: int, access_key: str, secret_key: str, seed: int) -> None:
        super().__init__(daemon=True)
        self._place = (port, access_key, secret_key)
        self._random = random.Random(seed)
        self.whole_in = self.whole_out = self.cut_in = self.cut_out = self.exchanges = 0
        self.unsure_in = self.unsure_out = 0
        """Of the last whole exchange on a connection that then broke: whoever answered it may not have known."""
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            try:
                with connected(self._place[0]) as connection:
                    connection.settimeout(60)
                    self._until_it_breaks(connection)
            except OSError:
                continue

    def _until_it_breaks(self, connection: socket.socket) -> None:
        last_in = last_out = 0
        try:
            while not self.stopping:
                before_in, before_out = self.whole_in, self.whole_out
                self._exchange(connection)
                last_in, last_out = self.whole_in - before_in, self.whole_out - before_out
        except OSError:
            self.unsure_in += last_in
            self.unsure_out += last_out
            raise

    def _exchange(self, connection: socket.socket) -> None:
        size = self._random.choice(GET_SIZES)
        if self._random.random() < 0.5:
            self._put(connection, size)
        else:
            self._get(connection, size)
        self.exchanges += 1

    def _put(self, connection: socket.socket, size: int) -> None:
        body = bytes(size)
        sent = 0
        try:
            connection.sendall(signed(*self._place, "PUT", f"/counted/p{size}", body=body))
            for at in range(0, size, 65536):
                sent += connection.send(body[at : at + 65536])
            while sent < size:
                sent += connection.send(body[sent:])
            answer = connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(answer[:100])
        except OSError:
            self.cut_in += sent
            raise
        self.whole_in += size

    def _get(self, connection: socket.socket, size: int) -> None:
        got, whole = 0, False
        try:
            connection.sendall(signed(*self._place, "GET", f"/counted/g{size}"))
            data = b""
            while b"\r\n\r\n" not in data:
                more = connection.recv(65536)
                if not more:
                    raise ConnectionError
                data += more
            got = len(data) - data.index(b"\r\n\r\n") - 4
            while got < size:
                more = connection.recv(65536)
                if not more:
                    raise ConnectionError
                got += len(more)
            whole = True
        finally:
            if not whole:
                self.cut_out += got
        self.whole_out += size
