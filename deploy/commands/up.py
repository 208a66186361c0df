"""weir up: everything on one machine, in the foreground."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from billing.settings import BillingSettings
from deploy import snippets
from deploy.commands.options import data_option, set_setting
from deploy.output import console
from deploy.place import replace_file
from deploy.running import RoomsSettings, Running
from deploy.settings import DeploySettings, check_addresses, read
from deploy.supervisor import Supervisor
from gateway.settings import GatewaySettings
from meter.settings import MeterSettings

PORTS = ("gateway_port", "portal_port", "admin_port")
EMBEDDED = "embedded database, for trying out and small co-ops; set WEIR_DATABASE_URL for your own server"


@click.command()
@click.option("--gateway-port", type=int, metavar="PORT", help="Port of the S3 gateway; 0 takes a free one.")
@click.option("--portal-port", type=int, metavar="PORT", help="Port of the members' portal; 0: a free one.")
@click.option("--admin-port", type=int, metavar="PORT", help="Port of metrics and health; 0: a free one.")
@click.option("--workers", type=int, metavar="N", help="Gateway processes; one for each core if not given.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Written when everything serves: JSON with URLs and the first member's credentials.",
)
@click.option(
    "--quiet",
    is_flag=True,
    help="Print what goes wrong and no first screen, which has a secret: where output is kept.",
)
@data_option
@click.pass_context
def up(
    context: click.Context,
    gateway_port: int | None,
    portal_port: int | None,
    admin_port: int | None,
    workers: int | None,
    ready_file: Path | None,
    quiet: bool,
) -> None:
    """Start the co-op on this machine; Ctrl-C drains and stops it."""
    for name, value in zip(
        (*PORTS, "workers"), (gateway_port, portal_port, admin_port, workers), strict=True
    ):
        if value is not None:
            set_setting(context, name, value)
    settings = RoomsSettings(read(DeploySettings), read(MeterSettings), read(BillingSettings))
    region = read(GatewaySettings).region
    check_addresses()
    errors = console(stderr=True)
    supervisor = Supervisor(settings, tell=lambda line: errors.print(Text(line), soft_wrap=True))
    if ready_file is not None:
        # An old file must not tell a script that we are ready.
        ready_file.unlink(missing_ok=True)

    async def announce(running: Running) -> None:
        if not quiet:
            show(running, console(), region=region)
        # Last: whoever waits for the file may read the screen's text behind it.
        if ready_file is not None:
            document = json.dumps(running.ready_document(), indent=2) + "\n"
            replace_file(ready_file.absolute(), document, mode=0o600)

    asyncio.run(supervisor.run(announce))


def show(running: Running, screen: Console, *, region: str) -> None:
    """The first screen."""
    screen.print(Panel.fit(Text("Weir is up. Every byte is counted.", style="bold")))
    _line(screen, "gateway", running.gateway_url)
    if running.portal_url is not None:
        _line(screen, "portal", running.portal_url)
    _line(screen, "metrics", f"{running.admin_url}/metrics")
    _line(screen, "data", str(running.data))
    if running.is_embedded:
        _line(screen, "", EMBEDDED)
    first = running.founding
    if first is not None:
        _line(screen, "member", first.member.name)
        secret_key = first.secret_key if first.is_new else "(shown at the first start)"
        screen.print()
        lines = snippets.shell(
            gateway_url=running.gateway_url, access_key=first.access_key, secret_key=secret_key, region=region
        )
        for line in (*lines.splitlines(), "", snippets.aws()):
            screen.print(Text(line), soft_wrap=True)
        screen.print(Text(snippets.rclone(gateway_url=running.gateway_url)), soft_wrap=True)
        screen.print(Text(f'python -c "{snippets.boto3()}"'), soft_wrap=True)
        screen.print()
    if running.login_link is not None:
        _line(screen, "log in, once", running.login_link)
    _line(screen, "stop", "Ctrl-C finishes open exchanges and loses nothing")


def _line(screen: Console, label: str, text: str) -> None:
    screen.print(Text.assemble((f"{label:<13}", "dim"), text), soft_wrap=True)
