"""Puts a real S3 system behind a running gateway: as an engine of its directory, and the one new buckets go to."""

from __future__ import annotations

import asyncio
import json

from gateway.storage.abilities import Ability, can
from gateway.vault import Vault
from meter.postgres import connect
from tests.engines.place import S3System
from tests.gateway import RunningGateway


def put_behind(gateway: RunningGateway, system: S3System, *, prefix: str) -> None:
    """Enter it before the workers start, or while they run; its name is the system's kind, its features the table's."""
    vault = Vault.open(gateway.data / "secret.key", create=True)
    secret = vault.seal(system.secret_key, access_key=f"engine:{system.kind}")

    async def enter() -> None:
        connection = await connect(gateway.database)
        try:
            async with connection.transaction():
                await connection.execute("UPDATE gateway.engine SET is_default = false WHERE is_default")
                await connection.execute(
                    """
                    INSERT INTO gateway.engine
                        (name, kind, endpoint, region, access_key, secret, bucket_prefix, features, is_default, added_at)
                    VALUES ($1, 's3', $2, $3, $4, $5, $6, $7, true, now())
                    """,
                    system.kind, system.endpoint, system.region, system.access_key, secret, prefix,
                    json.dumps({ability.value: can(system.kind, ability) for ability in Ability}),
                )  # fmt: skip
        finally:
            await connection.close()

    asyncio.run(enter())
