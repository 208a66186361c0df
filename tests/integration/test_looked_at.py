"""What was looked at is what is done: an act that changed between its two steps is refused, and shown again as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest_asyncio

from billing import run as billing_run
from billing.acts.act import Office
from billing.costs.costing import add_cost
from billing.costs.invoices import Paper
from billing.month.closing import looked_at_digest
from billing.payments import run as pay
from billing.payments import store as pay_store
from billing.settings import BillingSettings
from billing.voting import run as voting_run
from billing.voting import store as voting_store
from billing.voting.proposal import wording
from deploy.commands.pay import MasterSeal
from gateway.vault import Vault
from meter.ids import MemberId
from tests.coop import CENT, NOW, OCTOBER, TARIFF, Coop
from tests.integration.test_payments import ANNA, BEN, OWN, owing
from tests.offices import acts, holds
from tests.portal import Site, running_site
from tests.voting_kit import SETTINGS, proposed

TOM = MemberId(2)
CLOSE = "/treasurer/months/2026-10/close"
DOUBLE = TARIFF.replace("2026-01", "2026-12").replace("1.00", "2.00")


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    """Anna, tom, who is treasurer and on the board, and chloe."""
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as one:
        await co_op.found("anna", "tom", "chloe")
        await holds(co_op, TOM, Office.TREASURER)
        await holds(co_op, TOM, Office.BOARD)
        await one.sign_in(TOM)
        yield one


async def refused(site: Site, path: str, form: dict[str, str], words: str) -> None:
    reply = await site.post(path, **form)
    assert (400, True) == (reply.status, words in await reply.text()), await reply.text()
    assert [False] == [one.is_done for one in await acts(site.co_op) if one.kind != "pay list"]


async def test_payments_are_those_that_were_shown_or_none(site: Site) -> None:
    books, seal = await site.co_op.books(), MasterSeal(Vault(b"\x07" * 32))
    for member, iban in ((None, OWN), (MemberId(1), ANNA), (TOM, BEN)):
        await pay.set_account(books, member, name="A B", iban=iban, seal=seal, now_us=NOW)
    await owing(books, anna=1089, ben=6503)
    asked = {"on": "2026-11-09", "minimum": ""}
    form = await site.sure_form("/treasurer/payments", **asked)
    await pay.set_account(books, MemberId(3), name="C", iban="BE68539007547034", seal=seal, now_us=NOW)
    await owing(books, key="later", chloe=104209)
    words = "is owed has changed since you looked at it"
    await refused(site, "/treasurer/payments", form, words)
    assert [] == await pay_store.batches(books)
    # The same people and amounts, but another account.
    form = await site.sure_form("/treasurer/payments", **asked)
    await pay.set_account(books, MemberId(3), name="C", iban=BEN, seal=seal, now_us=NOW)
    assert words in await (await site.post("/treasurer/payments", **form)).text()
    form = await site.sure_form("/treasurer/payments", **asked)
    assert 303 == (await site.post("/treasurer/payments", **form)).status
    # 10.89 + 65.03 + 1042.09
    assert [(3, 111801)] == [(one.orders, one.total_minor) for one in await pay_store.batches(books)]


async def test_a_vote_is_opened_on_the_words_and_papers_that_were_read(site: Site) -> None:
    books = await site.co_op.books()
    number = await proposed(books, member=MemberId(1))
    path = f"/board/proposals/{number}/open"
    asked = {"days": "3", "opens": "", "record": "", "ballot": "secret"}
    form = await site.sure_form(path, **asked)
    said = wording(title="A second disk", body="We buy nine.", calc_hash=None, who="anna", recorded_us=NOW)
    await voting_run.reword(books, number, said, member=MemberId(1))
    words = f"roposal {number} has changed since you looked at it"
    await refused(site, path, form, words)
    form = await site.sure_form(path, **asked)
    await voting_run.attach(
        books, number, name="a.txt", content=b"a paper", member=MemberId(1), who="anna", settings=SETTINGS, now_us=NOW,
    )  # fmt: skip
    assert words in await (await site.post(path, **form)).text()
    assert {} == await voting_store.polls(books, [number])
    form = await site.sure_form(path, **asked)
    assert 303 == (await site.post(path, **form)).status
    assert "We buy nine." in (await voting_store.polls(books, [number]))[number].document


async def test_a_month_with_the_same_result_but_other_lines_is_not_closed(site: Site) -> None:
    books = await site.co_op.books()
    await site.co_op.use(MemberId(1), OCTOBER, 1000 * CENT)
    form = await site.sure_form(CLOSE)
    # 3.00 more used by chloe and 3.00 more of cost: 10.00 are left over as before.
    await add_cost(
        books, month=OCTOBER, pool="power", amount="3.00", memo="", now_us=NOW, paper=Paper("", "")
    )
    await site.co_op.use(MemberId(3), OCTOBER, 300 * CENT)
    assert 1000 == (await billing_run.trial(books, OCTOBER, now_us=NOW)).result.amount_minor
    await refused(site, CLOSE, form, "2026-10 has changed since you looked at it")
    assert await billing_run.closing_document(books, OCTOBER) is None
    form = await site.sure_form(CLOSE)
    assert 303 == (await site.post(CLOSE, **form)).status
    closed = await billing_run.closing_document(books, OCTOBER)
    assert closed is not None
    assert form["digest"] == looked_at_digest(closed)


async def test_what_is_looked_at_of_a_month_does_not_know_how_far_streams_are_summed(site: Site) -> None:
    await site.co_op.use(MemberId(1), OCTOBER, 1000 * CENT)
    done = await billing_run.trial(await site.co_op.books(), OCTOBER, now_us=NOW)
    settled = replace(done, inputs=replace(done.inputs, watermark={"gateway-1": 7}))
    assert looked_at_digest(done.to_document()) == looked_at_digest(settled.to_document())
    other = replace(done, lines_digest="ab" * 32)
    assert looked_at_digest(done.to_document()) != looked_at_digest(other.to_document())


async def test_a_tariff_is_not_set_over_one_that_was_not_looked_at(site: Site) -> None:
    books, path = await site.co_op.books(), "/treasurer/tariff/new"
    form = await site.sure_form(path, text=DOUBLE)
    other = DOUBLE.replace("2.00", "3.00")
    await billing_run.set_tariff(books, other, now_us=NOW)
    words = "other tariff was set since you looked at it"
    await refused(site, path, form, words)
    # Not tried on either, where the form was filled in before.
    assert words in await (await site.post(path, text=DOUBLE, after=form["after"])).text()
    kept = await books.fetchval("SELECT document FROM billing.tariff ORDER BY number DESC LIMIT 1")
    assert other == kept
    form = await site.sure_form(path, text=DOUBLE)
    assert 303 == (await site.post(path, **form)).status
