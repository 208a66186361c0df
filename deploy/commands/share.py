"""weir share: kinds of shares, and what happens to them; each operation is entered in the register and booked at once."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import TypeVar

import click

from billing.money import format_amount, parse_amount
from billing.register import store as register_store
from billing.register.operations import Holding, Operation, OperationKind, ShareKind
from billing.register.run import Entered, add_share_kind, enter_shares, find_share_kind
from billing.register.shares import shares
from deploy.commands.options import data_option, json_option
from deploy.commands.register import operation_document
from deploy.desk import Desk, as_board, at_desk
from deploy.instants import parse_instant
from deploy.output import print_json, print_table, say
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import find_member
from meter.usage import MemberClass

Command = TypeVar("Command", bound=Callable[..., object])
MEMBER_CLASSES = [one.value for one in MemberClass if one.is_member]


@click.group()
def share() -> None:
    """Shares: subscribed, paid, transferred, redeemed; entered once and never changed."""


@share.command("kind")
@click.argument("name", required=False)
@click.option("--par", metavar="AMOUNT", help="What one share is worth, for example 64.00.")
@click.option(
    "--held-by",
    type=click.Choice(MEMBER_CLASSES),
    multiple=True,
    help="Which members may hold it; all of them.",
)
@click.option("--investment", is_flag=True, help="Its holders stand in a register of their own.")
@click.option("--interest-max", metavar="PERCENT", help="The most interest a year, for example 5.")
@click.option("--currency", help="Needed only while the books have none.")
@json_option
@data_option
def kind(
    name: str | None, par: str | None, held_by: tuple[str, ...], investment: bool, interest_max: str | None,
    currency: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Make the kind of shares NAME; without NAME, all kinds there are."""
    if name is not None and par is None:
        raise Refusal("par: name what one share is worth with --par; `weir share kind` alone lists the kinds")

    async def work(desk: Desk) -> list[ShareKind]:
        act = as_board(f"make the kind of shares {name}")
        act.nothing = name is None
        async with desk.acting("weir_office", act) as connection:
            if name is None or par is None:
                return list((await register_store.share_kinds(connection)).values())
            made = await add_share_kind(
                connection, name=name, par=par, currency=currency, held_by=list(held_by or MEMBER_CLASSES),
                is_investment=investment, interest_max=interest_max, who=getpass.getuser(), now_us=desk.now_us,
            )  # fmt: skip
            return [made]

    documents = [kind_document(one) for one in at_desk(work)]
    if as_json:
        print_json({"kinds": documents})
    else:
        columns = ("kind", "par", "held by", "register", "interest at most")
        print_table(columns, [_kind_row(one) for one in documents], numbers=("par",))


def kind_document(one: ShareKind) -> dict[str, object]:
    """A kind of shares as JSON."""
    return {
        "name": one.name,
        "par_minor": one.par_minor,
        "currency": one.currency,
        "held_by": sorted(name.value for name in one.held_by),
        "is_investment": one.is_investment,
        "interest_max_millionths": one.interest_max_millionths,
    }


def _kind_row(one: dict[str, object]) -> tuple[object, ...]:
    par, cap, held_by = one["par_minor"], one["interest_max_millionths"], one["held_by"]
    assert isinstance(par, int)
    assert isinstance(held_by, list)
    percent = (
        ""
        if not isinstance(cap, int)
        else f"{cap // 10_000}.{cap % 10_000:04d}".rstrip("0").rstrip(".") + " %"
    )
    return (
        one["name"], format_amount(par, str(one["currency"])), ", ".join(held_by),
        "investors" if one["is_investment"] else "members", percent,
    )  # fmt: skip


def _shared(command: Command) -> Command:
    """What every operation on shares may be given."""
    for option in (
        click.option(
            "--kind", "kind_name", metavar="KIND", help="Of which kind; needed when there are several."
        ),
        click.option("--at", metavar="T", help="When it happened, UTC; now if not given."),
        click.option("--memo", default="", help="Anything to remember, for example the number of a paper."),
    ):
        command = option(command)
    return command


@share.command("subscribe")
@click.argument("member")
@click.argument("count", type=int, metavar="SHARES")
@_shared
@json_option
@data_option
def subscribe(
    member: str, count: int, kind_name: str | None, at: str | None, memo: str, as_json: bool
) -> None:
    """MEMBER subscribes SHARES; what is paid on them is entered by itself."""
    _enter(
        OperationKind.SUBSCRIPTION,
        member,
        kind_name,
        at=at,
        memo=memo,
        quantity=shares(count),
        as_json=as_json,
    )


@share.command("pay")
@click.argument("member")
@click.argument("amount")
@_shared
@json_option
@data_option
def pay(member: str, amount: str, kind_name: str | None, at: str | None, memo: str, as_json: bool) -> None:
    """MEMBER pays AMOUNT on shares they subscribed; it is booked as received by the bank."""
    _enter(OperationKind.PAYMENT, member, kind_name, at=at, memo=memo, amount=amount, as_json=as_json)


@share.command("transfer")
@click.argument("member")
@click.argument("to")
@click.argument("count", type=int, metavar="SHARES")
@_shared
@json_option
@data_option
def transfer(
    member: str, to: str, count: int, kind_name: str | None, at: str | None, memo: str, as_json: bool
) -> None:
    """MEMBER hands SHARES over TO another member, with what was paid on them."""
    _enter(
        OperationKind.TRANSFER,
        member,
        kind_name,
        at=at,
        memo=memo,
        quantity=shares(count),
        to=to,
        as_json=as_json,
    )


@share.command("redeem")
@click.argument("member")
@click.argument("count", type=int, metavar="SHARES")
@click.option("--amount", help="What is paid back; all that was paid on these shares if not given.")
@click.option("--owed", is_flag=True, help="It is not paid yet, but owed to the member.")
@_shared
@json_option
@data_option
def redeem(
    member: str, count: int, amount: str | None, owed: bool, kind_name: str | None, at: str | None, memo: str,
    as_json: bool,
) -> None:  # fmt: skip
    """The co-op takes SHARES of MEMBER back; it is booked as paid by the bank."""
    _enter(
        OperationKind.REDEMPTION, member, kind_name, at=at, memo=memo, quantity=shares(count), amount=amount,
        owed=owed, as_json=as_json,
    )  # fmt: skip


@share.command("convert")
@click.argument("member")
@click.argument("count", type=int, metavar="SHARES")
@click.argument("to_kind", metavar="TO-KIND")
@click.argument("to_count", type=int, metavar="TO-SHARES")
@_shared
@json_option
@data_option
def convert(
    member: str, count: int, to_kind: str, to_count: int, kind_name: str | None, at: str | None, memo: str,
    as_json: bool,
) -> None:  # fmt: skip
    """SHARES of MEMBER become TO-SHARES of another kind that are worth as much."""
    _enter(
        OperationKind.CONVERSION, member, kind_name, at=at, memo=memo, quantity=shares(count), to_kind=to_kind,
        to_quantity=shares(to_count), as_json=as_json,
    )  # fmt: skip


@share.command("correct")
@click.argument("number", type=int)
@click.option("--why", required=True, help="The reason; it stays in the register.")
@click.option(
    "--at", metavar="T", help="From when on, UTC; if not given from the start, where that month is open."
)
@json_option
@data_option
def correct(number: int, why: str, at: str | None, as_json: bool) -> None:
    """Take operation NUMBER back by an operation of its own, in the register and in the books."""
    at_us = 0 if at is None else parse_instant(at)

    async def work(desk: Desk) -> tuple[Entered, dict[MemberId, str], dict[str, ShareKind]]:
        async with desk.acting(
            "weir_office", as_board(f"take operation {number} of the register of shares back", detail=why)
        ) as connection:
            asked = Operation(
                0, OperationKind.CORRECTION, MemberId(0), at_us, desk.now_us, getpass.getuser(), corrects=number,
                memo=why,
            )  # fmt: skip
            entered = await enter_shares(connection, asked)
            return entered, await _names(connection, entered), await register_store.share_kinds(connection)

    _tell(*at_desk(work), as_json=as_json)


@share.command("list")
@click.argument("member", required=False)
@json_option
@data_option
def list_(member: str | None, as_json: bool) -> None:
    """What everybody holds now, or MEMBER."""

    async def work(desk: Desk) -> list[dict[str, object]]:
        async with desk.connected("weir_billing") as connection:
            wanted = None if member is None else (await find_member(connection, member)).id
            kinds = await register_store.share_kinds(connection)
            held = await register_store.holdings(connection, member=wanted)
            names = {one: (await find_member(connection, str(one))).name for one in held}
        return [
            holding_document(names[one], kinds[kind], count)
            for one, own in held.items()
            for kind, count in own.items()
        ]

    told = at_desk(work)
    if as_json:
        print_json({"holdings": told})
    else:
        _print_holdings(told)


def holding_document(name: str, kind: ShareKind, held: Holding) -> dict[str, object]:
    """One holding as JSON; amounts in minor units."""
    return {
        "member": name,
        "kind": kind.name,
        "shares": held.shares,
        "paid_minor": held.paid_minor,
        "owing_minor": held.shares * kind.par_minor - held.paid_minor,
        "currency": kind.currency,
    }


def _print_holdings(told: list[dict[str, object]]) -> None:
    columns = ("member", "kind", "shares", "paid", "owing")
    rows = []
    for one in told:
        paid, owing, currency = one["paid_minor"], one["owing_minor"], str(one["currency"])
        assert isinstance(paid, int)
        assert isinstance(owing, int)
        amounts = (format_amount(paid, currency), format_amount(owing, currency))
        rows.append((one["member"], one["kind"], one["shares"], *amounts))
    print_table(columns, rows, numbers=("shares", "paid", "owing"))


def _enter(
    what: OperationKind, name: str, kind_name: str | None, *, at: str | None, memo: str, as_json: bool,
    quantity: int | None = None, amount: str | None = None, to: str | None = None, to_kind: str | None = None,
    to_quantity: int | None = None, owed: bool = False,
) -> None:  # fmt: skip
    """Enter one operation and say what those it touched hold now."""
    at_us = None if at is None else parse_instant(at)

    async def work(desk: Desk) -> tuple[Entered, dict[MemberId, str], dict[str, ShareKind]]:
        act = as_board("enter an operation of shares")
        async with desk.acting("weir_office", act) as connection:
            found = await find_member(connection, name)
            act.subject = found.id
            receiver = None if to is None else (await find_member(connection, to)).id
            kind = await find_share_kind(connection, kind_name)
            new_kind = None if to_kind is None else (await find_share_kind(connection, to_kind)).name
            paid = None if amount is None else parse_amount(amount, kind.currency)
            if what is OperationKind.PAYMENT and not paid:
                raise Refusal("amount: a payment is more than 0")
            asked = Operation(
                0, what, found.id, desk.now_us if at_us is None else at_us, desk.now_us, getpass.getuser(),
                share_kind=kind.name, quantity=quantity, amount_minor=paid, counterpart=receiver,
                to_kind=new_kind, to_quantity=to_quantity, memo=memo,
            )  # fmt: skip
            entered = await enter_shares(connection, asked, owed=owed)
            return entered, await _names(connection, entered), await register_store.share_kinds(connection)

    _tell(*at_desk(work), as_json=as_json)


async def _names(connection: Connection, entered: Entered) -> dict[MemberId, str]:
    return {one: (await find_member(connection, str(one))).name for one in entered.holdings}


def _tell(
    entered: Entered, names: dict[MemberId, str], kinds: dict[str, ShareKind], *, as_json: bool
) -> None:
    held = [
        holding_document(names[member], kinds[kind], one)
        for member, own in sorted(entered.holdings.items())
        for kind, one in own.items()
    ]
    if as_json:
        print_json({"operation": operation_document(entered.operation), "holdings": held})
        return
    booked = "" if entered.operation.entry is None else f", booked as entry {entered.operation.entry}"
    say(f"entered as operation {entered.operation.number} of the register{booked}")
    _print_holdings(held)
