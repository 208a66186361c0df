"""The treasurer's page of payments to members: who is owed, a batch ordered, what became of it, its list as a file.

Account numbers are sealed, and this portal cannot open them: the bank's own file of a batch is made where the master key is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from aiohttp import web

from billing.acts.act import Doing, Office
from billing.acts.run import note
from billing.governance.typed import read_day
from billing.ledger import books
from billing.money import format_amount, parse_amount
from billing.pages import render
from billing.payments import ordering, store
from billing.payments.store import KeptOrder
from billing.portal.desk import PORTAL, NotFound, download, html_page
from billing.portal.office import Holder, act_once, form_of, holding, is_sure
from billing.portal.once import form_name
from billing.spreadsheet import csv_text
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import to_datetime

TREASURER = Office.TREASURER
ROWS_SHOWN_MAX = 500
COLUMNS = ("batch", "reference", "number", "member", "amount_minor", "currency", "account ends in", "state")


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/treasurer/payments", _payments),
        web.post("/treasurer/payments", _order),
        web.get("/treasurer/payments/{number:[0-9]{1,9}}", _list),
    ]


async def _payments(request: web.Request) -> web.Response:
    """Who is owed how much, by name, so the log says that it was looked at."""
    async with holding(request, TREASURER) as holder:
        connection = holder.connection
        due, left_out = await ordering.who_is_due(connection, minimum_minor=0)
        names = await store.member_names(connection, [one.member for one in due])
        context = {
            "rows": [(names[one.member], one.amount_minor, one.account.last_four) for one in due[:ROWS_SHOWN_MAX]],
            "more": max(0, len(due) - ROWS_SHOWN_MAX), "total": sum(one.amount_minor for one in due),
            "left_out": left_out, "batches": (await store.batches(connection))[::-1],
            "own": await store.own_account(connection), "currency": await books.currency(connection),
            "today": to_datetime(holder.now_us).date(), "ordered": request.query.get("ordered", "")[:9],
        }  # fmt: skip
        await _look(holder)
    return html_page(render("payments.html", visitor=holder.visitor, **context))


async def _look(holder: Holder) -> None:
    """The line in the log of whoever looks at what is owed to whom."""
    doing = Doing(TREASURER, "pay list", "look at who is owed money, and how much")
    await note(holder.connection, holder.actor, doing, is_done=True, now_us=holder.now_us)


async def _order(request: web.Request) -> web.Response:
    form = await form_of(request, TREASURER)
    fields = {name: form.get(name, "").strip() for name in ("on", "minimum")}
    day = read_day(fields["on"], field="on")
    if not is_sure(form):
        async with holding(request, TREASURER) as holder:
            currency = await books.currency(holder.connection)
            minimum = _minimum(fields["minimum"], currency)
            due, left_out = await ordering.who_is_due(holder.connection, minimum_minor=minimum)
            if left_out.without_account or left_out.lost:
                await _look(holder)  # the page names them
        total = sum(one.amount_minor for one in due)
        context = {
            "fields": fields, "day": day, "count": len(due), "total": total, "left_out": left_out,
            "digest": ordering.due_digest(due), "form": form_name(),
        }  # fmt: skip
        return html_page(render("payments_sure.html", visitor=holder.visitor, currency=currency, **context))
    return await _ordered(request, form, day, fields["minimum"])


def _minimum(text: str, currency: str) -> int:
    return parse_amount(text or "0", currency, field="minimum")


async def _ordered(request: web.Request, form: Mapping[str, str], day: date, minimum: str) -> web.Response:
    doing = Doing(TREASURER, "pay export", "order the payment of what is owed to members")

    async def order(connection: Connection) -> str:
        currency = await books.currency(connection)
        done = await ordering.order(
            connection, execute_on=day, minimum_minor=_minimum(minimum, currency),
            now_us=request.app[PORTAL].clock(), shown=form.get("digest", ""),
        )  # fmt: skip
        if done is None:
            raise Refusal("nobody is owed anything that is not ordered already")
        total = format_amount(done.batch.total_minor, currency)
        doing.what = f"order payment batch {done.batch.number}: {done.batch.orders:,} payments, {total}"
        return f"/treasurer/payments?ordered={done.batch.number}"

    return await act_once(request, doing, form, order)


async def _list(request: web.Request) -> web.Response:
    """A batch as rows for a spreadsheet. Who is paid what is in it, so the log says that it was taken out."""
    number = int(request.match_info["number"])
    async with holding(request, TREASURER) as holder:
        connection = holder.connection
        try:
            _, orders, names = await ordering.listed(connection, number)
        except Refusal as refusal:
            raise NotFound(str(refusal)) from None
        currency = await books.currency(connection)
        accounts = await store.accounts_numbered(connection, [one.account for one in orders])
        doing = Doing(TREASURER, "pay list", f"take out the list of payment batch {number}")
        await note(connection, holder.actor, doing, is_done=True, now_us=holder.now_us)
    rows = [
        (
            one.batch, one.end_to_end, int(one.member), names[one.member], one.amount_minor, currency,
            accounts[one.account].last_four, _state(one),
        )
        for one in orders
    ]  # fmt: skip
    return download(csv_text(COLUMNS, rows), f"payments-{number}.csv", "text/csv")


def _state(one: KeptOrder) -> str:
    """What became of it, as far as the bank's statements say."""
    return "waiting" if one.is_waiting else "paid" if one.is_paid else "not paid"
