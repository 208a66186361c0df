"""A button pressed twice: the act is done once, and the second answer, which is what a browser shows, is the first's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from billing.acts.act import Office
from billing.costs.costing import add_cost, list_costs
from billing.costs.invoices import Paper
from billing.governance.store import resolutions
from billing.portal.just_made import KEPT_US as TOLD_AGAIN_US
from billing.portal.once import KEPT_US
from billing.settings import BillingSettings
from billing.voting import store as voting_store
from meter.ids import MemberId
from tests.coop import CENT, NOW, OCTOBER, TARIFF, Coop
from tests.offices import acts, holds
from tests.portal import Site, running_site
from tests.voting_kit import opened, proposed

ANNA, TOM = MemberId(1), MemberId(2)
INVOICE = {
    "period": "2026-10", "pool": "rack", "amount": "2.00", "supplier": "Rack Ltd", "dated": "2026-10-31", "memo": "place",
}  # fmt: skip
RESOLUTION = {
    "body": "board", "kind": "other", "decided": "2026-11-03", "text": "We buy a disk.", "in_favour": "", "against": "",
    "abstained": "", "quorum": "", "calc_hash": "",
}  # fmt: skip
CLOSE = "/treasurer/months/2026-10/close"


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    """Anna, and tom, who is treasurer and on the board; a day is no time to be signed out."""
    settings = BillingSettings(session_idle_minutes=43_200, session_absolute_hours=8760)
    async with running_site(co_op, tmp_path / "journal", settings) as one:
        await co_op.found("anna", "tom")
        await holds(co_op, TOM, Office.TREASURER)
        await holds(co_op, TOM, Office.BOARD)
        await one.sign_in(TOM)
        yield one


async def pressed(site: Site, path: str, form: dict[str, str]) -> str:
    """Press three times, twice of them at once; where all of it led."""
    together = await asyncio.gather(site.post(path, **form), site.post(path, **form))
    replies = [*together, await site.post(path, **form)]
    assert [303, 303, 303] == [one.status for one in replies], [await one.text() for one in replies]
    (led,) = {one.headers["Location"] for one in replies}
    return led


async def done(site: Site) -> list[str]:
    """What the log of acts says."""
    return [one.what if one.is_done else f"refused: {one.what}" for one in await acts(site.co_op)]


async def test_an_invoice_is_booked_once_and_another_form_books_another(site: Site) -> None:
    books, path = await site.co_op.books(), "/treasurer/invoices"
    form = await site.sure_form(path, **INVOICE)
    assert "/treasurer?booked=1" == await pressed(site, path, form)
    assert [1] == [one.number for one in await list_costs(books, OCTOBER)]
    assert 1 == len(await done(site))
    # Really another bill, which its page told apart: it said that one says the same.
    again = await site.sure_form(path, **INVOICE)
    assert ("1", True) == (again["same"], again["form"] != form["form"])
    assert "/treasurer?booked=2" == await pressed(site, path, again)
    # For a day the first form leads where it led.
    assert "/treasurer?booked=1" == await pressed(site, path, form)
    owner = await site.co_op.owner()
    assert 2 == await owner.fetchval("SELECT count(*) FROM billing.form_sent")
    site.now_us += KEPT_US + 1
    await site.sign_in(TOM)
    await pressed(site, path, await site.sure_form(path, **INVOICE))
    assert 1 == await owner.fetchval("SELECT count(*) FROM billing.form_sent")


async def test_a_bill_that_somebody_booked_meanwhile_is_looked_at_once_more(site: Site) -> None:
    books, path = await site.co_op.books(), "/treasurer/invoices"
    form = await site.sure_form(path, **INVOICE)
    assert "same" not in form
    await add_cost(
        books, month=OCTOBER, pool="rack", amount="2.00", memo="place", now_us=NOW,
        paper=Paper("Rack Ltd", "2026-10-31"),
    )  # fmt: skip
    reply = await site.post(path, **form)
    assert (400, True) == (reply.status, "nvoice 1, booked since you looked" in await reply.text())
    assert [1] == [one.number for one in await list_costs(books, OCTOBER)]
    # A refusal is no answer that is kept.
    assert 400 == (await site.post(path, **form)).status
    assert 303 == (await site.post(path, **(form | {"same": "1"}))).status


async def test_a_resolution_is_entered_once(site: Site) -> None:
    path = "/board/resolutions"
    form = await site.sure_form(path, **RESOLUTION)
    assert "/board/resolutions?entered=2026-1" == await pressed(site, path, form)
    assert ["2026-1"] == [one.id for one in await resolutions(await site.co_op.books())]
    assert ["enter resolution 2026-1 of the board"] == await done(site)


async def test_a_month_is_closed_once_and_whoever_pressed_twice_is_told_that_it_is(site: Site) -> None:
    await site.co_op.use(ANNA, OCTOBER, 100 * CENT)
    form = await site.sure_form(CLOSE)
    assert "/treasurer?closed=2026-10" == await pressed(site, CLOSE, form)
    assert 1 == len(await done(site))
    # Whoever saw something else is not told that it was closed so.
    assert 400 == (await site.post(CLOSE, **(form | {"digest": "ab" * 32}))).status


async def test_a_vote_is_opened_and_a_tariff_set_once(site: Site) -> None:
    books = await site.co_op.books()
    number = await proposed(books, member=ANNA)
    path = f"/board/proposals/{number}/open"
    form = await site.sure_form(path, days="3", opens="", record="", ballot="secret")
    assert f"/proposals/{number}" == await pressed(site, path, form)
    assert [number] == list(await voting_store.polls(books, [number]))
    path, text = "/treasurer/tariff/new", TARIFF.replace("2026-01", "2026-12")
    assert "/treasurer?tariff=2026-12" == await pressed(site, path, await site.sure_form(path, text=text))
    assert 2 == await books.fetchval("SELECT count(*) FROM billing.tariff")
    assert 2 == len(await done(site))


async def sent(site: Site, path: str, form: dict[str, str]) -> str:
    """Send a form that may carry a file; where it led."""
    body = aiohttp.FormData(form, default_to_multipart=True)
    reply = await site.client.post(path, data=body, allow_redirects=False)
    assert 303 == reply.status, await reply.text()
    return reply.headers["Location"]


async def test_something_is_said_once_and_said_again_when_it_is_meant(site: Site) -> None:
    number = await proposed(await site.co_op.books(), member=ANNA)
    page, path = f"/proposals/{number}", f"/proposals/{number}/comment"
    form = {**await site.held(page, path), "comment": "I am for it."}
    led = await asyncio.gather(sent(site, path, form), sent(site, path, form))
    assert {f"{page}#comment-1"} == set(led)
    assert f"{page}#comment-2" == await sent(site, path, form | await site.held(page, path))


async def test_a_proposal_is_made_once(site: Site) -> None:
    path = "/proposals/new"
    said = {"title": "A disk", "kind": "other", "body": "We buy one.", "calc_hash": ""}
    form = {**await site.held(path, path), **said}
    assert {"/proposals/1"} == set(await asyncio.gather(sent(site, path, form), sent(site, path, form)))
    assert "/proposals/2" == await sent(site, path, form | await site.held(path, path))


async def test_a_pool_gets_its_key_once(site: Site) -> None:
    path = "/treasurer/pools"
    form = await site.sure_form(path, pool="staff", key="equal", start="2026-12", memo="")
    assert f"{path}?changed=staff" == await pressed(site, path, form)
    assert 1 == len(await done(site))


async def told(site: Site, path: str, pattern: str, form: dict[str, str]) -> list[str]:
    """Press three times, twice at once; what each answer tells."""
    together = await asyncio.gather(site.post(path, **form), site.post(path, **form))
    pages = [await one.text() for one in (*together, await site.post(path, **form))]
    return ["".join(re.findall(pattern, one)) for one in pages]


async def test_a_receipt_is_told_again_for_seconds_and_the_vote_is_cast_once(site: Site) -> None:
    books = await site.co_op.books()
    number = await proposed(books, member=ANNA)
    await opened(books, number, opens_us=NOW)
    path, pattern = f"/proposals/{number}/vote", r"<code[^>]*>([0-9a-f ]{39})<"
    form = {**await site.held(f"/proposals/{number}", path), "vote": "for"}
    receipts = await told(site, path, pattern, form)
    assert (39, 1) == (len(receipts[0]), len(set(receipts)))
    owner = await site.co_op.owner()
    kept = await owner.fetch("SELECT receipt, vote, member FROM billing.ballot")
    assert [(receipts[0].replace(" ", ""), "for", None)] == [tuple(one) for one in kept]
    # Nothing in the database stands beside the ballot: no form that was sent, and the receipt is not made of the form.
    assert 0 == await owner.fetchval("SELECT count(*) FROM billing.form_sent")
    for other in (form | {"vote": "against"}, form | {"form": "ab" * 16}, {"vote": "for"}):
        reply = await site.post(path, **other)
        assert (400, True) == (reply.status, "You have voted already" in await reply.text())
    await site.sign_in(ANNA)
    reply = await site.post(path, **form)
    assert receipts[0] not in await reply.text()
    await site.sign_in(TOM)
    site.now_us += TOLD_AGAIN_US
    assert 400 == (await site.post(path, **form)).status


async def test_a_token_is_made_once_and_told_again_for_seconds(site: Site) -> None:
    form = {
        **await site.held("/tokens", "/tokens"),
        "name": "mine",
        "scopes": "usage:read",
        "expires_days": "7",
    }
    pattern = r'id="token">(weir_[^<]*)<'
    tokens = await told(site, "/tokens", pattern, form)
    assert (65, 1) == (len(tokens[0]), len(set(tokens)))
    owner = await site.co_op.owner()
    assert 1 == await owner.fetchval("SELECT count(*) FROM billing.api_token")
    # The same again on another page is another token.
    assert tokens[0] not in await told(site, "/tokens", pattern, form | await site.held("/tokens", "/tokens"))
    assert 2 == await owner.fetchval("SELECT count(*) FROM billing.api_token")


async def test_a_form_is_its_senders_and_its_pages(site: Site) -> None:
    path = "/treasurer/invoices"
    form = await site.sure_form(path, **INVOICE)
    await pressed(site, path, form)
    await holds(site.co_op, ANNA, Office.TREASURER)
    await site.sign_in(ANNA)
    reply = await site.post(path, **form, same="1")
    assert "/treasurer?booked=2" == reply.headers["Location"]


@pytest.mark.parametrize("name", ["", "x" * 65])
async def test_a_form_without_a_name_does_what_it_says(site: Site, name: str) -> None:
    path = "/treasurer/invoices"
    for number in ("1", "2"):
        same = {"same": "1"} if number == "2" else {}
        reply = await site.post(path, **INVOICE, **same, sure="yes", form=name)
        assert f"/treasurer?booked={number}" == reply.headers["Location"]
