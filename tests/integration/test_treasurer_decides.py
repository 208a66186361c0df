"""The treasurer's pages that decide: a tariff tried and set, a fiscal year closed, payments ordered; and all that is refused."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from billing import year_run, year_store
from billing.acts.act import Office
from billing.charges.tariff import parse_tariff
from billing.costs import store as cost_store
from billing.costs.costing import set_pool, tariff_in_force
from billing.governance.decisions import ResolutionKind
from billing.payments import run as pay
from billing.payments import store as pay_store
from billing.run import close
from billing.settings import BillingSettings
from deploy.commands.pay import MasterSeal
from gateway.vault import Vault
from meter.ids import MemberId
from meter.store import add_member
from meter.usage import MemberClass
from tests.coop import CENT, NOVEMBER, NOW, OCTOBER, SEPTEMBER, TARIFF, Coop
from tests.integration.test_payments import ANNA, BEN, OWN, owing
from tests.offices import acts, holds
from tests.portal import Site, running_site
from tests.reference_year import NOW as JANUARY
from tests.reference_year import decided, g18

DOUBLE = TARIFF.replace('gb_out = "1.00"', 'gb_out = "2.00"').replace("2026-01", "2026-12").strip() + "\n"
TOM = MemberId(2)
LOOKED = "look at who is owed money, and how much"


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    settings = BillingSettings(session_idle_minutes=43_200, session_absolute_hours=8760)
    async with running_site(co_op, tmp_path / "journal", settings) as one:
        yield one


async def with_tom(site: Site, *names: str) -> asyncpg.Connection:
    """Anna (1) and tom (2), who is treasurer; the books."""
    await site.co_op.found("anna", "tom", *names)
    await holds(site.co_op, TOM, Office.TREASURER)
    await site.sign_in(TOM)
    return await site.co_op.books()


async def lines(site: Site) -> list[tuple[str, str, bool]]:
    return [(one.kind, one.what, one.is_done) for one in await acts(site.co_op)]


async def test_a_tariff_is_tried_on_this_month_before_it_is_set(site: Site) -> None:
    books = await with_tom(site)
    await site.co_op.use(MemberId(1), NOVEMBER, 123 * CENT)
    assert "gb_out = &#34;1.00&#34;" in await site.text("/treasurer/tariff/new")
    shown = await (await site.post("/treasurer/tariff/new", text=DOUBLE.replace("\n", "\r\n"))).text()
    assert "Put this tariff in force from 2026-12 on?" in shown
    # 123 cents at 1.00 a GB are 246 at 2.00.
    cells = re.findall(r'<td class="n">([\d.,]+)</td>', shown)
    assert ["1.23", "2.46", "1.23", "2.46"] == cells
    assert [] == await acts(site.co_op)
    december = NOVEMBER.next()
    assert parse_tariff(TARIFF) == await tariff_in_force(books, december)
    sure = await site.sure_form("/treasurer/tariff/new", text=DOUBLE)
    assert DOUBLE.strip() == sure["text"].strip()
    reply = await site.post("/treasurer/tariff/new", **(sure | {"text": DOUBLE.replace("\n", "\r\n")}))
    assert (303, "/treasurer?tariff=2026-12") == (reply.status, reply.headers["Location"])
    assert parse_tariff(DOUBLE) == await tariff_in_force(books, december)
    assert [("tariff set", "put a tariff in force from 2026-12 on", True)] == await lines(site)
    assert "The tariff is in force from 2026-12 on" in await site.text("/treasurer?tariff=2026-12")
    kept = await books.fetchval("SELECT document FROM billing.tariff ORDER BY number DESC LIMIT 1")
    assert DOUBLE == kept


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            DOUBLE.replace("2026-12", "2026-10"),
            "2026-10 is closed; a tariff can start in 2026-11 at the earliest",
        ),
        (DOUBLE.replace("EUR", "USD"), "the books are kept in EUR, the tariff is in USD"),
        (DOUBLE.replace("gb_in", "gb_inn"), "gb_inn"),
        ("", "."),
        ("x" * 8001, "more than 8,000 characters"),
    ],
)
async def test_a_tariff_that_is_wrong_or_for_a_closed_month_changes_nothing(
    site: Site, text: str, words: str
) -> None:
    books = await with_tom(site)
    await site.co_op.use(MemberId(1), OCTOBER, CENT)
    await close(books, OCTOBER, now_us=NOW)
    before = await books.fetchval("SELECT count(*) FROM billing.tariff")
    for sure in ({}, {"sure": "yes"}):
        reply = await site.post("/treasurer/tariff/new", text=text, **sure)
        assert (400, True) == (reply.status, words in await reply.text()), await reply.text()
    assert before == await books.fetchval("SELECT count(*) FROM billing.tariff")
    assert all(not done for _, _, done in await lines(site))


async def closing_year(site: Site, *, closed: bool = True) -> asyncpg.Connection:
    """The reference year; its second member is treasurer, and it is January."""
    books, _ = await g18(site.co_op, closed=closed)
    await holds(site.co_op, TOM, Office.TREASURER)
    site.now_us = JANUARY
    await site.sign_in(TOM)
    return books


async def test_a_year_is_tried_then_closed_by_a_resolution_to_the_cent(site: Site) -> None:
    books = await closing_year(site)
    page = await site.text("/treasurer/years/2026")
    # Money is written in one way: with its digits grouped, and with its currency in the checks.
    assert (True, []) == (
        "where the result went = result, 1,220.00 EUR = 1,220.00 EUR" in page,
        re.findall(r"[>= ]-?[0-9]{4,}\.[0-9]{2}\b", page.partition("Sums worked out")[2]),
    )
    assert "A resolution about closing the year or sharing a surplus out is missing" in page
    assert 'href="/treasurer/years/2026"' in await site.text("/treasurer")
    await decided(books, ResolutionKind.OTHER)
    assert "is missing" in await site.text("/treasurer/years/2026")
    resolution = await decided(books)
    assert f'value="{resolution}"' in await site.text("/treasurer/years/2026")
    shown = await (await site.post("/treasurer/years/2026/close", resolution=resolution)).text()
    digest = re.findall(r'name="digest" value="([0-9a-f]{64})"', shown)[0]
    expected = await year_run.trial(books, 2026, now_us=JANUARY)
    assert expected.page["digest"] == digest
    assert [] == await year_store.closed_years(books)
    form = {"resolution": resolution, "sure": "yes", "digest": digest}
    reply = await site.post("/treasurer/years/2026/close", **form)
    assert (303, "/treasurer/years/2026?closed") == (reply.status, reply.headers["Location"])
    assert [2026] == await year_store.closed_years(books)
    told = f"close the fiscal year 2026 by resolution {resolution}"
    assert [("year close", told, True)] == await lines(site)
    assert "The fiscal year 2026 is closed" in await site.text("/treasurer/years/2026?closed")
    # Once more: refused with a sentence, logged.
    for again in (form, {"resolution": resolution}):
        reply = await site.post("/treasurer/years/2026/close", **again)
        assert (400, True) == (reply.status, "2026 is closed already" in await reply.text())
    assert [True, False, False] == [done for _, _, done in await lines(site)]


async def test_the_treasurer_reads_before_closing_that_workers_would_get_nothing(site: Site) -> None:
    books = await closing_year(site)
    assert "no weights of classes were chosen" not in await site.text("/treasurer/years/2026")
    owner = await site.co_op.owner()
    await owner.execute("ALTER TABLE billing.rule_set_choice DISABLE TRIGGER ALL")
    await owner.execute("UPDATE billing.rule_set_choice SET choices = ''")
    assert "Workers have 1900 hours" in await site.text("/treasurer/years/2026")
    resolution = await decided(books)
    sure = await (await site.post("/treasurer/years/2026/close", resolution=resolution)).text()
    assert "no weights of classes were chosen: their pool is 0" in sure


async def test_a_year_that_changed_since_it_was_looked_at_is_not_closed(site: Site) -> None:
    books = await closing_year(site)
    resolution = await decided(books)
    form = {"resolution": resolution, "sure": "yes", "digest": "ab" * 32}
    reply = await site.post("/treasurer/years/2026/close", **form)
    assert (400, True) == (reply.status, "has changed since you looked at it" in await reply.text())
    assert [] == await year_store.closed_years(books)
    assert [False] == [done for _, _, done in await lines(site)]


async def test_what_was_decided_for_the_year_counts_in_its_trial_and_is_confirmed_with_it(site: Site) -> None:
    books = await closing_year(site)
    resolution = await decided(books)
    plain = await site.text("/treasurer/years/2026")
    decided_page = await site.text("/treasurer/years/2026?put_aside=reserve:voluntary%3D100.00&set_off=yes")
    digests = [re.findall(r"Digest <code>([0-9a-f]{64})", one)[0] for one in (plain, decided_page)]
    assert digests[0] != digests[1]
    form = {
        "resolution": resolution,
        "put_aside": "reserve:voluntary=100.00\r\n",
        "set_off": "yes",
        "sure": "yes",
    }
    # The digest of another calculation is not taken for this one's.
    assert 400 == (await site.post("/treasurer/years/2026/close", **form, digest=digests[0])).status
    assert 303 == (await site.post("/treasurer/years/2026/close", **form, digest=digests[1])).status
    (stored, _, _) = await year_store.year_text(books, 2026) or ("", "", 0)
    assert digests[1] in stored


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("put_aside=cash%3D1", "is not ACCOUNT=AMOUNT"),
        ("put_aside=fund:a%3D1%0Afund:a%3D2", "stands there twice"),
        ("put_aside=fund:a%3D-1", "is negative"),
        ("reference_rate=much", "published rate"),
    ],
)
async def test_what_cannot_be_decided_for_a_year_is_refused(site: Site, query: str, words: str) -> None:
    await closing_year(site)
    reply = await site.get(f"/treasurer/years/2026?{query}")
    assert (400, True) == (reply.status, words in await reply.text()), await reply.text()


async def test_a_year_with_an_open_month_says_which_and_is_not_closed(site: Site) -> None:
    books = await closing_year(site, closed=False)
    resolution = await decided(books)
    assert "It cannot be closed now: 2026-01 is still open" in (await site.text("/treasurer/years/2026"))
    reply = await site.post(
        "/treasurer/years/2026/close", resolution=resolution, sure="yes", digest="ab" * 32
    )
    assert (400, True) == (reply.status, "is still open" in await reply.text())
    assert [] == await year_store.closed_years(books)
    for year, status in (("1969", 404), ("2031", 400)):
        assert status == (await site.get(f"/treasurer/years/{year}")).status, year


async def owed_to(site: Site) -> tuple[asyncpg.Connection, MasterSeal]:
    """Anna and tom with accounts, chloe without; all are owed. The seal is not the portal's."""
    books, seal = await with_tom(site, "chloe"), MasterSeal(Vault(b"\x07" * 32))
    for member, iban in ((None, OWN), (MemberId(1), ANNA), (TOM, BEN)):
        await pay.set_account(books, member, name="A B", iban=iban, seal=seal, now_us=NOW)
    await owing(books, anna=1089, ben=6503, chloe=4209)
    return books, seal


async def test_payments_are_looked_at_ordered_once_and_taken_as_a_list_without_account_numbers(
    site: Site,
) -> None:
    books, seal = await owed_to(site)
    page = await site.text("/treasurer/payments")
    for told in ("10.89", "65.03", "75.92", "3000", "no account of theirs is known here: chloe"):
        assert told in page
    form = {"on": "2026-11-09", "minimum": ""}
    shown = await (await site.post("/treasurer/payments", **form)).text()
    assert "Order 2 payments of 75.92 EUR together, for 2026-11-09?" in shown
    assert [] == await pay_store.batches(books)
    sure = await site.sure_form("/treasurer/payments", **form)
    reply = await site.post("/treasurer/payments", **sure)
    assert (303, "/treasurer/payments?ordered=1") == (reply.status, reply.headers["Location"])
    again = await site.post("/treasurer/payments", **form, sure="yes")
    # Chloe is still owed, and nobody else.
    assert (400, True) == (again.status, "no account is known" in await again.text())
    file = await site.text("/treasurer/payments/1")
    rows = list(csv.reader(io.StringIO(file)))
    assert ["1", "WEIR-PAY-1-M1", "1", "anna", "1089", "EUR", "3000", "waiting"] == rows[1]
    assert 3 == len(rows)
    for private in (ANNA, BEN, OWN, ANNA[:10]):
        assert private not in file + page + shown
    # The bank's file of that very batch is made where the key is.
    made = await pay.export_again(books, 1, seal=seal)
    assert ANNA in made.file
    assert [
        ("pay list", LOOKED, True),
        ("pay list", LOOKED, True),
        ("pay list", LOOKED, True),
        ("pay export", "order payment batch 1: 2 payments, 75.92 EUR", True),
        ("pay export", "order the payment of what is owed to members", False),
        ("pay list", "take out the list of payment batch 1", True),
    ] == await lines(site)
    assert 404 == (await site.get("/treasurer/payments/2")).status
    # Members read in the log that it was looked at.
    await site.sign_in(MemberId(1))
    assert 3 == (await site.text("/acts")).count(LOOKED)


async def test_one_payment_is_told_as_one_and_what_was_paid_out_is_called_so_in_each_language(
    site: Site,
) -> None:
    """In German what is paid in, on shares, has another word."""
    await owed_to(site)
    form = {"on": "2026-11-09", "minimum": "50.00"}
    assert (
        "Order 1 payment of 65.03 EUR, for 2026-11-09?"
        in await (await site.post("/treasurer/payments", **form)).text()
    )
    await site.post("/treasurer/payments", **await site.sure_form("/treasurer/payments", **form))
    for language, paid_out, batch in (("de", "Ausgezahlt", "Sammelauftrag"), ("es", "Pagados", "Lote")):
        await site.post("/language", language=language)
        page = await site.text("/treasurer/payments")
        heads = page.rpartition("<thead>")[2].partition("</thead>")[0]
        assert (True, True, False) == (f">{paid_out}<" in heads, f">{batch}<" in heads, "Eingezahlt" in heads)


async def test_who_orders_payments_and_sees_no_name_leaves_no_line_of_a_look(site: Site) -> None:
    books, seal = await owed_to(site)
    await pay.set_account(books, MemberId(3), name="C", iban="BE68539007547034", seal=seal, now_us=NOW)
    shown = await (await site.post("/treasurer/payments", on="2026-11-09", minimum="")).text()
    assert ("Order 3 payments" in shown, "chloe" in shown) == (True, False)
    assert [] == await lines(site)


async def test_a_pool_without_a_key_stops_neither_the_desk_nor_what_comes_after_an_invoice(
    site: Site,
) -> None:
    await with_tom(site)
    await site.co_op.use(MemberId(1), NOVEMBER, 369 * CENT)
    invoice = {"period": "2026-11", "amount": "2.00", "supplier": "Power Ltd", "dated": "", "memo": ""}
    for number, pool in enumerate(("power", "disks"), 1):
        reply = await site.post("/treasurer/invoices", **invoice, pool=pool, sure="yes")
        assert (303, f"/treasurer?booked={number}") == (reply.status, reply.headers["Location"])
        desk = await site.text(f"/treasurer?booked={number}")
        assert f"Invoice {number} is in the books." in desk
        assert 'href="/treasurer/payments"' in desk
        assert "That did not work" not in desk
    # 369 times 0.01 EUR were charged, and two invoices of 2.00 are booked; both pools are named, with what mends it.
    assert "3.69 EUR was charged so far, and 4.00 EUR is booked." in desk
    for pool in ("disks", "power"):
        assert f"Pool {pool} has no key in 2026-11." in desk
        assert f'href="/treasurer/pools?pool={pool}"' in desk
    assert "more than 5 % off" not in desk
    assert "The whole tariff as a file" in desk
    trial = await site.text("/treasurer/months/2026-11")
    assert ["Pool disks has no key", "Pool power has no key"] == re.findall(r"Pool \w+ has no key", trial)
    for pool in ("disks", "power"):
        assert f'list="pools" value="{pool}"' in await site.text(f"/treasurer/pools?pool={pool}")
        form = {"pool": pool, "key": "gb_out", "start": "2026-11", "memo": "", "sure": "yes"}
        assert 303 == (await site.post("/treasurer/pools", **form)).status
    desk = await site.text("/treasurer")
    assert "has no key" not in desk
    assert "has no key" not in await site.text("/treasurer/months/2026-11")
    # By service: 3.69 charged, 4.00 cost, 0.31 too little, which is more than 5 %.
    rows = re.findall(r'<td class="n">3.69</td>\s*<td class="n">4.00</td><td class="n">(.)0.31</td>', desk)
    assert 1 == len(rows)
    assert "more than 5 % off" in desk


async def test_a_key_is_looked_at_before_it_is_set_and_stands_in_the_log(site: Site) -> None:
    books = await with_tom(site)
    form = {
        "pool": "staff",
        "key": "60% gb_month + 0.4 equal",
        "start": "2026-12",
        "memo": "board, 6 November",
    }
    shown = await (await site.post("/treasurer/pools", **form)).text()
    assert "Set this key of pool staff from 2026-12 on?" in shown
    for told in ("<code>60 % gb_month + 40 % equal</code>", "none yet", "board, 6 November"):
        assert told in shown
    assert ({}, []) == (await cost_store.pool_keys(books, NOVEMBER.next()), await acts(site.co_op))
    reply = await site.post("/treasurer/pools", **form, sure="yes")
    assert (303, "/treasurer/pools?changed=staff") == (reply.status, reply.headers["Location"])
    kept = await cost_store.pool_history(books, "staff")
    assert [("60 % gb_month + 40 % equal", NOVEMBER.next(), "board, 6 November")] == [
        (key, begin, memo) for _, _, begin, key, memo, _ in kept
    ]
    what = "share pool staff by the key '60% gb_month + 0.4 equal' from 2026-12 on"
    assert [("pool set", what, True)] == await lines(site)
    page = await site.text("/treasurer/pools?changed=staff")
    assert "The key of pool staff is set." in page
    # It holds from December on, and this is November.
    assert "<code>60 % gb_month + 40 % equal</code>" not in page
    again = await (await site.post("/treasurer/pools", **form | {"key": "equal"})).text()
    assert "<code>60 % gb_month + 40 % equal</code>" in again


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"start": "2026-10"}, "2026-10 is closed; let the key begin in a month that is open"),
        ({"key": "gb_outt"}, "gb_outt"),
        ({"key": "50 % equal + 40 % gb_out"}, "100 %"),
        ({"pool": "Disks!"}, "is not a pool&#39;s name"),
        ({"start": "soon"}, "soon"),
        ({"memo": "x" * 2000}, "memo: one line"),
    ],
)
async def test_a_key_that_is_wrong_or_of_a_closed_month_is_not_set(
    site: Site, form: dict[str, str], words: str
) -> None:
    books = await with_tom(site)
    await site.co_op.use(MemberId(1), OCTOBER, CENT)
    await close(books, OCTOBER, now_us=NOW)
    await set_pool(books, name="disks", month=OCTOBER, key="gb_out", memo="", now_us=NOW)
    before = await cost_store.pool_history(books, None)
    wanted = {"pool": "disks", "key": "equal", "start": "2026-11", "memo": ""} | form
    for sure in ({}, {"sure": "yes"}):
        reply = await site.post("/treasurer/pools", **wanted, **sure)
        assert (400, True) == (reply.status, words.lower() in (await reply.text()).lower())
    assert before == await cost_store.pool_history(books, None)
    # Who wanted it, and was refused, stands in the log; a month that is none never came so far.
    assert [("pool set", False)] * (form != {"start": "soon"}) == [
        (kind, done) for kind, _, done in await lines(site)
    ]


async def test_the_desk_of_a_co_op_without_a_tariff_opens(site: Site) -> None:
    owner = await site.co_op.owner()
    tom = await add_member(
        owner, name="tom", member_class=MemberClass.USER, email="", now_us=SEPTEMBER.start_us
    )
    await holds(site.co_op, tom.id, Office.TREASURER)
    await site.sign_in(tom.id)
    desk = await site.text("/treasurer")
    assert "No tariff is in force in 2026-11" in desk
    assert 'href="/treasurer/payments"' in desk


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"on": "2026-11-05"}, "2026-11-05 is over"),
        ({"on": "soon"}, "write the day like"),
        ({"on": "2026-11-09", "minimum": "-1"}, "is negative"),
        ({"on": "2026-11-09", "minimum": "1000"}, "obody is owed anything"),
    ],
)
async def test_payments_that_cannot_be_are_not_ordered(site: Site, form: dict[str, str], words: str) -> None:
    books, _ = await owed_to(site)
    reply = await site.post("/treasurer/payments", **form, sure="yes")
    assert (400, True) == (reply.status, words in await reply.text()), await reply.text()
    assert [] == await pay_store.batches(books)
