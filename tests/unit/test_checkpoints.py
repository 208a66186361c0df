"""Long exchanges are recorded piece by piece: each byte once, in its hour, whenever the process is killed."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from gateway.accounting import Tab
from gateway.counting import Checkpoints, Counting, CutOff
from gateway.operation import Operation
from meter import frame
from meter.event import Event, Mark
from meter.ids import MemberId
from meter.reader import chain
from meter.recorder import Recorder
from meter.settings import MeterSettings
from tests.events import NOON_US

SETTINGS = MeterSettings(journal_segment_bytes_max=2**20)
MIB = 2**20
SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
DECEMBER_US = 1_796_083_200_000_000  # 2026-12-01T00:00:00Z, checked with `date -u -d @1796083200`


class Clock:
    """A clock that stands until it is set."""

    def __init__(self, now_us: int = NOON_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


def tab(began_us: int = NOON_US, operation: Operation = Operation.PUT_OBJECT) -> Tab:
    return Tab(b"\x09" * 16, began_us, operation, MemberId(1), MemberId(1), authorised=True)


def recorded(directory: Path) -> list[Event]:
    return [event for segment in chain(directory) for _, event in frame.events(segment.records)]


def run(
    directory: Path, exchange: Callable[[Counting, Clock], None], checkpoints: Checkpoints | None = None
) -> list[Event]:
    """What an exchange leaves in the journal."""
    recorder, clock = Recorder(directory, SETTINGS, slots_max=4), Clock()
    counting = Counting(tab(), recorder, clock, checkpoints or Checkpoints())
    counting.begin_long()
    try:
        exchange(counting, clock)
    finally:
        recorder.close()
    return recorded(directory)


def test_every_64_mib_that_came_in_leave_a_record_with_what_moved_since(tmp_path: Path) -> None:
    def upload(counting: Counting, clock: Clock) -> None:
        for _ in range(150):
            clock.now_us += 1000
            counting.received(MIB)
        counting.end(status=200, moved_out=0, aborted=False)

    events = run(tmp_path, upload)
    assert [64 * MIB, 64 * MIB, 22 * MIB] == [event.bytes_in for event in events]
    assert [64 * MIB, 64 * MIB, 22 * MIB] == [event.moved_in for event in events]
    assert [Mark.CHECKPOINT, Mark.CHECKPOINT, Mark.NONE] == [event.marks for event in events]
    assert [NOON_US + 64_000, NOON_US + 128_000, NOON_US + 150_000] == [event.ended_us for event in events]
    assert {b"\x09" * 16} == {event.request_id for event in events}


def test_every_five_seconds_leave_a_record_if_anything_was_acknowledged(tmp_path: Path) -> None:
    def download(counting: Counting, clock: Clock) -> None:
        acknowledged = 0
        for second in range(1, 21):
            clock.now_us += SECOND_US
            acknowledged += 1000 if second <= 7 else 0
            counting.sent(acknowledged)
        counting.end(status=200, moved_out=acknowledged, aborted=True)

    events = run(tmp_path, download)
    assert [5000, 2000, 0] == [event.bytes_out for event in events]
    assert [5, 10, 20] == [(event.ended_us - NOON_US) // SECOND_US for event in events]
    assert [Mark.CHECKPOINT, Mark.CHECKPOINT, Mark.ABORTED] == [event.marks for event in events]


def test_what_is_acknowledged_after_the_last_checkpoint_is_in_the_last_record(tmp_path: Path) -> None:
    def download(counting: Counting, clock: Clock) -> None:
        clock.now_us += 6 * SECOND_US
        counting.sent(900)
        counting.end(status=200, moved_out=950, aborted=True)

    assert [900, 50] == [event.bytes_out for event in run(tmp_path, download)]


@pytest.mark.parametrize("began_us", [NOON_US, 1_796_083_200_000_000 - HOUR_US])  # 2026-12-01T00:00:00Z
def test_bytes_land_in_the_hour_in_which_they_moved(tmp_path: Path, began_us: int) -> None:
    recorder, clock = Recorder(tmp_path, SETTINGS, slots_max=4), Clock(began_us + HOUR_US - 2 * SECOND_US)
    counting = Counting(tab(clock.now_us), recorder, clock)
    counting.begin_long()
    counting.received(700)
    clock.now_us += 3 * SECOND_US
    counting.received(50)
    counting.end(status=200, moved_out=0, aborted=False)
    recorder.close()
    assert [(700, began_us + HOUR_US - 1), (50, began_us + HOUR_US + SECOND_US)] == [
        (event.bytes_in, event.ended_us) for event in recorded(tmp_path)
    ]


def test_what_moved_before_the_month_s_end_stays_there_when_only_the_end_comes_after(tmp_path: Path) -> None:
    recorder, clock = Recorder(tmp_path, SETTINGS, slots_max=4), Clock(DECEMBER_US - 2 * SECOND_US)
    counting = Counting(tab(clock.now_us), recorder, clock)
    counting.begin_long()
    counting.received(700)
    clock.now_us = DECEMBER_US + SECOND_US
    counting.end(status=200, moved_out=0, aborted=False)
    recorder.close()
    found = recorded(tmp_path)
    assert [700, 0] == [event.bytes_in for event in found]
    assert [DECEMBER_US - 1, DECEMBER_US + SECOND_US] == [event.ended_us for event in found]


def test_a_clock_that_is_set_back_a_day_stops_no_checkpoint_and_makes_no_negative_time(
    tmp_path: Path,
) -> None:
    def upload(counting: Counting, clock: Clock) -> None:
        counting.received(1)
        clock.now_us -= 24 * HOUR_US
        counting.received(10)
        clock.now_us += 6 * SECOND_US
        counting.received(100)
        clock.now_us += SECOND_US
        counting.received(1000)
        counting.end(status=200, moved_out=0, aborted=False)

    events = run(tmp_path, upload)
    assert [111, 1000] == [event.bytes_in for event in events]
    assert all(event.ended_us >= event.began_us for event in events)


def test_a_failure_takes_back_what_its_checkpoints_billed(tmp_path: Path) -> None:
    def upload(counting: Counting, clock: Clock) -> None:
        del clock
        counting.received(64 * MIB)
        counting.received(5)
        counting.end(status=400, moved_out=279, aborted=False)

    first, back, last = run(tmp_path, upload)
    assert (64 * MIB, -64 * MIB, 0) == (first.bytes_in, back.bytes_in, last.bytes_in)
    # What moved, moved.
    assert (64 * MIB, 0, 5) == (first.moved_in, back.moved_in, last.moved_in)
    assert (Mark.CORRECTION, first.request_id) == (back.marks, back.request_id)
    assert (first.payer, first.bucket, first.operation, first.request_class, first.zone) == (
        back.payer, back.bucket, back.operation, back.request_class, back.zone,
    )  # fmt: skip
    assert (0, 0, 279) == (back.bytes_out, last.bytes_out, last.moved_out)


def test_a_client_that_left_pays_for_what_moved(tmp_path: Path) -> None:
    def upload(counting: Counting, clock: Clock) -> None:
        del clock
        counting.received(64 * MIB)
        counting.received(5)
        counting.end(status=499, moved_out=0, aborted=True)

    assert [64 * MIB, 5] == [event.bytes_in for event in run(tmp_path, upload)]


def test_whoever_is_told_of_a_checkpoint_can_end_the_transfer(tmp_path: Path) -> None:
    told: list[int] = []

    def tell(event: Event) -> None:
        told.append(event.bytes_in)
        if len(told) == 2:
            raise CutOff

    def upload(counting: Counting, clock: Clock) -> None:
        del clock
        for _ in range(3):
            counting.received(3 * MIB)
        with pytest.raises(CutOff):
            counting.received(3 * MIB)
        counting.end(status=499, moved_out=0, aborted=True)

    events = run(tmp_path, upload, Checkpoints(bytes_max=4 * MIB, on_checkpoint=tell))
    assert [6 * MIB, 6 * MIB] == told
    assert [6 * MIB, 6 * MIB, 0] == [event.bytes_in for event in events]


def test_without_room_in_the_journal_a_transfer_goes_on_in_its_place(tmp_path: Path) -> None:
    class Narrow(Recorder):
        @property
        def has_room(self) -> bool:
            return False

    recorder = Narrow(tmp_path, SETTINGS, slots_max=4)
    counting = Counting(tab(), recorder, Clock())
    counting.begin_long()
    counting.received(65 * MIB)
    counting.end(status=200, moved_out=0, aborted=False)
    recorder.close()
    assert [65 * MIB] == [event.bytes_in for event in recorded(tmp_path)]


# What follows kills a process, by itself, after each of its steps in turn: after every so many bytecodes of the
# modules that count. The mapped files outlive it as they outlive kill -9.

PLACES = (
    "meter/ongoing.py",
    "meter/recorder.py",
    "meter/journal.py",
    "meter/frame.py",
    "gateway/counting.py",
)
STATED = struct.Struct("<qq")


class Killer:
    """Kills this process after so many bytecodes of the modules that count."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, traced: FrameType, event: str, _: object) -> object:
        if not traced.f_code.co_filename.endswith(PLACES):
            return None
        traced.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def killed(act: Callable[[], None], *, after: int) -> bool:
    """Whether the act, in a process of its own, was killed before it had ended."""
    child = os.fork()
    if not child:
        try:
            sys.settrace(Killer(after))  # type: ignore[arg-type]
            act()
            sys.settrace(None)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def exchange_on(directory: Path, stated: mmap.mmap, *, status: int) -> Callable[[], None]:
    """An exchange that states beforehand between which two sums its next step lies."""

    def act() -> None:
        traced = sys.gettrace()
        sys.settrace(None)
        recorder, clock = Recorder(directory, SETTINGS, slots_max=2), Clock()
        sys.settrace(traced)
        counting = Counting(tab(), recorder, clock, Checkpoints(bytes_max=250))
        counting.begin_long()
        for number in range(7):
            STATED.pack_into(stated, 0, 100 * number, 100 * number + 100)
            counting.received(100)
        STATED.pack_into(stated, 0, 700, 700 if status < 400 else 0)
        counting.end(status=status, moved_out=0, aborted=False)
        STATED.pack_into(stated, 0, *((700, 700) if status < 400 else (0, 0)))

    return act


def recover(directory: Path) -> Callable[[], None]:
    def act() -> None:
        recorder = Recorder(directory, SETTINGS, slots_max=2)
        recorder._stopping.set()

    return act


@pytest.mark.parametrize("status", [200, 400])
def test_a_kill_at_any_step_counts_each_byte_once(tmp_path: Path, seed: int, status: int) -> None:
    stated = mmap.mmap(-1, STATED.size)
    step, was_killed = 1 + seed % 40, True
    kills = 0
    while was_killed:
        directory = tmp_path / str(step)
        STATED.pack_into(stated, 0, 0, 0)
        was_killed = killed(exchange_on(directory, stated, status=status), after=step)
        # The first who cleans up is killed in the middle of it, the second is not.
        killed(recover(directory), after=1 + step * 7 % 1500)
        Recorder(directory, SETTINGS, slots_max=2).close()
        events = recorded(directory)
        low, high = STATED.unpack_from(stated, 0)
        assert sum(event.bytes_in for event in events) in (low, high), step
        ends = [event for event in events if not event.marks & (Mark.CHECKPOINT | Mark.CORRECTION)]
        assert len(ends) == 1 or (not events and low == 0), step
        assert sum(event.moved_in for event in events) in (low, high, 700), step
        kills += was_killed
        step += 41
    assert kills > 30


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
BODY = bytes(5000)


def killed_while_answering(
    directory: Path, act: Callable[[Counting, int], None], *, after: int
) -> tuple[bool, int]:
    """Whether an exchange was killed that answers on a socket, and how many bytes the socket was given."""
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def answer() -> None:
            traced = sys.gettrace()
            sys.settrace(None)
            recorder, clock = Recorder(directory, SETTINGS, slots_max=2), Clock()
            counting = Counting(tab(), recorder, clock, Checkpoints(bytes_max=250))
            sys.settrace(traced)
            act(counting, ours.fileno())

        was_killed = killed(answer, after=after)
        theirs.setblocking(False)
        try:
            return was_killed, len(theirs.recv(2**16))
        except BlockingIOError:
            return was_killed, 0


def test_an_answer_killed_at_any_step_bills_nothing_that_was_not_sent(tmp_path: Path, seed: int) -> None:
    was_killed, step, unsent, written_off = True, 1 + seed % 3, 0, 0
    while was_killed:
        directory = tmp_path / str(step)
        was_killed, given = killed_while_answering(
            directory,
            lambda counting, descriptor: _all_taken(counting.send_short(descriptor, HEAD, BODY, status=200)),
            after=step,
        )
        Recorder(directory, SETTINGS, slots_max=2).close()
        events = recorded(directory)
        sent, billed = max(0, given - len(HEAD)), sum(event.bytes_out for event in events)
        assert billed in (0, sent), step
        # Sent and not billed: then it is counted as cut, and says how much it can have been.
        cut = [event.moved_out for event in events if event.marks & Mark.RECOVERED]
        assert billed == sent or cut == [len(BODY)], step
        unsent += sent == 0
        written_off += billed < sent
        step += 3
    assert (billed, cut) == (len(BODY), [])
    assert unsent > 20
    assert written_off > 2


def _all_taken(count: int) -> None:
    assert len(HEAD) + len(BODY) == count


@pytest.mark.parametrize("uploaded", [100, 700])
def test_a_failure_that_was_heard_of_bills_nothing_whenever_its_worker_is_killed(
    tmp_path: Path, seed: int, uploaded: int
) -> None:
    def fail(counting: Counting, descriptor: int) -> None:
        traced = sys.gettrace()
        sys.settrace(None)
        counting.begin_long()
        for _ in range(0, uploaded, 100):
            counting.received(100)
        sys.settrace(traced)
        counting.send_short(descriptor, HEAD, BODY, status=500)

    was_killed, step, heard = True, 1 + seed % 5, 0
    while was_killed:
        directory = tmp_path / str(step)
        was_killed, given = killed_while_answering(directory, fail, after=step)
        Recorder(directory, SETTINGS, slots_max=2).close()
        events = recorded(directory)
        assert not given or (0, 0) == (
            sum(event.bytes_in for event in events), sum(event.bytes_out for event in events)
        ), step  # fmt: skip
        assert uploaded == sum(event.moved_in for event in events), step
        heard += given > 0
        step += 5
    assert heard > 20
