"""weir capital unclaimed: money nobody fetched, where it went, and who proved later that it is theirs."""

from __future__ import annotations

import click

from billing.capital import unclaimed_run
from billing.capital.run import book_currency
from billing.capital.unclaimed import Unclaimed
from billing.capital.unclaimed_run import Picture
from billing.money import format_number
from billing.rules.afterwards import unclaimed_rule, unclaimed_rules
from deploy.commands.capital_acts import NOTHING_POSTED, decided
from deploy.commands.options import Command, data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.output import print_json, print_table, say
from deploy.progress import work_bar
from meter.ids import MemberId
from meter.store import find_member, members


def by_rule(command: Command) -> Command:
    """--rule."""
    return click.option(
        "--rule", default="held", show_default=True, type=click.Choice(unclaimed_rules()),
        help="How long money waits, and where it goes then.",
    )(command)  # fmt: skip


@click.group()
def unclaimed() -> None:
    """Money that was made payable and nobody fetched."""


@unclaimed.command("list")
@by_rule
@click.option("--search", default="", metavar="TEXT", help="Only members whose name holds this.")
@json_option
@data_option
def list_(rule: str, search: str, as_json: bool) -> None:
    """What waits too long by the rule, and what went elsewhere and may still be claimed."""

    async def work(desk: Desk) -> tuple[dict[MemberId, str], Picture]:
        async with desk.connected("weir_billing") as connection:
            names = {one.id: one.name for one in await members(connection)}
            return names, await unclaimed_run.picture(connection, rule, now_us=desk.now_us)

    names, found = at_desk(work)
    wanted = {number for number, name in names.items() if search.casefold() in name.casefold()}
    waits = [one for one in found.waits if one.member in wanted]
    gone = [one for one in found.forfeited if one.member in wanted]
    ordered = {member: amount for member, amount in found.ordered.items() if member in wanted}
    if as_json:
        print_json({
            "rule": rule, "source": unclaimed_rule(rule).source, "currency": found.currency,
            "unclaimed": [{"member": names[one.member], "since": str(one.since), "amount_minor": one.amount_minor,
                           "listed": one.listed, "reached": one.member not in found.lost} for one in waits],
            "forfeited": [{"act": one.act, "member": names[one.member], "since": str(one.since), "rule": one.rule,
                           "destination": one.destination, "amount_minor": one.amount_minor,
                           "claimed_minor": one.claimed_minor, "listed": one.listed} for one in gone],
            "ordered": [{"member": names[member], "amount_minor": amount} for member, amount in ordered.items()],
        })  # fmt: skip
        return
    say(f"waits for {unclaimed_rule(rule).years} years or longer ({unclaimed_rule(rule).source})")
    print_table(
        ("member", "since", "amount", "on the public list", "reached"),
        [(names[one.member], one.since, format_number(one.amount_minor, found.currency), _yes(one.listed),
          _yes(one.member not in found.lost)) for one in waits],
        numbers=("amount",),
    )  # fmt: skip
    say("")
    say("went elsewhere; whoever proves that it is theirs is paid, however late")
    print_table(
        ("member", "since", "amount", "claimed since", "on the public list", "went to"),
        [(names[one.member], one.since, format_number(one.amount_minor, found.currency),
          format_number(one.claimed_minor, found.currency), _yes(one.listed), one.destination) for one in gone],
        numbers=("amount", "claimed since"),
    )  # fmt: skip
    if ordered:
        say("")
        say(
            "waits at the bank, in a batch whose outcome is not told yet; it is counted as paid and not forfeited"
        )
        print_table(
            ("member", "amount"),
            [(names[member], format_number(amount, found.currency)) for member, amount in ordered.items()],
            numbers=("amount",),
        )


@unclaimed.command("mark")
@click.argument("member")
@click.option("--lost/--reached", default=True, help="They cannot be reached, or can be again.")
@click.option("--why", required=True, help="How you know, e.g. two letters came back.")
@data_option
def mark(member: str, lost: bool, why: str) -> None:
    """Note that MEMBER cannot be reached. What is theirs stays theirs."""

    async def work(desk: Desk) -> str:
        act = as_treasurer(f"note that a member {'cannot' if lost else 'can'} be reached")
        async with desk.acting("weir_office", act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            await unclaimed_run.mark(connection, found.id, reached=not lost, why=why, now_us=desk.now_us)
            return found.name

    say(f"{at_desk(work)} {'cannot be reached' if lost else 'can be reached again'}")


@unclaimed.command("forfeit")
@by_rule
@decided
@json_option
@data_option
def forfeit(rule: str, resolution: str, trial: bool, as_json: bool) -> None:
    """Move what waited for the rule's years to where the rule wants it."""

    async def work(desk: Desk) -> tuple[str, dict[MemberId, str], list[Unclaimed]]:
        act = as_treasurer(f"move unclaimed money by rule {rule} and resolution {resolution}")
        act.nothing = trial
        async with desk.acting("weir_office", act) as connection:
            names = {one.id: one.name for one in await members(connection)}
            currency = await book_currency(connection)
            with work_bar("forfeiting") as tell:
                found = await unclaimed_run.forfeit(
                    connection, rule, resolution, trial=trial, now_us=desk.now_us, tell=tell
                )
            return currency, names, found

    currency, names, found = at_desk(work)
    if as_json:
        print_json({"rule": rule, "trial": trial, "currency": currency, "forfeited": [
            {"member": names[one.member], "since": str(one.since), "amount_minor": one.amount_minor,
             "listed": one.listed} for one in found]})  # fmt: skip
        return
    rows = [(names[one.member], one.since, format_number(one.amount_minor, currency)) for one in found]
    print_table(("member", "since", "amount"), rows, numbers=("amount",))
    say(NOTHING_POSTED if trial else f"{len(found)} moved to {unclaimed_rule(rule).destination}")


@unclaimed.command("claim")
@click.argument("member")
@click.option("--amount", metavar="AMOUNT", help="All that was forfeited and not claimed if not given.")
@click.option("--evidence", required=True, help="How the claim was proved.")
@decided
@json_option
@data_option
def claim(
    member: str, amount: str | None, evidence: str, resolution: str, trial: bool, as_json: bool
) -> None:
    """MEMBER, or their heirs, proved that it is theirs: make it payable again. It is never too late."""

    async def work(desk: Desk) -> dict[str, object]:
        act = as_treasurer(f"make unclaimed money payable to its owner again, by resolution {resolution}")
        act.nothing = trial
        async with desk.acting("weir_office", act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            return await unclaimed_run.claim(
                connection, found.id, amount, resolution, evidence, trial=trial, now_us=desk.now_us
            )

    told = at_desk(work)
    if as_json:
        print_json({**told, "trial": trial})
        return
    minor, currency = told["amount_minor"], told["currency"]
    assert isinstance(minor, int)
    say(f"{format_number(minor, str(currency))} {currency} is payable to {member} again")
    if told["before"]:
        say(f"this was booked before as act {told['act']}; nothing was posted now")
    elif trial:
        say(NOTHING_POSTED)


def _yes(so: bool) -> str:
    return "yes" if so else "no"
