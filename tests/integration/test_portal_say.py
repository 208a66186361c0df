"""Having a say as a browser meets it: proposals, discussion, votes, results, and everything that is refused."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiohttp import ClientResponse, FormData

from billing.settings import BillingSettings
from billing.voting import run, store
from billing.voting.document import recount
from billing.words import iso_text
from meter.ids import MemberId
from meter.store import set_member_status
from meter.usage import MemberClass, MemberStatus
from tests.coop import NOW, Coop
from tests.portal import Site, running_site
from tests.voting_kit import CLOSES, DURING, NAMES, join, opened, proposed

SCRIPT = "<script>alert(1)</script>"


class Say(Site):
    """A portal with forms that carry files."""

    books: asyncpg.Connection

    async def send(
        self, path: str, *, file: tuple[str, bytes] | None = None, **fields: str
    ) -> ClientResponse:
        """A form with or without a file, as a browser sends it."""
        form = FormData(default_to_multipart=True)
        for name, value in fields.items():
            form.add_field(name, value)
        form.add_field(
            "file", io.BytesIO(b"" if file is None else file[1]), filename="" if file is None else file[0]
        )
        return await self.client.post(path, data=form, allow_redirects=False)

    async def vote(self, number: int, vote: str, **headers: str) -> ClientResponse:
        return await self.client.post(
            f"/proposals/{number}/vote", data={"vote": vote}, headers=headers, allow_redirects=False
        )


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Say]:
    await co_op.found(*NAMES)
    settings = BillingSettings(
        session_idle_minutes=43_200, session_absolute_hours=8760, proposals_listed_max=2
    )
    async with running_site(co_op, tmp_path, settings, kind=Say) as one:
        one.books = await co_op.books()
        yield one


async def test_from_a_proposal_to_a_result_that_is_counted_again(site: Say) -> None:
    await site.sign_in(1)
    reply = await site.send(
        "/proposals/new",
        title="A second disk",
        kind="other",
        body="We buy one.",
        calc_hash="",
        file=("o.txt", b"120 EUR"),
    )
    assert (303, "/proposals/1") == (reply.status, reply.headers["Location"])
    assert "Put it in other words" in await site.text("/proposals/1")
    await site.send("/proposals/1/edit", title="Two disks", body="We buy two.", calc_hash="")
    paper = await site.get("/proposals/1/attachments/1")
    assert (b"120 EUR", "text/plain", 'attachment; filename="proposal-1-1.txt"') == (
        await paper.read(), paper.content_type, paper.headers["Content-Disposition"],
    )  # fmt: skip
    await opened(site.books, 1)
    assert "The vote opens on" in await site.text("/proposals/1")
    site.now_us = DURING
    said = {}
    for member, vote in ((1, "for"), (2, "against"), (3, "for")):
        await site.sign_in(member)
        assert 'name="vote" value="abstain"' in await site.text("/proposals/1")
        reply = await site.vote(1, vote)
        assert 200 == reply.status
        if member == 1:
            assert "1 of 5 has voted so far" in await site.text("/proposals/1")
        said[re.findall(r"<code>([0-9a-f ]{39})</code>", await reply.text())[0].replace(" ", "")] = vote
        page = await site.text("/proposals/1")
        assert (True, False) == ("You have voted." in page, 'name="vote"' in page)
    await site.send("/proposals/1/comment", comment="Two are better than one.")
    assert "3 of 5 have voted so far" in await site.text("/proposals/1")
    assert 404 == (await site.get("/proposals/1/result")).status
    site.now_us = CLOSES
    page = await site.text("/proposals/1")
    assert "<strong>Adopted.</strong> 3 of 5 took part" in page
    assert 'aria-label="2 for, 1 against, 0 abstained, of 5 with a vote"' in page
    reply = await site.get("/proposals/1/result")
    # 6 November is the record date; the vote opened a day later and was open for two weeks.
    for words in (
        "The vote was open from 7 November 2026, 00:00 UTC until 21 November 2026, 00:00 UTC.",
        "Who was a member on 6 November 2026, 00:00 UTC had one vote.",
        "The ballot was secret: everybody sees who voted, and nobody how.",
        "For it to be adopted 1 had to take part, and more than 1/2 of the votes for and against had to be for it.",
    ):
        assert words in page, words
    table = voters_table(page)
    assert ["Member", "Number"] == re.findall(r'<th scope="col"[^>]*>([^<]*)', table)
    assert [("1", "anna", ""), ("2", "ben", ""), ("3", "carla", "")] == voters_in(table)
    file = await reply.read()
    assert f"its digest is <code>{hashlib.sha256(file).hexdigest()}</code>" in page
    # As docs/voting.md says it to whoever writes a program of their own.
    told = json.loads(file)
    assert file == json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    (comment,) = await store.comments(site.books, 1)
    spoken = [[1, 3, iso_text(comment.recorded_us), "Two are better than one."]]
    for digest, of in (
        (told["poll_digest"], told["poll"]),
        (told["discussion"]["digest"], {"comments": spoken}),
    ):
        text = json.dumps(of, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == digest
    again = recount(file.decode())
    assert ((), said) == (again.problems, {one.receipt: one.vote.value for one in again.ballots})
    assert again.digest in page
    assert "Two are better than one." in page
    assert 'name="comment"' not in page


def voters_table(page: str) -> str:
    """Of who voted."""
    return page[page.index("<summary>Who voted") : page.index("</details>")]


def voters_in(table: str) -> list[tuple[str, str, str]]:
    """(number, name, what they said) of each."""
    found = re.findall(
        r'<tr><th scope="row">([^<]*)</th>(?:<td>([^<]*)</td>)?<td class="n">(\d+)</td></tr>', table
    )
    return [(number, name, said) for name, said, number in found]


async def test_an_open_vote_shows_who_voted_how(site: Say) -> None:
    number = await proposed(site.books)
    await opened(site.books, number, is_secret=False)
    site.now_us = DURING
    for member, vote in ((3, "against"), (1, "for"), (4, "abstain")):
        await site.sign_in(member)
        said = await (await site.vote(number, vote)).text()
        assert "every member can see who voted how" in said
        assert "Who voted" not in await site.text(f"/proposals/{number}")
    site.now_us = CLOSES
    await site.sign_in(2)
    page = await site.text(f"/proposals/{number}")
    assert "The ballot was open: everybody sees who voted how." in page
    assert "<details open>\n  <summary>Who voted how</summary>" in page
    assert [("1", "anna", "for it"), ("3", "carla", "against it"), ("4", "dora", "abstained")] == voters_in(
        voters_table(page)
    )
    assert "The first" not in page


async def test_a_long_list_of_who_voted_is_folded_and_has_an_end(co_op: Coop, tmp_path: Path) -> None:
    names = [f"m{place:02}" for place in range(1, 24)]
    await co_op.found(*names)
    settings = BillingSettings(
        session_idle_minutes=43_200, session_absolute_hours=8760, proposal_voters_listed_max=21
    )
    async with running_site(co_op, tmp_path, settings, kind=Say) as site:
        books = await co_op.books()
        number = await proposed(books)
        await opened(books, number)
        for member in range(1, 24):
            await run.cast(books, number, MemberId(member), "for", now_us=DURING)
        site.now_us = CLOSES
        await site.sign_in(1)
        page = await site.text(f"/proposals/{number}")
    assert "<details>\n  <summary>Who voted</summary>" in page
    assert "The first 21 of 23, by their numbers" in page
    assert names[:21] == [name for _, name, _ in voters_in(voters_table(page))]


async def test_every_refused_vote_has_its_sentence_and_a_line_in_the_log(
    site: Say, caplog: pytest.LogCaptureFixture
) -> None:
    shop = await join(site.co_op, "shop", MemberClass.CUSTOMER)
    number = await proposed(site.books)
    await opened(site.books, number)
    late = await join(site.co_op, "late", MemberClass.USER, now_us=NOW + 1)
    caplog.set_level(logging.WARNING, "billing.portal.say")

    async def refused(member: int, vote: str, words: str, reason: str) -> None:
        await site.sign_in(member)
        caplog.clear()
        reply = await site.vote(number, vote)
        assert (400, True) == (reply.status, words in await reply.text())
        assert [f"a vote on proposal {number} was refused: {reason}"] == [
            one.getMessage() for one in caplog.records
        ]

    site.now_us = NOW + 2
    await refused(1, "for", "nothing is taken before", "early")
    site.now_us = DURING
    await refused(1, "yes", "is not to be chosen here", "no-such-choice")
    await refused(late, "for", "admitted after that", "admitted-later")
    assert "You have no vote here: who votes is who was a member" in await site.text(f"/proposals/{number}")
    await site.sign_in(1)
    assert 200 == (await site.vote(number, "for")).status
    await refused(1, "against", "You have voted already", "twice")
    site.now_us = CLOSES
    await refused(2, "for", "nothing is taken after", "late")
    await site.sign_in(shop)
    for path in ("/proposals", "/proposals/new", f"/proposals/{number}", f"/proposals/{number}/result"):
        reply = await site.get(path)
        assert (400, True) == (
            reply.status,
            "members own" in (await reply.text()).replace("&#39;", "").replace("'", ""),
        )
    assert 1 == len(await store.ballots(site.books, number))


async def test_a_vote_from_another_site_is_not_taken(site: Say) -> None:
    number = await proposed(site.books)
    await opened(site.books, number)
    site.now_us = DURING
    await site.sign_in(1)
    for header in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert 403 == (await site.vote(number, "for", **header)).status
    assert (0, 5) == await store.turnout(site.books, number)


async def test_nobody_who_is_not_signed_in_sees_or_does_anything(site: Say) -> None:
    number = await proposed(site.books)
    await opened(site.books, number)
    site.now_us = DURING
    for path in (
        "",
        "/new",
        f"/{number}",
        f"/{number}/edit",
        f"/{number}/result",
        f"/{number}/attachments/1",
    ):
        reply = await site.get(f"/proposals{path}")
        assert (303, "/login") == (reply.status, reply.headers["Location"])
    for path in ("/new", f"/{number}/edit", f"/{number}/comment"):
        assert 403 == (await site.send(f"/proposals{path}", title="x", body="x", comment="x")).status
    assert 403 == (await site.vote(number, "for")).status
    assert (0, 5) == await store.turnout(site.books, number)


async def test_what_members_write_is_text_and_nothing_else(site: Say) -> None:
    await site.sign_in(1)
    await site.send(
        "/proposals/new",
        title=SCRIPT,
        kind="other",
        body=SCRIPT,
        calc_hash="",
        file=(f"{SCRIPT[:8]}.txt", b"x"),
    )
    await site.send("/proposals/1/comment", comment=SCRIPT)
    for path in ("/proposals", "/proposals/1", "/proposals/1/edit"):
        page = await site.text(path)
        assert (False, True) == ("<script" in page, "&lt;script" in page)


async def test_the_proposal_of_another_is_not_changed(site: Say) -> None:
    await proposed(site.books, member=MemberId(1))
    await site.sign_in(2)
    reply = await site.get("/proposals/1/edit")
    assert (400, True) == (reply.status, "is not yours" in await reply.text())
    reply = await site.send("/proposals/1/edit", title="Mine", body="now", calc_hash="")
    assert (400, True) == (reply.status, "is not yours" in await reply.text())
    assert "A second disk" in await site.text("/proposals/1")


async def test_a_proposal_that_was_opened_is_not_changed(site: Say, caplog: pytest.LogCaptureFixture) -> None:
    await proposed(site.books, member=MemberId(1))
    await opened(site.books, 1)
    await site.sign_in(1)
    caplog.set_level(logging.WARNING, "billing.portal.say")
    reply = await site.send("/proposals/1/edit", title="Other", body="words", calc_hash="")
    assert (400, True) == (reply.status, "stays so" in await reply.text())
    assert ["a change on proposal 1 was refused: Refusal"] == [one.getMessage() for one in caplog.records]


@pytest.mark.parametrize(
    ("fields", "file"),
    [
        ({"kind": "coup"}, None),
        ({"title": ""}, None),
        ({"body": "x" * 20_001}, None),
        ({"body": "x" * 80_001}, None),
        ({"calc_hash": "ab"}, None),
        ({}, ("a.html", b"<p>")),
        ({}, ("a.pdf", b"<p>")),
        ({}, ("a.txt", b"x" * (2 * 2**20 + 1))),
        ({f"more{n}": "x" for n in range(20)}, None),
    ],
)
async def test_what_cannot_be_proposed_leaves_nothing(
    site: Say, fields: dict[str, str], file: tuple[str, bytes] | None
) -> None:
    await site.sign_in(1)
    told = {"title": "A disk", "kind": "other", "body": "We buy one.", "calc_hash": ""} | fields
    reply = await site.send("/proposals/new", file=file, **told)
    assert 400 == reply.status
    assert [] == await store.proposals(site.books, count_max=10)


async def test_what_is_no_form_is_refused_in_a_sentence(site: Say) -> None:
    await site.sign_in(1)
    for headers, body in (
        ({"Content-Type": "application/json"}, b"{}"),
        ({"Content-Type": "multipart/form-data"}, b"x"),
        ({"Content-Type": "multipart/form-data; boundary=a"}, b"--b\r\n"),
        ({"Content-Type": "multipart/form-data; boundary=a"}, b'--a\r\nContent-Disposition: form-data; name="title"\r\n\r\n\xff\r\n--a--\r\n'),
    ):  # fmt: skip
        reply = await site.client.post("/proposals/new", data=body, headers=headers, allow_redirects=False)
        assert (400, True) == (reply.status, "form" in await reply.text())
    assert [] == await store.proposals(site.books, count_max=10)


async def test_there_is_no_such_page(site: Say) -> None:
    await proposed(site.books)
    await site.sign_in(1)
    for path in ("9", "0", "999999999", "1/result", "1/attachments/1", "x", "1234567890"):
        assert 404 == (await site.get(f"/proposals/{path}")).status


async def test_the_list_goes_on(site: Say) -> None:
    for _ in range(3):
        await proposed(site.books)
    await site.sign_in(1)
    page = await site.text("/proposals")
    assert ([3, 2], True) == (
        [int(one) for one in re.findall(r'href="/proposals/(\d+)"', page)],
        'href="/proposals?before=2"' in page,
    )
    assert ["1"] == re.findall(r'href="/proposals/(\d+)"', await site.text("/proposals?before=2"))


async def test_an_open_result_says_who_voted_how_and_a_secret_one_does_not(site: Say) -> None:
    for is_secret in (True, False):
        number = await proposed(site.books)
        await opened(site.books, number, is_secret=is_secret)
        for member in (1, 2):
            await run.cast(site.books, number, MemberId(member), "for", now_us=DURING)
    site.now_us = CLOSES
    await site.sign_in(5)
    told = [json.loads(await site.text(f"/proposals/{number}/result")) for number in (1, 2)]
    assert [[1, 2], [1, 2]] == [one["voted"] for one in told]
    assert [set(), {1, 2}] == [
        {ballot["member"] for ballot in one["ballots"] if "member" in ballot} for one in told
    ]


async def test_who_left_after_the_record_date_finds_what_they_may_still_vote_on(site: Say) -> None:
    number, other = await proposed(site.books), await proposed(site.books)
    await opened(site.books, number)
    owner = await site.co_op.owner()
    await site.sign_in(5)
    await set_member_status(owner, MemberId(5), MemberStatus.LEFT, now_us=NOW + 1)
    asked = run.Asked(is_secret=True, record_us=NOW + 2, opens_us=DURING - 1, closes_us=CLOSES)
    await run.open_poll(site.books, other, asked, who="test", now_us=NOW + 2)
    site.now_us = DURING
    text = await site.text("/proposals")
    assert [True, False] == [f'href="/proposals/{one}"' in text for one in (number, other)]
    assert "you may still vote on them" in text
    assert "/proposals/new" not in text
    assert 200 == (await site.vote(number, "for")).status
    site.now_us = CLOSES
    reply = await site.get("/proposals")
    assert (400, True) == (reply.status, "the register has you as none" in await reply.text())
