"""All SQL of notices: what each member is told of an allocation, and the evidence that it reached them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from billing.notices.notice import State
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime, to_us

WRONG_STEP = "WC006"


@dataclass(frozen=True, slots=True)
class Kept:
    """One member's notice and how far it has come."""

    member: MemberId
    year: int
    document: str
    digest: str
    made_us: int
    state: State
    since_us: int
    """When it came to this state."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a notice, with its evidence."""

    state: State
    how: str
    evidence: str
    at_us: int


async def insert_notices(
    connection: Connection, act: int, year: int, rows: Sequence[tuple[MemberId, str, str]], *, now_us: int
) -> None:
    """Keep (member, document, digest) of a year."""
    await connection.execute(
        "INSERT INTO billing.notice (member, year, act, place, document, digest, made_at)"
        " SELECT member, $2, $1, place, document, digest, $6 FROM unnest($3::bigint[], $4::text[], $5::text[])"
        " WITH ORDINALITY AS given (member, document, digest, place)",
        act, year, [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows],
        to_datetime(now_us),
    )  # fmt: skip


async def notices(connection: Connection, year: int, member: MemberId | None = None) -> list[Kept]:
    """The notices of a year, or a member's, by member."""
    rows = await connection.fetch(
        "SELECT n.member, n.year, document, digest, made_at, coalesce(last.state, 'created') AS state,"
        " coalesce(last.at, made_at) AS since FROM billing.notice AS n LEFT JOIN LATERAL"
        " (SELECT state, at FROM billing.notice_event AS e WHERE e.member = n.member AND e.year = n.year"
        " ORDER BY place DESC LIMIT 1) AS last ON true"
        " WHERE n.year = $1 AND ($2::bigint IS NULL OR n.member = $2) ORDER BY n.member",
        year, member,
    )  # fmt: skip
    return [
        Kept(
            MemberId(row["member"]), row["year"], row["document"], row["digest"], to_us(row["made_at"]),
            State(row["state"]), to_us(row["since"]),
        )
        for row in rows
    ]  # fmt: skip


async def steps(connection: Connection, year: int, member: MemberId) -> list[Step]:
    """What happened to a notice, in order."""
    rows = await connection.fetch(
        "SELECT state, how, evidence, at FROM billing.notice_event WHERE member = $1 AND year = $2 ORDER BY place",
        member, year,
    )  # fmt: skip
    return [Step(State(row["state"]), row["how"], row["evidence"], to_us(row["at"])) for row in rows]


async def insert_step(
    connection: Connection, year: int, member: MemberId, *, state: State, how: str, evidence: str, now_us: int
) -> None:
    """A notice comes one step further; the database refuses a step that does not follow."""
    await connection.execute(
        "INSERT INTO billing.notice_event (member, year, place, state, how, evidence, at)"
        " VALUES ($1, $2, 1, $3, $4, $5, $6)",
        member, year, state.value, how, evidence, to_datetime(now_us),
    )  # fmt: skip


def wrong_step(error: asyncpg.PostgresError) -> bool:
    """Whether the database refused because a step does not follow on the last one."""
    return error.sqlstate == WRONG_STEP
