"""Proposals with all that is known of them, fetched in one place for the pages and the API. It does not know HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from billing.payments.store import member_names
from billing.portal.desk import NotFound
from billing.portal.proposals import rows, state, voters, who_voted
from billing.register import store as register_store
from billing.register.operations import people_at
from billing.voting import run, store
from billing.voting.poll import Poll, no_vote
from billing.voting.proposal import Attachment, Comment, Proposal
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal


class Strangers(Refusal):
    """Somebody asks who is signed in, and no member."""


async def listed(
    connection: Connection, *, count_max: int, before: int | None, now_us: int
) -> tuple[list[dict[str, object]], int | None]:
    """(proposals, the newest first, from below a number on; the last one's number where there are more)."""
    await run.settle_due(connection, now_us=now_us)
    found = await store.proposals(connection, count_max=count_max + 1, before=before)
    shown = found[:count_max]
    numbers = [one.number for one in shown]
    polls = await store.polls(connection, numbers)
    adopted = await store.adopted_ones(connection, numbers)
    last = numbers[-1] if len(found) > count_max else None
    return rows(shown, polls, adopted, now_us=now_us), last


async def still_to_vote(connection: Connection, member: MemberId, *, now_us: int) -> list[dict[str, object]]:
    """What somebody who is no member any more may vote on now, for they were one on its record date."""
    numbers = await store.open_votes_of(connection, member, now_us=now_us)
    found = [await found_proposal(connection, one) for one in numbers]
    return rows(found, await store.polls(connection, numbers), {}, now_us=now_us)


@dataclass(frozen=True, slots=True)
class Told:
    """All that is known of one proposal."""

    proposal: Proposal
    poll: Poll | None
    state: str
    attachments: list[Attachment]
    comments: list[Comment]
    result: store.StoredResult | None
    resolution: str | None
    cast: int
    roll: int


async def proposal_of(connection: Connection, number: int, *, now_us: int) -> Told:
    """One proposal with its papers, discussion, vote and result. Raises NotFound."""
    found = await found_proposal(connection, number)
    await run.settle_due(connection, now_us=now_us)
    poll = (await store.polls(connection, [number])).get(number)
    stored = await store.result(connection, number)
    cast, roll = await store.turnout(connection, number)
    return Told(
        found, poll, state(found, poll, None if stored is None else stored.is_adopted, now_us=now_us),
        await store.attachments(connection, number), await store.comments(connection, number), stored,
        await store.resolution_of(connection, number), cast, roll,
    )  # fmt: skip


async def voters_of(
    connection: Connection, stored: store.StoredResult | None, *, count_max: int
) -> tuple[list[dict[str, object]], int]:
    """(who voted by name, count_max at most; how many voted). Nobody before the count: until then it is nobody's business."""
    if stored is None:
        return [], 0
    shown, count = who_voted(stored.document, count_max=count_max)
    return voters(stored.document, shown, await member_names(connection, shown)), count


async def result_of(connection: Connection, number: int, *, now_us: int) -> store.StoredResult:
    """The result of a vote. Raises NotFound."""
    await run.settle_due(connection, now_us=now_us)
    stored = await store.result(connection, number)
    if stored is None:
        raise NotFound(f"proposal {number} has no result yet")
    return stored


async def found_proposal(connection: Connection, number: int) -> Proposal:
    """One proposal. Raises NotFound."""
    try:
        return await run.find(connection, number)
    except Refusal as refusal:
        raise NotFound(str(refusal)) from None


async def own_vote(
    connection: Connection, member: MemberId, poll: Poll | None, *, now_us: int
) -> dict[str, object]:
    """What a member can do about the vote, or why not."""
    if poll is None:
        return {"can": False, "has_voted": False, "why_not": ""}
    if await store.voter(connection, poll.proposal, member) is None:
        told = await register_store.operations(connection, members=[member])
        then, now = (people_at(told, at_us).get(member) for at_us in (poll.record_us, now_us))
        return {"can": False, "has_voted": False, "why_not": str(no_vote(then, now, poll))}
    has_voted = await store.has_voted(connection, poll.proposal, member)
    return {"can": not has_voted and poll.is_open(now_us), "has_voted": has_voted, "why_not": ""}


async def refuse_strangers(
    connection: Connection, member: MemberId, *, number: int | None, now_us: int
) -> None:
    """Raises Refusal for who is no member now and has no vote on this proposal."""
    told = await register_store.operations(connection, members=[member])
    person = people_at(told, now_us).get(member)
    has_vote = number is not None and await store.voter(connection, number, member) is not None
    if not has_vote and (person is None or not person.is_member):
        raise Strangers("proposals are the members' own; the register has you as none")
