"""Members' own access keys: what a form asks for, the bounds as gateways read them, how a key stands. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meter.refusal import Refusal
from meter.window import DAY_US, HOUR_US

ACCESS_KEY = re.compile(r"WEIR[A-Z0-9]{16}", re.ASCII)
DAYS_MAX, HOURS_MAX = 3650, 8760
EXPIRIES = ((1, "in a day"), (7, "in a week"), (30, "in 30 days"), (90, "in 90 days"), (365, "in a year"))
OVERLAPS = (
    (0, "at once"), (1, "in an hour"), (24, "in a day"), (168, "in a week"), (720, "in 30 days"),
)  # fmt: skip


class KeyRefused(Refusal):
    """What is asked of a key is understood, and cannot be done as things stand."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a key is held to; it never opens more than its member may."""

    read_only: bool = False
    buckets: tuple[str, ...] | None = None
    """The only ones; None: all."""
    expires_us: int | None = None

    def text(self) -> str | None:
        """As gateways read it; None is no bound."""
        if self == Bounds():
            return None
        kept: dict[str, object] = {"read_only": self.read_only}
        if self.buckets is not None:
            kept["buckets"] = sorted(self.buckets)
        if self.expires_us is not None:
            kept["expires_us"] = self.expires_us
        return json.dumps(kept, sort_keys=True)


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A key as its member sees it, without its secret."""

    access_key: str
    created_us: int
    revoked_us: int | None
    bounds: Bounds

    @classmethod
    def read(cls, access_key: str, created_us: int, revoked_us: int | None, scope: str | None) -> KeyLine:
        """From the directory's row."""
        kept = json.loads(scope) if scope else {}
        buckets = kept.get("buckets")
        bounds = Bounds(
            bool(kept.get("read_only")), None if buckets is None else tuple(buckets), kept.get("expires_us")
        )
        return cls(access_key, created_us, revoked_us, bounds)

    def is_open(self, now_us: int) -> bool:
        """Whether it opens anything now."""
        ended = self.bounds.expires_us is not None and now_us >= self.bounds.expires_us
        return self.revoked_us is None and not ended


@dataclass(frozen=True, slots=True)
class Wanted:
    """The key that a form asks for."""

    access_key: str
    """Made with the form, so that a form that is sent twice makes one key."""
    bounds: Bounds


def read_wanted(
    form: Mapping[str, Any], buckets: Sequence[str], own: Sequence[str], *, now_us: int
) -> Wanted:
    """Read the form; buckets: those it names, of the member's own. Raises Refusal naming the field."""
    if any(name not in own for name in buckets):
        raise Refusal("buckets: a key can be held to buckets of your own alone")
    days = _number(form, "expires_days", DAYS_MAX)
    bounds = Bounds(
        form.get("rights") == "read",
        tuple(sorted(set(buckets))) if buckets else None,
        now_us + days * DAY_US if days else None,
    )
    return Wanted(read_name(form), bounds)


def read_name(form: Mapping[str, Any]) -> str:
    """The name that was made with the form. Raises Refusal."""
    access_key = form.get("access_key")
    if not isinstance(access_key, str) or not ACCESS_KEY.fullmatch(access_key):
        raise Refusal("the form is not one of ours; go back to your keys and try again")
    return access_key


def read_end(form: Mapping[str, Any], *, now_us: int) -> int:
    """When the old key of a rotation ends, in UTC microseconds. Raises Refusal."""
    return now_us + _number(form, "ends_in_hours", HOURS_MAX) * HOUR_US


def renewed(old: KeyLine, *, now_us: int) -> Bounds:
    """The bounds of the key that comes after: the same, and as long a life where it had one."""
    expires_us = old.bounds.expires_us
    if expires_us is None:
        return old.bounds
    return Bounds(
        old.bounds.read_only, old.bounds.buckets, now_us + max(expires_us - old.created_us, HOUR_US)
    )


def _number(form: Mapping[str, Any], name: str, most: int) -> int:
    text = form.get(name) or "0"
    if not (
        isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= most
    ):
        raise Refusal(f"{name}: a whole number up to {most}")
    return int(text)
