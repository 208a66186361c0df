"""weir ledger: the co-op's whole books, read, proved, added to by hand, and taken elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TextIO
from uuid import uuid4

import click

from billing.ledger import books, store
from billing.ledger.books import Side, Verified
from billing.ledger.chain import Booked
from billing.ledger.export import Format
from billing.ledger.reports import Report
from billing.money import format_number
from billing.year_calendar import fiscal_year_of
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.instants import instant_text
from deploy.output import counted, number_of, print_json, print_table, say
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import find_member
from meter.window import Month

BROKEN = 1
"""Exit status of `weir ledger verify` when the books are not what they were."""
HEADINGS = {
    "trial-balance": "Trial balance",
    "balance-sheet": "Balance sheet",
    "income-statement": "Income statement",
    "cash-flow": "Cash flow",
}
Made = Callable[[Connection, Month, Month], Awaitable[Report]]


@click.group()
def ledger() -> None:
    """The books: four reports, every entry, and the proof that none was changed."""


as_of_option = click.option("--as-of", metavar="YYYY-MM", help="At the end of this month; else of this one.")
from_option = click.option(
    "--from", "first", metavar="YYYY-MM", help="From this month; else since the fiscal year began."
)
to_option = click.option("--to", "last", metavar="YYYY-MM", help="To the end of this month; else this one.")


@ledger.command("trial-balance")
@as_of_option
@click.option("--members", "by_member", is_flag=True, help="Each member's accounts on lines of their own.")
@json_option
@data_option
def trial_balance(as_of: str | None, by_member: bool, as_json: bool) -> None:
    """Every account and its balance; both columns have one sum."""

    async def made(connection: Connection, _: Month, last: Month) -> Report:
        return await books.trial_balance(connection, last, by_member=by_member)

    _report(made, None, as_of, as_json=as_json)


@ledger.command("balance-sheet")
@as_of_option
@json_option
@data_option
def balance_sheet(as_of: str | None, as_json: bool) -> None:
    """What the co-op has, what it owes, and whose the rest is."""

    async def made(connection: Connection, _: Month, last: Month) -> Report:
        return await books.balance_sheet(connection, last)

    _report(made, None, as_of, as_json=as_json)


@ledger.command("income-statement")
@from_option
@to_option
@json_option
@data_option
def income_statement(first: str | None, last: str | None, as_json: bool) -> None:
    """What came in, what it cost, and what is left."""
    _report(books.income_statement, first, last, as_json=as_json)


@ledger.command("cash-flow")
@from_option
@to_option
@json_option
@data_option
def cash_flow(first: str | None, last: str | None, as_json: bool) -> None:
    """Where the money in the bank came from, and where it went."""
    _report(books.cash_flow, first, last, as_json=as_json)


def _report(made: Made, first: str | None, last: str | None, *, as_json: bool) -> None:
    begin = None if first is None else Month.parse(first)
    end = None if last is None else Month.parse(last)

    async def work(desk: Desk) -> tuple[Report, str]:
        to = Month.of(desk.now_us) if end is None else end
        async with desk.connected("weir_billing") as connection:
            since = (await fiscal_year_of(connection, to)).first if begin is None else begin
            if since > to:
                raise Refusal(f"--from: {since} is after {to}")
            return await made(connection, since, to), await books.currency(connection)

    report, currency = at_desk(work)
    if as_json:
        print_json(report.to_document(currency))
    else:
        print_report(report, currency)


def print_report(report: Report, currency: str) -> None:
    """A report for people: a section, its lines, its sum; then what was worked out in two ways."""
    span = f"{report.first} to {report.last}" if report.first else f"at the end of {report.last}"
    say(f"{HEADINGS[report.name]}, {span}, in {currency}")
    rows: list[tuple[str, str]] = []
    for section in report.sections:
        rows += [("", ""), (section.name.upper(), "")]
        rows += [(f"  {name}", format_number(amount, currency)) for name, amount in section.lines]
        rows.append(("  sum", format_number(section.total_minor, currency)))
    if report.result_minor is not None:
        rows += [
            ("", ""),
            (
                "RESULT" if report.name != "cash-flow" else "CHANGE",
                format_number(report.result_minor, currency),
            ),
        ]
    print_table(("", "amount"), rows, numbers=("amount",))
    say("")
    for proof in report.proofs:
        say(
            f"agrees  {proof.name}: {format_number(proof.left, currency)} = {format_number(proof.right, currency)}"
        )


@ledger.command("entries")
@click.option("--period", metavar="YYYY-MM", help="Of this month.")
@click.option("--account", help="That touch this account, or one below it: receivable:member.")
@click.option("--kind", help="Of this kind: invoice, charge, result, payment, manual, reversal, …")
@click.option("--member", metavar="MEMBER", help="That touch an account of this member.")
@click.option("--after", type=click.IntRange(min=0), default=0, help="From the entry after this number.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="So many at most."
)
@json_option
@data_option
def entries(
    period: str | None,
    account: str | None,
    kind: str | None,
    member: str | None,
    after: int,
    limit: int,
    as_json: bool,
) -> None:
    """Entries by number; --after the last one shown gives the next page."""
    month = None if period is None else Month.parse(period)

    async def work(desk: Desk) -> tuple[list[Booked], str]:
        async with desk.connected("weir_billing") as connection:
            whose = None if member is None else (await find_member(connection, member)).id
            if whose is not None:
                await desk.note("weir_billing", as_treasurer("look at a member's entries", subject=whose))
            found = await store.entries(
                connection,
                after=after,
                count_max=limit,
                period=month,
                account=account,
                kind=kind,
                member=whose,
            )
            return found, await books.currency(connection)

    found, currency = at_desk(work)
    if as_json:
        print_json({"currency": currency, "entries": [_document(one) for one in found]})
        return
    _print_entries(found, currency)
    if len(found) == limit:
        say(f"there may be more: --after {found[-1].number}")


def _document(one: Booked) -> dict[str, object]:
    document = one.to_document()
    document["booked"] = instant_text(one.booked_us)
    return document


def _print_entries(found: list[Booked], currency: str) -> None:
    rows: list[tuple[object, ...]] = []
    for one in found:
        rows.append((one.number, one.month, one.kind, one.memo, "", ""))
        for side in one.postings:
            amount = format_number(abs(side.amount_minor), currency)
            debit, credit = (amount, "") if side.amount_minor > 0 else ("", amount)
            rows.append(("", "", "", f"  {side.account}", debit, credit))
    print_table(
        ("entry", "period", "kind", "", "debit", "credit"), rows, numbers=("entry", "debit", "credit")
    )


@ledger.command("verify")
@json_option
@data_option
def verify(as_json: bool) -> None:
    """Work every hash out again, from the first entry to the last."""

    async def work(desk: Desk) -> Verified:
        async with desk.connected("weir_billing") as connection:
            with counted("entries") as tell:
                return await books.verify(connection, tell=tell)

    done = at_desk(work)
    if as_json:
        print_json(
            {
                "entries": done.entries, "before_chain": done.before_chain, "digest": done.digest,
                "agrees": not done.faults, "faults": list(done.faults),
                "told": list(done.told),
            }
        )  # fmt: skip
    else:
        for fault in done.faults:
            say(fault)
        say(
            f"{number_of(done.entries, 'entry', 'entries')}, {'every one as it was booked' if not done.faults else 'NOT as they were booked'}"
        )
        say(f"digest {done.digest}")
        for one in done.told:
            say(one)
    if done.faults:
        raise SystemExit(BROKEN)


@ledger.command("reverse")
@click.argument("entry", type=click.IntRange(min=1))
@click.option("--memo", required=True, help="Why.")
@json_option
@data_option
def reverse(entry: int, memo: str, as_json: bool) -> None:
    """Take ENTRY back by its mirror, in its month or the first open one; once. An invoice: see `weir cost add`."""

    async def work(desk: Desk) -> tuple[Booked, str]:
        async with desk.acting(
            "weir_office", as_treasurer(f"reverse entry {entry} of the ledger", detail=memo)
        ) as connection:
            done = await books.reverse(connection, entry, memo=memo, now_us=desk.now_us)
            return done, await books.currency(connection)

    _print_booked(*at_desk(work), as_json=as_json)


@ledger.command("post")
@click.option("--debit", nargs=2, multiple=True, metavar="ACCOUNT AMOUNT", help="Where value goes.")
@click.option("--credit", nargs=2, multiple=True, metavar="ACCOUNT AMOUNT", help="Where it comes from.")
@click.option("--memo", required=True, help="What it is, in a line.")
@click.option("--period", metavar="YYYY-MM", help="The month it belongs to; else this one.")
@click.option("--key", help="A name of your own, so that the same entry is never booked twice.")
@json_option
@data_option
def post(
    debit: tuple[tuple[str, str], ...], credit: tuple[tuple[str, str], ...], memo: str, period: str | None,
    key: str | None, as_json: bool,
) -> None:  # fmt: skip
    """An entry by hand: debits and credits with one sum."""
    month = None if period is None else Month.parse(period)
    sides = [Side(account, amount, is_debit=True) for account, amount in debit]
    sides += [Side(account, amount, is_debit=False) for account, amount in credit]
    named = str(uuid4()) if key is None else key

    async def work(desk: Desk) -> tuple[Booked, str]:
        async with desk.acting(
            "weir_office", as_treasurer("book an entry by hand", detail=memo)
        ) as connection:
            wanted = Month.of(desk.now_us) if month is None else month
            done = await books.post_by_hand(
                connection, sides, period=wanted, memo=memo, key=named, now_us=desk.now_us
            )
            return done, await books.currency(connection)

    booked, unit = at_desk(work)
    _print_booked(booked, unit, as_json=as_json)
    if not as_json:
        tell_of_costs([one.account for one in booked.postings])


def tell_of_costs(accounts: Iterable[str]) -> None:
    """Say where costs by hand count, for it is not where invoices do."""
    for account in sorted({one for one in accounts if one.startswith("cost:")}):
        say(
            f"{account} counts by hand in the year alone; months' statements, pools and prices count invoices "
            "(`weir cost add`)"
        )


def _print_booked(done: Booked, currency: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"currency": currency, **_document(done)})
    else:
        _print_entries([done], currency)


@ledger.command("export")
@click.option(
    "--format", "wanted", type=click.Choice([one.value for one in Format]), required=True, help="For whom."
)
@click.option("--as-of", metavar="YYYY-MM", help="Entries up to the end of this month; else all.")
@click.option(
    "--to", "file", type=click.Path(path_type=Path, dir_okay=False), help="Into FILE; else printed."
)
@data_option
def export(wanted: str, as_of: str | None, file: Path | None) -> None:
    """The whole ledger as a file for hledger, beancount or a spreadsheet."""
    last = Month(9998, 12) if as_of is None else Month.parse(as_of)

    async def work(desk: Desk) -> int:
        await desk.note(
            "weir_billing", as_treasurer("take out the whole ledger, with every member's accounts")
        )
        async with desk.connected("weir_billing") as connection:
            if file is None:
                return await _export(connection, Format(wanted), last, sys.stdout)
            try:
                with file.open("w", encoding="utf-8", newline="") as out:
                    return await _export(connection, Format(wanted), last, out)
            except OSError as error:
                raise Refusal(f"{file} cannot be written: {error.strerror}") from None

    count = at_desk(work)
    if file is not None:
        say(f"{number_of(count, 'entry', 'entries')} in {file}")


async def _export(connection: Connection, wanted: Format, last: Month, out: TextIO) -> int:
    with counted("entries") as tell:
        return await books.export(connection, wanted, last, out, tell=tell)
