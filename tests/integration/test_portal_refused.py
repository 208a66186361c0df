"""What a refused form and a session that is over leave to a member: their words, the pages of the portal, and a way back."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import FormData

from billing.portal.typed import CAPS, LABELS, SHOWN
from billing.settings import BillingSettings
from billing.tongue import _, speaking
from meter.ids import MemberId
from tests.coop import Coop
from tests.portal import Site, running_site
from tests.voting_kit import proposed

DIGEST = "Digest of a calculation to be approved, if there is one (SHA-256)"
SCRIPT = "<script>alert(1)</script>"


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    await co_op.found("anna", "ben")
    async with running_site(co_op, tmp_path, BillingSettings()) as one:
        yield one


def multipart(file: bytes | None = None, **fields: str) -> FormData:
    """A form that carries a file, as a browser sends it."""
    form = FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    if file is not None:
        form.add_field("file", io.BytesIO(file), filename="offer.txt")
    return form


async def send(site: Site, path: str, data: FormData | dict[str, str], came: str = "") -> tuple[int, str]:
    """A form from one of our own pages; the answer's status and page."""
    reply = await site.client.post(
        path, data=data, headers={"Referer": site.origin + (came or path)}, allow_redirects=False
    )
    return reply.status, await reply.text()


def written(page: str) -> dict[str, str]:
    """Label → what stands in the area below it that cannot be changed."""
    return {
        unescape(label): unescape(text)
        for label, text in re.findall(
            r'<label for="typed-\d+">(.*?)</label>\s*<textarea id="typed-\d+" rows="\d" readonly>\n(.*?)</textarea>',
            page,
            re.DOTALL,
        )
    }


def invalid(page: str) -> list[str]:
    """Names of the fields that are marked as wrong."""
    return re.findall(r'name="(\w+)"[^>]*aria-invalid="true"', page)


async def test_a_refused_proposal_is_the_form_again_with_its_words(site: Site) -> None:
    await site.sign_in(MemberId(1))
    told = {"title": "A second disk", "kind": "tariff", "body": "We buy\none.", "calc_hash": "abc"}
    status, page = await send(site, "/proposals/new", multipart(b"120 EUR", **told))
    assert (400, ["calc_hash"]) == (status, invalid(page))
    alert = re.findall(r'role="alert" id="wrong">(.*?)</p>', page)
    again = "Choose the paper once more: browsers do not send it again by themselves."
    assert [f"{DIGEST}: a digest has 64 hexadecimal digits in small letters. {again}"] == alert
    assert all(one in page for one in ('value="A second disk"', 'value="abc"', ">\nWe buy\none.</textarea>"))
    assert ["tariff"] == re.findall(r'<option value="([\w-]+)" selected', page)
    assert "Sign out anna" in page


async def test_refused_new_words_of_a_proposal_are_there_again(site: Site) -> None:
    await proposed(await site.co_op.books(), member=MemberId(1))
    await site.sign_in(MemberId(1))
    status, page = await send(
        site, "/proposals/1/edit", multipart(title="", body="Other words.", calc_hash="")
    )
    assert (400, ["title"], True) == (status, invalid(page), ">\nOther words.</textarea>" in page)
    assert 'action="/proposals/1/edit"' in page


async def test_a_paper_that_is_too_large_is_refused_by_its_limit_and_the_words_stay(site: Site) -> None:
    await site.sign_in(MemberId(1))
    assert "text or CSV, 2 MB at most" in await site.text("/proposals/new")
    told = {"title": "A disk", "kind": "other", "body": "We buy one.", "calc_hash": ""}
    status, page = await send(site, "/proposals/new", multipart(b"x" * (2 * 2**20 + 1), **told))
    assert (400, ["file"], True) == (status, invalid(page), ">\nWe buy one.</textarea>" in page)
    assert "Attachment: it is larger than 2 MB." in page


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("storage_hard", "much", "Stored at once, Refuse at: &#39;much&#39; is not a size"),
        ("egress_soft", "2 GB", "Sent to readers in a month (egress), Warn me at: the soft cap of egress"),
    ],
)
async def test_a_refused_cap_names_its_field_and_keeps_the_others(
    site: Site, field: str, typed: str, sentence: str
) -> None:
    await site.sign_in(MemberId(1))
    fields = dict.fromkeys(CAPS, "") | {"egress_hard": "1 GB", "storage_soft": "5 GB", field: typed}
    status, page = await send(site, "/caps", fields)
    assert (400, [field], True) == (status, invalid(page), sentence in page)
    values = dict(re.findall(r'name="(\w+_\w+)" value="([^"]*)"', page))
    assert fields == values


async def test_any_other_refused_form_keeps_what_was_written_and_leads_back(site: Site) -> None:
    await site.sign_in(MemberId(1))
    await proposed(await site.co_op.books(), member=MemberId(2))
    long = SCRIPT + "x" * 4_000
    status, page = await send(site, "/proposals/1/comment", multipart(comment=long), came="/proposals/1")
    assert (400, {"What do you think?": long}) == (status, written(page))
    assert SCRIPT not in page
    assert '<a href="/proposals/1">Back to the form</a>' in page
    assert "Sign out anna" in page
    status, page = await send(site, "/membership/leave", {"why": "I move away", "on": "2020-01-01"})
    assert (400, {"Why, if you like to say": "I move away"}) == (status, written(page))
    assert '<a href="/membership/leave">Back to the form</a>' in page


async def test_a_page_that_is_not_there_has_the_pages_of_who_is_signed_in(site: Site) -> None:
    reply = await site.get("/nowhere")
    assert (404, False) == (reply.status, "Sign out" in await reply.text())
    await site.sign_in(MemberId(1))
    reply = await site.get("/nowhere")
    assert (404, True) == (reply.status, "Sign out anna" in await reply.text())


async def test_what_is_written_when_a_session_ends_is_not_lost(site: Site) -> None:
    told = {"title": SCRIPT, "kind": "other", "body": "A long\nday's work.", "calc_hash": ""}
    for data in (multipart(b"x" * 100_000, **told), multipart(**told)):
        status, page = await send(site, "/proposals/new", data)
        assert (403, SCRIPT, "A long\nday's work.") == (
            status, written(page)["Title, one line"], written(page)["What is proposed, and why"].replace("\r\n", "\n"),
        )  # fmt: skip
        assert (False, True) == (SCRIPT in page, '<a href="/login">Sign in</a>' in page)
        assert "You are signed out, and nothing was done." in page
    assert 0 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM billing.proposal")


PART = b'--q\r\nContent-Disposition: form-data; name="email"\r\n\r\n%s\r\n--q--\r\n'
PLAIN, PARTS = "application/x-www-form-urlencoded", "multipart/form-data"
UNREADABLE = (
    (PLAIN, b"email=\xff&name=\xff"), (f"{PLAIN}; charset=nope", b"email=a"), (f"{PLAIN}; charset=hex", b"email=a"),
    (PARTS, b"x"), (f"{PARTS}; boundary=q", b"x"), (f"{PARTS}; boundary=q", PART % b"\xff"),
    (f"{PARTS}; boundary=q", b"--q\r\n\r\nx\r\n--q--\r\n"),
)  # fmt: skip


@pytest.mark.parametrize(("kind", "body"), UNREADABLE)
async def test_what_is_no_form_is_refused_and_leaves_no_trace_in_the_log(
    site: Site, caplog: pytest.LogCaptureFixture, kind: str, body: bytes
) -> None:
    for is_in in (False, True):
        for path in ("/language", "/login/passkey", "/caps", "/tokens"):
            reply = await site.client.post(
                path, data=body, headers={"Content-Type": kind}, allow_redirects=False
            )
            page = await reply.text()
            assert reply.status in (400, 403), (path, reply.status)
            assert ("default-src 'none'", "<h1>") == (
                reply.headers["Content-Security-Policy"][:18], page[page.index("<h1>") :][:4]
            )  # fmt: skip
        if not is_in:
            await site.sign_in(MemberId(1))
    assert [] == [one for one in caplog.records if one.exc_info]


async def test_a_nul_in_an_address_is_refused_and_leaves_no_trace_in_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.sign_in(MemberId(1))
    for path in ("/tokens/%00/revoke", "/keys/%00/revoke"):
        reply = await site.post(path)
        assert (400, True) == (reply.status, "cannot be read" in await reply.text())
    assert [] == [one for one in caplog.records if one.exc_info]


async def test_a_page_for_who_is_signed_out_shows_no_vote_and_no_key(site: Site) -> None:
    for path, fields in (
        ("/proposals/1/vote", {"vote": "against"}),
        ("/passkeys", {"credential": "a-secret", "name": "phone"}),
        ("/caps", {"egress_hard": "1 GB"}),
        ("/proposals/new", {"title": "in a form of the wrong kind"}),
    ):
        status, page = await send(site, path, fields)
        shown = written(page)
        assert (403, {} if path != "/proposals/new" else {"Title, one line": fields["title"]}) == (
            status,
            shown,
        )
        assert "against" not in page
        assert "a-secret" not in page


async def test_what_is_shown_again_is_bounded(site: Site) -> None:
    status, page = await send(site, "/proposals/new", multipart(title="t", body="x" * 70_000))
    assert (403, 20_000) == (status, len(written(page)["What is proposed, and why"]))
    status, page = await send(site, "/proposals/new", multipart(title="t", body="x" * 80_000))
    assert (403, {"Title, one line": "t"}) == (status, written(page))


async def test_who_signs_in_comes_to_the_page_that_was_asked_for(site: Site) -> None:
    assert 303 == (await site.get("/caps")).status
    reply = await site.client.post(await site.link(MemberId(1)), allow_redirects=False)
    assert (303, "/caps") == (reply.status, reply.headers["Location"])
    # Once, and not again the next time.
    await site.post("/logout")
    reply = await site.client.post(await site.link(MemberId(1)), allow_redirects=False)
    assert (303, "/") == (reply.status, reply.headers["Location"])


async def test_who_signs_in_after_a_form_comes_to_the_form(site: Site) -> None:
    await send(site, "/proposals/new", multipart(title="x"), came="/proposals/new?election")
    reply = await site.client.post(await site.link(MemberId(1)), allow_redirects=False)
    assert "/proposals/new?election" == reply.headers["Location"]


async def test_a_proxy_that_asks_under_another_name_loses_nobody_s_page(co_op: Coop, tmp_path: Path) -> None:
    public = "https://portal.example"
    async with running_site(co_op, tmp_path, BillingSettings(portal_url=public), origin=public) as site:
        for referer, led in (
            (f"{public}/usage?by=day", "/usage?by=day"), ("https://evil.example/usage", "/"), ("http://[", "/"), ("/usage", "/"),
        ):  # fmt: skip
            reply = await site.client.post(
                "/language", data={"language": "de"}, headers={"Referer": referer}, allow_redirects=False
            )
            assert (303, led) == (reply.status, reply.headers["Location"]), referer


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "https:evil", "/./evil//x",
     "javascript:alert(1)", "/nowhere", "/logout", "caps", "/" + "a" * 2_000, "/.//evil.example"],
)  # fmt: skip
async def test_a_cookie_of_anybody_sends_nobody_to_another_site(site: Site, path: str) -> None:
    cookie = path.replace("\\", "\\\\")
    reply = await site.client.post(
        await site.link(MemberId(1)), headers={"Cookie": f'weir_onward="{cookie}"'}, allow_redirects=False
    )
    assert (303, "/") == (reply.status, reply.headers["Location"])


async def test_a_cookie_of_ours_is_read(site: Site) -> None:
    reply = await site.client.post(
        await site.link(MemberId(1)), headers={"Cookie": 'weir_onward="/usage?from=2026-11-01"'}, allow_redirects=False
    )  # fmt: skip
    assert "/usage?from=2026-11-01" == reply.headers["Location"]


@pytest.mark.parametrize("language", ["de", "es"])
def test_every_label_is_told_in_the_reader_s_language(language: str) -> None:
    labels = (
        {label for *_where, label in SHOWN}
        | set(LABELS.values())
        | {one for pair in CAPS.values() for one in pair}
    )
    with speaking(language):
        assert [] == [one for one in sorted(labels) if _(one) == one and one != "Name"]


async def test_what_the_server_itself_refuses_is_said_to_a_member_and_not_to_a_program(site: Site) -> None:
    await site.sign_in(MemberId(1))
    reply = await site.get("/logout")
    assert (405, "POST") == (reply.status, reply.headers["Allow"])
    assert "This address does nothing by itself." in await reply.text()
    status, page = await send(site, "/caps", {"egress_soft": "x" * 20_000})
    assert (413, True) == (status, "That is longer than this form takes, so nothing was done." in page)
    assert "Entity" not in page
