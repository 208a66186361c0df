"""weir ruleset: by which rules the co-op's years are closed, from when on, and who decided so."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from billing.governance import run as governance_run
from billing.governance import store as governance_store
from billing.governance.decisions import Choice
from billing.money import percent_text
from billing.rules.book import rule_set_ids, rule_set_text
from billing.rules.text import parse_rule_set_toml
from deploy.commands.options import data_option, json_option
from deploy.commands.tariff import read_text
from deploy.desk import Desk, as_board, at_desk
from deploy.instants import instant_text
from deploy.output import print_json, print_table, say
from meter.refusal import Refusal


@click.group()
def ruleset() -> None:
    """Rules by which a fiscal year is closed; a change is for a coming year and needs a resolution."""


@ruleset.command("list")
@json_option
@data_option
def list_(as_json: bool) -> None:
    """What was chosen, from which year on, and the rule sets there are."""

    async def work(desk: Desk) -> list[Choice]:
        async with desk.connected("weir_billing") as connection:
            return await governance_store.choices(connection)

    chosen = at_desk(work)
    known = [parse_rule_set_toml(rule_set_text(one)) for one in rule_set_ids()]
    if as_json:
        print_json(
            {
                "chosen": [document(one) for one in chosen],
                "known": [{"id": one.id, "version": one.version, "name": one.name} for one in known],
            }
        )
        return
    rows = [
        (one.number, one.rule_set, str(one.from_year), one.first_month, one.resolution, one.who)
        for one in chosen
    ]
    columns = ("number", "rule set", "from year", "first month", "resolution", "who")
    print_table(columns, rows, numbers=("number", "from year", "first month"))
    say("")
    print_table(("rule set", "for"), [(one.id, one.name) for one in known])


@ruleset.command("show")
@click.argument("wanted", metavar="ID")
@json_option
@data_option
def show(wanted: str, as_json: bool) -> None:
    """The percentages of rule set ID, with the law's limits and where they are written."""
    rules = parse_rule_set_toml(rule_set_text(wanted))
    rows = [
        {
            "key": key,
            "share": percent_text(one.share),
            "least": None if one.least is None else percent_text(one.least),
            "most": None if one.most is None else percent_text(one.most),
            "source": one.source,
        }
        for key, one in rules.numbers().items()
    ]
    if as_json:
        print_json(
            {"id": rules.id, "version": rules.version, "name": rules.name, "law": rules.law, "numbers": rows}
        )
        return
    say(f"{rules.name} ({rules.id}, version {rules.version})")
    say(rules.law)
    say("")
    columns = ("key", "share", "least", "most", "source")
    print_table(
        columns, [[one[name] for name in columns] for one in rows], numbers=("share", "least", "most")
    )


@ruleset.command("choose")
@click.argument("wanted", metavar="ID")
@click.option(
    "--from-year", type=click.IntRange(2000, 9998), required=True, help="The fiscal year it begins with."
)
@click.option(
    "--first-month", type=click.IntRange(1, 12), help="The month a fiscal year begins with; as before, or 1."
)
@click.option(
    "--resolution", metavar="ID", help="The decision, of kind rule-set; the first choice needs none."
)
@click.option(
    "--choices", "file", type=click.Path(path_type=Path), metavar="FILE",
    help="TOML: class weights, the cash part, rates on shares.",
)  # fmt: skip
@click.option(
    "--rules",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Your own version of rule set ID instead.",
)
@json_option
@data_option
def choose(
    wanted: str, from_year: int, first_month: int | None, resolution: str | None, file: Path | None,
    rules: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Close years by rule set ID, from a fiscal year on; its text is kept as it is now."""
    text = rule_set_text(wanted) if rules is None else read_text(rules)
    found = parse_rule_set_toml(text)
    if found.id != wanted:
        raise Refusal(f"rules: the file is of rule set '{found.id}', not '{wanted[:60]}'")
    choices = "" if file is None else read_text(file)

    async def work(desk: Desk) -> Choice:
        act = as_board(f"choose the rule set {found.id} from {from_year} on")
        async with desk.acting("weir_office", act) as connection:
            return await governance_run.choose(
                connection, text, from_year=from_year, first_month=first_month, resolution=resolution,
                choices=choices, who=getpass.getuser(), now_us=desk.now_us,
            )  # fmt: skip

    entered = at_desk(work)
    if as_json:
        print_json(document(entered))
    else:
        say(
            f"years from {entered.from_year} on are closed by {entered.rule_set}, entered as choice {entered.number};"
            f" every fiscal year begins with month {entered.first_month}"
        )


def document(one: Choice) -> dict[str, object]:
    """A choice as JSON."""
    return {
        "number": one.number,
        "rule_set": one.rule_set,
        "from_year": one.from_year,
        "first_month": one.first_month,
        "resolution": one.resolution,
        "choices": one.choices,
        "who": one.who,
        "recorded": instant_text(one.recorded_us),
    }
