"""weir gateway: a gateway on a machine of its own, and the list of all that the co-op has."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from billing.settings import BillingSettings
from deploy.commands.options import data_option, json_option, set_setting
from deploy.desk import Desk, at_desk
from deploy.enrolment import LEASE_BEATS
from deploy.founding import vault_path
from deploy.instants import instant_text
from deploy.output import console, print_json, print_table
from deploy.place import replace_file
from deploy.rooms import connected
from deploy.running import RoomsSettings, Running
from deploy.settings import DeploySettings, read
from deploy.supervisor import Supervisor
from gateway.gateways_store import Listed, gateways
from gateway.settings import GatewaySettings
from gateway.snapshot import keep_bytes
from gateway.store import some_key
from gateway.vault import Vault
from meter.postgres import DatabaseAway
from meter.refusal import Refusal
from meter.settings import MeterSettings
from meter.window import to_us

PORTS = ("gateway_port", "admin_port", "workers")


@click.group()
def gateway() -> None:
    """The co-op's gateways, many beside each other."""


@gateway.command("run")
@click.option(
    "--master-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The co-op's secret.key; copied into the data directory at the first start.",
)
@click.option(
    "--name", metavar="NAME", help="How the list calls this gateway; the machine's name if not given."
)
@click.option("--gateway-port", type=int, metavar="PORT", help="Port of the S3 gateway; 0 takes a free one.")
@click.option("--admin-port", type=int, metavar="PORT", help="Port of metrics and health; 0: a free one.")
@click.option("--workers", type=int, metavar="N", help="Gateway processes; one for each core if not given.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Written when it serves: JSON with URLs.",
)
@data_option
@click.pass_context
def run(
    context: click.Context,
    /,
    master_key: Path | None,
    name: str | None,
    ready_file: Path | None,
    **numbers: int | None,
) -> None:
    """A gateway without books: they, and PostgreSQL, are where WEIR_DATABASE_URL says. Ctrl-C drains and stops it."""
    for one in PORTS:
        if numbers[one] is not None:
            set_setting(context, one, numbers[one])
    if name is not None:
        set_setting(context, "gateway_name", name)
    rooms = RoomsSettings(read(DeploySettings), read(MeterSettings), read(BillingSettings))
    check_settings(rooms, read(GatewaySettings))
    data = rooms.deploy.data.absolute()
    bring_master_key(data, master_key)
    check_master_key(data, rooms)
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)
    errors = console(stderr=True)
    supervisor = Supervisor(rooms, tell=lambda line: errors.print(Text(line), soft_wrap=True), alone=True)

    async def announce(running: Running) -> None:
        show(running, console())
        if ready_file is not None:
            document = json.dumps(running.ready_document(), indent=2) + "\n"
            replace_file(ready_file.absolute(), document, mode=0o600)

    asyncio.run(supervisor.run(announce))


def check_settings(rooms: RoomsSettings, settings: GatewaySettings) -> None:
    """Raises Refusal where a gateway of its own could not know the co-op, or would begin a second store of objects."""
    if not rooms.meter.database_url:
        raise Refusal("a gateway of its own needs the co-op's PostgreSQL: set WEIR_DATABASE_URL")
    if not settings.disk_home:
        raise Refusal(
            "a gateway of its own keeps no objects, for a bucket would then be in two places: name with disk_home the "
            "data directory of the `weir up` on this machine whose disk it shares; or set it to 'none' where all buckets "
            "that are asked of it are on other engines"
        )
    if settings.has_disk and not settings.engine_directory.is_dir():
        raise Refusal(
            f"setting disk_home is {settings.disk_home}, and there is no {settings.engine_directory}"
        )


def bring_master_key(data: Path, given: Path | None) -> None:
    """The co-op's master key into the data directory, once. Raises Refusal for another one than is there."""
    here = vault_path(data)
    if given is None:
        if not here.exists():
            raise Refusal(f"there is no master key in {data}: name the co-op's secret.key with --master-key")
        return
    key = given.read_bytes()
    if here.exists() and here.read_bytes() != key:
        raise Refusal(f"{here} is another master key than {given}; begin with an empty data directory")
    if not here.exists():
        keep_bytes(here, key)


def check_master_key(data: Path, rooms: RoomsSettings) -> None:
    """Raises Refusal where the master key does not open the co-op's keys. With PostgreSQL away it cannot be told."""

    async def look() -> None:
        timeout_s = rooms.meter.database_timeout_s
        async with connected(
            rooms.meter.database_url, role="weir_gateway", timeout_s=timeout_s
        ) as connection:
            row = await some_key(connection)
        if row is not None:
            Vault.open(vault_path(data)).reveal(row.secret, access_key=row.access_key)

    try:
        asyncio.run(look())
    except DatabaseAway:
        if not (data / "directory.db").exists():
            raise


def show(running: Running, screen: Console) -> None:
    """The first lines."""
    screen.print(Text("This gateway is up. Every byte is counted.", style="bold"))
    for label, text in (
        ("gateway", running.gateway_url),
        ("metrics", f"{running.admin_url}/metrics"),
        ("data", str(running.data)),
        ("stop", "Ctrl-C finishes open exchanges and loses nothing"),
    ):
        screen.print(Text.assemble((f"{label:<13}", "dim"), text), soft_wrap=True)


@gateway.command("list")
@json_option
@data_option
def list_(as_json: bool) -> None:
    """All gateways there ever were: whether they live, what they still have to ship, what they know."""

    async def work(desk: Desk) -> list[dict[str, object]]:
        async with desk.connected("weir_gateway") as connection:
            found = await gateways(connection)
        return [document(one, lease_s=LEASE_BEATS * desk.deploy.gateway_heartbeat_s) for one in found]

    told = at_desk(work)
    if as_json:
        print_json({"gateways": told})
    else:
        columns = ("name", "state", "version", "last_seen", "backlog", "changes_behind", "streams", "shipped")
        rows = [[one[column] for column in columns] for one in told]
        print_table(columns, rows, numbers=("backlog", "changes_behind", "streams"))


def document(one: Listed, *, lease_s: float) -> dict[str, object]:
    """A gateway as JSON."""
    return {
        "id": str(one.id),
        "name": one.name,
        "state": "stopped" if one.stopped_at is not None else "silent" if one.seen_s > lease_s else "alive",
        "version": one.version,
        "first_seen": instant_text(to_us(one.first_seen)),
        "last_seen": instant_text(to_us(one.last_seen)),
        "backlog": one.backlog,
        "change": one.change,
        "changes_behind": one.changes_behind,
        "streams": one.streams,
        "shipped": None if one.shipped_at is None else instant_text(to_us(one.shipped_at)),
    }
