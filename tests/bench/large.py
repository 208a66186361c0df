"""The large object: a GET beside one os.sendfile loop, a PUT beside what it cannot do without."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from functools import partial
from pathlib import Path

from tests.bench import plain
from tests.bench.small import signed
from tests.bench.table import paired, show
from tests.gateway import Credentials, RunningGateway

LARGE_BYTES = 64 * 2**20


def receive(port: int, request: bytes, size: int) -> float:
    """Bytes a second of one large answer, over a warm connection."""
    buffer = bytearray(2**20)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        began = time.perf_counter()
        connection.sendall(request)
        got, wanted = 0, size
        while got < wanted:
            count = connection.recv_into(buffer)
            assert count, "the connection ended early"
            if not got and buffer.startswith(b"HTTP/"):
                wanted = size + buffer.index(b"\r\n\r\n") + 4
            got += count
        return size / (time.perf_counter() - began)


def put(port: int, head: bytes, body: bytes) -> float:
    """Bytes a second of one large PUT, until it is answered 200 and so is on the disk."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        began = time.perf_counter()
        connection.sendall(head)
        connection.sendall(body)
        answer = connection.recv(4096)
        took = time.perf_counter() - began
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return len(body) / took


def slowest_needed(place: Path, body: bytes) -> float:
    """Bytes a second of the slower of two things a PUT must do: MD5, and the bytes on the disk.

    They may run side by side, so the sum of both would be too easy a base.
    """
    began = time.perf_counter()
    hashlib.md5(body, usedforsecurity=False).hexdigest()
    md5_s = time.perf_counter() - began
    path = place / "written"
    began = time.perf_counter()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        left = memoryview(body)
        while left:
            left = left[os.write(descriptor, left[: 2**20]) :]
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    disk_s = time.perf_counter() - began
    path.unlink()
    return len(body) / max(md5_s, disk_s)


def bench_large(gateway: RunningGateway, member: Credentials, place: Path) -> None:
    """64 MiB there and back."""
    body = os.urandom(2**20) * (LARGE_BYTES // 2**20)
    head = signed(gateway.port, member, "large", method="PUT", size=LARGE_BYTES)
    rate, base, ratio = paired(partial(put, gateway.port, head, body), partial(slowest_needed, place, body))
    show("64 MiB PUT", f"{rate / 1e9:.2f} GB/s", f"slower of MD5, disk {base / 1e9:.2f} GB/s", ratio, "≥ 0.7")
    get = signed(gateway.port, member, "large")
    with plain.sendfile_server(LARGE_BYTES) as port:
        rate, base, ratio = paired(
            partial(receive, gateway.port, get, LARGE_BYTES), partial(receive, port, b"go", LARGE_BYTES)
        )
    show("64 MiB GET", f"{rate / 1e9:.2f} GB/s", f"os.sendfile {base / 1e9:.2f} GB/s", ratio, "≥ 0.8")
