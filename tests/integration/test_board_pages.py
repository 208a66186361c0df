"""The board's pages that decide: resolutions entered, votes opened, adopted proposals entered as resolutions."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from billing.acts.act import Office
from billing.governance.decisions import Body, ResolutionKind, Votes
from billing.governance.store import resolutions
from billing.governance.typed import typed_resolution
from billing.settings import BillingSettings
from billing.voting import run, store
from meter.ids import MemberId
from meter.refusal import Refusal
from tests.coop import NOW, Coop
from tests.offices import acts, holds
from tests.portal import Site, running_site
from tests.voting_kit import DAY, proposed

BEA, ANNA = MemberId(1), MemberId(2)
RESOLUTION = {
    "body": "meeting", "kind": "closing", "decided": "2026-11-03", "text": "We close 2025 as calculated.",
    "in_favour": "2", "against": "1", "abstained": "0", "quorum": "3", "calc_hash": "ab" * 32,
}  # fmt: skip


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    """Bea is on the board; anna, carla and dora are members."""
    await co_op.found("bea", "anna", "carla", "dora")
    await holds(co_op, BEA, Office.BOARD)
    settings = BillingSettings(session_idle_minutes=43_200, session_absolute_hours=8760)
    async with running_site(co_op, tmp_path / "journal", settings) as one:
        yield one


@pytest.mark.parametrize(
    ("language", "board", "by_the_board"),
    [
        ("en", "The board", "by the board,"),
        ("de", "Der Vorstand", "von dem Vorstand,"),
        ("es", "El consejo rector", "de: el consejo rector,"),
    ],
)
async def test_who_decided_is_named_in_each_language_as_one_who_acts(
    site: Site, language: str, board: str, by_the_board: str
) -> None:
    number = await proposed(await site.co_op.books())
    await site.sign_in(BEA)
    await site.post("/language", language=language)
    assert f'<option value="board">{board}</option>' in await site.text("/board/resolutions")
    typed = RESOLUTION | {"body": "board", "in_favour": "", "against": "", "abstained": "", "quorum": ""}
    assert f"<dd>{board}</dd>" in await (await site.post("/board/resolutions", **typed)).text()
    assert by_the_board in await site.text(f"/proposals/{number}")


async def test_the_board_sees_who_asked_to_leave_until_they_left(site: Site) -> None:
    await site.sign_in(BEA)
    assert "Who asked to leave" not in await site.text("/board")
    await site.sign_in(ANNA)
    for day in ("2026-12-31", "2027-01-31"):
        await site.post("/membership/leave", on=day, why="moving", sure="yes")
    await site.sign_in(BEA)
    told = (await site.text("/board")).partition("Who asked to leave")[2].partition("</section>")[0]
    row = re.findall(r'<tr><th scope="row">(.*?)</th><td class="when">(.*?)</td><td>(.*?)</td></tr>', told)
    assert [("anna", "2027-01-31", True)] == [
        (name, day, at.startswith("6 November 2026,")) for name, day, at in row
    ]
    owner = await site.co_op.owner()
    await owner.execute("UPDATE meter.member SET status = 'left', left_at = now() WHERE id = $1", ANNA)
    assert "Who asked to leave" not in await site.text("/board")


async def test_a_resolution_is_shown_then_entered_and_members_can_read_it(site: Site) -> None:
    await site.sign_in(BEA)
    assert 'name="in_favour"' in await site.text("/board/resolutions")
    shown = await (await site.post("/board/resolutions", **RESOLUTION)).text()
    for told in (
        "We close 2025 as calculated.",
        "2 for, 1 against, 0 abstained",
        "3 had to take part",
        "ab" * 32,
    ):
        assert told in shown
    books = await site.co_op.books()
    assert [] == await resolutions(books)
    reply = await site.post("/board/resolutions", **RESOLUTION, sure="yes")
    assert (303, "/board/resolutions?entered=2026-1") == (reply.status, reply.headers["Location"])
    (found,) = await resolutions(books)
    assert ("2026-1", Body.MEETING, ResolutionKind.CLOSING, Votes(2, 1, 0), 3, "ab" * 32, "bea") == (
        found.id, found.body, found.kind, found.votes, found.quorum, found.calc_hash, found.who
    )  # fmt: skip
    (line,) = await acts(site.co_op)
    assert ("resolution add", "enter resolution 2026-1 of the meeting", True) == (
        line.kind,
        line.what,
        line.is_done,
    )
    await site.sign_in(ANNA)
    assert "enter resolution 2026-1 of the meeting" in await site.text("/acts")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"decided": "2026-11-07"}, "2026-11-07 is still to come"),
        ({"in_favour": "1"}, "1 for and 1 against carry nothing"),
        ({"in_favour": "4"}, "the register of 2026-11-03 has 4 members"),
        ({"quorum": "4"}, "3 votes were cast, and 4 were needed"),
        ({"against": ""}, "or nothing of votes"),
        ({"text": " "}, "a resolution says what was decided"),
        ({"kind": "nonsense"}, "choose what it is about"),
        ({"body": "me"}, "say who decided it"),
        ({"decided": "yesterday"}, "write the day like"),
        ({"in_favour": "2.5"}, "a whole number is wanted"),
        ({"calc_hash": "abc"}, "64 hexadecimal digits"),
    ],
)
async def test_what_nobody_decided_is_refused_and_what_was_tried_for_good_is_logged(
    site: Site, wrong: dict[str, str], words: str
) -> None:
    await site.sign_in(BEA)
    for sure in ({}, {"sure": "yes"}):
        reply = await site.post("/board/resolutions", **(RESOLUTION | wrong), **sure)
        assert (400, True) == (reply.status, words in await reply.text()), await reply.text()
    assert [] == await resolutions(await site.co_op.books())
    assert all(not one.is_done for one in await acts(site.co_op))


async def test_the_board_puts_a_proposal_to_the_vote_and_enters_what_became_of_it(site: Site) -> None:
    books = await site.co_op.books()
    number = await proposed(books, member=ANNA)
    page = f"/board/proposals/{number}"
    await site.sign_in(ANNA)
    assert f'href="{page}/open"' not in await site.text(f"/proposals/{number}")
    await site.sign_in(BEA)
    assert f'href="{page}/open"' in await site.text(f"/proposals/{number}")
    assert 'name="days"' in await site.text(f"{page}/open")
    form = {"days": "3", "opens": "", "record": "", "ballot": "secret"}
    shown = await (await site.post(f"{page}/open", **form)).text()
    assert "4, by the register of" in shown
    assert "more than 1/2 of the votes for and against" in shown
    assert {} == await store.polls(books, [number])
    reply = await site.post(f"{page}/open", **await site.sure_form(f"{page}/open", **form))
    assert (303, f"/proposals/{number}") == (reply.status, reply.headers["Location"])
    poll = (await store.polls(books, [number]))[number]
    assert (NOW, NOW + 3 * DAY, True) == (poll.opens_us, poll.closes_us, poll.is_secret)
    for member, vote in ((BEA, "for"), (ANNA, "for"), (MemberId(3), "against")):
        await run.cast(books, number, member, vote, now_us=NOW + DAY)
    early = await site.post(f"{page}/adopt")
    assert (400, True) == (early.status, "nobody ends it sooner" in await early.text())
    site.now_us = NOW + 3 * DAY
    await site.sign_in(BEA)
    await site.text("/proposals")
    assert f"Enter proposal {number} as a resolution" in await site.text("/board/resolutions")
    reply = await site.post(f"{page}/adopt")
    assert (303, "/board/resolutions?entered=2026-1") == (reply.status, reply.headers["Location"])
    assert "It is resolution 2026-1" in await site.text(f"/proposals/{number}")
    again = await site.post(f"{page}/adopt")
    assert (400, True) == (again.status, "is resolution 2026-1 already" in await again.text())
    assert [
        ("proposal open", True), ("resolution adopt", False), ("resolution adopt", True), ("resolution adopt", False),
    ] == [(one.kind, one.is_done) for one in await acts(site.co_op)]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"days": "0"}, "1 to 366 days"),
        ({"days": "x"}, "1 to 366 days"),
        ({"ballot": ""}, "secret, or it is open"),
        ({"opens": "2026-11-05"}, "never backwards"),
        ({"record": "2026-11-07"}, "still to come"),
        ({"record": "2026-08-01"}, "nobody in the register of that day"),
    ],
)
async def test_a_vote_that_cannot_be_opened_so_is_not(site: Site, wrong: dict[str, str], words: str) -> None:
    books = await site.co_op.books()
    number = await proposed(books, member=ANNA)
    await site.sign_in(BEA)
    form = {"days": "3", "opens": "", "record": "", "ballot": "secret"} | wrong
    reply = await site.post(f"/board/proposals/{number}/open", **form, sure="yes")
    assert (400, True) == (reply.status, words in await reply.text()), await reply.text()
    assert {} == await store.polls(books, [number])


def test_spaces_and_ends_of_lines_of_a_form_are_nothing() -> None:
    typed = {
        "body": " board",
        "kind": "other ",
        "decided": "2026-11-03",
        "text": " a\r\nb ",
        "calc_hash": " ",
    }
    found = typed_resolution(typed, who="bea", recorded_us=NOW)
    assert ("a\nb", None, None, None) == (found.text, found.votes, found.quorum, found.calc_hash)
    with pytest.raises(Refusal, match="write the day"):
        typed_resolution(typed | {"decided": "20261103"}, who="bea", recorded_us=NOW)
