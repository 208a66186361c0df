"""weir cost: what the co-op itself was billed, its papers, and whether charges cover it."""

from __future__ import annotations

from pathlib import Path

import click

from billing.costs import run as costs_run
from billing.costs.costing import add_cost, booked_words, credits_of_invoice, list_costs, show_cost
from billing.costs.invoices import Invoice, Paper
from billing.costs.variance import MonthFigures, Row, added_up, by_pool, by_service
from billing.documents import fetch, keep
from billing.money import format_amount
from billing.year_calendar import fiscal_year_of
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk, ship_up_to_now
from deploy.instants import instant_text
from deploy.output import print_json, print_table, say
from meter.refusal import Refusal
from meter.window import Month

Credited = tuple[list[tuple[int, Month, int]], int | None]
"""Credit notes by number, month and amount, and what they leave of the invoice."""
Part = tuple[Month, list[Row], list[Row]]
"""A month, its rows by service, its rows by pool."""


def document(invoice: Invoice) -> dict[str, object]:
    """An invoice as JSON; the amount in minor units."""
    paper = invoice.document
    return {
        "number": invoice.number,
        "period": str(invoice.month),
        "pool": invoice.pool,
        "amount_minor": invoice.amount_minor,
        "currency": invoice.currency,
        "memo": invoice.memo,
        "booked": instant_text(invoice.booked_us),
        "supplier": invoice.supplier,
        "dated": None if invoice.dated is None else str(invoice.dated),
        "service": None if invoice.service is None else [str(day) for day in invoice.service],
        "credits": invoice.credits,
        "document": None
        if paper is None
        else {"sha256": paper.sha256, "name": paper.name, "size_bytes": paper.size_bytes},
    }


@click.group()
def cost() -> None:
    """Invoices the co-op received, booked to cost pools."""


@cost.command("add")
@click.option("--period", required=True, metavar="YYYY-MM", help="The month it belongs to.")
@click.option("--pool", required=True, help="Small letters, digits and '-': transit, power, disks.")
@click.option("--amount", required=True, help="In the co-op's currency, for example 412.00.")
@click.option("--memo", default="", help="What it was for.")
@click.option("--supplier", default="", help="Who sent it.")
@click.option("--date", "dated", default="", metavar="YYYY-MM-DD", help="The date on the invoice.")
@click.option(
    "--service", default="", metavar="FROM..TO", help="What it pays for, spread by days: 2026-01..2026-12."
)
@click.option("--credits", "credited", type=int, metavar="N", help="A credit note that takes invoice N back.")
@click.option("--document", "file", type=click.Path(path_type=Path), metavar="FILE", help="The paper, kept.")
@json_option
@data_option
def add(
    period: str, pool: str, amount: str, memo: str, supplier: str, dated: str, service: str, credited: int | None,
    file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Book an invoice, or with --credits a credit note, whose amount is below zero."""
    month = Month.parse(period)

    async def work(desk: Desk) -> Invoice:
        kept = None
        if file is not None:
            kept = keep(desk.data, file, bytes_max=desk.billing.paper_bytes_max)
        act = as_treasurer(f"book an invoice in pool {pool} of {month}")
        async with desk.acting("weir_office", act) as connection:
            booked = await add_cost(
                connection, month=month, pool=pool, amount=amount, memo=memo, now_us=desk.now_us,
                paper=Paper(supplier, dated, service, credited, kept),
            )  # fmt: skip
            act.what = booked_words(booked)
            return booked

    booked = at_desk(work)
    if as_json:
        print_json(document(booked))
        return
    word = "invoice" if booked.credits is None else f"credit note of invoice {booked.credits}, number"
    amount_text = format_amount(booked.amount_minor, booked.currency)
    say(f"{word} {booked.number}: {amount_text} in pool {booked.pool} of {booked.month}")
    if booked.document is not None:
        say(f"document {booked.document.name}, SHA-256 {booked.document.sha256}")


@cost.command("list")
@click.option("--period", metavar="YYYY-MM", help="Only what this month bears.")
@json_option
@data_option
def list_(period: str | None, as_json: bool) -> None:
    """All invoices, or what one month bears of them."""
    month = None if period is None else Month.parse(period)

    async def work(desk: Desk) -> list[Invoice]:
        async with desk.connected("weir_billing") as connection:
            return list(await list_costs(connection, month))

    invoices = at_desk(work)
    if as_json:
        print_json({"invoices": [document(one) for one in invoices]})
    else:
        rows = [
            (one.number, one.month, one.pool, format_amount(one.amount_minor, one.currency), one.supplier, one.memo)
            for one in invoices
        ]  # fmt: skip
        columns = ("number", "period", "pool", "amount", "supplier", "memo")
        print_table(columns, rows, numbers=("number", "amount"))


@cost.command("show")
@click.argument("number", type=int)
@json_option
@data_option
def show(number: int, as_json: bool) -> None:
    """Invoice NUMBER with its document, the months that bear it, its credit notes and what they leave."""

    async def work(desk: Desk) -> tuple[Invoice, dict[Month, int], Credited]:
        async with desk.connected("weir_billing") as connection:
            return *await show_cost(connection, number), await credits_of_invoice(connection, number)

    found, parts, (notes, left) = at_desk(work)
    if as_json:
        by_month = {str(month): amount for month, amount in parts.items()}
        told = [{"number": one, "period": str(month), "amount_minor": minor} for one, month, minor in notes]
        print_json({**document(found), "parts_minor": by_month, "credit_notes": told, "left_minor": left})
        return
    _print_invoice(found, parts, (notes, left))


def _print_invoice(found: Invoice, parts: dict[Month, int], credited: Credited) -> None:
    notes, left = credited
    rows = [
        (name, value)
        for name, value in document(found).items()
        if value and name not in ("amount_minor", "document", "service")
    ]
    if found.service is not None:
        rows.append(("service", f"{found.service[0]} to {found.service[1]}"))
    rows.append(("amount", format_amount(found.amount_minor, found.currency)))
    if found.document is not None:
        rows += [("document", found.document.name), ("SHA-256", found.document.sha256)]
    rows += [(f"part of {month}", format_amount(amount, found.currency)) for month, amount in parts.items()]
    rows += [
        (f"credit note {one}, of {month}", format_amount(minor, found.currency))
        for one, month, minor in notes
    ]
    if notes and left is not None:
        rows.append(("left of it", format_amount(left, found.currency)))
    print_table(("", " "), [(name, str(value)) for name, value in rows])


@cost.command("document")
@click.argument("number", type=int)
@click.option(
    "--to", "target", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Where to."
)
@data_option
def document_(number: int, target: Path) -> None:
    """Copy the document of invoice NUMBER out, once its SHA-256 is the one that was booked."""

    async def work(desk: Desk) -> bytes:
        async with desk.connected("weir_billing") as connection:
            found, _ = await show_cost(connection, number)
        if found.document is None:
            raise Refusal(f"invoice {number} has no document")
        return fetch(desk.data, found.document)

    content = at_desk(work)
    try:
        with target.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise Refusal(f"{target} cannot be written: {error.strerror}") from None
    say(f"{target}: {len(content):,} bytes, as booked")


@cost.command("variance")
@click.option("--month", "text", metavar="YYYY-MM", help="Up to this month; the running one if not given.")
@click.option(
    "--since", metavar="YYYY-MM", help="Added up from here on; since its fiscal year began if not given."
)
@json_option
@data_option
def variance(text: str | None, since: str | None, as_json: bool) -> None:
    """What was charged less what it cost, by service and by pool, of a month and added up."""

    async def work(desk: Desk) -> list[MonthFigures]:
        await ship_up_to_now(desk)
        last = Month.of(desk.now_us) if text is None else Month.parse(text)
        begun = None if since is None else Month.parse(since)
        found = []
        async with desk.connected("weir_billing") as connection:
            month = (await fiscal_year_of(connection, last)).first if begun is None else begun
            if last < month:
                raise Refusal(f"since: {month} is after {last}")
            while month <= last:
                if month == last or await list_costs(connection, month):
                    found.append(await costs_run.figures(connection, month, now_us=desk.now_us))
                month = month.next()
        return found

    months = at_desk(work)
    parts: list[Part] = [(one.month, by_service(one), by_pool(one)) for one in months]
    if as_json:
        print_json({"currency": months[-1].tariff.currency, **_variance_document(parts)})
    else:
        _print_variance(parts, months[-1].tariff.currency)


def _variance_document(parts: list[Part]) -> dict[str, object]:
    month, services, pools = parts[-1]
    return {
        "month": str(month),
        "since": str(parts[0][0]),
        "services": _rows_document(services),
        "pools": _rows_document(pools),
        "services_added_up": _rows_document(added_up(one[1] for one in parts)),
        "pools_added_up": _rows_document(added_up(one[2] for one in parts)),
    }


def _rows_document(rows: list[Row]) -> list[dict[str, object]]:
    return [
        {"name": one.name, "collected_minor": one.collected_minor, "cost_minor": one.cost_minor,
         "difference_minor": one.difference_minor, "flagged": one.is_flagged}
        for one in rows
    ]  # fmt: skip


def _print_variance(parts: list[Part], currency: str) -> None:
    month, services, pools = parts[-1]
    for title, now, sums in (
        ("service", services, added_up(one[1] for one in parts)),
        ("pool", pools, added_up(one[2] for one in parts)),
    ):
        this = {one.name: one for one in now}
        rows = []
        for one in sums:
            own = this.get(one.name, Row(one.name, 0, 0))
            amounts = (own.collected_minor, own.cost_minor, own.difference_minor, one.difference_minor)
            rows.append((
                one.name, *(format_amount(amount, currency) for amount in amounts),
                "more than 5 %" if one.is_flagged else "",
            ))  # fmt: skip
        since = f"difference since {parts[0][0]}"
        columns = (title, f"charged {month}", "cost", "difference", since, " ")
        print_table(columns, rows, numbers=columns[1:5])
        say("")
