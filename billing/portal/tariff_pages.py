"""The treasurer's page of a new tariff: typed, tried on what this month used so far, then put in force.

What is done here is done by the functions of the commands, and stands in the log of acts.
"""

from __future__ import annotations

from aiohttp import web

from billing import run, store
from billing.acts.act import Doing, Office
from billing.charges.tariff import WORDS, Service, Tariff, parse_tariff, tariff_toml
from billing.costs.costing import tariff_in_force
from billing.month.closing import Closing
from billing.pages import render
from billing.portal.desk import PORTAL, html_page
from billing.portal.office import Holder, act_once, form_of, holding, is_sure
from billing.portal.once import form_name
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import Month

TREASURER = Office.TREASURER
TEXT_CHARACTERS_MAX = 8_000
"""What fits a form as portal_body_bytes_max is shipped; a longer file is set at the command line."""

AFTER_DIGITS_MAX = 19


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/treasurer/tariff/new", _form), web.post("/treasurer/tariff/new", _set)]


async def _form(request: web.Request) -> web.Response:
    async with holding(request, TREASURER) as holder:
        context = {"text": await _present(holder), "after": await store.last_tariff(holder.connection)}
    return html_page(
        render("tariff_form.html", visitor=holder.visitor, text_max=TEXT_CHARACTERS_MAX, **context)
    )


async def _present(holder: Holder) -> str:
    """The tariff in force as a file; empty where there is none yet."""
    try:
        return tariff_toml(await tariff_in_force(holder.connection, Month.of(holder.now_us)))
    except Refusal:
        return ""


async def _set(request: web.Request) -> web.Response:
    form = await form_of(request, TREASURER)
    text = form.get("text", "").replace("\r\n", "\n")
    if len(text) > TEXT_CHARACTERS_MAX:
        raise Refusal(
            f"the tariff: more than {TEXT_CHARACTERS_MAX:,} characters, which is for the command line"
        )
    after = _after(form.get("after", ""))
    if not is_sure(form):
        # Worked out from everybody's usage, so one at a time.
        async with request.app[PORTAL].searching, holding(request, TREASURER) as holder:
            wanted = parse_tariff(text)
            await run.refuse_tariff(holder.connection, wanted, after=after)
            context = await _trial(holder, wanted) | {"after": await store.last_tariff(holder.connection)}
        return html_page(
            render("tariff_sure.html", visitor=holder.visitor, text=text, form=form_name(), **context)
        )
    doing = Doing(TREASURER, "tariff set", "put a tariff in force")

    async def put(connection: Connection) -> str:
        done = await run.set_tariff(
            connection, text, now_us=request.app[PORTAL].clock(), after=-1 if after is None else after
        )  # fmt: skip
        doing.what = f"put a tariff in force from {done.effective_from} on"
        return f"/treasurer?tariff={done.effective_from}"

    return await act_once(request, doing, form, put)


def _after(text: str) -> int | None:
    """Which tariff was the last when this one was begun; None where a form does not say."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < AFTER_DIGITS_MAX else None


async def _trial(holder: Holder, wanted: Tariff) -> dict[str, object]:
    """This month so far by the prices in force, and by those that are wanted, everybody together."""
    month, why_not = Month.of(holder.now_us), ""
    present: Closing | None = None
    new: Closing | None = None
    try:
        present = await run.tried(holder.connection, month, None, now_us=holder.now_us)
        new = await run.tried(holder.connection, month, wanted, now_us=holder.now_us)
    except Refusal as refusal:
        why_not = str(refusal)
    return {
        "tariff": wanted, "month": month, "why_not": why_not, "rows": _rows(present, new),
        "present": present, "new": new,
    }  # fmt: skip


def _rows(present: Closing | None, new: Closing | None) -> list[tuple[str, int, int]]:
    """(service in words, charged now, charged then) of all that anybody used."""
    if present is None or new is None:
        return []
    found = [(WORDS[one], present.by_service.get(one, 0), new.by_service.get(one, 0)) for one in Service]
    return [(words, now, then) for words, now, then in found if now or then]
