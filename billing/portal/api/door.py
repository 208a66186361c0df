"""The API over HTTP: who asks, whether they may, how often; each refusal as a problem.

Whose data it is comes from the token and from nowhere else. A session opens nothing here, and a token opens no page.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from billing.canon import canonical
from billing.portal import bearer
from billing.portal.api import problem
from billing.portal.api.fits import Misfit, check, read_text
from billing.portal.api.openapi import BASE
from billing.portal.api.problem import BY_STATUS, Kind, Problem, limit
from billing.portal.api.route import JSON, Asking, Attached, Body, Exactly, Route
from billing.portal.api.table import table
from billing.portal.desk import PORTAL, NotFound, Portal, client_of, send_file, sentence
from billing.portal.guard import Attempts, neighbourhood
from billing.portal.keys import KeyRefused
from billing.portal.proposals_told import Strangers
from billing.portal.tokens import Caller
from billing.settings import BillingSettings
from meter.postgres import AWAY
from meter.refusal import Refusal

log = logging.getLogger("billing.portal.api")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CHALLENGE = 'Bearer realm="weir"'
AWAY_RETRY_S = 5
FIELD = re.compile(r"([a-z_]{1,40}): ", re.ASCII)


def is_asked(request: web.Request) -> bool:
    """Whether a request is for the API, whatever stands behind its beginning."""
    return request.path.startswith("/api/")


def routes(settings: BillingSettings) -> list[web.RouteDef]:
    """Every route of the table, served."""
    limits = Limits(settings)
    return [web.route(one.method, BASE + one.path, limits.serving(one)) for one in table(settings)]


class Limits:
    """Lets requests in: counted by member, what reads much apart, and tries without a token by address."""

    def __init__(self, settings: BillingSettings) -> None:
        def attempts(tries_max: int) -> Attempts:
            return Attempts(tries_max=tries_max, addresses_max=settings.api_callers_max)

        self._requests = attempts(settings.api_requests_per_minute_max)
        self._searches = attempts(settings.api_searches_per_minute_max)
        self._refused = attempts(settings.api_refused_per_minute_max)

    def serving(self, route: Route) -> Handler:
        """What answers a route."""

        async def serve(request: web.Request) -> web.StreamResponse:
            portal = request.app[PORTAL]
            now = portal.clock()
            whose = None if route.is_public else await self._admitted(request, portal, route, now_us=now)
            values = _values(route, request)
            body = {} if route.body is None else await _body(request, route.body)
            told = await route.handle(Asking(portal, now, values, body, whose))
            if isinstance(told, Attached):
                with told.file:
                    return await send_file(request, told.file, told.name, told.media_type)
            exact = told if isinstance(told, Exactly) else Exactly(canonical(told) + "\n")
            return web.Response(
                text=exact.text, status=route.status, content_type=exact.media_type, charset="utf-8"
            )

        return serve

    async def _admitted(self, request: web.Request, portal: Portal, route: Route, *, now_us: int) -> Caller:
        """Whose token this is, who has asked less than their limits and may ask this. Raises Problem."""
        address, settings = client_of(request), portal.settings
        counted = neighbourhood(address)
        if self._refused.is_spent(counted, now_us=now_us):
            raise _too_many(
                self._refused,
                "api_refused_per_minute_max",
                settings.api_refused_per_minute_max,
                now_us=now_us,
            )
        found = None
        text = _bearer(request)
        if text is not None:
            async with portal.database() as connection:
                found = await bearer.caller_of(connection, text, address=address, now_us=now_us)
        if found is None:
            self._refused.allow(counted, now_us=now_us)
            raise _no_token(came=text is not None)
        member = str(found.member)
        if not self._requests.allow(member, now_us=now_us):
            raise _too_many(
                self._requests,
                "api_requests_per_minute_max",
                settings.api_requests_per_minute_max,
                now_us=now_us,
            )
        if route.is_heavy and not self._searches.allow(member, now_us=now_us):
            raise _too_many(
                self._searches,
                "api_searches_per_minute_max",
                settings.api_searches_per_minute_max,
                now_us=now_us,
            )
        if route.scope is not None and route.scope not in found.token.scopes:
            raise Problem(
                Kind.SCOPE_MISSING,
                f"this token has no scope {route.scope.value}; make one that has",
                {"scope": route.scope.value},
                {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{route.scope.value}"'},
            )
        return found


def _bearer(request: web.Request) -> str | None:
    """The token of a request that carries exactly one."""
    given = request.headers.getall("Authorization", [])
    if len(given) != 1:
        return None
    scheme, _, text = given[0].partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


def _no_token(*, came: bool) -> Problem:
    error = ', error="invalid_token"' if came else ""
    words = (
        "it is not one of ours, is over, or was revoked" if came else "send Authorization: Bearer and a token"
    )
    return Problem(Kind.NO_TOKEN, words, headers={"WWW-Authenticate": f"{CHALLENGE}{error}"})


def _too_many(attempts: Attempts, name: str, value: int, *, now_us: int) -> Problem:
    wait = attempts.left_s(now_us=now_us)
    return Problem(
        Kind.TOO_MANY,
        f"{value} in a minute is the most; wait {wait} s",
        limit(name, value),
        {"Retry-After": str(wait)},
    )


def _values(route: Route, request: web.Request) -> dict[str, Any]:
    """Every parameter as its schema says. Raises NotFound for a path that cannot be, Misfit for the query."""
    found: dict[str, Any] = {}
    for one in route.in_path:
        try:
            found[one.name] = read_text(one.schema, request.match_info[one.name], field=one.name)
        except Misfit as misfit:
            raise NotFound(str(misfit)) from None
    known = {one.name: one for one in route.in_query}
    for name, text in request.query.items():
        if name not in known:
            raise Misfit(name[:40], "there is no such parameter")
        if name in found:
            raise Misfit(name, "it stands there twice")
        found[name] = read_text(known[name].schema, text, field=name)
    return found


async def _body(request: web.Request, wanted: Body) -> Mapping[str, Any]:
    if request.content_type != JSON:
        raise Problem(Kind.NOT_JSON, f"send the body as {JSON}")
    try:
        text = (await request.read()).decode("utf-8")
        read = json.loads(text, object_pairs_hook=_once, parse_float=_whole, parse_constant=_whole)
    except (ValueError, RecursionError):
        raise Misfit("body", "it is no JSON in UTF-8 that can be read; numbers in it are whole") from None
    check(wanted.schema, read, field="body")
    found: Mapping[str, Any] = read
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _whole(text: str) -> str:
    raise ValueError(f"{text[:20]} is not a whole number")


async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What the handler answers, or the problem it ran into."""
    try:
        return await handler(request)
    except Problem as found:
        return _refused(found)
    except web.HTTPException as error:
        kind = BY_STATUS.get(error.status, Kind.BAD_REQUEST)
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        extra = {}
        if kind is Kind.TOO_LARGE:
            extra = limit("portal_body_bytes_max", request.app[PORTAL].settings.portal_body_bytes_max)
        return _refused(Problem(kind, f"{kind.title}.", extra, headers))
    except Refusal as refusal:
        # A sentence of ours begins with the field it is about, where it is about one.
        named = FIELD.match(str(refusal))
        extra = {} if named is None else {"field": named[1]}
        return _refused(Problem(_kind_of(refusal), sentence(refusal), extra))
    except AWAY as error:
        log.warning("the database does not answer: %s", type(error).__name__)
        return _refused(
            Problem(
                Kind.AWAY, "your data is safe; try again soon", headers={"Retry-After": str(AWAY_RETRY_S)}
            )
        )
    except Exception:  # the one place that keeps a bug of ours from showing a trace to a member
        log.exception("the API failed: %s", request.match_info.route.resource)
        return _refused(Problem(Kind.FAULT, "it has been noted"))


def _kind_of(refusal: Refusal) -> Kind:
    match refusal:
        case NotFound():
            return Kind.NOT_FOUND
        case KeyRefused():
            return Kind.CONFLICT
        case Strangers():
            return Kind.NOT_A_MEMBER
        case _:
            return Kind.BAD_REQUEST


def _refused(found: Problem) -> web.Response:
    # What a caller sent may be quoted in it, and need not be text that can be written down.
    body = (canonical(found.document()) + "\n").encode("utf-8", "replace")
    return web.Response(
        body=body, status=found.kind.status, content_type=problem.MEDIA_TYPE, charset="utf-8",
        headers=dict(found.headers),
    )  # fmt: skip
