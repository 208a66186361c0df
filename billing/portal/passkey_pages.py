"""Passkeys over HTTP: what the script asks for before a device is asked, and the forms it fills in.

All answers to forms are pages, as everywhere; the script gets nothing but what the device is to be asked.
"""

from __future__ import annotations

from aiohttp import web

from billing.portal import passkey_acts
from billing.portal.desk import PORTAL, NotFound, client_of, visitor_of
from billing.portal.entry import Happened
from billing.portal.entry_pages import (
    NUMBER_DIGITS_MAX,
    count_try,
    keep_try,
    signed_in,
    take_cookie,
)
from billing.portal.mailer import Notice
from billing.portal.passkey import Place, place_of, read_name
from meter.refusal import Refusal


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.post("/login/passkey/begin", _begin_old),
        web.post("/login/passkey", _sign_in),
        web.post("/passkeys/begin", _begin_new),
        web.post("/passkeys", _add),
        web.post("/passkeys/{number}/remove", _remove),
    ]


def _place(request: web.Request) -> Place:
    found = place_of(request.app[PORTAL].settings.portal_url)
    if found is None:
        raise Refusal("there are no passkeys at this address; ask for a one-time link")
    return found


async def _begin_old(request: web.Request) -> web.Response:
    portal, place = request.app[PORTAL], _place(request)
    count_try(request)
    async with portal.database() as connection:
        token, wanted = await passkey_acts.ask_for_old(
            connection, place, portal.settings, now_us=portal.clock()
        )
    return keep_try(web.json_response(text=wanted), portal, token)


async def _sign_in(request: web.Request) -> web.Response:
    portal, place = request.app[PORTAL], _place(request)
    count_try(request)
    sent = str((await request.post()).get("credential", ""))
    async with portal.database() as connection:
        session = await passkey_acts.sign_in(
            connection, place, portal.settings, token=take_cookie(request), sent=sent, address=client_of(request),
            agent=request.headers.get("User-Agent", ""), now_us=portal.clock(),
        )  # fmt: skip
    return await signed_in(request, session)


async def _begin_new(request: web.Request) -> web.Response:
    portal, place = request.app[PORTAL], _place(request)
    count_try(request)
    form = await request.post()
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        if "name" in form:
            read_name(form["name"])  # Refused later, the device would keep a key that nobody here knows.
        token, wanted = await passkey_acts.ask_for_new(
            connection, visitor, place, portal.settings, now_us=portal.clock()
        )
    return keep_try(web.json_response(text=wanted), portal, token)


async def _add(request: web.Request) -> web.Response:
    portal, now = request.app[PORTAL], request.app[PORTAL].clock()
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        place = _place(request)
        count_try(request)
        form = await request.post()
        name = await passkey_acts.add(
            connection, visitor, place, portal.settings, token=take_cookie(request),
            sent=str(form.get("credential", "")), typed_name=form.get("name"), address=client_of(request), now_us=now,
        )  # fmt: skip
    if portal.mailer is not None:
        portal.mailer.tell(Notice(visitor.member, Happened.PASSKEY_ADDED, name, now))
    return web.Response(status=303, headers={"Location": "/sessions?added"})


async def _remove(request: web.Request) -> web.Response:
    portal, number = request.app[PORTAL], request.match_info["number"]
    if not (number.isascii() and number.isdecimal() and len(number) <= NUMBER_DIGITS_MAX):
        raise NotFound("you have no such passkey")
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        if not await passkey_acts.remove(
            connection,
            visitor,
            int(number),
            portal.settings,
            address=client_of(request),
            now_us=portal.clock(),
        ):
            raise NotFound("you have no such passkey; it may be removed already")
    return web.Response(status=303, headers={"Location": "/sessions?removed"})
