"""weir role: who holds which office of the co-op, from when to when."""

from __future__ import annotations

import getpass

import click

from billing.acts import run, store
from billing.acts.act import OFFICE_WORDS, Held, Office
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_board, at_desk
from deploy.instants import instant_text, parse_instant
from deploy.output import print_json, print_table, say
from meter.store import find_member

OWNER = None
"""Only the owner of the register gives offices, as only it enters members."""
OFFICES = click.Choice([one.value for one in Office])


@click.group()
def role() -> None:
    """Offices: treasurer, operator, board. Who holds one has its pages in the portal."""


@role.command("grant")
@click.argument("member")
@click.argument("office", type=OFFICES)
@click.option("--from", "start", metavar="T", help="From when on, UTC; now if not given.")
@click.option(
    "--until",
    metavar="T",
    help="To when, UTC; a date means the start of that day. Without it until `weir role end`.",
)
@click.option("--resolution", metavar="ID", help="Which decided it: `weir resolution list`.")
@json_option
@data_option
def grant(
    member: str, office: str, start: str | None, until: str | None, resolution: str | None, as_json: bool
) -> None:
    """MEMBER holds OFFICE from now on, or from T on."""
    from_us = None if start is None else parse_instant(start)
    until_us = None if until is None else parse_instant(until)

    async def work(desk: Desk) -> Held:
        act = as_board("give an office to a member")
        async with desk.acting(OWNER, act) as connection:
            found = await find_member(connection, member)
            held = await run.grant(
                connection, found.id, Office(office), from_us=desk.now_us if from_us is None else from_us,
                until_us=until_us, resolution=resolution, who=getpass.getuser(), now_us=desk.now_us,
            )  # fmt: skip
            # Who holds an office is for everybody to know.
            act.subject, act.what = found.id, f"make {found.name} {OFFICE_WORDS[held.office]}"
            return held

    held = at_desk(work)
    if as_json:
        print_json(document(held))
    else:
        say(f"{held.name} is {OFFICE_WORDS[held.office]} {_span(held)}")


@role.command("end")
@click.argument("member")
@click.argument("office", type=OFFICES)
@click.option("--on", "ends", metavar="T", help="When, UTC; now if not given.")
@click.option("--resolution", metavar="ID", help="Which decided it.")
@json_option
@data_option
def end(member: str, office: str, ends: str | None, resolution: str | None, as_json: bool) -> None:
    """MEMBER holds OFFICE no longer."""
    ends_us = None if ends is None else parse_instant(ends)

    async def work(desk: Desk) -> Held:
        act = as_board("end an office of a member")
        async with desk.acting(OWNER, act) as connection:
            found = await find_member(connection, member)
            now_us = desk.now_us  # once: a second look would be later, and an end is never before now
            held = await run.end(
                connection, found.id, Office(office), ends_us=now_us if ends_us is None else ends_us,
                resolution=resolution, who=getpass.getuser(), now_us=now_us,
            )  # fmt: skip
            act.subject = found.id
            act.what = f"end that {found.name} is {OFFICE_WORDS[held.office]}"
            return held

    held = at_desk(work)
    if as_json:
        print_json(document(held))
    else:
        assert held.until_us is not None, "it was just ended"
        say(f"{held.name} is {OFFICE_WORDS[held.office]} until {instant_text(held.until_us)}")


@role.command("list")
@click.option("--all", "every", is_flag=True, help="Also those that are over.")
@json_option
@data_option
def list_(every: bool, as_json: bool) -> None:
    """Who holds which office, or will."""

    async def work(desk: Desk) -> list[Held]:
        async with desk.connected("weir_billing") as connection:
            found = await store.held(connection)
        return [one for one in found if every or one.until_us is None or desk.now_us < one.until_us]

    told = [document(one) for one in at_desk(work)]
    if as_json:
        print_json({"offices": told})
    else:
        columns = ("member", "office", "from", "until", "resolution", "who")
        print_table(columns, [[one[name] for name in columns] for one in told])


def document(one: Held) -> dict[str, object]:
    """An office as JSON."""
    return {
        "number": one.number,
        "member": one.name,
        "office": one.office.value,
        "from": instant_text(one.from_us),
        "until": None if one.until_us is None else instant_text(one.until_us),
        "resolution": one.resolution,
        "who": one.who,
    }


def _span(held: Held) -> str:
    until = "" if held.until_us is None else f" until {instant_text(held.until_us)}"
    return f"from {instant_text(held.from_us)}{until}"
