"""Options that many commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
GIVEN = "weir.given"
"""Where the click context keeps the names of settings that were given as arguments."""


SIGNED = {"ignore_unknown_options": True}
"""Settings of a command with a number or a size among its arguments: '-5GB' is a wrong size, not an unknown option."""


def given_names(context: click.Context) -> list[str]:
    """Names of settings given on the command line so far."""
    names: list[str] = context.meta.setdefault(GIVEN, [])
    return names


def set_setting(context: click.Context, name: str, value: object) -> None:
    """Put an argument in force: every room, and every child, reads it from the environment."""
    os.environ[f"WEIR_{name.upper()}"] = str(value)
    given_names(context).append(name)


def _set_data(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        set_setting(context, "data", value.absolute())


def data_option(command: Command) -> Command:
    """--data DIR, before or after a command's name."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path),
        metavar="DIR",
        callback=_set_data,
        expose_value=False,
        is_eager=True,
        help="Directory that holds everything Weir keeps on this machine.",
    )(command)


def json_option(command: Command) -> Command:
    """--json: for programs, with stable keys."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON with stable keys.")(command)
