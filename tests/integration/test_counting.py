"""What a member is billed for is what moved: counted by clients on raw sockets, compared to the byte."""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.traffic import GET_SIZES, MIB, UNACKNOWLEDGED_BYTES, Traffic, connected, more, signed

# A receiver may leave two full packets unacknowledged (RFC 9293, section 3.8.6.3); loopback's have 64 KiB.


@pytest.fixture
def gateway(tmp_path: Path, database: str) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path, database, workers=2) as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.fixture
def member(gateway: RunningGateway) -> Credentials:
    found = gateway.member("alice")
    client(gateway, found).create_bucket(Bucket="counted")
    return found


def reset(connection: socket.socket) -> None:
    """Close with a RST, as a crashed client does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def body_read(connection: socket.socket, count: int) -> int:
    """Read until `count` body bytes were received; the number read."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += more(connection, 4096)
    got = len(data) - data.index(b"\r\n\r\n") - 4
    while got < count:
        data = connection.recv(min(65536, count - got))
        if not data:
            break
        got += len(data)
    return got


def eventually(gateway: RunningGateway, member: Credentials, requests_b: int) -> int:
    """bytes_out once so many reads are counted; exchanges that were broken off end a moment later."""
    deadline = time.monotonic() + 20
    while True:
        usage = gateway.usage(member.member)
        if usage.requests_b >= requests_b or time.monotonic() > deadline:
            assert requests_b == usage.requests_b
            return usage.bytes_out
        threading.Event().wait(0.05)


def test_whole_exchanges_are_counted_to_the_byte(
    gateway: RunningGateway, member: Credentials, seed: int
) -> None:
    s3 = client(gateway, member)
    sizes = [
        *random.Random(seed).sample(range(3 * MIB), 12),
        0,
        1,
        16 * 1024,
        16 * 1024 + 1,
        64 * 1024,
        64 * 1024 + 1,
    ]
    for number, size in enumerate(sizes):
        s3.put_object(Bucket="counted", Key=f"k{number}", Body=os.urandom(size))
        assert size == len(s3.get_object(Bucket="counted", Key=f"k{number}")["Body"].read())
        s3.head_object(Bucket="counted", Key=f"k{number}")
    usage = gateway.usage(member.member)
    assert (sum(sizes), sum(sizes)) == (usage.bytes_in, usage.bytes_out)
    # CreateBucket and the puts are class A; gets and heads class B.
    assert (1 + len(sizes), 2 * len(sizes)) == (usage.requests_a, usage.requests_b)


def test_errors_head_and_304_bill_no_bytes(gateway: RunningGateway, member: Credentials) -> None:
    s3 = client(gateway, member)
    etag = s3.put_object(Bucket="counted", Key="k", Body=b"x" * 1000)["ETag"]
    before = gateway.usage(member.member)
    for arguments in (
        {"Key": "absent"},
        {"Key": "k", "IfNoneMatch": etag},
        {"Key": "k", "Range": "bytes=5000-"},
    ):
        with pytest.raises(s3.exceptions.ClientError):
            s3.get_object(Bucket="counted", **arguments)
    s3.head_object(Bucket="counted", Key="k")
    after = gateway.usage(member.member)
    assert (before.bytes_in, before.bytes_out) == (after.bytes_in, after.bytes_out)


def test_a_strangers_requests_cost_the_owner_nothing(gateway: RunningGateway, member: Credentials) -> None:
    stranger = gateway.member("mallory")
    s3 = client(gateway, stranger)
    client(gateway, member).put_object(Bucket="counted", Key="k", Body=b"x")
    before = gateway.usage(member.member)
    for _ in range(5):
        with pytest.raises(s3.exceptions.ClientError):
            s3.get_object(Bucket="counted", Key="k")
        with pytest.raises(s3.exceptions.ClientError):
            s3.put_object(Bucket="counted", Key="k", Body=b"y" * 1000)
    assert before.bytes_in == gateway.usage(member.member).bytes_in
    after = gateway.usage(member.member)
    assert (before.requests_a, before.requests_b) == (after.requests_a, after.requests_b)


@pytest.mark.parametrize("wanted", [0, 1, 100_000, 3 * MIB])
def test_a_download_the_client_resets_bills_what_it_had(
    gateway: RunningGateway, member: Credentials, wanted: int
) -> None:
    """Between what the program had read and what its kernel had taken: never the whole object.

    A reset does not acknowledge: what had arrived in the last packets before it is not billed either.
    """
    client(gateway, member).put_object(Bucket="counted", Key="big", Body=bytes(32 * MIB))
    connection = connected(gateway.port, receive_bytes=64 * 1024)
    connection.sendall(signed(gateway.port, member.access_key, member.secret_key, "GET", "/counted/big"))
    got = body_read(connection, wanted)
    queue = connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    reset(connection)
    billed = eventually(gateway, member, 1)
    assert got - UNACKNOWLEDGED_BYTES <= billed <= got + 2 * queue


def test_an_upload_the_client_breaks_off_is_not_stored_and_counts_what_came(
    gateway: RunningGateway, member: Credentials
) -> None:
    head = signed(
        gateway.port, member.access_key, member.secret_key, "PUT", "/counted/cut", body=bytes(8 * MIB)
    )
    before = gateway.usage(member.member).bytes_in
    connection = connected(gateway.port)
    connection.sendall(head + bytes(3 * MIB))
    connection.shutdown(socket.SHUT_WR)
    connection.recv(65536)
    connection.close()
    s3 = client(gateway, member)
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="counted", Key="cut")
    deadline = time.monotonic() + 20
    while gateway.usage(member.member).bytes_in == before and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert before + 3 * MIB == gateway.usage(member.member).bytes_in
    assert 0 == gateway.usage(member.member).byte_us


def test_stored_bytes_follow_puts_overwrites_and_deletes(
    gateway: RunningGateway, member: Credentials
) -> None:
    s3 = client(gateway, member)
    s3.put_object(Bucket="counted", Key="a", Body=b"x" * 1000)
    s3.put_object(Bucket="counted", Key="a", Body=b"x" * 400)
    s3.put_object(Bucket="counted", Key="b", Body=b"x" * 50_000)
    s3.delete_object(Bucket="counted", Key="a")
    s3.delete_object(Bucket="counted", Key="a")
    first, before = gateway.usage(member.member), time.time_ns() // 1000
    threading.Event().wait(0.2)
    second = gateway.usage(member.member)
    # From the first look to the second exactly one object of 50,000 bytes was there.
    assert 50_000 * (second.end_us - first.end_us) == second.byte_us - first.byte_us
    assert second.end_us > before


def test_after_kill_9_what_had_completed_is_counted_once_and_what_was_cut_never_too_much(
    gateway: RunningGateway, member: Credentials, seed: int
) -> None:
    s3 = client(gateway, member)
    for size in GET_SIZES:
        s3.put_object(Bucket="counted", Key=f"g{size}", Body=bytes(size))
    base = gateway.usage(member.member)
    traffic = [Traffic(gateway.port, member.access_key, member.secret_key, seed + n) for n in range(6)]
    for one in traffic:
        one.start()
    chance = random.Random(seed)
    for _ in range(6):
        wanted = sum(one.exchanges for one in traffic) + chance.randrange(20, 120)
        while sum(one.exchanges for one in traffic) < wanted:
            threading.Event().wait(0.01)
        gateway.end(signal.SIGKILL)
        gateway.start()
    for one in traffic:
        one.stopping = True
    for one in traffic:
        one.join(timeout=30)
    usage = gateway.usage(member.member)
    counted_in, counted_out = usage.bytes_in - base.bytes_in, usage.bytes_out - base.bytes_out
    whole_in, whole_out = sum(t.whole_in for t in traffic), sum(t.whole_out for t in traffic)
    cut_in, cut_out = sum(t.cut_in for t in traffic), sum(t.cut_out for t in traffic)
    unsure_in, unsure_out = sum(t.unsure_in for t in traffic), sum(t.unsure_out for t in traffic)
    assert whole_in - unsure_in <= counted_in <= whole_in + cut_in
    assert whole_out - unsure_out <= counted_out <= whole_out + cut_out
