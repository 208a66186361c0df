"""In which language a page is told, and the switch at its foot.

A member's own choice goes first, then what this browser chose before anybody signed in, then what it asks for, then the
co-op's setting.
"""

from __future__ import annotations

from aiohttp import web

from billing.portal import store
from billing.portal.desk import PORTAL, came_from, maybe_visitor
from billing.tongue import accepted, known
from meter.refusal import Refusal

COOKIE = "weir_language"
KEPT_S = 365 * 24 * 3600


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.post("/language", _choose)]


def language_of(request: web.Request) -> str:
    """What is spoken with whoever asks, before it is known whether they are signed in."""
    return (
        known(request.cookies.get(COOKIE))
        or accepted(",".join(request.headers.getall("Accept-Language", [])))
        or request.app[PORTAL].settings.portal_language
    )


async def _choose(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    back = await came_from(request) or "/"
    chosen = known(str((await request.post()).get("language", "")))
    if chosen is None:
        raise Refusal("language: choose one of those at the foot of the page")
    async with portal.database() as connection:
        visitor = await maybe_visitor(request, connection)
        if visitor is not None:
            await store.set_language(connection, visitor.member, chosen, now_us=portal.clock())
    response = web.Response(status=303, headers={"Location": back})
    response.set_cookie(
        COOKIE, chosen, max_age=KEPT_S, path="/", httponly=True, samesite="Lax", secure=portal.is_https
    )
    return response
