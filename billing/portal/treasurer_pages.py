"""The treasurer's pages: what is to be done, invoices, a month tried and closed, payments, reports and the ledger.

What is done here is done by the functions of the commands, and stands in the log of acts.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from billing import run, store, year_store
from billing.acts import store as acts_store
from billing.acts.act import Doing, Office
from billing.acts.run import note
from billing.canon import canonical
from billing.charges.tariff import Tariff, tariff_toml
from billing.costs import run as costs_run
from billing.costs.costing import add_cost, booked_words, list_costs, tariff_in_force
from billing.costs.invoices import MEMO_CHARACTERS_MAX, SUPPLIER_CHARACTERS_MAX, Paper, invoice
from billing.costs.variance import by_pool, by_service, collected_by, without_key
from billing.ledger import books
from billing.ledger.export import Format
from billing.ledger.reports import Report
from billing.month.closing import FORMAT, looked_at_digest
from billing.pages import render
from billing.payments import store as payments_store
from billing.portal import treasury
from billing.portal.desk import PORTAL, NotFound, download, html_page, send_file, sentence
from billing.portal.office import Holder, act_as, act_once, form_of, holding, is_sure, to
from billing.portal.once import form_name
from billing.portal.treasury import REPORTS
from billing.year_calendar import fiscal_year_of
from meter.live import unsummed_before
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import stream_places
from meter.window import Month

TREASURER = Office.TREASURER
LEDGER_NAMES = {Format.HLEDGER: "journal", Format.BEANCOUNT: "beancount", Format.CSV: "csv"}
ACTS_SHOWN = 10
BATCHES_SHOWN = 12
YEARS_SHOWN_MAX = 10
FIELDS = ("period", "pool", "amount", "supplier", "dated", "memo")


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/treasurer", _overview),
        web.get("/treasurer/tariff", _tariff),
        web.get("/treasurer/invoices", _invoices),
        web.post("/treasurer/invoices", _add_invoice),
        web.get("/treasurer/months/{month}", _month),
        web.post("/treasurer/months/{month}/close", _close),
        web.get("/treasurer/reports/{report}", _report),
        web.get("/treasurer/ledger", _ledger),
    ]


async def _overview(request: web.Request) -> web.Response:
    # Variance is worked out from everybody's usage, so one at a time.
    async with request.app[PORTAL].searching, holding(request, TREASURER) as holder:
        connection, running = holder.connection, Month.of(holder.now_us)
        last = await store.last_closed(connection)
        due = await run.due_month(connection) or running
        batches = await payments_store.batches(connection)
        told = {
            "running": running, "last": last, "months": treasury.open_months(due, running) or [running],
            "due_is_over": due.end_us <= holder.now_us, "pools": await _pools(connection, due),
            "currency": await store.book_currency(connection), **await _variance(connection, running, holder.now_us),
            "batches": batches[-BATCHES_SHOWN:][::-1], "owed_minor": await payments_store.owed_in_all(connection),
            "acts": await acts_store.acts(connection, office=TREASURER, count_max=ACTS_SHOWN),
            "booked": request.query.get("booked", "")[:12], "closed": request.query.get("closed", "")[:7],
            "formats": list(Format), "reports": REPORTS, "years": await _years(connection, running),
            "new_tariff": request.query.get("tariff", "")[:7],
        }  # fmt: skip
    return html_page(render("treasurer.html", visitor=holder.visitor, **told))


async def _variance(connection: Connection, running: Month, now_us: int) -> dict[str, object]:
    """The tariff, and charges held against costs of the month so far; what cannot be told yet, and why, in its place."""
    told: dict[str, object] = {
        "no_figures": "", "tariff": None, "prices": [], "services": [], "by_pool": [], "without_key": [],
        "charged_minor": 0, "cost_minor": 0,
    }  # fmt: skip
    try:
        figures = await costs_run.figures(connection, running, now_us=now_us)
    except Refusal as refusal:
        return told | {"no_figures": sentence(refusal)}
    told |= {"tariff": figures.tariff, "prices": treasury.prices(figures.tariff)}
    if missing := without_key(figures):
        charged, cost = sum(collected_by(figures).values()), sum(figures.costs.values())
        return told | {"without_key": missing, "charged_minor": charged, "cost_minor": cost}
    return told | {
        "services": treasury.services(by_service(figures)),
        "by_pool": treasury.of_pools(by_pool(figures)),
    }


async def _years(connection: Connection, running: Month) -> list[int]:
    """The fiscal year that runs and those before it, back to the last that is closed, or to the first there was."""
    last = (await fiscal_year_of(connection, running)).number
    founded = (await fiscal_year_of(connection, await year_store.first_month(connection))).number
    first = max(await year_store.closed_years(connection), default=founded)
    return list(range(last, max(first, last - YEARS_SHOWN_MAX) - 1, -1))


async def _pools(connection: Connection, month: Month) -> list[treasury.Pool]:
    """What each pool costs in a month, beside the months before."""
    invoices = {one: await list_costs(connection, one) for one in treasury.looked_back(month)}
    return treasury.pools(month, invoices)


async def _tariff(request: web.Request) -> web.Response:
    async with holding(request, TREASURER) as holder:
        found: Tariff = await tariff_in_force(holder.connection, Month.of(holder.now_us))
    return download(tariff_toml(found), "tariff.toml", "application/toml")


async def _invoices(request: web.Request) -> web.Response:
    async with holding(request, TREASURER) as holder:
        running = Month.of(holder.now_us)
        month = _asked_month(request.query.get("month"), running)
        found = await list_costs(holder.connection, month)
        names = sorted(
            {
                one.pool
                for back in treasury.looked_back(running)
                for one in await list_costs(holder.connection, back)
            }
        )
        context = {
            "month": month, "invoices": found, "pools": names, "fields": dict.fromkeys(FIELDS, "") | {"period": str(month)},
            "memo_max": MEMO_CHARACTERS_MAX, "supplier_max": SUPPLIER_CHARACTERS_MAX,
        }  # fmt: skip
    return html_page(render("invoices.html", visitor=holder.visitor, **context))


def _asked_month(text: str | None, running: Month) -> Month:
    return running if text is None else Month.parse(text)


async def _add_invoice(request: web.Request) -> web.Response:
    form = await form_of(request, TREASURER)
    fields = {name: form.get(name, "").strip() for name in FIELDS}
    month = Month.parse(fields["period"])
    paper, amount = Paper(fields["supplier"], fields["dated"]), treasury.typed_amount(fields["amount"])
    if not is_sure(form):
        async with holding(request, TREASURER) as holder:
            tariff = await tariff_in_force(holder.connection, month)
            asked = invoice(
                month=month, pool=fields["pool"], amount=amount, currency=tariff.currency, memo=fields["memo"],
                booked_us=holder.now_us, paper=paper,
            )  # fmt: skip
            same = treasury.same_as(asked, await list_costs(holder.connection, month))
        context = {"asked": asked, "fields": fields, "same": same, "form": form_name()}
        return html_page(render("invoice_sure.html", visitor=holder.visitor, **context))
    doing = Doing(TREASURER, "cost add", f"book an invoice in pool {fields['pool'][:63]} of {month}")

    async def book(connection: Connection) -> str:
        await store.lock_books(connection)
        before = await list_costs(connection, month)
        booked = await add_cost(
            connection, month=month, pool=fields["pool"], amount=amount, memo=fields["memo"],
            now_us=request.app[PORTAL].clock(), paper=paper,
        )  # fmt: skip
        same = treasury.same_as(booked, before)
        if same is not None and str(same.number) != form.get("same", ""):
            raise Refusal(
                f"invoice {same.number}, booked since you looked, says the same; look again, then book yours if it is"
                " another bill"
            )
        doing.what = booked_words(booked)
        return f"/treasurer?booked={booked.number}"

    return await act_once(request, doing, form, book)


async def _month(request: web.Request) -> web.Response:
    async with request.app[PORTAL].searching, holding(request, TREASURER) as holder:
        month = _of_path(request)
        document, is_closed = await _as_it_stands(holder, month)
        why_not = "" if is_closed else await _why_not(holder, month)
        missing = (
            [] if is_closed else [one for one in await _pools(holder.connection, month) if one.is_missing]
        )
        keyless = await costs_run.keyless_pools(holder.connection, month, document["costs"])
    context = {
        "month": month, "is_closed": is_closed, "why_not": why_not, "missing": missing, "without_key": keyless,
    }  # fmt: skip
    context |= treasury.trial_page(document)
    return html_page(render("month_trial.html", visitor=holder.visitor, **context))


def _of_path(request: web.Request) -> Month:
    try:
        return Month.parse(request.match_info["month"])
    except Refusal as refusal:
        raise NotFound(str(refusal)) from None


async def _as_it_stands(holder: Holder, month: Month) -> tuple[Mapping[str, Any], bool]:
    """The closing as it would be, or was; whether it was."""
    stored = await run.closing_document(holder.connection, month)
    if stored is not None:
        if stored["format"] != FORMAT:
            raise NotFound(f"{month} was closed by an older Weir; `weir bill trial {month}` shows it")
        return stored, True
    done = await run.trial(holder.connection, month, now_us=holder.now_us)
    return done.to_document(), False


async def _why_not(holder: Holder, month: Month) -> str:
    """Why the month cannot be closed now; empty when it can."""
    if holder.now_us < month.end_us:
        return f"{month} is not over yet"
    due = await run.due_month(holder.connection)
    if due is not None and due < month:
        return f"{due} is still open; months are closed in order, so close it first"
    return await _unsummed(holder, month)


async def _unsummed(holder: Holder, month: Month) -> str:
    """Whether records of the month wait on this machine: a bill on part of the usage would be a wrong bill."""
    portal = holder.portal
    places = await stream_places(holder.connection)
    waits = await asyncio.to_thread(
        unsummed_before, portal.journal_directory, places, month.end_us,
        records_max=portal.settings.portal_live_records_max,
    )  # fmt: skip
    if waits is None:
        return (
            "it cannot be told whether the sums have everything of the month; whoever runs the machines can"
        )
    return f"{waits} events of the month are not in the sums yet; try again in a moment" if waits else ""


async def _close(request: web.Request) -> web.Response:
    form = await form_of(request, TREASURER)
    month = _of_path(request)
    seen = form.get("digest", "")
    async with request.app[PORTAL].searching:
        if not is_sure(form):
            async with holding(request, TREASURER) as holder:
                document, is_closed = await _as_it_stands(holder, month)
                why_not = f"{month} is closed already" if is_closed else await _why_not(holder, month)
                missing = [one for one in await _pools(holder.connection, month) if one.is_missing]
                keyless = await costs_run.keyless_pools(holder.connection, month, document["costs"])
            if why_not:
                await _refused(request, month, why_not)
            context = {
                "month": month, "missing": missing, "without_key": keyless, **treasury.trial_page(document),
                "looked_at": looked_at_digest(document),
            }  # fmt: skip
            return html_page(render("close_sure.html", visitor=holder.visitor, **context))
        async with holding(request, TREASURER) as holder:
            why_not = await _unsummed(holder, month)
        if why_not:
            await _refused(request, month, why_not)
        doing = _closing(month)
        async with act_as(request, doing) as connection:
            await store.lock_books(connection)
            before = await run.closing_document(connection, month)
            if before is not None and before["format"] == FORMAT and seen == looked_at_digest(before):
                doing.nothing = True  # Pressed a second time: it is closed as they saw it.
                return to(f"/treasurer?closed={month}")
            done = await run.close(connection, month, now_us=request.app[PORTAL].clock())
            if seen != looked_at_digest(done.to_document()):
                raise Refusal(f"{month} has changed since you looked at it; look again, then close it")
            doing.what = run.closed_words(done)
    return to(f"/treasurer?closed={month}")


def _closing(month: Month) -> Doing:
    return Doing(TREASURER, "bill close", f"close the month {month}")


async def _refused(request: web.Request, month: Month, why_not: str) -> None:
    """A closing that cannot be: said, and logged as one that was tried."""
    async with act_as(request, _closing(month)):
        raise Refusal(why_not)


async def _report(request: web.Request) -> web.Response:
    name = request.match_info["report"]
    if name not in REPORTS:
        raise NotFound("there is no such report")
    async with request.app[PORTAL].searching, holding(request, TREASURER) as holder:
        running = Month.of(holder.now_us)
        last = _asked_month(request.query.get("to"), running)
        begins = (await fiscal_year_of(holder.connection, last)).first
        first = _asked_month(request.query.get("from"), begins)
        if last < first:
            raise Refusal(f"from: {first} is after {last}")
        made = await _made(holder.connection, name, first, last)
        currency = await books.currency(holder.connection)
    if request.query.get("format") == "json":
        text = canonical(made.to_document(currency)) + "\n"
        return download(text, f"{name}-{last}.json", "application/json")
    return download(treasury.report_csv(made, currency), f"{name}-{last}.csv", "text/csv")


async def _made(connection: Connection, name: str, first: Month, last: Month) -> Report:
    match name:
        case "balance-sheet":
            return await books.balance_sheet(connection, last)
        case "income-statement":
            return await books.income_statement(connection, first, last)
        case "cash-flow":
            return await books.cash_flow(connection, first, last)
    return await books.trial_balance(connection, last, by_member=False)


async def _ledger(request: web.Request) -> web.StreamResponse:
    """The whole ledger as a file. Members' accounts are in it, so the log says that it was taken out."""
    asked = request.query.get("format", Format.CSV.value)
    if asked not in set(Format):
        raise Refusal(f"the ledger comes as {', '.join(Format)}, not as '{asked[:20]}'")
    wanted = Format(asked)
    with tempfile.TemporaryFile() as file:
        out = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        async with request.app[PORTAL].searching, holding(request, TREASURER) as holder:
            what = "take out the whole ledger, with every member's accounts"
            await note(
                holder.connection, holder.actor, Doing(TREASURER, "ledger export", what), is_done=True,
                now_us=holder.now_us,
            )  # fmt: skip
            await books.export(holder.connection, wanted, Month(9998, 12), out)
        out.detach()
        return await send_file(request, file, f"ledger.{LEDGER_NAMES[wanted]}", "text/plain")
