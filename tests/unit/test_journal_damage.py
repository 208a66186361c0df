"""Every kind of damage to a stream is recognised and named; nothing behind it is read, nothing is skipped unseen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from meter import frame
from meter.frame import DamagedSegment
from meter.journal import Journal
from meter.reader import chain, compress, published_sequence, streams
from meter.segments import segment_path, torn_bytes
from meter.tail import Tail
from tests.events import NOON_US, PLAIN

SEGMENT = 256 + 8 * 128  # room for eight records
RECORDS = 20
"""Two sealed segments of eight, and four records in the open one."""


def opened(directory: Path) -> Journal:
    return Journal(directory, segment_bytes_max=SEGMENT, segment_age_max_s=3600, now_us=NOON_US)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "worker-0"
    fill(made)
    return made


def fill(directory: Path) -> None:
    journal = opened(directory)
    for number in range(RECORDS):
        journal.append(PLAIN._replace(bytes_in=number))
    journal.close()


def shipped(directory: Path) -> list[int]:
    """What a shipper that begins at the first record would add up."""
    tail = Tail(directory)
    tail.seek(1)
    found: list[int] = []
    while records := tail.read(1000).records:
        found += [event.bytes_in for _, event in frame.events(records)]
    return found


def flips(path: Path, start: int, stop: int) -> Iterator[int]:
    """Each bit of those bytes, flipped and put back afterwards."""
    with path.open("r+b") as file:
        for bit in range(start * 8, stop * 8):
            for after in range(2):
                byte = os.pread(file.fileno(), 1, bit // 8)[0]
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit % 8]), bit // 8)
                if not after:
                    yield bit


def test_whole_streams_are_read_whole(directory: Path) -> None:
    assert list(range(RECORDS)) == shipped(directory)


@pytest.mark.parametrize(
    ("number", "start", "stop"),
    [
        pytest.param(1, 0, 128, id="header of the first"),
        pytest.param(2, 0, 128, id="header of a sealed one"),
        pytest.param(3, 0, 128, id="header of the open one"),
        pytest.param(2, 128, 256, id="what changes in a sealed header"),
        pytest.param(1, 256, 384, id="first record"),
        pytest.param(2, 256 + 7 * 128, 256 + 8 * 128, id="last record of a sealed one"),
        pytest.param(3, 256 + 128, 256 + 256, id="record of the open one"),
    ],
)
def test_every_flipped_bit_is_an_alarm(directory: Path, number: int, start: int, stop: int) -> None:
    unseen = []
    for bit in flips(segment_path(directory, number), start, stop):
        try:
            shipped(directory)
        except DamagedSegment:
            continue
        unseen.append(bit)
    assert [] == unseen


def test_a_flipped_bit_in_what_changes_of_an_open_header_costs_no_record(directory: Path) -> None:
    """No checksum covers these bytes: the damage is named, or the next writer and reader have all records."""
    lost = []
    path = segment_path(directory, 3)
    whole = path.read_bytes()
    for bit in flips(path, 128, 256):
        try:
            opened(directory).close()
            if list(range(RECORDS)) != shipped(directory):
                lost.append(bit)
        except DamagedSegment:
            pass
        path.write_bytes(whole)
        with path.open("r+b") as file:  # as flips() left it, for it flips the bit back
            os.pwrite(file.fileno(), bytes([whole[bit // 8] ^ 1 << bit % 8]), bit // 8)
    assert [] == lost


def missing(directory: Path) -> None:
    segment_path(directory, 2).unlink()


def first_missing(directory: Path) -> None:
    segment_path(directory, 1).unlink()


def doubled_in_place(directory: Path) -> None:
    shutil.copy(segment_path(directory, 1), segment_path(directory, 2))


def doubled_at_the_end(directory: Path) -> None:
    shutil.copy(segment_path(directory, 2), segment_path(directory, 3))


def doubled_under_no_name(directory: Path) -> None:
    shutil.copy(segment_path(directory, 2), directory / "000000000002 copy.seg")


def exchanged(directory: Path) -> None:
    first, second = segment_path(directory, 1), segment_path(directory, 2)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def foreign(directory: Path) -> None:
    other = directory.parent / "other"
    fill(other)
    shutil.copy(segment_path(other, 2), segment_path(directory, 2))
    shutil.rmtree(other)


def of_an_earlier_life(directory: Path) -> None:
    """The same stream and numbers, other records: each header is whole, and the second names another first."""
    other = directory.parent / "other"
    other.mkdir()
    shutil.copy(directory / "stream.id", other)
    journal = opened(other)
    for _ in range(RECORDS):
        journal.append(PLAIN._replace(bytes_in=5))
    journal.close()
    shutil.copy(segment_path(other, 2), segment_path(directory, 2))
    shutil.rmtree(other)


def cut_off(directory: Path) -> None:
    os.truncate(segment_path(directory, 2), 256 + 5 * 128)


def cut_off_in_its_header(directory: Path) -> None:
    os.truncate(segment_path(directory, 2), 100)


def cut_off_compressed(directory: Path) -> None:
    compress(directory, 2)
    path = segment_path(directory, 2).with_suffix(".seg.zst")
    os.truncate(path, path.stat().st_size - 20)


def stream_id_exchanged(directory: Path) -> None:
    (directory / "stream.id").write_text(str(uuid4()))


def stream_id_lost(directory: Path) -> None:
    (directory / "stream.id").unlink()


def stream_id_unreadable(directory: Path) -> None:
    (directory / "stream.id").write_bytes(b"\xff\x00 no")


def ended_without_a_seal(directory: Path) -> None:
    """As if the writer had begun segment 3 without ending segment 2."""
    path = segment_path(directory, 2)
    data = bytearray(path.read_bytes())
    data[144] = 0
    path.write_bytes(data)


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (missing, "segment 2 is missing"),
    (first_missing, "record 1 should be next, the journal holds 9 to 16"),
    (doubled_in_place, "000000000002.seg holds segment 1"),
    (doubled_at_the_end, "000000000003.seg holds segment 2"),
    (doubled_under_no_name, "'000000000002 copy.seg' is no segment's name"),
    (exchanged, "holds segment"),
    (foreign, "belongs to stream"),
    (of_an_earlier_life, "segment 2 does not continue segment 1"),
    (cut_off, "segment 2 is cut off: it should hold 8 records"),
    (cut_off_in_its_header, "shorter than a segment header"),
    (cut_off_compressed, "does not decompress"),
    (stream_id_exchanged, "belongs to stream"),
    (stream_id_lost, "has segments and no stream.id"),
    (stream_id_unreadable, "stream.id holds no UUID"),
    (ended_without_a_seal, "segment 2 was never sealed, and another one follows it"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES, ids=lambda one: getattr(one, "__name__", None))
def test_damage_is_named(directory: Path, damage: Callable[[Path], None], sentence: str) -> None:
    damage(directory)
    assert [directory] == streams(directory.parent)
    with pytest.raises(DamagedSegment, match=sentence.replace("(", r"\(")):
        shipped(directory)


@pytest.mark.parametrize(
    "damage", [one for one, _ in DAMAGES if one is not first_missing], ids=lambda one: one.__name__
)
def test_damage_is_named_to_whoever_proves_a_bill(directory: Path, damage: Callable[[Path], None]) -> None:
    """But a beginning that is gone: old segments may be removed, and then the proof begins later."""
    damage(directory)
    with pytest.raises(DamagedSegment):
        list(chain(directory))


@pytest.mark.parametrize(
    "damage",
    [doubled_at_the_end, stream_id_exchanged, stream_id_lost, stream_id_unreadable],
    ids=lambda one: one.__name__,
)
def test_a_writer_does_not_go_on_over_damage(directory: Path, damage: Callable[[Path], None]) -> None:
    damage(directory)
    with pytest.raises(DamagedSegment):
        opened(directory)


def test_a_writer_does_not_follow_a_sealed_segment_that_is_damaged(directory: Path) -> None:
    """Killed after the seal and before the next segment began: the next one would name a wrong digest."""
    segment_path(directory, 3).unlink()
    path = segment_path(directory, 2)
    data = bytearray(path.read_bytes())
    data[160] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedSegment, match="does not match its digest"):
        opened(directory)


def test_a_writer_goes_on_after_a_sealed_segment_that_was_compressed_meanwhile(directory: Path) -> None:
    segment_path(directory, 3).unlink()
    compress(directory, 2)
    journal = opened(directory)
    assert 17 == journal.append(PLAIN._replace(bytes_in=77))
    journal.close()
    assert [*range(16), 77] == shipped(directory)


def test_a_segment_that_is_there_twice_and_differs_is_named(directory: Path) -> None:
    keep = directory.parent / "keep"
    shutil.copy(segment_path(directory, 1), keep)
    compress(directory, 1)
    shutil.copy(keep, segment_path(directory, 1))
    compress(directory, 1)  # a shipper killed in between left both, and both say the same
    assert list(range(RECORDS)) == shipped(directory)
    shutil.copy(segment_path(directory, 2), segment_path(directory, 1))
    with pytest.raises(DamagedSegment, match="segment 1 is there twice, and the two differ"):
        compress(directory, 1)


def test_each_torn_tail_is_kept_and_all_are_counted(directory: Path) -> None:
    """Two crashes of the same open segment, eleven and seven bytes; the second overwrites nothing of the first."""
    for torn in (b"first crash", b"second!"):
        with segment_path(directory, 3).open("r+b") as file:
            file.seek(256 + 4 * 128)
            file.write(torn)
        journal = opened(directory)
        assert len(torn) == journal.torn_bytes
        assert RECORDS + 1 == journal.next_sequence
        journal.close()
    kept = {path.read_bytes() for path in directory.glob("*.torn")}
    assert ({b"first crash", b"second!"}, 18) == (kept, torn_bytes(directory))
    assert RECORDS == published_sequence(directory)


def test_a_reader_that_stands_in_the_journal_sees_the_hole_too(directory: Path) -> None:
    tail = Tail(directory)
    tail.seek(1)
    assert 8 == tail.read(8).last_sequence
    segment_path(directory, 2).unlink()
    with pytest.raises(DamagedSegment, match="segment 2 is missing"):
        tail.read(8)


def test_a_reader_sees_that_records_went_back(directory: Path) -> None:
    tail = Tail(directory)
    tail.seek(1)
    tail.read(100)
    path = segment_path(directory, 3)
    data = bytearray(path.read_bytes())
    data[136:144] = (3).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(DamagedSegment, match="segment 3 held 4 records and now holds 3"):
        tail.read(100)
