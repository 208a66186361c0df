"""Elections in a real database and as a browser meets them: options, seats, ballots, attacks, and a result counted again."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiohttp import FormData

from billing.governance.decisions import Body, Choice, ResolutionKind
from billing.governance.store import insert_choice, resolution
from billing.rules.book import rule_set_text
from billing.settings import BillingSettings
from billing.voting import proof, run, store
from billing.voting.document import recount
from billing.voting.election import Elected
from billing.voting.poll import VoteRefused
from billing.voting.proposal import Slate, Wording
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import MemberClass
from tests.api_kit import GENEROUS, Api
from tests.coop import NOW, Coop
from tests.integration.test_api import complaints, document_of, template_of
from tests.portal import Site, running_site
from tests.voting_kit import CLOSES, DURING, NAMES, SETTINGS, join, opened

SLATE = Slate(2, ("Ada", "Bo", "<b>Cy</b>"))
SAID = Wording("Who is on the board?", "For two years.", None, "test", NOW, SLATE)
BALLOT = "INSERT INTO billing.ballot (proposal, receipt, chamber, vote, member) VALUES ($1, $2, $3, $4, $5)"


async def an_election(
    co_op: Coop, *, is_secret: bool = True
) -> tuple[asyncpg.Connection, int, list[MemberId]]:
    """Five members, and an election that is open to them."""
    members = await co_op.found(*NAMES)
    books = await co_op.books()
    number = await run.propose(books, ResolutionKind.ELECTION, SAID, member=None, settings=SETTINGS)
    await opened(books, number, is_secret=is_secret)
    return books, number, members


async def test_the_seats_go_to_those_with_the_most_votes_and_the_result_is_counted_again(co_op: Coop) -> None:
    books, number, members = await an_election(co_op)
    for member, vote in zip(members, ("1,2", "2,1", "1", "3", "abstain"), strict=True):
        await run.cast(books, number, member, vote, now_us=DURING)
    stored = await run.settle(books, number, now_us=CLOSES)
    told = json.loads(stored.document)
    # Ada 3, Bo 2, Cy 1.
    assert ["Ada", "Bo"] == told["count"]["elected"]
    assert [("Ada", {"members": 3}), ("Bo", {"members": 2}), ("<b>Cy</b>", {"members": 1})] == [
        (one["name"], one["votes"]) for one in told["count"]["options"]
    ]
    assert (5, 1, True) == (told["count"]["cast"], told["count"]["abstained"], stored.is_adopted)
    assert sorted(["1,2", "1,2", "1", "3", "abstain"]) == sorted(one["vote"] for one in told["ballots"])
    assert () == recount(stored.document).problems
    assert [] == await proof.verify(books)


@pytest.mark.parametrize(
    ("vote", "reason"),
    [
        ("1,2,3", "too-many"), ("1,1", "one-twice"), ("4", "no-such-choice"), ("0", "no-such-choice"),
        ("for", "no-such-choice"), ("", "nothing-chosen"), ("1,abstain", "both"), ("Ada", "no-such-choice"),
    ],
)  # fmt: skip
async def test_a_ballot_that_is_none_is_refused_and_its_member_can_still_vote(
    co_op: Coop, vote: str, reason: str
) -> None:
    books, number, (anna, *_) = await an_election(co_op)
    with pytest.raises(VoteRefused) as refused:
        await run.cast(books, number, anna, vote, now_us=DURING)
    assert reason == refused.value.reason
    await run.cast(books, number, anna, "1", now_us=DURING)


async def test_who_may_not_vote_in_an_election_is_told_why(co_op: Coop) -> None:
    books, number, (anna, *_) = await an_election(co_op)
    shop = await join(co_op, "shop", MemberClass.CUSTOMER)

    async def reason(member: MemberId, at_us: int) -> str:
        with pytest.raises(VoteRefused) as refused:
            await run.cast(books, number, member, "1", now_us=at_us)
        return refused.value.reason

    assert "not-a-member" == await reason(shop, DURING)
    assert "late" == await reason(anna, CLOSES)
    await run.cast(books, number, anna, "1", now_us=DURING)
    assert "twice" == await reason(anna, DURING)
    assert (1, 5) == await store.turnout(books, number)


@pytest.mark.parametrize(
    ("vote", "words"),
    [
        ("1,2,3", "can name 1,2,3"), ("2,1", "can name 2,1"), ("1,1", "can name 1,1"), ("4", "can name 4"),
        ("for", "nothing like for"), ("0", "ballot_vote_check"), ("1,", "ballot_vote_check"), ("100", "ballot_vote_check"),
        ("1, 2", "ballot_vote_check"),
    ],
)  # fmt: skip
async def test_the_database_takes_no_ballot_the_election_does_not_allow(
    co_op: Coop, vote: str, words: str
) -> None:
    books, number, _ = await an_election(co_op)
    with pytest.raises(asyncpg.PostgresError, match=words):
        await books.execute(BALLOT, number, "e" * 32, "members", vote, None)


async def test_in_an_ordinary_vote_nobody_is_named(co_op: Coop) -> None:
    await co_op.found(*NAMES)
    books = await co_op.books()
    said = Wording("A disk", "We buy it.", None, "test", NOW)
    number = await run.propose(books, ResolutionKind.OTHER, said, member=None, settings=SETTINGS)
    await opened(books, number)
    with pytest.raises(VoteRefused):
        await run.cast(books, number, MemberId(1), "1", now_us=DURING)
    with pytest.raises(asyncpg.PostgresError, match="nothing like 1"):
        await books.execute(BALLOT, number, "e" * 32, "members", "1", None)


async def test_an_election_has_seats_and_options_and_nothing_else_has(co_op: Coop) -> None:
    await co_op.found(*NAMES)
    books = await co_op.books()
    plain = Wording("A disk", "We buy it.", None, "test", NOW)
    for kind, said in ((ResolutionKind.ELECTION, plain), (ResolutionKind.OTHER, SAID)):
        with pytest.raises(Refusal, match="an election has seats"):
            await run.propose(books, kind, said, member=None, settings=SETTINGS)
        number = await store.insert_proposal(books, kind, None, who="test", now_us=NOW)
        with pytest.raises(asyncpg.PostgresError, match="an election has seats and options"):
            await store.insert_wording(books, number, said)
    number = await run.propose(books, ResolutionKind.ELECTION, SAID, member=None, settings=SETTINGS)
    with pytest.raises(Refusal, match="an election has seats"):
        await run.reword(books, number, plain, member=None)


@pytest.mark.parametrize("change", ["seats", "options", "votes", "none"])
async def test_no_election_is_opened_with_other_seats_or_options_than_were_proposed(
    co_op: Coop, change: str
) -> None:
    books, number, _ = await an_election(co_op)
    poll = (await store.polls(books, [number]))[number]
    other = await run.propose(books, ResolutionKind.ELECTION, SAID, member=None, settings=SETTINGS)
    told = json.loads(poll.document)
    match change:
        case "seats":
            told["election"]["seats"] = 1
        case "options":
            told["election"]["options"][0] = "Eve"
        case "votes":
            told["election"]["votes"] = 3
        case "none":
            del told["election"]
    with pytest.raises(asyncpg.PostgresError, match="other seats or options than it says"):
        await books.execute(
            "INSERT INTO billing.poll VALUES ($1, $2, encode(sha256(convert_to($2, 'UTF8')), 'hex'), true,"
            " '2026-11-01Z', '2026-11-02Z', '2026-11-03Z', 'test', '2026-11-01Z')",
            other, json.dumps(told),
        )  # fmt: skip


async def test_a_tie_for_the_last_seat_is_said_to_be_one_and_becomes_a_resolution_without_it(
    co_op: Coop,
) -> None:
    books, number, members = await an_election(co_op)
    for member, vote in zip(members[:3], ("1,2", "1,3", "1"), strict=True):
        await run.cast(books, number, member, vote, now_us=DURING)
    stored = await run.settle(books, number, now_us=CLOSES)
    found = recount(stored.document).outcome
    assert isinstance(found, Elected)
    assert (["Ada"], ["Bo", "<b>Cy</b>"], 1) == (
        found.names(found.elected), found.names(found.tied), found.left
    )  # fmt: skip
    asked = await run.resolution_for(books, number, who="test", now_us=CLOSES)
    entered = await run.adopt(books, number, asked, now_us=CLOSES)
    kept = await resolution(books, entered.id)
    assert kept is not None
    assert (Body.MEETING, ResolutionKind.ELECTION, None) == (kept.body, kept.kind, kept.votes)
    assert "Elected: Ada. 1 seats are not filled." in kept.text


async def test_an_election_nobody_is_elected_in_becomes_no_resolution(co_op: Coop) -> None:
    books, number, members = await an_election(co_op)
    for member in members:
        await run.cast(books, number, member, "abstain", now_us=DURING)
    assert not (await run.settle(books, number, now_us=CLOSES)).is_adopted
    with pytest.raises(Refusal, match="nobody was voted for"):
        await run.resolution_for(books, number, who="test", now_us=CLOSES)


async def test_with_one_vote_each_a_ballot_names_one(co_op: Coop) -> None:
    (anna, *_) = await co_op.found(*NAMES)
    books = await co_op.books()
    choices = '[voting]\nelection = "one"\n'
    await insert_choice(
        books, Choice(0, "plain", 2026, 1, None, rule_set_text("plain"), choices, "test", NOW)
    )
    number = await run.propose(books, ResolutionKind.ELECTION, SAID, member=None, settings=SETTINGS)
    poll = await opened(books, number)
    assert poll.terms.election is not None
    assert (1, 2) == (poll.terms.election.votes, poll.terms.election.seats)
    with pytest.raises(VoteRefused, match="names at most 1"):
        await run.cast(books, number, anna, "1,2", now_us=DURING)


async def test_an_open_election_says_who_chose_whom(co_op: Coop) -> None:
    books, number, (anna, ben, *_) = await an_election(co_op, is_secret=False)
    await run.cast(books, number, anna, "1,2", now_us=DURING)
    await run.cast(books, number, ben, "abstain", now_us=DURING)
    stored = await run.settle(books, number, now_us=CLOSES)
    told = json.loads(stored.document)
    assert {1: "1,2", 2: "abstain"} == {one["member"]: one["vote"] for one in told["ballots"]}
    assert () == recount(stored.document).problems


async def test_the_api_tells_of_an_election_as_its_document_says(co_op: Coop, tmp_path: Path) -> None:
    books, number, (anna, *_) = await an_election(co_op)
    await run.cast(books, number, anna, "1,2", now_us=DURING)
    settings = BillingSettings(**GENEROUS)  # type: ignore[arg-type]
    async with running_site(co_op, tmp_path / "journal", settings, kind=Api) as api:
        api.now_us = CLOSES
        token = await api.token(anna)
        document = await document_of(api)
        told = {}
        for path in (f"/proposals/{number}", f"/proposals/{number}/result", "/proposals"):
            told[path] = await api.told(path, token)
            operation = document["paths"][template_of(document, path)]["get"]
            content = operation["responses"]["200"]["content"]["application/json"]
            assert [] == complaints(document, content, told[path]), path
        file = await (await api.ask(f"/proposals/{number}/result", token)).read()
    assert {"seats": 2, "options": ["Ada", "Bo", "<b>Cy</b>"]} == told[f"/proposals/{number}"]["election"]
    assert ["Ada", "Bo"] == told[f"/proposals/{number}/result"]["count"]["elected"]
    assert hashlib.sha256(file).hexdigest() == told[f"/proposals/{number}"]["result_digest"]


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    await co_op.found(*NAMES)
    settings = BillingSettings(session_idle_minutes=43_200, session_absolute_hours=8760)
    async with running_site(co_op, tmp_path / "journal", settings) as one:
        yield one


async def test_the_page_of_an_open_election_says_who_chose_whom(co_op: Coop, tmp_path: Path) -> None:
    books, number, (anna, ben, *_) = await an_election(co_op, is_secret=False)
    await run.cast(books, number, anna, "1,3", now_us=DURING)
    await run.cast(books, number, ben, "abstain", now_us=DURING)
    settings = BillingSettings(session_idle_minutes=43_200, session_absolute_hours=8760)
    async with running_site(co_op, tmp_path / "journal", settings) as site:
        site.now_us = CLOSES
        await site.sign_in(anna)
        page = await site.text(f"/proposals/{number}")
    assert '<th scope="row">anna</th><td>Ada, &lt;b&gt;Cy&lt;/b&gt;</td>' in page
    assert '<th scope="row">ben</th><td>abstained</td>' in page
    assert "For anybody to be elected 1 had to take part. Seats: 2, for those with the most votes." in page


async def test_an_election_from_its_proposal_to_its_result_on_the_pages(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.sign_in(1)
    assert 'name="options"' in await site.text("/proposals/new?election")
    assert 'name="options"' not in await site.text("/proposals/new")
    typed = {"title": "Board", "body": "Two seats.", "calc_hash": "", "kind": "election", "seats": "2"}
    form = FormData(default_to_multipart=True)
    for name, value in {**typed, "options": "Ada\r\nBo\r\n\r\n<b>Cy</b>"}.items():
        form.add_field(name, value)
    reply = await site.client.post("/proposals/new", data=form, allow_redirects=False)
    assert (303, "/proposals/1") == (reply.status, reply.headers["Location"])
    page = await site.text("/proposals/1")
    assert "<li>Ada</li><li>Bo</li><li>&lt;b&gt;Cy&lt;/b&gt;</li>" in page
    assert "&lt;b&gt;Cy&lt;/b&gt;</textarea>" in await site.text("/proposals/1/edit")
    await opened(await site.co_op.books(), 1)
    site.now_us = DURING
    caplog.set_level(logging.WARNING, "billing.portal.say")
    receipts = []
    for member, votes in ((1, ["1", "2"]), (2, ["1", "3"]), (3, ["1", "2"]), (4, ["abstain"])):
        await site.sign_in(member)
        page = await site.text("/proposals/1")
        assert "You can choose up to 2, each once." in page
        assert 4 == page.count('type="checkbox" name="vote"')
        data = [("vote", one) for one in ("1", "2", "3")]
        reply = await site.client.post("/proposals/1/vote", data=data, allow_redirects=False)
        assert (400, True) == (reply.status, "a ballot here names at most 2" in (await reply.text()).lower())
        reply = await site.client.post("/proposals/1/vote", data=[("vote", one) for one in votes])
        receipts += re.findall(r"<code>([0-9a-f ]{39})</code>", await reply.text())
    assert {"a vote on proposal 1 was refused: too-many"} == {one.getMessage() for one in caplog.records}
    site.now_us = CLOSES
    page = await site.text("/proposals/1")
    assert "Elected: Ada, Bo." in page
    assert "4 of 5 took part: of 2 seats 2 went to those with the most votes." in page
    assert "<b>" not in page
    assert ("somebody was elected" in await site.text("/proposals"), 4) == (True, len(receipts))
    file = await (await site.get("/proposals/1/result")).read()
    assert f"its digest is <code>{hashlib.sha256(file).hexdigest()}</code>" in page
    again = recount(file.decode())
    assert () == again.problems
    assert {one.replace(" ", "") for one in receipts} == {one.receipt for one in again.ballots}
    assert again.digest in page
