"""The treasurer's page of a fiscal year: what is missing, the trial with what was decided for it, and its closing.

What is done here is done by the functions of the commands, and stands in the log of acts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from billing import store, year_run
from billing.acts.act import Doing, Office
from billing.governance import store as governance_store
from billing.governance.decisions import Resolution
from billing.pages import render
from billing.portal.desk import PORTAL, NotFound, html_page
from billing.portal.office import Holder, act_as, act_once, form_of, holding, is_sure
from billing.portal.once import form_name
from billing.portal.treasury import year_rows
from billing.year.fiscal import parse_year
from billing.year_calendar import fiscal_year
from billing.year_gather import Options
from billing.year_run import DECIDING, YearDone
from billing.year_statement import FINAL
from billing.year_typed import typed_options
from meter.postgres import Connection
from meter.refusal import Refusal

TREASURER = Office.TREASURER
FIELDS = ("put_aside", "set_off", "withhold", "reference_rate")
PUT_ASIDE_MAX = 50


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    one = "/treasurer/years/{year:[0-9]{4}}"
    return [web.get(one, _year), web.post(f"{one}/close", _close)]


async def _year(request: web.Request) -> web.Response:
    fields = _fields(request.query)
    async with request.app[PORTAL].searching, holding(request, TREASURER) as holder:
        number = _of_path(request)
        options = await _options(holder.connection, fields)
        done = await _tried(holder, number, options)
        why_not = "" if done.kind == FINAL else await _why_not(holder, number)
        resolutions = await _deciding(holder.connection)
    context = {
        "number": number,
        "fields": fields,
        "why_not": why_not,
        "resolutions": resolutions,
        **_told(done),
    }
    closed = "closed" in request.query
    return html_page(render("year_trial.html", visitor=holder.visitor, closed=closed, **context))


def _of_path(request: web.Request) -> int:
    try:
        return parse_year(request.match_info["year"])
    except Refusal as refusal:
        raise NotFound(str(refusal)) from None


async def _tried(holder: Holder, number: int, options: Options) -> YearDone:
    return await year_run.trial(holder.connection, number, options, now_us=holder.now_us)


def _fields(typed: Mapping[str, str]) -> dict[str, str]:
    return {name: typed.get(name, "").replace("\r\n", "\n").strip() for name in FIELDS}


async def _options(connection: Connection, fields: Mapping[str, str]) -> Options:
    """What was decided for the one year. Raises Refusal naming the field."""
    currency = await store.book_currency(connection)
    if currency is None:
        raise Refusal("there is no tariff yet, and so no currency")
    lines = [one.strip() for one in fields["put_aside"].splitlines() if one.strip()]
    if len(lines) > PUT_ASIDE_MAX:
        raise Refusal(f"put-aside: {len(lines)} lines, and {PUT_ASIDE_MAX} are the most")
    return typed_options(
        currency, put_aside=lines, set_off=fields["set_off"] == "yes", withhold=fields["withhold"] == "yes",
        reference_rate=fields["reference_rate"] or None,
    )  # fmt: skip


async def _why_not(holder: Holder, number: int) -> str:
    """Why the year cannot be closed now; empty when it can."""
    year = await fiscal_year(holder.connection, number)
    try:
        await year_run.refuse_open(holder.connection, year, now_us=holder.now_us)
    except Refusal as refusal:
        return str(refusal)
    return ""


async def _deciding(connection: Connection) -> Sequence[Resolution]:
    """Resolutions that a year can be closed by, the newest first."""
    return [one for one in await governance_store.resolutions(connection) if one.kind in DECIDING][::-1]


def _told(done: YearDone) -> dict[str, Any]:
    page, closing = done.page, done.closing
    told = {"page": page, "is_closed": done.kind == FINAL, "shares": None, "warnings": done.warnings()}
    if closing is not None:
        own = closing.settlements
        told["shares"] = {
            "members": len(closing.roll.people), "amount": sum(own.amounts),
            "cash": sum(one.cash_minor for one in own), "retained": sum(one.retained_minor for one in own),
        }  # fmt: skip
    return told | year_rows(page)


async def _close(request: web.Request) -> web.Response:
    form, number = await form_of(request, TREASURER), _of_path(request)
    fields, wanted = _fields(form), form.get("resolution", "")[:40]
    doing = Doing(TREASURER, "year close", f"close the fiscal year {number}")
    async with request.app[PORTAL].searching:
        if not is_sure(form):
            async with holding(request, TREASURER) as holder:
                why_not = await _why_not(holder, number)
            if why_not:
                async with act_as(request, doing):
                    raise Refusal(why_not)
            async with holding(request, TREASURER) as holder:
                decided = await year_run.deciding(holder.connection, wanted)
                done = await _tried(holder, number, await _options(holder.connection, fields))
            context = {
                "number": number,
                "fields": fields,
                "decided": decided,
                "form": form_name(),
                **_told(done),
            }
            return html_page(render("year_sure.html", visitor=holder.visitor, **context))

        async def close(connection: Connection) -> str:
            doing.what = f"close the fiscal year {number} by resolution {wanted}"
            options = await _options(connection, fields)
            now_us = request.app[PORTAL].clock()
            done = await year_run.close(connection, number, options, resolution=wanted, now_us=now_us)
            if done.page["digest"] != form.get("digest", ""):
                raise Refusal(
                    f"the fiscal year {number} has changed since you looked at it; look again, then close it"
                )
            return f"/treasurer/years/{number}?closed"

        return await act_once(request, doing, form, close)
