"""Proposals taken back: by who made them, before the vote, once; in a real database, and as a browser meets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from billing.governance.decisions import ResolutionKind
from billing.settings import BillingSettings
from billing.voting import run, store
from billing.voting.proposal import Withdrawal, withdrawal, wording
from meter.ids import MemberId
from meter.refusal import Refusal
from tests.coop import NOW, Coop
from tests.portal import Site, running_site
from tests.voting_kit import DURING, NAMES, SETTINGS, opened, proposed

ANNA, BEN = MemberId(1), MemberId(2)
BACK = Withdrawal("It was too dear.", "anna", NOW)


@pytest_asyncio.fixture
async def books(co_op: Coop) -> asyncpg.Connection:
    await co_op.found(*NAMES)
    return await co_op.books()


@pytest_asyncio.fixture
async def site(co_op: Coop, books: asyncpg.Connection, tmp_path: Path) -> AsyncIterator[Site]:
    settings = BillingSettings(session_idle_minutes=43_200, session_absolute_hours=8760)
    async with running_site(co_op, tmp_path / "journal", settings) as one:
        yield one


async def test_who_made_a_proposal_takes_it_back_and_nothing_of_it_changes_any_more(
    books: asyncpg.Connection,
) -> None:
    number = await proposed(books, member=ANNA)
    await run.comment(books, number, BEN, "Too dear.", settings=SETTINGS, now_us=NOW)
    await run.withdraw(books, number, BACK, member=ANNA)
    found = await run.find(books, number)
    assert ("A second disk", BACK) == (found.wording.title, found.withdrawal)
    said = wording(title="A third", body="x", calc_hash=None, who="anna", recorded_us=NOW)
    paper = {"name": "a.txt", "content": b"x", "who": "anna", "settings": SETTINGS, "now_us": NOW}
    for again in (
        run.withdraw(books, number, BACK, member=ANNA),
        run.reword(books, number, said, member=ANNA),
        run.attach(books, number, member=ANNA, **paper),  # type: ignore[arg-type]
        run.comment(books, number, BEN, "Good.", settings=SETTINGS, now_us=NOW),
        opened(books, number),
    ):
        with pytest.raises(Refusal, match=f"proposal {number} was withdrawn, and stays as it is"):
            await again
    assert ["Too dear."] == [one.body for one in await store.comments(books, number)]


async def test_another_s_proposal_is_not_taken_back_by_a_member_nor_by_the_board(
    books: asyncpg.Connection,
) -> None:
    annas, boards = await proposed(books, member=ANNA), await proposed(books)
    for number, member in ((annas, BEN), (annas, None), (boards, ANNA)):
        with pytest.raises(Refusal, match="by who made it, and by nobody else"):
            await run.withdraw(books, number, BACK, member=member)
    await run.withdraw(books, boards, BACK, member=None)
    assert [None, BACK] == [(await run.find(books, one)).withdrawal for one in (annas, boards)]


async def test_once_put_to_the_vote_it_is_everybody_s_even_before_the_first_ballot(
    books: asyncpg.Connection,
) -> None:
    number = await proposed(books, member=ANNA)
    await opened(books, number)
    with pytest.raises(Refusal, match="was put to the vote, and is everybody's now"):
        await run.withdraw(books, number, BACK, member=ANNA)
    await run.cast(books, number, BEN, "for", now_us=DURING)


async def test_of_a_withdrawal_and_an_opening_at_once_one_happens(
    co_op: Coop, books: asyncpg.Connection
) -> None:
    number = await proposed(books, member=ANNA)
    other = await co_op.connection("weir_office")
    done = await asyncio.wait_for(
        asyncio.gather(
            run.withdraw(books, number, BACK, member=ANNA), opened(other, number), return_exceptions=True
        ),
        30,
    )
    assert 1 == sum(isinstance(one, Refusal) for one in done), done
    is_open = bool(await store.polls(books, [number]))
    assert is_open != ((await run.find(books, number)).withdrawal is not None)


async def test_what_was_taken_back_no_longer_waits(books: asyncpg.Connection) -> None:
    few = SETTINGS.model_copy(update={"proposals_waiting_max": 1})
    said = wording(title="A disk", body="x", calc_hash=None, who="anna", recorded_us=NOW)
    first = await run.propose(books, ResolutionKind.OTHER, said, member=ANNA, settings=few)
    with pytest.raises(Refusal, match="wait to be opened"):
        await run.propose(books, ResolutionKind.OTHER, said, member=ANNA, settings=few)
    await run.withdraw(books, first, BACK, member=ANNA)
    await run.propose(books, ResolutionKind.OTHER, said, member=ANNA, settings=few)


async def test_the_database_refuses_the_same_by_itself(co_op: Coop, books: asyncpg.Connection) -> None:
    number, voted_on = await proposed(books, member=ANNA), await proposed(books, member=ANNA)
    await opened(books, voted_on)
    with pytest.raises(asyncpg.PostgresError, match="was opened"):
        await store.insert_withdrawal(books, voted_on, BACK)
    await store.insert_withdrawal(books, number, BACK)
    with pytest.raises(asyncpg.UniqueViolationError):
        await store.insert_withdrawal(books, number, BACK)
    said = wording(title="A third", body="x", calc_hash=None, who="anna", recorded_us=NOW)
    poll = replace((await store.polls(books, [voted_on]))[voted_on], proposal=number)
    for attack in (
        store.insert_wording(books, number, said),
        store.insert_comment(books, number, BEN, "x", now_us=NOW),
        store.insert_poll(books, poll, [], who="test", now_us=NOW),
    ):
        with pytest.raises(asyncpg.PostgresError, match=f"proposal {number} was withdrawn"):
            await attack
    owner = await co_op.owner()
    for change in (
        "UPDATE billing.proposal_withdrawal SET why = ''",
        "DELETE FROM billing.proposal_withdrawal",
    ):
        with pytest.raises(asyncpg.RaiseError, match="only added to"):
            await owner.execute(change)


@pytest.mark.parametrize("why", ["x" * 501, "a‮b", "a\x00b"])
def test_why_is_one_line_that_can_be_read(why: str) -> None:
    with pytest.raises(Refusal, match="why"):
        withdrawal(why=why, who="anna", recorded_us=NOW)
    assert "a b" == withdrawal(why=" a\n b ", who="anna", recorded_us=NOW).why


async def test_on_its_page_only_who_made_it_is_asked_and_everybody_sees_that_it_was_done(site: Site) -> None:
    number = await proposed(await site.co_op.books(), member=ANNA)
    page = f"/proposals/{number}"
    await site.sign_in(BEN)
    assert "Take it back" not in await site.text(page)
    assert 400 == (await site.get(f"{page}/withdraw")).status
    reply = await site.post(f"{page}/withdraw", why="I do not like it")
    assert (400, True) == (reply.status, "by nobody else" in await reply.text())
    await site.sign_in(ANNA)
    assert f'href="{page}/withdraw"' in await site.text(page)
    assert "Take back “A second disk”?" in await site.text(f"{page}/withdraw")
    reply = await site.post(f"{page}/withdraw", why="<b>Too dear</b>")
    assert (303, page) == (reply.status, reply.headers["Location"])
    await site.sign_in(BEN)
    told = await site.text(page)
    assert "anna took it back on" in told
    assert "&lt;b&gt;Too dear&lt;/b&gt;" in told
    assert ("withdrawn" in await site.text("/proposals"), 'name="comment"' in told) == (True, False)
    reply = await site.post(f"{page}/withdraw")
    assert 400 == reply.status
