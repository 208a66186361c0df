"""Members' own keys over HTTP: listed, made, rotated, revoked. A secret is in one answer and nowhere else.

For seconds the same form is answered with it again, because a browser shows the second answer to a button pressed twice.
"""

from __future__ import annotations

from aiohttp import web

from billing.pages import render
from billing.portal import key_acts, key_store, keys
from billing.portal.clients import settings_of
from billing.portal.desk import PORTAL, Portal, html_page, visitor_of
from billing.portal.just_made import as_sent
from billing.portal.key_acts import NewKey
from billing.portal.login import Visitor
from meter.credentials import new_access_key


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/keys", _keys),
        web.post("/keys", _make),
        web.post("/keys/{access_key}/rotate", _rotate),
        web.post("/keys/{access_key}/revoke", _revoke),
    ]


async def _keys(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    listed_max = portal.settings.portal_usage_rows_max
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        found = await key_store.own_keys(connection, visitor.member, count_max=listed_max)
        buckets = await key_store.live_buckets(connection, visitor.member, count_max=listed_max)
    now = portal.clock()
    # A name for each form: one that is sent twice makes one key.
    opening = [one for one in found if one.is_open(now) and not visitor.has_left]
    shown = [(one, new_access_key()) for one in opening]
    return html_page(
        render(
            "keys.html", visitor=visitor, open_keys=shown, closed=[one for one in found if one not in opening],
            buckets=buckets, name=new_access_key(), expiries=keys.EXPIRIES, overlaps=keys.OVERLAPS,
            revoked="revoked" in request.query, now_us=now,
        )
    )  # fmt: skip


async def _make(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        form = await request.post()
        own = await key_store.live_buckets(
            connection, visitor.member, count_max=portal.settings.portal_usage_rows_max
        )
        named = [one for one in form.getall("buckets", []) if isinstance(one, str) and one]
        wanted = keys.read_wanted(form, named, own, now_us=portal.clock())
        now = portal.clock()
        made: NewKey = await portal.told_once.once(
            lambda: key_acts.make_key(portal, connection, visitor.member, wanted, now_us=now),
            member=visitor.member, form=f"key {as_sent(form)}", now_us=now,
        )  # fmt: skip
    return _shown(portal, visitor, made)


async def _rotate(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    now = portal.clock()
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        form = await request.post()
        access_key, ends_us = keys.read_name(form), keys.read_end(form, now_us=now)
        old = request.match_info["access_key"]
        made: NewKey = await portal.told_once.once(
            lambda: key_acts.rotate_key(
                portal, connection, visitor.member, old, access_key, ends_us=ends_us, now_us=now
            ),
            member=visitor.member, form=f"after {old[:40]} {as_sent(form)}", now_us=now,
        )  # fmt: skip
    return _shown(portal, visitor, made)


async def _revoke(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        name, now = request.match_info["access_key"], portal.clock()
        await key_acts.revoke_key(connection, visitor.member, name, now_us=now)
    return web.Response(status=303, headers={"Location": "/keys?revoked"})


def _shown(portal: Portal, visitor: Visitor, made: NewKey) -> web.Response:
    settings = portal.settings
    clients = settings_of(
        endpoint=settings.gateway_url or "http://127.0.0.1:9000",
        region=settings.region,
        access_key=made.access_key,
        secret_key=made.secret,
    )
    return html_page(
        render(
            "new_key.html", visitor=visitor, access_key=made.access_key, secret=made.secret, bounds=made.bounds,
            clients=clients, old=made.old, old_ends_us=made.old_ends_us,
        )
    )  # fmt: skip
