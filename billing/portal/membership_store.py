"""SQL of a member's own membership, and of everything the databases hold about them. Each statement is for one member."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any, NamedTuple

import asyncpg

from billing.register.particulars import Particulars
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime

_BY_MEMBER = (
    "billing.statement", "billing.payment_order", "billing.payment_outcome", "billing.holding", "billing.consent",
    "billing.hours", "billing.credit", "billing.capital_line", "billing.capital_exit", "billing.capital_request",
    "billing.capital_contact", "billing.capital_forfeit", "billing.notice", "billing.notice_event", "billing.charge",
    "billing.year_line", "meter.storage", "meter.storage_day", "meter.stored", "meter.correction", "meter.member_cap",
    "gateway.member_limit", "billing.office", "billing.proposal", "billing.proposal_comment", "billing.voter",
    "billing.member_language", "billing.address_notice", "billing.entry_record", "billing.outside_account",
)  # fmt: skip
EXPORT: dict[str, str] = {
    **{f"{name}.member": f"SELECT * FROM {name} WHERE member = $1" for name in _BY_MEMBER},  # noqa: S608 - our own
    "billing.act.member": "SELECT * FROM billing.act WHERE member = $1 OR subject = $1",
    "meter.member": "SELECT * FROM meter.member WHERE id = $1",
    "meter.reading.payer": "SELECT * FROM meter.reading WHERE payer = $1",
    "meter.reading_day.payer": "SELECT * FROM meter.reading_day WHERE payer = $1",
    "meter.sample.payer": "SELECT * FROM meter.sample WHERE payer = $1",
    "billing.operation.member": "SELECT * FROM billing.operation WHERE member = $1 OR counterpart = $1",
    "billing.particulars.member": "SELECT * FROM billing.own_particulars($1)",
    "billing.posting": (
        "SELECT entry.period, entry.kind, entry.memo, posting.* FROM billing.posting"
        " JOIN billing.entry ON entry.number = posting.entry"
        " WHERE split_part(account, ':', 2) = 'member' AND split_part(account, ':', 3) = $1::bigint::text"
    ),
    "billing.capital_instalment": (
        "SELECT i.* FROM billing.capital_instalment AS i JOIN billing.capital_exit AS e USING (act) WHERE e.member = $1"
    ),
    "billing.capital_due": (
        "SELECT d.* FROM billing.capital_due AS d JOIN billing.capital_exit AS e USING (act) WHERE e.member = $1"
    ),
    "billing.capital_claim": (
        "SELECT c.* FROM billing.capital_claim AS c JOIN billing.capital_forfeit AS f ON f.act = c.forfeit"
        " WHERE f.member = $1"
    ),
    "billing.bank_account.member": "SELECT number, last_four, set_at FROM billing.bank_account WHERE member = $1",
    "billing.api_token.member": (
        "SELECT id, name, scopes, created_at, expires_at, seen_at, seen_from, revoked_at FROM billing.api_token"
        " WHERE member = $1"
    ),
    "billing.session.member": "SELECT number, created_at, seen_at, address, agent, way FROM billing.session WHERE member = $1",
    "billing.passkey_holder.member": "SELECT handle FROM billing.passkey_holder WHERE member = $1",
    "billing.passkey.member": (
        "SELECT number, credential, public_key, counter, is_synced, name, created_at, seen_at FROM billing.passkey"
        " WHERE member = $1"
    ),
    "billing.login_link.member": "SELECT created_at, expires_at FROM billing.login_link WHERE member = $1",
    # Of open votes; nothing says whose a secret ballot is.
    "billing.ballot.member": "SELECT proposal, receipt, chamber, vote FROM billing.ballot WHERE member = $1",
    "billing.proposal_text": (
        "SELECT t.* FROM billing.proposal_text AS t JOIN billing.proposal AS p ON p.number = t.proposal WHERE p.member = $1"
    ),
    "billing.proposal_attachment": (
        "SELECT a.proposal, a.place, a.name, a.media_type, a.sha256, length(a.content) AS size_bytes, a.who, a.recorded_at"
        " FROM billing.proposal_attachment AS a JOIN billing.proposal AS p ON p.number = a.proposal WHERE p.member = $1"
        " ORDER BY a.proposal, a.place"
    ),
    "billing.proposal_withdrawal": (
        "SELECT w.* FROM billing.proposal_withdrawal AS w JOIN billing.proposal AS p ON p.number = w.proposal"
        " WHERE p.member = $1"
    ),
    "billing.turnout": (
        "SELECT v.proposal, get_bit(t.voted, v.place) = 1 AS has_voted FROM billing.turnout AS t"
        " JOIN billing.voter AS v USING (proposal) WHERE v.member = $1"
    ),
    "billing.office_end": (
        "SELECT e.* FROM billing.office_end AS e JOIN billing.office AS o ON o.number = e.office WHERE o.member = $1"
    ),
    "gateway.access_key.member": (
        "SELECT access_key, created_at, revoked_at, scope::text FROM gateway.access_key WHERE member = $1"
    ),
    "gateway.bucket.owner": "SELECT id, name, created_at, deleted_at FROM gateway.bucket WHERE owner = $1",
    "gateway.bucket_document": (
        "SELECT d.* FROM gateway.bucket_document AS d JOIN gateway.bucket AS b ON b.id = d.bucket WHERE b.owner = $1"
    ),
}  # fmt: skip
"""What is known about a member, by the table and the column that says whose it is. Secrets and digests stay out."""
LEFT_OUT = {
    "gateway.directory_change.member": "that something changed, kept for minutes so that gateways read it again",
    "billing.poll": "a vote is everybody's: its terms are on the proposal's page",
    "billing.vote_result": "everybody's too: it is published with every ballot",
    "billing.adopted": "which resolution it became, on the same page",
    "billing.payment_batch": "an order to the bank for all who are paid; a member's own line of it is in here",
    "gateway.move": "how the operators place a bucket: its objects are the same before and after",
    "gateway.inventory": "what the last look at a bucket found, beside what was counted, which is in here",
}
"""What is not, and why: by whose it is, or for a table that belongs to one of theirs by its name alone."""


class Paper(NamedTuple):
    """A paper beside a member's own proposal."""

    proposal: int
    place: int
    name: str
    size_bytes: int


async def own_papers(connection: Connection, member: MemberId, *, papers_max: int) -> list[Paper]:
    """Those attached to what this member proposed, in their order."""
    rows = await connection.fetch(
        "SELECT a.proposal, a.place, a.name, length(a.content) AS size_bytes FROM billing.proposal_attachment AS a"
        " JOIN billing.proposal AS p ON p.number = a.proposal WHERE p.member = $1"
        " ORDER BY a.proposal, a.place LIMIT $2",
        member, papers_max,
    )  # fmt: skip
    return [Paper(*row) for row in rows]


async def paper(connection: Connection, one: Paper) -> bytes:
    """What is in it."""
    found: bytes = await connection.fetchval(
        "SELECT content FROM billing.proposal_attachment WHERE proposal = $1 AND place = $2",
        one.proposal, one.place,
    )  # fmt: skip
    return found


async def rows_of(
    connection: Connection, name: str, member: MemberId, *, rows_max: int
) -> AsyncIterator[tuple[tuple[str, ...], list[asyncpg.Record]]]:
    """A table's rows of this member with their columns, some at a time. Needs a transaction."""
    statement = await connection.prepare(EXPORT[name])
    columns = tuple(one.name for one in statement.get_attributes())
    cursor = await statement.cursor(member)
    rows = await cursor.fetch(rows_max)
    yield columns, rows
    while rows:
        rows = await cursor.fetch(rows_max)
        yield columns, rows


async def own_particulars(connection: Connection, member: MemberId) -> Particulars:
    """The name and addresses that count now."""
    rows: list[Any] = await connection.fetch(
        "SELECT * FROM billing.own_particulars($1) ORDER BY operation DESC LIMIT 1", member
    )
    if not rows:
        return Particulars()
    (row,) = rows
    return Particulars(row["legal_name"], row["postal"], row["email"], row["purposes"])


async def change_own_particulars(
    connection: Connection, member: MemberId, told: Particulars, *, now_us: int
) -> None:
    """Enter them in the register, as the member's own act."""
    await connection.execute(
        "SELECT billing.change_own_particulars($1, $2, $3, $4, $5, $6)",
        member, told.legal_name, told.postal, told.email, told.purposes, to_datetime(now_us),
    )  # fmt: skip


async def asked_to_leave(connection: Connection, member: MemberId) -> date | None:
    """For when this member last gave notice."""
    found: date | None = await connection.fetchval(
        "SELECT wanted_on FROM billing.capital_request WHERE member = $1 ORDER BY number DESC LIMIT 1", member
    )
    return found


async def is_customer(connection: Connection, member: MemberId, *, now_us: int) -> bool:
    """Whether they only buy, and own nothing of the co-op."""
    found = await connection.fetchval(
        "SELECT billing.classes_at($1, $2) = ARRAY['customer']", member, to_datetime(now_us)
    )
    return bool(found)


async def standing(connection: Connection, member: MemberId) -> tuple[str, int]:
    """(status, when they joined in UTC microseconds)."""
    row = await connection.fetchrow(
        "SELECT status, (extract(epoch FROM joined_at) * 1000000)::bigint AS joined_us FROM meter.member WHERE id = $1",
        member,
    )
    assert row is not None, "who is signed in is in the register"
    return row["status"], row["joined_us"]
