"""SQL of resolutions, consents, hours of workers and chosen rule sets. It decides nothing; triggers refuse."""

from __future__ import annotations

from datetime import date

import asyncpg

from billing.document import Document
from billing.governance.decisions import (
    Body,
    Choice,
    Consent,
    Delivery,
    Hours,
    Resolution,
    ResolutionKind,
    Votes,
)
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import Month, to_datetime, to_us


def _first_day(month: Month) -> date:
    return date(month.year, month.number, 1)


def _document(sha256: str | None, name: str) -> Document | None:
    return None if sha256 is None else Document(sha256, name)


async def insert_resolution(connection: Connection, one: Resolution) -> str:
    """Enter a resolution; its id."""
    votes, kept = one.votes, one.document
    found: str = await connection.fetchval(
        "INSERT INTO billing.resolution (body, kind, decided_on, text, document_sha256, document_name, votes_for,"
        " votes_against, votes_abstained, quorum, calc_hash, who, recorded_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id",
        one.body.value, one.kind.value, one.decided_on, one.text, None if kept is None else kept.sha256,
        "" if kept is None else kept.name, None if votes is None else votes.in_favour,
        None if votes is None else votes.against, None if votes is None else votes.abstained, one.quorum,
        one.calc_hash, one.who, to_datetime(one.recorded_us),
    )  # fmt: skip
    return found


async def resolutions(connection: Connection, *, year: int | None = None) -> list[Resolution]:
    """Resolutions of a year, or all, in the order they were entered a year."""
    rows = await connection.fetch(
        "SELECT * FROM billing.resolution WHERE $1::int IS NULL OR year = $1 ORDER BY year, place", year
    )
    return [_resolution(row) for row in rows]


async def newest_resolutions(
    connection: Connection, *, before: tuple[int, int] | None = None, count_max: int
) -> list[Resolution]:
    """The newest first, entered before a year and a place in it if they are named."""
    year, place = (None, None) if before is None else before
    rows = await connection.fetch(
        "SELECT * FROM billing.resolution WHERE $1::int IS NULL OR (year, place) < ($1, $2)"
        " ORDER BY year DESC, place DESC LIMIT $3",
        year, place, count_max,
    )  # fmt: skip
    return [_resolution(row) for row in rows]


async def resolution(connection: Connection, wanted: str) -> Resolution | None:
    """One resolution."""
    row = await connection.fetchrow("SELECT * FROM billing.resolution WHERE id = $1", wanted)
    return None if row is None else _resolution(row)


def _resolution(row: asyncpg.Record) -> Resolution:
    votes = None
    if row["votes_for"] is not None:
        votes = Votes(row["votes_for"], row["votes_against"], row["votes_abstained"])
    return Resolution(
        row["id"], Body(row["body"]), ResolutionKind(row["kind"]), row["decided_on"], row["text"],
        _document(row["document_sha256"], row["document_name"]), votes, row["quorum"], row["calc_hash"],
        row["who"], to_us(row["recorded_at"]),
    )  # fmt: skip


async def insert_consent(connection: Connection, one: Consent) -> int:
    """Enter a consent or a withdrawal; its number."""
    kept = one.evidence
    number: int = await connection.fetchval(
        "INSERT INTO billing.consent (member, bylaws, delivered_on, how, evidence_sha256, evidence_name, from_on,"
        " withdraws, who, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING number",
        one.member, one.bylaws, one.delivered_on, one.how.value, None if kept is None else kept.sha256,
        "" if kept is None else kept.name, one.from_on, one.withdraws, one.who, to_datetime(one.recorded_us),
    )  # fmt: skip
    return number


async def consents(connection: Connection, *, member: MemberId | None = None) -> list[Consent]:
    """Consents and withdrawals by number, of everybody or of one."""
    rows = await connection.fetch(
        "SELECT * FROM billing.consent WHERE $1::bigint IS NULL OR member = $1 ORDER BY number", member
    )
    return [
        Consent(
            row["number"], MemberId(row["member"]), row["bylaws"], row["delivered_on"], Delivery(row["how"]),
            _document(row["evidence_sha256"], row["evidence_name"]), row["from_on"], row["withdraws"],
            row["who"], to_us(row["recorded_at"]),
        )
        for row in rows
    ]  # fmt: skip


async def insert_hours(connection: Connection, one: Hours) -> int:
    """Enter what a worker worked; the figure's number."""
    number: int = await connection.fetchval(
        "INSERT INTO billing.hours (member, period, thousandths, factor_thousandths, corrects, memo, who, recorded_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING number",
        one.member, _first_day(one.month), one.thousandths, one.factor_thousandths, one.corrects, one.memo,
        one.who, to_datetime(one.recorded_us),
    )  # fmt: skip
    return number


async def hours(connection: Connection, first: Month, last: Month) -> list[Hours]:
    """Every figure entered for these months, also those a later one took the place of, by number."""
    rows = await connection.fetch(
        "SELECT * FROM billing.hours WHERE period BETWEEN $1 AND $2 ORDER BY number",
        _first_day(first), _first_day(last),
    )  # fmt: skip
    return [
        Hours(
            row["number"], MemberId(row["member"]), Month(row["period"].year, row["period"].month),
            row["thousandths"], row["factor_thousandths"], row["corrects"], row["memo"], row["who"],
            to_us(row["recorded_at"]),
        )
        for row in rows
    ]  # fmt: skip


async def insert_choice(connection: Connection, one: Choice) -> int:
    """Enter a chosen rule set; its number."""
    number: int = await connection.fetchval(
        "INSERT INTO billing.rule_set_choice (rule_set, from_year, first_month, resolution, document, choices, who,"
        " recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING number",
        one.rule_set, one.from_year, one.first_month, one.resolution, one.document, one.choices, one.who,
        to_datetime(one.recorded_us),
    )  # fmt: skip
    return number


async def choices(connection: Connection) -> list[Choice]:
    """Every rule set that was ever chosen, in the order it was."""
    rows = await connection.fetch("SELECT * FROM billing.rule_set_choice ORDER BY number")
    return [
        Choice(
            row["number"], row["rule_set"], row["from_year"], row["first_month"], row["resolution"],
            row["document"], row["choices"], row["who"], to_us(row["recorded_at"]),
        )
        for row in rows
    ]  # fmt: skip
