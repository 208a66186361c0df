"""What an act in an office is: who did what in which office, to whom; and the one text its digest is made of. Pure.

The database works the same text out by itself (billing.act_digest) and links the acts; here it is worked out again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from meter.ids import MemberId

FORMAT = "weir-act-1"
GENESIS = bytes(32)
"""What the very first act names as the digest before it."""
WHO_CHARACTERS_MAX = 200
WHAT_CHARACTERS_MAX = 500
DETAIL_CHARACTERS_MAX = 4000
COMMAND_LINE = "the command line"


class Office(StrEnum):
    """What somebody may do for the co-op."""

    TREASURER = "treasurer"
    OPERATOR = "operator"
    BOARD = "board"


OFFICE_WORDS = {
    Office.TREASURER: "treasurer", Office.OPERATOR: "operator", Office.BOARD: "member of the board"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a member in the portal, or an operating system's user at the command line."""

    member: MemberId | None
    name: str

    @classmethod
    def at_the_command_line(cls, user: str) -> Actor:
        """Whoever the operating system says it is."""
        return cls(None, f"{COMMAND_LINE} ({user})"[:WHO_CHARACTERS_MAX])


@dataclass(slots=True)
class Doing:
    """An act while it is done. What it says may be told better until it ends; `nothing` leaves no line."""

    office: Office
    kind: str
    """The command's words, like 'bill close', also where a page does it."""
    what: str
    """A sentence's middle, like 'close the month 2026-10'. For every member: it names no other one."""
    subject: MemberId | None = None
    detail: str = ""
    """For whom it is about, and for who acted: what nobody else need know."""
    nothing: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """An act as it is kept."""

    number: int
    at_us: int
    actor: Actor
    office: Office
    kind: str
    subject: MemberId | None
    what: str
    detail: str
    is_done: bool
    previous: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """An office of somebody's; the end is left out, None for one without."""

    number: int
    member: MemberId
    name: str
    office: Office
    from_us: int
    until_us: int | None
    resolution: str | None
    who: str

    def is_held(self, at_us: int) -> bool:
        """Whether it is held at an instant."""
        return self.from_us <= at_us and (self.until_us is None or at_us < self.until_us)


def shortened(text: str, characters_max: int) -> str:
    """The text on one line, or its beginning."""
    line = " ".join(text.split())
    return line if len(line) <= characters_max else f"{line[: characters_max - 1]}…"


def act_digest(one: Act) -> bytes:
    """The digest that follows from what an act says and from the one before."""
    text = "\n".join(
        (
            FORMAT, str(one.number), str(one.at_us), _number(one.actor.member), one.office.value, one.kind,
            _number(one.subject), "done" if one.is_done else "refused", _long(one.actor.name), _long(one.what),
            _long(one.detail), one.previous.hex(),
        )
    )  # fmt: skip
    return hashlib.sha256(text.encode()).digest()


def _number(member: MemberId | None) -> str:
    return "-" if member is None else str(int(member))


def _long(text: str) -> str:
    return f"{len(text)}:{text}"


class Chain:
    """Walks the acts from the first on, and says what does not fit."""

    def __init__(self) -> None:
        self.number, self.digest = 0, GENESIS

    def walk(self, acts: Iterable[Act]) -> list[str]:
        """Sentences about the next acts; none when each fits the one before."""
        found = []
        for one in acts:
            if one.number != self.number + 1:
                found.append(f"act {one.number} follows act {self.number}; between them some are missing")
            elif one.previous != self.digest:
                found.append(f"act {one.number} does not name the digest of the one before it")
            if one.digest != act_digest(one):
                found.append(f"act {one.number} is not what its digest was made of")
            self.number, self.digest = one.number, one.digest
        return found
