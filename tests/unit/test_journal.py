"""The writer's side: gaps never, chains always, torn tails named."""

import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from meter import frame
from meter import journal as journal_module
from meter import segments as segments_module
from meter.event import Event, Mark
from meter.frame import DamagedSegment
from meter.journal import Journal, JournalLocked, lock_stream
from meter.reader import chain, compress, header_of, published_sequence
from meter.segments import segment_path
from meter.tail import LostRecords, Tail
from tests.events import NOON_US, PLAIN
from tests.simulation.disk import Disk, Os

LOOKS = 20_000
GROWING = f"""
import mmap, sys
from meter import frame
file = open(sys.argv[1], "r+b")
mapped = mmap.mmap(file.fileno(), 0)
words, count = frame.words(mapped), 0
print("begun", flush=True)
while True:
    count += 255
    words[{frame.PUBLISHED_AT // frame.WORD_BYTES}] = count
"""
SEGMENT = 256 + 8 * 128  # room for eight records


def opened(directory: Path) -> Journal:
    return Journal(directory, segment_bytes_max=SEGMENT, segment_age_max_s=3600, now_us=NOON_US)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "worker-0"


def sequences(directory: Path) -> list[int]:
    return [n for segment in chain(directory) for n, _ in frame.events(segment.records)]


def test_sequences_have_no_gaps_over_segments_and_restarts(directory: Path) -> None:
    for expected_first in (1, 21, 41):
        journal = opened(directory)
        assert list(range(expected_first, expected_first + 20)) == [journal.append(PLAIN) for _ in range(20)]
        journal.close()
    assert list(range(1, 61)) == sequences(directory)


def test_what_was_appended_stands_without_close_or_sync(directory: Path) -> None:
    """A kill -9 runs no close(): the kernel has the mapped bytes."""
    journal = opened(directory)
    journal.append(PLAIN)
    assert 1 == published_sequence(directory)
    assert [1] == sequences(directory)
    crash(journal)


def test_a_second_writer_is_refused(directory: Path) -> None:
    journal = opened(directory)
    with pytest.raises(JournalLocked):
        opened(directory)
    journal.close()


def test_a_writer_with_patience_comes_after_whoever_closed_what_a_dead_one_left(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = opened(directory)
    # The wait itself lets go, so that it cannot have been for nothing.
    monkeypatch.setattr("meter.journal.time.sleep", lambda _: before.close())
    after = Journal(
        directory, segment_bytes_max=SEGMENT, segment_age_max_s=3600, now_us=NOON_US, lock_patience_s=60
    )
    monkeypatch.undo()
    assert 1 == after.append(PLAIN)
    with pytest.raises(JournalLocked):
        lock_stream(directory, patience_s=0.05)
    after.close()


def events(directory: Path) -> list[Event]:
    return [event for segment in chain(directory) for _, event in frame.events(segment.records)]


@pytest.mark.parametrize("before", [0, 3, 7])
def test_a_record_held_when_its_writer_died_bills_nothing_and_is_counted_as_cut(
    directory: Path, before: int
) -> None:
    journal = opened(directory)
    for _ in range(before):
        journal.append(PLAIN)
    held = PLAIN._replace(request_id=b"\x07" * 16, bytes_in=3, moved_in=3, bytes_out=4096, moved_out=4096)
    assert before + 1 == journal.hold(held)
    assert before == published_sequence(directory)
    crash(journal)
    again = opened(directory)
    assert (before + 2, 0) == (again.next_sequence, again.torn_bytes)
    again.append(PLAIN)
    again.close()
    cut = events(directory)[before]
    assert held._replace(bytes_in=0, bytes_out=0, marks=Mark.ABORTED | Mark.RECOVERED) == cut
    assert [PLAIN] * (before + 1) == [event for event in events(directory) if event != cut]


def test_a_held_record_that_was_let_stand_counts_even_if_no_reader_was_told(directory: Path) -> None:
    """Killed after the one step that makes it final, or a power cut that kept the header's older count."""
    journal = opened(directory)
    journal.hold(PLAIN)
    journal.publish()
    crash(journal)
    with segment_path(directory, 1).open("r+b") as file:
        file.seek(frame.PUBLISHED_AT)
        file.write(bytes(8))
    opened(directory).close()
    assert [PLAIN] == events(directory)


def test_readers_are_told_of_a_record_when_it_is_final_and_not_before(directory: Path) -> None:
    journal = opened(directory)
    steps = (partial(journal.hold, PLAIN), journal.publish, partial(journal.append, PLAIN))
    told = [(step(), published_sequence(directory))[1] for step in steps]
    journal.close()
    assert [0, 1, 2] == told


def test_what_stands_behind_a_held_record_is_torn(directory: Path) -> None:
    """A power cut may keep the record behind, and of this one only how it stood before it was final."""
    journal = opened(directory)
    journal.hold(PLAIN)
    path = segment_path(directory, 1)
    only_held = path.read_bytes()[256:384]
    journal.publish()
    journal.append(PLAIN)
    crash(journal)
    with path.open("r+b") as file:
        file.seek(256)
        file.write(only_held)
    journal = opened(directory)
    assert (2, 128) == (journal.next_sequence, journal.torn_bytes)
    journal.close()
    assert [0] == [event.bytes_out for event in events(directory)]


def test_a_withdrawn_record_leaves_nothing(directory: Path) -> None:
    journal = opened(directory)
    journal.hold(PLAIN)
    journal.withdraw()
    assert 1 == journal.append(PLAIN._replace(bytes_out=5))
    journal.close()
    assert [5] == [e.bytes_out for s in chain(directory) for _, e in frame.events(s.records)]


def test_a_torn_tail_is_named_kept_aside_and_written_over(directory: Path) -> None:
    journal = opened(directory)
    journal.append(PLAIN)
    crash(journal)
    path = segment_path(directory, 1)
    with path.open("r+b") as file:
        file.seek(256 + 128)
        file.write(b"half a record")
    journal = opened(directory)
    assert len(b"half a record") == journal.torn_bytes
    assert b"half a record" == path.with_suffix(".torn").read_bytes()
    assert 2 == journal.append(PLAIN)
    journal.close()


def test_a_flipped_bit_in_a_record_that_was_on_disk_stops_the_writer(directory: Path) -> None:
    journal = opened(directory)
    journal.append(PLAIN)
    journal.close()
    flip(segment_path(directory, 1), 256 + 30)
    with pytest.raises(DamagedSegment, match="record 1 of 1"):
        opened(directory)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_flipped_bit_in_any_segment_is_found_by_its_reader(directory: Path, number: int) -> None:
    fill(directory)
    flip(segment_path(directory, number), 256 + 128 + 3)
    with pytest.raises(DamagedSegment, match=f"{number:012d}"):
        sequences(directory)


def test_a_missing_segment_is_named(directory: Path) -> None:
    fill(directory)
    segment_path(directory, 2).unlink()
    with pytest.raises(DamagedSegment, match="segment 2 is missing"):
        sequences(directory)


def test_a_segment_of_another_stream_is_named(directory: Path, tmp_path: Path) -> None:
    fill(directory)
    fill(tmp_path / "other")
    segment_path(directory, 2).write_bytes(segment_path(tmp_path / "other", 2).read_bytes())
    with pytest.raises(DamagedSegment, match="belongs to stream"):
        sequences(directory)


def test_compressed_segments_read_the_same(directory: Path) -> None:
    fill(directory)
    before = [segment.records for segment in chain(directory)]
    compress(directory, 1)
    compress(directory, 2)
    assert not segment_path(directory, 1).exists()
    assert before == [segment.records for segment in chain(directory)]


def test_the_tail_reads_only_what_is_on_disk(directory: Path) -> None:
    journal = opened(directory)
    journal.append(PLAIN)
    tail = Tail(directory)
    assert b"" == tail.read(100).records
    journal.sync()
    journal.append(PLAIN)
    assert 1 == tail.read(100).last_sequence
    journal.sync()
    assert 2 == tail.read(100).last_sequence
    journal.close()


def test_the_tail_follows_over_segments_and_gives_each_sealed_one_once(directory: Path) -> None:
    fill(directory)
    tail = Tail(directory)
    batches = [tail.read(6) for _ in range(5)]
    assert [(1, 6), (7, 12), (13, 18), (19, 20), (21, 20)] == [
        (b.first_sequence, b.last_sequence) for b in batches
    ]
    assert [[], [1], [2], [], []] == [[link.number for link in b.sealed] for b in batches]


def test_a_seal_is_no_proof_before_the_next_segment_is_begun(directory: Path) -> None:
    """Until then a power cut may take the seal, and the segment goes on and ends otherwise."""
    journal = opened(directory)
    for _ in range(8):
        journal.append(PLAIN)
    journal._segment.seal()
    tail = Tail(directory)
    assert (8, ()) == ((batch := tail.read(100)).last_sequence, batch.sealed)
    assert (b"", ()) == ((batch := tail.read(100)).records, batch.sealed)
    crash(journal)
    again = opened(directory)
    assert [1] == [link.number for link in tail.read(100).sealed]
    again.close()


def test_a_tail_can_begin_anywhere(directory: Path) -> None:
    fill(directory)
    tail = Tail(directory)
    tail.seek(12)
    batch = tail.read(100)
    assert (12, 20) == (batch.first_sequence, batch.last_sequence)
    assert [2] == [link.number for link in batch.sealed]


@pytest.mark.parametrize("sequence", [22, 1000])
def test_a_place_beyond_the_journal_is_a_loss(directory: Path, sequence: int) -> None:
    fill(directory)
    with pytest.raises(LostRecords):
        Tail(directory).seek(sequence)


def test_a_removed_beginning_is_a_loss(directory: Path) -> None:
    fill(directory)
    segment_path(directory, 1).unlink()
    with pytest.raises(LostRecords):
        Tail(directory).seek(1)


def fill(directory: Path) -> None:
    """Twenty records: two sealed segments of eight, and four in the open one."""
    journal = opened(directory)
    for _ in range(20):
        journal.append(PLAIN)
    journal.close()


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def crash(journal: Journal) -> None:
    """What the kernel does for a killed process: let go of the lock, run nothing else."""
    journal._lock_file.close()


def test_a_stream_goes_on_after_a_compressed_segment(directory: Path) -> None:
    """Killed between sealing a segment and beginning the next, and the shipper was quicker than the restart."""
    journal = opened(directory)
    for _ in range(8):
        journal.append(PLAIN)
    journal._segment.seal()
    crash(journal)
    compress(directory, 1)
    again = opened(directory)
    assert 9 == again.append(PLAIN)
    again.close()
    assert list(range(1, 10)) == sequences(directory)


def test_a_segment_that_cannot_be_sealed_stops_the_writer(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(directory)
    told: list[OSError] = []
    journal.on_sync_failure = told.append
    for _ in range(8):
        journal.append(PLAIN)

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="Input/output"):
        journal.append(PLAIN)
    assert [5] == [error.errno for error in told]
    crash(journal)


@pytest.mark.parametrize("left", [b"", bytes(128)])
def test_a_spare_that_a_power_cut_emptied_is_made_anew(directory: Path, left: bytes) -> None:
    journal = opened(directory)
    for _ in range(8):
        journal.append(PLAIN)
    journal._segment.seal()
    crash(journal)
    (directory / "spare").write_bytes(left)
    again = opened(directory)
    assert [9, 10] == [again.append(PLAIN), again.append(PLAIN)]
    again.close()
    assert list(range(1, 11)) == sequences(directory)


def test_a_name_that_a_killed_writer_had_not_synced_is_on_the_disk_before_anything_else(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(directory.parent, random.Random(0))
    for module in (journal_module, segments_module):
        monkeypatch.setattr(module, "os", Os(disk, set))
    first = opened(directory)
    for _ in range(first.capacity):
        first.append(PLAIN)

    def killed(_: Path) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "sync_directory", killed)
        with pytest.raises(ZeroDivisionError):
            first.append(PLAIN)  # the next segment has its name, and no more
    first._lock_file.close()
    second = opened(directory)
    assert second.capacity + 1 == second.append(PLAIN)
    second.sync()
    crash(second)
    # Whichever of the names a power cut leaves: those of the last sync of the directory are the least.
    assert {"000000000001.seg", "000000000002.seg", "stream.id"} <= disk.synced_names(directory)
    assert {directory.name} == disk.synced_names(directory.parent)


def test_what_is_written_while_a_segment_is_hashed_is_in_its_digest(directory: Path) -> None:
    """A hash over more than two kilobytes lets the other threads go on, so the writer appends meanwhile."""
    journal = Journal(
        directory, segment_bytes_max=256 + 64 * 128, segment_age_max_s=1, now_us=NOON_US
    )  # fmt: skip
    segment = journal._segment
    inside = segment._hash

    class Interrupted:
        def update(self, data: bytes) -> None:
            inside.update(data)
            journal.append(PLAIN)

        def digest(self) -> bytes:
            return inside.digest()

    journal.append(PLAIN)
    segment._hash = Interrupted()  # type: ignore[assignment]
    journal.sync()
    segment._hash = inside
    journal.roll_if_aged(NOON_US + 2_000_000)
    journal.append(PLAIN)
    assert [1, 2, 3] == sequences(directory)
    journal.close()


def test_a_count_that_grows_is_never_seen_smaller(tmp_path: Path) -> None:
    """Readers look into the mapped header while it is written; a count that is empty for an instant is an alarm."""
    path = tmp_path / "mapped"
    path.write_bytes(bytes(4096))
    writer = subprocess.Popen([sys.executable, "-c", GROWING, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert b"begun\n" == writer.stdout.readline()
    last = looks = 0
    while looks < LOOKS or not last:
        with path.open("rb") as file:
            seen = frame.unpack_live(file.read(256)).published
        assert seen >= last
        last = seen
        looks += 1
    writer.kill()
    writer.communicate()


def test_what_is_appended_while_the_disk_is_synced_is_not_told_as_on_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(directory)
    journal.append(PLAIN)
    really = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        really(descriptor)
        journal.append(PLAIN)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fdatasync)
        journal.sync()
    assert (1, 2) == (journal._segment.synced, published_sequence(directory))
    journal.sync()
    assert 2 == journal._segment.synced
    journal.close()


def test_who_goes_on_with_a_killed_writer_s_segment_syncs_it_before_readers_are_told(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(directory)
    first.append(PLAIN)
    crash(first)
    path = segment_path(directory, 1)
    assert 0 == header_of(path)[1].synced
    really, told = os.fdatasync, list[tuple[str, int]]()

    def fdatasync(descriptor: int) -> None:
        told.append((os.readlink(f"/proc/self/fd/{descriptor}"), header_of(path)[1].synced))
        really(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fdatasync)
        second = opened(directory)
    assert [(str(path), 0)] == told
    assert 1 == header_of(path)[1].synced
    crash(second)
