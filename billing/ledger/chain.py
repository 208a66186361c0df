"""The chain of the ledger: the one text of an entry, and the hash that names the entry before it. Pure.

The database works the same text out again at commit (billing.entry_hash), from what it stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from billing.ledger.entry import Posting
from meter.window import Month

FORMAT = "weir-entry-1"
GENESIS = bytes(32)
"""What the very first entry names as the hash before it."""


class Written(Protocol):
    """What of an entry its hash stands for."""

    @property
    def month(self) -> Month:
        """The period it is dated in."""

    @property
    def kind(self) -> str:
        """Why it was made."""

    @property
    def memo(self) -> str:
        """In words."""

    @property
    def postings(self) -> tuple[Posting, ...]:
        """Its sides, in order."""

    @property
    def idempotency_key(self) -> str:
        """What it is booked once for."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: the number of its last entry, 0 when there is none, and the hash the next one names."""

    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Booked:
    """An entry as it stands in the ledger; nothing is believed of it. Hashes are None before the chain began."""

    number: int
    month: Month
    kind: str
    memo: str
    idempotency_key: str
    booked_us: int
    postings: tuple[Posting, ...]
    postings_count: int
    """How many it says it has."""
    previous: bytes | None
    hash: bytes | None

    def to_document(self) -> dict[str, object]:
        """JSON-ready, stable keys."""
        return {
            "number": self.number,
            "period": str(self.month),
            "kind": self.kind,
            "memo": self.memo,
            "key": self.idempotency_key,
            "booked_us": self.booked_us,
            "postings": [{"account": one.account, "amount_minor": one.amount_minor} for one in self.postings],
            "previous_hash": None if self.previous is None else self.previous.hex(),
            "hash": None if self.hash is None else self.hash.hex(),
        }


def entry_hash(number: int, entry: Written, *, booked_us: int, previous: bytes) -> bytes:
    """SHA-256 of the entry's text; lengths stand before what a person typed, so no two entries have one text."""
    key, memo = entry.idempotency_key, entry.memo
    sides = "\n".join([f"{account} {amount}" for account, amount in entry.postings])
    text = (
        f"{FORMAT}\n{number}\n{entry.month}\n{entry.kind}\n{booked_us}\n{len(key)}:{key}\n{len(memo)}:{memo}\n"
        f"{previous.hex()}\n{sides}"
    )
    return hashlib.sha256(text.encode()).digest()


def faults(before: Head, entries: Iterable[Booked], start: Head) -> Iterator[tuple[Head, str | None]]:
    """Walk the chain on from `before`: after each entry the head, and what is wrong with the entry, if anything.

    Entries up to start.number have no hash of their own; what they come to must be start.hash.
    """
    head = before
    for one in entries:
        worked_out = entry_hash(one.number, one, booked_us=one.booked_us, previous=head.hash)
        wrong = _wrong(one, head, start, worked_out)
        head = Head(one.number, worked_out)
        yield head, wrong


def _wrong(one: Booked, head: Head, start: Head, worked_out: bytes) -> str | None:
    if one.number != head.number + 1:
        return f"entry {head.number + 1} is missing; entry {one.number} comes in its place"
    if len(one.postings) != one.postings_count:
        return f"entry {one.number} has {len(one.postings)} of its {one.postings_count} postings"
    total = sum(posting.amount_minor for posting in one.postings)
    if total:
        return f"entry {one.number} does not balance: its postings sum to {total}"
    if one.number < start.number:
        return None
    if one.number == start.number:
        return None if worked_out == start.hash else "what was booked before the chain began was changed"
    if one.previous != head.hash:
        return f"entry {one.number} does not name the hash of the entry before it"
    if one.hash != worked_out:
        return f"entry {one.number} is not what its hash was made of"
    return None
