"""Having a say in the portal: proposals read, made, discussed and voted on.

Only members see them. Whose vote it is comes from the session; a choice is in no log and on no page but the one answer
that takes it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from billing.governance.decisions import ResolutionKind
from billing.pages import render
from billing.portal.desk import PORTAL, VISITOR, NotFound, Portal, html_page, visitor_of
from billing.portal.login import Visitor
from billing.portal.multipart import Form, read_form
from billing.portal.once import NAME, NAME_CHARACTERS_MAX, done_once, form_name
from billing.portal.proposals import KINDS, result_page
from billing.portal.proposals_told import (
    Strangers,
    found_proposal,
    listed,
    own_vote,
    proposal_of,
    refuse_strangers,
    result_of,
    still_to_vote,
    voters_of,
)
from billing.portal.typed import field_of, refusal_told
from billing.tongue import _
from billing.voting import run, store
from billing.voting.count import Vote
from billing.voting.poll import VoteRefused
from billing.voting.proposal import (
    BODY_CHARACTERS_MAX,
    COMMENT_CHARACTERS_MAX,
    TITLE_CHARACTERS_MAX,
    WHY_CHARACTERS_MAX,
    Proposal,
    Slate,
    Wording,
    file_name,
    largest,
    slate,
    withdrawal,
    wording,
)
from meter.postgres import Connection
from meter.refusal import Refusal

log = logging.getLogger("billing.portal.say")
NUMBER = "{number:[0-9]{1,9}}"
PLAIN_KINDS = {name: words for name, words in KINDS.items() if name != ResolutionKind.ELECTION}
"""What an ordinary proposal is about; an election has a form of its own."""
VOTERS_UNFOLDED_MAX = 20
"""A longer list of who voted is folded."""
NO_FIELDS = {"title": "", "kind": "other", "body": "", "calc_hash": "", "options": "", "seats": "1"}
FIELD_OF = {"text": "body", "calc-hash": "calc_hash", "attachment": "file"}
"""How a refusal calls a field → the form's own name for it, where these are not the same."""
LIMITS = {
    "title_max": TITLE_CHARACTERS_MAX,
    "body_max": BODY_CHARACTERS_MAX,
    "comment_max": COMMENT_CHARACTERS_MAX,
}


def routes() -> Iterable[web.RouteDef]:
    """Every page of having a say."""
    one = f"/proposals/{NUMBER}"
    return (
        web.get("/proposals", _list),
        web.get("/proposals/new", _new),
        web.post("/proposals/new", _propose),
        web.get(one, _show),
        web.get(f"{one}/edit", _edit),
        web.post(f"{one}/edit", _reword),
        web.get(f"{one}/withdraw", _ask_to_withdraw),
        web.post(f"{one}/withdraw", _withdraw),
        web.post(f"{one}/comment", _comment),
        web.post(f"{one}/vote", _vote),
        web.get(f"{one}/result", _result),
        web.get(f"{one}/attachments/{{place:[0-9]{{1,4}}}}", _attachment),
    )


@dataclass(frozen=True, slots=True)
class Asking:
    """A member who asks for a page."""

    portal: Portal
    connection: Connection
    visitor: Visitor
    now_us: int


@asynccontextmanager
async def _asking(request: web.Request, *, number: int | None = None) -> AsyncIterator[Asking]:
    """Who is a member now, or has a vote on this proposal. Raises Refusal for anybody else who is signed in."""
    portal = request.app[PORTAL]
    now = portal.clock()
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        await refuse_strangers(connection, visitor.member, number=number, now_us=now)
        yield Asking(portal, connection, visitor, now)


def _number(request: web.Request) -> int:
    return int(request.match_info["number"])


async def _found(asking: Asking, number: int) -> Proposal:
    return await found_proposal(asking.connection, number)


@contextmanager
def _noted(what: str, number: int) -> Iterator[None]:
    """Note a refusal, by a word for its reason: never what was chosen or said."""
    try:
        yield
    except Refusal as refusal:
        reason = refusal.reason if isinstance(refusal, VoteRefused) else type(refusal).__name__
        log.warning("%s on proposal %d was refused: %s", what, number, reason)
        raise


async def _list(request: web.Request) -> web.Response:
    before = request.query.get("before", "")
    try:
        async with _asking(request) as asking:
            most = asking.portal.settings.proposals_listed_max
            before_number = int(before[:9]) if before[:9].isdecimal() else None
            told, last = await listed(
                asking.connection, count_max=most, before=before_number, now_us=asking.now_us
            )
    except Strangers:
        portal, visitor = request.app[PORTAL], request[VISITOR]
        async with portal.database() as connection:
            told = await still_to_vote(connection, visitor.member, now_us=portal.clock())
        if not told:
            raise
        return html_page(render("proposals.html", visitor=visitor, rows=told, last=None, is_member=False))
    return html_page(render("proposals.html", visitor=asking.visitor, rows=told, last=last, is_member=True))


async def _new(request: web.Request) -> web.Response:
    async with _asking(request) as asking:
        pass
    return _form_page(asking, fields=NO_FIELDS, is_election="election" in request.query)


def _form_page(
    asking: Asking, *, fields: Mapping[str, str], is_election: bool, number: int | None = None,
    refusal: Refusal | None = None, lost_file: bool = False,
) -> web.Response:  # fmt: skip
    """The form of a proposal; with a refusal what was typed stands in it."""
    field = "" if refusal is None else field_of(refusal)
    context = {
        "number": number, "fields": fields, "kinds": PLAIN_KINDS, "is_election": is_election,
        "file_max": largest(asking.portal.settings.proposal_attachment_bytes_max),
        "wrong": "" if refusal is None else refusal_told(refusal), "wrong_field": FIELD_OF.get(field, field),
        "lost_file": lost_file, "form": form_name(), **LIMITS,
    }  # fmt: skip
    page = render("proposal_form.html", visitor=asking.visitor, **context)
    return html_page(page, status=200 if refusal is None else 400)


def _again(asking: Asking, form: Form, refusal: Refusal, number: int | None = None) -> web.Response:
    fields = {**NO_FIELDS, **{name: form.texts[name] for name in NO_FIELDS if name in form.texts}}
    is_election = "options" in form.texts or "seats" in form.texts
    lost_file = bool(form.files) and field_of(refusal) != "attachment"
    return _form_page(
        asking, fields=fields, is_election=is_election, number=number, refusal=refusal, lost_file=lost_file
    )


async def _propose(request: web.Request) -> web.Response:
    form = await _read(request)
    async with _asking(request) as asking:

        async def propose() -> str:
            return f"/proposals/{await _proposed(asking, form)}"

        try:
            path = await _once(request, asking, form, propose)
        except Refusal as refusal:
            return _again(asking, form, refusal)
    return _to(path)


async def _once(request: web.Request, asking: Asking, form: Form, act: Callable[[], Awaitable[str]]) -> str:
    name, member = form.texts.get(NAME, ""), asking.visitor.member
    async with asking.connection.transaction():
        path, _now = await done_once(
            asking.connection, name, act, member=member, page=request.path, now_us=asking.now_us
        )
    return path


async def _proposed(asking: Asking, form: Form) -> int:
    kind = form.texts.get("kind", "")
    if kind not in KINDS:
        raise Refusal("kind: choose what it is about from the list")
    with _noted("a proposal", 0):
        async with asking.connection.transaction():
            number = await run.propose(
                asking.connection, ResolutionKind(kind), _said(form, asking), member=asking.visitor.member,
                settings=asking.portal.settings,
            )  # fmt: skip
            await _attach(asking, number, form)
    return number


async def _edit(request: web.Request) -> web.Response:
    async with _asking(request) as asking:
        found = await _found(asking, _number(request))
        if found.member != asking.visitor.member:
            raise Refusal(f"proposal {found.number} is not yours")
    said = found.wording
    fields = NO_FIELDS | {"title": said.title, "body": said.body, "calc_hash": said.calc_hash or ""}
    if said.slate is not None:
        fields |= {"options": "\n".join(said.slate.options), "seats": str(said.slate.seats)}
    return _form_page(asking, fields=fields, is_election=said.slate is not None, number=found.number)


async def _reword(request: web.Request) -> web.Response:
    number, form = _number(request), await _read(request)
    async with _asking(request) as asking:
        found = await _found(asking, number)
        try:
            with _noted("a change", number):
                async with asking.connection.transaction():
                    await run.reword(
                        asking.connection, number, _said(form, asking), member=asking.visitor.member
                    )
                    await _attach(asking, number, form)
        except Refusal as refusal:
            if found.member != asking.visitor.member:
                raise
            return _again(asking, form, refusal, number)
    return _to(f"/proposals/{number}")


async def _ask_to_withdraw(request: web.Request) -> web.Response:
    async with _asking(request) as asking:
        found = await _found(asking, _number(request))
        if found.member != asking.visitor.member:
            raise Refusal(f"proposal {found.number} is not yours")
    return html_page(
        render("withdraw.html", visitor=asking.visitor, proposal=found, why_max=WHY_CHARACTERS_MAX)
    )


async def _withdraw(request: web.Request) -> web.Response:
    number = _number(request)
    async with _asking(request) as asking:
        await _found(asking, number)
        form = await request.post()
        withdrawn = withdrawal(
            why=str(form.get("why", "")), who=asking.visitor.name, recorded_us=asking.now_us
        )
        with _noted("taking back", number):
            await run.withdraw(asking.connection, number, withdrawn, member=asking.visitor.member)
    log.info("proposal %d was withdrawn by who made it", number)
    return _to(f"/proposals/{number}")


async def _comment(request: web.Request) -> web.Response:
    number, form = _number(request), await _read(request)
    async with _asking(request) as asking:
        await _found(asking, number)
        connection, member, now_us = asking.connection, asking.visitor.member, asking.now_us

        async def comment() -> str:
            place = await run.comment(
                connection, number, member, form.texts.get("comment", ""), settings=asking.portal.settings, now_us=now_us
            )  # fmt: skip
            return f"/proposals/{number}#comment-{place}"

        with _noted("a comment", number):
            path = await _once(request, asking, form, comment)
    return _to(path)


async def _vote(request: web.Request) -> web.Response:
    number = _number(request)
    async with _asking(request, number=number) as asking:
        found = await _found(asking, number)
        form = await request.post()
        chosen = ",".join(str(one) for one in form.getall("vote", []))
        name = str(form.get(NAME, ""))[:NAME_CHARACTERS_MAX]
        with _noted("a vote", number):
            receipt: str = await asking.portal.told_once.once(
                lambda: run.cast(asking.connection, number, asking.visitor.member, chosen, now_us=asking.now_us),
                member=asking.visitor.member, form=name and f"vote {number} {name} {chosen}", now_us=asking.now_us,
            )  # fmt: skip
        poll = (await store.polls(asking.connection, [number]))[number]
    grouped = " ".join(receipt[place : place + 4] for place in range(0, len(receipt), 4))
    # Told in the answer itself, and kept beside nobody: a page to come back to would have to know whose it is.
    return html_page(render("voted.html", visitor=asking.visitor, proposal=found, poll=poll, receipt=grouped))


async def _show(request: web.Request) -> web.Response:
    number = _number(request)
    async with _asking(request, number=number) as asking:
        told = await proposal_of(asking.connection, number, now_us=asking.now_us)
        found, poll, stored = told.proposal, told.poll, told.result
        most = asking.portal.settings.proposal_voters_listed_max
        voters, voted = await voters_of(asking.connection, stored, count_max=most)
        context: dict[str, Any] = {
            "proposal": found,
            "about": _(KINDS[found.kind.value]),
            "poll": poll,
            "state": told.state,
            "attachments": told.attachments,
            "comments": told.comments,
            "result": None if stored is None else result_page(stored.document),
            "voters": voters,
            "voted": voted,
            "voters_unfolded_max": VOTERS_UNFOLDED_MAX,
            "resolution": told.resolution,
            "cast": told.cast,
            "roll": told.roll,
            "is_own": found.member == asking.visitor.member,
            "form": form_name(),
            "own": await own_vote(asking.connection, asking.visitor.member, poll, now_us=asking.now_us),
            "votes": [one.value for one in Vote],
            "election": None if poll is None else poll.terms.election,
        }
    return html_page(render("proposal.html", visitor=asking.visitor, **context, **LIMITS))


async def _result(request: web.Request) -> web.Response:
    number = _number(request)
    async with _asking(request, number=number) as asking:
        stored = await result_of(asking.connection, number, now_us=asking.now_us)
    # These very bytes, and no newline behind them: the digest on the page is that of the file.
    return _file(stored.document.encode(), f"vote-{number}.json", "application/json")


async def _attachment(request: web.Request) -> web.Response:
    number = _number(request)
    async with _asking(request, number=number) as asking:
        found = await store.attachment(asking.connection, number, int(request.match_info["place"]))
    if found is None:
        raise NotFound(f"proposal {number} has no such paper")
    paper, content = found
    return _file(content, file_name(number, paper), paper.media_type)


def _file(content: bytes, name: str, media_type: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=content, content_type=media_type, headers=headers)


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})


def _said(form: Form, asking: Asking) -> Wording:
    return wording(
        title=form.texts.get("title", ""), body=form.texts.get("body", ""), calc_hash=form.texts.get("calc_hash"),
        who=asking.visitor.name, recorded_us=asking.now_us, slate=_slate(form),
    )  # fmt: skip


def _slate(form: Form) -> Slate | None:
    """What only the form of an election asks for."""
    if "options" not in form.texts and "seats" not in form.texts:
        return None
    return slate(seats=form.texts.get("seats", ""), options=form.texts.get("options", "").splitlines())


async def _attach(asking: Asking, number: int, form: Form) -> None:
    if form.refusal is not None:
        raise form.refusal
    for name, content in form.files:
        await run.attach(
            asking.connection, number, name=name, content=content, member=asking.visitor.member,
            who=asking.visitor.name, settings=asking.portal.settings, now_us=asking.now_us,
        )  # fmt: skip


async def _read(request: web.Request) -> Form:
    """A form with at most one file, of a member. Raises Refusal once a text is larger than it may be.

    Nobody is waited for with a connection in hand: who asks is looked up before, and again for what is done with it.
    """
    async with _asking(request):
        file_bytes_max = request.app[PORTAL].settings.proposal_attachment_bytes_max
    return await read_form(request, file_bytes_max=file_bytes_max)
