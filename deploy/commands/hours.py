"""weir hours: what workers worked, month by month, with the factor that was published for it."""

from __future__ import annotations

import getpass
from dataclasses import replace

import asyncpg
import click

from billing.governance import store as governance_store
from billing.governance.decisions import Hours, current_hours
from billing.governance.decisions import hours as read_hours
from billing.money import format_decimal
from billing.register import store as register_store
from billing.register.year import members_of_year
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.output import print_json, print_table, say
from meter.refusal import Refusal
from meter.store import find_member
from meter.usage import MemberClass
from meter.window import Month


@click.group()
def hours() -> None:
    """Hours of worker members; by them the workers' part of a surplus is shared."""


@hours.command("add")
@click.argument("member")
@click.option("--period", required=True, metavar="YYYY-MM", help="The month they were worked in.")
@click.option(
    "--hours", "worked", required=True, metavar="HOURS", help="For example 120.5; three decimals are exact."
)
@click.option("--factor", default="1", show_default=True, help="The published factor.")
@click.option("--corrects", type=int, metavar="NUMBER", help="The figure it takes the place of.")
@click.option("--memo", default="", help="Anything to remember.")
@json_option
@data_option
def add(
    member: str, period: str, worked: str, factor: str, corrects: int | None, memo: str, as_json: bool
) -> None:
    """MEMBER worked so long in a month; one figure a month, and a later one names the one it takes the place of."""
    month = Month.parse(period)

    async def work(desk: Desk) -> Hours:
        act = as_treasurer(f"enter hours of a member in {month}")
        async with desk.acting("weir_office", act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            asked = read_hours(
                member=found.id, month=month, worked=worked, factor=factor, corrects=corrects, memo=memo,
                who=getpass.getuser(), recorded_us=desk.now_us,
            )  # fmt: skip
            if month.start_us > desk.now_us:
                raise Refusal(f"period: {month} has not begun yet")
            steps = await register_store.operations(connection, members=[found.id])
            there = next((one for one in members_of_year(steps, month) if one.member == found.id), None)
            if there is None or MemberClass.WORKER not in there.classes_in(month):
                raise Refusal(f"{found.name} is no worker in {month}; `weir register class` makes one")
            known = await governance_store.hours(connection, month, month)
            stands = next((one for one in current_hours(known) if one.member == found.id), None)
            if (None if stands is None else stands.number) != corrects:
                raise Refusal(_instead(found.name, month, stands))
            try:
                return replace(asked, number=await governance_store.insert_hours(connection, asked))
            except asyncpg.UniqueViolationError:
                raise Refusal("somebody else entered a figure for that month just now; look again") from None

    entered = at_desk(work)
    if as_json:
        print_json(document(entered))
    else:
        say(f"entered as figure {entered.number}: {_text(entered)} in {entered.month}")


def _instead(name: str, month: Month, stands: Hours | None) -> str:
    if stands is None:
        return f"corrects: there is no figure of {name} in {month} to take the place of"
    return f"corrects: figure {stands.number} of {name} in {month} says {_text(stands)}; name it to take its place"


@hours.command("list")
@click.option("--period", metavar="YYYY-MM", help="Only this month.")
@click.option("--year", type=int, help="Only this calendar year.")
@click.option("--all", "every", is_flag=True, help="Also figures that a later one took the place of.")
@json_option
@data_option
def list_(period: str | None, year: int | None, every: bool, as_json: bool) -> None:
    """Hours by month and member."""
    first, last = Month(2000, 1), Month(9998, 12)
    if year is not None:
        first, last = Month.parse(f"{year}-01"), Month.parse(f"{year}-12")
    if period is not None:
        first = last = Month.parse(period)

    async def work(desk: Desk) -> list[Hours]:
        async with desk.connected("weir_billing") as connection:
            found = await governance_store.hours(connection, first, last)
            return found if every else current_hours(found)

    found = at_desk(work)
    if as_json:
        print_json({"hours": [document(one) for one in found]})
    else:
        rows = [(one.number, one.month, one.member, _text(one), one.corrects, one.memo) for one in found]
        columns = ("number", "period", "member", "hours", "corrects", "memo")
        print_table(columns, rows, numbers=("number", "member", "hours", "corrects"))


def _text(one: Hours) -> str:
    worked = format_decimal(one.thousandths, 3).rstrip("0").rstrip(".")
    factor = format_decimal(one.factor_thousandths, 3).rstrip("0").rstrip(".")
    return f"{worked} h" if factor == "1" else f"{worked} h × {factor}"


def document(one: Hours) -> dict[str, object]:
    """A figure as JSON, in thousandths."""
    return {
        "number": one.number,
        "member": int(one.member),
        "period": str(one.month),
        "thousandths": one.thousandths,
        "factor_thousandths": one.factor_thousandths,
        "corrects": one.corrects,
        "memo": one.memo,
        "who": one.who,
    }
