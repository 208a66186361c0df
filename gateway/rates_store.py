"""SQL of how fast single members may go."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.rates import OwnRates
from meter.ids import MemberId
from meter.postgres import Connection


async def own_rates(
    connection: Connection, *, among: Sequence[MemberId] | None = None
) -> dict[MemberId, OwnRates]:
    """Of all members, or of these, those for whom something of their own was set."""
    rows = await connection.fetch(
        "SELECT member, requests_per_s, bytes_per_s FROM gateway.member_limit"
        " WHERE (requests_per_s IS NOT NULL OR bytes_per_s IS NOT NULL)"
        " AND ($1::bigint[] IS NULL OR member = ANY($1))",
        among,
    )
    return {MemberId(row["member"]): OwnRates(row["requests_per_s"], row["bytes_per_s"]) for row in rows}


async def set_own_rates(connection: Connection, member: MemberId, rates: OwnRates) -> None:
    """Set a member's own rates, both."""
    await connection.execute(
        "INSERT INTO gateway.member_limit (member, requests_per_s, bytes_per_s) VALUES ($1, $2, $3)"
        " ON CONFLICT (member) DO UPDATE"
        " SET requests_per_s = excluded.requests_per_s, bytes_per_s = excluded.bytes_per_s",
        member, rates.requests_per_s, rates.bytes_per_s,
    )  # fmt: skip
