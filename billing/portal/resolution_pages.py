"""The board's page on which a resolution is entered: typed, looked at, and then in the books for good."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from billing.acts.act import Doing, Office
from billing.governance import run
from billing.governance.decisions import Body, Resolution
from billing.governance.typed import typed_resolution
from billing.pages import render
from billing.portal.desk import PORTAL, html_page
from billing.portal.office import act_once, form_of, holding, is_sure
from billing.portal.once import form_name
from billing.portal.proposals import KINDS
from billing.voting import store as voting_store
from meter.postgres import Connection

BOARD = Office.BOARD
FIELDS = ("body", "kind", "decided", "text", "in_favour", "against", "abstained", "quorum", "calc_hash")
PROPOSALS_SHOWN = 100
TEXT_CHARACTERS_MAX = 4_000
"""What fits a form as portal_body_bytes_max is shipped; a longer one is entered at the command line."""


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/board/resolutions", _form), web.post("/board/resolutions", _enter)]


async def _form(request: web.Request) -> web.Response:
    async with holding(request, BOARD) as holder:
        waiting = await voting_store.proposals(holder.connection, count_max=PROPOSALS_SHOWN)
        resolutions = await voting_store.resolutions_of(holder.connection, [one.number for one in waiting])
        adopted = await voting_store.adopted_ones(holder.connection, [one.number for one in waiting])
    rows = [one for one in waiting if adopted.get(one.number) and one.number not in resolutions]
    context = {
        "kinds": KINDS,
        "bodies": list(Body),
        "text_max": TEXT_CHARACTERS_MAX,
        "adopted": rows,
        "form": form_name(),
    }
    entered = request.query.get("entered", "")[:20]
    return html_page(render("resolution_form.html", visitor=holder.visitor, entered=entered, **context))


async def _enter(request: web.Request) -> web.Response:
    form = await form_of(request, BOARD)
    fields = {name: form.get(name, "") for name in FIELDS}
    async with holding(request, BOARD) as holder:
        asked = typed_resolution(fields, who=holder.visitor.name, recorded_us=holder.now_us)
        if not is_sure(form):
            await run.check(holder.connection, asked, now_us=holder.now_us)
            context = {
                "asked": asked,
                "fields": fields,
                "about": KINDS[asked.kind.value],
                "form": form_name(),
            }
            return html_page(render("resolution_sure.html", visitor=holder.visitor, **context))
    return await _entered(request, form, asked)


async def _entered(request: web.Request, form: Mapping[str, str], asked: Resolution) -> web.Response:
    body = asked.body.value
    words = f"enter a resolution of the {body} of {asked.decided_on}"
    doing = Doing(BOARD, "resolution add", words)

    async def enter(connection: Connection) -> str:
        await run.check(connection, asked, now_us=request.app[PORTAL].clock())
        entered = await run.enter(connection, asked)
        doing.what = f"enter resolution {entered.id} of the {body}"
        return f"/board/resolutions?entered={entered.id}"

    return await act_once(request, doing, form, enter)
