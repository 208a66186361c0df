"""Every way an exchange can end, and what it bills: held against the client's own kernel, to the byte."""

from __future__ import annotations

import ctypes
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.operation import Level, Operation
from gateway.wire import unacknowledged
from meter import frame
from meter.event import Event, Mark
from meter.reader import chain
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.traffic import MIB, connected, signed

SIZE = 32 * MIB
IMPATIENT = {
    "WEIR_RECEIVE_TIMEOUT_S": "2", "WEIR_SEND_TIMEOUT_S": "2", "WEIR_DRAIN_TIMEOUT_S": "1",
}  # fmt: skip
SO_ATTACH_FILTER = 26
STILL_LOOKS = 10
"""So many looks in a row see the same when nothing moves any more."""
LINGER_NONE = struct.pack("ii", 1, 0)


def bytes_acked(descriptor: socket.socket) -> int:
    """Linux counts what the other side acknowledged: struct tcp_info, at 120 (linux/tcp.h)."""
    return int(
        struct.unpack_from("<Q", descriptor.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 120)[0]
    )


def bytes_received(descriptor: socket.socket) -> int:
    """And what it took in order and acknowledged itself, at 128."""
    return int(
        struct.unpack_from("<Q", descriptor.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 128)[0]
    )


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    connection.close()


def vanish(connection: socket.socket) -> None:
    """From now on this socket's kernel side hears nothing and so acknowledges nothing: a pulled cable."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


@pytest.fixture
def gateway(tmp_path: Path, database: str) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path, database, environment=IMPATIENT) as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.fixture
def member(gateway: RunningGateway) -> Credentials:
    found = gateway.member("alice")
    s3 = client(gateway, found)
    s3.create_bucket(Bucket="counted")
    s3.put_object(Bucket="counted", Key="big", Body=bytes(SIZE))
    return found


def recorded(gateway: RunningGateway) -> list[Event]:
    stream = gateway.data / "journal" / "worker-0"
    return [event for segment in chain(stream) for _, event in frame.events(segment.records)]


def eventually(holds: Callable[[], bool], *, within_s: float = 30, every_s: float = 0.02) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        threading.Event().wait(every_s)


def begun(gateway: RunningGateway, member: Credentials) -> tuple[socket.socket, int]:
    """A download whose receiver reads the head and then nothing, when all stands still; the head's bytes."""
    connection = connected(gateway.port, receive_bytes=64 * 1024)
    connection.sendall(signed(gateway.port, member.access_key, member.secret_key, "GET", "/counted/big"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    seen: list[int] = []

    def stands_still() -> bool:
        seen.append(bytes_received(connection))
        return seen[-STILL_LOOKS:] == [seen[-1]] * STILL_LOOKS

    # Its buffer is full, and its acknowledgements have arrived.
    eventually(stands_still, every_s=0.05)
    return connection, len(head)


def the_download(gateway: RunningGateway) -> list[Event]:
    return [event for event in recorded(gateway) if event.operation == Operation.GET_OBJECT.code]


@pytest.mark.parametrize("end", [reset, vanish, None], ids=["reset", "vanished", "takes nothing more"])
def test_a_download_that_breaks_off_bills_what_the_receiver_s_kernel_had_acknowledged(
    gateway: RunningGateway, member: Credentials, end: Callable[[socket.socket], None] | None
) -> None:
    connection, head_bytes = begun(gateway, member)
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
    connection, head_bytes = begun(gateway, member)
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
    connection, head_bytes = begun(gateway, member)
    had = bytes_received(connection) - head_bytes
    gateway.end(signal.SIGTERM)
    assert had == sum(event.bytes_out for event in the_download(gateway))
    with suppress(ConnectionResetError):
        while connection.recv(MIB):
            continue
    assert had == bytes_received(connection) - head_bytes
    connection.close()


def test_a_kill_of_ours_bills_what_the_receiver_had(gateway: RunningGateway, member: Credentials) -> None:
    connection, head_bytes = begun(gateway, member)
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


# The table of operations by the ways their body can end.

WITHOUT_BODY = frozenset(
    (Operation.COPY_OBJECT, Operation.UPLOAD_PART_COPY, Operation.CREATE_MULTIPART_UPLOAD)
)
WITH_FORM = frozenset((Operation.POST_OBJECT,))
"""Signed within its body; tests/integration/test_post_object.py sees to it."""
WITH_BODY = [
    one
    for one in Operation
    if one.supported and one.method in ("PUT", "POST") and one not in WITHOUT_BODY | WITH_FORM
]
READ_TO_THE_END = frozenset(
    (Operation.PUT_OBJECT, Operation.UPLOAD_PART, Operation.DELETE_OBJECTS, Operation.PUT_OBJECT_TAGGING,
     Operation.COMPLETE_MULTIPART_UPLOAD, Operation.PUT_BUCKET_POLICY, Operation.PUT_BUCKET_CORS,
     Operation.CREATE_BUCKET, Operation.PUT_BUCKET_TAGGING)
)  # fmt: skip
"""At least of these we know that nothing refuses them before their body is read."""
BODY = b"x" * 1000
HALF = len(BODY) // 2


def path_of(operation: Operation, upload: str) -> str:
    """A request's target."""
    if operation is Operation.CREATE_BUCKET:
        return "/another"
    place = "/counted/k" if operation.level is Level.OBJECT else "/counted"
    if operation is Operation.UPLOAD_PART:
        return f"{place}?partNumber=1&uploadId={upload}"
    query = operation.parameter if operation.parameter != "uploadId" else f"uploadId={upload}"
    return f"{place}?{query}" if query else place


@pytest.mark.parametrize("end", ["whole", "half, then closed", "half, then reset", "half, then nothing"])
def test_what_an_operation_bills_is_what_came_of_its_body(
    gateway: RunningGateway, member: Credentials, end: str
) -> None:
    s3 = client(gateway, member)
    s3.put_object(Bucket="counted", Key="k", Body=b"k")
    upload = s3.create_multipart_upload(Bucket="counted", Key="k")["UploadId"]
    before = len(recorded(gateway))
    sent = len(BODY) if end == "whole" else HALF
    open_ones = []
    for operation in WITH_BODY:
        path = path_of(operation, upload)
        head = signed(
            gateway.port, member.access_key, member.secret_key, operation.method, path, body=BODY,
            **{"Content-Length": str(len(BODY))} if operation.method == "POST" else {},
        )  # fmt: skip
        connection = connected(gateway.port)
        connection.sendall(head + BODY[:sent])
        if end == "half, then closed":
            connection.shutdown(socket.SHUT_WR)
        elif end == "half, then reset":
            reset(connection)
        open_ones.append(connection)
        if end == "whole":
            assert connection.recv(65536)
    codes = {one.code for one in WITH_BODY}

    def of_these() -> dict[int, Event]:
        """Others may be recorded late: a client can have its answer a moment before its record is published."""
        return {event.operation: event for event in recorded(gateway)[before:] if event.operation in codes}

    eventually(lambda: codes == set(of_these()))
    events = of_these()
    assert codes == set(events)
    for operation in WITH_BODY:
        event = events[operation.code]
        assert (member.member, member.member) == (event.payer, event.requester), operation
        if event.status == 499:
            assert event.bytes_in == event.moved_in <= sent, operation
        else:
            assert event.bytes_in == (sent if event.status < 400 else 0), operation
        if operation in READ_TO_THE_END and end != "half, then reset":
            assert sent == event.moved_in, operation
            expected = {"half, then closed": 499, "half, then nothing": 400}.get(end, event.status)
            assert expected == event.status, operation
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
