"""weir doctor: everything an operator would look at, with the mend for each; whether Weir runs or not."""

from __future__ import annotations

import asyncio

import asyncpg
import click

from billing.settings import BillingSettings
from deploy.addresses import SharedName
from deploy.commands.options import data_option, json_option
from deploy.desk import opened
from deploy.doctor import coop, machine
from deploy.doctor.verdict import Level, Verdict, index_schema, ok, program, worst
from deploy.output import print_json, print_table, say
from deploy.place import AS_OWNER, DataRefused, Holder, holder, is_founded
from deploy.settings import DeploySettings, check_addresses, everything, read
from gateway.settings import GatewaySettings
from gateway.storage.disk.index import schema_versions
from meter import __version__
from meter.refusal import Refusal

FAILS = 1
"""Exit status when something fails; warnings alone end with 0."""


@click.command()
@json_option
@data_option
def doctor(as_json: bool) -> None:
    """Look at settings, clock, disk, permissions, database, certificates, limits, engines, journal and backups."""
    verdicts = asyncio.run(visit())
    level = worst(verdicts)
    if as_json:
        rows = [
            {"name": one.name, "level": one.level.value, "sentence": one.sentence, "mend": one.mend}
            for one in verdicts
        ]
        print_json({"level": level.value, "checks": rows})
    else:
        _print(verdicts)
    if level is Level.FAIL:
        raise SystemExit(FAILS)


async def visit() -> list[Verdict]:
    """All verdicts."""
    try:
        rows = everything()
    except Refusal as refusal:
        return list(coop.settings_refused(refusal))
    found = [ok("settings", f"all {len(rows)} settings are in bounds"), _names()]
    deploy, gateway = read(DeploySettings), read(GatewaySettings)
    data = deploy.data.absolute()
    gateway = gateway.model_copy(update={"data": data})
    if not is_founded(data):
        sentence = f"there is no co-op in {data} yet"
        return [*found, Verdict("data", Level.FAIL, sentence, "`weir up` founds one, or name it with --data")]
    try:
        running = holder(data)
    except DataRefused as refusal:
        return [*found, Verdict("data", Level.FAIL, str(refusal), AS_OWNER)]
    found += machine.look(deploy, gateway, running)
    found.append(_running(running))
    index = gateway.engine_directory / "index.sqlite"
    if gateway.has_disk and index.exists():
        was, known = schema_versions(index, busy_timeout_s=gateway.index_busy_timeout_s)
        found.append(index_schema(found=was, known=known))
    for setting, url in (
        ("gateway_url", deploy.gateway_url),
        ("portal_url", read(BillingSettings).portal_url),
    ):
        found += await asyncio.to_thread(_certificates, setting, url)
    try:
        async with opened(migrating=False) as desk:
            async for verdict in coop.look(desk):
                found.append(verdict)
    except DataRefused as refusal:
        # As another user nothing more is asked; the same command as the right one says all.
        found.append(Verdict("database", Level.FAIL, f"not asked: {refusal}", AS_OWNER))
    except (Refusal, asyncpg.PostgresError, OSError) as error:
        mend = "see log/postgres.log in the data directory, or the server that database_url names"
        found.append(Verdict("database", Level.FAIL, str(error), mend))
    return found


def _names() -> Verdict:
    try:
        check_addresses()
    except SharedName as refusal:
        return Verdict(
            "names", Level.FAIL, str(refusal), "give the portal a host name of its own (portal_url)"
        )
    return ok("names", "portal, gateway and websites share no name")


def _certificates(setting: str, url: str) -> list[Verdict]:
    return list(machine.public_certificate(setting, url))


def _running(running: Holder | None) -> Verdict:
    if running is None or running.kind != "up":
        return ok("weir", f"this program is Weir {__version__}, and none runs here just now")
    told = running.facts.get("version")
    return program(own=__version__, running=None if told is None else str(told), pid=running.pid)


def _print(verdicts: list[Verdict]) -> None:
    print_table(("", "what", "how it is"), [(one.level.value, one.name, one.sentence) for one in verdicts])
    for one in verdicts:
        if one.mend:
            say(f"{one.level.value.upper()}  {one.name}: {one.mend}")
    level = worst(verdicts)
    count = sum(one.level is not Level.OK for one in verdicts)
    say("everything is well" if level is Level.OK else f"{count} of {len(verdicts)} want your eye")
