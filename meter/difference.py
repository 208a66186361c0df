"""What an audit finds: one difference, where it is, and how many bytes it is about. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What two places disagree about."""

    SEGMENT = "segment"
    """A segment is damaged, missing, doubled, foreign, or does not continue the one before."""
    DIGEST = "digest"
    """A segment is whole, and not the one that was shipped."""
    PLACE = "place"
    """How far a stream was shipped does not fit its journal, or the stream is not here."""
    READING = "reading"
    """The sums of exchanges of one key differ from the journal."""
    STORAGE = "storage"
    """The sums of changes of stored bytes of one key differ from the journal."""
    WATERMARK = "watermark"
    """A closed month's watermark does not fit the streams, or the head that was signed at the closing."""
    HEAD = "head"
    """A signed head is missing, changed, or does not fit segments and streams."""
    TOTAL = "total"
    """The storage index's own sums differ from its rows."""
    STORED = "stored"
    """The storage index's rows differ from the changes in journal and outbox."""
    OUTBOX = "outbox"
    """Rows of the outbox are gone and not in the journal."""
    UPSTREAM = "engine-stored"
    """An engine beyond the disk holds other bytes than were counted, as its last inventory found."""
    USAGE = "engine-usage"
    """An engine's own usage log tells of other requests or bytes than our journals."""
    MISSING = "file-missing"
    SIZE = "file-size"
    ORPHAN = "file-orphan"
    """A file that nothing points at, and that is old enough not to be on its way."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One of them."""

    kind: Kind
    where: str
    """A path, a key, or a number that finds it."""
    size_bytes: int
    """How many bytes it is about; 0 where it is not about bytes."""
    sentence: str


NAMED_MAX = 200
"""Differences of one kind that are kept by name; the others are counted."""


@dataclass(slots=True)
class Findings:
    """All of them, the first of each kind by name."""

    named: list[Difference] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)

    def add(self, kind: Kind, where: str, sentence: str, *, size_bytes: int = 0) -> None:
        """Note a difference."""
        self.counts[kind] += 1
        if self.counts[kind] <= NAMED_MAX:
            self.named.append(Difference(kind, where, size_bytes, sentence))

    @property
    def total(self) -> int:
        """How many there are, named or not."""
        return sum(self.counts.values())
