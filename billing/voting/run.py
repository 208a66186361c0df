"""The stories of having a say, each in one transaction: propose, put in other words, attach, say, open, vote, count.

A vote is two marks that nothing joins: one bit in the row of who voted, and a ballot under a random name. They come
together or not at all. The connection acts as weir_billing.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, replace

import asyncpg

from billing import store as books_store
from billing.canon import canonical, digest
from billing.governance import store as governance_store
from billing.governance.decisions import (
    TEXT_CHARACTERS_MAX,
    Body,
    Resolution,
    ResolutionKind,
    Votes,
    check_resolution,
)
from billing.governance.run import rules_at
from billing.register import store as register_store
from billing.register.operations import people_at
from billing.rules.voting import VotingRules, voting_rules
from billing.settings import BillingSettings
from billing.voting import store
from billing.voting.count import Ballot
from billing.voting.document import poll_document, poll_terms, recount, result_document
from billing.voting.election import Counted, Elected, counted
from billing.voting.poll import (
    Poll,
    VoteRefused,
    check_time,
    check_times,
    eligible,
    no_vote,
    read_vote,
    roll,
    twice,
)
from billing.voting.proposal import Proposal, Withdrawal, Wording, comment_text, media_type
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import DAY_US, to_datetime

STAYS, CLOSED = "WV001", "WV002"
"""What the database says when a proposal was opened, and when a box is closed."""
RECEIPT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a vote's time, roll and box are asked for."""

    is_secret: bool
    record_us: int
    opens_us: int
    closes_us: int


async def find(connection: Connection, number: int) -> Proposal:
    """A proposal. Raises Refusal for a number that is none."""
    found = await store.proposal(connection, number)
    if found is None:
        raise Refusal(f"there is no proposal {number}")
    return found


async def propose(
    connection: Connection, kind: ResolutionKind, said: Wording, *, member: MemberId | None, settings: BillingSettings,
) -> int:  # fmt: skip
    """Enter a proposal; its number. Raises Refusal for who is no member, or has too many that wait."""
    async with connection.transaction():
        # One at a time, so that the limit is one.
        await store.lock_proposal(connection, 0)
        if member is not None:
            await _only_members(connection, member, said.recorded_us)
            waiting = await store.waiting_of(connection, member)
            if waiting >= settings.proposals_waiting_max:
                raise Refusal(
                    f"{waiting} proposals of yours wait to be opened, and that is the limit; ask the board"
                )
        _refuse_mixed(kind, said)
        number = await store.insert_proposal(connection, kind, member, who=said.who, now_us=said.recorded_us)
        await store.insert_wording(connection, number, said)
    return number


def _refuse_mixed(kind: ResolutionKind, said: Wording) -> None:
    if (kind is ResolutionKind.ELECTION) != (said.slate is not None):
        raise Refusal("options: an election has seats and who can be chosen, and nothing else has")


async def _only_members(connection: Connection, member: MemberId, now_us: int) -> None:
    there = people_at(await register_store.operations(connection, members=[member]), now_us)
    if member not in there or not there[member].is_member:
        raise Refusal("only members propose and discuss, and the register has you as none")


async def reword(connection: Connection, number: int, said: Wording, *, member: MemberId | None) -> None:
    """Put a proposal in other words, as who made it. Raises Refusal for another's, and once it was opened."""
    async with connection.transaction():
        await store.lock_proposal(connection, number)
        _refuse_mixed((await _own(connection, number, member)).kind, said)
        try:
            await store.insert_wording(connection, number, said)
        except asyncpg.PostgresError as error:
            raise _stays(error, number) from None


async def withdraw(
    connection: Connection, number: int, withdrawn: Withdrawal, *, member: MemberId | None
) -> None:
    """Take a proposal back, as who made it and nobody else: what a member proposed is not the board's to take away.

    Raises Refusal for another's, and once it was put to the vote: from then on it is everybody's.
    """
    async with connection.transaction():
        await store.lock_proposal(connection, number)
        found = await find(connection, number)
        if found.member != member:
            raise Refusal(f"proposal {number} is taken back by who made it, and by nobody else")
        _refuse_withdrawn(found)
        if await store.polls(connection, [number]):
            raise Refusal(
                f"proposal {number} was put to the vote, and is everybody's now: it is not taken back; say below it that"
                " it should be voted down"
            )
        await store.insert_withdrawal(connection, number, withdrawn)


def _refuse_withdrawn(found: Proposal) -> None:
    if found.withdrawal is not None:
        raise Refusal(f"proposal {found.number} was withdrawn, and stays as it is; make another one")


async def attach(
    connection: Connection, number: int, *, name: str, content: bytes, member: MemberId | None, who: str,
    settings: BillingSettings, now_us: int,
) -> int:  # fmt: skip
    """Keep a paper beside a proposal; its place. Raises Refusal."""
    found = media_type(name, content, bytes_max=settings.proposal_attachment_bytes_max)
    async with connection.transaction():
        await store.lock_proposal(connection, number)
        await _own(connection, number, member)
        if len(await store.attachments(connection, number)) >= settings.proposal_attachments_max:
            raise Refusal(f"attachment: there are {settings.proposal_attachments_max}, and that is the limit")
        try:
            return await store.insert_attachment(
                connection, number, name=name, media_type=found, sha256=hashlib.sha256(content).hexdigest(),
                content=content, who=who, now_us=now_us,
            )  # fmt: skip
        except asyncpg.PostgresError as error:
            raise _stays(error, number) from None


async def _own(connection: Connection, number: int, member: MemberId | None) -> Proposal:
    found = await find(connection, number)
    if member is not None and found.member != member:
        raise Refusal(f"proposal {number} is not yours; say what you think of it below it")
    _refuse_withdrawn(found)
    return found


def _stays(error: asyncpg.PostgresError, number: int) -> Exception:
    if error.sqlstate != STAYS:
        return error
    return Refusal(f"proposal {number} was opened: it is voted on as it is, and stays so; make another one")


async def comment(
    connection: Connection,
    number: int,
    member: MemberId,
    text: str,
    *,
    settings: BillingSettings,
    now_us: int,
) -> int:
    """Say something to a proposal; its place. Raises Refusal for who is no member, too much a day, or too late."""
    body = comment_text(text)
    async with connection.transaction():
        await _only_members(connection, member, now_us)
        await store.lock_proposal(connection, number)
        _refuse_withdrawn(await find(connection, number))
        said = await store.comments_since(connection, member, now_us - DAY_US)
        if said >= settings.proposal_comments_per_day_max:
            raise Refusal(f"you said {said} things within a day, and that is the limit; go on tomorrow")
        polls = await store.polls(connection, [number])
        if number in polls and now_us >= polls[number].closes_us:
            raise Refusal(f"the vote on proposal {number} is over, and so is its discussion")
        return await store.insert_comment(connection, number, member, body, now_us=now_us)


async def rules_now(connection: Connection, now_us: int) -> VotingRules:
    """How members vote by the rule set in force; by the plain one where none was chosen."""
    return await rules_at(connection, now_us) or voting_rules("plain")


async def openable(connection: Connection, number: int, asked: Asked, *, now_us: int) -> Proposal:
    """A proposal that can be put to the vote so. Raises Refusal."""
    check_times(record_us=asked.record_us, opens_us=asked.opens_us, closes_us=asked.closes_us, now_us=now_us)
    found = await find(connection, number)
    if await store.polls(connection, [number]):
        raise Refusal(f"proposal {number} was opened already; a vote is held once")
    _refuse_withdrawn(found)
    return found


async def wording_digest(connection: Connection, found: Proposal) -> str:
    """SHA-256 of what would be voted on, its papers too: what somebody read before they opened the vote."""
    said, papers = found.wording, await store.attachments(connection, found.number)
    return digest(
        canonical(
            {
                "proposal": found.number,
                "title": said.title,
                "text": said.body,
                "calc_hash": said.calc_hash,
                "slate": None if said.slate is None else {"seats": said.slate.seats, "options": list(said.slate.options)},
                "attachments": [[one.name, one.sha256] for one in papers],
            }
        )
    )  # fmt: skip


async def open_poll(
    connection: Connection, number: int, asked: Asked, *, who: str, now_us: int, read: str | None = None
) -> Poll:
    """Open a vote: terms and roll are frozen here. Raises Refusal.

    read: wording_digest() of what was looked at before; other words, or another paper, are refused.
    """
    async with connection.transaction():
        await store.lock_proposal(connection, number)
        found = await openable(connection, number, asked, now_us=now_us)
        rules = await rules_now(connection, now_us)
        voters = roll(await register_store.operations(connection), asked.record_us, rules)
        if not voters:
            raise Refusal("record: nobody in the register of that day has a vote")
        if read is not None and read != await wording_digest(connection, found):
            raise Refusal(
                f"proposal {number} has changed since you looked at it; look again, then open the vote"
            )
        document = poll_document(
            found, await store.attachments(connection, number), rules, eligible(voters), is_secret=asked.is_secret,
            record_us=asked.record_us, opens_us=asked.opens_us, closes_us=asked.closes_us,
        )  # fmt: skip
        terms, classes = poll_terms(json.loads(document))
        poll = Poll(
            number, asked.is_secret, asked.record_us, asked.opens_us, asked.closes_us, terms, classes, document,
            digest(document),
        )  # fmt: skip
        await store.insert_poll(connection, poll, voters, who=who, now_us=now_us)
    return poll


async def cast(connection: Connection, number: int, member: MemberId, vote: str, *, now_us: int) -> str:
    """Vote; the ballot's random name, told once and kept nowhere beside the voter. Raises VoteRefused."""
    poll = (await store.polls(connection, [number])).get(number)
    if poll is None:
        raise VoteRefused("not-opened", f"proposal {number} is not put to the vote yet")
    check_time(poll, now_us)
    chosen, places = read_vote(vote, poll.terms)
    voter = await store.voter(connection, number, member)
    if voter is None:
        told = await register_store.operations(connection, members=[member])
        raise no_vote(people_at(told, poll.record_us).get(member), people_at(told, now_us).get(member), poll)
    receipt = secrets.token_hex(RECEIPT_BYTES)
    ballot = Ballot(receipt, voter.chamber, chosen, None if poll.is_secret else member, places)
    try:
        async with connection.transaction():
            if not await store.mark_voted(connection, number, member, now_us=now_us):
                raise twice()
            await store.insert_ballot(connection, number, ballot)
    except asyncpg.PostgresError as error:
        if error.sqlstate != CLOSED:
            raise
        raise VoteRefused("late", "this vote was closed and counted while yours was on its way") from None
    return receipt


async def settle(connection: Connection, number: int, *, now_us: int) -> store.StoredResult:
    """Close the box and count; what was counted before is told again. Raises Refusal while votes are taken."""
    poll = (await store.polls(connection, [number])).get(number)
    if poll is None:
        await find(connection, number)
        raise Refusal(f"proposal {number} was not put to the vote, so there is nothing to count")
    if now_us < poll.closes_us:
        raise Refusal(f"the vote on proposal {number} is open until {to_datetime(poll.closes_us):%Y-%m-%d %H:%M} UTC;"
                      " nobody ends it sooner")  # fmt: skip
    async with connection.transaction():
        await store.lock_proposal(connection, 0)
        await store.lock_proposal(connection, number)
        if await store.close_box(connection, number):
            ballots = await store.ballots(connection, number)
            found = counted(ballots, poll.terms)
            place, previous = await store.last_result(connection)
            document = result_document(
                poll.document, ballots, await store.voted(connection, number), found,
                await store.comments(connection, number), place=place + 1, previous=previous,
            )  # fmt: skip
            await store.insert_result(
                connection, number, document, digest(document), is_adopted=found.is_adopted, now_us=now_us
            )
        stored = await store.result(connection, number)
    assert stored is not None, "a closed box was counted in the same transaction"
    return stored


async def settle_due(connection: Connection, *, now_us: int) -> None:
    """Count every vote whose time is over."""
    for number in await store.due_polls(connection, now_us):
        await settle(connection, number, now_us=now_us)


async def adopt(connection: Connection, number: int, settled: Resolution, *, now_us: int) -> Resolution:
    """Enter an adopted proposal as the resolution it became. Raises Refusal for one that was not adopted, or was already.

    `settled` is resolution_for() with the paper of the result in it.
    """
    async with connection.transaction():
        await books_store.lock_books(connection)
        await store.lock_proposal(connection, number)
        before = await store.resolution_of(connection, number)
        if before is not None:
            raise Refusal(f"proposal {number} is resolution {before} already")
        poll = (await store.polls(connection, [number]))[number]
        check_resolution(settled, today=to_datetime(now_us).date(), voters=sum(poll.terms.eligible.values()))
        entered = replace(settled, id=await governance_store.insert_resolution(connection, settled))
        await store.insert_adopted(connection, number, entered.id)
    return entered


async def resolution_for(connection: Connection, number: int, *, who: str, now_us: int) -> Resolution:
    """The resolution an adopted proposal is, not entered yet. Raises Refusal."""
    found = await find(connection, number)
    stored = await settle(connection, number, now_us=now_us)
    result = recount(stored.document).outcome
    if not stored.is_adopted:
        raise Refusal(f"proposal {number} was not adopted: {result.why}")
    poll = (await store.polls(connection, [number]))[number]
    votes = _votes(result)
    return Resolution(
        "", Body.MEETING, found.kind, to_datetime(poll.closes_us).date(), _decided(found.wording, result),
        None, votes, None if votes is None else result.needed, found.wording.calc_hash, who, now_us,
    )  # fmt: skip


def _votes(result: Counted) -> Votes | None:
    """A count of heads for and against. With chambers more heads may have been against: the paper says the rest."""
    if isinstance(result, Elected) or result.whole.in_favour <= result.whole.against:
        return None
    return Votes(result.whole.in_favour, result.whole.against, result.whole.abstained)


def _decided(said: Wording, result: Counted) -> str:
    """What a proposal said, and of an election who was elected."""
    if not isinstance(result, Elected):
        return f"{said.title}\n\n{said.body}"
    left = f" {result.left} seats are not filled." if result.left else ""
    return f"{said.title}\n\nElected: {', '.join(result.names(result.elected))}.{left}\n\n{said.body}"[
        :TEXT_CHARACTERS_MAX
    ]
