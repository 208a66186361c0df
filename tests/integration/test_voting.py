"""Votes in a real database: who votes, once, in time; what is counted; and what becomes of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from billing.governance.decisions import Choice, ResolutionKind
from billing.governance.store import insert_choice, resolution
from billing.rules.book import rule_set_text
from billing.voting import proof, run, store
from billing.voting.document import recount
from billing.voting.poll import VoteRefused
from billing.voting.proposal import wording
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.store import set_member_status
from meter.usage import MemberClass, MemberStatus
from tests.coop import NOW, Coop
from tests.voting_kit import CLOSES, DAY, DURING, NAMES, OPENS, SETTINGS, join, opened, proposed


async def a_vote(co_op: Coop, *, is_secret: bool = True) -> tuple[asyncpg.Connection, int, list[MemberId]]:
    """Five members, and a vote that is open to them."""
    members = await co_op.found(*NAMES)
    books = await co_op.books()
    number = await proposed(books)
    await opened(books, number, is_secret=is_secret)
    return books, number, members


async def refused(
    books: asyncpg.Connection, number: int, member: MemberId, vote: str = "for", *, at: int = DURING
) -> str:
    """Why a vote is refused."""
    with pytest.raises(VoteRefused) as found:
        await run.cast(books, number, member, vote, now_us=at)
    return found.value.reason


async def test_a_vote_is_counted(co_op: Coop) -> None:
    books, number, members = await a_vote(co_op)
    for member, vote in zip(members, ("for", "against", "for", "abstain"), strict=False):
        await run.cast(books, number, member, vote, now_us=DURING)
    stored = await run.settle(books, number, now_us=CLOSES)
    told = json.loads(stored.document)
    count = {
        key: told["count"][key] for key in ("for", "against", "abstained", "cast", "eligible", "adopted")
    }
    assert {"for": 2, "against": 1, "abstained": 1, "cast": 4, "eligible": 5, "adopted": True} == count
    assert [1, 2, 3, 4] == told["voted"]
    assert () == recount(stored.document).problems
    assert [] == await proof.verify(books)
    assert stored == await run.settle(books, number, now_us=CLOSES + DAY)


async def test_who_may_not_vote_is_told_why(co_op: Coop) -> None:
    await co_op.found(*NAMES)
    shop = await join(co_op, "shop", MemberClass.CUSTOMER)
    books = await co_op.books()
    number = await proposed(books)
    anna = MemberId(1)
    assert "not-opened" == await refused(books, number, anna)
    await opened(books, number)
    late = await join(co_op, "late", MemberClass.USER, now_us=NOW + 1)
    assert "early" == await refused(books, number, anna, at=OPENS - 1)
    assert "late" == await refused(books, number, anna, at=CLOSES)
    assert "no-such-choice" == await refused(books, number, anna, "maybe")
    assert "not-a-member" == await refused(books, number, shop)
    assert "admitted-later" == await refused(books, number, late)
    assert "not-a-member" == await refused(books, number, MemberId(999))
    await run.cast(books, number, anna, "for", now_us=OPENS)
    assert "twice" == await refused(books, number, anna, "against")
    assert (1, 5) == await store.turnout(books, number)


async def test_a_class_without_a_vote_has_none_and_the_rule_set_says_which(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    sue = await join(co_op, "sue", MemberClass.SUPPORTER)
    books = await co_op.books()
    await insert_choice(books, Choice(0, "de-eg", 2026, 1, None, rule_set_text("de-eg"), "", "test", NOW))
    number = await proposed(books)
    poll = await opened(books, number)
    assert {"members": 1} == poll.terms.eligible
    assert "class-without-vote" == await refused(books, number, sue)
    await run.cast(books, number, anna, "for", now_us=DURING)


async def test_a_change_of_the_rules_needs_what_the_rule_set_says(co_op: Coop) -> None:
    """Germany: three quarters for the statutes (GenG § 16(2)); 2 of 3 is not enough, and is for anything else."""
    members = await co_op.found(*NAMES[:3])
    books = await co_op.books()
    await insert_choice(books, Choice(0, "de-eg", 2026, 1, None, rule_set_text("de-eg"), "", "test", NOW))
    for kind, adopted in ((ResolutionKind.RULE_SET, False), (ResolutionKind.CLOSING, True)):
        number = await proposed(books, kind=kind)
        await opened(books, number)
        for member, vote in zip(members, ("for", "for", "against"), strict=True):
            await run.cast(books, number, member, vote, now_us=DURING)
        assert adopted is (await run.settle(books, number, now_us=CLOSES)).is_adopted


async def test_chambers_weigh_as_chosen_and_not_by_heads(co_op: Coop) -> None:
    """France, SCIC: three users against, the one worker and the one supporter for: 3/5 of the weight carries."""
    await co_op.found("u1", "u2", "u3")
    await join(co_op, "w", MemberClass.WORKER)
    await join(co_op, "s", MemberClass.SUPPORTER)
    books = await co_op.books()
    chosen = '[voting.chambers]\nuser = "40 %"\nworker = "40 %"\nsupporter = "20 %"\n'
    await insert_choice(
        books, Choice(0, "fr-scic", 2026, 1, None, rule_set_text("fr-scic"), chosen, "test", NOW)
    )
    number = await proposed(books)
    await opened(books, number)
    for member, vote in zip(range(1, 6), ("against", "against", "against", "for", "for"), strict=True):
        await run.cast(books, number, MemberId(member), vote, now_us=DURING)
    stored = await run.settle(books, number, now_us=CLOSES)
    assert ("3/5", True) == (json.loads(stored.document)["count"]["share_for"], stored.is_adopted)
    asked = await run.resolution_for(books, number, who="test", now_us=CLOSES)
    assert None is asked.votes  # three heads against two: the paper tells how the chambers weigh


async def test_two_votes_of_one_member_at_the_same_moment_are_one(co_op: Coop) -> None:
    books, number, members = await a_vote(co_op)
    connections = [await co_op.books() for _ in range(6)]

    async def one(connection: asyncpg.Connection, vote: str) -> Any:
        try:
            return await run.cast(connection, number, members[0], vote, now_us=DURING)
        except VoteRefused as refusal:
            return refusal.reason

    found = await asyncio.gather(
        *(one(each, vote) for each, vote in zip(connections, ("for", "against") * 3, strict=True))
    )
    assert ["twice"] * 5 == sorted(each for each in found if len(each) < 32)
    assert 1 == len(await store.ballots(books, number))


async def test_members_who_vote_at_the_same_moment_are_all_counted(co_op: Coop) -> None:
    books, number, members = await a_vote(co_op)
    connections = [await co_op.books() for _ in members]
    await asyncio.gather(
        *(
            run.cast(each, number, member, "for", now_us=DURING)
            for each, member in zip(connections, members, strict=True)
        )
    )
    assert 5 == len(await store.ballots(books, number))


async def test_a_vote_that_waits_while_the_box_is_closed_is_late(co_op: Coop) -> None:
    books, number, members = await a_vote(co_op)
    other = await co_op.books()
    async with books.transaction():
        await store.close_box(books, number)
        waiting = asyncio.ensure_future(run.cast(other, number, members[0], "for", now_us=CLOSES - 1))
        watcher = await co_op.owner()
        while not await watcher.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            pass
    with pytest.raises(VoteRefused, match="closed and counted"):
        await waiting
    assert [] == await store.ballots(books, number)


async def test_a_proposal_stays_as_it_was_opened(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    number = await proposed(books, member=anna)
    said = wording(title="Two disks", body="We buy two.", calc_hash=None, who="anna", recorded_us=NOW)
    await run.reword(books, number, said, member=anna)
    await run.attach(
        books, number, name="a.txt", content=b"offer", member=anna, who="anna", settings=SETTINGS, now_us=NOW
    )
    poll = await opened(books, number)
    told = json.loads(poll.document)
    assert ("Two disks", ["a.txt"]) == (told["title"], [one["name"] for one in told["attachments"]])
    with pytest.raises(Refusal, match="stays so"):
        await run.reword(books, number, said, member=anna)
    with pytest.raises(Refusal, match="stays so"):
        await run.attach(
            books,
            number,
            name="b.txt",
            content=b"more",
            member=anna,
            who="anna",
            settings=SETTINGS,
            now_us=NOW,
        )
    with pytest.raises(Refusal, match="opened already"):
        await opened(books, number)
    assert ["A second disk", "Two disks"] == [one.title for one in await store.wordings(books, number)]


async def test_nobody_changes_the_proposal_of_another(co_op: Coop) -> None:
    anna, ben = await co_op.found("anna", "ben")
    books = await co_op.books()
    number = await proposed(books, member=anna)
    said = wording(title="Mine now", body="x", calc_hash=None, who="ben", recorded_us=NOW)
    with pytest.raises(Refusal, match="not yours"):
        await run.reword(books, number, said, member=ben)


async def test_customers_neither_propose_nor_discuss(co_op: Coop) -> None:
    await co_op.found("anna")
    shop = await join(co_op, "shop", MemberClass.CUSTOMER)
    books = await co_op.books()
    with pytest.raises(Refusal, match="only members"):
        await proposed(books, member=shop)
    number = await proposed(books)
    with pytest.raises(Refusal, match="only members"):
        await run.comment(books, number, shop, "buy mine", settings=SETTINGS, now_us=NOW)


async def test_everything_has_its_limit(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    tight = SETTINGS.model_copy(
        update={"proposals_waiting_max": 1, "proposal_attachments_max": 1, "proposal_comments_per_day_max": 1}
    )
    number = await proposed(books, member=anna)
    said = wording(title="More", body="x", calc_hash=None, who="anna", recorded_us=NOW)
    with pytest.raises(Refusal, match="1 proposals of yours wait"):
        await run.propose(books, ResolutionKind.OTHER, said, member=anna, settings=tight)
    await run.comment(books, number, anna, "first", settings=tight, now_us=NOW)
    with pytest.raises(Refusal, match="1 things within a day"):
        await run.comment(books, number, anna, "second", settings=tight, now_us=NOW + 1)
    await run.comment(books, number, anna, "tomorrow", settings=tight, now_us=NOW + DAY)
    assert [1, 2] == [one.place for one in await store.comments(books, number)]
    again = {"member": anna, "who": "anna", "settings": tight, "now_us": NOW}
    await run.attach(books, number, name="a.txt", content=b"offer", **again)
    with pytest.raises(Refusal, match="that is the limit"):
        await run.attach(books, number, name="b.txt", content=b"offer", **again)


async def test_the_discussion_ends_with_the_vote(co_op: Coop) -> None:
    books, number, members = await a_vote(co_op)
    await run.comment(books, number, members[0], "I am for it.", settings=SETTINGS, now_us=CLOSES - 1)
    with pytest.raises(Refusal, match="so is its discussion"):
        await run.comment(books, number, members[0], "I was for it.", settings=SETTINGS, now_us=CLOSES)
    stored = await run.settle(books, number, now_us=CLOSES)
    assert 1 == json.loads(stored.document)["discussion"]["comments"]


async def test_nobody_ends_a_vote_before_its_time(co_op: Coop) -> None:
    books, number, _ = await a_vote(co_op)
    with pytest.raises(Refusal, match="nobody ends it sooner"):
        await run.settle(books, number, now_us=CLOSES - 1)
    await run.settle_due(books, now_us=CLOSES - 1)
    assert None is await store.result(books, number)
    await run.settle_due(books, now_us=CLOSES)
    assert not (await run.settle(books, number, now_us=CLOSES)).is_adopted


async def test_results_name_the_one_before(co_op: Coop) -> None:
    books, first, members = await a_vote(co_op)
    second = await proposed(books)
    await opened(books, second, is_secret=False)
    receipt = await run.cast(books, second, members[1], "against", now_us=DURING)
    one = await run.settle(books, first, now_us=CLOSES)
    other = await run.settle(books, second, now_us=CLOSES)
    told = json.loads(other.document)
    assert (2, one.digest) == (told["place"], told["previous"])
    assert [{"chamber": "members", "member": 2, "receipt": receipt, "vote": "against"}] == told["ballots"]
    assert [] == await proof.verify(books)


async def test_an_adopted_proposal_is_a_resolution_once(co_op: Coop) -> None:
    members = await co_op.found(*NAMES)
    books = await co_op.books()
    number = await proposed(books, kind=ResolutionKind.CLOSING, calc_hash="ab" * 32)
    await opened(books, number)
    for member in members[:3]:
        await run.cast(books, number, member, "for", now_us=DURING)
    asked = await run.resolution_for(books, number, who="test", now_us=CLOSES)
    entered = await run.adopt(books, number, asked, now_us=CLOSES)
    kept = await resolution(books, entered.id)
    assert kept is not None
    assert replace(asked, id="2026-1") == kept
    assert ("closing", "ab" * 32, (3, 0, 0), 1) == (
        kept.kind.value, kept.calc_hash, (kept.votes.in_favour, kept.votes.against, kept.votes.abstained), kept.quorum,
    )  # fmt: skip
    with pytest.raises(Refusal, match="is resolution 2026-1 already"):
        await run.adopt(books, number, asked, now_us=CLOSES)


async def test_what_was_not_adopted_is_no_resolution(co_op: Coop) -> None:
    books, number, members = await a_vote(co_op)
    await run.cast(books, number, members[0], "for", now_us=DURING)
    await run.cast(books, number, members[1], "against", now_us=DURING)
    with pytest.raises(Refusal, match="was not adopted: 1/2 of the votes"):
        await run.resolution_for(books, number, who="test", now_us=CLOSES)


async def test_who_left_after_the_record_date_still_has_the_vote_of_that_day(co_op: Coop) -> None:
    books, number, members = await a_vote(co_op)
    await set_member_status(await co_op.owner(), members[4], MemberStatus.LEFT, now_us=NOW + 1)
    await run.cast(books, number, members[4], "for", now_us=DURING)
    other = await proposed(books)
    asked = run.Asked(is_secret=True, record_us=NOW + 2, opens_us=OPENS, closes_us=CLOSES)
    poll = await run.open_poll(books, other, asked, who="test", now_us=NOW + 2)
    assert {"members": 4} == poll.terms.eligible
