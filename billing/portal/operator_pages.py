"""The operator's pages: gateways and what they still have to ship, audits, and members' limits, read and set.

To look at one member's use is an act, and stands in the log where that member sees it.
"""

from __future__ import annotations

from aiohttp import web

from billing.acts import store as acts_store
from billing.acts.act import Doing, Office
from billing.acts.run import note
from billing.pages import render
from billing.portal.caps import FIELDS, caps_told, read_caps, typed
from billing.portal.desk import PORTAL, NotFound, html_page
from billing.portal.office import Holder, act_as, form_of, holding, is_sure, to
from billing.portal.operator_store import gateways, limit_of, members_like
from meter.cap_store import caps, sent_in, set_caps, stored_by
from meter.caps import NO_CAPS, Caps, caps_text
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal, UnknownMember
from meter.store import find_member
from meter.usage import Member
from meter.window import Month

OPERATOR = Office.OPERATOR
AUDIT = "audit"
AUDITS_SHOWN = 5
ACTS_SHOWN = 10
MEMBERS_SHOWN = 50
NUMBER = "{number:[0-9]{1,18}}"


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    one = f"/operator/members/{NUMBER}"
    return [
        web.get("/operator", _overview),
        web.get("/operator/members", _members),
        web.get(one, _member),
        web.post(f"{one}/caps", _set_caps),
    ]


async def _overview(request: web.Request) -> web.Response:
    async with holding(request, OPERATOR) as holder:
        connection = holder.connection
        found = await gateways(connection)
        told = {
            "gateways": found, "backlog": sum(one.backlog for one in found),
            "audits": await acts_store.acts(connection, kind=AUDIT, count_max=AUDITS_SHOWN),
            "acts": await acts_store.acts(connection, office=OPERATOR, count_max=ACTS_SHOWN),
        }  # fmt: skip
    return html_page(render("operator.html", visitor=holder.visitor, **told))


async def _members(request: web.Request) -> web.Response:
    """Names alone: whose limits are looked at is a page of its own."""
    name = request.query.get("name", "").strip()[:63]
    async with holding(request, OPERATOR) as holder:
        found = await members_like(holder.connection, name, count_max=MEMBERS_SHOWN + 1)
    context = {"name": name, "found": found[:MEMBERS_SHOWN], "are_more": len(found) > MEMBERS_SHOWN}
    return html_page(render("operator_members.html", visitor=holder.visitor, **context))


async def _found(connection: Connection, number: str) -> Member:
    try:
        return await find_member(connection, number)
    except UnknownMember:
        raise NotFound("there is no such member") from None


async def _member(request: web.Request) -> web.Response:
    async with holding(request, OPERATOR) as holder:
        connection = holder.connection
        found = await _found(connection, request.match_info["number"])
        looking = Doing(OPERATOR, "member show", "look at a member's use and limits", found.id)
        async with connection.transaction():
            told = await _limits(holder, found.id)
            await note(connection, holder.actor, looking, is_done=True, now_us=holder.now_us)
    context = {"member": found, "saved": "saved" in request.query, **told}
    return html_page(render("operator_member.html", visitor=holder.visitor, **context))


async def _limits(holder: Holder, member: MemberId) -> dict[str, object]:
    connection = holder.connection
    own = (await caps(connection, member=member)).get(member, NO_CAPS)
    return {
        "sent": (await sent_in(connection, [member], Month.of(holder.now_us)))[member],
        "stored": (await stored_by(connection, [member]))[member],
        "limit_bytes": await limit_of(connection, member),
        "fields": _fields(own),
    }


def _fields(own: Caps) -> dict[str, str]:
    sizes = (own.egress.soft, own.egress.hard, own.storage.soft, own.storage.hard)
    return {name: typed(size) for name, size in zip(FIELDS, sizes, strict=True)}


async def _set_caps(request: web.Request) -> web.Response:
    form = await form_of(request, OPERATOR)
    number = request.match_info["number"]
    wanted = read_caps(form)
    async with holding(request, OPERATOR) as holder:
        found = await _found(holder.connection, number)
    if not is_sure(form):
        context = {"member": found, "fields": _fields(wanted), "told": caps_told(wanted)}
        return html_page(render("caps_sure.html", visitor=holder.visitor, **context))
    why = " ".join(form.get("why", "").split())[:200]
    if not why:
        raise Refusal("why: say it in a line; the member reads it")
    doing = Doing(
        OPERATOR, "member cap", "set a member's own caps", found.id, f"{caps_text(wanted)}. Why: {why}"
    )
    async with act_as(request, doing) as connection:
        await set_caps(connection, found.id, wanted, now_us=request.app[PORTAL].clock())
    return to(f"/operator/members/{found.id}?saved")
