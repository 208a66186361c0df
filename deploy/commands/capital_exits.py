"""weir capital exits: everybody who asked to leave or left, and how far they are paid. It books nothing."""

from __future__ import annotations

import click

from billing.capital.exit_standing import Standing, standings
from billing.capital.exits import ExitState
from billing.capital.store import Debt
from billing.money import format_number
from billing.store import book_currency
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.output import print_json, print_table, say
from meter.ids import MemberId
from meter.store import members


@click.command("exits")
@json_option
@data_option
def exits(as_json: bool) -> None:
    """Everybody who asked to leave or left, and how far they are paid."""

    async def work(desk: Desk) -> tuple[str | None, dict[MemberId, str], list[Standing]]:
        async with desk.connected("weir_billing") as connection:
            names = {one.id: one.name for one in await members(connection)}
            return await book_currency(connection), names, await standings(connection)

    currency, names, found = at_desk(work)

    def amount(minor: int) -> str:
        """Before there is a currency, nobody can be owed anything."""
        return "" if currency is None else format_number(minor, currency)

    if as_json:
        print_json({"currency": currency, "exits": [_standing(one) for one in found]})
        return
    rows = [
        (
            names[one.member],
            one.state.value,
            one.debts[-1].left_on if one.debts else one.left_on or one.wanted_on,
            amount(one.owed_minor),
            amount(one.payable_minor),
            f"{sum(debt.due for debt in one.debts)} of {sum(debt.instalments for debt in one.debts)}"
            if one.debts
            else "",
            min((debt.next_on for debt in one.debts if debt.next_on), default=None),
            max((debt.ends_on for debt in one.debts if debt.ends_on), default=None),
            amount(one.came_since_minor) if one.came_since_minor else "",
            amount(one.shares_minor) if one.shares_minor else "",
        )
        for one in found
    ]
    columns = (
        "member", "state", "day", "owed", "payable", "made payable", "next", "last", "came since", "paid shares",
    )  # fmt: skip
    print_table(columns, rows, numbers=("owed", "payable", "came since", "paid shares"))
    _say_what_follows(found)


def _say_what_follows(found: list[Standing]) -> None:
    """What somebody has still to decide, and with which command."""
    if any(one.came_since_minor for one in found):
        say(
            "came since: kept in their name by a closing after they left; `weir capital exit` or `estate` with the same "
            "day and a resolution of its own makes it a debt too"
        )
    if any(one.state is ExitState.LEFT and one.lots_minor for one in found):
        say("left: of some the capital is still in their name; `weir capital exit` makes it a debt")
    if any(one.shares_minor for one in found):
        say("paid shares: not redeemed; they stay shares until `weir share redeem --owed` makes them payable")


def _standing(one: Standing) -> dict[str, object]:
    booked = [_debt(debt) for debt in one.debts]
    return {
        "member": one.member,
        "state": one.state.value,
        "wanted_on": None if one.wanted_on is None else str(one.wanted_on),
        "left_on": None if one.left_on is None else str(one.left_on),
        "owed_minor": one.owed_minor,
        "payable_minor": one.payable_minor,
        "came_since_minor": one.came_since_minor,
        "lots_minor": one.lots_minor,
        "shares_minor": one.shares_minor,
        "exit": booked[-1] if booked else None,
        "exits": booked,
    }


def _debt(owed: Debt) -> dict[str, object]:
    return {
        "act": owed.act,
        "kind": owed.kind,
        "resolution": owed.resolution,
        "left_on": str(owed.left_on),
        "principal_minor": owed.principal_minor,
        "to_pay_minor": owed.to_pay_minor,
        "rate": f"{owed.rate.numerator}/{owed.rate.denominator}",
        "instalments": owed.instalments,
        "made_payable": owed.due,
        "next_on": None if owed.next_on is None else str(owed.next_on),
        "ends_on": None if owed.ends_on is None else str(owed.ends_on),
    }
