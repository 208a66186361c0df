"""weir capital: what the co-op keeps in its members' names, how long, and by when what must be done."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import click

from billing.capital.deadlines import Deadline, deadlines, month_end
from billing.capital.lots import LotAccount, by_year, capital_accounts, debt, percent
from billing.capital.revolving import Back, percent_text, return_needed, when_back, years_until_back
from billing.capital.run import book_currency, capital_changes
from billing.capital.store import account_balances, debts, lot_balances
from billing.ledger.entry import payable
from billing.money import format_number, parse_amount, scale_down
from billing.rules.afterwards import afterwards, rule_sets
from deploy.commands.capital_acts import carry_over, day, due, estate, exit_, request, retire
from deploy.commands.capital_exits import exits
from deploy.commands.notice import notice
from deploy.commands.options import data_option, json_option
from deploy.commands.unclaimed import unclaimed
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.output import print_json, print_table, say
from meter.refusal import Refusal
from meter.store import find_member
from meter.window import Month

BAR_CHARACTERS = 40
TABLE_CASH = ("20", "30", "40")
TABLE_YEARS = (20, 15, 10, 5)
AMOUNTS = ("opening", "added", "retired", "lost", "interest", "corrected", "balance")


@click.group()
def capital() -> None:
    """What is kept in members' names: shown, planned, paid back. Allocated is not paid."""


for _command in (carry_over, retire, exit_, estate, due, request, exits, unclaimed, notice):
    capital.add_command(_command)


@capital.command("show")
@click.argument("member", required=False)
@click.option("--all", "everybody", is_flag=True, help="All members together, by year.")
@click.option("--from", "start", metavar="YYYY-MM", help="The first month; from the beginning if not given.")
@click.option("--to", "until", metavar="YYYY-MM", help="The last month; this month if not given.")
@json_option
@data_option
def show(member: str | None, everybody: bool, start: str | None, until: str | None, as_json: bool) -> None:
    """MEMBER's capital account lot by lot, or with --all everybody's by year."""
    if everybody == (member is not None):
        raise Refusal("name a member, or ask for --all")
    first = None if start is None else Month.parse(start)

    async def work(desk: Desk) -> tuple[str, str, tuple[LotAccount, ...], dict[str, int]]:
        last = Month.of(desk.now_us) if until is None else Month.parse(until)
        async with desk.connected("weir_billing") as connection:
            currency = await book_currency(connection)
            if member is None:
                changes = await capital_changes(connection)
                return "", currency, capital_accounts(changes, start=first, until=last), {}
            found = await find_member(connection, member)
            changes = await capital_changes(connection, found.id)
            waits = await account_balances(connection, payable(found.id))
            owed = await account_balances(connection, debt(found.id))
            await desk.note(
                "weir_billing", as_treasurer("look at a member's capital account", subject=found.id)
            )
            booked = await debts(connection, found.id)
            besides = {"payable_minor": -sum(waits.values()), "debt_minor": -sum(owed.values())}
            besides["exits"] = len(booked)
            return found.name, currency, capital_accounts(changes, start=first, until=last), besides

    name, currency, accounts, besides = at_desk(work)
    if as_json:
        print_json({"member": name or None, "currency": currency, "lots": [_lot(one) for one in accounts],
                    "total_minor": sum(one.closing_minor for one in accounts), **besides})  # fmt: skip
    elif everybody:
        _print_years(accounts, currency)
    else:
        _print_lots(accounts, currency)
        say("")
        say(
            f"in your name, not paid   {format_number(sum(a.closing_minor for a in accounts), currency)} {currency}"
        )
        say(f"waits to be paid         {format_number(besides['payable_minor'], currency)} {currency}")
        say(f"owed by a schedule       {format_number(besides['debt_minor'], currency)} {currency}")
        if besides["exits"] and any(one.closing_minor for one in accounts):
            say(
                "they left, and what is in their name came since: `weir capital exit` or `estate` with the same day and "
                "a resolution of its own makes it a debt too"
            )


@capital.command("plan")
@click.option(
    "--growth", default="5", show_default=True, metavar="PERCENT", help="Growth of the co-op a year."
)
@click.option(
    "--cash", multiple=True, metavar="PERCENT", help="Part paid in cash at once; may be given often."
)
@click.option("--years", multiple=True, type=int, help="Years until lots come back; may be given often.")
@click.option(
    "--return", "earned", metavar="PERCENT", help="Return on equity: after how many years do lots come back?"
)
@click.option(
    "--budget", metavar="AMOUNT", help="A year's budget: when is each year of the ledger paid back?"
)
@json_option
@data_option
def plan(
    growth: str,
    cash: tuple[str, ...],
    years: tuple[int, ...],
    earned: str | None,
    budget: str | None,
    as_json: bool,
) -> None:
    """What if: how long until lots come back, and what the co-op must earn for that."""
    if budget is not None:
        _plan_budget(budget, as_json=as_json)
        return
    grows = percent(growth, field="growth")
    parts = [(text, percent(text, field="cash")) for text in cash or TABLE_CASH]
    if earned is not None:
        _plan_return(grows, parts, percent(earned, field="return", above_hundred=True), as_json=as_json)
        return
    rows = [
        (text, part, year, return_needed(grows, part, year))
        for text, part in parts
        for year in years or TABLE_YEARS
    ]
    if as_json:
        print_json({"growth": _exact(grows), "plans": [
            {"cash": _exact(part), "years": year, "return": _exact(rate), "return_percent": percent_text(rate)}
            for _, part, year, rate in rows]})  # fmt: skip
        return
    say(f"return on equity needed with {growth} % growth a year")
    largest = max(rate for *_, rate in rows)
    print_table(
        ("cash %", "years", "return %", ""),
        [(text, year, percent_text(rate), _bar(rate, largest)) for text, _, year, rate in rows],
        numbers=("cash %", "years", "return %"),
    )


@capital.command("deadlines")
@click.argument("year", type=click.IntRange(1900, 9000))
@click.option("--rule-set", required=True, metavar="ID", help="us-subchapter-t, us-selc, es, …")
@click.option("--ends", metavar="MM", type=click.IntRange(1, 12), default=12, show_default=True,
              help="The month with which the fiscal year ends.")  # fmt: skip
@click.option("--approved", metavar="YYYY-MM-DD", help="The day on which the members approved the accounts.")
@json_option
@data_option
def deadlines_(year: int, rule_set: str, ends: int, approved: str | None, as_json: bool) -> None:
    """By when what must be done after the fiscal year that ends in YEAR."""
    if rule_set not in rule_sets():
        raise Refusal(f"rule set: '{rule_set[:40]}' is not one of {', '.join(rule_sets())}")
    end = month_end(year, ends)
    on = None if approved is None else day(approved, field="approved")
    found = deadlines(afterwards(rule_set), year_end=end, approved_on=on)
    if as_json:
        print_json({"rule_set": rule_set, "rules": afterwards(rule_set).version, "fiscal_year_end": str(end),
                    "deadlines": [_deadline(one) for one in found]})  # fmt: skip
    elif not found:
        say(f"the rule set {rule_set} names no deadline; your by-laws may")
    else:
        say(f"after the fiscal year that ends on {end}")
        print_table(
            ("last day", "what", "", "source"),
            [(one.due_on or f"counts from: {one.after}", one.name, one.what, one.source) for one in found],
        )


def _plan_return(
    growth: Fraction, parts: Sequence[tuple[str, Fraction]], earned: Fraction, *, as_json: bool
) -> None:
    rows = [(text, part, years_until_back(growth, part, earned)) for text, part in parts]
    if as_json:
        print_json({"growth": _exact(growth), "return": _exact(earned),
                    "plans": [{"cash": _exact(part), "years": years} for _, part, years in rows]})  # fmt: skip
        return
    table = [
        (text, "never at this return" if years is None else years, "█" * (years or 0))
        for text, _, years in rows
    ]
    print_table(("cash %", "years until back", ""), table, numbers=("cash %", "years until back"))


def _plan_budget(budget: str, *, as_json: bool) -> None:
    async def work(desk: Desk) -> tuple[str, tuple[Back, ...]]:
        async with desk.connected("weir_billing") as connection:
            currency = await book_currency(connection)
            balances = by_year(await lot_balances(connection))
        return currency, when_back(balances, budget_minor=parse_amount(budget, currency, field="budget"))

    currency, found = at_desk(work)
    if as_json:
        print_json({"currency": currency, "years": [
            {"year": one.year, "balance_minor": one.balance_minor, "budgets": one.waits_years} for one in found]})  # fmt: skip
        return
    say("oldest first, the same budget every year, nothing new added")
    rows = [
        (str(one.year), format_number(one.balance_minor, currency),
         "later than we look" if one.waits_years is None else one.waits_years, "█" * (one.waits_years or 0))
        for one in found
    ]  # fmt: skip
    print_table(
        ("of", "in names", "paid back with budget", ""), rows, numbers=("in names", "paid back with budget")
    )


def _lot(one: LotAccount) -> dict[str, object]:
    return {
        "member": one.lot.member, "year": one.lot.year, "kind": one.lot.kind.value,
        "opening_minor": one.opening_minor, "added_minor": one.added_minor, "retired_minor": one.retired_minor,
        "lost_minor": one.lost_minor, "interest_minor": one.interest_minor,
        "corrected_minor": one.corrected_minor, "balance_minor": one.closing_minor,
    }  # fmt: skip


def _amounts(accounts: Sequence[LotAccount], currency: str) -> list[str]:
    return [
        format_number(sum(getattr(one, f"{name}_minor") for one in accounts), currency)
        for name in (*AMOUNTS[:-1], "closing")
    ]


def _print_lots(accounts: Sequence[LotAccount], currency: str) -> None:
    rows = [(str(one.lot.year), one.lot.kind.value, *_amounts([one], currency)) for one in accounts]
    print_table(("of", "kind", *AMOUNTS), rows, numbers=AMOUNTS)


def _print_years(accounts: Sequence[LotAccount], currency: str) -> None:
    years: dict[int, list[LotAccount]] = {}
    for one in accounts:
        years.setdefault(one.lot.year, []).append(one)
    largest = max((sum(a.closing_minor for a in lots) for lots in years.values()), default=0)
    rows = [
        (
            str(year),
            len({one.lot.member for one in lots}),
            *_amounts(lots, currency),
            "█" * scale_down(sum(one.closing_minor for one in lots), of=largest, to=BAR_CHARACTERS),
        )
        for year, lots in sorted(years.items())
    ]
    print_table(("of", "members", *AMOUNTS, ""), rows, numbers=("members", *AMOUNTS))
    say(
        f"in members' names, not paid: {format_number(sum(a.closing_minor for a in accounts), currency)} {currency}"
    )


def _deadline(one: Deadline) -> dict[str, object]:
    return {"name": one.name, "what": one.what, "due_on": None if one.due_on is None else str(one.due_on),
            "counts_from": one.after or "fiscal year end", "source": one.source}  # fmt: skip


def _exact(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"


def _bar(rate: Fraction, largest: Fraction) -> str:
    scale = rate.denominator * largest.denominator
    return "█" * scale_down(int(rate * scale), of=int(largest * scale), to=BAR_CHARACTERS)
