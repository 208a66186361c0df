"""What the kernel says of a socket."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
from collections.abc import Iterable

STEP_BYTES = 256 * 1024
_INT = struct.Struct("i")
WINDOW_AT = 232
_WINDOW = struct.Struct("=I")


def queued(one: socket.socket, request: int) -> int:
    """Bytes in a socket's queue: SIOCINQ (FIONREAD) received and not read, SIOCOUTQ not acknowledged."""
    answer: bytes = fcntl.ioctl(one.fileno(), request, b"\0\0\0\0")
    return int(_INT.unpack(answer)[0])


def moving(
    reads: Iterable[socket.socket], writes: Iterable[socket.socket], timeout_s: float
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Which of them can be read and which written, errors and ends included; none of either once the time is up.

    select.select knows no descriptor above 1023, and a process that has run many tests may be given one.
    """
    reads, writes = list(reads), list(writes)
    asked = {one.fileno(): 0 for one in (*reads, *writes)}
    for one in reads:
        asked[one.fileno()] |= select.POLLIN
    for one in writes:
        asked[one.fileno()] |= select.POLLOUT
    poll = select.poll()
    for descriptor, events in asked.items():
        poll.register(descriptor, events)
    found = dict(poll.poll(timeout_s * 1000))
    ended = select.POLLHUP | select.POLLERR
    return (
        [one for one in reads if found.get(one.fileno(), 0) & (select.POLLIN | ended)],
        [one for one in writes if found.get(one.fileno(), 0) & (select.POLLOUT | select.POLLERR)],
    )


def has_ended(one: socket.socket) -> bool:
    """Whether the other side's end has arrived, perhaps behind bytes that nobody has read."""
    poll = select.poll()
    poll.register(one, select.POLLRDHUP)
    return bool(poll.poll(0))


def window_bytes(one: socket.socket) -> int:
    """What our last acknowledgement still let the other side send (tcpi_rcv_wnd, since Linux 6.2)."""
    info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(_WINDOW.unpack_from(info, WINDOW_AT)[0])


def sees_its_window() -> bool:
    """Whether this kernel tells a program the window it announced."""
    with socket.socket() as one:
        return len(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)) >= WINDOW_AT + _WINDOW.size


def receive(one: socket.socket) -> bytes | None:
    """What is there: None when it is nothing yet, no bytes when the other side has ended, by whatever means."""
    try:
        return one.recv(STEP_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""
