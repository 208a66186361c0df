"""weir db: the schema of the database."""

from __future__ import annotations

import click

from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk, bring_up_to_date
from deploy.output import print_json, print_table, say
from deploy.rooms import room_migrations
from deploy.store import server_version
from meter.postgres import applied_migrations, check, migrations


@click.group()
def db() -> None:
    """The database's schema: every room's numbered migrations."""


@db.command("status")
@json_option
@data_option
def status(as_json: bool) -> None:
    """Which migrations are applied and which are missing."""

    async def work(desk: Desk) -> dict[str, object]:
        wanted = [one for room, directory in room_migrations() for one in migrations(room, directory)]
        async with desk.connected(None) as connection:
            applied = await applied_migrations(connection)
            check(applied, wanted)
            rows = [
                {
                    "room": one.room,
                    "version": one.version,
                    "name": one.name,
                    "applied": (one.room, one.version) in applied,
                }
                for one in wanted
            ]
            return {"postgres_version": await server_version(connection), "migrations": rows}

    told = at_desk(work, migrating=False)
    if as_json:
        print_json(told)
        return
    say(f"PostgreSQL {told['postgres_version']}")
    rows = told["migrations"]
    assert isinstance(rows, list)
    table = [(row["room"], row["version"], row["name"], "yes" if row["applied"] else "no") for row in rows]
    print_table(("room", "version", "name", "applied"), table)


@db.command("migrate")
@json_option
@data_option
def migrate(as_json: bool) -> None:
    """Apply what is missing."""

    async def work(desk: Desk) -> list[str]:
        return await bring_up_to_date(desk.dsn, desk.meter)

    applied = at_desk(work, migrating=False)
    if as_json:
        print_json({"applied": applied})
    else:
        say("\n".join(applied) if applied else "nothing was missing")
