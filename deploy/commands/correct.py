"""weir correct: bytes added or taken back by an entry of its own, with who and why; nothing counted is changed."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable
from typing import TypeVar

import click

from deploy.commands.options import data_option, json_option
from deploy.commands.usage import LINES, correction_document, print_corrections
from deploy.desk import Desk, as_operator, at_desk, ship_up_to_now
from deploy.instants import instant_text, parse_instant
from deploy.output import bytes_text, print_json, say
from gateway.store import bucket_names, buckets
from meter.correcting import enter
from meter.correction import Correction, check
from meter.correction_store import counted
from meter.event import Zone
from meter.ids import BucketId
from meter.refusal import Refusal
from meter.store import find_member, open_months
from meter.usage import Member
from meter.window import Month

REQUEST_ID = re.compile(r"[0-9a-fA-F]{32}")
Command = TypeVar("Command", bound=Callable[..., object])


@click.group()
def correct() -> None:
    """Add bytes, or take them back, by an entry of its own that says who and why."""


def _shared(command: Command) -> Command:
    """What both kinds of correction ask for."""
    for option in (
        click.option("--at", "at", metavar="T", help="When it happened, UTC; now if not given."),
        click.option("--why", required=True, help="The reason; the member will read it."),
        click.option("--who", metavar="NAME", help="Who enters it; the name you are logged in with."),
        click.option("--yes", is_flag=True, help="Do not ask."),
    ):
        command = option(command)
    return command


@correct.command("traffic")
@click.argument("member")
@click.option("--received", type=int, default=0, metavar="BYTES", help="Bytes received, e.g. -1000.")
@click.option("--sent", type=int, default=0, metavar="BYTES", help="Bytes sent, e.g. -1000.")
@click.option("--bucket", metavar="NAME", help="The bucket they belong to.")
@click.option(
    "--zone", type=click.Choice([zone.name.lower() for zone in Zone]), default="internet", help="Where to."
)
@click.option("--of", "request", metavar="REQUEST-ID", help="The exchange it mends, as S3 told its id.")
@_shared
@json_option
@data_option
def traffic(
    member: str, received: int, sent: int, bucket: str | None, zone: str, request: str | None,
    at: str | None, why: str, who: str | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Add to what MEMBER sent or received, or take back with a minus."""
    if request is not None and REQUEST_ID.fullmatch(request) is None:
        raise Refusal(f"'{request}' is not a request id; it has 32 hexadecimal digits")

    def asked(found: Member, number: BucketId, at_us: int) -> Correction:
        return Correction(
            member=found.id, bucket=number, at_us=at_us, who=who or getpass.getuser(), why=why,
            zone=Zone[zone.upper()], request_id=None if request is None else bytes.fromhex(request),
            bytes_in=received, bytes_out=sent,
        )  # fmt: skip

    _enter(member, bucket, at, asked, yes=yes, as_json=as_json)


@correct.command("storage")
@click.argument("member")
@click.argument("bucket")
@click.option("--bytes", "count", type=int, required=True, metavar="BYTES", help="Stored bytes, e.g. -1000.")
@click.option("--line", type=click.Choice(list(LINES)), default="objects", help="Which line of the bill.")
@_shared
@json_option
@data_option
def storage(
    member: str, bucket: str, count: int, line: str, at: str | None, why: str, who: str | None, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Add to what MEMBER stores in BUCKET from a time on, or take back with a minus."""

    def asked(found: Member, number: BucketId, at_us: int) -> Correction:
        return Correction(
            member=found.id, bucket=number, at_us=at_us, who=who or getpass.getuser(), why=why,
            line=LINES[line], stored_bytes=count,
        )  # fmt: skip

    _enter(member, bucket, at, asked, yes=yes, as_json=as_json)


@correct.command("list")
@click.argument("member", required=False)
@json_option
@data_option
def list_(member: str | None, as_json: bool) -> None:
    """All corrections, or those of MEMBER, by the time they are of."""

    async def work(desk: Desk) -> list[dict[str, object]]:
        await ship_up_to_now(desk)
        async with desk.connected("weir_meter") as connection:
            owner = None if member is None else (await find_member(connection, member)).id
            found = await counted(connection, owner, start_us=0, end_us=desk.now_us + 1)
        async with desk.connected("weir_gateway") as connection:
            names = await bucket_names(connection, [one.correction.bucket for one in found])
        return [correction_document(one, names) for one in found]

    told = at_desk(work)
    if as_json:
        print_json({"corrections": told})
    else:
        print_corrections(told)


def _enter(
    name: str, bucket: str | None, at: str | None, asked: Callable[[Member, BucketId, int], Correction], *,
    yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Ask, enter, bring it into the sums, and say in which month it is billed."""
    at_us = None if at is None else parse_instant(at)

    async def work(desk: Desk) -> dict[str, object]:
        async with desk.connected("weir_gateway") as connection:
            number = await _bucket(desk, bucket)
            names = await bucket_names(connection, [number])
        async with desk.connected("weir_meter") as connection:
            found = await find_member(connection, name)
            correction = asked(found, number, desk.now_us if at_us is None else at_us)
            check(correction, now_us=desk.now_us)
            first_open, credible = await open_months(connection)
            if correction.at_us < credible.earliest_us:
                raise Refusal(f"nothing was counted before {instant_text(credible.earliest_us)}")
            period = max(Month.of(correction.at_us), first_open)
            if not yes:
                click.confirm(_sentence(found.name, bucket, correction, period), abort=True, err=True)
            settings = desk.meter.model_copy(update={"data": desk.data})
            entered = await enter(connection, settings, correction, now_us=desk.now_us)
            await desk.note("weir_meter", as_operator("correct what a member used", subject=found.id))
        unshipped = await ship_up_to_now(desk)
        document = correction_document(entered, names)
        return {"member": found.name, "period": str(period), **document, "unshipped_events": unshipped}

    told = at_desk(work)
    if as_json:
        print_json(told)
    else:
        say(
            f"entered as correction {told['sequence']} of {told['member']}, billed in {told['period']};"
            f" `weir usage {told['member']}` shows it"
        )


async def _bucket(desk: Desk, name: str | None) -> BucketId:
    if name is None:
        return BucketId(0)
    async with desk.connected("weir_gateway") as connection:
        found = await buckets(connection, name=name)
    if not found:
        raise Refusal(f"there is no bucket named '{name}'; `weir bucket list` names them")
    return found[0].id


def _sentence(name: str, bucket: str | None, asked: Correction, period: Month) -> str:
    moved = (("received", asked.bytes_in), ("sent", asked.bytes_out), ("stored", asked.stored_bytes))
    what = ", ".join(f"{word} {count:+,} bytes ({bytes_text(count)})" for word, count in moved if count)
    where = "" if bucket is None else f" in {bucket}"
    return f"Correct {name}{where} at {instant_text(asked.at_us)}: {what}; billed in {period}. Enter it?"
