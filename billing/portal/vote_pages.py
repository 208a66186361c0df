"""The board's pages of votes: a proposal put to the vote, and an adopted one entered as the resolution it became."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from aiohttp import web

from billing.acts.act import Doing, Office
from billing.governance.typed import read_day
from billing.pages import render
from billing.portal.desk import PORTAL, html_page
from billing.portal.office import Holder, act_once, form_of, holding, is_sure
from billing.portal.once import form_name
from billing.portal.proposals_told import found_proposal
from billing.register import store as register_store
from billing.voting import run
from billing.voting.poll import DAYS_MAX, roll
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import DAY_US, to_us

BOARD = Office.BOARD
NUMBER = "{number:[0-9]{1,9}}"
FIELDS = ("days", "opens", "record", "ballot")
DAYS_USUAL = 14
BALLOTS = ("secret", "open")


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    one = f"/board/proposals/{NUMBER}"
    return [
        web.get(f"{one}/open", _form),
        web.post(f"{one}/open", _open),
        web.post(f"{one}/adopt", _adopt),
    ]


def _number(request: web.Request) -> int:
    return int(request.match_info["number"])


async def _form(request: web.Request) -> web.Response:
    async with holding(request, BOARD) as holder:
        found = await found_proposal(holder.connection, _number(request))
    context = {"proposal": found, "days_max": DAYS_MAX, "days": DAYS_USUAL}
    return html_page(render("open_vote.html", visitor=holder.visitor, **context))


@dataclass(frozen=True, slots=True)
class Typed:
    """A vote's time and roll as the form says them; days are whole, in UTC."""

    days: int
    opens: date | None
    """None: at once."""
    record: date | None
    """Its end; None: now."""
    is_secret: bool

    def asked(self, now_us: int) -> run.Asked:
        """As instants."""
        opens = now_us if self.opens is None else _start_us(self.opens)
        record = now_us if self.record is None else _start_us(self.record) + DAY_US - 1
        return run.Asked(self.is_secret, record, opens, opens + self.days * DAY_US)


def _start_us(day: date) -> int:
    return to_us(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _typed(fields: Mapping[str, str]) -> Typed:
    """Raises Refusal naming the field."""
    days = fields["days"]
    if not (days.isascii() and days.isdecimal() and 1 <= int(days[:9]) <= DAYS_MAX):
        raise Refusal(f"days: a vote is open for 1 to {DAYS_MAX} days")
    if fields["ballot"] not in BALLOTS:
        raise Refusal("ballot: it is secret, or it is open")
    opens, record = (read_day(fields[one], field=one) if fields[one] else None for one in ("opens", "record"))
    return Typed(int(days), opens, record, fields["ballot"] == "secret")


async def _open(request: web.Request) -> web.Response:
    form, number = await form_of(request, BOARD), _number(request)
    fields = {name: form.get(name, "").strip() for name in FIELDS}
    typed = _typed(fields)
    async with holding(request, BOARD) as holder:
        who = holder.visitor.name
        if not is_sure(form):
            return await _looked_at(holder, number, typed, fields)
    doing = Doing(BOARD, "proposal open", f"open the vote on proposal {number}")

    async def open_it(connection: Connection) -> str:
        now_us = request.app[PORTAL].clock()
        read = form.get("digest", "")
        await run.open_poll(connection, number, typed.asked(now_us), who=who, now_us=now_us, read=read)
        return f"/proposals/{number}"

    return await act_once(request, doing, form, open_it)


async def _looked_at(holder: Holder, number: int, typed: Typed, fields: Mapping[str, str]) -> web.Response:
    """The step before: who would have a vote, and by what rule."""
    asked = typed.asked(holder.now_us)
    found = await run.openable(holder.connection, number, asked, now_us=holder.now_us)
    rules = await run.rules_now(holder.connection, holder.now_us)
    voters = roll(await register_store.operations(holder.connection), asked.record_us, rules)
    context = {
        "proposal": found, "asked": asked, "fields": fields, "voters": len(voters), "is_now": typed.opens is None,
        "rules": rules, "majority": rules.majority(found.kind.value).words,
        "digest": await run.wording_digest(holder.connection, found), "form": form_name(),
    }  # fmt: skip
    return html_page(render("open_vote_sure.html", visitor=holder.visitor, **context))


async def _adopt(request: web.Request) -> web.Response:
    """Its ballots are with its result; the resolution says which proposal it was."""
    form, number = await form_of(request, BOARD), _number(request)
    async with holding(request, BOARD) as holder:
        who = holder.visitor.name
    doing = Doing(BOARD, "resolution adopt", f"enter adopted proposal {number} as a resolution")

    async def adopt(connection: Connection) -> str:
        now_us = request.app[PORTAL].clock()
        asked = await run.resolution_for(connection, number, who=who, now_us=now_us)
        entered = await run.adopt(connection, number, asked, now_us=now_us)
        doing.what = f"enter adopted proposal {number} as resolution {entered.id}"
        return f"/board/resolutions?entered={entered.id}"

    return await act_once(request, doing, form, adopt)
