"""What every page of the portal needs: the pool and the clock, who is asking, and the answer as a page or a file.

Who is asking comes from the session's cookie and from nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

from aiohttp import web
from yarl import URL

from billing.canon import canonical
from billing.metrics import PortalMetrics
from billing.portal import login
from billing.portal.bundles import Bundles
from billing.portal.guard import HEADERS, POLICY, SAFE_METHODS, Attempts, host_of, own_path, page_of
from billing.portal.just_made import JustMade
from billing.portal.mailer import Mailer
from billing.portal.old_address import OldAddresses
from billing.portal.provider import Outside
from billing.settings import BillingSettings
from billing.statements import pdf
from billing.statements.paper import Paper
from billing.statements.render import paper_html
from billing.statements.sheet import statement_csv
from billing.tongue import phrase, speak
from meter.postgres import Connection, Pool
from meter.proxies import client_address
from meter.refusal import Refusal

Clock = Callable[[], int]
PIECE_BYTES = 256 * 1024
AGAIN = "HX-Request"
"""Says that htmx asks, to put a part of the answer into a page that is open."""
BY_ITSELF = "again"
"""How a page asks for itself that looks again without a script."""
ONWARD_S = 3600
"""For how long a browser remembers the page that was asked for before somebody signed in."""


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
    office: Pool
    """Connections that act as weir_office, for acts in an office alone."""
    metrics: PortalMetrics = field(default_factory=PortalMetrics)
    mailer: Mailer | None = None
    """Sends one-time links, where a mail server is set."""
    old_addresses: OldAddresses | None = None
    """Tells members at the address that was theirs, where one is set."""
    outside: Outside | None = None
    """Asks the provider of accounts elsewhere, where one is set."""
    told_once: JustMade[Any] = field(default_factory=JustMade)
    """Secrets, tokens and receipts of the last seconds."""
    bundles: Bundles | None = None
    """Asks for the files by which members check statements, where somebody makes them."""

    @property
    def is_https(self) -> bool:
        """Whether browsers reach us over TLS."""
        return self.settings.portal_url.startswith("https://")

    @property
    def cookie(self) -> str:
        """The session cookie's name; with __Host- no other host name can set it."""
        return "__Host-weir" if self.is_https else "weir_session"

    @property
    def link_cookie(self) -> str:
        """The name of the cookie by which a one-time link knows its browser; it goes to that link's page alone."""
        return "__Secure-weir-link" if self.is_https else "weir_link"

    @property
    def try_cookie(self) -> str:
        """The name of the cookie for a way in that is under way."""
        return "__Host-weir-entry" if self.is_https else "weir_entry"

    @property
    def onward_cookie(self) -> str:
        """The name of the cookie that says which page was asked for before somebody signed in."""
        return "__Host-weir-onward" if self.is_https else "weir_onward"

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Connection]:
        """A connection that acts as weir_billing."""
        async with self.pool.acquire() as connection:
            yield cast(Connection, connection)

    @asynccontextmanager
    async def office_database(self) -> AsyncIterator[Connection]:
        """A connection that may write the books. Only billing/portal/office.py asks for one."""
        async with self.office.acquire() as connection:
            yield cast(Connection, connection)


def client_of(request: web.Request) -> str:
    """The address a request came from, behind the proxies that are trusted; empty where it is not known."""
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
    return client_address(request.remote or "", forwarded, request.app[PORTAL].settings.trusted_proxies)


PORTAL: web.AppKey[Portal] = web.AppKey("portal", Portal)


VISITOR: web.RequestKey[login.Visitor] = web.RequestKey("visitor", login.Visitor)
"""Under which a request keeps who was found to be signed in."""

UNREAD: web.RequestKey[web.Request] = web.RequestKey("unread", web.Request)
"""Under which a request that carries a form keeps itself as it was before that was read: afterwards none can be cloned."""


class NotFound(Refusal):
    """There is no such page for this member."""


class SignedOut(Refusal):
    """Somebody sends a form, and their session is over or never was."""


def sentence(refusal: Refusal) -> str:
    """A refusal as a page says it."""
    text = phrase(str(refusal))
    return text[:1].upper() + text[1:].rstrip(".") + "."


def html_page(text: str, *, status: int = 200, has_script: bool = False) -> web.Response:
    """A page; has_script: it may run the scripts that the portal itself serves, and ask the portal."""
    response = web.Response(text=text, status=status, content_type="text/html")
    if has_script:
        response.headers[POLICY] = f"{HEADERS[POLICY]}; script-src 'self'; connect-src 'self'"
    return response


async def visitor_of(request: web.Request, connection: Connection) -> login.Visitor:
    """Who is signed in; anybody else is sent to the page that says how, and from there on to what they asked for.

    Raises SignedOut where they send a form.
    """
    found = await maybe_visitor(request, connection)
    if found is None and request.method not in SAFE_METHODS:
        raise SignedOut("you are signed out, and nothing was done")
    if found is None:
        away = web.HTTPSeeOther("/login")
        keep_onward(away, request.app[PORTAL], request.path_qs)
        raise away
    return found


def keep_onward(response: web.Response, portal: Portal, path: str) -> None:
    """Have whoever signs in with this browser sent on to a page of ours; what is no path of ours is left out."""
    if (found := own_path(page_of(path))) is not None and found != "/":
        response.set_cookie(
            portal.onward_cookie, found, max_age=ONWARD_S, path="/", httponly=True, samesite="Lax",
            secure=portal.is_https,
        )  # fmt: skip


async def get_of(request: web.Request, path: str) -> str | None:
    """A path of ours, where there is a page that can be asked for; None where there is none."""
    if own_path(path) is None:
        return None
    unread = request.get(UNREAD, request)
    found = await request.app.router.resolve(unread.clone(method="GET", rel_url=URL(path, encoded=True)))
    return None if found.http_exception is not None else path


async def came_from(request: web.Request) -> str | None:
    """The page of ours they came from, where it can be asked for again. Never a page of another site."""
    referer = request.headers.get("Referer", "")
    host = host_of(referer)
    # A proxy may ask us under another name than the browser asked it; by what name, the setting knows.
    if not host or host not in (request.host, host_of(request.app[PORTAL].settings.portal_url)):
        return None
    came = urlsplit(referer)
    return await get_of(request, came.path + (f"?{came.query}" if came.query else ""))


async def maybe_visitor(request: web.Request, connection: Connection) -> login.Visitor | None:
    """Who is signed in, if anybody is. A page that looks again by itself is nobody who was seen."""
    portal = request.app[PORTAL]
    session = request.cookies.get(portal.cookie)
    if session is None:
        return None
    by_itself = AGAIN in request.headers or request.query.get("watch") == BY_ITSELF
    found = await login.visitor(
        connection, session, portal.settings, is_seen=not by_itself, now_us=portal.clock()
    )
    if found is not None:
        request[VISITOR] = found
        if found.language is not None:
            speak(found.language)
    return found


async def in_form(
    request: web.Request,
    name: str,
    told: Mapping[str, Any],
    paper: Paper,
    text: Callable[[Mapping[str, Any]], str],
    html: Callable[[Mapping[str, object]], str],
) -> web.Response:
    """A statement as it is asked for: a page, or a file to keep; each made from the one document."""
    match request.query.get("format", "html"):
        case "html":
            return html_page(html({"fragment": paper_html(paper), "has_pdf": pdf.IS_THERE}))
        case "json":
            return download(canonical(told) + "\n", f"{name}.json", "application/json")
        case "text":
            return download(text(told), f"{name}.txt", "text/plain")
        case "csv":
            return download(statement_csv(told), f"{name}.csv", "text/csv")
        case "pdf":
            made = await asyncio.to_thread(pdf.paper_pdf, paper)
            headers = {"Content-Disposition": f'attachment; filename="{name}.pdf"'}
            return web.Response(body=made, content_type="application/pdf", headers=headers)
        case other:
            raise Refusal(f"a statement comes as html, pdf, text, csv or json, not as '{other[:20]}'")


async def send_file(
    request: web.Request, file: IO[bytes], name: str, content_type: str
) -> web.StreamResponse:
    """A long file from its beginning, piece by piece."""
    file.seek(0)
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{name}"'})
    response.content_type = content_type
    await response.prepare(request)
    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
        await response.write(piece)
    await response.write_eof()
    return response


def download(text: str, name: str, content_type: str) -> web.Response:
    """A file to keep."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(text=text, content_type=content_type, charset="utf-8", headers=headers)
