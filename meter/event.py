"""One exchange, or one change of stored bytes, as the journal keeps it.

It knows bytes, never contents: no object name is ever here. Pure.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import NamedTuple

from meter.ids import BucketId, MemberId


class RequestClass(IntEnum):
    """How an exchange is counted as a request."""

    FREE = 0
    """Not billed as a request: deletes, preflights, and everything refused before it was authorised."""
    A = 1
    """Changes and listings: PUT, COPY, POST, LIST."""
    B = 2
    """Reads: GET, HEAD and the rest."""


class Zone(IntEnum):
    """Where the bytes went, seen from the co-op's network."""

    INTERNET = 0
    PEERING = 1
    OWN = 2


class Mark(IntFlag):
    """What is special about an event."""

    NONE = 0
    ABORTED = 1
    """The receiver or sender left before the body was whole."""
    CHECKPOINT = 2
    """Part of a longer exchange; more events of the same request follow."""
    STORAGE = 4
    """A change of stored bytes, not an exchange: only payer, bucket, ended_us and stored_bytes count."""
    RECOVERED = 8
    """Closed by recovery after a crash, at the last bytes that could be shown."""
    CORRECTION = 16
    """Mends a difference, and is an entry of its own class: its byte counts are signed, its request_id names
    the exchange it mends (zeros for none), and it counts no request."""


class StorageLine(IntEnum):
    """What kind of stored bytes changed; a line of its own on the statement."""

    OBJECT = 0
    PART = 1
    """Parts of multipart uploads that are not completed yet."""
    VERSION = 2
    """Versions of objects that a newer one, or a delete marker, took the place of."""
    REMOVED = 3
    """Bytes of objects that are gone whose file still waits for its readers; on the disk, and not billed."""


class Event(NamedTuple):
    """One exchange or one change of stored bytes.

    Times are UTC microseconds. Every count is a whole number of bytes.
    Invariant: bytes_in and bytes_out are what may be billed; moved_in and moved_out what really
    moved, so moved ≥ billed, and a dispute can be replayed. Only a correction's counts may be negative.
    """

    request_id: bytes
    """16 bytes; the client was told them as 32 hexadecimal digits in x-amz-request-id."""
    payer: MemberId
    requester: MemberId
    bucket: BucketId
    operation: int
    """The operation's permanent code; its name stands in the gateway's operation table."""
    request_class: RequestClass
    zone: Zone
    began_us: int
    ended_us: int
    bytes_in: int
    bytes_out: int
    moved_in: int
    moved_out: int
    status: int
    marks: Mark = Mark.NONE
    stored_bytes: int = 0
    """Signed change of stored bytes at ended_us; only with Mark.STORAGE."""
    line: StorageLine = StorageLine.OBJECT
