"""SQL of proposals, votes and results. It decides nothing; triggers refuse."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from billing.governance.decisions import ResolutionKind
from billing.voting.count import Ballot
from billing.voting.document import poll_terms, read_ballot
from billing.voting.poll import Poll, Voter
from billing.voting.proposal import Attachment, Comment, Proposal, Slate, Withdrawal, Wording
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime, to_us

_PROPOSAL = (
    "SELECT p.number, p.kind, p.member, p.who, p.recorded_at, t.place, t.title, t.body, t.calc_hash, t.seats, t.options,"
    " t.who AS worded_by, t.recorded_at AS worded_at, w.why, w.who AS withdrawn_by, w.recorded_at AS withdrawn_at"
    " FROM billing.proposal p CROSS JOIN LATERAL ("
    " SELECT * FROM billing.proposal_text x WHERE x.proposal = p.number ORDER BY x.place DESC LIMIT 1) t"
    " LEFT JOIN billing.proposal_withdrawal w ON w.proposal = p.number"
)
_POLL = "proposal, document, digest, is_secret, record_at, opens_at, closes_at"


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result as it is kept."""

    place: int
    proposal: int
    document: str
    digest: str
    is_adopted: bool


async def lock_proposal(connection: Connection, number: int) -> None:
    """Be alone with a proposal until the transaction ends; 0 is the list of results."""
    await connection.execute("SELECT billing.lock_proposal($1)", number)


async def insert_proposal(
    connection: Connection, kind: ResolutionKind, member: MemberId | None, *, who: str, now_us: int
) -> int:
    """Enter a proposal; its number."""
    number: int = await connection.fetchval(
        "INSERT INTO billing.proposal (kind, member, who, recorded_at) VALUES ($1, $2, $3, $4) RETURNING number",
        kind.value, member, who, to_datetime(now_us),
    )  # fmt: skip
    return number


async def insert_wording(connection: Connection, number: int, one: Wording) -> None:
    """Enter what it says now. Raises asyncpg.PostgresError after the opening."""
    await connection.execute(
        "INSERT INTO billing.proposal_text (proposal, title, body, calc_hash, who, recorded_at, seats, options)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        number, one.title, one.body, one.calc_hash, one.who, to_datetime(one.recorded_us),
        None if one.slate is None else one.slate.seats, None if one.slate is None else list(one.slate.options),
    )  # fmt: skip


async def wordings(connection: Connection, number: int) -> list[Wording]:
    """All that a proposal ever said, in order."""
    rows = await connection.fetch(
        "SELECT * FROM billing.proposal_text WHERE proposal = $1 ORDER BY place", number
    )
    return [
        Wording(
            row["title"], row["body"], row["calc_hash"], row["who"], to_us(row["recorded_at"]), _slate(row)
        )
        for row in rows
    ]


async def proposals(connection: Connection, *, count_max: int, before: int | None = None) -> list[Proposal]:
    """The newest proposals first, from below a number on."""
    rows = await connection.fetch(
        f"{_PROPOSAL} WHERE $2::bigint IS NULL OR p.number < $2 ORDER BY p.number DESC LIMIT $1",
        count_max, before,
    )  # fmt: skip
    return [_proposal(row) for row in rows]


async def proposal(connection: Connection, number: int) -> Proposal | None:
    """One proposal."""
    row = await connection.fetchrow(f"{_PROPOSAL} WHERE p.number = $1", number)
    return None if row is None else _proposal(row)


def _proposal(row: asyncpg.Record) -> Proposal:
    said = Wording(
        row["title"], row["body"], row["calc_hash"], row["worded_by"], to_us(row["worded_at"]), _slate(row)
    )
    return Proposal(
        row["number"], ResolutionKind(row["kind"]), None if row["member"] is None else MemberId(row["member"]),
        row["who"], to_us(row["recorded_at"]), said, row["place"],
        None if row["why"] is None else Withdrawal(row["why"], row["withdrawn_by"], to_us(row["withdrawn_at"])),
    )  # fmt: skip


def _slate(row: asyncpg.Record) -> Slate | None:
    return None if row["seats"] is None else Slate(row["seats"], tuple(row["options"]))


async def waiting_of(connection: Connection, member: MemberId) -> int:
    """How many proposals of a member wait: neither opened yet nor taken back."""
    query = (
        "SELECT count(*) FROM billing.proposal p WHERE member = $1"
        " AND NOT EXISTS (SELECT FROM billing.poll WHERE proposal = p.number)"
        " AND NOT EXISTS (SELECT FROM billing.proposal_withdrawal WHERE proposal = p.number)"
    )
    return int(await connection.fetchval(query, member))


async def insert_withdrawal(connection: Connection, number: int, one: Withdrawal) -> None:
    """Enter that it was taken back. Raises asyncpg.PostgresError after the opening, and the second time."""
    await connection.execute(
        "INSERT INTO billing.proposal_withdrawal (proposal, why, who, recorded_at) VALUES ($1, $2, $3, $4)",
        number, one.why, one.who, to_datetime(one.recorded_us),
    )  # fmt: skip


async def insert_attachment(
    connection: Connection, number: int, *, name: str, media_type: str, sha256: str, content: bytes, who: str,
    now_us: int,
) -> int:  # fmt: skip
    """Keep a paper; its place. Raises asyncpg.PostgresError after the opening."""
    place: int = await connection.fetchval(
        "INSERT INTO billing.proposal_attachment (proposal, name, media_type, sha256, content, who, recorded_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING place",
        number, name, media_type, sha256, content, who, to_datetime(now_us),
    )  # fmt: skip
    return place


async def attachments(connection: Connection, number: int) -> list[Attachment]:
    """What is attached, in order, without its content."""
    rows = await connection.fetch(
        "SELECT place, name, media_type, sha256, length(content) AS size FROM billing.proposal_attachment"
        " WHERE proposal = $1 ORDER BY place",
        number,
    )
    return [
        Attachment(row["place"], row["name"], row["media_type"], row["sha256"], row["size"]) for row in rows
    ]


async def attachment(connection: Connection, number: int, place: int) -> tuple[Attachment, bytes] | None:
    """One paper with its content."""
    row = await connection.fetchrow(
        "SELECT * FROM billing.proposal_attachment WHERE proposal = $1 AND place = $2", number, place
    )
    if row is None:
        return None
    found = Attachment(place, row["name"], row["media_type"], row["sha256"], len(row["content"]))
    return found, row["content"]


async def insert_comment(
    connection: Connection, number: int, member: MemberId, body: str, *, now_us: int
) -> int:
    """Enter what a member says; its place in the order."""
    place: int = await connection.fetchval(
        "INSERT INTO billing.proposal_comment (proposal, member, body, recorded_at) VALUES ($1, $2, $3, $4)"
        " RETURNING place",
        number, member, body, to_datetime(now_us),
    )  # fmt: skip
    return place


async def comments(connection: Connection, number: int) -> list[Comment]:
    """The discussion, in its order."""
    rows = await connection.fetch(
        "SELECT c.place, c.member, m.name, c.body, c.recorded_at FROM billing.proposal_comment c"
        " JOIN meter.member m ON m.id = c.member WHERE c.proposal = $1 ORDER BY c.place",
        number,
    )
    return [
        Comment(row["place"], MemberId(row["member"]), row["name"], row["body"], to_us(row["recorded_at"]))
        for row in rows
    ]


async def comments_since(connection: Connection, member: MemberId, since_us: int) -> int:
    """How much a member said since an instant, wherever."""
    query = "SELECT count(*) FROM billing.proposal_comment WHERE member = $1 AND recorded_at > $2"
    return int(await connection.fetchval(query, member, to_datetime(since_us)))


async def insert_poll(
    connection: Connection, poll: Poll, voters: Sequence[Voter], *, who: str, now_us: int
) -> None:
    """Open a vote with its roll. Raises asyncpg.UniqueViolationError where it was opened before."""
    await connection.execute(
        f"INSERT INTO billing.poll ({_POLL}, who, opened_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",  # noqa: S608 - our own columns
        poll.proposal, poll.document, poll.digest, poll.is_secret, to_datetime(poll.record_us),
        to_datetime(poll.opens_us), to_datetime(poll.closes_us), who, to_datetime(now_us),
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO billing.voter (proposal, member, place, chamber)"
        " SELECT $1, * FROM unnest($2::bigint[], $3::integer[], $4::text[])",
        poll.proposal, [one.member for one in voters], list(range(len(voters))), [one.chamber for one in voters],
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO billing.turnout (proposal, voted) VALUES ($1, repeat('0', $2)::bit varying)",
        poll.proposal, len(voters),
    )  # fmt: skip


async def polls(connection: Connection, numbers: Iterable[int]) -> dict[int, Poll]:
    """The votes of these proposals that were opened, by proposal."""
    rows = await connection.fetch(
        f"SELECT {_POLL} FROM billing.poll WHERE proposal = ANY($1::bigint[])",  # noqa: S608 - our own columns
        list(numbers),
    )
    return {row["proposal"]: _poll(row) for row in rows}


async def due_polls(connection: Connection, now_us: int) -> list[int]:
    """Votes whose time is over and that were not counted yet."""
    rows = await connection.fetch(
        "SELECT proposal FROM billing.poll p WHERE closes_at <= $1"
        " AND NOT EXISTS (SELECT FROM billing.vote_result r WHERE r.proposal = p.proposal) ORDER BY closes_at, proposal",
        to_datetime(now_us),
    )
    return [row["proposal"] for row in rows]


def _poll(row: asyncpg.Record) -> Poll:
    terms, classes = poll_terms(json.loads(row["document"]))
    return Poll(
        row["proposal"], row["is_secret"], to_us(row["record_at"]), to_us(row["opens_at"]), to_us(row["closes_at"]),
        terms, classes, row["document"], row["digest"],
    )  # fmt: skip


async def voter(connection: Connection, number: int, member: MemberId) -> Voter | None:
    """A member on the roll."""
    row = await connection.fetchrow(
        "SELECT member, chamber FROM billing.voter WHERE proposal = $1 AND member = $2", number, member
    )
    return None if row is None else Voter(MemberId(row["member"]), row["chamber"])


async def open_votes_of(connection: Connection, member: MemberId, *, now_us: int) -> list[int]:
    """Proposals on whose roll this member is and that are voted on now."""
    rows = await connection.fetch(
        "SELECT proposal FROM billing.voter JOIN billing.poll USING (proposal)"
        " WHERE member = $1 AND opens_at <= $2 AND closes_at > $2 ORDER BY proposal",
        member, to_datetime(now_us),
    )  # fmt: skip
    return [row["proposal"] for row in rows]


async def mark_voted(connection: Connection, number: int, member: MemberId, *, now_us: int) -> bool:
    """Note that a member on the roll votes; False when they have already. Of two at once the second waits and sees."""
    marked = await connection.fetchval(
        "UPDATE billing.turnout t SET voted = set_bit(t.voted, v.place, 1), last_at = $3 FROM billing.voter v"
        " WHERE t.proposal = $1 AND v.proposal = $1 AND v.member = $2 AND get_bit(t.voted, v.place) = 0"
        " RETURNING true",
        number, member, to_datetime(now_us),
    )  # fmt: skip
    return bool(marked)


async def voted(connection: Connection, number: int) -> list[MemberId]:
    """Who has voted, by their numbers."""
    rows = await connection.fetch(
        "SELECT v.member FROM billing.voter v JOIN billing.turnout t ON t.proposal = v.proposal"
        " WHERE v.proposal = $1 AND get_bit(t.voted, v.place) = 1 ORDER BY v.member",
        number,
    )
    return [MemberId(row["member"]) for row in rows]


async def has_voted(connection: Connection, number: int, member: MemberId) -> bool:
    """Whether a member has voted."""
    found = await connection.fetchval(
        "SELECT get_bit(t.voted, v.place) FROM billing.voter v JOIN billing.turnout t ON t.proposal = v.proposal"
        " WHERE v.proposal = $1 AND v.member = $2",
        number, member,
    )  # fmt: skip
    return bool(found)


async def turnout(connection: Connection, number: int) -> tuple[int, int]:
    """(how many have voted, how many have a vote)."""
    row = await connection.fetchrow(
        "SELECT bit_count(voted) AS cast, length(voted) AS roll FROM billing.turnout WHERE proposal = $1",
        number,
    )
    return (0, 0) if row is None else (row["cast"], row["roll"])


async def insert_ballot(connection: Connection, number: int, one: Ballot) -> None:
    """Put a ballot into the box."""
    await connection.execute(
        "INSERT INTO billing.ballot (proposal, receipt, chamber, vote, member) VALUES ($1, $2, $3, $4, $5)",
        number, one.receipt, one.chamber, one.says, one.member,
    )  # fmt: skip


async def ballots(connection: Connection, number: int) -> list[Ballot]:
    """The box, in the order of random names."""
    rows = await connection.fetch(
        "SELECT receipt, chamber, vote, member FROM billing.ballot WHERE proposal = $1 ORDER BY receipt",
        number,
    )
    return [
        read_ballot(
            row["receipt"], row["chamber"], row["vote"], None if row["member"] is None else MemberId(row["member"])
        )
        for row in rows
    ]  # fmt: skip


async def close_box(connection: Connection, number: int) -> bool:
    """Take no more ballots; False where the box was closed before."""
    closed = await connection.fetchval(
        "UPDATE billing.turnout SET is_closed = true, last_at = NULL WHERE proposal = $1 AND NOT is_closed"
        " RETURNING true",
        number,
    )
    return bool(closed)


async def last_result(connection: Connection) -> tuple[int, str]:
    """(place, digest) of the result that was entered last; the caller holds its lock."""
    row = await connection.fetchrow(
        "SELECT place, digest FROM billing.vote_result ORDER BY place DESC LIMIT 1"
    )
    return (0, "") if row is None else (row["place"], row["digest"])


async def insert_result(
    connection: Connection, number: int, document: str, sha256: str, *, is_adopted: bool, now_us: int
) -> None:
    """Enter a result behind the last one."""
    await connection.execute(
        "INSERT INTO billing.vote_result (proposal, document, digest, is_adopted, counted_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        number, document, sha256, is_adopted, to_datetime(now_us),
    )  # fmt: skip


async def result(connection: Connection, number: int) -> StoredResult | None:
    """The result of a proposal."""
    row = await connection.fetchrow(
        "SELECT place, proposal, document, digest, is_adopted FROM billing.vote_result WHERE proposal = $1",
        number,
    )
    return None if row is None else StoredResult(**row)


async def results(connection: Connection) -> list[StoredResult]:
    """All results in the order of their chain."""
    rows = await connection.fetch(
        "SELECT place, proposal, document, digest, is_adopted FROM billing.vote_result ORDER BY place"
    )
    return [StoredResult(**row) for row in rows]


async def adopted_ones(connection: Connection, numbers: Iterable[int]) -> dict[int, bool]:
    """Proposal → whether it was adopted, of those that were counted."""
    rows = await connection.fetch(
        "SELECT proposal, is_adopted FROM billing.vote_result WHERE proposal = ANY($1::bigint[])",
        list(numbers),
    )
    return {row["proposal"]: row["is_adopted"] for row in rows}


async def insert_adopted(connection: Connection, number: int, resolution: str) -> None:
    """Note which resolution an adopted proposal became."""
    await connection.execute("INSERT INTO billing.adopted VALUES ($1, $2)", number, resolution)


async def resolution_of(connection: Connection, number: int) -> str | None:
    """Which resolution a proposal became."""
    found: str | None = await connection.fetchval(
        "SELECT resolution FROM billing.adopted WHERE proposal = $1", number
    )
    return found


async def resolutions_of(connection: Connection, numbers: Iterable[int]) -> dict[int, str]:
    """Which resolutions these proposals became, of those that became one."""
    rows = await connection.fetch(
        "SELECT proposal, resolution FROM billing.adopted WHERE proposal = ANY($1::bigint[])", list(numbers)
    )
    return {row["proposal"]: row["resolution"] for row in rows}
