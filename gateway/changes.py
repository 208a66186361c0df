"""What changed in the directory since somebody looked, and how far a look saw.

Transactions end in another order than they began in, so "everything up to number n" is not to be had. A look is
placed by what PostgreSQL says of its snapshot instead, and the next one takes every change whose transaction was
not over for certain then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gateway.call import Bucket
from gateway.engine_store import EngineRow
from gateway.rates import OwnRates
from gateway.store import KeyRow
from meter.ids import MemberId


class Position(NamedTuple):
    """How far a look saw; of two looks at one server the later one is never the lesser.

    As a snapshot ages the lowest running transaction and the next one only grow, and while both stay what still
    runs between them only shrinks.
    """

    settled: int
    """Every transaction below this number is over, and was seen if it committed."""
    next: int
    """The first number that had not been given to a transaction."""
    ended: int
    """Minus the number of transactions that ran."""


BEFORE_ALL = Position(0, 0, 0)
STEP_BACK = 10_000
"""After a crash a server may give numbers again that it had given to transactions nothing is left of; so many at most
within the moment in which its log is not written yet, with much to spare."""


class Change(NamedTuple):
    """One line of what is to be read again; all three empty: everything."""

    id: int
    transaction: int
    member: MemberId | None = None
    access_key: str | None = None
    bucket: str | None = None


class Look(NamedTuple):
    """What one look found."""

    server: str
    """Which server, and which of its histories: numbers of transactions mean nothing elsewhere."""
    position: Position
    forgotten: int
    """Changes up to this transaction are kept no longer."""
    last_change: int
    """Number of the latest change."""
    changes: Sequence[Change]


class Wanted(NamedTuple):
    """What is to be read again."""

    members: frozenset[MemberId]
    access_keys: frozenset[str]
    buckets: frozenset[str]

    @classmethod
    def of(cls, changes: Iterable[Change]) -> Wanted | None:
        """Each thing once; None: everything."""
        members, access_keys, buckets = set(), set(), set()
        for one in changes:
            if one.member is not None:
                members.add(one.member)
            elif one.access_key is not None:
                access_keys.add(one.access_key)
            elif one.bucket is not None:
                buckets.add(one.bucket)
            else:
                return None
        return cls(frozenset(members), frozenset(access_keys), frozenset(buckets))


class Known(NamedTuple):
    """All that a gateway knows of the co-op."""

    keys: list[KeyRow]
    buckets: list[Bucket]
    egress_caps: Mapping[MemberId, int]
    """Hard caps of members who set one: bytes out in a month."""
    engines: Sequence[EngineRow] = ()
    """Storage engines; empty where only what changed was read, for a change of theirs has everything read."""
    rates: Mapping[MemberId, OwnRates] = {}
    """Of members for whom something of their own was set."""


class News(NamedTuple):
    """What was asked for again, as it is now; what was asked for and is not here is gone."""

    wanted: Wanted
    known: Known


class Seen:
    """How far this worker has read, and which of the changes that may come again it has read already."""

    def __init__(self, server: str = "", position: Position = BEFORE_ALL) -> None:
        self.server = server
        self.position = position
        self.last_change = 0
        self._read: dict[int, int] = {}

    @property
    def read(self) -> list[int]:
        """Changes that a look from here would find again."""
        return list(self._read)

    def must_read_all(self, look: Look) -> bool:
        """Whether the list of changes does not reach back to where we are.

        So it is at the first look, at another server, and when what we miss was forgotten.
        """
        return self.server != look.server or self.is_behind(look) or self.position.settled <= look.forgotten

    def is_behind(self, look: Look) -> bool:
        """Whether the server knows less than it did: it crashed, and forgot numbers it had given."""
        return self.position.next > look.position.next

    def step_back(self) -> None:
        """The connection is a new one, perhaps after a crash: read some of it again."""
        if self.position != BEFORE_ALL:
            self.position = self.position._replace(settled=max(1, self.position.settled - STEP_BACK))
            self._read.clear()

    def note(self, look: Look) -> None:
        """Everything the look found is known now."""
        self.server, self.position, self.last_change = look.server, look.position, look.last_change
        settled = look.position.settled
        self._read |= {one.id: one.transaction for one in look.changes}
        self._read = {number: made for number, made in self._read.items() if made >= settled}
