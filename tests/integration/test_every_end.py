"""Every way an exchange can end, and what it bills: held against the client's own kernel, to the byte."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from urllib3.filepost import encode_multipart_formdata

from gateway.operation import Level, Operation
from gateway.wire import unacknowledged
from meter.event import Event, Mark
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.integration.ending_kit import (
    begun,
    bytes_acked,
    bytes_received,
    eventually,
    patience,
    recorded,
    reset,
    taken,
    vanish,
)
from tests.traffic import MIB, connected, signed

SIZE = 32 * MIB


@pytest.fixture
def gateway(tmp_path: Path, database: str, request: pytest.FixtureRequest) -> Iterator[RunningGateway]:
    ends = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    with running_gateway(tmp_path, database, environment=patience(ends.get("end"))) as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.fixture
def member(gateway: RunningGateway) -> Credentials:
    found = gateway.member("alice")
    s3 = client(gateway, found)
    s3.create_bucket(Bucket="counted")
    s3.put_object(Bucket="counted", Key="big", Body=bytes(SIZE))
    return found


def the_download(gateway: RunningGateway) -> list[Event]:
    return [event for event in recorded(gateway) if event.operation == Operation.GET_OBJECT.code]


@pytest.mark.parametrize("end", [reset, vanish, None], ids=["reset", "vanished", "takes nothing more"])
def test_a_download_that_breaks_off_bills_what_the_receiver_s_kernel_had_acknowledged(
    gateway: RunningGateway, member: Credentials, end: Callable[[socket.socket], None] | None
) -> None:
    connection, head_bytes = begun(gateway, member, "/counted/big")
    had = bytes_received(connection) - head_bytes
    if end is not None:
        end(connection)
    eventually(lambda: any(event.marks & Mark.ABORTED for event in the_download(gateway)))
    events = the_download(gateway)
    assert 0 < had < SIZE
    assert had == sum(event.bytes_out for event in events)
    assert [Mark.ABORTED] == [event.marks for event in events if event.marks != Mark.CHECKPOINT]
    connection.close()


def test_a_receiver_that_has_said_all_it_had_to_say_is_served_to_the_end_or_billed_what_it_got(
    gateway: RunningGateway, member: Credentials
) -> None:
    connection, head_bytes = begun(gateway, member, "/counted/big")
    connection.shutdown(socket.SHUT_WR)
    got = 0
    try:
        while more := connection.recv(MIB):
            got += len(more)
    except ConnectionResetError:
        got = bytes_received(connection) - head_bytes
    eventually(lambda: any(event.marks != Mark.CHECKPOINT for event in the_download(gateway)))
    billed = sum(event.bytes_out for event in the_download(gateway))
    assert billed <= got
    assert got == SIZE or got - billed <= MIB
    connection.close()


def test_a_stop_of_ours_bills_what_the_receiver_had_and_delivers_nothing_behind_it(
    gateway: RunningGateway, member: Credentials
) -> None:
    connection, head_bytes = begun(gateway, member, "/counted/big")
    had = bytes_received(connection) - head_bytes
    gateway.end(signal.SIGTERM)
    assert had == sum(event.bytes_out for event in the_download(gateway))
    with suppress(ConnectionResetError):
        while connection.recv(MIB):
            continue
    assert had == bytes_received(connection) - head_bytes
    connection.close()


def test_a_kill_of_ours_bills_what_the_receiver_had(gateway: RunningGateway, member: Credentials) -> None:
    connection, head_bytes = begun(gateway, member, "/counted/big")
    had = bytes_received(connection) - head_bytes
    gateway.end(signal.SIGKILL)
    gateway.start()
    (event,) = the_download(gateway)
    assert Mark.ABORTED | Mark.RECOVERED == event.marks
    # The kernel sends on what it holds of the dead; what was acknowledged a second ago is the least.
    assert had - MIB <= event.bytes_out <= had
    connection.close()


def agreed(sender: socket.socket, whole: int) -> None:
    """Both counts see as much acknowledged; an acknowledgement may arrive between the two looks."""
    eventually(lambda: whole - unacknowledged(sender.fileno()) == bytes_acked(sender))


def test_what_is_unacknowledged_by_one_count_is_what_is_not_acknowledged_by_the_other() -> None:
    """SIOCOUTQ, by which we bill, beside TCP_INFO's bytes_acked; at each stand, and after a reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = socket.socket()
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        receiver.connect(listener.getsockname())
        sender, _ = listener.accept()
    sender.setblocking(False)
    base, accepted = bytes_acked(sender), 0
    for _ in range(20):
        try:
            while True:
                accepted += sender.send(bytes(100_000))
        except BlockingIOError:
            pass
        receiver.recv(50_000)
        agreed(sender, accepted + base)
    before = bytes_acked(sender) - base
    assert 0 < before < accepted
    reset(receiver)
    eventually(lambda: sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 7)  # TCP_CLOSE
    assert before == bytes_acked(sender) - base == accepted - unacknowledged(sender.fileno())
    sender.close()


# The table of operations by the ways their request can end.

WITHOUT_BODY = (Operation.COPY_OBJECT, Operation.UPLOAD_PART_COPY, Operation.CREATE_MULTIPART_UPLOAD)
"""Theirs is a head alone."""
WITH_BODY = [
    one for one in Operation if one.supported and one.method in ("PUT", "POST") and one not in WITHOUT_BODY
]
READ_TO_THE_END = frozenset(
    (Operation.PUT_OBJECT, Operation.UPLOAD_PART, Operation.DELETE_OBJECTS, Operation.PUT_OBJECT_TAGGING,
     Operation.COMPLETE_MULTIPART_UPLOAD, Operation.PUT_BUCKET_POLICY, Operation.PUT_BUCKET_CORS,
     Operation.CREATE_BUCKET, Operation.PUT_BUCKET_TAGGING, Operation.POST_OBJECT)
)  # fmt: skip
"""At least of these we know that nothing refuses them before their body is read."""
BODY = b"x" * 1000
STATUS_OF_ENDS = {"closed": 499, "vanished": 499, "our stop": 499, "nothing more": 400}
"""Of a request whose body stops half-way. One that is reset may have been read or not."""


def path_of(operation: Operation, upload: str) -> str:
    """A request's target."""
    if operation is Operation.CREATE_BUCKET:
        return "/another"
    if operation is Operation.COPY_OBJECT:
        return "/counted/copy"
    place = "/counted/k" if operation.level is Level.OBJECT else "/counted"
    if operation in (Operation.UPLOAD_PART, Operation.UPLOAD_PART_COPY):
        return f"{place}?partNumber=1&uploadId={upload}"
    query = operation.parameter if operation.parameter != "uploadId" else f"uploadId={upload}"
    return f"{place}?{query}" if query else place


def asked(
    gateway: RunningGateway, member: Credentials, operation: Operation, upload: str
) -> tuple[bytes, bytes]:
    """A whole request of that operation: its head, and its body."""
    if operation is Operation.POST_OBJECT:
        form = client(gateway, member, signature_version="s3v4").generate_presigned_post(
            "counted", "from-a-form"
        )
        body, kind = encode_multipart_formdata([*form["fields"].items(), ("file", ("a", BODY, "text/plain"))])
        lines = (
            "POST /counted HTTP/1.1",
            "Host: x",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "",
            "",
        )
        return "\r\n".join(lines).encode(), body
    has_body = operation not in WITHOUT_BODY
    headers = {"Content-Length": str(len(BODY))} if has_body and operation.method == "POST" else {}
    if operation in (Operation.COPY_OBJECT, Operation.UPLOAD_PART_COPY):
        headers["x-amz-copy-source"] = "/counted/k"
    body = BODY if has_body else b""
    head = signed(
        gateway.port, member.access_key, member.secret_key, operation.method, path_of(operation, upload), body=body,
        **headers,
    )  # fmt: skip
    return head, body


def end_all(gateway: RunningGateway, end: str, connections: list[socket.socket]) -> None:
    """Have all requests end so."""
    for connection in connections:
        if end == "closed":
            connection.shutdown(socket.SHUT_WR)
        elif end == "reset":
            reset(connection)
        elif end == "vanished":
            # All it sent has arrived; from now on it answers nothing.
            eventually(lambda one=connection: not unacknowledged(one.fileno()))  # type: ignore[misc]
            vanish(connection)
        elif end == "whole":
            assert connection.recv(65536)
    if end == "our stop":
        # What waits unread then was never a request.
        eventually(lambda: all(map(taken, connections)))
        gateway.end(signal.SIGTERM)
    elif end == "our kill":
        eventually(lambda: all(map(taken, connections)))
        gateway.end(signal.SIGKILL)
        gateway.start()


@pytest.mark.parametrize(
    "end", ["whole", "closed", "reset", "nothing more", "vanished", "our stop", "our kill"]
)
def test_what_an_operation_bills_is_what_came_of_its_body(
    gateway: RunningGateway, member: Credentials, end: str
) -> None:
    s3 = client(gateway, member)
    s3.put_object(Bucket="counted", Key="k", Body=b"k")
    upload = s3.create_multipart_upload(Bucket="counted", Key="k")["UploadId"]
    eventually(lambda: Operation.CREATE_MULTIPART_UPLOAD.code in {one.operation for one in recorded(gateway)})
    before, open_ones, sent = len(recorded(gateway)), [], {}
    for operation in WITH_BODY:
        head, body = asked(gateway, member, operation, upload)
        sent[operation] = len(body) if end == "whole" else len(body) // 2
        connection = connected(gateway.port)
        connection.sendall(head + body[: sent[operation]])
        open_ones.append(connection)
    end_all(gateway, end, open_ones)
    codes = {one.code for one in WITH_BODY}

    def of_these() -> dict[int, Event]:
        """Others may be recorded late: a client can have its answer a moment before its record is published."""
        return {event.operation: event for event in recorded(gateway)[before:] if event.operation in codes}

    # Of what was killed those are told whose payer was known by then.
    eventually(lambda: bool(of_these()) if end == "our kill" else codes == set(of_these()))
    for operation, event in ((Operation(code), event) for code, event in of_these().items()):
        assert event.bytes_in <= event.moved_in <= sent[operation], operation
        assert (member.member, member.member) == (event.payer, event.requester) or (
            operation is Operation.POST_OBJECT and event.status in (400, 499)
        ), operation
        if event.status == 499:
            assert event.bytes_in == (event.moved_in if event.payer else 0), operation
        else:
            assert event.bytes_in == (sent[operation] if event.status < 400 else 0), operation
        if operation in READ_TO_THE_END and end in ("whole", *STATUS_OF_ENDS):
            assert sent[operation] == event.moved_in, operation
            assert STATUS_OF_ENDS.get(end, event.status) == event.status, operation
    for connection in open_ones:
        connection.close()


@pytest.mark.parametrize("end", ["whole", "closed", "reset", "vanished", "our stop", "our kill"])
def test_a_copy_bills_no_bytes_but_its_answer_s_however_it_ends(
    gateway: RunningGateway, member: Credentials, end: str
) -> None:
    s3 = client(gateway, member)
    s3.put_object(Bucket="counted", Key="k", Body=bytes(8 * MIB))
    upload = s3.create_multipart_upload(Bucket="counted", Key="k")["UploadId"]
    eventually(lambda: Operation.CREATE_MULTIPART_UPLOAD.code in {one.operation for one in recorded(gateway)})
    before, open_ones, codes = len(recorded(gateway)), [], {one.code for one in WITHOUT_BODY}
    for operation in WITHOUT_BODY:
        connection = connected(gateway.port)
        connection.sendall(asked(gateway, member, operation, upload)[0])
        open_ones.append(connection)
    if end == "our stop":
        # What was not begun when we stop is not an exchange.
        eventually(lambda: all(bytes_received(one) for one in open_ones))
    end_all(gateway, end, open_ones)

    def of_these() -> list[Event]:
        return [event for event in recorded(gateway)[before:] if event.operation in codes]

    if end in ("whole", "closed", "vanished", "our stop"):
        eventually(lambda: codes == {event.operation for event in of_these()})
    assert len(of_these()) == len({event.operation for event in of_these()})
    for event in of_these():
        assert (0, 0, member.member) == (event.bytes_in, event.moved_in, event.payer)
        assert event.bytes_out in (0, event.moved_out)
        assert event.moved_out < 1000
        assert event.status == 200 or event.marks & Mark.ABORTED
    for connection in open_ones:
        connection.close()


def test_an_anonymous_read_and_another_member_s_are_paid_by_the_owner(
    gateway: RunningGateway, member: Credentials
) -> None:
    guest = gateway.member("bob")
    s3 = client(gateway, member)
    s3.put_object(Bucket="counted", Key="public", Body=bytes(5000))
    s3.put_bucket_policy(
        Bucket="counted",
        Policy='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",'
        '"Action":"s3:GetObject","Resource":"arn:aws:s3:::counted/public"}]}',
    )
    with connected(gateway.port) as connection:
        connection.sendall(b"GET /counted/public HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while connection.recv(65536):
            continue
    client(gateway, guest).get_object(Bucket="counted", Key="public")["Body"].read()
    eventually(lambda: len(the_download(gateway)) == 2)
    assert [(member.member, 0, 5000), (member.member, guest.member, 5000)] == [
        (event.payer, event.requester, event.bytes_out) for event in the_download(gateway)
    ]
