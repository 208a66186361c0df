"""A download cut half-way, on a bare socket, and how many body bytes had reached this machine's kernel."""

from __future__ import annotations

import socket
import struct
import time
from urllib.parse import urlsplit

RECEIVE_BUFFER_BYTES = 64 * 1024
HEADER_BYTES_MAX = 64 * 1024
TIMEOUT_S = 20
SETTLE_S = 0.1
SETTLE_ROUNDS_MAX = 50
BYTES_RECEIVED_OFFSET = 128
"""tcpi_bytes_received in struct tcp_info (linux/tcp.h, since 4.1): payload bytes the kernel took in order."""


def cut_download(presigned_url: str, *, read_bytes: int) -> int:
    """Begin a GET, read some of the body, then break the connection; the body bytes delivered.

    Before the break nothing is read until nothing more arrives: then all that was received is also
    acknowledged, and sender and receiver speak of the same bytes.
    """
    parts = urlsplit(presigned_url)
    with socket.socket(socket.AF_INET6 if ":" in (parts.hostname or "") else socket.AF_INET) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        one.settimeout(TIMEOUT_S)
        one.connect((parts.hostname, parts.port))
        target = f"{parts.path}?{parts.query}"
        one.sendall(f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        header_bytes = _read(one, read_bytes=read_bytes)
        received = _settled(one)
        # Linger 0: a reset instead of a farewell, as when a cable is pulled or a tab is closed.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return received - header_bytes


def _read(one: socket.socket, *, read_bytes: int) -> int:
    """Read the header and at least read_bytes of the body; the header's size. Raises ConnectionError."""
    taken = b""
    while b"\r\n\r\n" not in taken:
        chunk = one.recv(4096)
        if not chunk or len(taken) > HEADER_BYTES_MAX:
            raise ConnectionError("the gateway closed before the header was whole")
        taken += chunk
    header_bytes = taken.index(b"\r\n\r\n") + 4
    if not taken.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"the gateway answered {taken[:32]!r}")
    left = read_bytes - (len(taken) - header_bytes)
    while left > 0 and (chunk := one.recv(min(left, 65536))):
        left -= len(chunk)
    return header_bytes


def _settled(one: socket.socket) -> int:
    last = -1
    for _ in range(SETTLE_ROUNDS_MAX):
        info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_RECEIVED_OFFSET + 8)
        (received,) = struct.unpack_from("Q", info, BYTES_RECEIVED_OFFSET)
        if received == last:
            break
        last = received
        time.sleep(SETTLE_S)
    return int(last)
