"""What a kill -9 finds of an exchange whose refusal was just on its way out."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.accounting import Tab
from gateway.counting import Counting
from gateway.operation import Operation
from gateway.wire import send_at_once
from meter.ids import MemberId
from meter.recorder import Recorder
from meter.settings import MeterSettings


@pytest.mark.parametrize(("status", "billed"), [(400, 0), (503, 0), (200, 279)])
def test_the_words_of_a_refusal_are_never_billed(tmp_path: Path, status: int, billed: int) -> None:
    recorder = Recorder(tmp_path / "worker", MeterSettings(data=tmp_path), slots_max=1)
    sender, receiver = socket.socketpair()
    sender.setblocking(False)
    with sender, receiver:
        # Until the kernel takes no more, so that the exchange stays open.
        while send_at_once(sender.fileno(), bytes(65536), b""):
            continue
        tab = Tab(bytes(16), 1, Operation.PUT_OBJECT, MemberId(1), MemberId(1), authorised=True)
        counting = Counting(tab, recorder, lambda: 2)
        counting.begin_long()
        counting.received(1000)
        assert 0 == counting.send_short(sender.fileno(), b"head", bytes(279), status=status)
        (found,) = recorder._ongoing.left_over()
        assert (1000, billed) == (found.event.bytes_in, found.event.bytes_out)
    recorder.close()
