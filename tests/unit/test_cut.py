"""A stream cut at one of its records: a chain that checks, on which a writer goes on with the very next sequence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from meter import frame
from meter.cut import cut, opened_anew
from meter.frame import DamagedSegment
from meter.journal import Journal
from meter.reader import chain, compress, published_sequence
from meter.segments import number_of, placed
from tests.events import PLAIN

SEGMENT_BYTES = 256 + 8 * 128
HOUR_S = 3600


def journal(directory: Path) -> Journal:
    return Journal(directory, segment_bytes_max=SEGMENT_BYTES, segment_age_max_s=HOUR_S, now_us=1)


def written(directory: Path, count: int) -> Path:
    """Eight records a segment; the first one compressed."""
    writer = journal(directory)
    for number in range(1, count + 1):
        writer.append(PLAIN._replace(bytes_in=number))
    writer.close()
    if count > 16:
        compress(directory, 1)
    return directory


def copied(directory: Path, to: Path, last: int) -> Path:
    to.mkdir()
    shutil.copy(directory / "stream.id", to)
    for segment in cut(directory, last):
        if segment.records is None:
            found = placed(directory, number_of(segment.path))
            assert found is not None
            shutil.copy(found, to)
        else:
            (to / segment.path.name).write_bytes(opened_anew(segment, segment_bytes=SEGMENT_BYTES))
    return to


@pytest.mark.parametrize("last", range(21))
def test_every_cut_is_a_chain_on_which_a_writer_goes_on(tmp_path: Path, last: int) -> None:
    to = copied(written(tmp_path / "stream", 20), tmp_path / "copy", last)
    assert last == published_sequence(to)
    again = journal(to)
    assert last + 1 == again.next_sequence
    for number in range(100, 120):
        again.append(PLAIN._replace(bytes_in=number))
    again.close()
    events = [event.bytes_in for one in chain(to) for _, event in frame.events(one.records)]
    assert [*range(1, last + 1), *range(100, 120)] == events


def test_a_cut_behind_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedSegment, match="ends with record 5, before 6"):
        cut(written(tmp_path / "stream", 5), 6)


def test_a_damaged_record_before_the_cut_is_not_copied(tmp_path: Path) -> None:
    directory = written(tmp_path / "stream", 5)
    path = directory / "000000000001.seg"
    content = bytearray(path.read_bytes())
    content[256 + 128 + 70] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DamagedSegment, match="record 2 of 4 fails"):
        opened_anew(cut(directory, 4)[0], segment_bytes=SEGMENT_BYTES)
