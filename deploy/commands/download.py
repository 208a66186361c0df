"""weir download: a member's statement with all that is needed to check it elsewhere, without us."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click

from billing.statements import verifier
from deploy.bundling import fill_month, fill_year
from deploy.commands.bill import sign_heads
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.output import print_json, say
from meter.refusal import Refusal
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
        if month is not None:
            return await fill_month(desk, fresh, member, month)
        assert year is not None, "a period is a month or a year"
        return await fill_year(desk, fresh, member, year)

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
        say(f"check them anywhere with: python -I {directory / 'verify.py'}")
    quiet = _Quiet()
    if verifier.look(directory, quiet):
        for line in quiet.differs:
            click.echo(line, err=True)
        click.echo("weir: it does not check; is the journal of every machine here?", err=True)
        raise SystemExit(DISAGREES)


class _Quiet(verifier.Report):
    """Keeps what differs."""

    def __init__(self) -> None:
        super().__init__()
        self.differs: list[str] = []

    def say(self, text: str) -> None:
        if text.startswith("DIFFERS"):
            self.differs.append(text)
