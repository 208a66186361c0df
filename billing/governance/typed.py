"""A resolution as it is typed into a form, read field by field. Whether a body could decide it is said elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from billing.governance.decisions import Body, Resolution, ResolutionKind, Votes
from meter.refusal import Refusal

COUNT_DIGITS_MAX = 9
FIRST_YEAR = 1970
_HEX = frozenset("0123456789abcdef")


def typed_resolution(typed: Mapping[str, str], *, who: str, recorded_us: int) -> Resolution:
    """Read the fields body, kind, decided, text, in_favour, against, abstained, quorum, calc_hash. Raises Refusal."""
    fields = {name: value.strip() for name, value in typed.items()}
    if fields.get("body") not in list(Body):
        raise Refusal("body: say who decided it, the board or the members' meeting")
    if fields.get("kind") not in list(ResolutionKind):
        raise Refusal("kind: choose what it is about from the list")
    in_favour, against, abstained, quorum = (
        _count(fields.get(name, ""), field=name) for name in ("in_favour", "against", "abstained", "quorum")
    )
    if (in_favour is None) != (against is None) or (in_favour is None and abstained is not None):
        raise Refusal("votes: say how many were for it and how many against, or nothing of votes")
    calc_hash = fields.get("calc_hash") or None
    return Resolution(
        "", Body(fields["body"]), ResolutionKind(fields["kind"]), read_day(fields.get("decided", ""), field="decided"),
        fields.get("text", "").replace("\r\n", "\n"), None,
        None if in_favour is None or against is None else Votes(in_favour, against, abstained or 0), quorum,
        None if calc_hash is None else checked_digest(calc_hash), who, recorded_us,
    )  # fmt: skip


def checked_digest(text: str) -> str:
    """The digest of a calculation that was decided on. Raises Refusal."""
    if len(text) != 64 or set(text) - _HEX:
        raise Refusal("calc-hash: a digest has 64 hexadecimal digits in small letters")
    return text


def _count(text: str, *, field: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= COUNT_DIGITS_MAX):
        raise Refusal(f"{field}: a whole number is wanted, in digits")
    return int(text)


def read_day(text: str, *, field: str) -> date:
    """A day. Raises Refusal naming the field."""
    try:
        found = date.fromisoformat(text) if len(text) == len("2026-11-03") else None
    except ValueError:
        found = None
    if found is None or found.year < FIRST_YEAR:
        raise Refusal(f"{field}: write the day like 2026-11-03")
    return found
