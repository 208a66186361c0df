"""Members' own keys over HTTP: listed, made, rotated, revoked. A secret is in one answer, once, and nowhere else."""

from __future__ import annotations

from aiohttp import web

from billing.pages import render
from billing.portal import key_store, keys
from billing.portal.clients import settings_of
from billing.portal.desk import PORTAL, NotFound, Portal, html_page, visitor_of
from billing.portal.keys import Bounds, KeyLine
from billing.portal.login import Visitor
from meter.credentials import new_access_key, new_secret_key, seal_to
from meter.postgres import Connection
from meter.refusal import Refusal


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
    shown = [(one, new_access_key()) for one in found if one.is_open(now)]
    return html_page(
        render(
            "keys.html", visitor=visitor, open_keys=shown, closed=[one for one in found if not one.is_open(now)],
            buckets=buckets, name=new_access_key(), expiries=keys.EXPIRIES, overlaps=keys.OVERLAPS,
            revoked="revoked" in request.query,
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
        secret = await _enter(portal, connection, visitor, wanted.access_key, wanted.bounds)
    return _shown(portal, visitor, wanted.access_key, secret, wanted.bounds, old=None, old_ends_us=None)


async def _rotate(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    now = portal.clock()
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        form = await request.post()
        access_key, ends_us = keys.read_name(form), keys.read_end(form, now_us=now)
        async with connection.transaction():
            old = await _own(request, connection, visitor)
            if not old.is_open(now):
                raise Refusal("this key is closed already, so there is nothing to rotate; make a new one")
            bounds = keys.renewed(old, now_us=now)
            secret = await _enter(portal, connection, visitor, access_key, bounds)
            if ends_us <= now:
                await key_store.revoke_key(connection, visitor.member, old.access_key, now_us=now)
            else:
                await key_store.end_key(connection, visitor.member, old.access_key, expires_us=ends_us)
    until = None if ends_us <= now else min(ends_us, old.bounds.expires_us or ends_us)
    return _shown(portal, visitor, access_key, secret, bounds, old=old, old_ends_us=until)


async def _revoke(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        old = await _own(request, connection, visitor)
        await key_store.revoke_key(connection, visitor.member, old.access_key, now_us=portal.clock())
    return web.Response(status=303, headers={"Location": "/keys?revoked"})


async def _own(request: web.Request, connection: Connection, visitor: Visitor) -> KeyLine:
    found = await key_store.own_key(connection, visitor.member, request.match_info["access_key"][:40])
    if found is None:
        raise NotFound("you have no such key")
    return found


async def _enter(
    portal: Portal, connection: Connection, visitor: Visitor, access_key: str, bounds: Bounds
) -> str:
    """Make and seal a secret, and enter it; the secret, for the one answer that shows it. Raises Refusal."""
    public = await key_store.letterbox(connection)
    if public is None:
        raise Refusal(
            "no gateway has said yet how secrets are sealed for it; start `weir up` once, then try again"
        )
    secret = new_secret_key()
    await key_store.add_key(
        connection, visitor.member, access_key, seal_to(public, secret, access_key=access_key), bounds.text(),
        now_us=portal.clock(), open_max=portal.settings.keys_per_member_max,
    )  # fmt: skip
    return secret


def _shown(
    portal: Portal, visitor: Visitor, access_key: str, secret: str, bounds: Bounds, *, old: KeyLine | None,
    old_ends_us: int | None,
) -> web.Response:  # fmt: skip
    settings = portal.settings
    clients = settings_of(
        endpoint=settings.gateway_url or "http://127.0.0.1:9000",
        region=settings.region,
        access_key=access_key,
        secret_key=secret,
    )
    return html_page(
        render(
            "new_key.html", visitor=visitor, access_key=access_key, secret=secret, bounds=bounds, clients=clients,
            old=old, old_ends_us=old_ends_us,
        )
    )  # fmt: skip
