"""weir bill, statement: a month's closing and what each member is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from billing import run, year_telling
from billing.costs.run import keyless_pools
from billing.money import format_amount
from billing.month.closing import FORMAT
from billing.month.member_month import MemberMonth
from billing.settings import BillingSettings
from billing.statements.month_paper import month_paper
from billing.statements.paper import Paper
from billing.statements.pdf import paper_pdf
from billing.statements.render import statement_text
from billing.statements.year_paper import year_paper
from billing.year.fiscal import is_year, parse_year
from billing.year_statement import year_text
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk, ship_up_to_now
from deploy.output import number_of, print_json, print_table, say
from deploy.progress import bar
from deploy.settings import read
from meter.daily import make_due_heads
from meter.refusal import Refusal
from meter.signing import KeyLost
from meter.store import count_members, find_member
from meter.window import Month

Document = Mapping[str, Any]
Charged = tuple[int, str, int]
"""Number, name, minor units."""
TABLE_ROWS_MAX = 1000


@click.group()
def bill() -> None:
    """Close a month: as often as you like for trial, once for good."""


@bill.command("trial")
@click.argument("month", metavar="YYYY-MM")
@json_option
@data_option
def trial(month: str, as_json: bool) -> None:
    """What closing the month would give, changing nothing."""
    wanted = Month.parse(month)

    async def work(desk: Desk) -> tuple[Document, list[Charged], list[str]]:
        await ship_all(desk)
        charged: list[Charged] = []
        async with desk.connected("weir_billing") as connection:
            older = await run.closing_document(connection, wanted)
            if older is not None and older["format"] != FORMAT:
                return older, [], []
            done = await run.trial(
                connection, wanted, now_us=desk.now_us, each=lambda one: _note(charged, one)
            )
            keyless = await keyless_pools(connection, wanted, done.costs)
        return done.to_document(), charged, keyless

    document, charged, keyless = at_desk(work)
    if as_json:
        lines = [{"member": number, "name": name, "amount_minor": amount} for number, name, amount in charged]
        charges = lines or document.get("charges", [])
        print_json({"kind": "trial", **document, "charges": charges, "without_key": keyless})
    else:
        print_charges(charged, currency=str(document["currency"]))
        print_closing(document, word="trial")
        for name in keyless:
            say(
                f"pool {name} has no key in {wanted}, so nobody can tell who bears it; "
                f"`weir pool set {name} --key KEY --from {wanted}` says how it is shared"
            )


@bill.command("close")
@click.argument("month", metavar="YYYY-MM")
@json_option
@data_option
def close(month: str, as_json: bool) -> None:
    """Close the month for good: everyone's charges, and what is left over set aside for the year."""
    wanted = Month.parse(month)

    async def work(desk: Desk) -> Document:
        await ship_all(desk)
        act = as_treasurer(f"close the month {wanted}")
        async with desk.acting("weir_office", act) as connection:
            total = await count_members(connection)
            with bar(f"closing {wanted}, members", total=total) as progress:
                done = await run.close(connection, wanted, now_us=desk.now_us, progress=progress)
            act.what = run.closed_words(done)
        await sign_heads(desk)
        return done.to_document()

    document = at_desk(work)
    if as_json:
        print_json({"kind": "final", **document})
    else:
        print_closing(document, word="final")


def _note(charged: list[Charged], one: MemberMonth) -> None:
    charged.append((one.member.id, one.member.name, one.charge.amount_minor))


def print_year(member: str, number: int, *, as_json: bool, pdf: Path | None) -> None:
    """A member's statement of a fiscal year."""

    async def work(desk: Desk) -> tuple[Mapping[str, Any], bool]:
        await ship_all(desk)
        async with desk.connected("weir_billing") as connection:
            found = await find_member(connection, member)
            told = await year_telling.told(
                connection, found.id, number, now_us=desk.now_us,
                price_directory=read(BillingSettings).list_price_directory,
            )  # fmt: skip
        await desk.note(
            "weir_billing", as_treasurer(f"look at a member's statement of {number}", subject=found.id)
        )
        return told, Month.parse(told["last_month"]).end_us <= desk.now_us

    document, is_over = at_desk(work)
    _told(document, year_paper(document, is_over=is_over), year_text, as_json=as_json, pdf=pdf)


def _told(
    document: Mapping[str, Any], paper: Paper, text: Callable[[Mapping[str, Any]], str], *, as_json: bool, pdf: Path | None
) -> None:  # fmt: skip
    """A statement as it was asked for."""
    if pdf is not None:
        try:
            pdf.write_bytes(paper_pdf(paper))
        except OSError as error:
            raise Refusal(f"{pdf} cannot be written: {error.strerror}") from None
    if as_json:
        print_json(document)
    elif pdf is None:
        click.echo(text(document), nl=False)
    else:
        say(f"written to {pdf}")


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


def print_charges(charged: list[Charged], *, currency: str) -> None:
    """Members and what they are charged; the most, if they are many."""
    if charged:
        most = sorted(charged, key=lambda one: (-abs(one[2]), one[0]))[:TABLE_ROWS_MAX]
        rows = [(name, format_amount(amount, currency)) for _, name, amount in sorted(most)]
        print_table(("member", "charged"), rows, numbers=("charged",))
        if len(charged) > len(most):
            say(
                f"and {number_of(len(charged) - len(most), 'member who was', 'members who were')} charged less; --json has them all"
            )
        say("")


def print_closing(document: Document, *, word: str) -> None:
    """A closing for people."""
    currency = document["currency"]
    say(f"{document['month']}, {word}")
    totals = [("charges", format_amount(document["charges_minor"], currency))]
    totals += [
        (f"cost of {pool}", format_amount(-minor, currency)) for pool, minor in document["costs"].items()
    ]
    totals += [(f"result ({document['outcome']})", format_amount(document["result_minor"], currency))]
    print_table(("", "amount"), totals, numbers=("amount",))
    say("")
    for check in document["checks"]:
        word = "agrees" if check["agree"] else "DIFFERS"
        say(f"{word}  {check['name']}: {check['left']:,} = {check['right']:,}")
    say(f"digest {document['digest']}")


@click.command()
@click.argument("member")
@click.argument("period", metavar="YYYY-MM|YYYY")
@click.option("--pdf", type=click.Path(path_type=Path), help="Write it into this file as a PDF.")
@json_option
@data_option
def statement(member: str, period: str, pdf: Path | None, as_json: bool) -> None:
    """MEMBER's statement of a month or of a fiscal year; of an open one a trial."""
    if is_year(period):
        print_year(member, parse_year(period), as_json=as_json, pdf=pdf)
        return
    wanted = Month.parse(period)

    async def work(desk: Desk) -> dict[str, Any]:
        await ship_all(desk)
        async with desk.connected("weir_billing") as connection:
            found = await find_member(connection, member)
            told = await run.statement(connection, found.id, wanted, now_us=desk.now_us)
        await desk.note(
            "weir_billing", as_treasurer(f"look at a member's statement of {wanted}", subject=found.id)
        )
        return told

    document = at_desk(work)
    _told(document, month_paper(document), statement_text, as_json=as_json, pdf=pdf)
