"""Ends of connections as a client makes them, and what its own kernel says of the bytes."""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from meter import frame
from meter.event import Event
from meter.reader import chain
from tests.gateway import Credentials, RunningGateway
from tests.traffic import connected, more, signed

HASTY = {"WEIR_DRAIN_TIMEOUT_S": "1", "WEIR_PEER_SILENCE_TIMEOUT_S": "2"}
IMPATIENT = HASTY | {"WEIR_RECEIVE_TIMEOUT_S": "6", "WEIR_SEND_TIMEOUT_S": "2"}
OF_THEIR_OWN = ("whole", "closed", "reset", "our stop", "our kill")
"""Ends that come at once. Until they do the gateway must wait, however slow the machine is."""
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


def patience(end: object) -> dict[str, str]:
    """The gateway's settings for a test of that end."""
    return HASTY if end in OF_THEIR_OWN else IMPATIENT


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    connection.close()


def vanish(connection: socket.socket) -> None:
    """From now on this socket's kernel side hears nothing and so acknowledges nothing: a pulled cable."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def recorded(gateway: RunningGateway) -> list[Event]:
    stream = gateway.data / "journal" / "worker-0"
    return [event for segment in chain(stream) for _, event in frame.events(segment.records)]


def eventually(holds: Callable[[], bool], *, within_s: float = 120, every_s: float = 0.02) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        threading.Event().wait(every_s)


def stand(connection: socket.socket) -> int:
    """What the client's kernel has taken in, once nothing moves any more: its buffer is full, and all is acknowledged."""
    seen: list[int] = []

    def stands_still() -> bool:
        seen.append(bytes_received(connection))
        return seen[-STILL_LOOKS:] == [seen[-1]] * STILL_LOOKS

    eventually(stands_still, every_s=0.05)
    return seen[-1]


def taken(connection: socket.socket) -> bool:
    """Whether the gateway has read all that this connection sent: its socket's queue is empty (proc(5), /proc/net/tcp)."""
    (_, gateway_port), (_, own_port) = connection.getpeername(), connection.getsockname()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if (gateway_port, own_port) == tuple(int(one.partition(":")[2], 16) for one in (local, remote)):
            return int(queues.partition(":")[2], 16) == 0
    return False


def begun(
    gateway: RunningGateway, member: Credentials, path: str, **headers: str
) -> tuple[socket.socket, int]:
    """A download whose receiver reads the head and then nothing, when all stands still; the head's bytes."""
    connection = connected(gateway.port, receive_bytes=64 * 1024)
    connection.sendall(signed(gateway.port, member.access_key, member.secret_key, "GET", path, **headers))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += more(connection, 1)
    stand(connection)
    return connection, len(head)
