"""weir register: who stands in it, printed as a law wants it; classes, names and addresses; whether it is whole."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path

import click

from billing.documents import problem
from billing.governance import store as governance_store
from billing.governance.decisions import choice_at
from billing.register import store as register_store
from billing.register.forms import FORMS, LAW_OF_RULE_SET, form_of, register_document
from billing.register.operations import Operation
from billing.register.particulars import Particulars
from billing.register.render import register_csv, register_html, register_text
from billing.register.run import change_class, change_particulars, take_back_class, verify_register
from billing.settings import BillingSettings
from billing.tongue import LANGUAGES, speaking
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_board, at_desk
from deploy.instants import instant_text, parse_instant
from deploy.output import as_json as to_json
from deploy.output import print_json, print_table, say
from deploy.settings import read
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import find_member, members
from meter.usage import Member, MemberClass
from meter.window import Month

OWNER = None
"""Names, addresses and who is a member: read and changed by the register's owner alone; no room's own role may."""
DISAGREES = 1
"""Exit status of `weir register verify` when something does not agree."""
PROPERTY = ("capital:", "retained:", "debt:", "payable:member:")
"""Accounts in members' names beside their shares."""
FORMATS = {"text": register_text, "html": register_html, "csv": register_csv, "json": to_json}


@click.group()
def register() -> None:
    """The register of members and shares: numbered operations, only added to."""


@register.command("print")
@click.option(
    "--at", metavar="T", help="As it stood then, UTC; a date means the start of that day. Now if not given."
)
@click.option(
    "--law", type=click.Choice(list(FORMS)), help="Whose form; that of the rule set in force if not given."
)
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option(
    "--language", type=click.Choice(list(LANGUAGES)), help="Of its headings; that of the portal if not given."
)
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="Into a file only you can read.")
@data_option
def print_(at: str | None, law: str | None, format_: str, language: str | None, to: Path | None) -> None:
    """Everybody who was ever a member, with what the law wants told of them."""

    async def work(desk: Desk) -> dict[str, object]:
        at_us = desk.now_us if at is None else parse_instant(at)
        async with (
            desk.connected(OWNER) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await desk.note(OWNER, as_board("print the register, with every member's name and addresses"))
            form = form_of(law or await _law_in_force(connection, at_us))
            return register_document(
                form,
                await register_store.operations(connection),
                await register_store.share_kinds(connection),
                await register_store.particulars(connection, at_us=at_us),
                {one.id: one.name for one in await members(connection)},
                await register_store.credit_balances(connection, PROPERTY, at_us=at_us),
                at_us=at_us,
            )

    with speaking(language or read(BillingSettings).portal_language):
        text = FORMATS[format_](at_desk(work))
    if to is None:
        click.echo(text, nl=False)
        return
    try:
        to.write_bytes(text.encode())
        to.chmod(0o600)
    except OSError as error:
        raise Refusal(f"{to} cannot be written: {error.strerror}") from None
    say(f"the register is in {to}; it holds names and addresses")


async def _law_in_force(connection: Connection, at_us: int) -> str:
    chosen = choice_at(await governance_store.choices(connection), at_us)
    return LAW_OF_RULE_SET.get(chosen.rule_set, "plain") if chosen else "plain"


@register.command("history")
@click.argument("member")
@json_option
@data_option
def history(member: str, as_json: bool) -> None:
    """Every operation in which MEMBER took part."""

    async def work(desk: Desk) -> list[Operation]:
        async with desk.connected("weir_billing") as connection:
            found = await find_member(connection, member)
            return await register_store.operations(connection, members=[found.id])

    told = [operation_document(one) for one in at_desk(work)]
    if as_json:
        print_json({"operations": told})
    else:
        columns = ("number", "what", "member", "from", "how", "entry", "who", "memo")
        print_table(columns, [_row(one) for one in told], numbers=("number", "entry"))


def operation_document(one: Operation) -> dict[str, object]:
    """An operation as JSON; amounts in minor units, what it does not have left out."""
    told: dict[str, object | None] = {
        "number": one.number,
        "kind": one.kind.value,
        "member": int(one.member),
        "effective": instant_text(one.effective_us),
        "recorded": instant_text(one.recorded_us),
        "who": one.who,
        "classes": [name.value for name in one.classes] or None,
        "share_kind": one.share_kind,
        "shares": one.quantity,
        "amount_minor": one.amount_minor,
        "counterpart": one.counterpart,
        "to_kind": one.to_kind,
        "to_shares": one.to_quantity,
        "corrects": one.corrects,
        "entry": one.entry,
        "memo": one.memo or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _row(told: Mapping[str, object]) -> tuple[object, ...]:
    words = {
        "classes": lambda one: " and ".join(one),
        "shares": lambda one: f"{one} shares",
        "share_kind": lambda one: f"of kind {one}",
        "amount_minor": lambda one: f"amount {one}",
        "counterpart": lambda one: f"to member {one}",
        "to_shares": lambda one: f"into {one}",
        "to_kind": lambda one: f"of kind {one}",
        "corrects": lambda one: f"of operation {one}",
    }
    how = " ".join(words[name](told[name]) for name in words if name in told)
    return (
        told["number"], told["kind"], told["member"], told["effective"], how, told.get("entry"), told["who"],
        told.get("memo"),
    )  # fmt: skip


@register.command("verify")
@json_option
@data_option
def verify(as_json: bool) -> None:
    """Hold the register against itself, the list of members, the books, and the papers that were kept."""

    async def work(desk: Desk) -> list[str]:
        async with desk.connected("weir_billing") as connection:
            found = await verify_register(connection, now_us=desk.now_us)
            papers = [one.evidence for one in await governance_store.consents(connection)]
            papers += [one.document for one in await governance_store.resolutions(connection)]
        kept = [problem(desk.data, one) for one in papers if one is not None]
        return found + [one for one in kept if one is not None]

    found = at_desk(work)
    if as_json:
        print_json({"agrees": not found, "problems": found})
    elif found:
        for sentence in found:
            say(sentence)
    else:
        say("numbers, holdings, members, books and papers agree")
    if found:
        raise SystemExit(DISAGREES)


@register.command("class")
@click.argument("member")
@click.argument("classes", type=click.Choice([one.value for one in MemberClass]), nargs=-1, required=True)
@click.option("--from", "start", required=True, metavar="YYYY-MM", help="A month that is still to come.")
@click.option("--memo", default="", help="Anything to remember, for example who asked.")
@json_option
@data_option
def class_(member: str, classes: tuple[str, ...], start: str, memo: str, as_json: bool) -> None:
    """From a month to come on MEMBER is of these CLASSES; somebody may be of two, and still has one vote."""
    month, wanted = Month.parse(start), tuple(MemberClass(one) for one in classes)

    async def work(desk: Desk) -> tuple[Member, Operation]:
        act = as_board(f"change a member's class from {month} on", detail=memo)
        async with desk.acting(OWNER, act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            entered = await change_class(
                connection, found.id, wanted, month, who=getpass.getuser(), memo=memo, now_us=desk.now_us
            )
            return found, entered

    found, entered = at_desk(work)
    if as_json:
        print_json(operation_document(entered))
    else:
        words = " and ".join(one.value for one in wanted)
        say(f"{found.name} is {words} from {month} on; entered as operation {entered.number}")


@register.command("correct")
@click.argument("number", type=int)
@click.option("--why", required=True, help="The reason; it stays in the register.")
@json_option
@data_option
def correct(number: int, why: str, as_json: bool) -> None:
    """Take the change of class NUMBER back, before it counts."""

    async def work(desk: Desk) -> Operation:
        async with desk.acting(
            OWNER, as_board(f"take change {number} of the register back", detail=why)
        ) as connection:
            return await take_back_class(
                connection, number, who=getpass.getuser(), memo=why, now_us=desk.now_us
            )

    entered = at_desk(work)
    if as_json:
        print_json(operation_document(entered))
    else:
        say(f"entered as operation {entered.number}; member {entered.member} stays what they are")


@register.command("address")
@click.argument("member")
@click.option("--name", "legal_name", help="Their full name, as the law wants it.")
@click.option("--postal", help="Their postal address, in one line.")
@click.option("--email", help="Their electronic address.")
@click.option("--purposes", help="What they gave the electronic address for: notices, statements.")
@json_option
@data_option
def address(
    member: str,
    legal_name: str | None,
    postal: str | None,
    email: str | None,
    purposes: str | None,
    as_json: bool,
) -> None:
    """Enter MEMBER's name and addresses; what is not given stays, and without anything they are shown."""
    nothing = legal_name is None and postal is None and email is None and purposes is None

    async def work(desk: Desk) -> tuple[MemberId, Particulars]:
        act = as_board(f"{'look at' if nothing else 'change'} a member's name and addresses")
        async with desk.acting(OWNER, act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            if nothing:
                known = await register_store.particulars(connection, at_us=desk.now_us, member=found.id)
                return found.id, known.get(found.id, Particulars())
            _, told = await change_particulars(
                connection, found.id, legal_name=legal_name, postal=postal, email=email, purposes=purposes,
                who=getpass.getuser(), now_us=desk.now_us,
            )  # fmt: skip
            return found.id, told

    number, told = at_desk(work)
    document = {
        "member": int(number),
        "name": told.legal_name,
        "postal": told.postal,
        "email": told.email,
        "purposes": told.purposes,
    }
    if as_json:
        print_json(document)
    else:
        print_table(("", ""), list(document.items()))
