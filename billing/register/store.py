"""SQL of the register: kinds of shares, operations, holdings, names and addresses. It decides nothing; triggers refuse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg

from billing.ledger.entry import Account, Posting
from billing.register.operations import Holding, Operation, OperationKind, ShareKind
from billing.register.particulars import Particulars
from meter.ids import MemberId
from meter.postgres import Connection
from meter.usage import MemberClass
from meter.window import to_datetime, to_us

_OPERATION = (
    "number, kind, member, classes, share_kind, quantity, amount_minor, counterpart, to_kind, to_quantity,"
    " corrects, entry, memo, who, effective_at, recorded_at"
)


async def insert_share_kind(connection: Connection, kind: ShareKind, *, who: str, now_us: int) -> None:
    """Add a kind of shares. Raises asyncpg.UniqueViolationError for a name that is taken."""
    await connection.execute(
        "INSERT INTO billing.share_kind VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        kind.name, kind.par_minor, kind.currency, sorted(one.value for one in kind.held_by), kind.is_investment,
        kind.interest_max_millionths, who, to_datetime(now_us),
    )  # fmt: skip


async def share_kinds(connection: Connection) -> dict[str, ShareKind]:
    """Every kind of shares by its name."""
    rows = await connection.fetch("SELECT * FROM billing.share_kind ORDER BY name")
    return {
        row["name"]: ShareKind(
            row["name"], row["par_minor"], row["currency"], frozenset(MemberClass(one) for one in row["held_by"]),
            row["is_investment"], row["interest_max_millionths"],
        )
        for row in rows
    }  # fmt: skip


async def next_number(connection: Connection) -> int:
    """The number the next operation gets; the caller holds the lock of the books."""
    return int(await connection.fetchval("SELECT coalesce(max(number), 0) + 1 FROM billing.operation"))


async def insert_operation(connection: Connection, one: Operation) -> None:
    """Enter an operation under its number."""
    await connection.execute(
        f"INSERT INTO billing.operation ({_OPERATION})"  # noqa: S608 - our own columns
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        one.number, one.kind.value, one.member, [name.value for name in one.classes] or None, one.share_kind,
        one.quantity, one.amount_minor, one.counterpart, one.to_kind, one.to_quantity, one.corrects, one.entry,
        one.memo, one.who, to_datetime(one.effective_us), to_datetime(one.recorded_us),
    )  # fmt: skip


async def operations(connection: Connection, *, members: Iterable[MemberId] | None = None) -> list[Operation]:
    """All operations by number, or those in which one of these members takes part."""
    wanted = None if members is None else sorted(set(members))
    rows = await connection.fetch(
        f"SELECT {_OPERATION} FROM billing.operation"  # noqa: S608 - our own columns
        " WHERE $1::bigint[] IS NULL OR member = ANY($1) OR counterpart = ANY($1) ORDER BY number",
        wanted,
    )
    return [_operation(row) for row in rows]


async def class_changers(connection: Connection) -> list[MemberId]:
    """Whose class was ever changed."""
    rows = await connection.fetch("SELECT DISTINCT member FROM billing.operation WHERE kind = 'class'")
    return [MemberId(row["member"]) for row in rows]


async def operation(connection: Connection, number: int) -> Operation | None:
    """One operation."""
    row = await connection.fetchrow(
        f"SELECT {_OPERATION} FROM billing.operation WHERE number = $1",  # noqa: S608 - our own columns
        number,
    )
    return None if row is None else _operation(row)


async def is_corrected(connection: Connection, number: int) -> bool:
    """Whether a later operation takes this one back."""
    query = "SELECT EXISTS (SELECT FROM billing.operation WHERE corrects = $1)"
    return bool(await connection.fetchval(query, number))


def _operation(row: asyncpg.Record) -> Operation:
    return Operation(
        number=row["number"], kind=OperationKind(row["kind"]), member=MemberId(row["member"]),
        effective_us=to_us(row["effective_at"]), recorded_us=to_us(row["recorded_at"]), who=row["who"],
        classes=tuple(MemberClass(one) for one in row["classes"] or ()), share_kind=row["share_kind"],
        quantity=row["quantity"], amount_minor=row["amount_minor"],
        counterpart=None if row["counterpart"] is None else MemberId(row["counterpart"]),
        to_kind=row["to_kind"], to_quantity=row["to_quantity"], corrects=row["corrects"], entry=row["entry"],
        memo=row["memo"],
    )  # fmt: skip


async def holdings(
    connection: Connection, *, member: MemberId | None = None
) -> dict[MemberId, dict[str, Holding]]:
    """What everybody holds now, or one member, as the database keeps it."""
    rows = await connection.fetch(
        "SELECT member, share_kind, shares, paid_minor FROM billing.holding"
        " WHERE $1::bigint IS NULL OR member = $1 ORDER BY member, share_kind",
        member,
    )
    found: dict[MemberId, dict[str, Holding]] = {}
    for row in rows:
        held = Holding(row["shares"], row["paid_minor"])
        found.setdefault(MemberId(row["member"]), {})[row["share_kind"]] = held
    return found


async def entry_postings(connection: Connection, entry: int) -> list[Posting]:
    """The postings of an entry, in order."""
    rows = await connection.fetch(
        "SELECT account, amount_minor FROM billing.posting WHERE entry = $1 ORDER BY place", entry
    )
    return [Posting(Account(row["account"]), row["amount_minor"]) for row in rows]


async def credit_balances(
    connection: Connection, prefixes: Sequence[str], *, at_us: int | None = None
) -> dict[str, int]:
    """Account → credit balance in minor units, of accounts that begin so and are not at zero.

    With an instant, of what had been booked by then.
    """
    rows = await connection.fetch(
        "SELECT account, -sum(amount_minor)::numeric AS amount"
        " FROM billing.posting JOIN billing.entry ON number = entry"
        " WHERE account LIKE ANY($1::text[]) AND ($2::timestamptz IS NULL OR booked_at <= $2)"
        " GROUP BY account HAVING sum(amount_minor) <> 0 ORDER BY account",
        [f"{one}%" for one in prefixes], None if at_us is None else to_datetime(at_us),
    )  # fmt: skip
    return {row["account"]: int(row["amount"]) for row in rows}


async def insert_particulars(
    connection: Connection, operation: int, member: MemberId, told: Particulars
) -> None:
    """Keep what an operation of kind address says."""
    await connection.execute(
        "INSERT INTO billing.particulars (operation, member, legal_name, postal, email, purposes)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        operation, member, told.legal_name, told.postal, told.email, told.purposes,
    )  # fmt: skip


async def particulars(
    connection: Connection, *, at_us: int, member: MemberId | None = None
) -> dict[MemberId, Particulars]:
    """The names and addresses that counted at an instant, of everybody or of one."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (told.member) told.member, legal_name, postal, email, purposes"
        " FROM billing.particulars AS told JOIN billing.operation ON number = told.operation"
        " WHERE effective_at <= $1 AND ($2::bigint IS NULL OR told.member = $2)"
        " ORDER BY told.member, effective_at DESC, number DESC",
        to_datetime(at_us), member,
    )  # fmt: skip
    return {
        MemberId(row["member"]): Particulars(row["legal_name"], row["postal"], row["email"], row["purposes"])
        for row in rows
    }


async def end_links(connection: Connection, member: MemberId) -> None:
    """Let no one-time link that was sent to a member and is not used yet sign anybody in."""
    await connection.execute("DELETE FROM billing.login_link WHERE member = $1", member)


async def set_email(connection: Connection, member: MemberId, email: str) -> None:
    """The e-mail address other rooms know is the register's."""
    await connection.execute("UPDATE meter.member SET email = $2 WHERE id = $1", member, email)
