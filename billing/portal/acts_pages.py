"""The page of the log of acts: what was done for the co-op, for every member; what concerned them, for each alone."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from billing.acts import store
from billing.acts.act import OFFICE_WORDS, Act
from billing.pages import render, retold
from billing.portal.caps import caps_again
from billing.portal.coop_told import held_now
from billing.portal.desk import PORTAL, html_page, visitor_of
from billing.tongue import SOURCE, _, phrase, spoken
from meter.ids import MemberId

ACTS_A_PAGE = 50
NUMBER_CHARACTERS_MAX = 18


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/acts", _acts)]


async def _acts(request: web.Request) -> web.Response:
    before = request.query.get("before", "")[:NUMBER_CHARACTERS_MAX]
    about_me = "mine" in request.query
    async with request.app[PORTAL].database() as connection:
        visitor = await visitor_of(request, connection)
        found = await store.acts(
            connection, before=int(before) if before.isascii() and before.isdecimal() else None,
            subject=visitor.member if about_me else None, count_max=ACTS_A_PAGE + 1,
        )  # fmt: skip
        now_us = request.app[PORTAL].clock()
        held = await held_now(connection, now_us=now_us)
    context = {
        "rows": rows(found[:ACTS_A_PAGE], visitor.member), "held": held, "words": OFFICE_WORDS, "about_me": about_me,
        "last": found[ACTS_A_PAGE - 1].number if len(found) > ACTS_A_PAGE else None,
        "digest": found[0].digest.hex() if found and not before and not about_me else "",
    }  # fmt: skip
    return html_page(render("acts.html", visitor=visitor, **context))


def rows(found: Iterable[Act], member: MemberId) -> list[dict[str, object]]:
    """Acts as one member may see them: of what concerns another, that it concerns somebody and no more."""
    return [
        {
            "number": one.number,
            "at_us": one.at_us,
            "who": one.actor.name if one.actor.member else phrase(one.actor.name),
            "office": OFFICE_WORDS[one.office],
            "what": one.what,
            "is_done": one.is_done,
            "is_mine": one.subject == member,
            "detail": _detail(one.detail) if member in (one.subject, one.actor.member) else "",
        }
        for one in found
    ]


def _detail(text: str) -> str:
    """What only who is concerned reads: caps that were set for them and why, or a refusal; else as it is kept."""
    line, why, reason = text.partition(". Why: ")
    caps = None if spoken() == SOURCE else caps_again(line)
    if caps is None:
        return retold(text)
    return _("{caps} Why: {reason}", caps=caps, reason=reason) if why else caps
