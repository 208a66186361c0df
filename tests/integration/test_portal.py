"""The portal as a browser meets it: links, sessions, pages, and everything it refuses."""

import json
import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from billing import year_run, year_telling
from billing.canon import canonical
from billing.costs.costing import add_cost
from billing.ledger.entry import UNDISTRIBUTED, Entry, EntryKind, postings, retained
from billing.portal.app import make_app
from billing.portal.login import create_login_link
from billing.prices.shelf import SHIPPED
from billing.run import close, statement
from billing.settings import BillingSettings
from billing.statements.pdf import paper_pdf
from billing.statements.sheet import statement_csv
from billing.statements.year_paper import year_paper
from billing.store import post
from billing.year_statement import year_text
from meter.daily import make_due_heads
from meter.event import Mark
from meter.ids import BucketId, MemberId
from meter.journal import Journal
from meter.postgres import pool
from meter.settings import MeterSettings
from meter.signing import ensure_key, known_public
from tests.coop import CENT, NOVEMBER, NOW, OCTOBER, Coop
from tests.events import PLAIN
from tests.portal import Site, running_site
from tests.reference_year import NOW as JANUARY_NOW
from tests.reference_year import decided, g18

MINUTE = 60 * 10**6


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    settings = BillingSettings(portal_requests_per_page=3, portal_requests_listed_max=7)
    async with running_site(co_op, tmp_path / "journal", settings) as one:
        yield one


async def closed_october(site: Site) -> list[MemberId]:
    """Anna was charged 3.00 and ben 1.00; it cost 2.00, 1.50 are kept in anna's name; she uses a little in November."""
    members = await site.co_op.found("anna", "ben")
    anna, ben = members
    await site.co_op.use(anna, OCTOBER, 300 * CENT)
    await site.co_op.use(ben, OCTOBER, 100 * CENT)
    connection = await site.co_op.books()
    await add_cost(connection, month=OCTOBER, pool="rack", amount="2.00", memo="", now_us=NOW)
    await close(connection, OCTOBER, now_us=NOW)
    kept = postings([(UNDISTRIBUTED, 150), (retained(anna), -150)])
    await post(connection, Entry(NOVEMBER, EntryKind.ALLOCATION, "", kept, "kept"), now_us=NOW)
    await site.co_op.use(anna, NOVEMBER, 1_234_567_890, day=2)
    await site.co_op.use(anna, NOVEMBER, 10**9, day=4)
    return members


async def test_a_scanner_that_follows_the_link_does_not_use_it_up(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    link = await site.link(anna)
    for _ in range(3):
        reply = await site.get(link)
        assert (200, True) == (reply.status, '<form method="post"><button>Sign in' in await reply.text())
        # Looking signs nobody in: what it leaves says which browser looked, to this link alone.
        assert {"weir_link"} >= set(reply.cookies)
    assert 303 == (await site.client.post(link, allow_redirects=False)).status
    assert 200 == (await site.get("/")).status


async def test_a_link_says_whom_it_signs_in_before_it_does(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    await site.sign_in(anna)
    page = await site.text(await site.link(ben))
    assert (True, False) == ("as <strong>ben</strong>" in page, "anna" in page)


async def test_a_link_works_once(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    link = await site.link(anna)
    await site.client.post(link, allow_redirects=False)
    site.client.session.cookie_jar.clear()
    again = await site.client.post(link, allow_redirects=False)
    assert (410, True) == (again.status, "used already" in await again.text())
    assert "Set-Cookie" not in again.headers
    assert 410 == (await site.get(link)).status


async def test_a_link_ends_after_its_hour(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    link = await site.link(anna)
    site.now_us += 60 * MINUTE
    assert 410 == (await site.client.post(link, allow_redirects=False)).status


async def test_a_forged_link_is_refused(site: Site) -> None:
    for token in ("x" * 43, "x" * 5000, "%00", "..%2f", "%ff%fe"):
        assert 410 == (await site.client.post(f"/login/{token}", allow_redirects=False)).status


async def test_only_the_newest_links_of_a_member_stay_open(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    links = []
    for _ in range(11):
        site.now_us += 1
        links.append(await site.link(anna))
    assert [410, 200] == [(await site.get(link)).status for link in links[:2]]


async def test_tries_of_links_are_limited(site: Site) -> None:
    statuses = [(await site.get("/login/x")).status for _ in range(31)]
    assert [410] * 30 + [429] == statuses
    site.now_us += MINUTE
    assert 410 == (await site.get("/login/x")).status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9000"},
    ],
)
async def test_another_site_cannot_post(site: Site, headers: dict[str, str]) -> None:
    (anna,) = await site.co_op.found("anna")
    link = await site.link(anna)
    reply = await site.client.post(link, headers=headers, allow_redirects=False)
    assert (403, False) == (reply.status, "Set-Cookie" in reply.headers)
    own = {"Origin": f"http://{site.client.host}:{site.client.port}"}
    assert 303 == (await site.client.post(link, headers=own, allow_redirects=False)).status


async def test_another_site_cannot_sign_a_member_out(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    await site.client.post("/logout", headers={"Sec-Fetch-Site": "cross-site"}, allow_redirects=False)
    assert 200 == (await site.get("/")).status


async def test_signing_out_ends_the_session_everywhere(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    kept = {cookie.key: cookie.value for cookie in site.client.session.cookie_jar}
    await site.client.post("/logout", headers={"Sec-Fetch-Site": "same-origin"}, allow_redirects=False)
    reply = await site.client.get("/", cookies=kept, allow_redirects=False)
    assert (303, "/login") == (reply.status, reply.headers["Location"])


async def test_a_session_idles_out_and_ends_in_any_case(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    for _ in range(3):
        site.now_us += 119 * MINUTE
        assert 200 == (await site.get("/")).status
    site.now_us += 120 * MINUTE
    assert 303 == (await site.get("/")).status
    await site.sign_in(anna)
    for _ in range(169):
        site.now_us += 60 * MINUTE
        last = await site.get("/how-it-works")
    assert 200 == last.status
    assert 303 == (await site.get("/")).status


async def test_tokens_are_kept_as_digests_only(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    link = await site.link(anna)
    await site.sign_in(anna)
    secrets = [link.rsplit("/", 1)[1], *(cookie.value for cookie in site.client.session.cookie_jar)]
    owner = await site.co_op.owner()
    rows = await owner.fetch(
        "SELECT token_sha256 FROM billing.login_link UNION ALL SELECT token_sha256 FROM billing.session"
    )
    assert 2 == len(rows)
    assert not [one for one in secrets for row in rows if one.encode() in row[0] or one in str(row[0])]


async def test_nobody_sees_anything_without_a_session(site: Site) -> None:
    await closed_october(site)
    for path in ("/", "/statements/2026-10", "/statements/2026-10?format=json"):
        reply = await site.get(path)
        assert (303, "/login", "") == (
            reply.status,
            reply.headers["Location"],
            re.sub(r"303.*", "", await reply.text()),
        )


async def test_a_forged_cookie_is_nobody(site: Site) -> None:
    await closed_october(site)
    for value in ("x", "1", "x" * 4000):
        reply = await site.client.get("/", cookies={"weir_session": value}, allow_redirects=False)
        assert 303 == reply.status


async def test_the_page_of_the_month_shows_what_the_member_used(site: Site) -> None:
    anna, _ = await closed_october(site)
    await site.sign_in(anna)
    text = await (await site.get("/")).text()
    assert "You used about 2.23\N{NO-BREAK SPACE}GB of transfer this month" in text
    assert "2.23 EUR" in text
    assert '>2</a></th><td class="n">1,234,567,890</td>' in text
    assert "2026-11-04: 1,000,000,000 bytes sent, 0 bytes received" in text
    assert "no costs are booked yet" in text
    assert "A month shares nothing out. What is left over counts towards the year" in text
    assert "1.50 EUR</p>" in text  # kept in the member's name, from the ledger


async def test_a_member_sees_their_own_statement_and_no_other(site: Site) -> None:
    anna, ben = await closed_october(site)
    await site.sign_in(ben)
    own = json.loads(await (await site.get("/statements/2026-10?format=json")).text())
    assert (ben, "final", 100) == (own["member"]["id"], own["kind"], own["charges_minor"])
    for path in (f"/statements/2026-10/{anna}", "/statements/anna", "/members/1", "/statements/2026-10%00"):
        assert 404 == (await site.get(path)).status
    text = await (await site.get(f"/statements/2026-10?format=json&member={anna}")).text()
    assert ben == json.loads(text)["member"]["id"]
    page = await (await site.get("/statements/2026-10")).text()
    assert "anna" not in page
    # What the bank's line is matched by, told once the month is closed.
    assert f"WEIR-{ben}-2026-10" in page
    assert "WEIR-" not in await (await site.get("/statements/2026-11")).text()


async def test_a_statement_is_downloaded_as_it_is_stored(site: Site) -> None:
    anna, _ = await closed_october(site)
    await site.sign_in(anna)
    told = await statement(await site.co_op.books(), anna, OCTOBER, now_us=NOW)
    reply = await site.get("/statements/2026-10?format=json")
    assert canonical(told) + "\n" == await reply.text()
    assert 'attachment; filename="weir-anna-2026-10.json"' == reply.headers["Content-Disposition"]
    text = await site.get("/statements/2026-10?format=text")
    assert (await text.text()).startswith("Statement for October 2026")


@pytest.mark.parametrize("month", ["2026-08", "2026-13", "2027-01", "october", "2026-10-01"])
async def test_a_month_without_a_statement_is_not_found(site: Site, month: str) -> None:
    anna, _ = await closed_october(site)
    await site.sign_in(anna)
    assert 404 == (await site.get(f"/statements/{month}")).status


async def test_an_unknown_format_is_refused_with_a_sentence(site: Site) -> None:
    anna, _ = await closed_october(site)
    await site.sign_in(anna)
    reply = await site.get("/statements/2026-10?format=exe")
    assert (400, True) == (
        reply.status,
        "comes as html, pdf, text, csv or json, not as" in await reply.text(),
    )


async def test_every_answer_keeps_other_sites_out(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    for path in ("/", "/how-it-works", "/nowhere", "/login", "/login/x", "/statements/x"):
        headers = (await site.get(path)).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
        assert ("nosniff", "same-origin", "no-store") == tuple(
            headers[name] for name in ("X-Content-Type-Options", "Referrer-Policy", "Cache-Control")
        )


async def test_no_page_needs_what_the_policy_forbids(site: Site) -> None:
    anna, _ = await closed_october(site)
    await site.sign_in(anna)
    paths = (
        "/", "/statements/2026-10", "/how-it-works", "/usage", "/usage?by=bucket", "/usage?by=hour", "/keys", "/sessions",
        "/membership", "/membership/leave", "/login",
    )  # fmt: skip
    for path in paths:
        text = await (await site.get(path)).text()
        assert [] == re.findall(r'<script|\sstyle="|\son\w+="|https?://', text)
        assert text.count("<table") == text.count("<caption>")


async def test_the_cookie_is_bound_to_the_host_over_https(co_op: Coop, tmp_path: Path) -> None:
    (anna,) = await co_op.found("anna")
    connections = await pool(co_op.dsn, role="weir_billing", size_max=2)
    settings = BillingSettings(portal_url="https://portal.example")
    link = await create_login_link(
        await co_op.books(), anna, portal_url=settings.portal_url, now_us=NOW, ttl_minutes=60
    )
    assert link.startswith("https://portal.example/login/")
    async with TestClient(
        TestServer(
            make_app(connections, settings, office=connections, journal_directory=tmp_path, clock=lambda: NOW)
        )
    ) as client:
        path = link.removeprefix("https://portal.example")
        wrong = await client.post(path, headers={"Origin": "http://portal.example"}, allow_redirects=False)
        right = await client.post(path, headers={"Origin": "https://portal.example"}, allow_redirects=False)
    assert (403, 303) == (wrong.status, right.status)
    cookie = right.headers["Set-Cookie"]
    assert cookie.startswith("__Host-weir=")
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    await connections.close()


async def test_a_database_that_is_away_is_said_and_nothing_else(tmp_path: Path) -> None:
    connections = await pool("postgresql:///weir?host=/nowhere&user=weir", role="weir_billing", size_max=1)
    async with TestClient(
        TestServer(make_app(connections, BillingSettings(), office=connections, journal_directory=tmp_path))
    ) as client:
        for path in ("/login/x", "/"):
            reply = await client.get(path, cookies={"weir_session": "x"}, allow_redirects=False)
            assert (503, True) == (reply.status, "cannot be reached just now" in await reply.text())
        assert 200 == (await client.get("/style.css")).status
    await connections.close()


async def test_a_day_leads_to_its_requests_a_page_at_a_time_and_only_the_member_s_own(site: Site) -> None:
    anna, ben = await closed_october(site)
    owner = await site.co_op.owner()
    await owner.execute("INSERT INTO gateway.operation VALUES (7, 'GetObject')")
    await owner.execute(
        "INSERT INTO gateway.bucket (name, owner, created_at) VALUES ('<films>', $1, now())", anna
    )
    journal = Journal(site.journal / "worker-0", segment_bytes_max=2**16, segment_age_max_s=3600, now_us=NOW)
    noon = NOVEMBER.start_us + 36 * 3600 * 10**6
    for number in range(8):
        for payer, requester in ((anna, anna if number % 2 else ben), (ben, ben)):
            journal.append(
                PLAIN._replace(
                    payer=payer, requester=requester, bucket=BucketId(1), operation=7, ended_us=noon + number,
                    bytes_out=1_000_000 + number if payer == anna else 77_777, request_id=bytes([number]) * 16,
                    marks=Mark.ABORTED if number == 1 else Mark.NONE,
                )
            )  # fmt: skip
    journal.close()
    await site.sign_in(anna)
    assert '<a href="/requests/2026-11-02" aria-label' in await (await site.get("/")).text()
    sent = []
    for page in (1, 2, 3):
        reply = await site.get(f"/requests/2026-11-02?page={page}")
        text = await reply.text()
        assert 200 == reply.status
        sent += re.findall(r"1,000,00(\d)<", text)
        assert ("77,777" in text, "ben" in text, "<films>" in text) == (False, False, False)
        assert (page < 3, page == 3) == (f"page={page + 1}" in text, "more than are shown here" in text)
        if page == 1:
            for word in ("GetObject", "&lt;films&gt;", "broken off", "another member", "02" * 16, "record 3"):
                assert word in text
    assert list("0123456") == sent
    assert (400, 400, 400) == tuple(
        [
            (await site.get(f"/requests/{path}")).status
            for path in ("2026-11-02?page=4", "2026-13-01", "2026-11-02?page=x")
        ]
    )
    assert "There are none" in await (await site.get("/requests/2026-11-03")).text()


async def test_requests_are_for_who_is_signed_in(site: Site) -> None:
    await site.co_op.found("anna")
    reply = await site.get("/requests/2026-11-02")
    assert (303, "/login") == (reply.status, reply.headers["Location"])


async def test_how_it_works_shows_the_key_of_the_signed_heads(site: Site) -> None:
    assert "Public key" not in await (await site.get("/how-it-works")).text()
    meter = await site.co_op.connection("weir_meter")
    settings = MeterSettings(data=site.journal.parent)
    ensure_key(settings.data)
    await make_due_heads(meter, settings, now_us=NOW)
    assert str(known_public(settings.data)) in await (await site.get("/how-it-works")).text()


async def test_the_books_are_shown_in_sums_that_name_no_member(site: Site) -> None:
    """Anna was charged 3.00 and ben 1.00 in October, which cost 2.00; expected sums are done by hand."""
    members = await closed_october(site)
    assert 303 == (await site.get("/books")).status
    await site.sign_in(members[0])
    page = await site.get("/books")
    text = re.sub(r"\s+", " ", await page.text())
    assert 200 == page.status
    for words, amount in (
        ("Owed to us for use", "4.00"), ("Bills not paid yet", "2.00"), ("Cost: rack", "2.00"),
        ("Charged for use: Sent to readers", "4.00"),
    ):  # fmt: skip
        assert f'<th scope="row">{words}</th><td class="n">{amount}</td>' in text
    assert "<strong>Left over: 2.00 EUR</strong>" in text
    assert "assets = liabilities + equity" in text
    assert [] == re.findall(r"member:\d|ben", text)


class YearSite:
    """The reference year G18 in a portal, in January."""

    def __init__(self, site: Site, books: asyncpg.Connection, members: list[MemberId]) -> None:
        self.site, self.books, self.members = site, books, members

    async def text(self, path: str, status: int = 200) -> str:
        reply = await self.site.get(path)
        assert status == reply.status, path
        return re.sub(r"\s+", " ", await reply.text())


async def year_site(site: Site) -> YearSite:
    books, members = await g18(site.co_op)
    site.now_us = JANUARY_NOW
    return YearSite(site, books, members)


async def test_an_open_year_is_shown_as_if_it_were_closed_now_and_then_as_it_was(site: Site) -> None:
    """G18's shares are those of test_year: A 369.02, of which 110.71 are paid; the co-op's result is 1,220.00."""
    year = await year_site(site)
    await site.sign_in(year.members[0])
    assert 'href="/years"' in await year.text("/")
    trial = await year.text("/years/2026")
    for words in (
        "If the year 2026 were closed now", "Trial: figures still change", ">369.02 EUR<", ">110.71 EUR<", ">258.31 EUR<",
        "If the year ended now, your share would be 369.02 EUR",
        "your charges <b>1,512.37</b> / all users’ <b>3,000.00</b> × pool <b>732.00</b>",
        "You are one of 6 in the co-op&#39;s books of the fiscal year 2026. The service cost 2,300.00 EUR; 3,520.00 EUR came in",
        "shared among the members 915.00 EUR", 'href="/years/2027">2027 (not closed)<',
    ):  # fmt: skip
        assert words in trial, words
    await year_run.close(year.books, 2026, resolution=await decided(year.books), now_us=JANUARY_NOW)
    final = await year.text("/years/2026")
    for words in ("Statement for the year 2026", "Final", ">369.02 EUR<", "Decided by resolution 2027-1;"):
        assert words in final, words
    assert 'href="/years/2026">2026<' in await year.text("/years")
    # Nothing is fetched from elsewhere; only the sources of list prices may be gone to.
    for text in (trial, final):
        assert [] == re.findall(r'<script|\sstyle="|\son\w+="|(?<!<a href=")https?://', text)
        assert text.count("<table") == text.count("<caption>")


async def test_a_year_is_of_who_is_signed_in_and_is_kept_as_it_is_stored(site: Site) -> None:
    year = await year_site(site)
    await year_run.close(year.books, 2026, resolution=await decided(year.books), now_us=JANUARY_NOW)
    assert 303 == (await site.get("/years/2026")).status
    _, b, *_ = year.members
    await site.sign_in(b)
    told = await year_telling.told(year.books, b, 2026, now_us=JANUARY_NOW)
    reply = await site.get(f"/years/2026?format=json&member={year.members[0]}")
    assert (canonical(told) + "\n", 22036) == (await reply.text(), told["amount_minor"])
    assert 'attachment; filename="weir-b-2026.json"' == reply.headers["Content-Disposition"]
    text = await (await site.get("/years/2026?format=text")).text()
    assert year_text(told) == text
    sheet = await site.get("/years/2026?format=csv")
    assert ("text/csv", statement_csv(told).encode()) == (sheet.content_type, await sheet.read())
    file = await site.get("/years/2026?format=pdf")
    assert ("application/pdf", paper_pdf(year_paper(told, is_over=True))) == (
        file.content_type,
        await file.read(),
    )
    assert 'attachment; filename="weir-b-2026.pdf"' == file.headers["Content-Disposition"]
    assert "369.02" not in await year.text("/years/2026")
    for wrong in ("2025", "2028", "26", "x", "2026-01"):
        await year.text(f"/years/{wrong}", 404)
    await year.text("/years/2026?format=exe", 400)


async def test_who_works_or_only_buys_is_told_so(site: Site) -> None:
    year = await year_site(site)
    *_, customer, worker, _ = year.members
    await site.sign_in(worker)
    assert "your hours × factor <b>1200</b> / all workers’ <b>1900</b>" in await year.text("/years/2026")
    await site.sign_in(customer)
    bought = await year.text("/years/2026")
    assert "You bought at the tariff and are no member" in bought
    assert "Your share" not in bought


async def test_each_list_price_is_shown_with_its_date_and_source(site: Site) -> None:
    """Every price file's own link leads out without a referrer, and what its source does not date is called that."""
    (anna,) = await site.co_op.found("anna")
    await site.co_op.use(anna, OCTOBER, 369 * CENT)
    await close(await site.co_op.books(), OCTOBER, now_us=NOW)
    await site.sign_in(anna)
    page = await site.text("/co-op")
    files = [tomllib.loads(path.read_text("utf-8")) for path in sorted(SHIPPED.glob("*.toml"))]
    assert 9 == len(files)
    for one in files:
        dated = "undated" if one["dated"] == "unknown" else one["dated"]
        site_name = one["link"].split("/")[2].removeprefix("www.")
        cells = (
            rf"{re.escape(one['provider'])}</th><td>{re.escape(one['region'])}</td><td class=\"when\">{dated}</td>\s*"
            rf'<td><a href="{re.escape(one["link"])}" rel="noreferrer">{re.escape(site_name)}</a>, (\w[^<]*)</td>'
        )
        (standing,) = re.findall(cells, page)
        worst = {line["standing"] for line in one["line"]}
        words = (
            "some of it unchecked" if "unchecked" in worst
            else "some of it as others copied it" if "secondary" in worst
            else "all by the provider’s own pages"
        )  # fmt: skip
        assert words == standing, one["id"]
    assert 2 == page.count('<td class="when">undated</td>')
