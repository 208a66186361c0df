"""All SQL of capital after a closing: lots, acts, exits and their schedules. It decides nothing; triggers refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import asyncpg

from billing.capital.exits import Instalment
from billing.capital.lots import Change, LotId, lot_of
from billing.capital.unclaimed import Movement
from billing.ledger.entry import Account
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import Month, to_datetime, to_us


@dataclass(frozen=True, slots=True)
class Act:
    """A decision that was carried out."""

    number: int
    kind: str
    resolution: str
    document: str
    amount_minor: int
    made_us: int


@dataclass(frozen=True, slots=True)
class Debt:
    """What an exit or an estate made of somebody's capital, and how far it is paid."""

    act: int
    member: MemberId
    kind: str
    resolution: str
    left_on: date
    principal_minor: int
    rate: Fraction
    instalments: int
    due: int
    """Instalments that were made payable."""
    next_on: date | None
    ends_on: date | None
    open_minor: int
    """Of the principal, what no instalment made payable yet."""
    to_pay_minor: int
    """What the act made theirs: the principal, or what an estate's present value made payable at once."""


@dataclass(frozen=True, slots=True)
class Open:
    """An instalment that is not payable yet."""

    act: int
    member: MemberId
    instalment: Instalment


async def lot_changes(
    connection: Connection, member: MemberId | None = None, *, until_entry: int | None = None
) -> list[Change]:
    """What moved the lots of one member, or of all, summed by lot, month and kind of entry; up to an entry, if named."""
    rows = await connection.fetch(
        "SELECT account, period, kind, -sum(amount_minor)::numeric AS amount"
        " FROM billing.posting JOIN billing.entry ON entry.number = posting.entry"
        " WHERE account LIKE $1 AND account LIKE 'capital:member:%' AND ($2::bigint IS NULL OR entry.number <= $2)"
        " GROUP BY account, period, kind ORDER BY account, period, kind",
        "capital:member:%" if member is None else f"capital:member:{member}:%", until_entry,
    )  # fmt: skip
    return [
        Change(lot_of(row["account"]), Month(row["period"].year, row["period"].month), row["kind"], int(row["amount"]))
        for row in rows
    ]  # fmt: skip


async def lot_balances(connection: Connection, member: MemberId | None = None) -> dict[LotId, int]:
    """What stands on each lot that is not empty."""
    found = await account_balances(
        connection, "capital:member:%" if member is None else f"capital:member:{member}:%"
    )
    return {lot_of(account): -amount for account, amount in found.items()}


async def losses_to_meet(
    connection: Connection, member: MemberId, *, until_entry: int | None = None
) -> dict[str, int]:
    """Year → what of a member's part of its loss was not met yet, the oldest first; up to an entry, if named."""
    rows = await connection.fetch(
        "SELECT split_part(account, ':', 4) AS year, sum(amount_minor)::numeric AS amount FROM billing.posting"
        " WHERE account LIKE $1 AND account LIKE 'loss:member:%' AND ($2::bigint IS NULL OR entry <= $2)"
        " GROUP BY 1 HAVING sum(amount_minor) > 0 ORDER BY 1",
        f"loss:member:{member}:%", until_entry,
    )  # fmt: skip
    return {row["year"]: int(row["amount"]) for row in rows}


async def account_balances(connection: Connection, like: str) -> dict[Account, int]:
    """Accounts whose name matches, with their balance where it is not 0; debit above zero."""
    rows = await connection.fetch(
        "SELECT account, sum(amount_minor)::numeric AS amount FROM billing.posting WHERE account LIKE $1"
        " GROUP BY account HAVING sum(amount_minor) <> 0 ORDER BY account",
        like,
    )
    return {Account(row["account"]): int(row["amount"]) for row in rows}


async def word_balances(connection: Connection) -> dict[str, int]:
    """The balances of all accounts by their first word; debit above zero."""
    rows = await connection.fetch(
        "SELECT split_part(account, ':', 1) AS word, sum(amount_minor)::numeric AS amount FROM billing.posting"
        " GROUP BY 1"
    )
    return {row["word"]: int(row["amount"]) for row in rows}


async def member_balances(connection: Connection, first: str) -> dict[MemberId, int]:
    """Balances of all accounts FIRST:member:N by member; debit above zero."""
    found = await account_balances(connection, f"{first}:member:%")
    return {MemberId(int(account.split(":")[2])): amount for account, amount in found.items()}


async def retained_movements(connection: Connection) -> list[Movement]:
    """What months kept in members' names before there were lots, by the month it is of."""
    rows = await connection.fetch(
        "SELECT split_part(account, ':', 3)::bigint AS member, period, -amount_minor AS amount"
        " FROM billing.posting JOIN billing.entry ON entry.number = posting.entry WHERE account LIKE $1"
        " ORDER BY entry.number, place",
        "retained:member:%",
    )
    return [Movement(MemberId(row["member"]), row["period"], row["amount"]) for row in rows]


async def act_by_key(connection: Connection, key: str) -> Act | None:
    """The act that was carried out under a key."""
    row = await connection.fetchrow(
        "SELECT number, kind, resolution, document, amount_minor, made_at FROM billing.capital_act"
        " WHERE idempotency_key = $1",
        key,
    )
    return None if row is None else _act(row)


def _act(row: asyncpg.Record) -> Act:
    return Act(
        row["number"], row["kind"], row["resolution"], row["document"], row["amount_minor"], to_us(row["made_at"])
    )  # fmt: skip


async def insert_act(
    connection: Connection, *, kind: str, resolution: str, key: str, document: str, digest: str,
    amount_minor: int, lines: int, now_us: int,
) -> int:  # fmt: skip
    """Begin an act; its number."""
    number: int = await connection.fetchval(
        "INSERT INTO billing.capital_act"
        " (kind, resolution, idempotency_key, document, digest, amount_minor, lines, made_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING number",
        kind, resolution, key, document, digest, amount_minor, lines, to_datetime(now_us),
    )  # fmt: skip
    return number


async def insert_lines(connection: Connection, act: int, lines: Mapping[LotId, int]) -> None:
    """What was paid back of which lot."""
    await connection.execute(
        "INSERT INTO billing.capital_line (act, place, member, year, kind, amount_minor)"
        " SELECT $1, place, member, year, kind, amount"
        " FROM unnest($2::bigint[], $3::int[], $4::text[], $5::bigint[])"
        " WITH ORDINALITY AS given (member, year, kind, amount, place)",
        act, [lot.member for lot in lines], [lot.year for lot in lines], [lot.kind.value for lot in lines],
        list(lines.values()),
    )  # fmt: skip


async def act_lines(connection: Connection, act: int) -> dict[LotId, int]:
    """The lines of an act, in their order."""
    rows = await connection.fetch(
        "SELECT member, year, kind, amount_minor FROM billing.capital_line WHERE act = $1 ORDER BY place", act
    )
    return {
        lot_of(f"capital:member:{row['member']}:{row['year']}:{row['kind']}"): row["amount_minor"]
        for row in rows
    }


async def insert_exit(
    connection: Connection, act: int, member: MemberId, *, kind: str, left_on: date, principal_minor: int,
    rate: Fraction, instalments: Sequence[Instalment],
) -> None:  # fmt: skip
    """A debt and its schedule."""
    await connection.execute(
        "INSERT INTO billing.capital_exit (act, member, left_on, kind, principal_minor, rate, instalments)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        act, member, left_on, kind, principal_minor, f"{rate.numerator}/{rate.denominator}", len(instalments),
    )  # fmt: skip
    await connection.executemany(
        "INSERT INTO billing.capital_instalment (act, place, due_on, principal_minor, interest_minor)"
        " VALUES ($1, $2, $3, $4, $5)",
        [(act, one.place, one.due_on, one.principal_minor, one.interest_minor) for one in instalments],
    )


async def exits_of_day(connection: Connection, member: MemberId, left_on: date) -> list[Act]:
    """What was booked of one member's leaving, or death, on one day, in the order it was booked."""
    rows = await connection.fetch(
        "SELECT a.number, a.kind, a.resolution, a.document, a.amount_minor, a.made_at"
        " FROM billing.capital_exit AS e JOIN billing.capital_act AS a ON a.number = e.act"
        " WHERE e.member = $1 AND e.left_on = $2 ORDER BY a.number",
        member, left_on,
    )  # fmt: skip
    return [_act(row) for row in rows]


async def instalments(connection: Connection, act: int) -> list[Instalment]:
    """The schedule of an exit."""
    rows = await connection.fetch(
        "SELECT place, due_on, principal_minor, interest_minor FROM billing.capital_instalment"
        " WHERE act = $1 ORDER BY place",
        act,
    )
    return [Instalment(*row) for row in rows]


async def fallen_due(connection: Connection, on: date) -> list[Open]:
    """Instalments due up to a day that are not payable yet, the oldest first."""
    rows = await connection.fetch(
        "SELECT act, member, place, due_on, i.principal_minor, interest_minor"
        " FROM billing.capital_instalment AS i JOIN billing.capital_exit AS e USING (act)"
        " LEFT JOIN billing.capital_due AS d USING (act, place)"
        " WHERE d.act IS NULL AND due_on <= $1 ORDER BY due_on, act, place",
        on,
    )
    return [Open(row[0], MemberId(row[1]), Instalment(*tuple(row)[2:])) for row in rows]


async def insert_due(connection: Connection, act: int, place: int, *, entry: int, now_us: int) -> None:
    """An instalment is payable from now on, by this entry."""
    await connection.execute(
        "INSERT INTO billing.capital_due (act, place, entry, made_at) VALUES ($1, $2, $3, $4)",
        act, place, entry, to_datetime(now_us),
    )  # fmt: skip


async def debts(connection: Connection, member: MemberId | None = None) -> list[Debt]:
    """All exits and estates, or one member's, in the order they were booked."""
    rows = await connection.fetch(
        "SELECT e.act, member, e.kind, resolution, left_on, e.principal_minor, rate, e.instalments, i.due, i.next_on,"
        " i.ends_on, coalesce(i.open, 0)::bigint AS open, (a.document::jsonb ->> 'debt_minor')::bigint AS to_pay"
        " FROM billing.capital_exit AS e JOIN billing.capital_act AS a ON a.number = e.act"
        " CROSS JOIN LATERAL (SELECT count(d.act) AS due, min(due_on) FILTER (WHERE d.act IS NULL) AS next_on,"
        "  max(due_on) AS ends_on, sum(p.principal_minor) FILTER (WHERE d.act IS NULL) AS open"
        "  FROM billing.capital_instalment AS p LEFT JOIN billing.capital_due AS d USING (act, place)"
        "  WHERE p.act = e.act) AS i"
        " WHERE $1::bigint IS NULL OR member = $1 ORDER BY e.act",
        member,
    )
    return [
        Debt(
            row["act"], MemberId(row["member"]), row["kind"], row["resolution"], row["left_on"],
            row["principal_minor"], Fraction(row["rate"]), row["instalments"], row["due"], row["next_on"],
            row["ends_on"], row["open"], row["to_pay"],
        )
        for row in rows
    ]  # fmt: skip


async def insert_request(
    connection: Connection, member: MemberId, *, wanted_on: date, why: str, now_us: int
) -> int:
    """Somebody will leave; the number of the request."""
    number: int = await connection.fetchval(
        "INSERT INTO billing.capital_request (member, wanted_on, why, made_at) VALUES ($1, $2, $3, $4)"
        " RETURNING number",
        member, wanted_on, why, to_datetime(now_us),
    )  # fmt: skip
    return number


async def requests(connection: Connection) -> dict[MemberId, date]:
    """For when each member last asked to leave."""
    rows = await connection.fetch("SELECT member, wanted_on FROM billing.capital_request ORDER BY number")
    return {MemberId(row["member"]): row["wanted_on"] for row in rows}


@dataclass(frozen=True, slots=True)
class AskedToLeave:
    """A member who gave notice and has not left yet."""

    name: str
    wanted_on: date
    made_us: int


async def asked_to_leave(connection: Connection) -> list[AskedToLeave]:
    """Whose notice to leave waits for the co-op, by the day they want; of several notices the last counts."""
    rows = await connection.fetch(
        "SELECT name, wanted_on, made_at FROM (SELECT DISTINCT ON (member) member, wanted_on, made_at"
        "  FROM billing.capital_request ORDER BY member, number DESC) AS r"
        " JOIN meter.member AS m ON m.id = r.member WHERE m.status <> 'left' ORDER BY wanted_on, name"
    )
    return [AskedToLeave(row["name"], row["wanted_on"], to_us(row["made_at"])) for row in rows]
