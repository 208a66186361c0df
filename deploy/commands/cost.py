"""weir cost: what the co-op itself was billed."""

from __future__ import annotations

import click

from billing.cost import Invoice
from billing.money import format_amount
from billing.run import add_cost, list_costs
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.instants import instant_text
from deploy.output import print_json, print_table, say
from meter.window import Month


def document(invoice: Invoice) -> dict[str, object]:
    """An invoice as JSON; the amount in minor units."""
    return {
        "number": invoice.number,
        "period": str(invoice.month),
        "pool": invoice.pool,
        "amount_minor": invoice.amount_minor,
        "currency": invoice.currency,
        "memo": invoice.memo,
        "booked": instant_text(invoice.booked_us),
    }


@click.group()
def cost() -> None:
    """Invoices the co-op received, booked to cost pools."""


@cost.command("add")
@click.option("--period", required=True, metavar="YYYY-MM", help="The month it belongs to.")
@click.option("--pool", required=True, help="Small letters, digits and '-': transit, power, disks.")
@click.option("--amount", required=True, help="In the co-op's currency, for example 412.00.")
@click.option("--memo", default="", help="What it was for.")
@json_option
@data_option
def add(period: str, pool: str, amount: str, memo: str, as_json: bool) -> None:
    """Book an invoice."""
    month = Month.parse(period)

    async def work(desk: Desk) -> Invoice:
        async with desk.connected("weir_billing") as connection:
            return await add_cost(
                connection, month=month, pool=pool, amount=amount, memo=memo, now_us=desk.now_us
            )

    booked = at_desk(work)
    if as_json:
        print_json(document(booked))
    else:
        amount_text = format_amount(booked.amount_minor, booked.currency)
        say(f"invoice {booked.number}: {amount_text} in pool {booked.pool} of {booked.month}")


@cost.command("list")
@click.option("--period", metavar="YYYY-MM", help="Only this month.")
@json_option
@data_option
def list_(period: str | None, as_json: bool) -> None:
    """All invoices, or those of one month."""
    month = None if period is None else Month.parse(period)

    async def work(desk: Desk) -> list[Invoice]:
        async with desk.connected("weir_billing") as connection:
            return list(await list_costs(connection, month))

    invoices = at_desk(work)
    if as_json:
        print_json({"invoices": [document(one) for one in invoices]})
    else:
        rows = [
            (one.number, one.month, one.pool, format_amount(one.amount_minor, one.currency), one.memo)
            for one in invoices
        ]
        print_table(("number", "period", "pool", "amount", "memo"), rows, numbers=("number", "amount"))
