"""weir consent: members' consents to by-laws, with what proves that these were delivered."""

from __future__ import annotations

import getpass
from dataclasses import replace
from pathlib import Path

import click

from billing.documents import keep
from billing.governance import store as governance_store
from billing.governance.decisions import Consent, Delivery, check_consent
from billing.register.run import consents_on
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_board, at_desk
from deploy.instants import parse_date, parse_instant
from deploy.output import print_json, print_table, say
from meter.refusal import Refusal
from meter.store import find_member
from meter.window import to_datetime


@click.group()
def consent() -> None:
    """Members' consents, with evidence of delivery; a withdrawal is a line of its own."""


@consent.command("add")
@click.argument("member")
@click.option("--bylaws", required=True, metavar="VERSION", help="Which version they consented to.")
@click.option(
    "--delivered-at", required=True, metavar="DATE", help="The day they had notice and text in hand."
)
@click.option(
    "--how", type=click.Choice([one.value for one in Delivery]), required=True, help="How it reached them."
)
@click.option(
    "--evidence",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Kept with its SHA-256.",
)
@click.option(
    "--from", "start", metavar="DATE", help="The first day it counts; the day of delivery if not given."
)
@json_option
@data_option
def add(
    member: str, bylaws: str, delivered_at: str, how: str, evidence: Path, start: str | None, as_json: bool
) -> None:
    """MEMBER consented; the paper that shows it is kept."""
    delivered = parse_date(delivered_at, field="delivered-at")
    from_on = delivered if start is None else parse_date(start, field="from")

    async def work(desk: Desk) -> Consent:
        act = as_board(f"enter a member's consent to the by-laws {bylaws}")
        async with desk.acting("weir_office", act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            if not found.member_class.is_member:
                raise Refusal(f"{found.name} is a customer, and by-laws bind members")
            asked = Consent(
                0,
                found.id,
                bylaws,
                delivered,
                Delivery(how),
                None,
                from_on,
                None,
                getpass.getuser(),
                desk.now_us,
            )
            check_consent(asked, today=to_datetime(desk.now_us).date())
            asked = replace(asked, evidence=keep(desk.data, evidence, bytes_max=desk.billing.paper_bytes_max))
            return replace(asked, number=await governance_store.insert_consent(connection, asked))

    entered = at_desk(work)
    if as_json:
        print_json(document(entered))
    else:
        say(f"entered as consent {entered.number}, from {entered.from_on} on")


@consent.command("withdraw")
@click.argument("member")
@click.option("--bylaws", metavar="VERSION", help="Which; needed when several hold.")
@click.option("--at", "day", metavar="DATE", help="The first day it no longer counts; today if not given.")
@json_option
@data_option
def withdraw(member: str, bylaws: str | None, day: str | None, as_json: bool) -> None:
    """MEMBER takes their consent back for what is still to come."""
    wanted = None if day is None else parse_date(day, field="at")

    async def work(desk: Desk) -> Consent:
        act = as_board("enter that a member withdrew a consent")
        async with desk.acting("weir_office", act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            every = await governance_store.consents(connection, member=found.id)
            gone = {one.withdraws for one in every}
            open_ones = [
                one for one in every if one.withdraws is None and one.number not in gone
                and bylaws in (None, one.bylaws)
            ]  # fmt: skip
            if not open_ones:
                raise Refusal(f"{found.name} has given no such consent, or withdrawn it already")
            if len(open_ones) > 1:
                raise Refusal(
                    f"bylaws: {found.name} gave several; name one: {', '.join(o.bylaws for o in open_ones)}"
                )
            old = open_ones[0]
            ends = to_datetime(desk.now_us).date() if wanted is None else wanted
            if ends < old.from_on:
                raise Refusal(f"at: the consent counts from {old.from_on} on; it cannot end before")
            asked = replace(
                old, number=0, evidence=None, from_on=ends, withdraws=old.number, who=getpass.getuser(),
                recorded_us=desk.now_us,
            )  # fmt: skip
            return replace(asked, number=await governance_store.insert_consent(connection, asked))

    entered = at_desk(work)
    if as_json:
        print_json(document(entered))
    else:
        say(f"entered as line {entered.number}: consent {entered.withdraws} ends with {entered.from_on}")


@consent.command("list")
@click.argument("member", required=False)
@click.option("--at", metavar="T", help="Only what holds then, UTC, of those who are members then.")
@json_option
@data_option
def list_(member: str | None, at: str | None, as_json: bool) -> None:
    """All consents and withdrawals, or those of MEMBER."""
    at_us = None if at is None else parse_instant(at)

    async def work(desk: Desk) -> list[Consent]:
        async with desk.connected("weir_billing") as connection:
            wanted = None if member is None else (await find_member(connection, member)).id
            if at_us is None:
                return await governance_store.consents(connection, member=wanted)
            held = await consents_on(connection, at_us)
            return [one for owner, one in sorted(held.items()) if wanted in (None, owner)]

    found = at_desk(work)
    if as_json:
        print_json({"consents": [document(one) for one in found]})
    else:
        rows = [
            (one.number, one.member, one.bylaws, one.delivered_on, one.how.value,
             "" if one.evidence is None else one.evidence.name, one.from_on, one.withdraws)
            for one in found
        ]  # fmt: skip
        columns = ("number", "member", "by-laws", "delivered", "how", "evidence", "from", "withdraws")
        print_table(columns, rows, numbers=("number", "member", "withdraws"))


def document(one: Consent) -> dict[str, object]:
    """A consent or withdrawal as JSON."""
    return {
        "number": one.number,
        "member": int(one.member),
        "bylaws": one.bylaws,
        "delivered": one.delivered_on.isoformat(),
        "how": one.how.value,
        "evidence": None if one.evidence is None else one.evidence.name,
        "evidence_sha256": None if one.evidence is None else one.evidence.sha256,
        "from": one.from_on.isoformat(),
        "withdraws": one.withdraws,
        "who": one.who,
    }
