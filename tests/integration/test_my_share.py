"""What was paid to a member, what waits and when the rest could come back: on their page and for programs, in three languages.

B's part of the reference's year (G18) is 220.36, of which 66.11 are paid and 154.25 kept; A's 110.71 are paid.
"""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from billing import year_run
from billing.capital import unclaimed_run
from billing.capital.exit_run import Leaving, leave
from billing.capital.lots import Kind, LotId
from billing.capital.retirement import Method
from billing.capital.run import Retirement, retire
from billing.ledger.books import reverse
from billing.ledger.entry import BANK
from billing.payments import run as pay
from billing.portal.my_share import document, share_of
from billing.rules.afterwards import afterwards
from billing.settings import BillingSettings
from billing.tongue import LANGUAGES, SOURCE
from deploy.commands.pay import MasterSeal
from gateway.vault import Vault
from meter.ids import MemberId
from meter.window import DAY_US
from tests.api_kit import GENEROUS, Api
from tests.capital import gone, move
from tests.coop import Coop
from tests.integration.browser_kit import NARROW, Seen, complaints, picture, sign_in, window
from tests.integration.test_payments import paid
from tests.integration.test_portal_languages_browser import switch
from tests.portal import running_site
from tests.reference_year import JANUARY, NOW, decided, g18
from tests.unit.test_bank import camt

OWN, ANNA, BEN = "DE02120300000000202051", "DE89370400440532013000", "NL91ABNA0417164300"
SEAL = MasterSeal(Vault(b"\x07" * 32))


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Api]:
    settings = BillingSettings(**GENEROUS)  # type: ignore[arg-type]
    async with running_site(co_op, tmp_path / "journal", settings, kind=Api) as one:
        one.now_us = NOW
        yield one


async def closed(site: Api) -> tuple[asyncpg.Connection, list[MemberId]]:
    """The year closed; 100.00 of 2024 stood in A's name before; the co-op's own account is known, and nobody else's."""
    books, members = await g18(site.co_op)
    lot = LotId(2024, members[0], Kind.PLAIN)
    await move(books, [(lot.account, -10_000), (BANK, 10_000)], key="2024", month=JANUARY, now_us=NOW)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    await known(books, None, OWN)
    return books, members


async def known(books: asyncpg.Connection, member: MemberId | None, iban: str) -> None:
    await pay.set_account(books, member, name="A B", iban=iban, seal=SEAL, now_us=NOW)


async def ordered(books: asyncpg.Connection, *, day: int) -> None:
    """Everything that is owed to somebody whose account is known, on that day of January."""
    when = JANUARY.start_us + (day - 1) * DAY_US
    assert await pay.export(
        books, execute_on=date(2027, 1, day), minimum_minor=0, seal=SEAL, now_us=when
    ), "somebody is owed"  # fmt: skip


async def booked(books: asyncpg.Connection, *lines: str, day: int) -> None:
    """The bank's statement of that day of January."""
    body = camt(*lines).replace(b"2026-11-03", f"2027-01-{day:02d}".encode())
    when = JANUARY.start_us + (day - 1) * DAY_US
    done = await pay.import_statement(books, body, seal=SEAL, now_us=when)
    assert (len(lines), 0) == (done.booked, done.unmatched)


async def page(site: Api, member: MemberId, path: str = "/years/2026", language: str = "en") -> str:
    """The words of a page, as that member reads them."""
    await site.sign_in(member)
    reply = await site.client.get(path, headers={"Accept-Language": language})
    assert 200 == reply.status
    text = re.sub(r"<[^>]+>", " ", await reply.text())
    return re.sub(r"\s+", " ", html.unescape(text))


async def capital(site: Api, member: MemberId) -> dict[str, Any]:
    return await site.told("/capital", await site.token(member))


async def payments(site: Api, member: MemberId) -> dict[str, Any]:
    found: dict[str, Any] = (await capital(site, member))["payments"]
    return found


async def test_without_an_account_it_waits_and_the_page_says_why(site: Api) -> None:
    _, (a, b, *_) = await closed(site)
    told = await page(site, b)
    for words in (
        "66.11 EUR is not paid: the co-op knows no bank account of yours.",
        "66.11 EUR is decided and waits: the co-op knows no bank account of yours.",
        "66.11 EUR: your part of the year 2026",
        "The co-op knows no account of yours. Tell the treasurer its number (IBAN)",
        "No date is promised: the board decides each time",
        "2026 154.25 no date is known",
    ):
        assert words in told, words
    assert "paid on" not in told
    assert {
        "account": None, "waiting_minor": 6611, "waits_because": "no-account", "listed": [],
        "waiting": [{"what": "year", "amount_minor": 6611, "years": ["2026"], "resolution": ""}],
    } == await payments(site, b)  # fmt: skip
    assert {
        "is_promised": False, "decided": None,
        "years": [
            {"year": "2024", "kept_minor": 10_000, "sums": None, "about": None},
            {"year": "2026", "kept_minor": 25_831, "sums": None, "about": None},
        ],
    } == (await capital(site, a))["comes_back"]  # fmt: skip


async def test_ordered_is_not_paid_and_paid_is_what_the_bank_says(site: Api) -> None:
    books, (a, b, *_) = await closed(site)
    await known(books, b, BEN)
    assert "66.11 EUR is decided and waits until the treasurer orders payments again." in await page(site, b)
    await ordered(books, day=4)
    told = await page(site, b)
    assert "66.11 EUR is ordered from the bank; the bank has not said yet that it is paid." in told
    row = (
        "2027-01-04 your part of the year 2026 ordered; the bank has not said yet that it is paid 4300 66.11"
    )
    assert (True, True) == (row in told, "2027: 0.00 EUR paid to you" in told)
    await booked(books, paid(b, "66.11"), day=6)
    told = await page(site, b)
    for words in (
        "66.11 EUR was paid to you.",
        "2027: 66.11 EUR paid to you",
        "2027-01-04 your part of the year 2026 paid on 2027-01-06 4300 66.11",
        "The co-op knows an account of yours that ends in 4300, since 2027-01-02.",
    ):
        assert words in told, words
    assert ("waits" in told, BEN[:-4] in told) == (False, False)
    assert {
        "account": {"ends_in": "4300", "since": "2027-01-02"}, "waiting_minor": 0, "waits_because": None, "waiting": [],
        "listed": [
            {
                "year": "2027", "state": "paid", "amount_minor": 6611, "begun_on": "2027-01-04", "is_ordered": True,
                "paid_on": "2027-01-06", "ended_on": None, "returned_because": None, "account_ends_in": "4300",
                "for": [{"what": "year", "amount_minor": 6611, "years": ["2026"], "resolution": ""}],
            }
        ],
    } == await payments(site, b)  # fmt: skip
    # A's own part waits; nothing of B's is A's.
    other = await page(site, a)
    assert ("110.71 EUR is not paid" in other, "66.11" in other, "4300" in other) == (True, False, False)
    found = await payments(site, a)
    assert (11_071, []) == (found["waiting_minor"], found["listed"])


async def test_what_the_bank_gave_back_is_not_paid_and_waits_again(site: Api) -> None:
    books, (_, b, *_) = await closed(site)
    await known(books, b, BEN)
    await ordered(books, day=4)
    await booked(books, paid(b, "66.11"), day=6)
    await booked(books, paid(b, "66.11", ref="R8", side="CRDT"), day=9)
    told = await page(site, b)
    for words in (
        "66.11 EUR is not paid and not ordered yet.",
        "66.11 EUR is decided and waits until the treasurer orders payments again.",
        "2027: 0.00 EUR paid to you",
        "not paid: given back by the bank on 2027-01-09; it is owed to you again 4300 66.11",
    ):
        assert words in told, words
    assert "paid to you." not in told
    found = await payments(site, b)
    (one,) = found["listed"]
    assert ("returned", "2027-01-06", "2027-01-09") == tuple(
        one[key] for key in ("state", "paid_on", "ended_on")
    )
    assert (6611, "next-order") == (found["waiting_minor"], found["waits_because"])
    await ordered(books, day=10)
    await booked(books, paid(b, "66.11", ref="R9", batch=2), day=12)
    again = await payments(site, b)
    assert (["paid", "returned"], 0) == ([one["state"] for one in again["listed"]], again["waiting_minor"])
    assert "66.11 EUR was paid to you." in await page(site, b)
    assert [None, None] == [one["returned_because"] for one in again["listed"]]


async def test_why_the_bank_gave_it_back_is_told(site: Api) -> None:
    books, (_, b, *_) = await closed(site)
    await known(books, b, BEN)
    await ordered(books, day=4)
    await booked(books, paid(b, "66.11"), day=6)
    await booked(books, paid(b, "66.11", ref="R8", side="CRDT", reason="AC04"), day=9)
    words = "not paid: given back by the bank on 2027-01-09, which says: the account is closed (AC04). It is owed to you again"
    assert words in (told := await page(site, b)), told
    assert "das Konto ist geschlossen (AC04)" in await page(site, b, language="de")
    (one,) = (await payments(site, b))["listed"]
    assert ("returned", "AC04") == (one["state"], one["returned_because"])
    memo = await books.fetchval("SELECT memo FROM billing.entry ORDER BY number DESC LIMIT 1")
    assert memo.endswith("given back by the bank (AC04), WEIR-PAY-1-M2")


async def test_a_line_of_the_bank_that_was_reversed_leaves_the_order_waiting(site: Api) -> None:
    books, (_, b, *_) = await closed(site)
    await known(books, b, BEN)
    await ordered(books, day=4)
    await booked(books, paid(b, "66.11"), day=6)
    entry = await books.fetchval("SELECT entry FROM billing.payment_outcome")
    await reverse(books, entry, memo="the wrong line", now_us=JANUARY.start_us + 7 * DAY_US)
    found = await payments(site, b)
    assert ([("ordered", None)], 0) == (
        [(one["state"], one["paid_on"]) for one in found["listed"]], found["waiting_minor"],
    )  # fmt: skip
    assert "was paid to you" not in await page(site, b)


async def test_whoever_is_not_reached_is_told_so_and_a_cancelled_batch_is_owed_again(site: Api) -> None:
    books, (_, b, *_) = await closed(site)
    await known(books, b, BEN)
    await ordered(books, day=4)
    await pay.cancel(books, 1, now_us=JANUARY.start_us + 4 * DAY_US)
    assert "not paid: cancelled on 2027-01-05; it is owed to you again" in await page(site, b)
    await unclaimed_run.mark(books, b, reached=False, why="letters came back", now_us=NOW)
    assert "66.11 EUR is decided and waits: the co-op could not reach you" in await page(site, b)
    assert "not-reached" == (await payments(site, b))["waits_because"]


async def test_what_is_paid_back_is_told_with_its_years_and_what_stays_by_the_sum_that_was_set_aside(
    site: Api,
) -> None:
    """60.00 of the oldest: 40.00 of 2024 stay. Of 2026 all together keep 70 % of 915.00, about 640.50."""
    books, (a, *_) = await closed(site)
    await known(books, a, ANNA)
    asked = Retirement(Method.FIFO, "60.00", "2027-3")
    await retire(books, asked, trial=False, now_us=NOW)
    told = await page(site, a)
    assert "60.00 EUR: what was kept from 2024, paid back (resolution 2027-3)" in told
    for words in (
        "The last decision, resolution 2027-3 of 2027-01-02, set 60.00 EUR aside for all members, the oldest year first.",
        "It is arithmetic, not a promise.",
        "2024 40.00 with the next such sum, about 2028",
        # 40.00 + 640.50 = 680.50 are eleven sums of 60.00 and part of a twelfth.
        "2026 258.31 with the last of 12 such sums, about 2039",
    ):
        assert words in told, words
    assert {
        "is_promised": False,
        "decided": {"resolution": "2027-3", "on": "2027-01-02", "method": "fifo", "budget_minor": 6000},
        "years": [
            {"year": "2024", "kept_minor": 4000, "sums": 1, "about": "2028"},
            {"year": "2026", "kept_minor": 25_831, "sums": 12, "about": "2039"},
        ],
    } == (await capital(site, a))["comes_back"]  # fmt: skip
    await ordered(books, day=4)
    await booked(books, paid(a, "170.71"), day=6)
    (one,) = (await payments(site, a))["listed"]
    # One sum at the bank, two reasons here.
    assert (17_071, [("year", 11_071), ("retirement", 6000)]) == (
        one["amount_minor"], [(part["what"], part["amount_minor"]) for part in one["for"]],
    )  # fmt: skip
    assert (["2024"], "2027-3") == (one["for"][1]["years"], one["for"][1]["resolution"])


async def test_what_is_told_sums_to_what_the_books_owe(site: Api) -> None:
    books, (a, b, *_) = await closed(site)
    await known(books, a, ANNA)
    await retire(books, Retirement(Method.FIFO, "60.00", "2027-3", set_off=True), trial=False, now_us=NOW)
    await ordered(books, day=4)
    for member in (a, b):
        found = await payments(site, member)
        on_its_way = sum(one["amount_minor"] for one in found["listed"] if one["state"] == "ordered")
        owed = await books.fetchval(
            "SELECT -sum(amount_minor)::bigint FROM billing.posting WHERE account = $1",
            f"payable:member:{member}",
        )
        assert owed == found["waiting_minor"] + on_its_way


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("de", ("Zahlungen an dich", "66,11\xa0EUR wurden an dich ausgezahlt.", "ausgezahlt am 06.01.2027")),
        ("es", ("Pagos a ti", "Se te pagaron 66,11\xa0EUR.", "pagado el 6 ene 2027")),
    ],
)
async def test_it_is_told_in_the_reader_s_language(site: Api, language: str, words: tuple[str, ...]) -> None:
    books, (_, b, *_) = await closed(site)
    await known(books, b, BEN)
    await ordered(books, day=4)
    await booked(books, paid(b, "66.11"), day=6)
    await site.sign_in(b)
    reply = await site.client.get("/years/2026", headers={"Accept-Language": language})
    text = html.unescape(await reply.text())
    assert [] == [one for one in words if one not in text]
    assert "Allocated is not paid" not in text


async def test_a_page_asks_for_it_in_five_statements(site: Api) -> None:
    books, (a, *_) = await closed(site)
    await retire(books, Retirement(Method.FIFO, "60.00", "2027-3"), trial=False, now_us=NOW)
    await capital(site, a)
    asked: list[str] = []
    connection = await site.co_op.connection("weir_billing")
    connection.add_query_logger(lambda record: asked.append(record.query))
    await share_of(connection, a, currency="EUR", now_us=NOW)
    assert 5 == len([one for one in asked if one.startswith("SELECT")])


async def test_axe_finds_nothing_where_every_kind_of_payment_is_and_it_fits_a_phone(
    chrome: Browser, seen: Seen, tmp_path: Path
) -> None:
    books = await seen.co_op.books()
    a, b = seen.members[:2]
    await known(books, None, OWN)
    await known(books, a, ANNA)
    await ordered(books, day=2)
    await booked(books, paid(a, "110.71"), day=3)
    await booked(books, paid(a, "110.71", ref="R8", side="CRDT"), day=3)
    await retire(books, Retirement(Method.FIFO, "60.00", "2027-3"), trial=False, now_us=seen.now_us)
    await known(books, b, BEN)
    await ordered(books, day=3)
    await booked(books, paid(a, "170.71", ref="R9", batch=2), day=3)
    await retire(books, Retirement(Method.FIFO, "70.00", "2027-4"), trial=False, now_us=seen.now_us)
    found = []
    for language in LANGUAGES:
        async with window(chrome, color_scheme="dark" if language == "es" else "light") as context:
            page = await sign_in(seen, context, a)
            if language != SOURCE:
                await switch(page, language)
            await page.goto(f"{seen.address}/years/2026")
            assert 4 == await page.locator("section:has(#payments) tbody tr").count() + (
                await page.locator("section:has(#payments) ul li").count()
            )
            found += await complaints(page)
            await picture(page, tmp_path, f"share-{language}")
            await page.set_viewport_size({"width": NARROW, "height": 900})
            await picture(page, tmp_path, f"share-{language}-phone")
            if await page.evaluate("document.scrollingElement.scrollWidth") > NARROW:
                found.append(f"{language}: too wide")
    assert [] == found


async def test_who_left_reads_what_is_owed_and_what_came_since(site: Api) -> None:
    """A's 100.00 of 2024 became a debt before the year was closed; the year's 258.31 became another by a second decision."""
    books, (a, *_) = await g18(site.co_op)
    lot = LotId(2024, a, Kind.PLAIN)
    await move(books, [(lot.account, -10_000), (BANK, 10_000)], key="2024", month=JANUARY, now_us=NOW)
    asked = Leaving(a, date(2026, 10, 1), "2026-9", afterwards("es"), base_rate=Fraction(0))
    await gone(site.co_op, a, now_us=NOW)
    await leave(books, asked, trial=False, now_us=NOW)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    told = await page(site, a)
    assert "2026-9 2026-10-01 100.00 100.00 2027-10-01 2031-10-01" in told
    assert "What stands below came by a closing after you left" in told
    await leave(books, replace(asked, resolution="2027-4"), trial=False, now_us=NOW)
    told = await page(site, a)
    assert "2027-4 2026-10-01 258.31 258.31 2027-10-01 2031-10-01" in told
    assert "What stands below came by a closing after you left" not in told
    owed = {"kind": "exit", "left_on": "2026-10-01", "next_on": "2027-10-01", "ends_on": "2031-10-01"}
    assert [
        {**owed, "resolution": "2026-9", "principal_minor": 10_000, "open_minor": 10_000},
        {**owed, "resolution": "2027-4", "principal_minor": 25_831, "open_minor": 25_831},
    ] == document(await share_of(books, a, currency="EUR", now_us=NOW))["debts"]
    assert "Was dir nach dem Austritt geschuldet wird" in await page(site, a, language="de")
    assert "Lo que se te debe después de tu baja" in await page(site, a, language="es")
