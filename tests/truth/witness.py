"""What the gateway's kernel had received of a connection when it ended it, out of the end itself.

A process that is killed with bytes unread ends its connections by a reset. The acknowledgement of what it
had read may have been put off (Linux: 40 ms and more), and then only the reset carries it: a socket does not
take it from there, so SIOCOUTQ goes on to say "not acknowledged". The segments that begin and end connections are
therefore read beside the sockets (a packet socket, which needs CAP_NET_RAW): the number a reset or an end
acknowledges, less the first one of the connection, is what had arrived.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading

ETH_P_IP = 0x0800
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
QUEUE_BYTES = 8 * 2**20
TCP = 6
FIN, SYN, RST, ACK = 1, 2, 4, 16
_TCP = struct.Struct("!HHIIBB")
_STEP = struct.Struct("HBBI")
SEGMENT_BYTES = 96
"""Of each segment: both heads."""


class Witness:
    """Listens on the loopback interface for the beginnings and ends of a port's connections."""

    def __init__(self, gateway_port: int) -> None:
        """Raises PermissionError without CAP_NET_RAW."""
        self._port = gateway_port
        self._began: dict[int, int] = {}
        self._had: dict[int, int] = {}
        self._lock = threading.Lock()
        # Without a protocol it hears nothing, until the filter is there.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            program = ctypes.create_string_buffer(
                b"".join(_STEP.pack(*step) for step in _filter(gateway_port))
            )
            steps = len(program.raw) // _STEP.size
            self._socket.setsockopt(
                socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", steps, ctypes.addressof(program))
            )
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, QUEUE_BYTES)
            self._socket.bind(("lo", ETH_P_IP))
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def had(self, port: int) -> int:
        """Bytes the gateway's kernel had of the connection from that port when it ended it; 0 while it has not.

        An end of ours counts as one byte in it.
        """
        with self._lock:
            while (segment := self._next()) is not None:
                self._take(segment)
            return self._had.get(port, 0)

    def _next(self) -> bytes | None:
        try:
            return self._socket.recv(SEGMENT_BYTES)
        except BlockingIOError:
            return None

    def _take(self, segment: bytes) -> None:
        source, target, sequence, acknowledged, _, flags = _TCP.unpack_from(segment, 4 * (segment[0] & 15))
        if target == self._port and flags & SYN:
            self._began[source] = sequence
            self._had.pop(source, None)
        elif source == self._port and flags & ACK and flags & (FIN | RST) and target in self._began:
            had = (acknowledged - self._began[target] - 1) % 2**32
            self._had[target] = max(had, self._had.get(target, 0))


def _filter(port: int) -> list[tuple[int, int, int, int]]:
    """A classic BPF program: TCP from or to the port, with FIN, SYN or RST."""
    return [
        (0x30, 0, 0, 9), (0x15, 0, 8, TCP),  # the protocol
        (0xB1, 0, 0, 0),  # X: length of the IP head
        (0x50, 0, 0, 13), (0x45, 0, 5, FIN | SYN | RST),
        (0x48, 0, 0, 0), (0x15, 2, 0, port),  # from
        (0x48, 0, 0, 2), (0x15, 0, 1, port),  # to
        (0x06, 0, 0, SEGMENT_BYTES), (0x06, 0, 0, 0),
    ]  # fmt: skip


def may_witness() -> bool:
    """Whether this process may listen to the interface."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
    except PermissionError:
        return False
    return True
