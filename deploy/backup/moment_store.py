"""What a backup asks PostgreSQL: one state of it, held and named; how far each stream is known there; what an empty
database needs before a dump goes in."""

from __future__ import annotations

from dataclasses import dataclass

from meter.postgres import Connection


@dataclass(frozen=True, slots=True)
class Mark:
    """What new members and buckets change; equal marks mean that none came or went."""

    members: int
    buckets: int
    buckets_open: int


async def export_state(connection: Connection) -> str:
    """The name of the state this transaction sees; pg_dump is given it. The transaction is repeatable read."""
    name: str = await connection.fetchval("SELECT pg_export_snapshot()")
    return name


async def mark(connection: Connection) -> Mark:
    """As this transaction sees it."""
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM meter.member) AS members, count(*) AS buckets,"
        " count(*) FILTER (WHERE deleted_at IS NULL) AS open FROM gateway.bucket"
    )
    assert row is not None, "counts are always there"
    return Mark(row["members"], row["buckets"], row["open"])


async def places(connection: Connection) -> dict[str, int]:
    """Stream to the last record whose sums are here."""
    rows = await connection.fetch("SELECT id, last_sequence FROM meter.stream")
    return {str(row["id"]): row["last_sequence"] for row in rows}


async def corrections(connection: Connection) -> dict[str, int]:
    """Stream to the last correction that is entered here with its reason."""
    rows = await connection.fetch(
        "SELECT stream, max(sequence) AS last FROM meter.correction GROUP BY stream"
    )
    return {str(row["stream"]): row["last"] for row in rows}


async def is_empty(connection: Connection) -> bool:
    """Whether nothing of a co-op is in the database."""
    found = await connection.fetchval(
        "SELECT count(*) FROM pg_namespace WHERE nspname IN ('meter', 'gateway', 'billing')"
    )
    return not found and await connection.fetchval("SELECT to_regclass('public.schema_migration') IS NULL")


async def make_roles(connection: Connection) -> None:
    """The rooms' roles, which belong to the server and stand in no dump of a database."""
    await connection.execute(
        """
        DO $$
        DECLARE
            name text;
        BEGIN
            FOREACH name IN ARRAY ARRAY['weir_meter', 'weir_gateway', 'weir_billing', 'weir_office'] LOOP
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                    EXECUTE format('CREATE ROLE %I NOLOGIN', name);
                END IF;
                EXECUTE format('GRANT %I TO CURRENT_USER', name);
            END LOOP;
            GRANT weir_billing TO weir_office;
        END $$
        """
    )
