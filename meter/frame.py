"""The journal's bytes: segment header and record layout, packed and checked. Pure; no file is opened here.

A segment is a 256-byte header followed by 128-byte records. All integers are little-endian.
meter/README.md writes the format down byte by byte; FORMAT_VERSION changes with it.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

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
_SENT = struct.Struct("<24xQ22xH8xq8xq40x")
_CRC = struct.Struct("<I")
_CRC_AT = 124
assert _RECORD.size == _CRC_AT == _HEADER_CRC_AT
assert _SENT.size == RECORD_BYTES
PUBLISHED_AT, SYNCED_AT, DIGEST_AT = (SEALED_HEADER_BYTES + at for at in (0, 8, 24))


class DamagedSegment(Exception):
    """A segment that is not what its name and neighbours promise; the sentence names what differs."""


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
    return body + _CRC.pack(zlib.crc32(body))


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
    if _CRC.unpack_from(data, _HEADER_CRC_AT)[0] != zlib.crc32(data[:_HEADER_CRC_AT]):
        raise DamagedSegment("the segment header fails its checksum")
    return SegmentHeader(StreamId(UUID(bytes=bytes(stream))), number, first, created, bytes(previous))


def pack_live(live: Live) -> bytes:
    """The changing header, to stand at SEALED_HEADER_BYTES."""
    return _LIVE.pack(live.published, live.synced, live.sealed, live.digest)


def unpack_live(data: bytes | memoryview) -> Live:
    """Read the changing header of a segment's first HEADER_BYTES."""
    published, synced, sealed, digest = _LIVE.unpack_from(data, SEALED_HEADER_BYTES)
    return Live(published, synced, bool(sealed), bytes(digest))


def record_seed(header: SegmentHeader) -> int:
    """Start value of the first record's checksum: a record of another stream or segment never passes."""
    # Without the header's own checksum: over both, a CRC always comes to the same number.
    return zlib.crc32(pack_header(header)[:_HEADER_CRC_AT])


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
    body = _RECORD.pack(
        sequence, event.request_id, event.payer, event.requester, event.bucket, event.operation,
        event.request_class, event.zone, event.status, event.marks, event.began_us, event.ended_us,
        event.bytes_in, event.bytes_out, event.moved_in, event.moved_out, event.stored_bytes, event.line,
    )  # fmt: skip
    checksum = zlib.crc32(body, seed)
    return body + _CRC.pack(checksum), checksum


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
    view = memoryview(records)
    crc32, crc_of, sequence_of = zlib.crc32, _CRC.unpack_from, struct.Struct("<Q").unpack_from
    count = len(view) // RECORD_BYTES
    for index in range(count):
        at = index * RECORD_BYTES
        checksum = crc32(view[at : at + _CRC_AT], seed)
        if sequence_of(view, at)[0] != first_sequence + index or crc_of(view, at + _CRC_AT)[0] != checksum:
            return index
        seed = checksum
    return count


def events(records: bytes | memoryview) -> Iterator[tuple[int, Event]]:
    """Sequence and event of each record, in order; the caller has checked them."""
    view = memoryview(records)
    for at in range(0, len(view) - RECORD_BYTES + 1, RECORD_BYTES):
        yield unpack_record(view[at : at + RECORD_BYTES])


def sent(records: bytes | memoryview) -> Iterator[tuple[int, int, int, int]]:
    """(payer, marks, ended_us, bytes_out) of each record; a whole number of records that were checked."""
    return _SENT.iter_unpack(records)


def segment_digest(header: SegmentHeader, records: bytes | memoryview) -> bytes:
    """SHA-256 over the unchanging header and all records: the link of the chain."""
    state = hashlib.sha256(pack_header(header))
    state.update(records)
    return state.digest()
