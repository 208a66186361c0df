"""The journal's bytes: what is packed comes back, and every flipped bit is seen."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter import frame
from meter.event import Event, Mark
from meter.frame import DamagedSegment, SegmentHeader
from meter.ids import StreamId
from tests.events import PLAIN, events

HEADER = SegmentHeader(StreamId(UUID(int=5)), 3, 101, 1_795_000_000_000_000, b"\x07" * 32)
SEED = frame.record_seed(HEADER)


@given(events, st.integers(1, 2**63))
def test_a_record_comes_back_as_it_was(event: Event, sequence: int) -> None:
    packed = frame.pack_record(sequence, event, SEED)
    assert len(packed) == 128
    assert (sequence, event) == frame.unpack_record(packed)


@given(st.integers(0, 128 * 8 - 1))
def test_any_flipped_bit_of_a_record_is_seen(bit: int) -> None:
    packed = bytearray(frame.pack_record(101, PLAIN, SEED))
    packed[bit // 8] ^= 1 << bit % 8
    assert 0 == frame.valid_records(packed, first_sequence=101, seed=SEED)


def test_a_record_of_another_segment_is_seen() -> None:
    other = frame.record_seed(SegmentHeader(HEADER.stream, 4, 101, HEADER.created_us, HEADER.previous_digest))
    assert 0 == frame.valid_records(frame.pack_record(101, PLAIN, other), first_sequence=101, seed=SEED)


def test_records_count_until_the_first_gap() -> None:
    packed = chained(101, 102, 104)
    assert 2 == frame.valid_records(packed, first_sequence=101, seed=SEED)


def chained(*sequences: int) -> bytes:
    packed, seed = b"", SEED
    for sequence in sequences:
        packed += frame.pack_record(sequence, PLAIN, seed)
        seed = frame.next_seed(packed, seed)
    return packed


def test_an_exchanged_record_breaks_the_chain_behind_it() -> None:
    packed = chained(101, 102, 103)
    forged = frame.pack_record(102, PLAIN._replace(bytes_in=5), frame.next_seed(packed[:128], SEED))
    assert 3 == frame.valid_records(packed, first_sequence=101, seed=SEED)
    exchanged = packed[:128] + forged + packed[256:]
    assert 2 == frame.valid_records(exchanged, first_sequence=101, seed=SEED)


def test_an_empty_place_is_no_record() -> None:
    assert 0 == frame.valid_records(bytes(256), first_sequence=0, seed=0)


@given(st.integers(0, 128 * 8 - 1))
def test_any_flipped_bit_of_a_header_is_seen(bit: int) -> None:
    packed = bytearray(frame.pack_header(HEADER).ljust(256, b"\0"))
    assert HEADER == frame.unpack_header(packed)
    packed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedSegment):
        frame.unpack_header(packed)


def test_a_segment_of_a_newer_format_is_refused_with_both_numbers() -> None:
    packed = bytearray(frame.pack_header(HEADER).ljust(frame.HEADER_BYTES, b"\0"))
    assert frame.unpack_header(packed) == HEADER
    packed[8] = 9  # the low byte of the version, as meter/README.md has it
    with pytest.raises(DamagedSegment, match="segment format 9 is not known here; this Weir reads 1"):
        frame.unpack_header(packed)


def test_the_layout_is_the_published_one() -> None:
    """Offsets from meter/README.md, written by hand."""
    packed = frame.pack_record(258, PLAIN, SEED)
    assert b"\x02\x01" + bytes(6) == packed[0:8]
    assert PLAIN.request_id == packed[8:24]
    assert PLAIN.payer == int.from_bytes(packed[24:32], "little")
    assert PLAIN.bucket == int.from_bytes(packed[40:48], "little")
    assert PLAIN.status == int.from_bytes(packed[52:54], "little")
    assert PLAIN.ended_us == int.from_bytes(packed[64:72], "little")
    assert PLAIN.bytes_in == int.from_bytes(packed[72:80], "little")
    header = frame.pack_header(HEADER)
    assert b"WEIRSEG1" == header[:8]
    assert 101 == int.from_bytes(header[40:48], "little")


def test_marked_records_are_counted() -> None:
    marks = [Mark.NONE, Mark.RECOVERED, Mark.ABORTED | Mark.RECOVERED, Mark.ABORTED, Mark.CORRECTION]
    records = b"".join(frame.pack_record(n, PLAIN._replace(marks=mark), 0) for n, mark in enumerate(marks, 1))
    assert [2, 2, 1] == [
        frame.count_marked(records, mark) for mark in (Mark.RECOVERED, Mark.ABORTED, Mark.CORRECTION)
    ]
    assert 0 == frame.count_marked(b"", Mark.RECOVERED)
