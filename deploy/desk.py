"""What every command needs: settings, the database (its own for the moment when no Weir runs), connections."""

from __future__ import annotations

import asyncio
import getpass
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from billing.acts.act import Actor, Doing, Office
from billing.acts.run import acting, note
from billing.settings import BillingSettings
from deploy import rooms
from deploy.embedded import dsn, embedded, socket_directory
from deploy.founding import vault_path
from deploy.place import DataRefused, Holder, check_format, check_owner, held, holder, is_founded, prepare
from deploy.rooms import connected
from deploy.settings import DeploySettings, read
from gateway.feed import feed_what_is_left
from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import open_engine
from gateway.vault import Vault
from meter.correcting import complete
from meter.ids import MemberId
from meter.postgres import Connection
from meter.settings import MeterSettings
from meter.shipper import ship_everything

Result = TypeVar("Result")
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Desk:
    """A command at work."""

    deploy: DeploySettings
    meter: MeterSettings
    billing: BillingSettings
    data: Path
    dsn: str
    running: Holder | None
    """The `weir up` that runs now; None when this command started the database itself."""

    @property
    def now_us(self) -> int:
        """UTC microseconds."""
        return time.time_ns() // 1000

    def connected(self, role: str | None) -> AbstractAsyncContextManager[Connection]:
        """A connection that acts as weir_meter, weir_gateway, weir_billing or weir_office; None: as the owner."""
        return connected(self.dsn, role=role, timeout_s=self.meter.database_timeout_s)

    @asynccontextmanager
    async def acting(self, role: str | None, doing: Doing) -> AsyncIterator[Connection]:
        """A connection for an act in an office: one transaction that ends with the act's line in the log."""
        async with self.connected(role) as connection, acting(connection, actor(), doing, now_us=self.now_us):
            yield connection

    async def note(self, role: str | None, doing: Doing) -> None:
        """The line of an act that was done elsewhere, or over more than one transaction."""
        async with self.connected(role) as connection:
            await note(connection, actor(), doing, is_done=True, now_us=self.now_us)

    def vault(self) -> Vault:
        """What seals members' secrets. Raises Refusal when the master key is gone."""
        return Vault.open(vault_path(self.data))


def actor() -> Actor:
    """Who is at the command line, as the operating system says."""
    return Actor.at_the_command_line(getpass.getuser())


def as_treasurer(what: str, *, subject: MemberId | None = None, detail: str = "") -> Doing:
    """An act on the books by the command that runs just now; `what` is for every member and names no other one."""
    return _doing(Office.TREASURER, what, subject, detail)


def as_operator(what: str, *, subject: MemberId | None = None, detail: str = "") -> Doing:
    """An act on machines, keys and limits."""
    return _doing(Office.OPERATOR, what, subject, detail)


def as_board(what: str, *, subject: MemberId | None = None, detail: str = "") -> Doing:
    """An act on the register and on what was decided."""
    return _doing(Office.BOARD, what, subject, detail)


def _doing(office: Office, what: str, subject: MemberId | None, detail: str) -> Doing:
    words = click.get_current_context().command_path.split()
    return Doing(office, " ".join(words[1:] or words), what, subject, detail)


def gateway_settings(desk: Desk) -> GatewaySettings:
    """The gateway's settings for this desk's data."""
    return read(GatewaySettings).model_copy(update={"data": desk.data})


async def ship_up_to_now(desk: Desk) -> int:
    """Bring everything that happened until now into the sums; how many events could not be shipped.

    First the engine's outbox and corrections that wait into their journals, then all journals into Postgres.
    Raises Refusal.
    """
    gateway = gateway_settings(desk)
    meter = desk.meter.model_copy(update={"data": desk.data})
    if gateway.engine_directory.exists():
        engine = await open_engine(gateway.engine_directory, gateway)
        try:
            await feed_what_is_left(engine, gateway.engine_journal_directory, meter)
        finally:
            await engine.close()
    async with desk.connected("weir_meter") as connection:
        await complete(connection, meter, now_us=desk.now_us)
    return await ship_everything(meter, desk.dsn)


def at_desk(work: Callable[[Desk], Awaitable[Result]], *, migrating: bool = True) -> Result:
    """Run a command's work with the database at hand. Raises Refusal."""

    async def working() -> Result:
        async with opened(migrating=migrating) as desk:
            return await work(desk)

    return asyncio.run(working())


@asynccontextmanager
async def opened(*, migrating: bool = True) -> AsyncIterator[Desk]:
    """The running co-op's database, or our own server for the time of the block.

    Raises Refusal when no co-op was founded here, or the directory is in other hands.
    """
    os.umask(0o077)
    deploy, meter, billing = read(DeploySettings), read(MeterSettings), read(BillingSettings)
    data = deploy.data.absolute()
    if not is_founded(data):
        raise DataRefused(f"there is no co-op in {data} yet; `weir up` founds one, or name it with --data")
    check_owner(data)
    check_format(data)
    running = await _running(data, deploy)
    if meter.database_url:
        yield Desk(deploy, meter, billing, data, meter.database_url, running)
    elif running is not None:
        yield Desk(deploy, meter, billing, data, _its_dsn(running, data), running)
    else:
        with held(prepare(data), kind="command", timeout_s=deploy.lock_timeout_s):
            async with embedded(deploy, data, tell=_tell) as server:
                if migrating:
                    await bring_up_to_date(server.dsn, meter)
                yield Desk(deploy, meter, billing, data, server.dsn, None)


async def bring_up_to_date(dsn: str, meter: MeterSettings) -> list[str]:
    """Apply what is missing of every room's migrations; their names."""
    async with connected(dsn, role=None, timeout_s=meter.database_timeout_s) as connection:
        return await rooms.bring_up_to_date(connection)


async def _running(data: Path, deploy: DeploySettings) -> Holder | None:
    """The `weir up` that holds the directory, once it is ready. Raises DataRefused if it never is."""
    deadline = time.monotonic() + deploy.child_start_timeout_s
    while (found := holder(data)) is not None and found.kind != "command":
        if found.facts:
            return found
        if time.monotonic() > deadline:
            raise DataRefused(f"Weir on {data} (process {found.pid}) is still starting; try again")
        await asyncio.sleep(POLL_S)
    return None


def _its_dsn(running: Holder, data: Path) -> str:
    if not running.facts.get("is_embedded", True):
        raise DataRefused(
            f"Weir (process {running.pid}) runs with a database of its own; set WEIR_DATABASE_URL as it has"
        )
    return dsn(socket_directory(data), database="weir")


def _tell(line: str) -> None:
    click.echo(line, err=True)
