"""A member's membership over HTTP: class, shares, consents, addresses, everything as a file, and the notice to leave."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from aiohttp import web

from billing import store, year_store
from billing.capital import exit_run
from billing.capital.store import losses_to_meet
from billing.governance.decisions import Consent, choice_at
from billing.governance.store import choices, consents
from billing.pages import render
from billing.portal import membership, membership_store
from billing.portal.desk import PORTAL, html_page, send_file, visitor_of
from billing.portal.export import write_export
from billing.portal.login import Visitor
from billing.register import store as register_store
from billing.register.operations import Person, ShareKind, people_at
from billing.register.particulars import Particulars
from billing.rules.afterwards import ExitRule, afterwards, rule_sets
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.usage import MemberStatus
from meter.window import to_datetime


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/membership", _membership),
        web.post("/membership/address", _change),
        web.post("/membership/export", _export),
        web.get("/membership/leave", _leave_page),
        web.post("/membership/leave", _leave),
    ]


async def _membership(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    now = portal.clock()
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        found = await membership_of(connection, visitor.member, now_us=now)
    return html_page(
        render(
            "membership.html", visitor=visitor, person=found.person, kinds=found.kinds, known=found.known,
            leaving=found.leaving, consents=found.consents, status=found.status, joined_us=found.joined_us,
            saved="saved" in request.query, noted="noted" in request.query,
        )
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Membership:
    """All that a member's own page says of them."""

    person: Person
    kinds: Mapping[str, ShareKind]
    known: Particulars
    leaving: date | None
    consents: list[tuple[Consent, bool]]
    """Each with whether it was withdrawn."""
    status: str
    joined_us: int


async def membership_of(connection: Connection, member: MemberId, *, now_us: int) -> Membership:
    """A member's class, shares, consents and addresses, of one instant."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        operations = await register_store.operations(connection, members=[member])
        kinds = await register_store.share_kinds(connection)
        given = await consents(connection, member=member)
        known = await membership_store.own_particulars(connection, member)
        leaving = await membership_store.asked_to_leave(connection, member)
        status, joined_us = await membership_store.standing(connection, member)
    ended = {one.withdraws for one in given if one.withdraws is not None}
    told = [(one, one.number in ended) for one in given if one.withdraws is None]
    return Membership(people_at(operations, now_us)[member], kinds, known, leaving, told, status, joined_us)


async def _change(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        form = await request.post()
        async with connection.transaction():
            known = await membership_store.own_particulars(connection, visitor.member)
            told = membership.read_particulars(known, form)
            if told != known:
                await membership_store.change_own_particulars(
                    connection, visitor.member, told, now_us=portal.clock()
                )
            if told.email != known.email:
                # Whoever reads the mailbox that was theirs must not come in by what was sent there before.
                await register_store.end_links(connection, visitor.member)
    if portal.old_addresses is not None:
        portal.old_addresses.look()
    return web.Response(status=303, headers={"Location": "/membership?saved"})


async def _export(request: web.Request) -> web.StreamResponse:
    portal = request.app[PORTAL]
    with tempfile.TemporaryFile() as file:
        # It reads much, so one goes on at a time.
        async with portal.searching, portal.database() as connection:
            visitor = await visitor_of(request, connection)
            await write_export(
                connection, visitor.member, file, rows_max=portal.settings.portal_export_rows_max,
                papers_bytes_max=portal.settings.portal_export_papers_bytes_max,
            )  # fmt: skip
        return await send_file(request, file, f"weir-{visitor.name}.zip", "application/zip")


async def _leave_page(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            rule = await _exit_rule(connection, now_us=portal.clock())
            kept = await year_store.kept_minor(connection, visitor.member)
            losses = await losses_to_meet(connection, visitor.member)
            held = (await register_store.holdings(connection, member=visitor.member)).get(visitor.member, {})
            currency = await store.book_currency(connection)
            leaving = await membership_store.asked_to_leave(connection, visitor.member)
            status, _ = await membership_store.standing(connection, visitor.member)
            is_customer = await membership_store.is_customer(
                connection, visitor.member, now_us=portal.clock()
            )
    paid = sum(one.paid_minor for one in held.values())
    told = membership.what_happens(
        rule, is_suspended=status == MemberStatus.SUSPENDED, is_customer=is_customer,
        has_capital=bool(kept or paid),
    )  # fmt: skip
    return html_page(
        render(
            "leave.html", visitor=visitor, kept_minor=kept, loss_minor=sum(losses.values()), currency=currency, leaving=leaving,
            paid_minor=paid, told=told, has_left=status == MemberStatus.LEFT, today=to_datetime(portal.clock()).date(),
        )
    )  # fmt: skip


async def _exit_rule(connection: Connection, *, now_us: int) -> ExitRule | None:
    chosen = choice_at(await choices(connection), now_us)
    if chosen is None or chosen.rule_set not in rule_sets():
        return None
    return afterwards(chosen.rule_set).exit


async def _leave(request: web.Request) -> web.Response:
    portal = request.app[PORTAL]
    now = portal.clock()
    async with portal.database() as connection:
        visitor = await visitor_of(request, connection)
        wanted_on, why = membership.read_leaving(await request.post(), today=to_datetime(now).date())
        await _refuse_who_left(connection, visitor)
        if await membership_store.asked_to_leave(connection, visitor.member) != wanted_on:
            await exit_run.request(connection, visitor.member, wanted_on=wanted_on, why=why, now_us=now)
    return web.Response(status=303, headers={"Location": "/membership?noted"})


async def _refuse_who_left(connection: Connection, visitor: Visitor) -> None:
    status, _ = await membership_store.standing(connection, visitor.member)
    if status == MemberStatus.LEFT:
        raise Refusal("you have left already")
