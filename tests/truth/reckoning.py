"""What the relay saw against what the journal and PostgreSQL say, exchange by exchange and in sums. Pure.

The kinds of exchange, and what is promised of each:

* **whole**: the answer arrived whole. Billed is what moved, to the byte; nothing for errors, HEAD and 304.
* **broken off** by the client: billed is what the relay's kernel acknowledged, to the byte.
* **cut** by a kill -9 of the gateway: never more than was delivered, and at most a limit less.

An exchange that the client broke off while a kill fell upon it is exact, or a line of its own ("both"), with the promise
of those that were cut. So is one whose answer arrived whole, but whose worker was killed before it could know
("unknown"): its record says that it was cut. Whether a kill fell upon an exchange, the rig says by its own clock; the
journal's mark alone excuses nothing, nor does the clock without the mark.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from meter.event import Event, Mark
from tests.truth.relay import End, Seen

CUT_LESS_MAX_BYTES = 2**20
"""So much less may be billed of what a connection delivered that a kill -9 cut."""
KILL_REACHES_US = 2_000_000
"""A kill this soon after an exchange's end may have come before its line was written."""
KILL_TAKES_US = 1_000_000
"""A process that was told to die still takes a connection's bytes for a moment."""
CLOCK_US = 1_000
CUT_KINDS = {End.GATEWAY: "cut", End.CLIENT: "both", End.WHOLE: "unknown"}


class Known(NamedTuple):
    """A client, as the journal names it."""

    name: str
    member: int
    bucket: int


@dataclass
class Billed:
    """All records of one request together."""

    request_id: str
    began_us: int
    requester: int
    bucket: int
    bytes_in: int = 0
    bytes_out: int = 0
    requests: int = 0
    is_recovered: bool = False

    def add(self, event: Event) -> None:
        """One record more: a checkpoint, a correction, or the last one."""
        self.bytes_in += event.bytes_in
        self.bytes_out += event.bytes_out
        self.requests += not event.marks & (Mark.CHECKPOINT | Mark.CORRECTION)
        self.is_recovered = self.is_recovered or bool(event.marks & Mark.RECOVERED)


@dataclass
class Line:
    """The table's line for one kind of exchange."""

    exchanges: int = 0
    delivered: int = 0
    billed: int = 0
    most_less: int = 0
    """The most that one exchange was billed less than it delivered."""
    most_more: int = 0
    """The most that one was billed more; 0, or we have billed what we cannot show."""

    @property
    def difference(self) -> int:
        """Billed less delivered."""
        return self.billed - self.delivered

    def add(self, *, delivered: int, billed: int) -> None:
        """One exchange's bytes in one direction."""
        self.exchanges += 1
        self.delivered += delivered
        self.billed += billed
        self.most_less = max(self.most_less, delivered - billed)
        self.most_more = max(self.most_more, billed - delivered)


@dataclass
class Reckoning:
    """What came of it."""

    lines: dict[tuple[str, str], Line] = field(default_factory=dict)
    """(kind, direction) → sums."""
    recovered: int = 0
    """Records the journal itself marks as closed after a crash."""
    journal_bytes: int = 0
    database_bytes: int = 0
    complaints: list[str] = field(default_factory=list)
    """One sentence for each promise that was broken."""

    def line(self, kind: str, direction: str) -> Line:
        """The line of that kind, made on first use."""
        return self.lines.setdefault((kind, direction), Line())


def reckon(
    seen: Sequence[Seen],
    events: Iterable[Event],
    booked: Mapping[int, tuple[int, int]],
    *,
    clients: Sequence[Known],
    worker_kills_us: Sequence[int],
) -> Reckoning:
    """Compare everything. `booked` is payer → (bytes in, bytes out) in the sums."""
    told = Reckoning()
    billed: dict[str, Billed] = {}
    journal: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for event in events:
        if event.marks & Mark.STORAGE:
            continue
        name = event.request_id.hex()
        one = billed.setdefault(name, Billed(name, event.began_us, event.requester, event.bucket))
        one.add(event)
        told.recovered += bool(event.marks & Mark.RECOVERED)
        journal[event.payer][0] += event.bytes_in
        journal[event.payer][1] += event.bytes_out
    _compare_sums(told, journal, booked)
    for client in clients:
        mine = [one for one in seen if one.client == client.name]
        _compare(told, client, sorted(mine, key=lambda one: one.began_us), billed, worker_kills_us)
    for stray in billed.values():
        if stray.bytes_in or stray.bytes_out:
            told.complaints.append(f"billed, and nobody saw it: {stray}")
    return told


def _compare_sums(
    told: Reckoning, journal: Mapping[int, list[int]], booked: Mapping[int, tuple[int, int]]
) -> None:
    told.journal_bytes = sum(sum(one) for one in journal.values())
    told.database_bytes = sum(sum(one) for one in booked.values())
    for payer in sorted({*journal, *booked}):
        ours, sums = tuple(journal.get(payer, [0, 0])), booked.get(payer, (0, 0))
        if ours != sums:
            told.complaints.append(f"payer {payer}: the journal holds {ours}, PostgreSQL {sums}")


def _compare(
    told: Reckoning, client: Known, mine: Sequence[Seen], left: dict[str, Billed], kills: Sequence[int]
) -> None:
    """One client's exchanges, which never overlap; what they are billed by is taken out of what is left."""
    without_id: list[Seen] = []
    for one in mine:
        if one.request_id:
            _judge(told, one, left.pop(one.request_id, None), kills)
        else:
            without_id.append(one)
    for one in without_id:
        _judge(told, one, _by_time(client, one, left), kills)


def _by_time(client: Known, one: Seen, left: dict[str, Billed]) -> Billed | None:
    """The record of an exchange that never heard its request id: it began while the client waited.

    Two that were broken off one right after the other are both within the clocks' doubt: the nearer one is meant.
    """

    def outside_us(candidate: Billed) -> int:
        return max(one.began_us - candidate.began_us, candidate.began_us - one.ended_us, 0)

    theirs = [
        request_id
        for request_id, candidate in left.items()
        if (candidate.requester == client.member or candidate.bucket == client.bucket)
        and outside_us(candidate) <= CLOCK_US
    ]
    return left.pop(min(theirs, key=lambda one: outside_us(left[one]))) if theirs else None


def _judge(told: Reckoning, one: Seen, billed: Billed | None, kills: Sequence[int]) -> None:
    delivered = (one.bytes_in, one.bytes_out) if _may_be_billed(one) else (0, 0)
    counted = (0, 0) if billed is None else (billed.bytes_in, billed.bytes_out)
    was_killed = any(one.began_us - KILL_TAKES_US <= at <= one.ended_us + KILL_REACHES_US for at in kills)
    is_exact = delivered == counted and (billed is not None or one.end is not End.WHOLE)
    kind = one.end.value
    was_cut = was_killed and _may_be_cut(one, billed)
    if one.end is End.GATEWAY or (not is_exact and was_cut):
        kind = CUT_KINDS[one.end]
        if not was_killed:
            told.complaints.append(f"cut, and nothing was killed: {one}")
        _judge_cut(told, one, billed, delivered, counted)
    elif not is_exact:
        told.complaints.append(f"{kind}: delivered {delivered}, billed {counted}: {one} {billed}")
    if billed is not None and billed.requests != 1:
        told.complaints.append(f"counted as {billed.requests} requests: {one} {billed}")
    for direction, (moved, paid) in zip(("in", "out"), zip(delivered, counted, strict=True), strict=True):
        told.line(kind, direction).add(delivered=moved, billed=paid)


def _may_be_cut(one: Seen, billed: Billed | None) -> bool:
    """Whether its records leave it open that its worker was killed. Of an answer that arrived whole there is one."""
    return one.end is End.CLIENT if billed is None else billed.is_recovered


def _judge_cut(
    told: Reckoning, one: Seen, billed: Billed | None, delivered: tuple[int, int], counted: tuple[int, int]
) -> None:
    for moved, paid in zip(delivered, counted, strict=True):
        if paid > moved:
            told.complaints.append(f"cut, and billed {paid} of {moved} bytes delivered: {one} {billed}")
        if moved - paid > CUT_LESS_MAX_BYTES:
            told.complaints.append(f"cut, and {moved - paid} bytes were written off: {one} {billed}")


def _may_be_billed(one: Seen) -> bool:
    """By the answer's head alone: errors, 304 and HEAD bill no bytes."""
    return one.status < 400 and one.status != 304 and one.method != "HEAD"
