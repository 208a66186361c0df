"""weir trueup: what members were charged adjusted to what they cost, where a contract promises it."""

from __future__ import annotations

import click

from billing.costs.costing import tariff_in_force
from billing.costs.run import Trueup, post_trueup, trueups
from billing.money import format_amount
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.output import print_json, print_table, say
from meter.window import Month


@click.command()
@click.argument("month", metavar="YYYY-MM")
@click.option("--post", is_flag=True, help="Book it, once, into the first open month.")
@json_option
@data_option
def trueup(month: str, post: bool, as_json: bool) -> None:
    """Charged less cost of each member in a closed month; with --post it is booked.

    It is an adjustment of prices by contract, whether there is a surplus or not, and never patronage.
    """
    wanted = Month.parse(month)

    async def work(desk: Desk) -> tuple[Month | None, list[Trueup], str]:
        act = as_treasurer(f"adjust the prices of {wanted} to what it cost")
        act.nothing = not post
        async with desk.acting("weir_office", act) as connection:
            currency = (await tariff_in_force(connection, wanted)).currency
            if post:
                booked, found = await post_trueup(connection, wanted, now_us=desk.now_us)
                return booked, found, currency
            return None, await trueups(connection, wanted, now_us=desk.now_us), currency

    booked, found, currency = at_desk(work)
    if as_json:
        print_json(
            {
                "month": str(wanted),
                "booked": None if booked is None else str(booked),
                "currency": currency,
                "members": [
                    {"member": one.member, "name": one.name, "charged_minor": one.charged_minor,
                     "cost_minor": one.cost_minor, "difference_minor": one.difference_minor}
                    for one in found
                ],
            }
        )  # fmt: skip
        return
    rows = [
        (one.name, *(format_amount(minor, currency) for minor in (one.charged_minor, one.cost_minor, one.difference_minor)))
        for one in found
    ]  # fmt: skip
    print_table(("member", "charged", "cost", "comes back"), rows, numbers=("charged", "cost", "comes back"))
    if booked is not None:
        say(f"booked into {booked}, to adjustment:trueup")
