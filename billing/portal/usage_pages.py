"""Usage over HTTP: the page with its filters, the same rows as CSV and JSON, and the single requests behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date

from aiohttp import web

from billing import run
from billing.canon import canonical
from billing.pages import render
from billing.portal import usage
from billing.portal.bars import LENGTH
from billing.portal.desk import PORTAL, Portal, download, html_page, visitor_of
from billing.portal.login import Visitor
from billing.portal.names_store import bucket_names, operation_names, own_buckets
from billing.portal.requests import DayPage, filters_told, narrowed, parse_day, parse_page, read_page, rows
from billing.portal.usage import Asked, Bounds, By, Row
from billing.tongue import SOURCE, speak
from billing.words import day_text, month_text
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import displaced
from meter.usage_store import Only, stored_between, usage_rows


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/usage", _usage), web.get("/requests/{day}", _requests)]


async def _usage(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    now = portal.clock()
    settings = portal.settings
    form = request.query.get("format", "html")
    bounds = Bounds(settings.portal_usage_days_max, settings.portal_usage_hours_max)
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        if form in ("csv", "json"):
            speak(SOURCE)  # A file for programs and sums says the same to everybody.
        asked = usage.whole(usage.read_asked(request.query, bounds, now_us=now), now_us=now)
        # One view of the sums, so that rows, stored bytes and statement are of the same instant.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            told, operations = await usage_of(connection, visitor.member, asked, now_us=now)
            if form == "html":
                beside = await _beside(connection, visitor, asked, told, now_us=now)
                buckets = await own_buckets(
                    connection, visitor.member, count_max=settings.portal_usage_rows_max
                )
    name = f"weir-{visitor.name}-{asked.by}-{asked.first}-{asked.last}"
    match form:
        case "html":
            return html_page(_page(portal, visitor, asked, told, beside, buckets, operations))
        case "csv":
            return download(usage.as_csv(asked, told), f"{name}.csv", "text/csv")
        case "json":
            document = usage.as_document(asked, told, until_us=min(asked.end_us, now))
            return download(canonical(document) + "\n", f"{name}.json", "application/json")
        case other:
            raise Refusal(f"usage comes as html, csv or json, not as '{other[:20]}'")


async def usage_of(
    connection: Connection, member: MemberId, asked: Asked, *, now_us: int
) -> tuple[list[Row], dict[int, str]]:
    """(rows of a member's usage, names of operations). Needs a transaction, for rows and stored bytes of one instant."""
    end_us = min(asked.end_us, max(now_us, asked.start_us + 1))
    only = Only(asked.bucket, asked.operation, asked.zone)
    used = await usage_rows(
        connection, member, start_us=asked.start_us, end_us=asked.end_us, by=asked.by.value, only=only
    )
    kept = {}
    if asked.by is By.BUCKET and asked.operation is None and asked.zone is None:
        kept = dict(await stored_between(connection, member, start_us=asked.start_us, end_us=end_us))
        if asked.bucket is not None:
            kept = {number: lines for number, lines in kept.items() if number == asked.bucket}
    operations = await operation_names(connection)
    numbers = {number for number, _ in used if isinstance(number, int)} | set(kept)
    # Only numbers that are on the member's own bill get a name: nobody learns how another's bucket is called.
    buckets = await bucket_names(connection, sorted(numbers)) if asked.by is By.BUCKET else {}
    return usage.rows(asked, used, kept=kept, operations=operations, buckets=buckets), operations


async def _beside(
    connection: Connection, visitor: Visitor, asked: Asked, told: list[Row], *, now_us: int
) -> list[dict[str, object]]:
    """These days beside the statement of their month, where they are all of it."""
    month = asked.month
    if month is None or asked.end_us < min(month.end_us, now_us):
        return []
    try:
        counted = await run.counted(connection, visitor.member, month, now_us=now_us)
    except Refusal:
        return []  # There is none of a month before the co-op, or before the member came.
    return usage.against_statement(usage.total(told), counted)


def _page(
    portal: Portal, visitor: Visitor, asked: Asked, told: list[Row], beside: list[dict[str, object]],
    buckets: dict[int, str], operations: dict[int, str],
) -> str:  # fmt: skip
    shown, rest, rest_count = usage.cut(told, portal.settings.portal_usage_rows_max)
    is_over_time = asked.by in (By.DAY, By.HOUR)
    return render(
        "usage.html", visitor=visitor, asked=asked, ways=list(By), rows=shown, rest=rest, rest_count=rest_count,
        total=usage.total(told), stored=usage.stored_total(told) if any(one.kept for one in told) else None,
        drawn=usage.over_time(asked, told) if is_over_time else None, lines=[] if is_over_time else usage.by_line(told),
        length=LENGTH, beside=beside, buckets=buckets, operations=operations, zones=usage.ZONE_WORDS, by_what=usage.by_words(asked.by),
        statement_month="" if asked.month is None else month_text(asked.month),
    )  # fmt: skip


async def _requests(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
    day, number = parse_day(request.match_info["day"]), parse_page(request.query.get("page", "1"))
    found, told, filters = await requests_of(portal, visitor.member, day, number, request.query)
    context = {
        "day": str(day), "shown_day": day_text(day), "number": number, "has_more": found.has_more,
        "is_cut": found.is_cut, "filters": filters, "filters_told": filters_told(filters),
    }  # fmt: skip
    return html_page(render("requests.html", visitor=visitor, rows=told, **context))


async def requests_of(
    portal: Portal, member: MemberId, day: date, number: int, query: Mapping[str, str]
) -> tuple[DayPage, list[dict[str, object]], dict[str, int]]:
    """(page of a day's single requests, its rows, what they are narrowed to). No connection is held while it searches.

    Raises Refusal.
    """
    async with portal.database() as connection:
        moved = await displaced(connection)
    wanted, filters = narrowed(member, day, query, moved)
    async with portal.searching:
        found = await asyncio.to_thread(
            read_page, portal.journal_directory, wanted, day, number, portal.settings
        )
    async with portal.database() as connection:
        operations = await operation_names(connection)
        buckets = await bucket_names(connection, sorted({one.event.bucket for one in found.found}))
    return found, rows(found, member, operations, buckets), filters
