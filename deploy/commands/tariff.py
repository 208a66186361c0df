"""weir tariff: the prices in force."""

from __future__ import annotations

from pathlib import Path

import click

from billing.charges.tariff import Tariff, tariff_document, tariff_toml
from billing.costs.costing import tariff_in_force
from billing.costs.run import parse_quarter
from billing.costs.run import suggest as costs_suggest
from billing.costs.variance import MonthFigures, Suggestion
from billing.money import format_amount, parse_exact, quotient_text
from billing.run import set_tariff
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk, ship_up_to_now
from deploy.output import print_json, print_table, say
from gateway import engine_store
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

    async def work(desk: Desk) -> tuple[Tariff, list[str]]:
        act = as_treasurer("put a tariff in force")
        async with desk.acting("weir_office", act) as connection:
            done = await set_tariff(connection, text, now_us=desk.now_us)
            act.what = f"put a tariff in force from {done.effective_from} on"
        async with desk.connected("weir_gateway") as connection:
            there = {row.name for row in await engine_store.engines(connection)}
        return done, sorted(done.engine_names - there)

    found, waiting = at_desk(work)
    say(f"the tariff is in force from {found.effective_from}")
    for name in waiting:
        say(
            f"no engine is called {name} as yet; its prices wait for one (`weir engine list` names those there are)"
        )


@tariff.command("suggest")
@click.option("--quarter", required=True, metavar="YYYY-Qn", help="The quarter to make prices for.")
@click.option("--reserve", default="5%", help="Put on top of what it costs; 5% if not given.")
@click.option("--quarters", default=1, help="How many quarters before it are looked at; 1 if not given.")
@click.option("--to", "target", type=click.Path(path_type=Path), metavar="FILE", help="Write the file there.")
@json_option
@data_option
def suggest(quarter: str, reserve: str, quarters: int, target: Path | None, as_json: bool) -> None:
    """Prices for a quarter: what a unit cost in the months before, and a reserve. It changes nothing."""
    begin, share = parse_quarter(quarter), parse_exact(reserve, field="reserve")

    async def work(desk: Desk) -> tuple[list[MonthFigures], list[Suggestion], Tariff, Tariff]:
        await ship_up_to_now(desk)
        async with desk.connected("weir_billing") as connection:
            present = await tariff_in_force(connection, begin)
            found = await costs_suggest(
                connection, begin, quarters=quarters, reserve=share, now_us=desk.now_us
            )
            return *found, present

    months, found, made, present = at_desk(work)
    if target is not None:
        write_text(target, tariff_toml(made))
    if as_json:
        print_json({
            "months": [str(one.month) for one in months],
            "reserve": str(share),
            "services": [
                {"service": one.service.value, "cost_minor": one.cost_minor, "units": str(one.units),
                 "price_nano": one.price_nano, "present_nano": present.price_nano(one.service)}
                for one in found
            ],
            "tariff": tariff_document(made),
        })  # fmt: skip
        return
    _print_suggestions(months, found, made, present)
    if target is None:
        click.echo(tariff_toml(made), nl=False)
    else:
        say(f"written to {target}; look at it, then `weir tariff set {target}`")


def _print_suggestions(
    months: list[MonthFigures], found: list[Suggestion], made: Tariff, present: Tariff
) -> None:
    say(f"from costs and use of {', '.join(str(one.month) for one in months)}")
    rows = [
        (
            one.service.value,
            format_amount(one.cost_minor, made.currency),
            quotient_text(one.units.numerator, one.units.denominator, decimals=3),
            present.price_text(one.service),
            made.price_text(one.service)
            + ("" if one.unit_cost_minor is not None else "  (no use: as it is)"),
        )
        for one in found
    ]
    print_table(
        ("service", "cost", "units charged", "price now", "suggested"),
        rows,
        numbers=("cost", "units charged"),
    )
    if present.free or present.classes:
        say("free amounts and prices of classes are taken over as they are")
    say("")


def write_text(target: Path, text: str) -> None:
    """A new file, never in place of another. Raises Refusal."""
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Refusal(f"{target} cannot be written: {error.strerror}") from None


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
