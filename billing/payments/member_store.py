"""SQL of what one member was and is paid, and of what is kept in their name. No statement names a second member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby

import asyncpg

from billing.capital.lots import lot_of
from billing.payments.paid import Movement, Order, Outcome
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_us


@dataclass(frozen=True, slots=True)
class Standing:
    """What else decides on a member's payments; of a bank account its last characters alone."""

    last_four: str | None
    account_since_us: int | None
    is_reached: bool
    older_minor: int
    """Kept in their name by months, before years had lots."""
    decided: str | None
    """Digest of the last decision that paid capital back; None where there was none."""
    has_left: bool


async def movements(connection: Connection, member: MemberId) -> list[Movement]:
    """All that the co-op owed a member in money and what took from it, in the order it was booked."""
    rows = await connection.fetch(
        "SELECT e.number, e.kind, e.idempotency_key, e.booked_at, p.amount, l.booked_on, a.resolution, y.years"
        " FROM (SELECT entry, -sum(amount_minor)::bigint AS amount FROM billing.posting WHERE account = $1"
        "  GROUP BY entry HAVING sum(amount_minor) <> 0) AS p"
        " JOIN billing.entry AS e ON e.number = p.entry"
        " LEFT JOIN billing.bank_line_entry AS t ON t.entry = e.number"
        " LEFT JOIN billing.bank_line AS l ON l.number = t.line"
        " LEFT JOIN billing.capital_act AS a ON a.number ="
        "  CASE WHEN e.kind = 'retirement' THEN split_part(e.idempotency_key, ':', 2)::bigint END"
        " LEFT JOIN LATERAL (SELECT array_agg(DISTINCT c.year ORDER BY c.year) AS years FROM billing.capital_line AS c"
        "  WHERE c.member = $2 AND c.act = a.number) AS y ON true"
        " ORDER BY e.number",
        f"payable:member:{member}", member,
    )  # fmt: skip
    return [
        Movement(
            row["number"], row["kind"], row["idempotency_key"], to_us(row["booked_at"]), row["amount"],
            row["booked_on"], row["resolution"] or "", tuple(row["years"] or ()),
        )
        for row in rows
    ]  # fmt: skip


async def orders(connection: Connection, member: MemberId) -> list[Order]:
    """What the bank was told to pay a member and what came of it, without what was reversed; by batch."""
    rows = await connection.fetch(
        "SELECT o.batch, o.amount_minor, b.made_at, k.last_four, u.what, u.entry, u.told_at, u.reason,"
        " l.booked_on"
        " FROM billing.payment_order AS o JOIN billing.payment_batch AS b ON b.number = o.batch"
        " JOIN billing.bank_account AS k ON k.number = o.account"
        " LEFT JOIN billing.payment_outcome AS u ON u.batch = o.batch AND u.member = o.member AND NOT EXISTS"
        "  (SELECT FROM billing.entry AS r WHERE r.idempotency_key = 'reversal:' || u.entry)"
        " LEFT JOIN billing.bank_line_entry AS t ON t.entry = u.entry"
        " LEFT JOIN billing.bank_line AS l ON l.number = t.line"
        " WHERE o.member = $1 ORDER BY o.batch, u.entry",
        member,
    )
    found = []
    for batch, same in groupby(rows, key=lambda row: row["batch"]):
        told = list(same)
        outcomes = tuple(_outcome(row) for row in told if row["what"] is not None)
        first = told[0]
        found.append(
            Order(batch, first["amount_minor"], to_us(first["made_at"]), first["last_four"], outcomes)
        )
    return found


def _outcome(row: asyncpg.Record) -> Outcome:
    on: date = row["booked_on"] or row["told_at"].date()
    return Outcome(row["what"], row["entry"], to_us(row["told_at"]), on, row["reason"])


async def standing(connection: Connection, member: MemberId) -> Standing:
    """Whether an account is known and the member can be reached, and what was decided last."""
    row = await connection.fetchrow(
        "SELECT k.last_four, k.set_at, c.reached, a.digest,"
        " (SELECT coalesce(-sum(amount_minor), 0)::bigint FROM billing.posting WHERE account = $2) AS older,"
        " EXISTS (SELECT FROM meter.member WHERE id = $1 AND status = 'left') AS has_left"
        " FROM (SELECT) AS one"
        " LEFT JOIN LATERAL (SELECT last_four, set_at FROM billing.bank_account WHERE member = $1"
        "  ORDER BY number DESC LIMIT 1) AS k ON true"
        " LEFT JOIN LATERAL (SELECT reached FROM billing.capital_contact WHERE member = $1"
        "  ORDER BY number DESC LIMIT 1) AS c ON true"
        " LEFT JOIN LATERAL (SELECT digest FROM billing.capital_act WHERE kind = 'retirement'"
        "  ORDER BY number DESC LIMIT 1) AS a ON true",
        member, f"retained:member:{member}",
    )  # fmt: skip
    assert row is not None, "it is one row whatever there is"
    since = None if row["set_at"] is None else to_us(row["set_at"])
    return Standing(
        row["last_four"], since, row["reached"] is not False, row["older"], row["digest"], row["has_left"]
    )


async def decision(connection: Connection, digest: str) -> tuple[str, date]:
    """(document, day) of a decision that paid capital back."""
    row = await connection.fetchrow(
        "SELECT document, made_at FROM billing.capital_act WHERE kind = 'retirement' AND digest = $1"
        " ORDER BY number DESC LIMIT 1",
        digest,
    )
    assert row is not None, "acts are only added to"
    return row["document"], row["made_at"].date()


async def kept_by_year(connection: Connection, member: MemberId) -> Mapping[int, int]:
    """What stands in a member's lots, by the year it was kept from, where that is not 0."""
    rows = await connection.fetch(
        "SELECT account, -sum(amount_minor)::numeric AS amount FROM billing.posting"
        " WHERE account LIKE $1 AND account LIKE 'capital:member:%' GROUP BY account ORDER BY account",
        f"capital:member:{member}:%",
    )
    found: dict[int, int] = {}
    for row in rows:
        year = lot_of(row["account"]).year
        found[year] = found.get(year, 0) + int(row["amount"])
    return {year: amount for year, amount in found.items() if amount}
