"""Accounts elsewhere over HTTP: off to the provider, back with a code; linked by a member who is signed in, unlinked.

What is begun is begun by a form of ours, never by a link: so no other site can have a member link an account.
"""

from __future__ import annotations

from aiohttp import web

from billing.pages import render
from billing.portal import account, entry_store, login
from billing.portal.desk import PORTAL, NotFound, client_of, html_page, maybe_visitor, visitor_of
from billing.portal.entry import Happened, Purpose, Way
from billing.portal.entry_pages import count_try, keep_try, signed_in, take_cookie
from billing.portal.login import Visitor
from billing.portal.mailer import Notice
from billing.portal.passkey_acts import STALE
from billing.portal.provider import BACK, Outside
from meter.refusal import Refusal

CODE_CHARACTERS_MAX = 4096


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.post("/login/account", _begin),
        web.get(BACK, _back),
        web.post("/account", _begin_link),
        web.post("/account/unlink", _unlink),
    ]


def _outside(request: web.Request) -> Outside:
    found = request.app[PORTAL].outside
    if found is None:
        raise NotFound("this co-op knows no accounts elsewhere; ask for a one-time link")
    return found


async def _begin(request: web.Request) -> web.Response:
    outside = _outside(request)
    count_try(request)
    return await _off(request, outside, Purpose.ACCOUNT, visitor=None)


async def _begin_link(request: web.Request) -> web.Response:
    portal, outside = request.app[PORTAL], _outside(request)
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
    if visitor.has_left:
        raise Refusal("you have left, and accounts elsewhere end with the membership; one-time links go on")
    count_try(request)
    return await _off(request, outside, Purpose.NEW_ACCOUNT, visitor=visitor)


async def _off(
    request: web.Request, outside: Outside, purpose: Purpose, *, visitor: Visitor | None
) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        token = await login.begin_try(
            connection, purpose, portal.settings, now_us=portal.clock(),
            session=None if visitor is None else visitor.session,
        )  # fmt: skip
    # Without a connection in hand: the provider may take its time.
    url = await outside.where_to(token)
    # A page and not a redirect: our policy lets forms lead to ourselves alone, and browsers hold redirects to it too.
    return keep_try(
        html_page(render("onward.html", visitor=visitor, url=url, to=outside.name)), portal, token
    )


async def _back(request: web.Request) -> web.Response:
    portal, outside, token = request.app[PORTAL], _outside(request), take_cookie(request)
    count_try(request)
    query, now = request.query, portal.clock()
    if not account.is_state(query.get("state", ""), token=token):
        raise Refusal(STALE)
    async with portal.database() as connection:
        visitor = await maybe_visitor(request, connection)
        is_entry = await login.take_try(connection, token, Purpose.ACCOUNT, now_us=now)
        is_link = visitor is not None and await login.take_try(
            connection, token, Purpose.NEW_ACCOUNT, session=visitor.session, now_us=now
        )
    if not (is_entry or is_link):
        raise Refusal(STALE)
    code = query.get("code", "")
    # RFC 9207: a provider that says who it is must be the one we asked.
    if query.get("iss", outside.issuer) != outside.issuer or not 1 <= len(code) <= CODE_CHARACTERS_MAX:
        raise Refusal("the other site did not sign you in; try again, or ask for a one-time link")
    subject = await outside.subject_of(code, token)
    if is_link and visitor is not None:
        return await _link(request, outside, visitor, subject)
    return await _sign_in(request, outside, subject)


async def _sign_in(request: web.Request, outside: Outside, subject: str) -> web.Response:
    portal, now = request.app[PORTAL], request.app[PORTAL].clock()
    async with portal.database() as connection, connection.transaction():
        member = await entry_store.member_of_account(connection, outside.issuer, subject, now_us=now)
        if member is None:
            raise Refusal(
                "this account is linked to no membership; sign in with a one-time link, and link it under Membership"
            )
        session = await login.begin_session(
            connection, member, portal.settings, way=Way.ACCOUNT, name=outside.name, address=client_of(request),
            agent=request.headers.get("User-Agent", ""), now_us=now,
        )  # fmt: skip
    return await signed_in(request, session)


async def _link(request: web.Request, outside: Outside, visitor: Visitor, subject: str) -> web.Response:
    portal, now = request.app[PORTAL], request.app[PORTAL].clock()
    async with portal.database() as connection, connection.transaction():
        if not await entry_store.link_account(
            connection, visitor.member, outside.issuer, subject, now_us=now
        ):
            raise Refusal(
                "this account is linked already, or your membership has another one; unlink that first"
            )
        await login.note(
            connection, visitor.member, Happened.ACCOUNT_LINKED, portal.settings, name=outside.name,
            address=client_of(request), now_us=now,
        )  # fmt: skip
    if portal.mailer is not None:
        portal.mailer.tell(Notice(visitor.member, Happened.ACCOUNT_LINKED, outside.name, now))
    return web.Response(status=303, headers={"Location": "/sessions?linked"})


async def _unlink(request: web.Request) -> web.Response:
    portal, outside, now = request.app[PORTAL], _outside(request), request.app[PORTAL].clock()
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        async with connection.transaction():
            if not await entry_store.unlink_account(connection, visitor.member, outside.issuer):
                raise NotFound("you have no linked account")
            await login.note(
                connection, visitor.member, Happened.ACCOUNT_UNLINKED, portal.settings, name=outside.name,
                address=client_of(request), now_us=now,
            )  # fmt: skip
    return web.Response(status=303, headers={"Location": "/sessions?unlinked"})
