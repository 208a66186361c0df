"""The files by which a member checks a statement without us, from the portal: of a closed month, of a closed year."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from aiohttp import web

from billing import year_store
from billing.charges.store import charge_text
from billing.portal.bundles import MEDIA_TYPE, NoBundle
from billing.portal.desk import PORTAL, NotFound, Portal, send_file, visitor_of
from billing.portal.login import Visitor
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month

YEAR_DIGITS = 4


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/statements/{month}/bundle", _month), web.get("/years/{year}/bundle", _year)]


async def _month(request: web.Request) -> web.StreamResponse:
    return await _sent(request, lambda: month_asked(request.match_info["month"]))


async def _year(request: web.Request) -> web.StreamResponse:
    return await _sent(request, lambda: year_asked(request.match_info["year"]))


def month_asked(text: str) -> Month:
    """The month of an address. Raises NotFound."""
    try:
        return Month.parse(text)
    except Refusal as refusal:
        raise NotFound(str(refusal)) from None


def year_asked(text: str) -> int:
    """The fiscal year of an address. Raises NotFound."""
    if not (len(text) == YEAR_DIGITS and text.isascii() and text.isdecimal()):
        raise NotFound("there is no such page")
    return int(text)


async def _sent(request: web.Request, asked: Callable[[], Month | int]) -> web.StreamResponse:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor: Visitor = await visitor_of(request, connection)
    period = asked()  # What an address means is told to members alone.
    with await bundle_of(portal, visitor.member, period) as file:
        return await send_file(request, file, bundle_name(visitor.name, period), MEDIA_TYPE)


def bundle_name(member_name: str, period: Month | int) -> str:
    """By which name it is taken home."""
    return f"weir-{member_name}-{period}-check.zip"


async def bundle_of(portal: Portal, member: MemberId, period: Month | int) -> IO[bytes]:
    """The ZIP; whoever asked closes it. Raises NotFound where nothing is closed, NoBundle, BundlerBusy."""
    if portal.bundles is None:
        raise NoBundle("this portal makes no such files; ask whoever runs the co-op for `weir download`")
    async with portal.database() as connection:
        kept: object = (
            await charge_text(connection, member, period)
            if isinstance(period, Month)
            else await year_store.line_text(connection, member, period)
        )
    if kept is None:
        raise NotFound(
            f"there is nothing to check of {period}: it is not closed, or you were not a member then"
        )
    return await portal.bundles.made(member, period)
