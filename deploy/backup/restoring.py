"""**Spine** of a restore: a whole co-op out of a backup into an empty place, or nothing.

verify    every piece is opened and every digest compared, before anything is written
beside    the files go into a directory beside the place
database  a fresh PostgreSQL there (or the empty one that is set), the dump in one transaction
heads     files of signed heads, from the database
audit     everything held against each other, as `weir audit` does
rename    beside becomes the place: until then there is no co-op there, and a killed restore begins anew
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from billing.settings import BillingSettings
from deploy.backup import moment_store
from deploy.backup.database import load
from deploy.backup.page import Line, Page
from deploy.backup.repository import Repository
from deploy.commands.audit import Audit, look
from deploy.desk import Desk
from deploy.embedded import embedded, living_postmaster
from deploy.place import FORMAT, DataRefused, held, prepare, replace_file, sync_directory, sync_file_system
from deploy.rooms import connected, room_migrations
from deploy.settings import DeploySettings, read
from gateway.storage.disk.backup import make_places
from meter.daily import write_missing_files
from meter.frame import DamagedSegment
from meter.postgres import applied_migrations, check, migrations
from meter.refusal import Refusal
from meter.settings import MeterSettings

BESIDE = ".restoring"
MARKER = "restoring"
"""Its file says that the directory is ours to throw away."""
PUBLIC = ("signing.pub",)
_WAIT_S = 0.05
Told = Callable[[int, int], None]


class NotEmpty(Refusal):
    """Where the co-op is to be restored there is something already."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be restored, and where."""

    data: Path
    files_from: Path | None = None
    """A directory of members' files, for a backup that has their inventory alone: `engine/blobs` of some copy."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of a restore that succeeded."""

    audit: Audit | None
    """None where it could not look at everything."""
    notes: tuple[str, ...]
    """What the operator must know before the first start."""


async def restore(repository: Repository, page: Page, asked: Asked, *, told: Told) -> Restored:
    """A whole co-op at the place. Raises Refusal, and then nothing stands there."""
    os.umask(0o077)
    data = asked.data.absolute()
    refuse_unless_empty(data)
    meter = read(MeterSettings).model_copy(update={"data": data})
    if meter.database_url:
        await _refuse_unless_empty_database(meter)
    whole = 2 * page.size_bytes
    await asyncio.to_thread(repository.check, page, lambda done: told(done, whole))
    beside = await asyncio.to_thread(_begin, data)
    with held(beside, kind="command", timeout_s=0):
        put = Putting(repository, asked, beside)
        dump = await asyncio.to_thread(put.files, page, lambda done: told(page.size_bytes + done, whole))
        if (beside / "engine" / "index.sqlite").exists():
            await asyncio.to_thread(make_places, beside / "engine")
        notes = _about_settings(beside, meter)
        found = await _database(repository, dump, beside, meter)
    await asyncio.to_thread(sync_file_system, beside)
    _rename(beside, data)
    (data / MARKER).unlink()
    return Restored(
        found if isinstance(found, Audit) else None, (*notes, *([found] if isinstance(found, str) else []))
    )


def refuse_unless_empty(data: Path) -> None:
    """Raises NotEmpty."""
    try:
        is_empty = not any(data.iterdir())
    except FileNotFoundError:
        is_empty = True
    except OSError as error:
        raise DataRefused(f"{data} cannot be used: {error.strerror}") from None
    if not is_empty:
        raise NotEmpty(
            f"{data} is not empty; a co-op is restored into an empty place: name another with --data"
        )


async def _refuse_unless_empty_database(meter: MeterSettings) -> None:
    async with connected(meter.database_url, role=None, timeout_s=meter.database_timeout_s) as connection:
        if not await moment_store.is_empty(connection):
            raise NotEmpty(
                "the database that is set (database_url) holds a co-op already; a restore needs an empty one: "
                "make one with `createdb`, or drop what a restore left there that was killed at its very end"
            )


def _begin(data: Path) -> Path:
    """An empty directory beside; what a killed restore left there goes. Raises DataRefused."""
    beside = data.with_name(data.name + BESIDE)
    if beside.exists():
        if not (beside / MARKER).exists() and not _has_hardly_begun(beside):
            raise DataRefused(f"{beside} is in the way, and no restore of ours made it; move it away")
        deadline = time.monotonic() + read(DeploySettings).postgres_stop_timeout_s
        while (pid := living_postmaster(beside / "postgres")) is not None:
            if time.monotonic() > deadline:
                raise DataRefused(
                    f"a PostgreSQL server (process {pid}) still runs in {beside}; stop it first"
                )
            time.sleep(_WAIT_S)
        _throw_away(beside)
    data.parent.mkdir(parents=True, exist_ok=True)
    prepare(beside)
    replace_file(beside / MARKER, "a restore of Weir is at work here, or was killed\n", mode=0o600)
    return beside


def _has_hardly_begun(beside: Path) -> bool:
    """Whether nothing is lost with it: a restore killed before its marker stood, or after it was taken away."""
    return all(
        one.name.startswith(f".{MARKER}.") or (one.name == "log" and one.is_dir() and not any(one.iterdir()))
        for one in beside.iterdir()
    )


def _throw_away(beside: Path) -> None:
    """The marker last, so that also this can be killed."""
    for path in beside.iterdir():
        if path.name == MARKER:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (beside / MARKER).unlink(missing_ok=True)
    beside.rmdir()


class Putting:
    """Files of one backup, on their way back."""

    def __init__(self, repository: Repository, asked: Asked, root: Path) -> None:
        self._repository = repository
        self._asked = asked
        self._root = root

    def files(self, page: Page, told: Callable[[int], None]) -> Line:
        """Put everything but the database; the line of its dump. Raises Refusal."""
        done, dump = 0, None
        for line in self._repository.lines(page):
            if line.path == "database.dump":
                dump = line
                continue
            self._put(line)
            done += line.size_bytes
            told(done)
        if dump is None:
            raise Refusal(f"the backup {page.name} holds no database")
        return dump

    def _put(self, line: Line) -> None:
        path = self._root / line.path
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise Refusal(f"the backup names a file outside of the data directory: {line.path}")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not line.is_kept:
            self._from_elsewhere(line, path)
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.writelines(self._repository.read(line))
        if line.path in PUBLIC:
            path.chmod(0o644)

    def _from_elsewhere(self, line: Line, path: Path) -> None:
        """A file of which only the inventory was taken; the audit names one that is not found."""
        if self._asked.files_from is None:
            return
        source = self._asked.files_from / path.parent.name / path.name
        if source.is_file() and source.stat().st_size == line.size_bytes:
            shutil.copyfile(source, path)
            path.chmod(0o600)


def _about_settings(beside: Path, meter: MeterSettings) -> tuple[str, ...]:
    """Restored settings that would make the first start use the old machine's database. Raises Refusal."""
    try:
        named = tomllib.loads((beside / "weir.toml").read_text("utf-8")).get("database_url")
    except (OSError, ValueError):
        named = None
    if not named or named == meter.database_url:
        return ()
    if not meter.database_url:
        raise Refusal(
            "the co-op in the backup has a database of its own (database_url in its weir.toml): set WEIR_DATABASE_URL "
            "to an empty one for the restore"
        )
    return ("weir.toml still names the old database (database_url): change it before the first start",)


async def _database(repository: Repository, dump: Line, beside: Path, meter: MeterSettings) -> Audit | str:
    """What the audit found; a sentence where it could not look."""
    deploy = read(DeploySettings)
    async with _server(deploy, meter, beside) as dsn:
        async with connected(dsn, role=None, timeout_s=meter.database_timeout_s) as connection:
            await moment_store.make_roles(connection)
        await asyncio.to_thread(load, dsn, repository.read(dump), configured=deploy.postgres_bin)
        there = meter.model_copy(update={"data": beside})
        async with connected(dsn, role=None, timeout_s=meter.database_timeout_s) as connection:
            wanted = [one for room, directory in room_migrations() for one in migrations(room, directory)]
            check(await applied_migrations(connection), wanted)
            await write_missing_files(connection, there.heads_directory)
        replace_file(beside / "FORMAT", f"{FORMAT}\n", mode=0o644)
        desk = Desk(
            deploy.model_copy(update={"data": beside}), there, read(BillingSettings), beside, dsn, None
        )
        try:
            return await look(desk, there, lambda _: None)
        except (Refusal, DamagedSegment) as error:
            return f"restored, and not audited: {error}"


@asynccontextmanager
async def _server(deploy: DeploySettings, meter: MeterSettings, beside: Path) -> AsyncIterator[str]:
    """The empty database that is set, else a fresh server in the directory."""
    if meter.database_url:
        yield meter.database_url
        return
    async with embedded(deploy, beside, tell=_tell) as server:
        yield server.dsn


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _rename(beside: Path, data: Path) -> None:
    """In one step; an empty directory at the place gives way."""
    try:
        os.rename(beside, data)
    except OSError as error:
        raise DataRefused(f"{beside} is whole, and cannot be renamed to {data}: {error.strerror}") from None
    sync_directory(data.parent)
