"""weir capital retire, exit, estate, due, request, exits: what is decided about capital, and carried out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeVar

import click

from billing.capital.exit_run import (
    Estate,
    EstateMethod,
    Leaving,
    Left,
    leave,
    make_due,
    settle_estate,
)
from billing.capital.exit_run import request as ask
from billing.capital.leavers import law_of
from billing.capital.lots import LotId, percent
from billing.capital.retirement import Method, parse_rule
from billing.capital.run import Retired, Retirement, book_currency
from billing.capital.run import carry_over as carry
from billing.capital.run import retire as carry_out
from billing.capital.store import Open
from billing.money import format_number
from deploy.commands.options import data_option, json_option
from deploy.commands.tariff import read_text
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.output import number_of, print_json, print_table, say
from deploy.progress import work_bar
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.store import find_member, members

Command = TypeVar("Command", bound=Callable[..., object])
LINES_SHOWN_MAX = 50
NOTHING_POSTED = "a trial: nothing was posted"


def decided(command: Command) -> Command:
    """--resolution and --trial."""
    for option in (
        click.option("--trial", is_flag=True, help="Show what would be done and post nothing."),
        click.option(
            "--resolution", required=True, metavar="ID", help="Who decided this and when, e.g. 2027-3."
        ),
    ):
        command = option(command)
    return command


def ruled(command: Command) -> Command:
    """--rule-set and --set-off."""
    for option in (
        click.option("--set-off", is_flag=True, help="First take what they owe for use."),
        click.option("--rule-set", metavar="ID",
                     help="us-selc, es, …; that in force on the day if not given, and plain where none was chosen."),
    ):  # fmt: skip
        command = option(command)
    return command


def day(text: str, *, field: str) -> date:
    """A day as YYYY-MM-DD. Raises Refusal naming the field."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refusal(f"{field}: '{text[:40]}' is not a day; write it like 2026-12-31") from None


@click.command("retire")
@click.option("--method", required=True, type=click.Choice([one.value for one in Method]),
              help="The oldest lots first, a part of all, or a list of years and shares.")  # fmt: skip
@click.option("--budget", required=True, metavar="AMOUNT", help="What the board sets aside for it.")
@click.option(
    "--rule", type=click.Path(path_type=Path), metavar="FILE", help="Years and shares of the hybrid method."
)
@click.option("--minimum", default="0", metavar="AMOUNT", help="Less than this stays in the member's lots.")
@click.option("--set-off", is_flag=True, help="First take what they owe for use.")
@decided
@json_option
@data_option
def retire(
    method: str, budget: str, rule: Path | None, minimum: str, set_off: bool, resolution: str, trial: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Pay back capital: make lots payable to the members. It allocates nothing and pays nothing out."""
    steps = () if rule is None else parse_rule(read_text(rule))
    asked = Retirement(Method(method), budget, resolution, steps, minimum, set_off)

    async def work(desk: Desk) -> tuple[dict[MemberId, str], Retired]:
        act = as_treasurer(f"pay back capital by resolution {resolution}")
        act.nothing = trial
        async with desk.acting("weir_office", act) as connection:
            names = {one.id: one.name for one in await members(connection)}
            with work_bar("paying back") as tell:
                return names, await carry_out(connection, asked, trial=trial, now_us=desk.now_us, tell=tell)

    names, found = at_desk(work)
    if as_json:
        print_json({**found.document, "trial": trial, "act": found.act, "before": found.before, "lines": [
            {"member": lot.member, "year": lot.year, "kind": lot.kind.value, "amount_minor": amount}
            for lot, amount in found.lines.items()]})  # fmt: skip
    else:
        _print_retired(found, names)


@click.command("carry-over")
@decided
@json_option
@data_option
def carry_over(resolution: str, trial: bool, as_json: bool) -> None:
    """Give what months kept in members' names, before there were lots, its lots by year."""

    async def work(desk: Desk) -> tuple[str, dict[MemberId, str], dict[LotId, int]]:
        act = as_treasurer(f"carry kept patronage over into lots by resolution {resolution}")
        act.nothing = trial
        async with desk.acting("weir_office", act) as connection:
            names = {one.id: one.name for one in await members(connection)}
            currency = await book_currency(connection)
            with work_bar("carrying over") as tell:
                return (
                    currency,
                    names,
                    await carry(connection, resolution, trial=trial, now_us=desk.now_us, tell=tell),
                )

    currency, names, lots = at_desk(work)
    if as_json:
        print_json({"trial": trial, "currency": currency, "lots": [
            {"member": lot.member, "year": lot.year, "amount_minor": amount} for lot, amount in lots.items()]})  # fmt: skip
        return
    rows = [
        (names[one.member], str(one.year), format_number(amount, currency)) for one, amount in lots.items()
    ]
    print_table(("member", "of", "amount"), rows[:LINES_SHOWN_MAX], numbers=("amount",))
    made = number_of(len(lots), "lot was made", "lots were made")
    say(NOTHING_POSTED if trial else f"{made} of what older months kept")


@click.command("exit")
@click.argument("member")
@click.option("--date", "on", required=True, metavar="YYYY-MM-DD", help="The day on which they left.")
@click.option("--years", type=int, help="Until all is paid; as long as the rule set allows if not given.")
@click.option(
    "--base-rate", metavar="PERCENT", help="The rate the rule set names, on that day; 0 where there is none."
)
@click.option(
    "--deduction", default="0", metavar="PERCENT", help="Kept back where a minimum stay was broken."
)
@click.option("--heirs", is_flag=True, help="It is paid to heirs.")
@ruled
@decided
@json_option
@data_option
def exit_(
    member: str, on: str, years: int | None, base_rate: str | None, deduction: str, heirs: bool,
    rule_set: str | None, set_off: bool, resolution: str, trial: bool, as_json: bool,
) -> None:  # fmt: skip
    """MEMBER left: their capital becomes a debt with a rate, an end and a schedule."""
    rate = None if base_rate is None else percent(base_rate, field="base rate")
    kept = percent(deduction, field="deduction")

    async def work(desk: Desk) -> Left:
        act = as_treasurer(f"turn the capital of a member who left into a debt, by resolution {resolution}")
        act.nothing = trial
        async with desk.acting("weir_office", act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            left_on = day(on, field="date")
            law = await law_of(connection, left_on, rule_set=rule_set)
            asked = Leaving(
                found.id, left_on, resolution, law.rules, years, rate, kept, heirs, set_off, law.first_month
            )
            return await leave(connection, asked, trial=trial, now_us=desk.now_us)

    _print_left(at_desk(work), trial=trial, as_json=as_json)


@click.command("estate")
@click.argument("member")
@click.option("--date", "on", required=True, metavar="YYYY-MM-DD", help="The day of death.")
@click.option("--method", required=True, type=click.Choice([one.value for one in EstateMethod]),
              help="Each year in full when its turn comes, or the present value now.")  # fmt: skip
@click.option(
    "--cycle", type=int, required=True, metavar="YEARS", help="After how many years lots are paid back."
)
@click.option(
    "--rate", default="0", metavar="PERCENT", help="What a year of waiting is worth, for the present value."
)
@ruled
@decided
@json_option
@data_option
def estate(
    member: str, on: str, method: str, cycle: int, rate: str, rule_set: str | None, set_off: bool,
    resolution: str, trial: bool, as_json: bool,
) -> None:  # fmt: skip
    """MEMBER died: pay the estate year by year in full, or its present value now."""
    discount = percent(rate, field="rate")
    if (EstateMethod(method) is EstateMethod.PRESENT) != (discount > 0):
        raise Refusal("rate: a present value, and only it, needs a rate above 0")

    async def work(desk: Desk) -> Left:
        act = as_treasurer(f"settle the estate of a member, by resolution {resolution}")
        act.nothing = trial
        async with desk.acting("weir_office", act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            died_on = day(on, field="date")
            law = await law_of(connection, died_on, rule_set=rule_set)
            asked = Estate(
                found.id, died_on, resolution, law.rules, EstateMethod(method), cycle, discount, set_off,
                law.first_month,
            )  # fmt: skip
            return await settle_estate(connection, asked, trial=trial, now_us=desk.now_us)

    _print_left(at_desk(work), trial=trial, as_json=as_json)


@click.command("due")
@click.option("--trial", is_flag=True, help="Show what would be done and post nothing.")
@json_option
@data_option
def due(trial: bool, as_json: bool) -> None:
    """Make payable every instalment of an exit or estate that fell due by today."""

    async def work(desk: Desk) -> tuple[str, dict[MemberId, str], list[Open]]:
        act = as_treasurer("make instalments payable that fell due")
        act.nothing = trial
        async with desk.acting("weir_office", act) as connection:
            names = {one.id: one.name for one in await members(connection)}
            currency = await book_currency(connection)
            with work_bar("instalments") as tell:
                return currency, names, await make_due(connection, trial=trial, now_us=desk.now_us, tell=tell)

    currency, names, found = at_desk(work)
    if as_json:
        print_json({"trial": trial, "currency": currency, "instalments": [
            {"exit": one.act, "member": one.member, "place": one.instalment.place,
             "due_on": str(one.instalment.due_on), "principal_minor": one.instalment.principal_minor,
             "interest_minor": one.instalment.interest_minor} for one in found]})  # fmt: skip
        return
    rows = [
        (one.act, names[one.member], one.instalment.due_on, format_number(one.instalment.principal_minor, currency),
         format_number(one.instalment.interest_minor, currency))
        for one in found
    ]  # fmt: skip
    print_table(
        ("exit", "member", "due", "principal", "interest"), rows, numbers=("exit", "principal", "interest")
    )
    say(NOTHING_POSTED if trial else f"{len(found)} instalments are payable now")


@click.command("request")
@click.argument("member")
@click.option("--date", "on", required=True, metavar="YYYY-MM-DD", help="For when they want to leave.")
@click.option("--why", default="", help="In their words.")
@data_option
def request(member: str, on: str, why: str) -> None:
    """MEMBER said that they will leave. Nothing is owed for that yet."""

    async def work(desk: Desk) -> str:
        act = as_treasurer("note that a member will leave")
        async with desk.acting("weir_office", act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            await ask(connection, found.id, wanted_on=day(on, field="date"), why=why, now_us=desk.now_us)
            return found.name

    say(
        f"noted: {at_desk(work)} will leave on {on}; on the day `weir member leave` enters it in "
        "the register, and `weir capital exit` makes their capital a debt"
    )


def _print_retired(found: Retired, names: dict[MemberId, str]) -> None:
    def amount(minor: int) -> str:
        return format_number(minor, found.currency)

    shown = list(found.lines.items())[:LINES_SHOWN_MAX]
    rows = [(names[lot.member], str(lot.year), lot.kind.value, amount(minor)) for lot, minor in shown]
    print_table(("member", "of", "kind", "paid back"), rows, numbers=("paid back",))
    if more := len(found.lines) - len(shown):
        say(f"… and {number_of(more, 'more line', 'more lines')}; --json has them all")
    say("")
    totals = [
        ("budget", amount(found.document["asked"]["budget_minor"])),
        ("paid back", amount(found.document["total_minor"])),
        ("left in lots, below the minimum", amount(found.document["carried_minor"])),
        ("set off against what is owed for use", amount(found.document["set_off_minor"])),
    ]
    print_table(("", found.currency), totals, numbers=(found.currency,))
    if found.before:
        say(f"this was carried out before as act {found.act}; nothing was posted now")
    elif found.act is None:
        say(NOTHING_POSTED)
    else:
        people = number_of(found.document["members"], "member", "members")
        say(f"act {found.act}: payable to {people}; it is not paid out yet")


def _print_left(found: Left, *, trial: bool, as_json: bool) -> None:
    schedule = [
        {"place": one.place, "due_on": str(one.due_on), "principal_minor": one.principal_minor,
         "interest_minor": one.interest_minor} for one in found.schedule
    ]  # fmt: skip
    if as_json:
        print_json(
            {**found.document, "trial": trial, "act": found.act, "before": found.before, "schedule": schedule}
        )
        return

    def amount(minor: int) -> str:
        return format_number(minor, found.currency)

    words = {
        "lots_minor": "capital in their name",
        "present_value_minor": "its present value",
        "discount_minor": "left to all members",
        "losses_minor": "less their share of losses",
        "deduction_minor": "less deduction",
        "set_off_minor": "less what they owe for use",
        "debt_minor": "to be paid",
    }
    rows = [(text, amount(found.document[name])) for name, text in words.items() if name in found.document]
    print_table(("", found.currency), rows, numbers=(found.currency,))
    if found.schedule:
        say("")
        print_table(
            ("due", "principal", "interest", "together"),
            [
                (one.due_on, amount(one.principal_minor), amount(one.interest_minor),
                 amount(one.principal_minor + one.interest_minor))
                for one in found.schedule
            ],
            numbers=("principal", "interest", "together"),
        )  # fmt: skip
    if found.before:
        say(f"this was booked before as act {found.act}; nothing was posted now")
    else:
        say(NOTHING_POSTED if found.act is None else f"booked as act {found.act}")
