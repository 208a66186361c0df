"""Pages of an office: who may see them, and how an act is done from one.

Nobody but who holds the office learns that its pages are there. What may write the books is one connection, asked for
here and nowhere else, after that was settled; the database looks once more when the act is noted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from billing.acts.act import Actor, Doing, Office
from billing.acts.run import acting
from billing.portal.desk import PORTAL, NotFound, Portal, visitor_of
from billing.portal.login import Visitor
from billing.portal.once import NAME, done_once
from meter.postgres import Connection


@dataclass(frozen=True, slots=True)
class Holder:
    """Who asks for a page of an office that they hold."""

    portal: Portal
    connection: Connection
    """It reads; it cannot write the books."""
    visitor: Visitor
    now_us: int

    @property
    def actor(self) -> Actor:
        """As the log of acts names them."""
        return Actor(self.visitor.member, self.visitor.name)


@asynccontextmanager
async def holding(request: web.Request, office: Office) -> AsyncIterator[Holder]:
    """For the time of a page. Raises NotFound for a member without the office; who is nobody is sent to sign in."""
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        if office not in visitor.offices:
            raise NotFound("there is no such page")
        yield Holder(portal, connection, visitor, portal.clock())


@asynccontextmanager
async def act_as(request: web.Request, doing: Doing) -> AsyncIterator[Connection]:
    """A connection that may write the books, for one act, which ends with its line in the log."""
    async with holding(request, doing.office) as holder:
        actor, now_us = holder.actor, holder.now_us
    async with (
        request.app[PORTAL].office_database() as connection,
        acting(connection, actor, doing, now_us=now_us),
    ):
        yield connection


async def act_once(
    request: web.Request, doing: Doing, form: Mapping[str, str], act: Callable[[Connection], Awaitable[str]]
) -> web.Response:
    """On to the path that act() gives; a form that was sent before does nothing and leads where it led then.

    A second press is no act: it has no line in the log.
    """
    async with holding(request, doing.office) as holder:
        member, now_us = holder.visitor.member, holder.now_us
    async with act_as(request, doing) as connection:
        path, is_now = await done_once(
            connection, form.get(NAME, ""), lambda: act(connection), member=member, page=request.path, now_us=now_us
        )  # fmt: skip
        doing.nothing = not is_now
    return to(path)


async def form_of(request: web.Request, office: Office) -> Mapping[str, str]:
    """A form's fields as text, read once it is known that its sender holds the office."""
    async with holding(request, office):
        pass
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def is_sure(form: Mapping[str, str]) -> bool:
    """Whether the second step was taken: what an act means was read, and wanted."""
    return form.get("sure") == "yes"


def to(path: str) -> web.Response:
    """The page after an act, so that a page loaded anew does nothing again."""
    return web.Response(status=303, headers={"Location": path})
