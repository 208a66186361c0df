"""weir bill, statement, verify: a month's closing and what each member is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import click

from billing import run
from billing.closing import Closing
from billing.money import format_amount
from billing.render import statement_text
from billing.run import Verification
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk, ship_up_to_now
from deploy.output import print_json, print_table, say
from meter.daily import make_due_heads
from meter.ids import MemberId
from meter.postgres import Connection
from meter.recount import recount
from meter.refusal import Refusal
from meter.retention import beginnings
from meter.signing import KeyLost
from meter.store import displaced, find_member, stream_places, watermarks
from meter.usage import Usage
from meter.window import Month

DISAGREES = 1
"""Exit status of `weir verify` when the raw segments tell another story than the statement."""


@click.group()
def bill() -> None:
    """Close a month: as often as you like for trial, once for good."""


@bill.command("trial")
@click.argument("month", metavar="YYYY-MM")
@json_option
@data_option
def trial(month: str, as_json: bool) -> None:
    """What closing the month would give, changing nothing."""
    _close(month, run.trial, as_json=as_json, word="trial")


@bill.command("close")
@click.argument("month", metavar="YYYY-MM")
@json_option
@data_option
def close(month: str, as_json: bool) -> None:
    """Close the month for good and make everyone's statement."""
    _close(month, run.close, as_json=as_json, word="final")


def _close(text: str, closing: Callable[..., Awaitable[Closing]], *, as_json: bool, word: str) -> None:
    month = Month.parse(text)

    async def work(desk: Desk) -> Closing:
        await ship_all(desk)
        async with desk.connected("weir_billing") as connection:
            done = await closing(connection, month, now_us=desk.now_us)
        if closing is run.close:
            await sign_heads(desk)
        return done

    done = at_desk(work)
    if as_json:
        print_json({"kind": word, **done.to_document()})
    else:
        print_closing(done, word=word)


async def ship_all(desk: Desk) -> None:
    """Bring everything the journals hold into the sums. Raises Refusal when some is left."""
    left = await ship_up_to_now(desk)
    if left:
        # A bill on part of the usage would be a wrong bill.
        raise Refusal(f"{left} events are still in the journal and not in the sums; try again in a moment")


async def sign_heads(desk: Desk) -> None:
    """Sign a head for what was just closed. Without a key the closing stands, and its head comes later."""
    async with desk.connected("weir_meter") as connection:
        try:
            await make_due_heads(
                connection, desk.meter.model_copy(update={"data": desk.data}), now_us=desk.now_us
            )
        except KeyLost as lost:
            click.echo(f"weir: the month is closed and not signed yet: {lost}", err=True)


def print_closing(closing: Closing, *, word: str) -> None:
    """A closing for people."""

    def amount(minor: int) -> str:
        return format_amount(minor, closing.currency)

    names = {member.id: member.name for member in closing.inputs.members}
    shares = {one.member: one.amount_minor for one in closing.patronage.allocations}
    say(f"{closing.inputs.month}, {word}")
    print_table(
        ("member", "charged", "share of surplus"),
        [
            (names[one.member], amount(one.amount_minor), amount(shares.get(one.member, 0)))
            for one in closing.charges
        ],
        numbers=("charged", "share of surplus"),
    )
    say("")
    totals = [("charges", amount(closing.result.charges_minor))]
    totals += [(f"cost of {pool}", amount(-minor)) for pool, minor in closing.costs.items()]
    totals += [(f"result ({closing.result.outcome.value})", amount(closing.result.amount_minor))]
    print_table(("", "amount"), totals, numbers=("amount",))
    say("")
    for check in closing.checks:
        say(f"{'agrees' if check.agree else 'DIFFERS'}  {check.name}: {check.left:,} = {check.right:,}")
    say(f"digest {closing.digest}")


@click.command()
@click.argument("member")
@click.argument("month", metavar="YYYY-MM")
@json_option
@data_option
def statement(member: str, month: str, as_json: bool) -> None:
    """MEMBER's statement of a month; of an open month a trial."""
    wanted = Month.parse(month)

    async def work(desk: Desk) -> dict[str, Any]:
        await ship_all(desk)
        async with desk.connected("weir_billing") as connection:
            found = await find_member(connection, member)
            return await run.statement(connection, found.id, wanted, now_us=desk.now_us)

    document = at_desk(work)
    if as_json:
        print_json(document)
    else:
        click.echo(statement_text(document), nl=False)


@click.command()
@click.argument("member")
@click.argument("month", metavar="YYYY-MM")
@json_option
@data_option
def verify(member: str, month: str, as_json: bool) -> None:
    """Work MEMBER's statement out again from the raw segments, and compare."""
    wanted = Month.parse(month)

    async def work(desk: Desk) -> tuple[str, Verification]:
        await ship_all(desk)
        async with (
            desk.connected("weir_billing") as connection,
            # One picture of the sums and of how far the segments had been shipped into them.
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            found = await find_member(connection, member)
            recounted = await _recount(connection, desk, wanted)
            told = await run.verify(connection, found.id, wanted, recounted, now_us=desk.now_us)
        return found.name, told

    name, told = at_desk(work)
    if as_json:
        print_json(
            {
                "member": name,
                "period": str(wanted),
                "agrees": told.agrees,
                "stored_digest": told.stored_digest,
                "recomputed_digest": told.recomputed_digest,
                "differences": list(told.differences),
            }
        )
    else:
        _print_verification(name, wanted, told)
    if not told.agrees:
        raise SystemExit(DISAGREES)


async def _recount(connection: Connection, desk: Desk, month: Month) -> dict[MemberId, Usage]:
    """The month's usage from the segments alone; of an open month, as far as they have been shipped."""
    closed = await watermarks(connection)
    up_to = closed.get(month) or await stream_places(connection)
    moved = await displaced(connection)
    journal = desk.meter.journal_directory
    begins = await beginnings(connection, journal)
    return await asyncio.to_thread(
        recount, journal, month, closed, up_to=up_to, displaced=moved, begins=begins
    )


def _print_verification(name: str, month: Month, told: Verification) -> None:
    if told.agrees:
        say(f"{name}'s statement of {month} follows from the raw segments, byte for byte")
    else:
        say(f"{name}'s statement of {month} does NOT follow from the raw segments:")
        for line in told.differences:
            say(f"  {line}")
    say(f"stored     {told.stored_digest}")
    say(f"recomputed {told.recomputed_digest}")
