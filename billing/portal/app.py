"""The portal over HTTP: who is asking, which page, and the answer when something is refused.

Whose data a page shows comes from the session and from nowhere else: no path and no query names a member.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import asyncpg
from aiohttp import web

from billing import run
from billing.canon import canonical
from billing.ledger import books
from billing.metrics import PortalMetrics
from billing.pages import render
from billing.portal import books as books_page
from billing.portal import login
from billing.portal.caps import now_page, read_caps
from billing.portal.guard import HEADERS, Attempts, same_origin
from billing.portal.names_store import bucket_names, operation_names
from billing.portal.overview import page
from billing.portal.requests import parse_day, parse_page, read_page, rows
from billing.settings import BillingSettings
from billing.statements.render import statement_html, statement_text
from billing.year_store import kept_minor
from meter.cap_store import caps, set_caps, stored_by
from meter.caps import NO_CAPS
from meter.heads_store import last_head
from meter.live import open_exchanges, waiting
from meter.postgres import Connection, Pool
from meter.refusal import Refusal
from meter.store import displaced, stream_places
from meter.usage import in_all
from meter.usage_store import daily_usage, stored_between, usage_between
from meter.window import Month, to_us

log = logging.getLogger("billing.portal")
Clock = Callable[[], int]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
STATIC = Path(__file__).parents[1].joinpath("static")
STATIC_TYPES = {"style.css": "text/css", "icon.svg": "image/svg+xml"}
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
)


def now_us() -> int:
    """The clock, in UTC microseconds."""
    return to_us(datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Portal:
    """What every page needs."""

    pool: Pool
    settings: BillingSettings
    attempts: Attempts
    clock: Clock
    journal_directory: Path
    """The journals of this machine's gateways; a directory that is not there holds none."""
    searching: asyncio.Semaphore
    """Searches read much, so one goes on at a time."""
    metrics: PortalMetrics = field(default_factory=PortalMetrics)

    @property
    def is_https(self) -> bool:
        """Whether browsers reach us over TLS."""
        return self.settings.portal_url.startswith("https://")

    @property
    def cookie(self) -> str:
        """The session cookie's name; with __Host- no other host name can set it."""
        return "__Host-weir" if self.is_https else "weir_session"

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Connection]:
        """A connection that acts as weir_billing."""
        async with self.pool.acquire() as connection:
            yield cast(Connection, connection)


PORTAL: web.AppKey[Portal] = web.AppKey("portal", Portal)


def make_app(
    pool: Pool, settings: BillingSettings, *, journal_directory: Path, clock: Clock = now_us
) -> web.Application:
    """The portal's pages on a pool whose connections act as weir_billing."""
    attempts = Attempts(
        tries_max=settings.login_attempts_per_minute_max, addresses_max=settings.login_addresses_max
    )
    app = web.Application(middlewares=[_answer], client_max_size=settings.portal_body_bytes_max)
    app[PORTAL] = Portal(pool, settings, attempts, clock, journal_directory, asyncio.Semaphore(1))
    app.router.add_get("/", _this_month)
    app.router.add_get("/now", _now)
    app.router.add_get("/caps", _caps)
    app.router.add_post("/caps", _set_caps)
    app.router.add_get("/statements/{month}", _statement)
    app.router.add_get("/requests/{day}", _requests)
    app.router.add_get("/books", _books)
    app.router.add_get("/how-it-works", _how_it_works)
    app.router.add_get("/login", _ask_for_link)
    app.router.add_get("/login/{token}", _confirm)
    app.router.add_post("/login/{token}", _sign_in)
    app.router.add_post("/logout", _sign_out)
    for name in STATIC_TYPES:
        app.router.add_get(f"/{name}", _static)
    app.on_response_prepare.append(_guard_response)
    return app


class NotFound(Refusal):
    """There is no such page for this member."""


async def _guard_response(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.app[PORTAL].is_https:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    request.app[PORTAL].metrics.answered(response.status)


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    portal = request.app[PORTAL]
    if not same_origin(request.method, request.headers, portal_url=portal.settings.portal_url):
        return _refused("This came from another site, so nothing was done. Use the portal's own pages.", 403)
    try:
        return await handler(request)
    except web.HTTPRedirection:
        raise
    except web.HTTPException as error:
        sentence = "There is no such page." if error.status == 404 else f"{error.reason}."
        return _refused(sentence, error.status)
    except NotFound as refusal:
        return _refused(_sentence(refusal), 404)
    except Refusal as refusal:
        return _refused(_sentence(refusal), 400)
    except AWAY as error:
        log.warning("the database does not answer: %s", type(error).__name__)
        return _refused(
            "The co-op's books cannot be reached just now. Your data is safe; try again soon.", 503
        )
    except Exception:  # the one place that keeps a bug of ours from showing a trace to a member
        log.exception("a page failed: %s", request.match_info.route.resource)
        return _refused("Something went wrong on our side. It has been noted.", 500)


def _sentence(refusal: Refusal) -> str:
    text = str(refusal)
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _refused(sentence: str, status: int) -> web.Response:
    return _page(render("refused.html", sentence=sentence, visitor=None), status=status)


def _page(text: str, *, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html")


async def _visitor(request: web.Request, connection: Connection) -> login.Visitor:
    """Who is signed in; anybody else is sent to the page that says how."""
    found = await _maybe_visitor(request, connection)
    if found is None:
        raise web.HTTPSeeOther("/login")
    return found


async def _maybe_visitor(request: web.Request, connection: Connection) -> login.Visitor | None:
    portal = request.app[PORTAL]
    session = request.cookies.get(portal.cookie)
    if session is None:
        return None
    return await login.visitor(connection, session, portal.settings, now_us=portal.clock())


async def _this_month(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    now = portal.clock()
    month = Month.of(now)
    async with portal.database() as connection:
        visitor = await _visitor(request, connection)
        # One view of the books, so that days, lines and shares on the page are of the same instant.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            told = await run.statement(connection, visitor.member, month, now_us=now)
            used = await daily_usage(connection, visitor.member, start_us=month.start_us, end_us=now)
            past = await run.past_statements(
                connection, visitor.member, count_max=portal.settings.portal_statements_max
            )
            buckets = await stored_between(connection, visitor.member, start_us=month.start_us, end_us=now)
            retained = await kept_minor(connection, visitor.member)
    context = page(told, used, past, kept=in_all(buckets.values()), retained_minor=retained, now_us=now)
    return _page(render("this_month.html", visitor=visitor, **context))


async def _now(request: web.Request) -> web.Response:
    async with request.app[PORTAL].database() as connection:
        visitor = await _visitor(request, connection)
        context = await _just_now(request.app[PORTAL], connection, visitor)
    refresh_s = request.app[PORTAL].settings.portal_refresh_s
    return _page(render("now.html", visitor=visitor, refresh_s=refresh_s, **context))


async def _just_now(portal: Portal, connection: Connection, visitor: login.Visitor) -> dict[str, object]:
    """Sums, what waits beyond them, and what still runs, of this member alone."""
    now, member = portal.clock(), visitor.member
    month = Month.of(now)
    # One view of the sums and of their places, so that no record is shown twice.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        used = await usage_between(connection, member, start_us=month.start_us, end_us=month.end_us)
        stored = (await stored_by(connection, [member]))[member]
        places = await stream_places(connection)
        own = (await caps(connection, member=member)).get(member, NO_CAPS)
    journal, records_max = portal.journal_directory, portal.settings.portal_live_records_max
    waits = await asyncio.to_thread(waiting, journal, places, member, month, records_max=records_max)
    found = await asyncio.to_thread(open_exchanges, journal)
    running = [one for one in found if one.event.payer == member]
    return now_page(own, used, waits, running, stored_bytes=stored, now_us=now)


async def _caps(request: web.Request) -> web.Response:
    async with request.app[PORTAL].database() as connection:
        visitor = await _visitor(request, connection)
        context = await _just_now(request.app[PORTAL], connection, visitor)
    return _page(render("caps.html", visitor=visitor, saved="saved" in request.query, **context))


async def _set_caps(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await _visitor(request, connection)
        wanted = read_caps(await request.post())
        await set_caps(connection, visitor.member, wanted, now_us=portal.clock())
    return web.Response(status=303, headers={"Location": "/caps?saved"})


async def _statement(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    form = request.query.get("format", "html")
    async with portal.database() as connection:
        visitor = await _visitor(request, connection)
        try:
            month = Month.parse(request.match_info["month"])
            told = await run.statement(connection, visitor.member, month, now_us=portal.clock())
        except Refusal as refusal:
            raise NotFound(str(refusal)) from None
    name = f"weir-{visitor.name}-{month}"
    if form == "json":
        return _download(canonical(told) + "\n", f"{name}.json", "application/json")
    if form == "text":
        return _download(statement_text(told), f"{name}.txt", "text/plain")
    if form != "html":
        raise Refusal(f"a statement comes as html, json or text, not as '{form[:20]}'")
    fragment = statement_html(told)
    return _page(render("statement_page.html", visitor=visitor, period=str(month), fragment=fragment))


async def _requests(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await _visitor(request, connection)
        moved = await displaced(connection)
    day, number = parse_day(request.match_info["day"]), parse_page(request.query.get("page", "1"))
    async with portal.searching:
        found = await asyncio.to_thread(
            read_page, portal.journal_directory, visitor.member, day, number, portal.settings, moved
        )
    async with portal.database() as connection:
        operations = await operation_names(connection)
        buckets = await bucket_names(connection, sorted({one.event.bucket for one in found.found}))
    context = {"day": str(day), "number": number, "has_more": found.has_more, "is_cut": found.is_cut}
    told = rows(found, visitor.member, operations, buckets)
    return _page(render("requests.html", visitor=visitor, rows=told, **context))


async def _books(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    month = Month.of(portal.clock())
    # Sums over the whole ledger, so one at a time; and all of one instant.
    async with portal.searching, portal.database() as connection:
        visitor = await _visitor(request, connection)
        currency = await books.currency(connection)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            reports = (
                await books.balance_sheet(connection, month),
                await books.income_statement(connection, Month(month.year, 1), month),
                await books.trial_balance(connection, month, by_member=False),
            )
    return _page(render("books.html", visitor=visitor, **books_page.page(reports, currency)))


def _download(text: str, name: str, content_type: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(text=text, content_type=content_type, charset="utf-8", headers=headers)


async def _how_it_works(request: web.Request) -> web.Response:
    async with request.app[PORTAL].database() as connection:
        visitor = await _maybe_visitor(request, connection)
        head = await last_head(connection)
    return _page(render("how_it_works.html", visitor=visitor, head=head))


async def _ask_for_link(_: web.Request) -> web.Response:
    return _page(render("login.html", visitor=None))


async def _confirm(request: web.Request) -> web.Response:
    portal, token = request.app[PORTAL], request.match_info["token"]
    _count_try(request)
    async with portal.database() as connection:
        works = await login.link_works(connection, token, now_us=portal.clock())
    if not works:
        return _stale_link()
    return _page(render("confirm.html", visitor=None))


async def _sign_in(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    _count_try(request)
    async with portal.database() as connection:
        session = await login.sign_in(
            connection, request.match_info["token"], portal.settings, now_us=portal.clock()
        )
    if session is None:
        return _stale_link()
    response = web.Response(status=303, headers={"Location": "/"})
    response.set_cookie(
        portal.cookie, session, max_age=portal.settings.session_absolute_hours * 3600, path="/", httponly=True,
        samesite="Lax", secure=portal.is_https,
    )  # fmt: skip
    return response


def _count_try(request: web.Request) -> None:
    portal = request.app[PORTAL]
    if not portal.attempts.allow(request.remote or "", now_us=portal.clock()):
        raise web.HTTPTooManyRequests(reason="Too many tries from your address, wait a minute", headers={})


def _stale_link() -> web.Response:
    return _refused("This link was used already, or its time is over. Ask for a new one.", 410)


async def _sign_out(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    session = request.cookies.get(portal.cookie)
    if session is not None:
        async with portal.database() as connection:
            await login.sign_out(connection, session)
    response = web.Response(status=303, headers={"Location": "/login"})
    response.del_cookie(portal.cookie, path="/", httponly=True, samesite="Lax", secure=portal.is_https)
    return response


async def _static(request: web.Request) -> web.Response:
    name = request.path.removeprefix("/")
    headers = {"Cache-Control": "public, max-age=3600"}
    body = STATIC.joinpath(name).read_bytes()
    return web.Response(body=body, content_type=STATIC_TYPES[name], charset="utf-8", headers=headers)
