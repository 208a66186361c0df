"""Members' tokens for the API: what one may, what a form or a command asks for, how a token stands. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import DAY_US

NAME_CHARACTERS_MAX = 60
TOKEN = re.compile(r"weir_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)
"""Its number, which is no secret, and its secret. The beginning lets scanners for lost secrets find one."""
EXPIRIES = ((7, "in a week"), (30, "in 30 days"), (90, "in 90 days"), (365, "in a year"))


class Scope(StrEnum):
    """What a token opens, each by itself."""

    USAGE = "usage:read"
    STATEMENTS = "statements:read"
    BOOKS = "books:read"
    MEMBERSHIP = "membership:read"
    VOTES = "votes:read"
    ACTS = "acts:read"
    KEYS = "keys:read"
    KEYS_WRITE = "keys:write"


SCOPE_WORDS: Mapping[Scope, str] = {
    Scope.USAGE: "read your usage, your caps and your single requests",
    Scope.STATEMENTS: "read your statements, your years and your capital",
    Scope.BOOKS: "read the co-op's books and its bills",
    Scope.MEMBERSHIP: "read your membership, with your name and addresses",
    Scope.VOTES: "read proposals, results and what was decided",
    Scope.ACTS: "read who did what for the co-op, and what was done about you",
    Scope.KEYS: "list your access keys, without their secrets",
    Scope.KEYS_WRITE: "make, rotate and revoke your access keys: it opens all that you may",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its member sees it, without its secret."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_us: int
    expires_us: int
    seen_us: int | None
    """When it was used last, to the minute; None: never."""
    seen_from: str
    revoked_us: int | None

    def is_open(self, now_us: int) -> bool:
        """Whether it opens anything now."""
        return self.revoked_us is None and now_us < self.expires_us


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token a request came with. The only source of a member's number in the API."""

    member: MemberId
    name: str
    token: Token


@dataclass(frozen=True, slots=True)
class WantedToken:
    """The token that is asked for."""

    name: str
    scopes: tuple[Scope, ...]
    expires_us: int


def read_wanted(
    name: object, scopes: Iterable[object], days: object, *, days_max: int, now_us: int
) -> WantedToken:
    """Read what was typed. Raises Refusal naming the field."""
    text = name.strip() if isinstance(name, str) else ""
    if not 1 <= len(text) <= NAME_CHARACTERS_MAX or not text.isprintable():
        raise Refusal(f"name: say what it is for, in one line of at most {NAME_CHARACTERS_MAX} characters")
    known = [one.value for one in Scope]
    asked = [str(one) for one in scopes]
    if not asked:
        raise Refusal("scopes: choose at least one thing that the token may do")
    for one in asked:
        if one not in known:
            raise Refusal(f"scopes: '{one[:30]}' is none of {', '.join(known)}")
    written = str(days)
    if not (written.isascii() and written.isdecimal() and len(written) < 6 and 1 <= int(written) <= days_max):
        raise Refusal(f"expires_days: a whole number from 1 to {days_max} (api_token_days_max)")
    return WantedToken(
        text, tuple(one for one in Scope if one.value in asked), now_us + int(written) * DAY_US
    )
