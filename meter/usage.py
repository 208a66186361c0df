"""A member's usage over a window, and the members themselves as the meter knows them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from meter.event import StorageLine
from meter.ids import MemberId
from meter.window import MICROSECONDS, Month


class MemberClass(StrEnum):
    """In which capacity somebody stands in the register."""

    USER = "user"
    WORKER = "worker"
    SUPPORTER = "supporter"
    CUSTOMER = "customer"
    """No member: buys at the tariff, has no vote and no part in a surplus."""

    @property
    def is_member(self) -> bool:
        """Whether somebody of this class belongs to the co-op."""
        return self is not MemberClass.CUSTOMER


class MemberStatus(StrEnum):
    """Whether a member's keys open the door."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Member:
    """One line of the register."""

    id: MemberId
    name: str
    """Unique, and what people type."""
    member_class: MemberClass
    """The class in force now, the first of them for who has several."""
    email: str
    status: MemberStatus
    joined_us: int
    left_us: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """Stored bytes of one line: how many at the window's end, and the exact integral over the window."""

    stored_bytes: int = 0
    byte_us: int = 0


Lines = Mapping[StorageLine, Kept]
"""What was stored, line by line; a line without anything may be left out."""
LOGICAL = (StorageLine.OBJECT, StorageLine.PART, StorageLine.VERSION)
"""The lines a member pays for: objects, parts of open uploads, old versions."""


def together(lines: Lines, which: Iterable[StorageLine] = StorageLine) -> Kept:
    """The sum over some lines: LOGICAL is what the member stores, all of them what lies on the disks."""
    found = [lines[line] for line in which if line in lines]
    return Kept(sum(one.stored_bytes for one in found), sum(one.byte_us for one in found))


def in_all(buckets: Iterable[Lines]) -> Lines:
    """The same lines over several buckets."""
    every = list(buckets)
    return {
        line: Kept(
            sum(one[line].stored_bytes for one in every if line in one),
            sum(one[line].byte_us for one in every if line in one),
        )
        for line in StorageLine
    }


@dataclass(frozen=True, slots=True, order=True)
class Late:
    """Of a usage, what happened in an earlier month that was closed when it became known: its own lines on the bill."""

    month: Month
    """When it happened."""
    is_correction: bool
    """Entered by somebody to mend the month, and not merely shipped late."""
    bytes_in: int = 0
    bytes_out: int = 0
    bytes_out_peering: int = 0
    bytes_out_own: int = 0
    requests_a: int = 0
    requests_b: int = 0
    byte_us: int = 0
    version_byte_us: int = 0
    part_byte_us: int = 0


DISK = "disk"
"""The engine of every bucket number of which nobody said otherwise."""


@dataclass(frozen=True, slots=True)
class OnEngine:
    """Of a usage, what was of buckets on one storage engine."""

    engine: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Usage:
    """What one member used in [start_us, end_us): whole bytes, whole requests, exact byte-microseconds."""

    member: MemberId
    start_us: int
    end_us: int
    bytes_in: int = 0
    bytes_out: int = 0
    requests_a: int = 0
    requests_b: int = 0
    byte_us: int = 0
    """Bytes stored × microseconds, the exact integral; objects, old versions and parts together."""
    version_byte_us: int = 0
    """Of these, what old versions of objects took."""
    part_byte_us: int = 0
    """Of these, what parts of uploads that are not completed took."""
    removed_byte_us: int = 0
    """Not of these, and billed to nobody: what was removed and whose files waited for their readers."""
    corrected_in: int = 0
    """Of bytes_in, what corrections added or, below zero, took back."""
    corrected_out: int = 0
    """The same of bytes_out."""
    bytes_out_peering: int = 0
    """Of bytes_out, what went over peering."""
    bytes_out_own: int = 0
    """Of bytes_out, what stayed within the co-op's own network."""
    late: tuple[Late, ...] = ()
    """Of all these, what happened before the window, in order; only of a billing month."""
    engines: tuple[OnEngine, ...] = ()
    """Of all these, what was of buckets on engines that were asked for, by name; engines without any are left out."""

    @property
    def byte_seconds(self) -> int:
        """Whole byte-seconds, rounded down; rating uses byte_us."""
        return self.byte_us // MICROSECONDS

    @property
    def version_byte_seconds(self) -> int:
        """The same of old versions alone."""
        return self.version_byte_us // MICROSECONDS

    @property
    def part_byte_seconds(self) -> int:
        """The same of parts alone."""
        return self.part_byte_us // MICROSECONDS

    @property
    def removed_byte_seconds(self) -> int:
        """The same of what was removed."""
        return self.removed_byte_us // MICROSECONDS


def on_engines(parts: Mapping[str, Usage]) -> tuple[OnEngine, ...]:
    """Engine to usage as a Usage holds it: in the order of names, and none that is empty."""
    return tuple(
        OnEngine(name, one)
        for name, one in sorted(parts.items())
        if one != Usage(one.member, one.start_us, one.end_us)
    )
