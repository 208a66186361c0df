"""Long transfers by the ways they can end: each operation that sends or takes in much, held against the client's kernel."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pytest
from urllib3.filepost import encode_multipart_formdata

from gateway.operation import Operation
from gateway.wire import unacknowledged
from meter.event import Event, Mark
from meter.live import open_in
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.integration.ending_kit import (
    begun,
    eventually,
    patience,
    recorded,
    reset,
    stand,
    vanish,
)
from tests.traffic import MIB, connected, signed

SIZE = 8 * MIB
SENT = 3 * MIB
BODY = bytes(1000)
LINES_MAX = 40
"""A worker tells its metrics once a second."""
SMALL_BUFFERS = {"WEIR_SEND_BUFFER_BYTES": "65536", "WEIR_RECEIVE_BUFFER_BYTES": "65536"}
"""So that a listing is more than the kernel holds, and a kill costs little."""
HELD_BYTES = MIB
"""What docs/proofs.md lets a kill cost a connection at most."""
KEYS = 120
KEY = "&" * 1000
"""Five bytes each in a listing."""
DOWNLOADS = {
    "/counted/big": Operation.GET_OBJECT,
    "/counted/big?versionId=null": Operation.GET_OBJECT,
    "/counted": Operation.LIST_OBJECTS,
    "/counted?list-type=2": Operation.LIST_OBJECTS_V2,
    "/counted?versions": Operation.LIST_OBJECT_VERSIONS,
    "/counted?uploads": Operation.LIST_MULTIPART_UPLOADS,
}
ENDS = ["reset", "vanished", "takes nothing more", "our stop", "our kill"]


@pytest.fixture
def gateway(tmp_path: Path, database: str, end: str) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path, database, environment=patience(end) | SMALL_BUFFERS) as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.fixture
def member(gateway: RunningGateway) -> Credentials:
    found = gateway.member("alice")
    client(gateway, found).create_bucket(Bucket="counted")
    return found


def stop(gateway: RunningGateway, end: str) -> None:
    """The ends that are ours."""
    if end == "our stop":
        gateway.end(signal.SIGTERM)
    elif end == "our kill":
        gateway.end(signal.SIGKILL)
        gateway.start()


def ended(gateway: RunningGateway, operations: Sequence[Operation]) -> dict[bytes, list[Event]]:
    """The records of exchanges with these operations, once as many have ended; nothing before asked for any of them."""
    codes = {one.code for one in operations}

    def found() -> dict[bytes, list[Event]]:
        events: dict[bytes, list[Event]] = {}
        for event in (one for one in recorded(gateway) if one.operation in codes):
            events.setdefault(event.request_id, []).append(event)
        return events

    eventually(
        lambda: sum(records[-1].marks != Mark.CHECKPOINT for records in found().values()) == len(operations)
    )
    return found()


@pytest.mark.parametrize("end", ENDS)
def test_a_long_answer_that_breaks_off_bills_what_its_receiver_s_kernel_had_acknowledged(
    gateway: RunningGateway, member: Credentials, end: str
) -> None:
    s3 = client(gateway, member)
    s3.put_object(Bucket="counted", Key="big", Body=bytes(SIZE))
    for number in range(KEYS):
        s3.put_object(Bucket="counted", Key=f"{KEY}{number:03}", Body=b"")
        s3.create_multipart_upload(Bucket="counted", Key=f"{KEY}{number:03}")
    opened = [(operation, *begun(gateway, member, path)) for path, operation in DOWNLOADS.items()]
    had = sorted((one.code, stand(connection) - head_bytes) for one, connection, head_bytes in opened)
    for _, connection, _ in opened:
        if end == "reset":
            reset(connection)
        elif end == "vanished":
            vanish(connection)
    stop(gateway, end)
    exchanges = ended(gateway, [operation for operation, _, _ in opened]).values()
    billed = sorted((events[0].operation, sum(one.bytes_out for one in events)) for events in exchanges)
    assert all(bytes_out > 0 for _, bytes_out in had)
    if end == "our kill":
        assert [code for code, _ in had] == [code for code, _ in billed]
        assert all(
            most - HELD_BYTES <= bytes_out <= most
            for (_, bytes_out), (_, most) in zip(billed, had, strict=True)
        )
    else:
        assert had == billed
    for events in exchanges:
        assert events[-1].marks == (Mark.ABORTED | Mark.RECOVERED if end == "our kill" else Mark.ABORTED)
    for _, connection, _ in opened:
        connection.close()


def open_bytes(gateway: RunningGateway) -> list[int]:
    """What exchanges that are still open have taken in."""
    return [one.event.moved_in for one in open_in(gateway.data / "journal" / "worker-0")]


def uploads(gateway: RunningGateway, member: Credentials) -> Iterator[tuple[Operation, bytes, bytes]]:
    """Head and body of each way to send a long body."""
    s3 = client(gateway, member, signature_version="s3v4")
    upload = s3.create_multipart_upload(Bucket="counted", Key="parts")["UploadId"]
    for operation, path in (
        (Operation.PUT_OBJECT, "/counted/put"),
        (Operation.UPLOAD_PART, f"/counted/parts?partNumber=1&uploadId={upload}"),
    ):
        body = bytes(SIZE)
        yield (
            operation,
            signed(gateway.port, member.access_key, member.secret_key, "PUT", path, body=body),
            body,
        )
    form = s3.generate_presigned_post("counted", "from-a-form")
    body, kind = encode_multipart_formdata(
        [*form["fields"].items(), ("file", ("a", bytes(SIZE), "text/plain"))]
    )
    lines = (
        "POST /counted HTTP/1.1",
        "Host: x",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "",
        "",
    )
    yield Operation.POST_OBJECT, "\r\n".join(lines).encode(), body


@pytest.mark.parametrize("end", ["closed", *ENDS])
def test_a_long_body_that_breaks_off_bills_what_had_come(
    gateway: RunningGateway, member: Credentials, end: str
) -> None:
    requests = list(uploads(gateway, member))
    opened = []
    for _, head, body in requests:
        connection = connected(gateway.port)
        connection.sendall(head + body[:SENT])
        opened.append(connection)
        # All of it has arrived, and so has the acknowledgement.
        eventually(lambda one=connection: not unacknowledged(one.fileno()))  # type: ignore[misc]
    if end == "reset":
        # Unread bytes of a socket that is reset are gone: each body must have been read to here.
        eventually(lambda: len(open_bytes(gateway)) == 3 and {SENT} == set(open_bytes(gateway)))
    for connection in opened:
        if end == "closed":
            connection.shutdown(socket.SHUT_WR)
        elif end == "reset":
            reset(connection)
        elif end == "vanished":
            vanish(connection)
    stop(gateway, end)
    exchanges = ended(gateway, [operation for operation, _, _ in requests]).values()
    assert {one.code for one, _, _ in requests} == {events[0].operation for events in exchanges}
    for events in exchanges:
        moved = sum(one.moved_in for one in events)
        billed = sum(one.bytes_in for one in events)
        if end == "our kill":
            assert SENT - HELD_BYTES <= moved <= SENT
            assert Mark.ABORTED | Mark.RECOVERED == events[-1].marks
        else:
            assert SENT == moved
        if end == "takes nothing more":
            # It was there and sent nothing: told so, and a refused upload bills nothing.
            assert (400, 0) == (events[-1].status, billed)
        elif end != "our kill":
            assert (499, Mark.ABORTED) == (events[-1].status, events[-1].marks)
        if end != "takes nothing more":
            assert moved == billed
    for connection in opened:
        connection.close()


def test_a_machine_that_vanished_is_counted_as_such(tmp_path: Path, database: str) -> None:
    # The worker tells its metrics where it has said that it is ready.
    environment = patience("reset") | {"WEIR_METRICS_FD": "1"}
    with running_gateway(tmp_path, database, environment=environment) as gateway:
        found = gateway.member("alice")
        client(gateway, found).create_bucket(Bucket="counted")
        connection = connected(gateway.port)
        head = signed(gateway.port, found.access_key, found.secret_key, "PUT", "/counted/k", body=BODY)
        connection.sendall(head + BODY[:10])
        eventually(lambda: not unacknowledged(connection.fileno()))
        vanish(connection)
        told = gateway.processes[0].stdout
        assert told is not None
        series = 'weir_gateway_vanished_total{operation="PutObject"}'
        aborts = 'weir_gateway_client_aborts_total{operation="PutObject"}'
        # It is known to have vanished a moment before its exchange has ended.
        counted = next(
            one
            for one in (json.loads(line)["counters"] for line in islice(told, LINES_MAX))
            if series in one and aborts in one
        )
        assert (1, 1) == (counted[series], counted[aborts])
        connection.close()
