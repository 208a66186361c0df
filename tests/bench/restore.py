"""How long a backup and a restore of an index of many objects take: `python -m tests.bench.restore --objects 1000000`.

The objects are small and live in the index, as in a co-op of many small files; a copy of the same bytes by `cp` stands
beside it, for the disk of this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.backup.restoring import Asked, restore
from deploy.backup.taking import take
from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import open_engine
from gateway.vault import Vault
from meter.ids import BucketId, MemberId
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from tests.gateway import RunningGateway
from tests.integration.backup_kit import desk_of, quiet, repository_of
from tests.postgres import place_for_a_server, running_server

BODY_BYTES = 200
AT_ONCE = 50_000


def fill(data: Path, bucket: int, objects: int) -> None:
    """Rows as puts leave them, and one change of stored bytes for them all."""

    async def empty() -> None:
        engine = await open_engine(data / "engine", GatewaySettings(data=data))
        await engine.create_bucket(BucketId(bucket), owner=MemberId(1))
        await engine.close()

    asyncio.run(empty())
    connection = sqlite3.connect(data / "engine" / "index.sqlite", isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    for first in range(0, objects, AT_ONCE):
        connection.execute("BEGIN")
        numbers = range(first + 1, min(first + AT_ONCE, objects) + 1)
        connection.executemany(
            "INSERT INTO piece (piece, size_bytes, data) VALUES (?, ?, ?)",
            [(number, BODY_BYTES, os.urandom(BODY_BYTES)) for number in numbers],
        )
        connection.executemany(
            "INSERT INTO object (bucket, key, piece, size_bytes, etag, modified_us, headers)"
            " VALUES (?, ?, ?, ?, ?, ?, '{}')",
            [
                (
                    bucket,
                    f"photos/{n // 1000}/{n}.jpg".encode(),
                    n,
                    BODY_BYTES,
                    f"{n:032x}",
                    1_795_000_000_000_000 + n,
                )
                for n in numbers
            ],
        )
        connection.execute("COMMIT")
    total = objects * BODY_BYTES
    connection.execute("INSERT INTO total (bucket, line, bytes) VALUES (?, 0, ?)", (bucket, total))
    connection.execute("INSERT INTO outbox VALUES (1, 1, ?, 0, ?, 1795000000000000)", (bucket, total))
    connection.execute("UPDATE meta SET value = 1 WHERE name = 'sequence'")
    connection.close()


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long a block took."""
    began, worked = time.monotonic(), time.process_time()
    yield
    took, used = time.monotonic() - began, time.process_time() - worked
    print(f"{what}: {took:.1f} s, of which {used:.1f} s of a processor", flush=True)


def run(objects: int) -> None:
    """Fill, back up, back up again, restore."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as name,
        place_for_a_server() as server_data,
        running_server(server_data) as server,
    ):
        place = Path(name)
        data, backups = place / "data", place / "backups"
        (data / "journal").mkdir(parents=True)
        database = server.database()
        Vault.open(data / "secret.key", create=True)
        gateway = RunningGateway(data, database, 0)
        gateway.member("anna")
        gateway.execute("INSERT INTO gateway.bucket (name, owner, created_at) VALUES ('photos', 1, now())")
        fill(data, 1, objects)
        index = data / "engine" / "index.sqlite"
        print(f"{objects:,} objects, an index of {index.stat().st_size:,} bytes")
        with timed("cp of the index, for comparison"):
            shutil.copyfile(index, place / "copy")
        desk, repository = desk_of(data, database), repository_of(backups)
        with timed("backup"):
            page = asyncio.run(take(desk, repository, with_files=True, told=quiet))
        with timed("backup again, nothing new"):
            again = asyncio.run(take(desk, repository, with_files=True, told=quiet))
        print(f"new the first time {page.new_bytes:,} bytes, the second time {again.new_bytes:,}")
        os.environ["WEIR_DATABASE_URL"] = server.empty_database()
        with timed("restore, with every digest compared and the audit"):
            done = asyncio.run(restore(repository, page, Asked(place / "again"), told=quiet))
        assert done.audit is not None
        assert done.audit.findings.total == 0, done.audit.findings.named
        meter = MeterSettings(data=place / "again", database_url=os.environ["WEIR_DATABASE_URL"])
        assert asyncio.run(ship_everything(meter, meter.database_url)) == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=1_000_000)
    run(parser.parse_args().objects)
