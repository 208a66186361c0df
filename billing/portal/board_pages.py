"""The board's pages: what was decided, who holds which office, and the register of members without their addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

from aiohttp import web

from billing.acts import store as acts_store
from billing.acts.act import OFFICE_WORDS, Doing, Office
from billing.acts.run import note
from billing.capital import store as capital_store
from billing.governance import store as governance_store
from billing.pages import render
from billing.portal.desk import download, html_page
from billing.portal.office import Holder, holding
from billing.portal.proposals import KINDS
from billing.register import store as register_store
from billing.register.operations import ShareKind, people_at
from billing.spreadsheet import csv_text
from billing.words import amount_text, day_text, iso_text, list_text
from meter.store import members

BOARD = Office.BOARD
ACTS_SHOWN = 10
RESOLUTIONS_SHOWN = 100
AND = " and "
COLUMNS = ("number", "name", "classes", "member since", "kind of shares", "shares", "paid_minor")
"""Of the file, which programs read."""
HEADINGS = ("Number", "Name", "Classes", "Member since", "Kind of shares", "Shares", "Paid")
"""Of the page."""


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/board", _overview), web.get("/board/register", _register)]


async def _overview(request: web.Request) -> web.Response:
    async with holding(request, BOARD) as holder:
        connection = holder.connection
        decided = await governance_store.resolutions(connection)
        people = people_at(await register_store.operations(connection), holder.now_us).values()
        told = {
            "resolutions": decided[::-1][:RESOLUTIONS_SHOWN], "kinds": KINDS, "words": OFFICE_WORDS,
            "leaving": await capital_store.asked_to_leave(connection),
            "held": [one for one in await acts_store.held(connection) if one.is_held(holder.now_us)],
            "classes": sorted(Counter(list_text(one.classes) for one in people if one.is_member).items()),
            "members": sum(one.is_member for one in people),
            "acts": await acts_store.acts(connection, office=BOARD, count_max=ACTS_SHOWN),
        }  # fmt: skip
    return html_page(render("board.html", visitor=holder.visitor, **told))


async def _register(request: web.Request) -> web.Response:
    """Everybody who is a member; looked at as a page or taken as a file, the log says so."""
    async with holding(request, BOARD) as holder:
        as_file = request.query.get("format") == "csv"
        rows, kinds = await _rows(holder), await register_store.share_kinds(holder.connection)
        what = f"{'take out' if as_file else 'look at'} the register of members and shares"
        await note(
            holder.connection,
            holder.actor,
            Doing(BOARD, "register print", what),
            is_done=True,
            now_us=holder.now_us,
        )
    if as_file:
        return download(csv_text(COLUMNS, rows), "register.csv", "text/csv")
    told = [
        (*row[:2], list_text(str(row[2]).split(AND)), _day(row[3]), *row[4:6], _paid(row, kinds))
        for row in rows
    ]
    return html_page(render("board_register.html", visitor=holder.visitor, columns=HEADINGS, rows=told))


def _paid(row: tuple[object, ...], kinds: Mapping[str, ShareKind]) -> str | None:
    """In the currency of the shares; None for who holds none."""
    kind, _, paid_minor = row[4:]
    return amount_text(int(str(paid_minor)), kinds[str(kind)].currency) if kind is not None else None


def _day(since: object) -> str | None:
    return None if since is None else day_text(date.fromisoformat(str(since)))


async def _rows(holder: Holder) -> list[tuple[object, ...]]:
    connection = holder.connection
    names = {one.id: one.name for one in await members(connection)}
    people = people_at(await register_store.operations(connection), holder.now_us)
    held = await register_store.holdings(connection)
    rows: list[tuple[object, ...]] = []
    for number, one in sorted(people.items()):
        if one.is_member:
            since = None if one.entered_us is None else iso_text(one.entered_us)[:10]
            start = (int(number), names[number], AND.join(one.classes), since)
            own = held.get(number, {})
            rows += [(*start, kind, have.shares, have.paid_minor) for kind, have in own.items()]
            if not own:
                rows.append((*start, None, 0, 0))
    return rows
