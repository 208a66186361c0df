"""weir simulate: a year's closing on a file and nothing else, for whoever asks "what if" or wants to check us."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from billing.money import format_number
from billing.rules.book import rule_set
from billing.year.closing import close_year
from billing.year.document import year_document
from billing.year.outcome import YearClosing
from billing.year.reading import SIMULATION_BYTES_MAX, read_simulation
from deploy.commands.options import data_option, json_option
from deploy.output import print_json, print_table, say
from meter.refusal import Refusal


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--table", "as_table", is_flag=True, help="Print tables for people instead of JSON.")
@json_option
@data_option
def simulate(file: Path, as_table: bool, as_json: bool) -> None:
    """Close a year on FILE, or on what comes in when FILE is '-'; print JSON. Needs no co-op and changes nothing."""
    if as_table and as_json:
        raise Refusal("--table and --json: choose one; JSON is what comes without either")
    closing = close_year(read_simulation(read_bytes(file), rule_set))
    if as_table:
        print_closing(closing)
    else:
        print_json(year_document(closing))


def read_bytes(file: Path) -> bytes:
    """What is in the file, at most one byte more than is allowed. Raises Refusal."""
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(SIMULATION_BYTES_MAX + 1)
        with file.open("rb") as opened:
            return opened.read(SIMULATION_BYTES_MAX + 1)
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror}") from None


def print_closing(closing: YearClosing) -> None:
    """A year's closing for people."""

    def text(minor: int) -> str:
        return format_number(minor, closing.inputs.currency)

    rules = closing.inputs.rule_set
    say(f"{rules.name} (version {rules.version}), in {closing.inputs.currency}")
    print_table(
        ("step", "amount", "how"),
        [(one.name, text(one.amount_minor), one.formula) for one in closing.steps],
        numbers=("amount",),
    )
    say("")
    print_table(
        ("member", "class", "share", "cash", "retained"),
        [
            (row.id, row.member_class, text(row.amount_minor), text(row.cash_minor), text(row.retained_minor))
            for row in closing.allocations
        ],
        numbers=("share", "cash", "retained"),
    )
    _print_settlements(closing, text)
    say("")
    for check in closing.checks:
        sides = check.figures or f"{text(check.left)} = {text(check.right)}"
        say(f"{'agrees' if check.agree else 'DIFFERS'}  {check.name}: {sides}")
    say("")
    for note in rules.notes:
        say(f"note: {note}")
    say(f"digest {closing.digest}")


def _print_settlements(closing: YearClosing, text: Callable[[int], str]) -> None:
    """What becomes of the cash, where it is not simply paid."""
    special = [one for one in closing.settlements if one.paid_minor != one.cash_minor or one.loss_met_minor]
    if not special:
        return
    say("")
    columns = ("cash", "withheld", "set off", "given", "held", "paid", "earlier loss met")
    print_table(
        ("member", *columns),
        [
            (
                one.id, text(one.cash_minor), text(one.withheld_minor), text(one.set_off_minor),
                text(one.given_minor), text(one.held_minor), text(one.paid_minor), text(one.loss_met_minor),
            )
            for one in special
        ],
        numbers=columns,
    )  # fmt: skip
