"""A small co-op to be backed up and restored: a real gateway worker, a real database, a real client."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from billing.settings import BillingSettings
from deploy.backup.page import Page
from deploy.backup.repository import Repository
from deploy.backup.restoring import Asked, Restored, restore
from deploy.backup.taking import take
from deploy.backup.target import DirectoryTarget
from deploy.commands.audit import look
from deploy.desk import Desk
from deploy.settings import DeploySettings
from meter.settings import MeterSettings
from meter.signing import ensure_key
from tests.gateway import Credentials, RunningGateway, client
from tests.postgres import TestServer

PASSPHRASE = b"a passphrase of a test"
BUCKET = "films"


def quiet(done: int, whole: int) -> None:
    """Nobody looks at the bar."""


@dataclass
class Traffic:
    """A client that remembers what was answered: every object has a key of its own and is never written again."""

    s3: Any
    put: dict[str, bytes] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def some(self, name: str) -> None:
        """An object in the index and one in a file."""
        for size, what in ((700, "small"), (90_000, "large")):
            self.one(f"{name}-{what}", size)

    def one(self, key: str, size: int) -> None:
        """Put an object; it is remembered once it was answered."""
        body = hashlib.sha256(key.encode()).digest() * (size // 32 + 1)
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body[:size])
        self.put[key] = body[:size]

    def delete(self, key: str) -> None:
        """Delete one for good."""
        self.s3.delete_object(Bucket=BUCKET, Key=key)
        self.gone.add(key)


def desk_of(data: Path, database: str) -> Desk:
    """A command at work on that place."""
    settings = MeterSettings(data=data, database_url=database, journal_segment_bytes_max=2**16)
    return Desk(DeploySettings(data=data), settings, BillingSettings(), data, database, None)


def repository_of(place: Path, passphrase: bytes = PASSPHRASE) -> Repository:
    """The backups in a directory, made if there are none."""
    return Repository.open(DirectoryTarget(place), passphrase, create=True)


def back_up(gateway: RunningGateway, place: Path, *, with_files: bool = True) -> Page:
    """A backup beside a running gateway."""
    desk = desk_of(gateway.data, gateway.database)
    return asyncio.run(take(desk, repository_of(place), with_files=with_files, told=quiet))


def bring_back(
    place: Path, data: Path, server: TestServer, setenv: Callable[[str, str], None], *, files_from: Path | None = None,
    name: str | None = None,
) -> tuple[Restored, str]:  # fmt: skip
    """Restore into a fresh directory and a fresh database; what was found, and the database."""
    database = server.empty_database()
    setenv("WEIR_DATABASE_URL", database)
    repository = repository_of(place)
    page = repository.page(name or repository.names()[-1])
    return asyncio.run(restore(repository, page, Asked(data, files_from), told=quiet)), database


def listed(s3: Any) -> dict[str, bytes]:
    """Every object of the bucket, with its bytes."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def begun(gateway: RunningGateway) -> tuple[Credentials, Traffic]:
    """A member with a bucket and some objects."""
    ensure_key(gateway.data)
    anna = gateway.member("anna")
    traffic = Traffic(client(gateway, anna))
    traffic.s3.create_bucket(Bucket=BUCKET)
    for number in range(5):
        traffic.some(f"first-{number}")
    return anna, traffic


def flip(path: Path, at: int = -1) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def copy_of(place: Path, to: Path) -> Path:
    """The backups once more, to be damaged."""
    shutil.copytree(place, to)
    return to


def audited(data: Path, database: str) -> list[str]:
    """What `weir audit` would say there now."""
    desk = desk_of(data, database)
    return [one.sentence for one in asyncio.run(look(desk, desk.meter, lambda _: None)).findings.named]
