"""What the portal says to whom: no figure is called the members' that is not, and nobody is told they own what they do not.

The co-op is the reference year G18 (tests/reference_year.py): three users, two workers, and n, who is a customer. What
members share and what stays with all of them are the reference's own figures: 915.00 and 305.00 of 1,220.00.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
import pytest_asyncio

from billing import year_run
from billing.costs.costing import add_cost
from billing.portal.our_coop import of_year
from billing.run import close
from billing.settings import BillingSettings
from billing.statements import pdf
from meter.ids import MemberId
from tests.coop import CENT, Coop
from tests.portal import Site, running_site
from tests.reference_year import JANUARY, MONTHS, NOW, decided, g18

DAY = 86_400 * 10**6
DECEMBER = MONTHS[-1]
HOW = ("/how", "/how/co-op", "/how/surplus", "/how/kept", "/how/reserve", "/how/start", "/how-it-works")
FOR_OWNERS = (
    "you and the other members", "You own it together", "you are an owner", "It stays yours", "left over is yours", "comes back to you",
    "are ours", "is ours: our rules", "Kept in your name", "kept in your name from", "your own co-op", "Your share", "paid to you",
)  # fmt: skip
"""What only a member may read of themselves."""


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as one:
        one.now_us = NOW
        yield one


async def text(site: Site, path: str) -> str:
    """A page in one line, as it is read."""
    made = re.sub(r"\s+", " ", await site.text(path))
    return made.replace("&#39;", "'").replace("\N{NO-BREAK SPACE}", " ")


def rows(page: str) -> list[tuple[str, str, str]]:
    """(what, sum, of each 100) of the picture's table."""
    (table,) = re.findall(r"<caption>The same as a table</caption>.*?</table>", page)
    row = r'<th scope="row">\d+\. <span class="[^"]+"></span> (.*?)</th><td class="n">(.*?)</td><td class="n">(.*?)</td>'
    return re.findall(row, table)


async def test_the_month_tells_what_members_and_what_customers_were_charged(site: Site) -> None:
    """By hand: a quarter of each year's charges, 378.09 + 225.77 + 146.13 = 749.99, and 500.00 / 4 = 125.00."""
    _, (anna, *_, shop, _worker, _other) = await g18(site.co_op)
    for reader, who, called in (
        (anna, "You are one of 5 members.", f"a, member {anna}"),
        (shop, "You are a customer of a co-op of 5 members.", f"n, customer {shop}"),
    ):
        await site.sign_in(reader)
        page = await text(site, "/statements/2026-12")
        assert (
            f"{who} In December 2026 the service cost 575.00 EUR; members were charged 749.99 EUR and customers 125.00 EUR: "
            "299.99 EUR is left over."
        ) in page
        for words, amount in (("All members’ charges", "749.99"), ("Customers’ charges", "125.00")):
            assert f'<th scope="row">{words}</th><td class="n">{amount}</td>' in page
        plain = await text(site, "/statements/2026-12?format=text")
        assert (True, True) == (called in page, called in plain)
        assert "All members' charges 749.99 Customers' charges 125.00 Cost: rack -575.00" in plain
        assert "874.99" not in page + plain


async def test_so_does_the_first_page_of_the_running_month(site: Site) -> None:
    _, (anna, *_, shop, _worker, _other) = await g18(site.co_op, closed=False)
    site.now_us = DECEMBER.end_us - DAY
    for reader in (anna, shop):
        await site.sign_in(reader)
        page = await text(site, "/")
        assert "members were charged 749.99 EUR and customers 125.00 EUR" in page
        assert ("874.99" in page, "at cost" in page, "At cost" in page) == (False, False, False)
    # What the customer was charged themselves: their price, said to be no cost.
    assert "for all you used, you are charged 125.00 EUR so far" in page
    assert "Kept in your name" not in page
    assert "kept in your name" not in page


async def test_one_euro_of_a_closed_year_has_what_was_shared_and_what_was_kept(site: Site) -> None:
    """Of 3,520.00: 2,300.00 is 65.34…, 915.00 is 25.99…, 305.00 is 8.66… of each 100."""
    books, (anna, *_) = await g18(site.co_op)
    await site.sign_in(anna)
    page = await text(site, "/co-op")
    assert "1,200.00 EUR is left over. What becomes of it is known when the year is closed." in page
    assert [
        ("Cost: rack", "2,300.00", "65.7…"),
        ("Left over, not shared out yet", "1,200.00", "34.2…"),
    ] == rows(page)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    page = await text(site, "/co-op")
    assert (
        "In the year 2026, from 2026-01 to 2026-12, 3,520.00 EUR came in, and it cost 2,300.00 EUR." in page
    )
    assert (
        "So 1,220.00 EUR was left over. By the co-op’s rules 915.00 EUR of it was shared among the members; of the other 305.00 EUR"
        in page
    )
    assert [
        ("cost: rack", "2,300.00", "65.3…"),
        ("shared among the members", "915.00", "25.9…"),
        ("kept by all of us, in nobody's name (collective account)", "305.00", "8.6…"),
    ] == rows(page)
    assert ("belongs to the members" in page, "the members’ 34" in page, "1,200.00" in page) == (
        False,
        False,
        False,
    )
    # A month after it is not shared out, and says so beside the year's picture.
    await site.co_op.use(anna, JANUARY, 4200 * CENT)
    site.now_us = JANUARY.end_us + DAY
    await close(books, JANUARY, now_us=site.now_us)
    await site.sign_in(anna)
    page = await text(site, "/co-op")
    assert "From 2027-01 to 2027-01, 42.00 EUR was charged for everybody’s use, and it cost 0.00 EUR." in page
    assert "42.00 EUR is left over. What becomes of it is known when the year is closed." in page
    assert 3 == len(rows(page))


def year_page(result: str, pool: str, accounts: dict[str, str]) -> dict[str, object]:
    return {
        "fiscal_year": 2026, "first_month": "2026-01", "last_month": "2026-12", "currency": "EUR", "lines": 3,
        "costs": {"cost:rack": 9000, "cost:power": 1000}, "side_income": {}, "result": result, "pool": pool,
        "accounts": accounts,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("page", "parts"),
    [
        (
            year_page("25.00", "10.00", {"reserve:compulsory": "12.00", "fund:education": "3.00"}),
            [("cost: rack", 9000), ("cost: power", 1000), ("shared among the members", 1000),
             ("reserve that the rules ask for", 1200), ("for education", 300)],
        ),
        # What a reserve gave is no part of what came in.
        (
            year_page("25.00", "30.00", {"reserve:voluntary": "-5.00"}),
            [("cost: rack", 9000), ("cost: power", 1000), ("shared among the members", 3000)],
        ),
        (year_page("-40.00", "-30.00", {"loss:carried": "-10.00"}), [("covered by what came in", 6000), ("missing", 4000)]),
        (year_page("0.00", "0.00", {}), [("cost: rack", 9000), ("cost: power", 1000)]),
    ],
)  # fmt: skip
def test_the_picture_of_a_year_has_each_part_once(
    page: dict[str, object], parts: Iterable[tuple[str, int]]
) -> None:
    picture = of_year(page)["picture"]
    assert parts == [(one.words, one.amount_minor) for one in picture["parts"]]  # type: ignore[index]


async def test_a_customer_is_never_told_that_they_own_it(site: Site) -> None:
    books, (anna, *_, shop, _worker, _other) = await g18(site.co_op)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    told: dict[MemberId, str] = {}
    for reader in (anna, shop):
        await site.sign_in(reader)
        told[reader] = " ".join([await text(site, path) for path in ("/", "/co-op", *HOW)])
    assert [] == [one for one in FOR_OWNERS if one in told[shop]]
    for words in (
        "Here the owners are the members.", "You are a customer: you pay the co-op’s price", "so no share of it is yours",
        "You are a customer, so nothing is kept in your name", "What is left over stays with the co-op",
    ):  # fmt: skip
        assert (True, False) == (words in told[shop], words in told[anna]), words
    for words in (
        "Here the owners are you and the other members.",
        "you are an owner, too",
        "It stays yours",
    ):
        assert words in told[anna], words
    for number in (anna, shop):
        assert "What is left over is yours" not in told[number]


async def test_who_is_not_signed_in_is_told_of_nobody_s_ownership(site: Site) -> None:
    await g18(site.co_op)
    page = await text(site, "/how/co-op")
    assert "Here the owners are the members." in page
    assert ("you and the other members" in page, "You are a customer" in page) == (False, False)


async def test_founders_are_told_of_the_command_that_founds(site: Site) -> None:
    page = await text(site, "/how/start")
    assert "<code>weir found</code> asks what founders know" in page
    assert "<code>weir demo</code> plays a co-op with five invented members" in page
    assert "three members" not in page


async def test_the_first_page_has_every_form_of_a_closed_month(site: Site) -> None:
    _, (anna, *_) = await g18(site.co_op)
    await site.sign_in(anna)
    page = await text(site, "/")
    forms = re.findall(r'href="(/statements/2026-10\?format=(\w+))"', page)
    assert [*(["pdf"] if pdf.IS_THERE else []), "csv", "text", "json"] == [form for _, form in forms]
    for path, form in forms:
        assert 200 == (await site.get(path)).status, form


async def test_a_month_before_the_co_op_is_told_as_one(site: Site) -> None:
    _, (anna, *_) = await g18(site.co_op)
    await site.sign_in(anna)
    reply = await site.get("/statements/2019-01")
    assert (404, True) == (reply.status, "before the co-op began, in 2026-09" in await reply.text())


async def test_what_two_months_meant_alike_is_said_once_on_the_page_of_the_month(site: Site) -> None:
    _, (anna, *_) = await g18(site.co_op)
    await site.sign_in(anna)
    page = await text(site, "/")
    sentence = "A month shares nothing out."
    # January's costs are not booked, so December meant something else.
    assert (1, True) == (page.count(sentence), "What December 2026 meant for you:" in page)
    await add_cost(await site.co_op.books(), month=JANUARY, pool="rack", amount="0.01", memo="", now_us=NOW)
    await site.co_op.use(anna, JANUARY, 100 * CENT)
    page = await text(site, "/")
    assert (1, False) == (page.count(sentence), "What December 2026 meant for you:" in page)


async def test_the_picture_of_a_closed_year_follows_the_sentence_about_it(site: Site) -> None:
    """What came after the year stands below its table, so that no number of the one is taken for the other's."""
    books, (anna, *_) = await g18(site.co_op)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    await add_cost(books, month=JANUARY, pool="rack", amount="1.00", memo="", now_us=NOW)
    site.now_us = JANUARY.end_us + DAY
    await close(books, JANUARY, now_us=site.now_us)
    await site.sign_in(anna)
    page = await text(site, "/co-op")
    places = [
        page.index(one)
        for one in (
            "In the year 2026,",
            "<figure>",
            "The same as a table</caption>",
            "From 2027-01 to 2027-01,",
        )
    ]
    assert sorted(places) == places
