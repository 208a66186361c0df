"""A correction as an operator enters it, and the event it becomes. Pure.

Nothing that was counted is changed: a correction is an entry of its own that adds bytes or takes them back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from meter.event import Event, Mark, RequestClass, StorageLine, Zone
from meter.ids import NOBODY, BucketId, MemberId, StreamId
from meter.refusal import Refusal

CORRECTION_BYTES_MAX = 10**15
"""The most a correction may add or take back: a slip of the finger is a few digits."""
WHO_CHARACTERS_MAX = 100
WHY_CHARACTERS_MAX = 1000
_NONE = bytes(16)


class CorrectionKind(StrEnum):
    """Why it was entered; kept in PostgreSQL, so never renamed."""

    PERSON = "person"
    """Somebody looked and decided."""
    INVENTORY = "inventory"
    """An engine holds other bytes than were counted."""
    MOVE = "move"
    """A bucket had two copies while it went to another engine, of which its member pays one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What is to be added or, below zero, taken back: traffic, or with `line` stored bytes from at_us on."""

    member: MemberId
    bucket: BucketId
    at_us: int
    who: str
    why: str
    zone: Zone = Zone.INTERNET
    request_id: bytes | None = None
    """The exchange it mends, 16 bytes; None for none."""
    bytes_in: int = 0
    bytes_out: int = 0
    line: StorageLine | None = None
    stored_bytes: int = 0
    kind: CorrectionKind = CorrectionKind.PERSON


@dataclass(frozen=True, slots=True)
class Entered:
    """A correction in its place: record `sequence` of the stream."""

    stream: StreamId
    sequence: int
    entered_us: int
    correction: Correction


def check(asked: Correction, *, now_us: int) -> None:
    """Raises Refusal for a correction of nothing, of too much, without a reason, or of what is still to come."""
    moved = (asked.bytes_in, asked.bytes_out, asked.stored_bytes)
    if not any(moved):
        raise Refusal("a correction of no bytes corrects nothing")
    if any(abs(count) > CORRECTION_BYTES_MAX for count in moved):
        raise Refusal(f"a correction moves at most {CORRECTION_BYTES_MAX:,} bytes either way")
    if not 1 <= len(asked.why.strip()) <= WHY_CHARACTERS_MAX:
        raise Refusal(f"say why, in at most {WHY_CHARACTERS_MAX} characters: members will read it")
    if not 1 <= len(asked.who.strip()) <= WHO_CHARACTERS_MAX:
        raise Refusal(f"say who enters it, in at most {WHO_CHARACTERS_MAX} characters")
    if asked.at_us > now_us:
        raise Refusal("a correction is of what has happened, and that time is still to come")


def event_of(asked: Correction) -> Event:
    """The journal's record of a correction: signed bytes of a class of their own, and no request."""
    storage = Mark.NONE if asked.line is None else Mark.STORAGE
    return Event(
        request_id=asked.request_id or _NONE, payer=asked.member, requester=NOBODY, bucket=asked.bucket,
        operation=0, request_class=RequestClass.FREE, zone=asked.zone, began_us=asked.at_us,
        ended_us=asked.at_us, bytes_in=asked.bytes_in, bytes_out=asked.bytes_out, moved_in=asked.bytes_in,
        moved_out=asked.bytes_out, status=0, marks=Mark.CORRECTION | storage, stored_bytes=asked.stored_bytes,
        line=asked.line or StorageLine.OBJECT,
    )  # fmt: skip
