"""What a sender tells while it sends: what the receiver has acknowledged, and nothing before."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from pathlib import Path

import pytest

from gateway.storage.model import FileExtent, MemoryExtent
from gateway.wire import LongSend, ReceiverGone, expect_answers

SO_ATTACH_FILTER = 26
SIZE = 5000


def hears_nothing(connection: socket.socket) -> None:
    """From now on the kernel throws away what comes for this socket, so it acknowledges nothing."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


@pytest.mark.parametrize("in_memory", [True, False])
async def test_what_the_kernel_took_and_nobody_acknowledged_is_not_told(
    tmp_path: Path, in_memory: bool
) -> None:
    path = tmp_path / "object"
    path.write_bytes(bytes(SIZE))
    descriptor = os.open(path, os.O_RDONLY)
    extent = MemoryExtent(bytes(SIZE)) if in_memory else FileExtent(descriptor, 0, SIZE)
    told: list[int] = []
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as there,
    ):
        here, _ = server.accept()
        with here:
            here.setblocking(False)
            hears_nothing(there)
            sending = LongSend(here.fileno(), timeout_s=0.2, bytes_per_s_min=0, on_progress=told.append)
            try:
                with pytest.raises(ReceiverGone):
                    await sending.send(b"head", (extent,))
                assert SIZE == sending.accepted
                assert {0} == set(told)
                assert 0 == sending.delivered
            finally:
                sending.close()
                os.close(descriptor)


async def test_all_is_told_before_the_sending_ends(tmp_path: Path) -> None:
    told: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        here, _ = server.accept()
        with here:
            here.setblocking(False)
            sending = LongSend(here.fileno(), timeout_s=10, bytes_per_s_min=0, on_progress=told.append)
            await sending.send(b"head", (MemoryExtent(bytes(SIZE)), MemoryExtent(bytes(7))))
            sending.close()
    assert SIZE + 7 == told[-1]


async def test_the_kernel_s_clock_for_silence_stands_still_while_a_long_answer_goes_out() -> None:
    """Linux ends a connection whose window stays full for so long, though each probe is answered (tcp_probe_timer)."""
    seen: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        expect_answers(server, silence_s=40)
        with socket.create_connection(server.getsockname()):
            here, _ = server.accept()
            with here:
                here.setblocking(False)

                def patience_ms() -> int:
                    return here.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

                of_probes = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
                assert [20, 5] == [here.getsockopt(socket.IPPROTO_TCP, one) for one in of_probes]
                assert 1 == here.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert 40_000 == patience_ms()
                sending = LongSend(
                    here.fileno(),
                    timeout_s=10,
                    bytes_per_s_min=0,
                    on_progress=lambda _: seen.append(patience_ms()),
                )
                await sending.send(b"head", (MemoryExtent(bytes(SIZE)),))
                sending.close()
                assert {0} == set(seen)
                assert 40_000 == patience_ms()
