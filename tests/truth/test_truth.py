"""The ground truth at CI's size, and its own checks: what the relay counts, and that the reckoning can fail."""

from __future__ import annotations

import fcntl
import resource
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meter.event import Event, Mark
from meter.ids import BucketId, MemberId
from tests.events import PLAIN
from tests.truth.reckoning import CUT_KINDS, Known, Reckoning, reckon
from tests.truth.relay import End, Seen
from tests.truth.report import table
from tests.truth.rig import ground_truth
from tests.truth.sockets import moving, sees_its_window
from tests.truth.witness import Witness, may_witness

KILLS = 30
MINUTES = 1.0
ALICE = Known("alice", member=1, bucket=7)
SEEN = Seen(
    "alice", "GET", "/b/k", PLAIN.began_us, PLAIN.ended_us, 0, 700, 200, (b"\x01" * 16).hex(), End.WHOLE
)
BILLED = PLAIN._replace(
    payer=MemberId(1), bucket=BucketId(7), bytes_in=0, moved_in=0, bytes_out=700, moved_out=700
)
CUT = BILLED._replace(marks=Mark.ABORTED | Mark.RECOVERED)


@pytest.mark.skipif(not sees_its_window(), reason="TCP_INFO has no tcpi_rcv_wnd before Linux 6.2")
@pytest.mark.skipif(not may_witness(), reason="listening to resets needs CAP_NET_RAW")
def test_what_was_delivered_is_what_is_billed_whatever_is_killed(tmp_path: Path, seed: int) -> None:
    done = ground_truth(tmp_path, kills=KILLS, seed=seed, minutes=MINUTES, tell=print)
    assert [] == done.reckoning.complaints, table(done)
    assert 0 == done.reckoning.line("whole", "out").difference
    assert done.reckoning.line("whole", "out").exchanges > 50
    assert done.kills["gateway"] > 0


def judged(*events: Event, seen: Seen = SEEN, kills: tuple[int, ...] = (), **booked: Any) -> Reckoning:
    paid = sum(one.bytes_in for one in events), sum(one.bytes_out for one in events)
    return reckon([seen], events, booked.get("sums", {1: paid}), clients=[ALICE], worker_kills_us=kills)


def test_an_exchange_billed_to_the_byte_is_no_complaint() -> None:
    assert [] == judged(BILLED).complaints
    assert [] == judged(BILLED._replace(bytes_out=0), seen=replace(SEEN, status=404)).complaints


@pytest.mark.parametrize(
    ("events", "seen", "kills", "word"),
    [
        ([BILLED._replace(bytes_out=699)], SEEN, [], "delivered (0, 700), billed (0, 699)"),
        ([BILLED._replace(bytes_out=701)], SEEN, [], "billed (0, 701)"),
        ([], SEEN, [], "whole: delivered"),
        ([BILLED, BILLED], SEEN, [], "counted as 2 requests"),
        ([BILLED, BILLED._replace(request_id=b"\x02" * 16)], SEEN, [], "nobody saw it"),
        ([BILLED._replace(bytes_out=701)], replace(SEEN, end=End.CLIENT), [], "client: delivered"),
        ([BILLED], replace(SEEN, end=End.GATEWAY), [], "nothing was killed"),
        ([CUT._replace(bytes_out=701)], replace(SEEN, end=End.GATEWAY), [PLAIN.ended_us], "billed 701 of 700"),
        ([CUT._replace(bytes_out=701)], replace(SEEN, end=End.CLIENT), [PLAIN.ended_us], "billed 701 of 700"),
        ([CUT._replace(bytes_out=701)], SEEN, [PLAIN.ended_us], "billed 701 of 700"),
        ([CUT._replace(bytes_out=699)], SEEN, [], "whole: delivered (0, 700), billed (0, 699)"),
        ([BILLED._replace(bytes_out=699)], SEEN, [PLAIN.ended_us], "whole: delivered (0, 700), billed (0, 699)"),
        ([], SEEN, [PLAIN.ended_us], "whole: delivered"),
        (
            [BILLED._replace(bytes_out=699, marks=Mark.ABORTED)], replace(SEEN, end=End.CLIENT),
            [PLAIN.ended_us], "client: delivered",
        ),
        ([CUT], replace(SEEN, bytes_out=2**20 + 701), [PLAIN.ended_us], "were written off"),
        ([], replace(SEEN, end=End.GATEWAY, bytes_out=2**20 + 1), [PLAIN.ended_us], "were written off"),
    ],
)  # fmt: skip
def test_the_reckoning_sees(events: list[Event], seen: Seen, kills: list[int], word: str) -> None:
    assert any(word in one for one in judged(*events, seen=seen, kills=tuple(kills)).complaints)


@pytest.mark.parametrize("end", list(End))
def test_what_a_kill_cut_may_be_billed_less(end: End) -> None:
    told = judged(CUT._replace(bytes_out=0), seen=replace(SEEN, end=end), kills=(PLAIN.ended_us,))
    assert ([], 1) == (told.complaints, told.recovered)
    assert 700 == told.line(CUT_KINDS[end], "out").most_less


def test_two_broken_off_one_right_after_the_other_are_each_billed_by_their_own() -> None:
    """Neither heard a request id, and both records begin within the doubt of two clocks."""
    first = replace(
        SEEN, method="PUT", request_id="", status=0, bytes_in=65_536, bytes_out=0, end=End.CLIENT,
        ended_us=SEEN.began_us + 6_700,
    )  # fmt: skip
    second = replace(first, began_us=first.ended_us + 100, ended_us=first.ended_us + 9_000, bytes_in=24_363)
    one, other = (
        CUT._replace(
            request_id=bytes([number]) * 16, bytes_in=seen.bytes_in, bytes_out=0, moved_out=0, marks=Mark.ABORTED,
            began_us=seen.began_us + 700,
        )
        for number, seen in ((1, first), (2, second))
    )  # fmt: skip
    for events in ([one, other], [other, one]):
        sums = {1: (first.bytes_in + second.bytes_in, 0)}
        told = reckon([first, second], events, sums, clients=[ALICE], worker_kills_us=())
        assert [] == told.complaints


def test_the_reckoning_sees_sums_that_are_not_the_journal_s() -> None:
    assert ["payer 1: the journal holds (0, 700), PostgreSQL (0, 1400)"] == judged(
        BILLED, sums={1: (0, 1400)}
    ).complaints


def test_checkpoints_and_corrections_of_one_request_are_one_sum() -> None:
    pieces = [
        BILLED._replace(bytes_out=600, marks=Mark.CHECKPOINT), BILLED._replace(bytes_out=150),
        BILLED._replace(bytes_out=-50, marks=Mark.CORRECTION),
    ]  # fmt: skip
    assert [] == judged(*pieces).complaints


@pytest.mark.skipif(not may_witness(), reason="listening to resets needs CAP_NET_RAW")
def test_the_witness_knows_what_a_reset_acknowledged_and_the_socket_does_not() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        closing(Witness(server.getsockname()[1])) as witness,
        socket.create_connection(server.getsockname()) as client,
    ):
        port = client.getsockname()[1]
        gateway, _ = server.accept()
        client.sendall(b"read")
        assert b"read" == gateway.recv(4)
        assert 0 == witness.had(port)
        client.sendall(b"and not read")
        gateway.close()
        assert moving([client], [], 10)[0]
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert len(b"readand not read") == witness.had(port)


def test_a_socket_is_waited_for_whatever_its_number() -> None:
    """Where a run keeps many files open, numbers of 1,024 and more are given out, and select(2) has no room for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    here, there = socket.socketpair()
    try:
        with here, there, socket.socket(fileno=fcntl.fcntl(here, fcntl.F_DUPFD, 1024)) as high:
            assert high.fileno() >= 1024
            assert ([], [high]) == moving([high], [high], 10)
            there.sendall(b"x")
            assert ([high], [high]) == moving([high], [high], 10)
            assert ([high], []) == moving([high], [], 10)
            assert b"x" == high.recv(1)
            assert ([], []) == moving([high], [], 0)
            there.close()
            assert ([high], []) == moving([high], [], 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
