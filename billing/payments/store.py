"""SQL of payments: bank accounts, batches for the bank, and the lines it sent. What is about a person comes sealed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

import asyncpg

from billing.payments.bank import Line
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime, to_us

SECOND_LINE_STATE = "WC003"


@dataclass(frozen=True, slots=True)
class Account:
    """A bank account as it is kept: the owner's name and its number are in `sealed`."""

    number: int
    member: MemberId | None
    sealed: bytes = field(repr=False)
    last_four: str


@dataclass(frozen=True, slots=True)
class KeptBatch:
    """A batch, how many orders it has, and what became of them."""

    number: int
    message_id: str
    execute_on: date
    account: int
    made_us: int
    orders: int
    total_minor: int
    waiting: int
    paid: int
    cancelled: int
    returned: int


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """One transfer of a batch. is_waiting until the bank's statement has it, or it was cancelled."""

    batch: int
    member: MemberId
    amount_minor: int
    account: int
    end_to_end: str
    is_waiting: bool
    is_paid: bool


@dataclass(frozen=True, slots=True)
class KeptLine:
    """A line of the bank's statement; name, number and text are in `sealed`."""

    number: int
    booked_on: date
    amount_minor: int
    end_to_end: str
    sealed: bytes = field(repr=False)
    key: str


async def insert_account(
    connection: Connection, member: MemberId | None, sealed: bytes, last_four: str, *, now_us: int
) -> int:
    """Keep an account; it is the one in force from now on."""
    number: int = await connection.fetchval(
        "INSERT INTO billing.bank_account (member, sealed, last_four, set_at) VALUES ($1, $2, $3, $4)"
        " RETURNING number",
        member, sealed, last_four, to_datetime(now_us),
    )  # fmt: skip
    return number


async def own_account(connection: Connection) -> Account | None:
    """The co-op's account in force."""
    row = await connection.fetchrow(
        "SELECT * FROM billing.bank_account WHERE member IS NULL ORDER BY number DESC LIMIT 1"
    )
    return None if row is None else _account(row)


async def accounts(connection: Connection, members: Sequence[MemberId]) -> dict[MemberId, Account]:
    """The account in force of each of these members that has one."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (member) * FROM billing.bank_account WHERE member = ANY($1::bigint[])"
        " ORDER BY member, number DESC",
        members,
    )
    return {MemberId(row["member"]): _account(row) for row in rows}


async def accounts_numbered(connection: Connection, numbers: Sequence[int]) -> dict[int, Account]:
    """Accounts by their numbers, in force or not."""
    rows = await connection.fetch(
        "SELECT * FROM billing.bank_account WHERE number = ANY($1::bigint[])", numbers
    )
    return {row["number"]: _account(row) for row in rows}


def _account(row: asyncpg.Record) -> Account:
    return Account(row["number"], row["member"], row["sealed"], row["last_four"])


_OWED = (
    "SELECT member, owed FROM (SELECT substring(p.account FROM 16)::bigint AS member,"
    "  -sum(p.amount_minor) - coalesce((SELECT sum(w.amount_minor) FROM billing.payment_waiting w"
    "   WHERE w.member = substring(p.account FROM 16)::bigint), 0) AS owed"
    " FROM billing.posting p WHERE p.account LIKE 'payable:member:%' GROUP BY p.account) AS balances"
    " WHERE owed > 0 AND owed >= $1"
)


async def owed(
    connection: Connection, *, minimum_minor: int, count_max: int, besides: Collection[MemberId]
) -> list[tuple[MemberId, int]]:
    """(member, amount) the co-op owes and has no order for, from a minimum on, by member; not those `besides`."""
    rows = await connection.fetch(
        f"{_OWED} AND member <> ALL($2::bigint[]) ORDER BY member LIMIT $3",
        minimum_minor, list(besides), count_max,
    )  # fmt: skip
    return [(MemberId(row["member"]), int(row["owed"])) for row in rows]


async def owed_in_all(connection: Connection) -> int:
    """What the co-op owes its members together and has no order for."""
    found: int = await connection.fetchval(
        f"SELECT coalesce(sum(owed), 0)::bigint FROM ({_OWED}) AS found",  # noqa: S608 - our own
        1,
    )
    return found


async def owed_among(
    connection: Connection, members: Collection[MemberId], *, minimum_minor: int
) -> list[MemberId]:
    """Those of these members whom the co-op owes as owed() says, by member."""
    rows = await connection.fetch(
        f"{_OWED} AND member = ANY($2::bigint[]) ORDER BY member", minimum_minor, list(members)
    )
    return [MemberId(row["member"]) for row in rows]


async def member_names(connection: Connection, members: Sequence[MemberId]) -> dict[MemberId, str]:
    """The names of these members."""
    rows = await connection.fetch("SELECT id, name FROM meter.member WHERE id = ANY($1::bigint[])", members)
    return {MemberId(row["id"]): row["name"] for row in rows}


async def next_batch(connection: Connection) -> int:
    """The number the next batch gets; under the books' lock it stays so."""
    number: int = await connection.fetchval("SELECT coalesce(max(number), 0) + 1 FROM billing.payment_batch")
    return number


async def insert_batch(
    connection: Connection, *, message_id: str, execute_on: date, currency: str, account: int, now_us: int
) -> int:
    """Begin a batch; its number."""
    number: int = await connection.fetchval(
        "INSERT INTO billing.payment_batch (message_id, execute_on, currency, account, made_at)"
        " VALUES ($1, $2, $3, $4, $5) RETURNING number",
        message_id, execute_on, currency, account, to_datetime(now_us),
    )  # fmt: skip
    return number


async def insert_orders(
    connection: Connection, batch: int, rows: Iterable[tuple[MemberId, int, int, str]]
) -> None:
    """Add (member, amount, account, end-to-end id); the database refuses more than is owed."""
    await connection.copy_records_to_table(
        "payment_order", schema_name="billing", columns=("batch", "member", "amount_minor", "account", "end_to_end"),
        records=[(batch, *row) for row in rows],
    )  # fmt: skip


async def batches(connection: Connection, number: int | None = None) -> list[KeptBatch]:
    """One batch, or all, by number."""
    rows = await connection.fetch(
        "SELECT b.number, b.message_id, b.execute_on, b.account, b.made_at, count(o.member) AS orders,"
        " coalesce(sum(o.amount_minor), 0)::bigint AS total,"
        " count(*) FILTER (WHERE o.member IS NOT NULL AND o.told IS NULL) AS waiting,"
        " count(*) FILTER (WHERE o.told = ARRAY['paid']) AS paid,"
        " count(*) FILTER (WHERE o.told = ARRAY['cancelled']) AS cancelled,"
        " count(*) FILTER (WHERE 'returned' = ANY(o.told)) AS returned"
        " FROM billing.payment_batch b LEFT JOIN billing.payment_state o ON o.batch = b.number"
        " WHERE $1::bigint IS NULL OR b.number = $1 GROUP BY b.number ORDER BY b.number",
        number,
    )
    return [
        KeptBatch(
            row["number"], row["message_id"], row["execute_on"], row["account"], to_us(row["made_at"]), row["orders"],
            row["total"], row["waiting"], row["paid"], row["cancelled"], row["returned"],
        )
        for row in rows
    ]  # fmt: skip


async def orders(
    connection: Connection,
    *,
    batch: int | None = None,
    end_to_end: str | None = None,
    member: MemberId | None = None,
) -> list[KeptOrder]:
    """Orders of a batch, of an end-to-end id, or of a member, by batch and member."""
    rows = await connection.fetch(
        "SELECT o.* FROM billing.payment_state o"
        " WHERE ($1::bigint IS NULL OR o.batch = $1) AND ($2::text IS NULL OR o.end_to_end = $2)"
        " AND ($3::bigint IS NULL OR o.member = $3) ORDER BY o.batch, o.member",
        batch, end_to_end, member,
    )  # fmt: skip
    return [
        KeptOrder(
            row["batch"], MemberId(row["member"]), row["amount_minor"], row["account"], row["end_to_end"],
            row["told"] is None, row["told"] == ["paid"],
        )
        for row in rows
    ]  # fmt: skip


async def insert_outcomes(
    connection: Connection,
    rows: Iterable[tuple[int, MemberId]],
    what: str,
    entry: int | None,
    *,
    reason: str = "",
    now_us: int,
) -> None:
    """Say what became of (batch, member); `reason` is the bank's code for why it gave a payment back."""
    await connection.executemany(
        "INSERT INTO billing.payment_outcome (batch, member, what, entry, reason, told_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        [(*row, what, entry, reason, to_datetime(now_us)) for row in rows],
    )


async def insert_line(connection: Connection, line: Line, sealed: bytes, *, now_us: int) -> int | None:
    """Keep a line of the bank's; None for one that is kept already."""
    number: int | None = await connection.fetchval(
        "INSERT INTO billing.bank_line (key, booked_on, amount_minor, end_to_end, sealed, imported_at)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (key) DO NOTHING RETURNING number",
        line.key, line.booked_on, line.amount_minor, line.end_to_end, sealed, to_datetime(now_us),
    )  # fmt: skip
    return number


async def tie_line(connection: Connection, line: int, entry: int) -> None:
    """Say which entry a line became."""
    await connection.execute("INSERT INTO billing.bank_line_entry (line, entry) VALUES ($1, $2)", line, entry)


async def line_entries(connection: Connection, line: int) -> int:
    """How many entries a line has become so far, those that were reversed included."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM billing.bank_line_entry WHERE line = $1", line
    )
    return count


async def open_lines(connection: Connection, *, number: int | None = None, count_max: int) -> list[KeptLine]:
    """Lines that became no entry yet, or one that was reversed; by number."""
    rows = await connection.fetch(
        "SELECT * FROM billing.bank_line_open WHERE $1::bigint IS NULL OR number = $1 ORDER BY number LIMIT $2",
        number, count_max,
    )  # fmt: skip
    return [
        KeptLine(
            row["number"], row["booked_on"], row["amount_minor"], row["end_to_end"], row["sealed"], row["key"]
        )
        for row in rows
    ]


async def known_members(connection: Connection, members: Sequence[MemberId]) -> set[MemberId]:
    """Those of these numbers that the register has."""
    rows = await connection.fetch("SELECT id FROM meter.member WHERE id = ANY($1::bigint[])", members)
    return {MemberId(row["id"]) for row in rows}
