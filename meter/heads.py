"""Signed heads: one page a day that says what every stream was, naming the page before. Pure.

Who has the pages and the public key can tell whether a segment, a watermark or a page was changed since,
without the database and without us. The key is used, not kept, here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT = "weir-head-1"
FIRST = ""
"""What the first head, and the first under a new key, names as its predecessor."""


class BadHead(Exception):
    """Bytes that are no head; the sentence says what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Tip:
    """How far one stream had been shipped."""

    stream: str
    label: str
    segment: int
    """The last sealed segment that was shipped whole; 0 when there is none."""
    segment_last_sequence: int
    segment_digest: str
    last_sequence: int
    """The last record shipped; beyond segment_last_sequence it stands in the tail."""
    last_record: str
    """SHA-256 of that record."""
    tail_digest: str
    """SHA-256 of the header of the segment after, and its records up to last_sequence; '' if it is not here."""


@dataclass(frozen=True, slots=True)
class Head:
    """One page, before it is signed."""

    number: int
    day: str
    """The UTC day it was made on, YYYY-MM-DD."""
    made_us: int
    previous: str
    """SHA-256 of the page before; FIRST when there is none under this key."""
    key: str
    """The public key it is signed with."""
    replaces: Mapping[str, str] | None
    """A lost key's public half and the digest of the last page signed with it."""
    closed: Mapping[str, Any] | None
    """The month that was closed, with the watermark: how far each stream counted for it."""
    tips: tuple[Tip, ...]


@dataclass(frozen=True, slots=True)
class Signed:
    """A page as it is kept: its bytes and the signature over just these bytes."""

    text: str
    signature: bytes

    @property
    def digest(self) -> str:
        """What the next page names."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def to_file(self) -> str:
        """The page, a line, and the signature in hexadecimal digits, another."""
        return f"{self.text}\n{self.signature.hex()}\n"


def from_file(content: str) -> Signed:
    """Read to_file() back. Raises BadHead."""
    lines = content.split("\n")
    try:
        if len(lines) == 3 and not lines[2]:
            return Signed(lines[0], bytes.fromhex(lines[1]))
    except ValueError:
        pass  # no hexadecimal digits: said below
    raise BadHead("a head's file has two lines, the page and its signature")


def sign(head: Head, key: Ed25519PrivateKey) -> Signed:
    """The page with its signature; canonical, so that the same head is the same bytes."""
    document = {
        "format": FORMAT,
        "number": head.number,
        "day": head.day,
        "made_us": head.made_us,
        "previous": head.previous,
        "key": head.key,
        "replaces": head.replaces,
        "closed": head.closed,
        "streams": [
            {name: getattr(tip, name) for name in Tip.__slots__}
            for tip in sorted(head.tips, key=lambda tip: tip.stream)
        ],
    }
    text = json.dumps(document, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return Signed(text, key.sign(text.encode()))


def read(signed: Signed) -> Head:
    """What a page says; whether it is true is the signature's matter. Raises BadHead."""
    try:
        told = json.loads(signed.text)
        if told["format"] != FORMAT:
            raise BadHead(f"a head of format {told['format']}; this Weir reads {FORMAT}")
        return Head(
            int(told["number"]), str(told["day"]), int(told["made_us"]), str(told["previous"]), str(told["key"]),
            told["replaces"], told["closed"], tuple(Tip(**one) for one in told["streams"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise BadHead(f"the page cannot be read: {error}") from None


def is_signed_by(signed: Signed, public_key: str) -> bool:
    """Whether the bytes were signed with the key's other half."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(
            signed.signature, signed.text.encode()
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def check(pages: Sequence[Signed], *, trusted: Iterable[str]) -> list[str]:
    """What is wrong with pages that should follow each other; nothing if all is well.

    trusted: the public keys somebody vouches for. A page under another key is named, whatever it says.
    """
    keys = set(trusted)
    wrong: list[str] = []
    before: tuple[Head, Signed] | None = None
    for place, signed in enumerate(pages, 1):
        try:
            head = read(signed)
        except BadHead as error:
            wrong.append(f"page {place}: {error}")
            before = None
            continue
        if not is_signed_by(signed, head.key):
            wrong.append(f"head {head.number} of {head.day}: the signature does not fit the page")
        elif head.key not in keys:
            wrong.append(
                f"head {head.number} of {head.day} is signed with key {head.key}, which nobody vouched for"
            )
        if before is not None:
            wrong += _link(*before, head)
        elif head.number == 1 and head.previous != FIRST:
            wrong.append("head 1 names a page before it")
        before = head, signed
    return wrong


def _link(before: Head, page_before: Signed, head: Head) -> Iterable[str]:
    if head.number != before.number + 1:
        yield f"head {before.number + 1} is missing; head {head.number} follows {before.number}"
    elif head.key == before.key:
        if head.previous != page_before.digest:
            yield f"head {head.number} of {head.day} does not continue head {before.number}"
    elif head.previous != FIRST or head.replaces != {"key": before.key, "head": page_before.digest}:
        yield f"head {head.number} of {head.day} begins under a new key and does not name the one before"
