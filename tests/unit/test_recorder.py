"""Open exchanges after a kill -9: each is closed once, at what had moved."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from meter import frame
from meter.event import Event, Mark
from meter.journal import Journal, lock_stream
from meter.ongoing import Ongoing, TooManyExchanges
from meter.reader import chain
from meter.recorder import Recorder
from meter.settings import MeterSettings
from tests.events import PLAIN

SETTINGS = MeterSettings(journal_segment_bytes_max=2**16)
LONG = PLAIN._replace(status=499, bytes_in=0, moved_in=0)


def recorded(directory: Path) -> list[Event]:
    return [event for segment in chain(directory) for _, event in frame.events(segment.records)]


def crash(recorder: Recorder) -> None:
    """Let go of the lock as the kernel does for a killed process; nothing else runs."""
    recorder._stopping.set()
    recorder._thread.join()
    recorder.journal._lock_file.close()


def test_an_open_exchange_is_closed_at_what_had_moved(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SETTINGS, slots_max=4)
    slot = recorder.open(LONG)
    slot.moved(bytes_in=10, bytes_out=700, now_us=PLAIN.ended_us + 5)
    crash(recorder)
    again = Recorder(tmp_path, SETTINGS, slots_max=4)
    again.close()
    (event,) = recorded(tmp_path)
    assert (10, 700, PLAIN.ended_us + 5) == (event.bytes_in, event.bytes_out, event.ended_us)
    assert Mark.ABORTED | Mark.RECOVERED == event.marks
    assert 1 == again.recovered


def test_recovering_twice_counts_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SETTINGS, slots_max=4)
    recorder.open(LONG)
    crash(recorder)
    for _ in range(3):
        Recorder(tmp_path, SETTINGS, slots_max=4).close()
    assert 1 == len(recorded(tmp_path))


def test_a_kill_between_the_record_and_the_freeing_of_its_place_counts_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SETTINGS, slots_max=4)
    recorder.open(LONG).moved(bytes_in=0, bytes_out=700, now_us=PLAIN.ended_us)
    recorder.record(PLAIN._replace(bytes_out=700))
    crash(recorder)
    Recorder(tmp_path, SETTINGS, slots_max=4).close()
    assert [700] == [event.bytes_out for event in recorded(tmp_path)]


def test_a_power_cut_that_kept_only_an_old_state_of_the_places_counts_once(tmp_path: Path) -> None:
    """The journal was fsynced, the mapped file was not: it still tells of an exchange that had ended."""
    recorder = Recorder(tmp_path, SETTINGS, slots_max=1)
    slot = recorder.open(LONG)
    slot.moved(bytes_in=0, bytes_out=300, now_us=PLAIN.ended_us)
    old = (tmp_path / "ongoing").read_bytes()
    slot.moved(bytes_in=0, bytes_out=700, now_us=PLAIN.ended_us)
    recorder.finish(slot, PLAIN._replace(bytes_out=700))
    recorder.close()
    (tmp_path / "ongoing").write_bytes(old)
    Recorder(tmp_path, SETTINGS, slots_max=1).close()
    assert [700] == [event.bytes_out for event in recorded(tmp_path)]


def test_what_stands_in_sealed_segments_is_found_too(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SETTINGS, slots_max=1)
    slot = recorder.open(LONG)
    for number in range(1, 4):
        slot.moved(bytes_in=0, bytes_out=100 * number, now_us=PLAIN.ended_us)
        part = PLAIN._replace(bytes_in=0, moved_in=0, bytes_out=100, moved_out=100, marks=Mark.CHECKPOINT)
        recorder.checkpoint(slot, part, moved_in=0, moved_out=100 * number)
        for _ in range(700):  # a segment of 64 KiB holds 510 records
            recorder.record(PLAIN._replace(request_id=bytes(16)))
    slot.moved(bytes_in=0, bytes_out=350, now_us=PLAIN.ended_us)
    (left,) = recorder._ongoing.left_over()
    # Nobody need look before the checkpoint before the last: 701 records a round, its own the first.
    assert (1 + 701 + 1, 0, 200) == left.recorded
    crash(recorder)
    Recorder(tmp_path, SETTINGS, slots_max=1).close()
    ours = [event.bytes_out for event in recorded(tmp_path) if event.request_id == PLAIN.request_id]
    assert [100, 100, 100, 50] == ours


def test_a_finished_exchange_gives_its_place_back(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SETTINGS, slots_max=1)
    for _ in range(3):
        recorder.finish(recorder.open(LONG), PLAIN)
    slot = recorder.open(LONG)
    with pytest.raises(TooManyExchanges):
        recorder.open(LONG)
    slot.free()
    recorder.close()
    assert 3 == len(recorded(tmp_path))


def test_a_failed_fsync_stops_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[OSError] = []
    recorder = Recorder(tmp_path, SETTINGS, slots_max=1, on_sync_failure=told.append)

    def fail(self: Journal) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Journal, "sync", fail)
    recorder._thread.join(timeout=10)
    assert [5] == [error.errno for error in told]
    recorder.journal._lock_file.close()


FAILING_DISK = """
import os, sys
from pathlib import Path
from meter.recorder import Recorder
from meter.settings import MeterSettings
from tests.events import PLAIN
recorder = Recorder(Path(sys.argv[1]), MeterSettings(journal_segment_bytes_max=2**16), slots_max=4)
def fail(descriptor):
    raise OSError(5, "Input/output error")
os.fdatasync = fail
recorder.record(PLAIN)
sys.stdin.read()
"""


def test_a_worker_whose_disk_fails_an_fsync_ends_at_once(tmp_path: Path) -> None:
    """Its standard input never ends, so nothing but the failed fsync can end it; 70 is what a supervisor sees."""
    process = subprocess.Popen(
        [sys.executable, "-c", FAILING_DISK, str(tmp_path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert 70 == process.wait(timeout=30)
    assert process.stdin is not None
    assert process.stderr is not None
    assert b"journal fsync failed" in process.stderr.read()
    process.stdin.close()
    process.stderr.close()


WRITER = """
import sys
from pathlib import Path
from meter.recorder import Recorder
from meter.settings import MeterSettings
from tests.events import PLAIN
recorder = Recorder(Path(sys.argv[1]), MeterSettings(journal_segment_bytes_max=2**16), slots_max=4)
print("go", flush=True)
n = 0
while True:
    recorder.record(PLAIN)
    n += 1
    sys.stdout.write(f"{n}\\n")
    sys.stdout.flush()
"""


def test_a_killed_writer_loses_no_record_it_had_told_of(tmp_path: Path) -> None:
    """The other process says each number after recording it; then it is killed, again and again."""
    told = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert "go\n" == process.stdout.readline()
        for _ in range(2000):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().splitlines()
        process.stdout.close()
        process.wait()
        told += max([2000, *(int(line) for line in rest if line.isdigit())])
        Recorder(tmp_path, SETTINGS, slots_max=4).close()
    # The last number told of each run may be cut in the pipe, and one record may not have been told.
    assert told <= len(recorded(tmp_path)) <= told + 3


def test_a_place_older_than_the_journal_counts_nothing_again(tmp_path: Path) -> None:
    """After a power cut: the record reached the disk, the freeing of its place did not."""
    recorder = Recorder(tmp_path, SETTINGS, slots_max=4)
    slot = recorder.open(LONG)
    slot.moved(bytes_in=0, bytes_out=300, now_us=PLAIN.ended_us)
    before = (tmp_path / "ongoing").read_bytes()
    recorder.finish(slot, PLAIN._replace(bytes_out=700))
    for _ in range(1000):
        recorder.record(PLAIN._replace(request_id=b"\x02" * 16, bytes_out=0))
    crash(recorder)
    (tmp_path / "ongoing").write_bytes(before)
    again = Recorder(tmp_path, SETTINGS, slots_max=4)
    again.close()
    assert 0 == again.recovered
    assert [700] == [event.bytes_out for event in recorded(tmp_path) if event.bytes_out]


def test_a_clock_set_back_makes_no_exchange_end_before_it_began(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SETTINGS, slots_max=4)
    recorder.open(LONG).moved(bytes_in=0, bytes_out=300, now_us=LONG.began_us - 86_400 * 10**6)
    crash(recorder)
    Recorder(tmp_path, SETTINGS, slots_max=4).close()
    (event,) = recorded(tmp_path)
    assert event.began_us == event.ended_us


def test_recovery_after_a_power_cut_that_took_records_is_killed_and_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path, SETTINGS, slots_max=4)
    recorder.record(PLAIN)
    recorder.sync()
    before = (tmp_path / "000000000001.seg").read_bytes()
    recorder.record(PLAIN._replace(request_id=b"\2" * 16))
    recorder.record(PLAIN._replace(request_id=b"\3" * 16))
    slot = recorder.open(LONG._replace(request_id=b"\4" * 16))
    slot.moved(bytes_in=0, bytes_out=700, now_us=PLAIN.ended_us)
    crash(recorder)
    # The file of open exchanges is as new as can be, the journal as old as its last sync allows.
    (tmp_path / "000000000001.seg").write_bytes(before)

    locks = []

    def killed(*_: object) -> None:
        raise ZeroDivisionError

    def lock(directory: Path, *, patience_s: float) -> IO[str]:
        assert patience_s == 0
        locks.append(lock_stream(directory))
        return locks[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Ongoing, "clear", killed)
        patch.setattr("meter.journal.lock_stream", lock)
        with pytest.raises(ZeroDivisionError):
            Recorder(tmp_path, SETTINGS, slots_max=4)
    locks[0].close()
    Recorder(tmp_path, SETTINGS, slots_max=4).close()
    assert [1000, 0] == [event.bytes_in for event in recorded(tmp_path)]
    assert [0, 700] == [event.bytes_out for event in recorded(tmp_path)]


def test_each_of_two_open_exchanges_is_looked_for_behind_its_own_checkpoints(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SETTINGS, slots_max=4)
    recorder.open(LONG._replace(request_id=b"\2" * 16)).moved(bytes_in=0, bytes_out=5, now_us=PLAIN.ended_us)
    slot = recorder.open(LONG._replace(request_id=b"\3" * 16))
    for number in (1, 2, 3):
        slot.moved(bytes_in=0, bytes_out=100 * number, now_us=PLAIN.ended_us)
        part = LONG._replace(request_id=b"\3" * 16, bytes_out=100, moved_out=100, marks=Mark.CHECKPOINT)
        recorder.checkpoint(slot, part, moved_in=0, moved_out=100 * number)
    slot.moved(bytes_in=0, bytes_out=1000, now_us=PLAIN.ended_us)
    crash(recorder)
    Recorder(tmp_path, SETTINGS, slots_max=4).close()
    assert [100, 100, 100, 5, 700] == [event.bytes_out for event in recorded(tmp_path)]
