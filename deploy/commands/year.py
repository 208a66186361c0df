"""weir year: the fiscal year's closing, as often as you like for trial, once for good."""

from __future__ import annotations

from typing import Any

import click

from billing import store, year_run
from billing.money import format_amount
from billing.year.fiscal import parse_year
from billing.year_allocations import allocations
from billing.year_gather import Options
from billing.year_run import YearDone
from billing.year_statement import FINAL
from billing.year_typed import typed_options
from deploy.commands.bill import ship_all, sign_heads
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.output import number_of, print_json, print_table, say
from deploy.progress import bar
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import count_members

TABLE_ROWS_MAX = 1000


@click.group()
def year() -> None:
    """Close a fiscal year: its surplus to the members, by the rules they chose."""


def decided(command: Any) -> Any:
    """Options that say what was decided for the one year."""
    for option in (
        click.option("--put-aside", multiple=True, metavar="ACCOUNT=AMOUNT",
                     help="reserve:voluntary=100.00, fund:education=50.00; once for each."),
        click.option("--set-off", is_flag=True, help="Take what members owe off what they are paid."),
        click.option("--withhold", is_flag=True, help="Withhold tax as the rule set says, from everybody."),
        click.option("--reference-rate", metavar="RATE",
                     help="The published rate that the rule set's cap on interest builds on, like 0.03."),
    ):  # fmt: skip
        command = option(command)
    return command


@year.command("trial")
@click.argument("number", metavar="YYYY")
@decided
@json_option
@data_option
def trial(
    number: str, put_aside: tuple[str, ...], set_off: bool, withhold: bool, reference_rate: str | None, as_json: bool
) -> None:  # fmt: skip
    """What closing the year would give as it stands, changing nothing."""
    wanted = parse_year(number)

    async def work(desk: Desk) -> YearDone:
        await ship_all(desk)
        async with desk.connected("weir_billing") as connection:
            options = await _options(connection, put_aside, set_off, withhold, reference_rate)
            return await year_run.trial(connection, wanted, options, now_us=desk.now_us)

    _show(at_desk(work), as_json=as_json)


@year.command("close")
@click.argument("number", metavar="YYYY")
@click.option("--resolution", required=True, metavar="ID", help="Which decided it: `weir resolution list`.")
@decided
@json_option
@data_option
def close(
    number: str, resolution: str, put_aside: tuple[str, ...], set_off: bool, withhold: bool,
    reference_rate: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Close the year for good, by a resolution; afterwards there are only reversing entries."""
    wanted = parse_year(number)

    async def work(desk: Desk) -> YearDone:
        await ship_all(desk)
        async with desk.acting(
            "weir_office", as_treasurer(f"close the fiscal year {wanted} by resolution {resolution}")
        ) as connection:
            options = await _options(connection, put_aside, set_off, withhold, reference_rate)
            total = await count_members(connection)
            with bar(f"closing {wanted}, members", total=total) as progress:
                done = await year_run.close(
                    connection, wanted, options, resolution=resolution, now_us=desk.now_us, progress=progress
                )
        await sign_heads(desk)
        return done

    _show(at_desk(work), as_json=as_json)


@year.command("show")
@click.argument("number", metavar="YYYY")
@click.option(
    "--allocations", "whole", is_flag=True, help="As JSON, with every share: for `weir capital notice make`."
)
@json_option
@data_option
def show(number: str, whole: bool, as_json: bool) -> None:
    """The page of a closed year."""
    wanted = parse_year(number)

    async def work(desk: Desk) -> tuple[YearDone, list[dict[str, Any]]]:
        async with desk.connected("weir_billing") as connection:
            done = await year_run.trial(connection, wanted, now_us=desk.now_us)
            if done.kind != FINAL:
                raise Refusal(
                    f"the fiscal year {wanted} is open; `weir year trial {wanted}` shows how it stands"
                )
            return done, await allocations(connection, wanted, done.page["currency"]) if whole else []

    done, shares = at_desk(work)
    if whole:
        print_json({"kind": done.kind, **done.page, "year": wanted, "allocations": shares})
    else:
        _show(done, as_json=as_json)


async def _options(
    connection: Connection, put_aside: tuple[str, ...], set_off: bool, withhold: bool, reference_rate: str | None
) -> Options:  # fmt: skip
    currency = await store.book_currency(connection)
    if currency is None:
        raise Refusal("there is no tariff yet, and so no currency; set one with `weir tariff set FILE`")
    return typed_options(
        currency, put_aside=put_aside, set_off=set_off, withhold=withhold, reference_rate=reference_rate
    )


def _show(done: YearDone, *, as_json: bool) -> None:
    page = done.page
    if as_json:
        members = [
            {"id": name, "number": number, "amount_minor": amount} for number, name, amount in done.shares()
        ]
        print_json(
            {
                "kind": done.kind,
                "warnings": done.warnings(),
                **page,
                **({"members": members} if members else {}),
            }
        )
        return
    currency = page["currency"]
    for warning in done.warnings():
        say(f"warning: {warning}")
    months = f"{page['first_month']} to {page['last_month']}"
    say(f"the fiscal year {page['fiscal_year']}, {months}, {done.kind}, by the rules {page['rule_set']}")
    # In the order of members' numbers.
    shared = [] if done.closing is None else list(enumerate(done.closing.settlements))
    if shared:
        most = sorted(shared, key=lambda one: (-abs(one[1].amount_minor), one[0]))[:TABLE_ROWS_MAX]
        rows = [
            (
                own.id,
                *(
                    format_amount(one, currency)
                    for one in (own.amount_minor, own.cash_minor, own.retained_minor)
                ),
            )
            for _, own in sorted(most)
        ]
        print_table(("member", "share", "in cash", "kept"), rows, numbers=("share", "in cash", "kept"))
        if len(shared) > len(most):
            say(
                f"and {number_of(len(shared) - len(most), 'member', 'members')} with less; --json has them all"
            )
        say("")
    print_table(
        ("step", "how", "amount"),
        [(step["name"], step["formula"], step["amount"]) for step in page["steps"]],
        numbers=("amount",),
    )
    say("")
    for check in page["checks"]:
        word = "agrees" if check["agree"] else "DIFFERS"
        say(f"{word}  {check['name']}: {check['left']} = {check['right']}")
    say(f"digest {page['digest']}")
