"""weir config: every setting, its value and where it comes from."""

from __future__ import annotations

import click

from deploy.commands.options import data_option, given_names, json_option
from deploy.output import print_json, print_table
from deploy.settings import everything


@click.group()
def config() -> None:
    """Settings: arguments first, then the environment, then weir.toml in the data directory."""


@config.command("show")
@json_option
@data_option
@click.pass_context
def show(context: click.Context, as_json: bool) -> None:
    """Each setting with its value and its source. Secrets are masked."""
    rows = everything(given_names(context))
    if as_json:
        settings = [
            {
                "name": row.name,
                "value": row.value,
                "source": row.source,
                "room": row.room,
                "description": row.description,
            }
            for row in rows
        ]
        print_json({"settings": settings})
    else:
        print_table(
            ("setting", "value", "source", "what it is"),
            [(row.name, row.value, row.source, row.description) for row in rows],
        )
