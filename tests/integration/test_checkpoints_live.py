"""Long transfers over real sockets leave records while they run, and a failure takes them back."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.operation import Operation
from meter import frame
from meter.event import Event, Mark
from meter.reader import chain
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.traffic import MIB, connected, more, signed


@pytest.fixture
def gateway(tmp_path: Path, database: str) -> Iterator[RunningGateway]:
    often = {"WEIR_CHECKPOINT_BYTES": str(MIB), "WEIR_CHECKPOINT_INTERVAL_S": "1"}
    with running_gateway(tmp_path, database, environment=often) as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.fixture
def member(gateway: RunningGateway) -> Credentials:
    found = gateway.member("alice")
    client(gateway, found).create_bucket(Bucket="counted")
    return found


def recorded(gateway: RunningGateway) -> list[Event]:
    """What the worker's stream holds, but for the bucket; the last record of an exchange may move nothing any more."""
    stream = gateway.data / "journal" / "worker-0"
    events = [event for segment in chain(stream) for _, event in frame.events(segment.records)]
    return [event for event in events if event.operation != Operation.CREATE_BUCKET.code]


def once(gateway: RunningGateway, holds: Callable[[list[Event]], bool]) -> list[Event]:
    """The records as soon as that is true of them."""
    deadline = time.monotonic() + 20
    while not holds(events := recorded(gateway)):
        assert time.monotonic() < deadline, events
        threading.Event().wait(0.01)
    return events


def test_an_upload_that_stands_still_is_recorded_while_it_does(
    gateway: RunningGateway, member: Credentials
) -> None:
    head = signed(gateway.port, member.access_key, member.secret_key, "PUT", "/counted/k", body=bytes(MIB))
    with connected(gateway.port) as connection:
        connection.sendall(head + bytes(200_000))
        (checkpoint,) = once(gateway, lambda events: len(events) > 0)
        assert (200_000, Mark.CHECKPOINT) == (checkpoint.bytes_in, checkpoint.marks)
        connection.sendall(bytes(MIB - 200_000))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    events = once(gateway, lambda events: not events[-1].marks)
    assert MIB == sum(event.bytes_in for event in events)
    assert {checkpoint.request_id} == {event.request_id for event in events}
    usage = gateway.usage(member.member)
    assert (MIB, 2) == (usage.bytes_in, usage.requests_a)


def test_a_download_whose_receiver_stands_still_is_recorded_at_what_it_acknowledged(
    gateway: RunningGateway, member: Credentials
) -> None:
    client(gateway, member).put_object(Bucket="counted", Key="k", Body=bytes(32 * MIB))
    began = len(once(gateway, lambda events: bool(events) and not events[-1].marks))
    with connected(gateway.port, receive_bytes=64 * 1024) as connection:
        connection.sendall(signed(gateway.port, member.access_key, member.secret_key, "GET", "/counted/k"))
        first = once(gateway, lambda events: len(events) > began)[began]
        # Its kernel took what has room in its buffer, doubled as Linux does, and acknowledged that.
        assert 0 < first.bytes_out < MIB
        assert Mark.CHECKPOINT == first.marks
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < 32 * MIB:
            got += more(connection, MIB)
    events = once(gateway, lambda events: not events[-1].marks)[began:]
    assert 32 * MIB == sum(event.bytes_out for event in events)
    # Each holds a mebibyte and what one more step acknowledged; the end comes at once.
    assert 10 < len(events)


def test_a_body_that_was_not_what_was_promised_costs_nothing(
    gateway: RunningGateway, member: Credentials
) -> None:
    s3, body = client(gateway, member), os.urandom(5 * MIB + 3)
    wrong = base64.b64encode(hashlib.md5(b"another").digest()).decode()
    with pytest.raises(s3.exceptions.ClientError, match="BadDigest"):
        s3.put_object(Bucket="counted", Key="k", Body=body, ContentMD5=wrong)
    events = once(gateway, lambda events: events[-1].status == 400)
    assert 4 < len(events)
    assert [Mark.CORRECTION, Mark.NONE] == [event.marks for event in events[-2:]]
    assert 0 == sum(event.bytes_in for event in events)
    assert 5 * MIB + 3 == sum(event.moved_in for event in events)


def test_a_form_is_recorded_piece_by_piece_too(gateway: RunningGateway, member: Credentials) -> None:
    link = client(gateway, member, signature_version="s3v4").generate_presigned_post("counted", "form")
    boundary, size = "edge", 3 * MIB
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in link["fields"].items()
    ]
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n')
    body = "".join(parts).encode() + bytes(size) + f"\r\n--{boundary}--\r\n".encode()
    with connected(gateway.port) as connection:
        head = (
            f"POST /counted HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 204")
    events = once(gateway, lambda events: not events[-1].marks)
    assert 1 < len(events)
    assert len(body) == sum(event.bytes_in for event in events)
