"""The way in and out over HTTP: links asked for by e-mail, links used, sessions and ways to sign in listed, sessions ended."""

from __future__ import annotations

import secrets

from aiohttp import web

from billing.pages import render
from billing.portal import entry_store, login, passkey_store, store
from billing.portal.desk import PORTAL, NotFound, Portal, client_of, get_of, html_page, visitor_of
from billing.portal.entry import HAPPENED_WORDS, WAY_WORDS
from billing.portal.guard import neighbourhood
from billing.portal.passkey import NAME_CHARACTERS_MAX, place_of
from billing.portal.refusing import look_up, refused
from billing.register.particulars import is_address
from billing.tongue import _
from meter.refusal import Refusal

NUMBER_DIGITS_MAX = 18
LINK_COOKIE_S = 3600
"""For how long a browser may take to press the button of a one-time link and still be known by it."""
LINES_SHOWN_MAX = 30
DONE = ("ended", "added", "removed", "linked", "unlinked")
"""What a page that was just sent on can say has been done."""


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/login", _ask_page),
        web.post("/login", _ask),
        web.get("/login/{token}", _confirm),
        web.post("/login/{token}", _sign_in),
        web.post("/logout", _sign_out),
        web.get("/sessions", _sessions),
        web.post("/sessions/others/end", _end_others),
        web.post("/sessions/{number}/end", _end),
    ]


async def _ask_page(request: web.Request) -> web.Response:
    return _way_in(request.app[PORTAL], asked=False)


def _way_in(portal: Portal, *, asked: bool) -> web.Response:
    place = place_of(portal.settings.portal_url)
    return html_page(
        render(
            "login.html", visitor=None, by_mail=portal.mailer is not None, asked=asked, by_passkey=place is not None,
            outside="" if portal.outside is None else portal.outside.name,
        ),
        has_script=place is not None,
    )  # fmt: skip


async def _ask(request: web.Request) -> web.Response:
    """Note the address and answer; nothing here depends on whether anybody has it."""
    portal = request.app[PORTAL]
    if portal.mailer is None:
        raise Refusal("this co-op sends no links by e-mail; ask whoever runs it for one")
    count_try(request)
    typed = (await request.post()).get("email", "")
    email = typed.strip() if isinstance(typed, str) else ""
    if is_address(email):
        portal.mailer.ask(email)
    return _way_in(portal, asked=True)


async def _confirm(request: web.Request) -> web.Response:
    portal, token = request.app[PORTAL], request.match_info["token"]
    count_try(request)
    async with portal.database() as connection:
        name = await login.whose_link(connection, token, now_us=portal.clock())
    if name is None:
        return await _stale_link(request)
    # Two of one household share a mailbox, and somebody may pass on a link of theirs to be mistaken for another's.
    response = html_page(render("confirm.html", visitor=None, name=name))
    if not request.cookies.get(portal.link_cookie):
        # Strict, though the link came from elsewhere: it is our page's own button that brings it back.
        response.set_cookie(
            portal.link_cookie, secrets.token_urlsafe(login.TOKEN_BYTES), max_age=LINK_COOKIE_S, path=request.path,
            httponly=True, samesite="Strict", secure=portal.is_https,
        )  # fmt: skip
    return response


async def _sign_in(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    count_try(request)
    async with portal.database() as connection:
        session = await login.sign_in(
            connection, request.match_info["token"], portal.settings, now_us=portal.clock(),
            browser=request.cookies.get(portal.link_cookie, ""), address=client_of(request),
            agent=request.headers.get("User-Agent", ""),
        )  # fmt: skip
    if session is None:
        return await _stale_link(request)
    return await signed_in(request, session)


async def signed_in(request: web.Request, session: str) -> web.Response:
    """On to the page that was asked for before, or the first, with the session in its cookie; what was under way is over."""
    portal = request.app[PORTAL]
    asked = await get_of(request, request.cookies.get(portal.onward_cookie, ""))
    response = web.Response(status=303, headers={"Location": asked or "/"})
    response.set_cookie(
        portal.cookie, session, max_age=portal.settings.session_absolute_hours * 3600, path="/", httponly=True,
        samesite="Lax", secure=portal.is_https,
    )  # fmt: skip
    for name in (portal.try_cookie, portal.onward_cookie):
        response.del_cookie(name, path="/", httponly=True, samesite="Lax", secure=portal.is_https)
    return response


def keep_try(response: web.Response, portal: Portal, token: str) -> web.Response:
    """The answer, with what was begun in a cookie of this browser's.

    Lax and not strict: the way back from an outside account begins on another site.
    """
    response.set_cookie(
        portal.try_cookie, token, max_age=portal.settings.entry_try_minutes * 60, path="/", httponly=True,
        samesite="Lax", secure=portal.is_https,
    )  # fmt: skip
    return response


def take_cookie(request: web.Request) -> str:
    """What this browser began; empty where it began nothing."""
    return request.cookies.get(request.app[PORTAL].try_cookie, "")


def count_try(request: web.Request) -> None:
    """Note a try of this address. Raises HTTPTooManyRequests beyond the limit."""
    portal = request.app[PORTAL]
    if not portal.attempts.allow(neighbourhood(client_of(request)), now_us=portal.clock()):
        raise web.HTTPTooManyRequests(reason="Too many tries from your address, wait a minute", headers={})


async def _stale_link(request: web.Request) -> web.Response:
    await look_up(request)
    words = _("This link was used already, or its time is over. Ask for a new one.")
    return await refused(request, words, 410, is_form_dead=True)


async def _sign_out(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    session = request.cookies.get(portal.cookie)
    if session is not None:
        async with portal.database() as connection:
            await login.sign_out(connection, session)
    response = web.Response(status=303, headers={"Location": "/login"})
    response.del_cookie(portal.cookie, path="/", httponly=True, samesite="Lax", secure=portal.is_https)
    return response


async def _sessions(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        now, settings = portal.clock(), portal.settings
        found = await login.sessions(connection, visitor.member, settings, now_us=now)
        passkeys = await passkey_store.passkeys(connection, visitor.member)
        has_account = portal.outside is not None and await entry_store.has_account(
            connection, visitor.member, portal.outside.issuer
        )
        lines = await entry_store.lines(connection, visitor.member, count_max=LINES_SHOWN_MAX)
    place = place_of(settings.portal_url)
    done = next((one for one in DONE if one in request.query), "")
    return html_page(
        render(
            "sessions.html", visitor=visitor, sessions=found, passkeys=passkeys, lines=lines, done=done,
            by_passkey=place is not None, has_room=len(passkeys) < settings.passkeys_per_member_max,
            outside="" if portal.outside is None else portal.outside.name, has_account=has_account,
            name_max=NAME_CHARACTERS_MAX, way_words=WAY_WORDS, happened_words=HAPPENED_WORDS,
        ),
        has_script=place is not None,
    )  # fmt: skip


async def _end(request: web.Request) -> web.Response:
    number = request.match_info["number"]
    if not (number.isascii() and number.isdecimal() and len(number) <= NUMBER_DIGITS_MAX):
        raise NotFound("you have no such session")
    async with request.app[PORTAL].database() as connection:
        visitor = await visitor_of(request, connection)
        if not await store.end_session(connection, visitor.member, int(number)):
            raise NotFound("you have no such session; it may have ended by itself")
    return web.Response(status=303, headers={"Location": "/sessions?ended"})


async def _end_others(request: web.Request) -> web.Response:
    async with request.app[PORTAL].database() as connection:
        visitor = await visitor_of(request, connection)
        await store.end_other_sessions(connection, visitor.member, but=visitor.session)
    return web.Response(status=303, headers={"Location": "/sessions?ended"})
