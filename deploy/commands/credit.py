"""weir credit: amounts taken off a member's charge, by name and reason."""

from __future__ import annotations

import click

from billing.charges.rating import Credit
from billing.costs import store as cost_store
from billing.costs.costing import add_credit
from billing.money import format_amount
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.instants import instant_text
from deploy.output import print_json, print_table, say
from meter.store import find_member, members
from meter.window import Month


@click.group()
def credit() -> None:
    """Credits given to members."""


def _document(one: Credit) -> dict[str, object]:
    return {
        "number": one.number, "member": one.member, "period": str(one.month), "amount_minor": one.amount_minor,
        "currency": one.currency, "reason": one.reason, "given": instant_text(one.given_us),
    }  # fmt: skip


@credit.command("add")
@click.argument("member")
@click.option("--amount", required=True, help="In the co-op's currency, for example 5.00.")
@click.option("--reason", required=True, help="Stands on the statement.")
@click.option("--period", required=True, metavar="YYYY-MM", help="The month whose charge it is taken off.")
@json_option
@data_option
def add(member: str, amount: str, reason: str, period: str, as_json: bool) -> None:
    """Take an amount off MEMBER's charge of a month that is open."""
    month = Month.parse(period)

    async def work(desk: Desk) -> tuple[str, Credit]:
        act = as_treasurer(f"give a member a credit in {month}", detail=f"{amount}: {reason}")
        async with desk.acting("weir_office", act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            given = await add_credit(
                connection, member=found.id, month=month, amount=amount, reason=reason, now_us=desk.now_us
            )
        return found.name, given

    name, given = at_desk(work)
    if as_json:
        print_json(_document(given))
    else:
        say(
            f"credit {given.number}: {format_amount(given.amount_minor, given.currency)} to {name} in {given.month}"
        )


@credit.command("list")
@click.option("--period", metavar="YYYY-MM", help="Only this month.")
@json_option
@data_option
def list_(period: str | None, as_json: bool) -> None:
    """All credits, or those of one month."""
    month = None if period is None else Month.parse(period)

    async def work(desk: Desk) -> tuple[list[Credit], dict[int, str]]:
        async with desk.connected("weir_billing") as connection:
            names = {int(one.id): one.name for one in await members(connection)}
            return await cost_store.credits_of(connection, month), names

    found, names = at_desk(work)
    if as_json:
        print_json({"credits": [_document(one) for one in found]})
        return
    rows = [
        (one.number, one.month, names[one.member], format_amount(one.amount_minor, one.currency), one.reason)
        for one in found
    ]
    print_table(("number", "period", "member", "amount", "reason"), rows, numbers=("number", "amount"))
