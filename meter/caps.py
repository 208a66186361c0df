"""What a member allows themselves: caps of egress in a month and of stored bytes, and how near they are. Pure.

A soft cap only warns. A hard cap warns from 80 % on, and is refused at when it is reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from meter.event import StorageLine
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month

WARN_PERCENT = 80
CAPPED_LINES = frozenset((StorageLine.OBJECT, StorageLine.PART, StorageLine.VERSION))
"""What counts as stored: what the member pays for."""


class CapLevel(IntEnum):
    """How near a member is to a cap; the higher, the worse."""

    CALM = 0
    SOFT = 1
    """The soft cap is passed; nothing is refused."""
    NEAR = 2
    """WARN_PERCENT of the hard cap or more."""
    REACHED = 3
    """The hard cap: more is refused."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A soft and a hard cap of one thing, in bytes; None: none."""

    soft: int | None = None
    hard: int | None = None

    def level(self, used: int) -> CapLevel:
        """How near `used` bytes are."""
        if self.hard is not None and used >= self.hard:
            return CapLevel.REACHED
        if self.hard is not None and used * 100 >= self.hard * WARN_PERCENT:
            return CapLevel.NEAR
        if self.soft is not None and used >= self.soft:
            return CapLevel.SOFT
        return CapLevel.CALM

    def percent(self, used: int) -> int | None:
        """How much of the hard cap is used, or of the soft one where there is no hard; rounded down."""
        limit = self.soft if self.hard is None else self.hard
        if limit is None:
            return None
        return used * 100 // limit if limit else 100


@dataclass(frozen=True, slots=True)
class Caps:
    """All caps of one member."""

    egress: Cap = Cap()
    """Of bytes sent to readers in a calendar month, UTC."""
    storage: Cap = Cap()
    """Of bytes stored at once."""


NO_CAPS = Caps()


def check_caps(caps: Caps) -> None:
    """Raises Refusal where a soft cap stands above its hard one: nobody would ever hear of it."""
    for what, cap in (("egress", caps.egress), ("storage", caps.storage)):
        if cap.soft is not None and cap.hard is not None and cap.soft > cap.hard:
            raise Refusal(f"the soft cap of {what} is above the hard one, so it would never warn")


def caps_text(caps: Caps) -> str:
    """All that are set, in a line: 'warn at 80,000,000 bytes sent in a month, refuse at …'; 'no cap' without any."""
    told = [
        f"{verb} at {size:,} bytes {what}"
        for what, cap in (("sent in a month", caps.egress), ("stored at once", caps.storage))
        for verb, size in (("warn", cap.soft), ("refuse", cap.hard))
        if size is not None
    ]
    return ", ".join(told) or "no cap"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing a member should hear about a cap of theirs."""

    level: CapLevel
    sentence: str


def notices(caps: Caps, *, sent: int, stored: int, month: Month) -> list[Notice]:
    """What to tell a member who was sent so many bytes this month and stores so many; empty when all is calm."""
    until = f"until {month.next()}-01 00:00 UTC"
    found = [
        Notice(level, _sentence(level, cap, used=used, what=what, refused=refused))
        for cap, used, what, refused in (
            (caps.egress, sent, "sent this month", f"downloads and lists are refused {until}"),
            (caps.storage, stored, "stored", "writes that store more are refused until something is deleted"),
        )
        if (level := cap.level(used)) is not CapLevel.CALM
    ]
    return sorted(found, key=lambda one: -one.level)


def _sentence(level: CapLevel, cap: Cap, *, used: int, what: str, refused: str) -> str:
    if level is CapLevel.REACHED:
        return f"{used:,} bytes {what}: your hard cap of {cap.hard:,} bytes is reached, and {refused}."
    if level is CapLevel.NEAR:
        return (
            f"{used:,} bytes {what}: {cap.percent(used)} % of your hard cap of {cap.hard:,} bytes. "
            f"When it is reached, {refused}."
        )
    return f"{used:,} bytes {what}: your soft cap of {cap.soft:,} bytes is passed. Nothing is refused for it."


def nearness(
    caps: Mapping[MemberId, Caps], *, sent: Mapping[MemberId, int], stored: Mapping[MemberId, int]
) -> dict[tuple[str, CapLevel], int]:
    """How many members are near a hard cap, and how many have reached one, by what it is of."""
    counts = {
        (kind, level): 0 for kind in ("egress", "storage") for level in (CapLevel.NEAR, CapLevel.REACHED)
    }
    for member, one in caps.items():
        for kind, level in (
            ("egress", one.egress.level(sent.get(member, 0))),
            ("storage", one.storage.level(stored.get(member, 0))),
        ):
            if (kind, level) in counts:
                counts[kind, level] += 1
    return counts
