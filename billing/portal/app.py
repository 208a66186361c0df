"""The portal over HTTP: who is asking, which page, and the answer when something is refused.

Whose data a page shows comes from the session and from nowhere else: no path and no query names a member.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from billing import run, store, year_store
from billing.capital.store import losses_to_meet
from billing.pages import render
from billing.payments.bank import reference
from billing.portal import (
    account_pages,
    acts_pages,
    board_pages,
    bundle_pages,
    coop_pages,
    entry_pages,
    founding_pages,
    key_pages,
    language,
    login,
    membership_pages,
    my_share,
    operator_pages,
    passkey_pages,
    payment_pages,
    pool_pages,
    resolution_pages,
    say,
    tariff_pages,
    token_pages,
    treasurer_pages,
    usage_pages,
    vote_pages,
    year_pages,
)
from billing.portal import books as books_page
from billing.portal.api import door as api
from billing.portal.bundles import Bundles
from billing.portal.caps import now_page, read_caps, typed_again
from billing.portal.desk import (
    AGAIN,
    BY_ITSELF,
    PORTAL,
    UNREAD,
    Clock,
    NotFound,
    Portal,
    SignedOut,
    html_page,
    in_form,
    maybe_visitor,
    visitor_of,
)
from billing.portal.guard import HEADERS, SAFE_METHODS, Attempts, same_origin
from billing.portal.language import language_of
from billing.portal.mailer import Mailer
from billing.portal.old_address import OldAddresses
from billing.portal.overview import page
from billing.portal.provider import Outside
from billing.portal.refusing import is_garbage, look_up, refused, signed_out, words_of
from billing.portal.telling import book_reports, just_now, year_of
from billing.portal.typed import field_of, refusal_told
from billing.settings import BillingSettings
from billing.statements import pdf
from billing.statements.month_paper import month_paper
from billing.statements.render import statement_text
from billing.statements.year_paper import year_paper
from billing.tongue import _, speak
from billing.words import month_text
from billing.year_statement import FINAL, year_text
from meter.cap_store import set_caps, stored_by
from meter.heads_store import last_head
from meter.postgres import AWAY, Connection, Pool
from meter.refusal import Refusal
from meter.usage import in_all
from meter.usage_store import daily_usage, stored_between, usage_between
from meter.window import Month, to_us

log = logging.getLogger("billing.portal")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
STATIC = Path(__file__).parents[1].joinpath("static")
STATIC_TYPES = {
    "style.css": "text/css", "icon.svg": "image/svg+xml", "passkey.js": "text/javascript",
    "htmx.min.js": "text/javascript", "now.js": "text/javascript",
}  # fmt: skip
HTMX = {
    "allowEval": False, "includeIndicatorStyles": False, "selfRequestsOnly": True, "historyEnabled": False,
    "responseHandling": [
        {"code": "[23]..", "swap": True},
        # What went wrong is said where the numbers stood, and then nothing is asked again.
        {"code": "[45]..", "swap": True, "error": True, "select": "#main > *"},
    ],
}  # fmt: skip


def now_us() -> int:
    """The clock, in UTC microseconds."""
    return to_us(datetime.now(UTC))


def make_app(
    pool: Pool,
    settings: BillingSettings,
    *,
    office: Pool,
    journal_directory: Path,
    clock: Clock = now_us,
    bundles: Bundles | None = None,
) -> web.Application:
    """The portal's pages on a pool whose connections act as weir_billing, and one of weir_office for acts in an office."""
    attempts = Attempts(
        tries_max=settings.login_attempts_per_minute_max, addresses_max=settings.login_addresses_max
    )
    app = web.Application(middlewares=[_answer], client_max_size=settings.portal_body_bytes_max)
    portal = Portal(
        pool, settings, attempts, clock, journal_directory, asyncio.Semaphore(1), office, bundles=bundles
    )
    if settings.smtp_host:
        told = OldAddresses(pool, settings, portal.metrics, clock)
        portal = replace(portal, mailer=Mailer(pool, settings, portal.metrics, clock), old_addresses=told)
        app.cleanup_ctx.append(_mailing)
    if settings.oidc_issuer:
        portal = replace(portal, outside=Outside(settings, clock))
        app.cleanup_ctx.append(_asking_outside)
    app[PORTAL] = portal
    app.router.add_get("/", _this_month)
    app.router.add_get("/now", _now)
    app.router.add_get("/caps", _caps)
    app.router.add_post("/caps", _set_caps)
    app.router.add_get("/statements/{month}", _statement)
    app.router.add_get("/years", _year)
    app.router.add_get("/years/{year}", _year)
    for module in (
        usage_pages, key_pages, token_pages, passkey_pages, account_pages, entry_pages, membership_pages, say, acts_pages,
        treasurer_pages, operator_pages, board_pages, resolution_pages, vote_pages, tariff_pages, year_pages, payment_pages,
        pool_pages, coop_pages, founding_pages, language, bundle_pages,
    ):  # fmt: skip
        app.router.add_routes(module.routes())
    app.router.add_routes(api.routes(settings))
    app.router.add_get("/books", _books)
    app.router.add_get("/how-it-works", _how_it_works)
    for name in STATIC_TYPES:
        app.router.add_get(f"/{name}", _static)
    app.on_response_prepare.append(_guard_response)
    return app


async def _mailing(app: web.Application) -> AsyncIterator[None]:
    mailer, told = app[PORTAL].mailer, app[PORTAL].old_addresses
    assert mailer is not None, "mails are sent where a mailer is"
    assert told is not None, "and where one is, old addresses are told"
    async with mailer.at_work(), told.at_work():
        yield


async def _asking_outside(app: web.Application) -> AsyncIterator[None]:
    outside = app[PORTAL].outside
    assert outside is not None, "a provider is asked where one is set"
    async with outside.at_work():
        yield


async def _guard_response(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.app[PORTAL].is_https:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    request.app[PORTAL].metrics.answered(response.status)


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    if api.is_asked(request):
        return await api.answer(request, handler)
    portal = request.app[PORTAL]
    # Always, for one connection has many requests; who is signed in and chose another is found later.
    speak(language_of(request))
    if not same_origin(request.method, request.headers, portal_url=portal.settings.portal_url):
        words = _("This came from another site, so nothing was done. Use the portal's own pages.")
        return html_page(
            render("refused.html", sentence=words, visitor=None, typed=[], back=None, to_door=False),
            status=403,
        )
    if request.method not in SAFE_METHODS:
        request[UNREAD] = request.clone()
    try:
        return await handler(request)
    except web.HTTPRedirection as away:
        if AGAIN in request.headers:  # The whole page goes there, not a part of it.
            response = web.Response(headers={"HX-Redirect": away.headers["Location"]})
            response.cookies.load(away.cookies)
            return response
        raise
    except web.HTTPException as error:
        await look_up(request)
        response = await refused(request, words_of(error), error.status)
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = error.headers["Allow"]  # RFC 9110, section 15.5.6
        return response
    except SignedOut:
        return await signed_out(request)
    except Refusal as refusal:
        await look_up(request)
        return await refused(request, refusal_told(refusal), 404 if isinstance(refusal, NotFound) else 400)
    except AWAY as error:
        log.warning("the database does not answer: %s", type(error).__name__)
        words = _("The co-op's books cannot be reached just now. Your data is safe; try again soon.")
        return await refused(request, words, 503)
    except Exception as error:  # the one place that keeps a bug of ours from showing a trace to a member
        if await is_garbage(request, error):
            return await refused(request, _("What was sent cannot be read; use the portal's pages."), 400)
        log.exception("a page failed: %s", request.match_info.route.resource)
        return await refused(request, _("Something went wrong on our side. It has been noted."), 500)


async def _this_month(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    now = portal.clock()
    month = Month.of(now)
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        # One view of the books, so that days, lines and shares on the page are of the same instant.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            if await store.tariff_at(connection, month) is None:
                return await _without_prices(connection, visitor, month, now_us=now)
            statement = await run.statement(connection, visitor.member, month, now_us=now)
            used = await daily_usage(connection, visitor.member, start_us=month.start_us, end_us=now)
            past = await run.past_months(
                connection, visitor.member, count_max=portal.settings.portal_statements_max
            )
            last = await run.past_statements(connection, visitor.member, count_max=1)
            buckets = await stored_between(connection, visitor.member, start_us=month.start_us, end_us=now)
            retained = await year_store.kept_minor(connection, visitor.member)
            losses = await losses_to_meet(connection, visitor.member)
    context = page(
        statement, used, past, last=last, kept=in_all(buckets.values()), retained_minor=retained, now_us=now
    )
    return html_page(
        render(
            "this_month.html",
            visitor=visitor,
            has_pdf=pdf.IS_THERE,
            loss_minor=sum(losses.values()),
            **context,
        )
    )


async def _without_prices(
    connection: Connection, visitor: login.Visitor, month: Month, *, now_us: int
) -> web.Response:
    """The running month where nothing can be charged for it yet: what was used."""
    used = await usage_between(connection, visitor.member, start_us=month.start_us, end_us=now_us)
    stored = (await stored_by(connection, [visitor.member]))[visitor.member]
    context = {"month": month_text(month), "used": used, "stored_bytes": stored, "now_us": now_us}
    return html_page(render("no_prices.html", visitor=visitor, **context))


async def _now(request: web.Request) -> web.Response:
    async with request.app[PORTAL].database() as connection:
        visitor = await visitor_of(request, connection)
        context = await _just_now(request.app[PORTAL], connection, visitor)
    refresh_s = request.app[PORTAL].settings.portal_refresh_s
    # A page that changes under a reader is one they asked for (WCAG 2.2.1).
    told = {
        "is_watched": "watch" in request.query,
        "is_again": AGAIN in request.headers,
        "by_itself": f"/now?watch={BY_ITSELF}",
        "htmx": json.dumps(HTMX),
    }
    page = render("now.html", visitor=visitor, refresh_s=refresh_s, **told, **context)
    return html_page(page, has_script="watch" in request.query)


async def _just_now(portal: Portal, connection: Connection, visitor: login.Visitor) -> dict[str, object]:
    now = portal.clock()
    found = await just_now(portal, connection, visitor.member, now_us=now)
    return now_page(
        found.caps, found.used, found.waits, found.running, stored_bytes=found.stored_bytes, now_us=now
    )


async def _caps(request: web.Request) -> web.Response:
    async with request.app[PORTAL].database() as connection:
        visitor = await visitor_of(request, connection)
        context = await _just_now(request.app[PORTAL], connection, visitor)
    told_now = {"saved": "saved" in request.query, "wrong": "", "wrong_field": ""}
    return html_page(render("caps.html", visitor=visitor, **told_now, **context))


async def _set_caps(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        form = await request.post()
        try:
            wanted = read_caps(form)
        except Refusal as refusal:
            context = await _just_now(portal, connection, visitor)
            context |= {
                "fields": typed_again(form),
                "wrong": refusal_told(refusal),
                "wrong_field": field_of(refusal),
            }
            return html_page(render("caps.html", visitor=visitor, saved=False, **context), status=400)
        await set_caps(connection, visitor.member, wanted, now_us=portal.clock())
    return web.Response(status=303, headers={"Location": "/caps?saved"})


async def _statement(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        try:
            month = Month.parse(request.match_info["month"])
            told = await run.statement(connection, visitor.member, month, now_us=portal.clock())
        except Refusal as refusal:
            raise NotFound(str(refusal)) from None

    def shown(context: Mapping[str, object]) -> str:
        meeting = portal.settings.next_meeting
        more: dict[str, object] = {"meeting": meeting, "can_check": _can_check(portal, told), "reference": ""}
        if told["kind"] == FINAL and told["charges_minor"] > 0:
            more["reference"] = reference(visitor.member, month)
        return render("statement_page.html", visitor=visitor, period=str(month), **more, **context)

    name = f"weir-{visitor.name}-{month}"
    return await in_form(request, name, told, month_paper(told), statement_text, shown)


async def _year(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    # An open year is worked out from everybody's usage, so one at a time.
    async with portal.searching, portal.database() as connection:
        visitor = await visitor_of(request, connection)
        asked, now = request.match_info.get("year"), portal.clock()
        if await store.tariff_at(connection, Month.of(now)) is None:
            return await _without_prices(connection, visitor, Month.of(now), now_us=now)
        there, number, told = await year_of(portal, connection, visitor.member, asked, now_us=now)
        # A file is the statement alone, the same whenever it is taken.
        share = None
        if request.query.get("format", "html") == "html":
            share = await my_share.share_of(connection, visitor.member, currency=told["currency"], now_us=now)
    others = [(one, one in there.closed) for one in (*there.open, *there.closed) if one != number]

    def shown(context: Mapping[str, object]) -> str:
        more = {
            "number": number, "others": others, "meeting": portal.settings.next_meeting,
            "can_check": _can_check(portal, told), "bears_loss": told["amount_minor"] < 0 or bool(told.get("losses")),
        }  # fmt: skip
        assert share is not None, "a page is asked for"
        closed_year = number if told["kind"] == FINAL else None
        own = my_share.page(share, closed_year=closed_year)
        return render("year_page.html", visitor=visitor, **more, **own, **context)

    paper = year_paper(told, is_over=number < there.running)
    return await in_form(request, f"weir-{visitor.name}-{number}", told, paper, year_text, shown)


def _can_check(portal: Portal, told: Mapping[str, object]) -> bool:
    """Whether the portal gives the files by which this statement is checked."""
    return portal.bundles is not None and told["kind"] == "final"


async def _books(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    # Sums over the whole ledger, so one at a time.
    async with portal.searching, portal.database() as connection:
        visitor = await visitor_of(request, connection)
        if await store.book_currency(connection) is None:
            return html_page(render("books.html", visitor=visitor, **books_page.page([], "")))
        currency, reports = await book_reports(connection, now_us=portal.clock())
    return html_page(render("books.html", visitor=visitor, **books_page.page(reports, currency)))


async def _how_it_works(request: web.Request) -> web.Response:
    async with request.app[PORTAL].database() as connection:
        visitor = await maybe_visitor(request, connection)
        head = await last_head(connection)
    return html_page(render("how_it_works.html", visitor=visitor, head=head))


async def _static(request: web.Request) -> web.Response:
    name = request.path.removeprefix("/")
    headers = {"Cache-Control": "public, max-age=3600"}
    body = STATIC.joinpath(name).read_bytes()
    return web.Response(body=body, content_type=STATIC_TYPES[name], charset="utf-8", headers=headers)
