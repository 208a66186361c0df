"""weir tariff: the prices in force."""

from __future__ import annotations

from pathlib import Path

import click

from billing.run import set_tariff, tariff_in_force
from billing.tariff import Tariff, tariff_document, tariff_toml
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.output import print_json, say
from meter.refusal import Refusal
from meter.window import Month

FILE_BYTES_MAX = 64 * 1024


@click.group()
def tariff() -> None:
    """Prices of the co-op's services."""


@tariff.command("show")
@click.argument("month", required=False, metavar="[YYYY-MM]")
@json_option
@data_option
def show(month: str | None, as_json: bool) -> None:
    """The tariff of this month, or of the one given, as a file `weir tariff set` reads."""

    async def work(desk: Desk) -> Tariff:
        wanted = Month.of(desk.now_us) if month is None else Month.parse(month)
        async with desk.connected("weir_billing") as connection:
            return await tariff_in_force(connection, wanted)

    found = at_desk(work)
    if as_json:
        print_json(tariff_document(found))
    else:
        click.echo(tariff_toml(found), nl=False)


@tariff.command("set")
@click.argument("file", type=click.Path(path_type=Path))
@data_option
def set_(file: Path) -> None:
    """Put the tariff in FILE in force from the month it names."""
    text = read_text(file)

    async def work(desk: Desk) -> Tariff:
        async with desk.connected("weir_billing") as connection:
            return await set_tariff(connection, text, now_us=desk.now_us)

    found = at_desk(work)
    say(f"the tariff is in force from {found.effective_from}")


def read_text(file: Path) -> str:
    """A small text file. Raises Refusal."""
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise Refusal(f"{file} is larger than {FILE_BYTES_MAX} bytes, and a tariff never is")
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(f"{file} is not UTF-8 text") from None
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror}") from None
