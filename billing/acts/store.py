"""SQL of offices and of the log of acts. It decides nothing; triggers link the acts and refuse."""

from __future__ import annotations

import asyncpg

from billing.acts.act import Act, Actor, Held, Office
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime, to_us

NO_OFFICE_STATE = "WA001"


async def insert_act(
    connection: Connection, actor: Actor, office: Office, kind: str, *, subject: MemberId | None, what: str,
    detail: str, is_done: bool, now_us: int,
) -> None:  # fmt: skip
    """Add a line. It waits for whoever adds one, so it comes last in a transaction."""
    await connection.execute(
        "INSERT INTO billing.act (at, member, who, role, kind, subject, what, detail, is_done)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        to_datetime(now_us), actor.member, actor.name, office.value, kind, subject, what, detail, is_done,
    )  # fmt: skip


async def acts(
    connection: Connection, *, before: int | None = None, subject: MemberId | None = None, kind: str | None = None,
    office: Office | None = None, count_max: int,
) -> list[Act]:  # fmt: skip
    """The newest first, before a number; of one kind, in one office, or about one member, if asked."""
    rows = await connection.fetch(
        "SELECT * FROM billing.act WHERE ($1::bigint IS NULL OR number < $1) AND ($2::bigint IS NULL OR subject = $2)"
        " AND ($3::text IS NULL OR kind = $3) AND ($5::text IS NULL OR role = $5) ORDER BY number DESC LIMIT $4",
        before, subject, kind, count_max, None if office is None else office.value,
    )  # fmt: skip
    return [_act(row) for row in rows]


async def acts_after(connection: Connection, number: int, *, count_max: int) -> list[Act]:
    """The next ones in order."""
    rows = await connection.fetch(
        "SELECT * FROM billing.act WHERE number > $1 ORDER BY number LIMIT $2", number, count_max
    )
    return [_act(row) for row in rows]


def _act(row: asyncpg.Record) -> Act:
    return Act(
        row["number"], to_us(row["at"]),
        Actor(None if row["member"] is None else MemberId(row["member"]), row["who"]), Office(row["role"]), row["kind"],
        None if row["subject"] is None else MemberId(row["subject"]), row["what"], row["detail"], row["is_done"],
        row["previous"], row["digest"],
    )  # fmt: skip


async def offices_of(connection: Connection, member: MemberId, *, at_us: int) -> frozenset[Office]:
    """What a member may act in at an instant; nothing for who was suspended or left."""
    rows = await connection.fetch(
        "SELECT role FROM unnest($3::text[]) AS role WHERE billing.holds_office($1, role, $2)",
        member, to_datetime(at_us), [one.value for one in Office],
    )  # fmt: skip
    return frozenset(Office(row["role"]) for row in rows)


async def held(connection: Connection) -> list[Held]:
    """Every office that anybody holds, held or will hold, in the order they were granted."""
    rows = await connection.fetch(
        "SELECT h.*, m.name FROM billing.office_held h JOIN meter.member m ON m.id = h.member ORDER BY h.number"
    )
    return [
        Held(
            row["number"], MemberId(row["member"]), row["name"], Office(row["role"]), to_us(row["from_at"]),
            None if row["until_at"] is None else to_us(row["until_at"]), row["resolution"], row["who"],
        )
        for row in rows
    ]  # fmt: skip


async def insert_office(
    connection: Connection, member: MemberId, office: Office, *, from_us: int, until_us: int | None,
    resolution: str | None, who: str, now_us: int,
) -> int:  # fmt: skip
    """Grant an office; its number."""
    number: int = await connection.fetchval(
        "INSERT INTO billing.office (member, role, from_at, until_at, resolution, who, recorded_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING number",
        member, office.value, to_datetime(from_us), None if until_us is None else to_datetime(until_us), resolution,
        who, to_datetime(now_us),
    )  # fmt: skip
    return number


async def insert_end(
    connection: Connection, number: int, *, ends_us: int, resolution: str | None, who: str, now_us: int
) -> None:
    """End an office."""
    await connection.execute(
        "INSERT INTO billing.office_end (office, ends_at, resolution, who, recorded_at) VALUES ($1, $2, $3, $4, $5)",
        number, to_datetime(ends_us), resolution, who, to_datetime(now_us),
    )  # fmt: skip


def lacks_office(error: asyncpg.PostgresError) -> bool:
    """Whether the database refused an act because its member does not hold the office."""
    return error.sqlstate == NO_OFFICE_STATE
