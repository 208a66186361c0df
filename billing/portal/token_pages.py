"""Members' tokens for the API over HTTP: listed, made, revoked. A token is in one answer and nowhere else.

For seconds the same form is answered with it again, because a browser shows the second answer to a button pressed twice.
"""

from __future__ import annotations

from aiohttp import web

from billing.pages import render
from billing.portal import bearer, token_store
from billing.portal.desk import PORTAL, NotFound, Portal, html_page, visitor_of
from billing.portal.just_made import as_sent
from billing.portal.login import Visitor
from billing.portal.once import NAME, form_name
from billing.portal.tokens import EXPIRIES, NAME_CHARACTERS_MAX, SCOPE_WORDS, read_wanted
from billing.tongue import _, many
from meter.postgres import Connection


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/tokens", _tokens),
        web.post("/tokens", _make),
        web.post("/tokens/{token}/revoke", _revoke),
    ]


async def _tokens(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        return await _page(portal, connection, visitor, made=None, revoked="revoked" in request.query)


async def _make(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    now = portal.clock()
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        form = await request.post()
        wanted = read_wanted(
            form.get("name"), form.getall("scopes", []), form.get("expires_days"),
            days_max=portal.settings.api_token_days_max, now_us=now,
        )  # fmt: skip
        name = form.get(NAME)
        made: str = await portal.told_once.once(
            lambda: bearer.make_token(connection, visitor.member, wanted, portal.settings, now_us=now),
            member=visitor.member, form=f"token {as_sent(form)}" if name else "", now_us=now,
        )  # fmt: skip
        return await _page(portal, connection, visitor, made=made, revoked=False)


async def _revoke(request: web.Request) -> web.Response:
    portal, token = request.app[PORTAL], request.match_info["token"][:40]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        if not await token_store.revoke_token(connection, visitor.member, token, now_us=portal.clock()):
            raise NotFound("you have no such open token")
    return web.Response(status=303, headers={"Location": "/tokens?revoked"})


async def _page(
    portal: Portal, connection: Connection, visitor: Visitor, *, made: str | None, revoked: bool
) -> web.Response:
    found = await token_store.tokens(connection, visitor.member)
    now, days_max = portal.clock(), portal.settings.api_token_days_max
    opening = [one for one in found if one.is_open(now) and not visitor.has_left]
    return html_page(
        render(
            "tokens.html", visitor=visitor, form=form_name(), made=made, revoked=revoked, scopes=SCOPE_WORDS,
            expiries=[(days, _(words)) for days, words in EXPIRIES if days <= days_max] or [(days_max, many("in {number} day", "in {number} days", number=days_max))],
            name_max=NAME_CHARACTERS_MAX, open_tokens=opening,
            closed=[one for one in found if one not in opening], now_us=now,
        )
    )  # fmt: skip
