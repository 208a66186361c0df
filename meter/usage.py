"""A member's usage over a window, and the members themselves as the meter knows them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from meter.ids import MemberId
from meter.window import MICROSECONDS


class MemberClass(StrEnum):
    """In which capacity somebody is a member."""

    USER = "user"
    WORKER = "worker"
    SUPPORTER = "supporter"


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
    email: str
    status: MemberStatus
    joined_us: int
    left_us: int | None = None


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

    @property
    def byte_seconds(self) -> int:
        """Whole byte-seconds, rounded down; rating uses byte_us."""
        return self.byte_us // MICROSECONDS

    @property
    def version_byte_seconds(self) -> int:
        """The same of old versions alone."""
        return self.version_byte_us // MICROSECONDS
