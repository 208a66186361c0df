"""SQL of a gateway's reading of the directory: all of it, or what changed since it looked last."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway import engine_store, store
from gateway.changes import Change, Known, Look, News, Position, Seen, Wanted
from gateway.rates_store import own_rates
from meter.cap_store import caps
from meter.caps import Caps
from meter.ids import MemberId
from meter.postgres import Connection

CHANGES_MAX = 10_000
"""More changes than this are read as a whole."""

_LOOK = """
    SELECT pg_snapshot_xmin(s)::text::bigint AS settled, pg_snapshot_xmax(s)::text::bigint AS next,
           -(SELECT count(*) FROM pg_snapshot_xip(s)) AS ended,
           (SELECT format('%s/%s/%s', system_identifier, timeline_id, d.oid) FROM pg_control_system(),
            pg_control_checkpoint(), pg_database d WHERE d.datname = current_database()) AS server,
           (SELECT transaction FROM gateway.directory_forgotten) AS forgotten,
           (SELECT coalesce(max(id), 0) FROM gateway.directory_change) AS last_change,
           c.id, c.transaction, c.member, c.access_key, c.bucket
    FROM (SELECT pg_current_snapshot() AS s) AS now
    LEFT JOIN LATERAL (
        SELECT * FROM gateway.directory_change
        WHERE transaction >= $1 AND id <> ALL($2::bigint[]) ORDER BY transaction LIMIT $3
    ) AS c ON true
"""


async def look(connection: Connection, *, since: int, read: Sequence[int]) -> Look:
    """Where the server is, and the changes from a transaction on without those that were read; CHANGES_MAX + 1 at most."""
    rows = await connection.fetch(_LOOK, since, list(read), CHANGES_MAX + 1)
    first = rows[0]
    return Look(
        first["server"], Position(first["settled"], first["next"], first["ended"]),
        first["forgotten"], first["last_change"],
        [Change(row["id"], row["transaction"], row["member"], row["access_key"], row["bucket"])
         for row in rows if row["id"] is not None],
    )  # fmt: skip


async def news(connection: Connection, seen: Seen, *, timeout_s: float) -> tuple[Look, Known | News | None]:
    """What this worker does not know yet: all there is, what changed, or None for nothing.

    Raises TimeoutError when the first look takes longer than timeout_s.
    """
    async with asyncio.timeout(timeout_s):
        found = await look(connection, since=seen.position.settled, read=seen.read)
    if not found.changes and not seen.must_read_all(found):
        return found, None
    # Of one moment: a member who was suspended in between must not have a key that opens and a bucket that does not.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await look(connection, since=seen.position.settled, read=seen.read)
        wanted = Wanted.of(found.changes)
        if wanted is None or len(found.changes) > CHANGES_MAX or seen.must_read_all(found):
            # Some changes that are in it come once more at the next look; reading them twice changes nothing.
            return found._replace(changes=()), await everything(connection)
        return found, News(wanted, await _again(connection, wanted))


async def everything(connection: Connection) -> Known:
    """All keys, buckets and engines, rates, and caps that bind; inside a transaction of the caller's."""
    return Known(
        await store.keys(connection), await store.buckets(connection), _hard(await caps(connection)),
        await engine_store.engines(connection), await own_rates(connection),
    )  # fmt: skip


async def _again(connection: Connection, wanted: Wanted) -> Known:
    members = list(wanted.members)
    return Known(
        await store.keys(connection, among=(list(wanted.access_keys), members)),
        await store.buckets(connection, among=(list(wanted.buckets), members)),
        _hard(await caps(connection, among=members)),
        rates=await own_rates(connection, among=members),
    )


def _hard(found: dict[MemberId, Caps]) -> dict[MemberId, int]:
    return {member: one.egress.hard for member, one in found.items() if one.egress.hard is not None}


async def forget_changes(connection: Connection, *, days: int) -> None:
    """Let go of changes that are so old; who has not looked since reads everything."""
    await connection.execute(
        """
        WITH gone AS (
            DELETE FROM gateway.directory_change WHERE at < now() - make_interval(days => $1) RETURNING transaction
        )
        UPDATE gateway.directory_forgotten SET transaction = greatest(transaction, (SELECT max(transaction) FROM gone))
        WHERE EXISTS (SELECT FROM gone)
        """,
        days,
    )
