"""weir secret: the master key that seals members' secrets, exchanged for a new one."""

from __future__ import annotations

import asyncio
import time

import click

from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.founding import vault_path
from deploy.output import number_of, print_json, print_table, say
from gateway import enrolment, secret_store
from gateway.key_files import NEXT_NAME, begin, fingerprint, read_keys
from gateway.rotation import Rotated
from gateway.rotation import rotate as rotate_key
from meter.postgres import Connection

WAITS = 1
"""Exit status when gateways lack the coming key."""
BEATS = 3
POLL_S = 0.5


@click.group()
def secret() -> None:
    """The master key that seals members' secrets."""


@secret.command("rotate")
@json_option
@data_option
def rotate(as_json: bool) -> None:
    """A new master key; every sealed secret of keys and engines anew. Members and clients notice nothing.

    With gateways on other machines run it, copy what it names to each, and run it again.
    """

    async def work(desk: Desk) -> Rotated:
        async with desk.connected(None) as connection:
            begin(vault_path(desk.data))
            await _tell_of_us(desk, connection)
            done = await rotate_key(connection, vault_path(desk.data))
            deadline = time.monotonic() + BEATS * desk.deploy.gateway_heartbeat_s
            while done.waits_for and time.monotonic() < deadline:
                await asyncio.sleep(POLL_S)
                done = await rotate_key(connection, vault_path(desk.data))
            return done

    done = at_desk(work)
    if as_json:
        print_json(
            {"done": not done.waits_for, "resealed": done.resealed, "waits_for": list(done.waits_for),
             "not_running": list(done.not_there)}
        )  # fmt: skip
    elif done.waits_for:
        say(f"nothing is sealed with the new key yet: {', '.join(done.waits_for)} lack it")
        say(f"copy {NEXT_NAME} of this data directory to theirs (mode 600), and run this again")
    else:
        say(
            f"a new master key is in force; sealed anew with it: {number_of(done.resealed, 'secret', 'secrets')}"
        )
    for name in done.not_there:
        say(
            f"{name} does not run; before it starts again it needs secret.key and secret.ring of this data directory"
        )
    if done.waits_for:
        raise SystemExit(WAITS)


async def _tell_of_us(desk: Desk, connection: Connection) -> None:
    """Where Weir does not run here, nobody else says that the coming key is here."""
    found = enrolment.read(desk.data) if desk.running is None else None
    if found is not None:
        await secret_store.note_keys(connection, found.id, read_keys(vault_path(desk.data)).fingerprints)


@secret.command("show")
@json_option
@data_option
def show(as_json: bool) -> None:
    """Fingerprints of the master keys here, and which gateway has which."""

    async def work(desk: Desk) -> dict[str, object]:
        keys = read_keys(vault_path(desk.data))
        async with desk.connected("weir_gateway") as connection:
            openers = await secret_store.openers(connection)
        return {
            "in_force": fingerprint(keys.current),
            "coming": None if keys.coming is None else fingerprint(keys.coming),
            "older": [fingerprint(one) for one in keys.older],
            "gateways": [
                {"name": one.name, "has_stopped": one.has_stopped, "opens": sorted(one.opens)}
                for one in openers
            ],
        }

    told = at_desk(work)
    if as_json:
        print_json(told)
        return
    say(f"in force: {told['in_force']}; coming: {told['coming'] or 'none'}; older: {told['older'] or 'none'}")
    rows = told["gateways"]
    assert isinstance(rows, list)
    print_table(
        ("gateway", "runs", "opens with"),
        [(row["name"], "no" if row["has_stopped"] else "yes", ", ".join(row["opens"])) for row in rows],
    )
