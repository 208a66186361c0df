"""weir verify: a statement worked out again from the raw segments, and compared bit for bit."""

from __future__ import annotations

import asyncio

import click

from billing.charges.store import charge_text
from billing.month.proof import Verification
from billing.month.proof import verify as verify_month
from billing.run import priced_engines
from billing.year.fiscal import is_year, parse_year
from billing.year_proof import verify_year
from deploy.commands.bill import ship_all
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.output import print_json, say
from meter.engine_usage_store import placement
from meter.ids import MemberId
from meter.postgres import Connection
from meter.recount import EVERYWHERE, Placement, recount
from meter.retention import beginnings
from meter.store import displaced, find_member, stream_places, watermarks
from meter.usage import Usage
from meter.window import Month

DISAGREES = 1
"""Exit status of `weir verify` when the raw segments tell another story than the statement."""


@click.command()
@click.argument("member")
@click.argument("period", metavar="YYYY-MM|YYYY")
@json_option
@data_option
def verify(member: str, period: str, as_json: bool) -> None:
    """Work MEMBER's statement out again from the raw segments, and compare; of a year its months too."""
    wanted = parse_year(period) if is_year(period) else Month.parse(period)

    async def work(desk: Desk) -> tuple[str, Verification]:
        await ship_all(desk)
        async with (
            desk.connected("weir_billing") as connection,
            # One picture of the sums and of how far the segments had been shipped into them.
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            found = await find_member(connection, member)
            if isinstance(wanted, Month):
                return found.name, await _month(connection, desk, found.id, wanted)
            return found.name, await _year(connection, desk, found.id, wanted)

    name, told = at_desk(work)
    if as_json:
        print_json(
            {
                "member": name,
                "period": str(wanted),
                "agrees": told.agrees,
                "stored_digest": told.stored_digest,
                "recomputed_digest": told.recomputed_digest,
                "statement_digest": told.statement_digest,
                "differences": list(told.differences),
            }
        )
    else:
        _print_verification(name, str(wanted), told)
    if not told.agrees:
        raise SystemExit(DISAGREES)


async def _month(connection: Connection, desk: Desk, member: MemberId, month: Month) -> Verification:
    recounted = await _recount(connection, desk, month)
    return await verify_month(connection, member, month, recounted, now_us=desk.now_us)


async def _year(connection: Connection, desk: Desk, member: MemberId, number: int) -> Verification:
    """The year from its lines, and every month of it that the member has a line in from the segments."""
    told = await verify_year(connection, member, number)
    differences = list(told.differences)
    for month in told.months:
        if await charge_text(connection, member, month) is not None:
            own = await _month(connection, desk, member, month)
            differences += [f"{month}: {one}" for one in own.differences]
            if not own.agrees and not own.differences:
                differences.append(f"{month}: the closing comes out with another digest")
    return Verification(
        told.agrees and not differences, told.stored_digest, told.recomputed_digest, told.statement_digest,
        differences, told.months,
    )  # fmt: skip


async def _recount(connection: Connection, desk: Desk, month: Month) -> dict[MemberId, Usage]:
    """The month's usage from the segments alone; of an open month, as far as they have been shipped."""
    closed = await watermarks(connection)
    up_to = closed.get(month) or await stream_places(connection)
    moved = await displaced(connection)
    journal = desk.meter.journal_directory
    begins = await beginnings(connection, journal)
    engines = await priced_engines(connection, month, now_us=desk.now_us)
    apart = Placement(engines, await placement(connection)) if engines else EVERYWHERE
    return await asyncio.to_thread(
        recount, journal, month, closed, up_to=up_to, displaced=moved, begins=begins, placement=apart
    )


def _print_verification(name: str, period: str, told: Verification) -> None:
    if told.agrees:
        say(f"{name}'s statement of {period} follows from the raw segments, byte for byte")
    else:
        say(f"{name}'s statement of {period} does NOT follow from the raw segments:")
        for line in told.differences:
            say(f"  {line}")
    say(f"stored     {told.stored_digest}")
    say(f"recomputed {told.recomputed_digest}")
    say(f"statement  {told.statement_digest}")
