"""weir download: a member's statement with all that is needed to check it elsewhere, without us."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click

from deploy.bundling import WHERE_ELSE, differences, fill
from deploy.commands.bill import sign_heads
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.output import print_json, say
from meter.refusal import Refusal
from meter.store import find_member
from meter.window import Month

DISAGREES = 1
"""Exit status when what was written does not follow from itself."""


@click.command()
@click.argument("member")
@click.argument("period", metavar="YYYY-MM|YYYY")
@click.option(
    "--to", "directory", required=True, type=click.Path(path_type=Path), help="A directory to be made."
)
@json_option
@data_option
def download(member: str, period: str, directory: Path, as_json: bool) -> None:
    """MEMBER's statement of a closed month or year, with records, prices, totals, proofs and a verifier.

    It is checked once it is written; if it does not check, it stays, what differs is told, and the exit status is 1.
    """
    year = int(period) if re.fullmatch(r"\d{4}", period, re.ASCII) else None
    month = Month.parse(period) if year is None else None
    if directory.exists():
        raise Refusal(f"--to: {directory} is there already; name a directory that is not")
    fresh = directory.with_name(f".{directory.name}.partial")

    async def work(desk: Desk) -> dict[str, str]:
        await sign_heads(desk)
        wanted = year if month is None else month
        assert wanted is not None, "a period is a month or a year"
        async with desk.connected("weir_billing") as connection:
            found = (await find_member(connection, member)).id
        what = as_treasurer(f"take out a member's statement of {wanted}", subject=found)
        await desk.note("weir_billing", what)
        return await fill(desk, fresh, found, wanted, records_max=None)

    try:
        fresh.mkdir(parents=True)
    except FileExistsError:
        raise Refusal(
            f"{fresh} is there: another download makes it, or one was broken off; remove it"
        ) from None
    except OSError as error:
        raise Refusal(f"{directory} cannot be made: {error.strerror}") from None
    try:
        files = at_desk(work)
        fresh.rename(directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # gone already, if all went well
    if as_json:
        print_json({"directory": str(directory), "files": files})
    else:
        for name, digest in files.items():
            say(f"{digest}  {name}")
        say(f"check them anywhere with: python3 -I {directory / 'verify.py'}")
    if wrong := differences(directory):
        for line in wrong:
            click.echo(line, err=True)
        click.echo(f"weir: {WHERE_ELSE}", err=True)
        raise SystemExit(DISAGREES)
