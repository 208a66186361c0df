"""A cap of egress over two gateways: passed by no more than docs/gateways.md says; one of storage to the byte."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.gateways_kit import Started, beside, running, s3_of, up
from tests.integration.s3_kit import eventually
from tests.traffic import more

MIB = 2**20
CHECKPOINT, SEND_BUFFER = MIB, 384 * 1024
CAP_POLL_S, SHIP_S, SYNC_S, ANSWER_S = 1, 0.1, 0.05, 2
"""ANSWER_S: what PostgreSQL and this machine's schedule may take on top."""
DOWNLOADS, RATE = 2, 2 * MIB
"""Of each gateway, and bytes a second of each."""
CAP, OBJECT = 64 * MIB, 64 * MIB


@pytest.fixture
def two(tmp_path: Path, database: str) -> Iterator[tuple[Started, Started]]:
    settings = {
        "cap_poll_s": str(CAP_POLL_S), "ship_interval_ms": "100", "journal_sync_interval_ms": "50",
        "checkpoint_bytes": str(CHECKPOINT), "checkpoint_interval_s": "1", "send_buffer_bytes": str(SEND_BUFFER),
    }  # fmt: skip
    home = up(tmp_path / "home", database, **settings)
    second = beside(tmp_path / "second", database, home.data, **settings)
    with running(home, second):
        yield home, second
    assert "Traceback" not in home.log() + second.log()


def at_pace(port: int, target: str) -> int:
    """Download no faster than RATE; body bytes until the other side ends it."""
    with socket.socket() as connection:
        connection.settimeout(60)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        connection.connect(("127.0.0.1", port))
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += more(connection, 4096)
        assert head.startswith(b"HTTP/1.1 200"), head
        total, began = len(head.partition(b"\r\n\r\n")[2]), time.monotonic()
        try:
            while data := connection.recv(2**16):
                total += len(data)
                # Not to wait for anything: this is the receiver's pace.
                time.sleep(max(0.0, total / RATE - (time.monotonic() - began)))
        except ConnectionResetError:
            pass  # cut: that is how a cap ends it
        return total


def link(s3: Any, url: str) -> str:
    signed = str(s3.generate_presigned_url("get_object", Params={"Bucket": "capped", "Key": "k"}))
    return signed.removeprefix(url)


def test_parallel_downloads_through_two_gateways_pass_a_cap_by_no_more_than_is_written(
    two: tuple[Started, Started],
) -> None:
    home, _ = two
    keys = (home.told["access_key"], home.told["secret_key"])
    clients = [s3_of(one.url, *keys, signature_version="s3v4") for one in two]
    clients[0].create_bucket(Bucket="capped")
    clients[0].put_object(Bucket="capped", Key="k", Body=bytes(OBJECT))
    home.weir("member", "cap", "founder", "--egress-hard", str(CAP))
    known = [one.data / "caps.json" for one in two]
    assert eventually(lambda: all(path.exists() for path in known), within_s=60)
    targets = [
        (one.port, link(s3, one.url)) for one, s3 in zip(two, clients, strict=True) for _ in range(DOWNLOADS)
    ]
    with ThreadPoolExecutor(len(targets)) as pool:
        received = sum(pool.map(lambda one: at_pace(*one), targets))
    # As docs/gateways.md has it. Each gateway by itself would have let nearly CAP pass.
    waits_s = CAP_POLL_S + SHIP_S + SYNC_S + ANSWER_S
    overshoot = int(waits_s * len(targets) * RATE) + len(targets) * (
        CHECKPOINT + 2 * SEND_BUFFER + 256 * 1024
    )
    assert CAP + overshoot < 2 * CAP
    assert CAP <= received <= CAP + overshoot, (received - CAP, overshoot)
    for s3 in clients:
        with pytest.raises(ClientError, match="EgressCapReached"):
            s3.get_object(Bucket="capped", Key="k")


def test_a_cap_of_storage_holds_to_the_byte_through_two_gateways(two: tuple[Started, Started]) -> None:
    home, _ = two
    keys = (home.told["access_key"], home.told["secret_key"])
    clients = [s3_of(one.url, *keys) for one in two]
    clients[0].create_bucket(Bucket="full")
    home.weir("member", "cap", "founder", "--storage-hard", "100000")

    def is_known(s3: Any) -> bool:
        try:
            s3.put_object(Bucket="full", Key="probe", Body=bytes(100_001))
        except ClientError:
            return True
        s3.delete_object(Bucket="full", Key="probe")
        return False

    assert all(eventually(lambda s3=s3: is_known(s3), within_s=30) for s3 in clients)

    def put(number: int) -> int:
        try:
            clients[number % 2].put_object(Bucket="full", Key=str(number), Body=bytes(3_000))
        except ClientError:
            return 0
        return 3_000

    with ThreadPoolExecutor(8) as pool:
        stored = sum(pool.map(put, range(60)))
    # 33 of 3,000 bytes fit into 100,000, and not a byte more is let in.
    assert 99_000 == stored
