"""SQL of the ledger: entries written one by one or by the million, and read. It decides nothing; triggers refuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

import asyncpg

from billing.ledger.chain import Booked, Head, entry_hash
from billing.ledger.entry import Account, Entry, Posting
from billing.ledger.reports import Flow, Sums
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import Month, to_datetime, to_us

POSTINGS_A_BATCH = 50_000
"""So many postings are sent and checked at once; an entry stays whole, so a batch may be longer by one entry."""
_ENTRY = (
    "number",
    "period",
    "kind",
    "memo",
    "idempotency_key",
    "postings",
    "booked_at",
    "previous_hash",
    "hash",
)
_POSTING = ("entry", "place", "account", "amount_minor")


def _date(month: Month | None) -> date | None:
    return None if month is None else date(month.year, month.number, 1)


async def lock_head(connection: Connection) -> Head:
    """Be the one writer until the transaction ends; where the chain goes on."""
    await connection.execute("SELECT billing.lock_books()")
    await _check(connection)
    row = await connection.fetchrow("SELECT posted, hash FROM billing.ledger_head")
    assert row is not None, "the migration made the head"
    return Head(row["posted"], row["hash"])


async def post(connection: Connection, entry: Entry, *, now_us: int) -> int:
    """Write an entry with its postings; its running number. The caller's transaction commits it or not."""
    return await post_many(connection, [entry], now_us=now_us)


async def post_many(connection: Connection, entries: Iterable[Entry], *, now_us: int) -> int:
    """Write entries in the order they come, which may be millions: they are taken one batch at a time.

    The number of the last one. Each batch is checked by the database as it comes, so that no commit waits for a
    check of all; an entry of more than a few 10,000 postings is better made several. Whole or not at all, also within
    a transaction of the caller; raises what the database refuses.
    """
    async with connection.transaction():
        head = await lock_head(connection)
        for batch in _batches(entries):
            rows = []
            for entry in batch:
                linked = entry_hash(head.number + 1, entry, booked_us=now_us, previous=head.hash)
                rows.append(
                    (
                        head.number + 1, _date(entry.month), str(entry.kind), entry.memo, entry.idempotency_key,
                        len(entry.postings), to_datetime(now_us), head.hash, linked,
                    )
                )  # fmt: skip
                head = Head(head.number + 1, linked)
            await connection.copy_records_to_table(
                "entry", schema_name="billing", columns=_ENTRY, records=rows
            )
            sides = [
                (row[0], place, account, amount)
                for row, entry in zip(rows, batch, strict=True)
                for place, (account, amount) in enumerate(entry.postings, 1)
            ]
            await connection.copy_records_to_table(
                "posting", schema_name="billing", columns=_POSTING, records=sides
            )
            await _check(connection)
    return head.number


async def _check(connection: Connection) -> None:
    """Have what was written so far checked now rather than at commit."""
    await connection.execute(
        "SET CONSTRAINTS billing.entries_hold IMMEDIATE; SET CONSTRAINTS billing.entries_hold DEFERRED"
    )


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    count = 0
    for entry in entries:
        batch.append(entry)
        count += len(entry.postings)
        if count >= POSTINGS_A_BATCH:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


async def last_closed_period(connection: Connection) -> Month | None:
    """The last month that takes no entry any more, by its own closing or by its year's."""
    found = await connection.fetchval(
        "SELECT greatest((SELECT max(period) FROM billing.closing),"
        " (SELECT max(last_period) FROM billing.closed_year))"
    )
    return None if found is None else Month(found.year, found.month)


async def chain_ends(connection: Connection) -> tuple[Head, Head]:
    """(what stands for the time before the chain, the last entry)."""
    row = await connection.fetchrow(
        "SELECT s.number, s.hash AS start, h.verified, h.hash FROM billing.ledger_start s, billing.ledger_head h"
    )
    assert row is not None, "the migration made both"
    return Head(row["number"], row["start"]), Head(row["verified"], row["hash"])


async def entries(
    connection: Connection,
    *,
    after: int,
    count_max: int,
    period: Month | None = None,
    account: str | None = None,
    kind: str | None = None,
    member: MemberId | None = None,
) -> list[Booked]:
    """Whole entries by number, after a number; those of a period, of a kind, or that touch an account or a member.

    An account also stands for those below it: receivable:member for all members'.
    """
    rows = await connection.fetch(
        "SELECT e.*, s.accounts, s.amounts FROM billing.entry e CROSS JOIN LATERAL ("
        " SELECT array_agg(p.account ORDER BY p.place) AS accounts, array_agg(p.amount_minor ORDER BY p.place) AS amounts"
        " FROM billing.posting p WHERE p.entry = e.number) s"
        " WHERE e.number > $1 AND ($3::date IS NULL OR e.period = $3) AND ($4::text IS NULL OR e.kind = $4)"
        " AND ($5::text IS NULL OR EXISTS (SELECT FROM billing.posting p WHERE p.entry = e.number"
        "   AND (p.account = $5 OR starts_with(p.account, $5 || ':'))))"
        " AND ($6::text IS NULL OR EXISTS (SELECT FROM billing.posting p WHERE p.entry = e.number"
        "   AND strpos(p.account || ':', $6) > 0))"
        " ORDER BY e.number LIMIT $2",
        after, count_max, _date(period), kind, account, None if member is None else f":member:{member}:",
    )  # fmt: skip
    return [_booked(row) for row in rows]


async def entry(connection: Connection, number: int) -> Booked | None:
    """One entry; None when there is none of that number."""
    found = await entries(connection, after=number - 1, count_max=1)
    return found[0] if found and found[0].number == number else None


async def key_number(connection: Connection, key: str) -> int | None:
    """The entry that was booked under a key."""
    found: int | None = await connection.fetchval(
        "SELECT number FROM billing.entry WHERE idempotency_key = $1", key
    )
    return found


def _booked(row: asyncpg.Record) -> Booked:
    sides = zip(row["accounts"] or (), row["amounts"] or (), strict=True)
    return Booked(
        row["number"], Month(row["period"].year, row["period"].month), row["kind"], row["memo"],
        row["idempotency_key"], to_us(row["booked_at"]),
        tuple(Posting(Account(account), amount) for account, amount in sides),
        row["postings"], row["previous_hash"], row["hash"],
    )  # fmt: skip


async def account_sums(
    connection: Connection, *, first: Month | None, last: Month, by_member: bool
) -> list[Sums]:
    """Every account up to the end of a month, by name; without by_member a kind of members' accounts is one."""
    rows = await connection.fetch(
        "SELECT name, sum(opening)::numeric AS opening, sum(debits)::numeric AS debits,"
        " sum(credits)::numeric AS credits, sum(carried)::numeric AS carried FROM ("
        " SELECT CASE WHEN $3 THEN p.account ELSE regexp_replace(p.account, ':member:[0-9]+', ':member:*') END AS name,"
        " coalesce(sum(p.amount_minor) FILTER (WHERE e.period < $1), 0) AS opening,"
        " coalesce(sum(p.amount_minor) FILTER (WHERE p.amount_minor > 0 AND e.period >= $1), 0) AS debits,"
        " coalesce(-sum(p.amount_minor) FILTER (WHERE p.amount_minor < 0 AND e.period >= $1), 0) AS credits,"
        " coalesce(sum(p.amount_minor) FILTER (WHERE e.kind IN ('result', 'year') AND e.period >= $1), 0) AS carried"
        " FROM billing.posting p JOIN billing.entry e ON e.number = p.entry WHERE e.period <= $2 GROUP BY p.account"
        ') AS by_account GROUP BY name ORDER BY name COLLATE "C"',
        date.min if first is None else _date(first), _date(last), by_member,
    )  # fmt: skip
    return [
        Sums(row["name"], int(row["opening"]), int(row["debits"]), int(row["credits"]), int(row["carried"]))
        for row in rows
    ]


async def type_balances(connection: Connection, last: Month) -> dict[str, int]:
    """Type of account → its balance at the end of a month, by the database's own reckoning."""
    rows = await connection.fetch(
        "SELECT billing.account_type(p.account) AS type, sum(p.amount_minor)::numeric AS total"
        " FROM billing.posting p JOIN billing.entry e ON e.number = p.entry WHERE e.period <= $1 GROUP BY 1",
        _date(last),
    )
    return {row["type"]: int(row["total"]) for row in rows}


async def type_movements(connection: Connection, *, first: Month, last: Month) -> dict[str, int]:
    """'income', 'expense' and 'other' → what entries moved in a span, without those that carry a result on."""
    rows = await connection.fetch(
        "SELECT CASE WHEN billing.account_type(p.account) IN ('income', 'expense')"
        " THEN billing.account_type(p.account) ELSE 'other' END AS type, sum(p.amount_minor)::numeric AS total"
        " FROM billing.posting p JOIN billing.entry e ON e.number = p.entry"
        " WHERE e.period BETWEEN $1 AND $2 AND e.kind NOT IN ('result', 'year') GROUP BY 1",
        _date(first), _date(last),
    )  # fmt: skip
    return {row["type"]: int(row["total"]) for row in rows}


async def cash_flows(connection: Connection, *, first: Month, last: Month) -> list[Flow]:
    """The other sides of all entries that moved money in the bank; members' accounts of a kind are one."""
    rows = await connection.fetch(
        "SELECT regexp_replace(p.account, ':member:[0-9]+', ':member:*') AS name,"
        " -sum(p.amount_minor)::numeric AS total FROM billing.posting p JOIN billing.entry e ON e.number = p.entry"
        " WHERE e.period BETWEEN $1 AND $2 AND NOT starts_with(p.account, 'bank:') AND EXISTS ("
        " SELECT FROM billing.posting b WHERE b.entry = e.number AND starts_with(b.account, 'bank:'))"
        " GROUP BY 1",
        _date(first), _date(last),
    )  # fmt: skip
    return sorted((Flow(row["name"], int(row["total"])) for row in rows), key=lambda one: one.account)
