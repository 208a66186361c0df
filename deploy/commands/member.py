"""weir member: the register."""

from __future__ import annotations

import click

from billing.register.particulars import is_address
from deploy.commands.cap import cap, cap_document, caps_of
from deploy.commands.options import SIGNED, data_option, json_option
from deploy.commands.rate import rate, rates_document, rates_of
from deploy.desk import Desk, as_board, as_operator, at_desk
from deploy.instants import instant_text
from deploy.output import print_json, print_table, say
from gateway.store import bucket_names, limit_member, member_limit
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.sizes import limit_text, parse_limit
from meter.store import add_member, find_member, members, set_member_status
from meter.usage import Member, MemberClass, MemberStatus
from meter.usage_store import stored_bytes, stored_bytes_by_bucket

OWNER = None
"""The register is changed by its owner alone; no room's own role may."""
BUCKETS_NAMED_MAX = 5
"""How many a refusal names."""


def document(member: Member) -> dict[str, object]:
    """A member as JSON."""
    return {
        "id": int(member.id),
        "name": member.name,
        "class": member.member_class.value,
        "email": member.email,
        "status": member.status.value,
        "joined": instant_text(member.joined_us),
        "left": None if member.left_us is None else instant_text(member.left_us),
    }


@click.group()
def member() -> None:
    """The register of members."""


@member.command("add")
@click.argument("name")
@click.option(
    "--class",
    "member_class",
    type=click.Choice([one.value for one in MemberClass]),
    default=MemberClass.USER.value,
    show_default=True,
    help="In which capacity; a customer is no member and buys at the tariff.",
)
@click.option("--email", default="", help="Where to reach them.")
@json_option
@data_option
def add(name: str, member_class: str, email: str, as_json: bool) -> None:
    """Enter NAME into the register."""
    if email and not is_address(email):
        raise Refusal(
            f"'{email}' is no e-mail address: links to sign in would never arrive; write it as anna@example.coop"
        )

    async def work(desk: Desk) -> Member:
        act = as_board("enter a member into the register")
        async with desk.acting(OWNER, act) as connection:
            entered = await add_member(
                connection, name=name, member_class=MemberClass(member_class), email=email, now_us=desk.now_us
            )
            act.subject = entered.id
            return entered

    entered = at_desk(work)
    if as_json:
        print_json(document(entered))
    else:
        what = "member" if entered.member_class.is_member else "customer"
        say(f"{entered.name} is {what} {entered.id}; `weir key create {entered.name}` makes an access key")


@member.command("list")
@json_option
@data_option
def list_(as_json: bool) -> None:
    """Everybody in the register."""

    async def work(desk: Desk) -> list[Member]:
        async with desk.connected("weir_meter") as connection:
            return await members(connection)

    documents = [document(one) for one in at_desk(work)]
    if as_json:
        print_json({"members": documents})
    else:
        columns = ("id", "name", "class", "status", "email", "joined", "left")
        print_table(columns, [[one[name] for name in columns] for one in documents], numbers=("id",))


@member.command("show")
@click.argument("name")
@json_option
@data_option
def show(name: str, as_json: bool) -> None:
    """One member, by NAME or number."""

    async def work(desk: Desk) -> dict[str, object]:
        async with desk.connected("weir_meter") as connection:
            found = await find_member(connection, name)
            stored = await stored_bytes(connection, found.id)
            own = await caps_of(connection, found.id)
        async with desk.connected("weir_gateway") as connection:
            limit_bytes = await member_limit(connection, found.id)
            rates = await rates_of(connection, found.id)
        await desk.note("weir_meter", as_operator("look at a member's use and limits", subject=found.id))
        limits = {"limit_bytes": limit_bytes, **rates_document(rates)}
        return {**document(found), "stored_bytes": stored, **limits, **cap_document(own)}

    told = at_desk(work)
    if as_json:
        print_json(told)
    else:
        print_table(("", ""), list(told.items()))


@member.command("limit", context_settings=SIGNED)
@click.argument("name")
@click.argument("size")
@json_option
@data_option
def limit(name: str, size: str, as_json: bool) -> None:
    """Let NAME store at most SIZE over all buckets (500MB, 10GB, 10GiB), or 'none' for no limit."""
    bytes_max = parse_limit(size)

    async def work(desk: Desk) -> Member:
        async with desk.connected("weir_meter") as connection:
            found = await find_member(connection, name)
        act = as_operator(
            "limit what a member may store", subject=found.id, detail=f"at most: {limit_text(bytes_max)}"
        )
        async with desk.acting("weir_gateway", act) as connection:
            await limit_member(connection, found.id, bytes_max)
        return found

    found = at_desk(work)
    if as_json:
        print_json({"name": found.name, "limit_bytes": bytes_max})
    else:
        say(f"{found.name} has {limit_text(bytes_max)}; gateways hear of it within seconds")


member.add_command(cap)
member.add_command(rate)


@member.command("suspend")
@click.argument("name")
@click.option("--lift", is_flag=True, help="End a suspension instead.")
@data_option
def suspend(name: str, lift: bool) -> None:
    """Close the door for NAME's keys; what they store stays."""
    changed = _set_status(name, MemberStatus.ACTIVE if lift else MemberStatus.SUSPENDED)
    say(f"{changed.name} is {changed.status.value}; gateways hear of it within seconds")


@member.command("leave")
@click.argument("name")
@click.option(
    "--with-data",
    is_flag=True,
    help="Although data of theirs is stored; it stays, and goes on being charged, as a customer's.",
)
@data_option
def leave(name: str, with_data: bool) -> None:
    """NAME leaves the co-op; what they are owed stays in the books. Refused while they store data."""
    changed = _set_status(name, MemberStatus.LEFT, with_data=with_data)
    say(f"{changed.name} has left; their keys no longer open the door")


def _set_status(name: str, status: MemberStatus, *, with_data: bool = True) -> Member:
    async def work(desk: Desk) -> Member:
        act = as_board(f"set a member's standing to {status.value}")
        async with desk.acting(OWNER, act) as connection:
            found = await find_member(connection, name)
            act.subject = found.id
            changed = await set_member_status(connection, found.id, status, now_us=desk.now_us)
            if not with_data:
                await _refuse_stored(connection, found)
            return changed

    return at_desk(work)


async def _refuse_stored(connection: Connection, leaver: Member) -> None:
    """Raises Refusal naming the buckets in which something of theirs is stored, and how much."""
    found = await stored_bytes_by_bucket(connection, leaver.id)
    stored = {number: size_bytes for number, size_bytes in found.items() if size_bytes}
    if not stored:
        return
    names = await bucket_names(connection, list(stored))
    told = sorted(
        f"{names.get(number, number)} ({size_bytes:,} bytes)" for number, size_bytes in stored.items()
    )
    more = f" and {len(told) - BUCKETS_NAMED_MAX} more" if len(told) > BUCKETS_NAMED_MAX else ""
    raise Refusal(
        f"{leaver.name} stores {sum(stored.values()):,} bytes, in {', '.join(told[:BUCKETS_NAMED_MAX])}{more}: let them"
        " take their data away and empty the buckets first, or leave it there with --with-data: what is stored goes on"
        " being charged, as a customer's"
    )
