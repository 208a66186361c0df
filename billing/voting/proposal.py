"""Proposals: what one says, what is attached, what was said to it; and what is refused. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from billing.governance.decisions import ResolutionKind
from billing.money import scale_down
from meter.ids import MemberId
from meter.refusal import Refusal

TITLE_CHARACTERS_MAX = 200
BODY_CHARACTERS_MAX = 19_000
"""With its title it is the text of a resolution, which has 20,000."""
COMMENT_CHARACTERS_MAX = 4_000
NAME_CHARACTERS_MAX = 255
OPTIONS_MAX = 50
OPTION_CHARACTERS_MAX = 200
WHY_CHARACTERS_MAX = 500
_HEX = frozenset("0123456789abcdef")
_BEGINNINGS = {"application/pdf": b"%PDF-", "image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
_ENDINGS = {
    "pdf": "application/pdf", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "txt": "text/plain",
    "md": "text/plain", "csv": "text/csv",
}  # fmt: skip
"""What may be attached. No page and no drawing that a browser would run."""
MEDIA_TYPES = tuple(sorted(set(_ENDINGS.values())))


@dataclass(frozen=True, slots=True)
class Slate:
    """What an election is about: so many seats, and who or what can be chosen, in the order they stand on the ballot."""

    seats: int
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """What a proposal says, as it was put at one time."""

    title: str
    body: str
    calc_hash: str | None
    """The digest of the calculation that is to be approved."""
    who: str
    recorded_us: int
    slate: Slate | None = None
    """Of an election."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A paper beside a proposal; its content is asked for by itself."""

    place: int
    name: str
    media_type: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Comment:
    """What a member said to it, in the order it was said."""

    place: int
    member: MemberId
    name: str
    body: str
    recorded_us: int


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A proposal taken back by who made it, before it was put to the vote."""

    why: str
    who: str
    recorded_us: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal as it stands: the last wording counts."""

    number: int
    kind: ResolutionKind
    member: MemberId | None
    """Who made it; None for the board, or whoever runs the machine."""
    who: str
    recorded_us: int
    wording: Wording
    wordings: int
    withdrawal: Withdrawal | None = None


def wording(
    *, title: str, body: str, calc_hash: str | None, who: str, recorded_us: int, slate: Slate | None = None
) -> Wording:
    """Read what was typed. Raises Refusal naming the field."""
    title, body = title.strip(), _lines(body)
    if not 1 <= len(title) <= TITLE_CHARACTERS_MAX or not title.isprintable():
        raise Refusal(f"title: one line of at most {TITLE_CHARACTERS_MAX} characters is wanted")
    if not 1 <= len(body) <= BODY_CHARACTERS_MAX or not _is_text(body):
        raise Refusal(f"text: say what is proposed, in at most {BODY_CHARACTERS_MAX:,} characters of text")
    calc_hash = (calc_hash or "").strip() or None
    if calc_hash is not None and (len(calc_hash) != 64 or set(calc_hash) - _HEX):
        raise Refusal("calc-hash: a digest has 64 hexadecimal digits in small letters")
    return Wording(title, body, calc_hash, who, recorded_us, slate)


def slate(*, seats: str, options: Iterable[str]) -> Slate:
    """Read who or what can be chosen, each once, and how many. Raises Refusal naming the field."""
    found = tuple(" ".join(one.split()) for one in options if one.strip())
    if not 1 <= len(found) <= OPTIONS_MAX:
        raise Refusal(f"options: name who or what can be chosen, one a line, {OPTIONS_MAX} at most")
    for one in found:
        if len(one) > OPTION_CHARACTERS_MAX or not one.isprintable():
            raise Refusal(f"options: each is one line of at most {OPTION_CHARACTERS_MAX} characters")
    if len({one.casefold() for one in found}) != len(found):
        raise Refusal("options: one stands there twice, and nobody could tell them apart")
    typed = seats.strip()
    if not (typed.isascii() and typed.isdecimal() and 1 <= int(typed[:9]) <= len(found)):
        raise Refusal(f"seats: from 1 to {len(found)}, as many as can be chosen")
    return Slate(int(typed), found)


def comment_text(text: str) -> str:
    """Read what somebody says to a proposal. Raises Refusal."""
    found = _lines(text)
    if not 1 <= len(found) <= COMMENT_CHARACTERS_MAX or not _is_text(found):
        raise Refusal(f"comment: say something, in at most {COMMENT_CHARACTERS_MAX:,} characters of text")
    return found


def withdrawal(*, why: str, who: str, recorded_us: int) -> Withdrawal:
    """Read why somebody takes their proposal back; they need not say it. Raises Refusal."""
    found = " ".join(why.split())
    if len(found) > WHY_CHARACTERS_MAX or not found.isprintable():
        raise Refusal(f"why: one line of at most {WHY_CHARACTERS_MAX} characters")
    return Withdrawal(found, who, recorded_us)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _is_text(text: str) -> bool:
    """Printable, with ends of lines and tabs: no character that turns others round or hides."""
    return all(one in "\n\t" or one.isprintable() for one in text)


def file_name(number: int, paper: Attachment) -> str:
    """By which name a proposal's paper is taken home: none that somebody chose."""
    return f"proposal-{number}-{paper.place}.{paper.name.rpartition('.')[2].lower()}"


def largest(bytes_max: int) -> str:
    """A limit as a person says it, rounded down, so that what has this size is taken: '2 MB', '64 kB'."""
    unit, name = (10**6, "MB") if bytes_max >= 10**6 else (10**3, "kB")
    return f"{scale_down(bytes_max, of=unit, to=1)} {name}"


def too_large(bytes_max: int) -> Refusal:
    """The refusal of a paper that is larger than that."""
    size = largest(bytes_max)
    return Refusal(f"attachment: it is larger than {size}")


def media_type(name: str, content: bytes, *, bytes_max: int) -> str:
    """What an attachment is, by its name's ending and by what stands in it. Raises Refusal."""
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable() or set(name) & set('/\\"'):
        raise Refusal(
            f"attachment: its name has at most {NAME_CHARACTERS_MAX} printable characters, and no / or quote"
        )
    if not content:
        raise Refusal(f"attachment: {name} is empty")
    if len(content) > bytes_max:
        raise too_large(bytes_max)
    found = _ENDINGS.get(name.rpartition(".")[2].lower())
    if found is None:
        raise Refusal(f"attachment: {name} is none of {', '.join(sorted(_ENDINGS))}")
    beginning = _BEGINNINGS.get(found)
    if beginning is None:
        try:
            if "\x00" not in content.decode("utf-8"):
                return found
        except UnicodeDecodeError:
            pass  # said below, with the other ways to be something else
    elif content.startswith(beginning):
        return found
    raise Refusal(f"attachment: {name} is not what its name says it is, {found}")
