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


@pytest.mark.parametrize(("status", "bills"), [(400, False), (503, False), (200, True)])
def test_what_is_about_to_be_said_is_not_billed_and_of_a_refusal_nothing_is(
    tmp_path: Path, status: int, bills: bool
) -> None:
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
        assert (1000, 0, bills) == (found.event.moved_in, found.event.moved_out, found.bills)
    recorder.close()
