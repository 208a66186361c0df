"""weir income: money that came in and is no charge for the service."""

from __future__ import annotations

import click

from billing.costs import store as cost_store
from billing.costs.costing import add_income, tariff_in_force
from billing.costs.entries import IncomeKind
from billing.money import format_amount
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.output import print_json, print_table, say
from meter.store import find_member
from meter.window import Month

Row = tuple[int, Month, str, int, str]


@click.group()
def income() -> None:
    """Side income: interest, grants, gains. It stands apart until the year is closed."""


@income.command("add")
@click.option("--period", required=True, metavar="YYYY-MM", help="The month it belongs to.")
@click.option("--kind", required=True, help=f"One of {', '.join(one.value for one in IncomeKind)}.")
@click.option("--amount", required=True, help="In the co-op's currency, for example 20.00.")
@click.option("--memo", default="", help="What it was.")
@click.option("--member", help="Who owes it; without, it is in the bank.")
@json_option
@data_option
def add(period: str, kind: str, amount: str, memo: str, member: str | None, as_json: bool) -> None:
    """Book income that is no charge for the service."""
    month = Month.parse(period)

    async def work(desk: Desk) -> tuple[int, str]:
        act = as_treasurer(f"book side income ({kind}) in {month}", detail=f"{amount} {memo}")
        async with desk.acting("weir_office", act) as connection:
            owed_by = None if member is None else (await find_member(connection, member)).id
            act.subject = owed_by
            booked = await add_income(
                connection,
                month=month,
                kind=kind,
                amount=amount,
                memo=memo,
                owed_by=owed_by,
                now_us=desk.now_us,
            )
            return booked, (await tariff_in_force(connection, month)).currency

    amount_minor, currency = at_desk(work)
    if as_json:
        print_json(
            {
                "period": str(month),
                "kind": kind,
                "amount_minor": amount_minor,
                "currency": currency,
                "memo": memo,
            }
        )
    else:
        say(f"{kind} of {month}: {format_amount(amount_minor, currency)}")


@income.command("list")
@click.option("--period", metavar="YYYY-MM", help="Only this month.")
@json_option
@data_option
def list_(period: str | None, as_json: bool) -> None:
    """All side income, or that of one month."""
    month = None if period is None else Month.parse(period)

    async def work(desk: Desk) -> tuple[list[Row], str]:
        async with desk.connected("weir_billing") as connection:
            currency = (await tariff_in_force(connection, Month.of(desk.now_us))).currency
            return await cost_store.incomes(connection, month), currency

    found, currency = at_desk(work)
    if as_json:
        print_json(
            {"currency": currency,
             "income": [{"entry": entry, "period": str(of), "kind": kind, "amount_minor": amount, "memo": memo}
                        for entry, of, kind, amount, memo in found]}
        )  # fmt: skip
        return
    rows = [
        (entry, of, kind, format_amount(amount, currency), memo) for entry, of, kind, amount, memo in found
    ]
    print_table(("entry", "period", "kind", "amount", "memo"), rows, numbers=("entry", "amount"))
