"""What tests of upstream engines share: a gateway with one behind it, and what PostgreSQL knows once all is shipped."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.upstream_store import UpstreamUse, upstream_use
from gateway.vault import Vault
from meter.ids import MemberId
from meter.postgres import connect
from tests.engines.behind import put_behind
from tests.engines.place import S3System
from tests.gateway import RunningGateway, running_gateway

OBJECT, PART, VERSION = 0, 1, 2
"""Lines of stored bytes, as PostgreSQL keeps them."""


@contextmanager
def gateway_before(
    system: S3System,
    data: Path,
    database: str,
    *,
    workers: int = 1,
    environment: dict[str, str] | None = None,
) -> Iterator[RunningGateway]:
    """A gateway whose new buckets are on that system, under names of their own."""
    put_behind(RunningGateway(data, database, 0), system, prefix=f"t{os.urandom(4).hex()}-")
    with running_gateway(data, database, workers=workers, environment=environment) as gateway:
        yield gateway


def _fetch(gateway: RunningGateway, query: str, *values: object) -> list[Any]:
    async def work() -> list[Any]:
        connection = await connect(gateway.database)
        try:
            return list(await connection.fetch(query, *values))
        finally:
            await connection.close()

    return asyncio.run(work())


def stored(gateway: RunningGateway, member: MemberId) -> dict[int, int]:
    """Bytes by line, of everything the member stores, shipped up to now."""
    gateway.usage(member)
    rows = _fetch(
        gateway,
        "SELECT line, sum(delta)::bigint AS bytes FROM meter.stored WHERE member = $1 GROUP BY line HAVING sum(delta) <> 0",
        member,
    )
    return {row["line"]: row["bytes"] for row in rows}


def upstream_side(gateway: RunningGateway, member: MemberId) -> dict[int, tuple[int, int, int]]:
    """Requests, bytes sent and bytes received, by kind of request, shipped up to now."""
    gateway.usage(member)

    async def work() -> list[UpstreamUse]:
        connection = await connect(gateway.database, role="weir_office")
        try:
            return list(await upstream_use(connection, start_us=0, end_us=2**52))
        finally:
            await connection.close()

    found: dict[int, tuple[int, int, int]] = {}
    for one in asyncio.run(work()):
        requests, bytes_in, bytes_out = found.get(one.operation, (0, 0, 0))
        found[one.operation] = (requests + one.requests, bytes_in + one.bytes_in, bytes_out + one.bytes_out)
    return found


def upstream_name(gateway: RunningGateway, bucket: str) -> str:
    """The bucket's name on its engine."""
    (row,) = _fetch(
        gateway, "SELECT upstream_name FROM gateway.bucket WHERE name = $1 AND deleted_at IS NULL", bucket
    )
    return str(row["upstream_name"])


def enter(gateway: RunningGateway, system: S3System, *, is_default: bool = True) -> None:
    """An engine of which nobody found out what it can do."""
    vault = Vault.open(gateway.data / "secret.key", create=True)
    secret = vault.seal(system.secret_key, access_key=f"engine:{system.kind}")

    async def work() -> None:
        connection = await connect(gateway.database)
        try:
            if is_default:
                await connection.execute("UPDATE gateway.engine SET is_default = false WHERE is_default")
            await connection.execute(
                """
                INSERT INTO gateway.engine (name, kind, endpoint, region, access_key, secret, is_default, added_at)
                VALUES ($1, 's3', $2, $3, $4, $5, $6, now())
                """,
                system.kind, system.endpoint, system.region, system.access_key, secret, is_default,
            )  # fmt: skip
        finally:
            await connection.close()

    asyncio.run(work())
