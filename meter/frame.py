"""The journal's bytes: segment header and record layout, packed and checked. Pure; no file is opened here.

A segment is a 256-byte header followed by 128-byte records. All integers are little-endian.
meter/README.md writes the format down byte by byte; FORMAT_VERSION changes with it.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from mmap import mmap
from uuid import UUID
from zlib import crc32

from meter.event import Event, Mark, RequestClass, StorageLine, Zone
from meter.ids import BucketId, MemberId, StreamId

FORMAT_VERSION = 1
HEADER_BYTES = 256
SEALED_HEADER_BYTES = 128
"""The first half of the header never changes and is part of the digest; the second half is live."""
RECORD_BYTES = 128
FIRST_DIGEST = bytes(32)
"""What the first segment of a stream names as its predecessor's digest."""

_MAGIC = b"WEIRSEG1"
_HEADER = struct.Struct("<8sHHI16sQQq32s")
_HEADER_CRC_AT = 124
_LIVE = struct.Struct("<QQQ32s")
_RECORD = struct.Struct("<Q16sQQQHBBHHqqqqqqqB11x")
_GLANCE = struct.Struct("<24xQ8xQHxB2xH8xq56x")
_SENT = struct.Struct("<24xQ22xH8xq8xq40x")
_CRC = struct.Struct("<I")
_CRC_AT = 124
HELD = 0xFFFFFFFF
"""All bits of a record's checksum stand inverted while the record is only held."""
_CHECKED = struct.Struct("<124sI")
_pack, _put_checked = _RECORD.pack, _CHECKED.pack_into
_PIECE = 4096
"""Records that are checked side by side."""
_SEQUENCES = struct.Struct("<Q120x").iter_unpack
_BODIES = struct.Struct("<124s4x").iter_unpack
_CHECKSUMS = struct.Struct("<124xI").iter_unpack
_MARKS_AT = 54
_BYTES_WITH = {mark: bytes(one for one in range(256) if one & mark) for mark in Mark if 0 < mark < 256}
assert _RECORD.size == _CRC_AT == _HEADER_CRC_AT
assert _CHECKED.size == RECORD_BYTES
assert _GLANCE.size == RECORD_BYTES
assert _SENT.size == RECORD_BYTES
WORD_BYTES = 8
assert sys.byteorder == "little", "mapped numbers are little-endian, and are written as the machine has them"
LAST_WORD_AT = RECORD_BYTES - WORD_BYTES
"""Zeros, and the checksum: what a record's last 64-bit number holds."""
CHECKSUM_SHIFT = 32
"""Bits by which the checksum stands above the zeros there."""
PUBLISHED_AT, SYNCED_AT, SEALED_AT, DIGEST_AT = (SEALED_HEADER_BYTES + at for at in (0, 8, 16, 24))


class DamagedSegment(Exception):
    """A segment that is not what its name and neighbours promise; the sentence names what differs."""


def damaged_sentence(damage: DamagedSegment) -> str:
    """What a person is told of it: what differs, what not to do, and what to read."""
    return (
        f"the journal is damaged: {damage}. Change and remove nothing in journal/; "
        "docs/runbooks/WeirStreamStandsStill.md has the mend"
    )


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The unchanging half of a segment's header."""

    stream: StreamId
    number: int
    """1 and up in a stream, without gaps."""
    first_sequence: int
    created_us: int
    previous_digest: bytes
    """SHA-256 of the segment before, 32 bytes; FIRST_DIGEST for number 1."""


@dataclass(frozen=True, slots=True)
class Live:
    """The changing half: how far the writer has come."""

    published: int
    """Records a reader may trust to be final."""
    synced: int
    """Records known to be on disk."""
    sealed: bool
    digest: bytes
    """SHA-256 over the unchanging header and all records, once sealed."""


def pack_header(header: SegmentHeader) -> bytes:
    """The unchanging header, SEALED_HEADER_BYTES long."""
    body = _HEADER.pack(
        _MAGIC, FORMAT_VERSION, RECORD_BYTES, HEADER_BYTES, header.stream.bytes, header.number,
        header.first_sequence, header.created_us, header.previous_digest,
    )  # fmt: skip
    body = body.ljust(_HEADER_CRC_AT, b"\0")
    return body + _CRC.pack(crc32(body))


def unpack_header(data: bytes | memoryview) -> SegmentHeader:
    """Read and check an unchanging header. Raises DamagedSegment."""
    if len(data) < HEADER_BYTES:
        raise DamagedSegment("the file is shorter than a segment header")
    magic, version, record_bytes, header_bytes, stream, number, first, created, previous = (
        _HEADER.unpack_from(data)
    )
    if magic != _MAGIC:
        raise DamagedSegment("the file does not begin as a segment")
    if (version, record_bytes, header_bytes) != (FORMAT_VERSION, RECORD_BYTES, HEADER_BYTES):
        raise DamagedSegment(f"segment format {version} is not known here; this Weir reads {FORMAT_VERSION}")
    if _CRC.unpack_from(data, _HEADER_CRC_AT)[0] != crc32(data[:_HEADER_CRC_AT]):
        raise DamagedSegment("the segment header fails its checksum")
    return SegmentHeader(StreamId(UUID(bytes=bytes(stream))), number, first, created, bytes(previous))


def pack_live(live: Live) -> bytes:
    """The changing header, to stand at SEALED_HEADER_BYTES."""
    return _LIVE.pack(live.published, live.synced, live.sealed, live.digest)


def unpack_live(data: bytes | memoryview) -> Live:
    """Read the changing header of a segment's first HEADER_BYTES, which no checksum covers. Raises DamagedSegment."""
    published, synced, sealed, digest = _LIVE.unpack_from(data, SEALED_HEADER_BYTES)
    if sealed not in (0, 1) or any(data[SEALED_HEADER_BYTES + _LIVE.size : HEADER_BYTES]):
        raise DamagedSegment("the changing half of the segment header holds what no writer wrote")
    if sealed and published != synced:
        raise DamagedSegment(f"the segment is sealed with {published} records and {synced} on the disk")
    return Live(published, synced, bool(sealed), bytes(digest))


def words(mapped: mmap) -> memoryview:
    """A mapped file as 64-bit numbers, each written in one step: who reads beside, or is killed, meets the old or the new.

    struct's pack_into is no such step: it empties the place before it fills it. Release before the map is closed.
    """
    return memoryview(mapped)[: len(mapped) // WORD_BYTES * WORD_BYTES].cast("Q")


def says_sealed(data: bytes | memoryview) -> bool:
    """Whether the seal's flag stands in a segment's first HEADER_BYTES; nothing else is looked at."""
    return any(data[SEALED_AT:DIGEST_AT])


def record_seed(header: SegmentHeader) -> int:
    """Start value of the first record's checksum: a record of another stream or segment never passes."""
    # Without the header's own checksum: over both, a CRC always comes to the same number.
    return crc32(pack_header(header)[:_HEADER_CRC_AT])


def next_seed(records: bytes | memoryview, seed: int) -> int:
    """The start value for the record after these: each checksum begins with the one before, a chain."""
    return (
        seed if len(records) < RECORD_BYTES else int(_CRC.unpack_from(records, len(records) - _CRC.size)[0])
    )


def pack_record(sequence: int, event: Event, seed: int) -> bytes:
    """One record, RECORD_BYTES long."""
    return pack_chained(sequence, event, seed)[0]


def pack_chained(sequence: int, event: Event, seed: int) -> tuple[bytes, int]:
    """One record, and the start value for the next one: its own checksum."""
    record = bytearray(RECORD_BYTES)
    checksum = put_record(record, 0, sequence, event, seed)
    return bytes(record), checksum


def put_record(
    place: bytearray | mmap, at: int, sequence: int, event: Event, seed: int, *, held: int = 0
) -> int:
    """Write a record at an offset, final or HELD; the start value for the next one. The recorder's hot path."""
    (
        request_id, payer, requester, bucket, operation, request_class, zone, began_us, ended_us,
        bytes_in, bytes_out, moved_in, moved_out, status, marks, stored_bytes, line,
    ) = event  # fmt: skip
    body = _pack(
        sequence, request_id, payer, requester, bucket, operation, request_class, zone, status, marks,
        began_us, ended_us, bytes_in, bytes_out, moved_in, moved_out, stored_bytes, line,
    )  # fmt: skip
    checksum = crc32(body, seed)
    _put_checked(place, at, body, checksum ^ held)
    return checksum


def held_event(record: bytes | memoryview, *, sequence: int, seed: int) -> Event | None:
    """The event of a record that was held when its writer died; None when that place holds no such thing."""
    if (
        len(record) < RECORD_BYTES
        or _CRC.unpack_from(record, _CRC_AT)[0] != crc32(record[:_CRC_AT], seed) ^ HELD
    ):
        return None
    found, event = unpack_record(record)
    return event if found == sequence else None


def unpack_record(data: bytes | memoryview) -> tuple[int, Event]:
    """Sequence and event of a record whose checksum has been looked at (valid_records)."""
    (
        sequence, request_id, payer, requester, bucket, operation, request_class, zone, status, marks,
        began_us, ended_us, bytes_in, bytes_out, moved_in, moved_out, stored_bytes, line,
    ) = _RECORD.unpack_from(data)  # fmt: skip
    return sequence, Event(
        request_id, MemberId(payer), MemberId(requester), BucketId(bucket), operation,
        RequestClass(request_class), Zone(zone), began_us, ended_us, bytes_in, bytes_out, moved_in,
        moved_out, status, Mark(marks), stored_bytes, StorageLine(line),
    )  # fmt: skip


def valid_records(records: bytes | memoryview, *, first_sequence: int, seed: int) -> int:
    """How many records from the start carry the expected sequence and continue the chain of checksums.

    seed is record_seed for a segment's first record, else next_seed of the records before.
    records is a whole number of RECORD_BYTES, or its incomplete rest does not count.
    """
    whole = memoryview(records)[: len(records) // RECORD_BYTES * RECORD_BYTES]
    valid = 0
    while valid * RECORD_BYTES < len(whole):
        # In pieces: the rest of an open segment is empty, and a segment may be a gigabyte.
        piece = whole[valid * RECORD_BYTES : (valid + _PIECE) * RECORD_BYTES]
        found = _valid_in_piece(piece, first_sequence + valid, seed)
        valid += found
        if found * RECORD_BYTES < len(piece):
            break
        seed = next_seed(piece, seed)
    return valid


def _valid_in_piece(piece: memoryview, first_sequence: int, seed: int) -> int:
    count = len(piece) // RECORD_BYTES
    # Each checksum begins with the one before as it stands there, so all can be worked out side by side.
    stated = list(chain.from_iterable(_CHECKSUMS(piece)))
    found = list(map(crc32, chain.from_iterable(_BODIES(piece)), chain((seed,), stated)))
    sequences = list(chain.from_iterable(_SEQUENCES(piece)))
    wanted = list(range(first_sequence, first_sequence + count))
    if stated == found and sequences == wanted:
        return count
    both = zip(stated, found, sequences, wanted, strict=True)
    return next(index for index, (a, b, c, d) in enumerate(both) if a != b or c != d)


def events(records: bytes | memoryview) -> Iterator[tuple[int, Event]]:
    """Sequence and event of each record, in order; the caller has checked them."""
    view = memoryview(records)
    for at in range(0, len(view) - RECORD_BYTES + 1, RECORD_BYTES):
        yield unpack_record(view[at : at + RECORD_BYTES])


def glances(records: bytes | memoryview) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Payer, bucket, operation, zone, marks and ended_us of each record: what a search looks at first."""
    return _GLANCE.iter_unpack(records)


def count_marked(records: bytes, mark: Mark) -> int:
    """How many records bear a mark; looks at one byte of each."""
    assert 0 < mark < 256, "a mark of the lower byte"
    marks = records[_MARKS_AT::RECORD_BYTES]
    return len(marks) - len(marks.translate(None, delete=_BYTES_WITH[mark]))


def sent(records: bytes | memoryview) -> Iterator[tuple[int, int, int, int]]:
    """(payer, marks, ended_us, bytes_out) of each record; a whole number of records that were checked."""
    return _SENT.iter_unpack(records)


def segment_digest(header: SegmentHeader, records: bytes | memoryview) -> bytes:
    """SHA-256 over the unchanging header and all records: the link of the chain."""
    state = hashlib.sha256(pack_header(header))
    state.update(records)
    return state.digest()
