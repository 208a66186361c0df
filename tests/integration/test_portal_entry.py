"""Links by e-mail through a real mail server, and sessions that their member sees and ends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import ValidationError

from billing.portal import mailer
from billing.portal.desk import PORTAL
from billing.portal.mail import login_mail
from billing.register.particulars import is_address
from billing.settings import BillingSettings
from meter.ids import MemberId
from meter.postgres import migrate
from tests.coop import Coop
from tests.portal import Site, running_site
from tests.postgres import MIGRATIONS, TestServer
from tests.smtp import MailServer, mail_server

HOUR = 3600 * 10**6
ORIGIN = "http://portal.example"


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as one:
        yield one


@pytest_asyncio.fixture
async def mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MailServer]:
    monkeypatch.setattr(mailer, "PAUSE_S", 0)
    async with mail_server(tmp_path) as one:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "mail.crt"))
        yield one


@pytest_asyncio.fixture
async def mailing(co_op: Coop, tmp_path: Path, mails: MailServer) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", mail_settings(mails), origin=ORIGIN) as one:
        yield one


def mail_settings(mails: MailServer) -> BillingSettings:
    return BillingSettings(
        smtp_host="127.0.0.1", smtp_port=mails.port, smtp_from="coop@example.org", portal_url=ORIGIN,
        login_mails_per_hour_max=2, login_attempts_per_minute_max=40,
    )  # fmt: skip


async def with_email(site: Site, member: MemberId, email: str) -> None:
    await (await site.co_op.owner()).execute(
        "UPDATE meter.member SET email = $2 WHERE id = $1", member, email
    )


async def test_a_link_comes_by_mail_over_tls_and_signs_in(mailing: Site, mails: MailServer) -> None:
    anna, ben = await mailing.co_op.found("anna", "ben")
    await with_email(mailing, anna, "Anna@example.org")
    await with_email(mailing, ben, "ben@example.org")
    reply = await mailing.post("/login", email=" anna@EXAMPLE.org ")
    assert (200, True) == (reply.status, "If a member has this address" in await reply.text())
    mail = await mails.next()
    # To the address that is registered, not to what was typed.
    assert ("Anna@example.org", "coop@example.org") == (mail["To"], mail["From"].addresses[0].addr_spec)
    assert abs(datetime.now(UTC) - mail["Date"].datetime) < timedelta(minutes=5)
    assert re.fullmatch(r"<\S+@example\.org>", mail["Message-ID"])
    text = mail.get_content()
    link = re.findall(r"http://portal\.example(/login/\S{43})\s", text)[0]
    assert "works once, and for 60 minutes" in text
    assert 303 == (await mailing.post(link)).status
    assert "Sign out anna" in await mailing.text("/caps")
    # Nothing but the greeting went without TLS.
    assert [b"EHLO", b"STARTTLS"] == [one.split()[0] for one in mails.in_clear]


async def test_who_left_gets_a_link_after_the_members_of_that_address(
    mailing: Site, mails: MailServer
) -> None:
    anna, ben = await mailing.co_op.found("anna", "ben")
    for member in (anna, ben):
        await with_email(mailing, member, "both@example.org")
    owner = await mailing.co_op.owner()
    await owner.execute("UPDATE meter.member SET status = 'left', left_at = now() WHERE id = $1", anna)
    await mailing.post("/login", email="both@example.org")
    texts = [(await mails.next()).get_content() for _ in range(2)]
    assert [True, True] == ["ben" in texts[0], "anna" in texts[1]]
    link = re.findall(r"http://portal\.example(/login/\S{43})\s", texts[1])[0]
    assert 303 == (await mailing.post(link)).status
    assert "Sign out anna" in await mailing.text("/years")


async def test_an_address_that_only_looks_the_same_in_small_letters_finds_nobody(
    postgres_server: TestServer, mails: MailServer, tmp_path: Path
) -> None:
    """U+0130 becomes an ASCII i in the locales of many a database, and a domain with it is somebody else's."""
    other = "ana@b\u0130kini.example"
    dsn = postgres_server.empty_database(
        options="TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
    )
    co_op = Coop(dsn)
    owner = await co_op.owner()
    try:
        await migrate(owner, MIGRATIONS)
        assert "ana@bikini.example" == await owner.fetchval("SELECT lower($1)", other)
        async with running_site(co_op, tmp_path / "journal", mail_settings(mails), origin=ORIGIN) as mailing:
            ana, ben = await co_op.found("ana", "ben")
            await with_email(mailing, ana, "ana@bikini.example")
            await with_email(mailing, ben, "ben@example.org")
            await mailing.post("/login", email=other)
            await mailing.post("/login", email="BEN@example.org")
            assert "ben@example.org" == (await mails.next())["To"]
            assert 1 == mails.tries
            # And whoever moves there is to be told at the address that was theirs.
            await with_email(mailing, ana, other)
            assert 1 == await owner.fetchval(
                "SELECT count(*) FROM billing.address_notice WHERE member = $1", ana
            )
    finally:
        await co_op.close()


async def test_known_and_unknown_addresses_get_the_same_answer_without_a_look_into_the_database(
    mailing: Site, mails: MailServer
) -> None:
    (anna,) = await mailing.co_op.found("anna")
    await with_email(mailing, anna, "anna@example.org")
    pool = mailing.server.app[PORTAL].pool
    async with AsyncExitStack() as stack:
        for _ in range(pool.get_max_size()):
            await stack.enter_async_context(pool.acquire())
        # Every connection is taken: whoever asked the database would wait for one.
        asked = ("anna@example.org", "nobody@example.org", "nonsense", "", "a@b\r\nBcc: c@d")
        answers = [await mailing.post("/login", email=one) for one in asked]
        texts = {await one.text() for one in answers}
        assert ({200}, 1) == ({one.status for one in answers}, len(texts))
    assert "anna@example.org" == (await mails.next())["To"]
    await mailing.post("/login", email="anna@example.org")
    assert "anna@example.org" == (await mails.next())["To"]
    assert mails.mails.empty()
    assert 2 == mails.tries


async def test_a_member_gets_so_many_mails_in_an_hour(mailing: Site, mails: MailServer) -> None:
    anna, ben = await mailing.co_op.found("anna", "ben")
    await with_email(mailing, anna, "anna@example.org")
    await with_email(mailing, ben, "ben@example.org")
    for _ in range(5):
        await mailing.post("/login", email="anna@example.org")
    await mailing.post("/login", email="ben@example.org")
    assert ["anna@example.org"] * 2 + ["ben@example.org"] == [(await mails.next())["To"] for _ in range(3)]
    mailing.now_us += HOUR
    await mailing.post("/login", email="anna@example.org")
    assert "anna@example.org" == (await mails.next())["To"]


async def test_tries_from_one_address_are_limited(mailing: Site) -> None:
    statuses = [(await mailing.post("/login", email="x@example.org")).status for _ in range(41)]
    assert [200] * 40 + [429] == statuses


async def test_a_passing_fault_is_tried_again_and_a_lasting_one_is_not(
    mailing: Site, mails: MailServer
) -> None:
    (anna,) = await mailing.co_op.found("anna")
    await with_email(mailing, anna, "anna@example.org")
    mails.answers = ["451 later", "451 later"]
    await mailing.post("/login", email="anna@example.org")
    await mails.next()
    assert 3 == mails.tries
    mails.answers = ["550 no"]
    await mailing.post("/login", email="anna@example.org")
    mailing.now_us += HOUR
    await mailing.post("/login", email="anna@example.org")
    await mails.next()
    assert 5 == mails.tries


async def test_links_that_a_mail_server_was_too_busy_for_do_not_count_against_a_member(
    mailing: Site, mails: MailServer
) -> None:
    (anna,) = await mailing.co_op.found("anna")
    await with_email(mailing, anna, "anna@example.org")
    mails.answers = ["451 later"] * 9
    for _ in range(5):
        await mailing.post("/login", email="anna@example.org")
    assert ["anna@example.org"] * 2 == [(await mails.next())["To"] for _ in range(2)]
    assert 11 == mails.tries


async def test_a_link_is_never_sent_in_clear_where_tls_was_asked_for(
    mailing: Site, mails: MailServer
) -> None:
    settings = mailing.server.app[PORTAL].settings
    message = login_mail(sender="a@example.org", to="b@example.org", name="anna", link="https://p", minutes=1)
    mails.offers_tls = False
    with pytest.raises(Exception, match="STARTTLS"):
        await asyncio.to_thread(mailer.send, message, settings)
    assert (0, [b"EHLO"]) == (mails.tries, [one.split()[0] for one in mails.in_clear][:1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"smtp_host": "mail"},
        {"smtp_host": "mail", "smtp_from": "a@b", "smtp_user": "u", "smtp_security": "none"},
    ],
)
def test_settings_that_could_not_send_or_would_tell_a_password_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        BillingSettings(**wrong)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("anna@example.org", True), ("a+b@x", True), ("anna", False), ("@x", False), ("a@", False), ("a@b\nBcc: c@d", False),
        ("a b@c", False), ("a@b,c@d", False), ("a" * 250 + "@b.org", False), ("<a@b>", False),
        ("a@b@c.org", False),
    ],
)  # fmt: skip
def test_what_may_be_an_address(text: str, *, is_one: bool) -> None:
    assert is_one is is_address(text)


async def test_without_a_mail_server_the_page_says_where_links_come_from(site: Site) -> None:
    assert "weir login-link" in await site.text("/login")
    assert 400 == (await site.post("/login", email="anna@example.org")).status


async def test_sessions_are_listed_and_ended_one_by_one_or_all_others(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    kept: list[dict[str, str]] = []
    for agent in ("Lynx", "<script>alert(1)</script>", "Firefox"):
        reply = await site.client.post(
            await site.link(anna), headers={"User-Agent": agent, "X-Forwarded-For": "6.6.6.6"}, allow_redirects=False
        )  # fmt: skip
        kept.append({"weir_session": reply.cookies["weir_session"].value})
    text = await site.text("/sessions")
    # Three sessions, and three lines of the record of the door.
    assert (7, True, False, False) == (
        text.count("<td>127.0.0.1</td>") + 1, "&lt;script&gt;" in text, "<script" in text, "6.6.6.6" in text,
    )  # fmt: skip
    rows = await (await site.co_op.owner()).fetch("SELECT number FROM billing.session ORDER BY number")
    numbers = [row["number"] for row in rows]
    assert 303 == (await site.post(f"/sessions/{numbers[0]}/end")).status
    site.client.session.cookie_jar.clear()

    async def is_in(cookies: dict[str, str]) -> bool:
        return (await site.client.get("/caps", cookies=cookies, allow_redirects=False)).status == 200

    assert [False, True, True] == [await is_in(one) for one in kept]
    await site.client.post("/sessions/others/end", cookies=kept[2], allow_redirects=False)
    assert [False, False, True] == [await is_in(one) for one in kept]


async def test_nobody_ends_another_s_session(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    await site.sign_in(anna)
    owner = await site.co_op.owner()
    number = await owner.fetchval("SELECT number FROM billing.session")
    annas = {one.key: one.value for one in site.client.session.cookie_jar}
    await site.sign_in(ben)
    for path in (f"/sessions/{number}/end", "/sessions/x/end", f"/sessions/{'9' * 30}/end"):
        assert 404 == (await site.post(path)).status
    await site.post("/sessions/others/end")
    site.client.session.cookie_jar.clear()
    assert 200 == (await site.client.get("/caps", cookies=annas, allow_redirects=False)).status


async def test_behind_a_trusted_proxy_the_members_own_address_is_shown(co_op: Coop, tmp_path: Path) -> None:
    settings = BillingSettings(trusted_proxies="127.0.0.1/32")
    async with running_site(co_op, tmp_path / "journal", settings) as site:
        (anna,) = await co_op.found("anna")
        await site.client.post(
            await site.link(anna), headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}, allow_redirects=False
        )
        text = await site.text("/sessions")
        assert (True, False) == ("203.0.113.7" in text, "6.6.6.6" in text)


async def test_every_path_that_changes_something_wants_our_origin(site: Site) -> None:
    anna, _ = await site.co_op.found("anna", "ben")
    await site.sign_in(anna)
    unsafe = [one for one in site.server.app.router.routes() if one.method not in ("GET", "HEAD")]
    assert len(unsafe) > 8
    for route in unsafe:
        if route.resource is not None and route.resource.canonical.startswith("/api/"):
            continue  # no session opens it: test_a_session_opens_nothing_of_the_api_and_a_token_no_page
        path = re.sub(r"\{\w+\}", "1", route.resource.canonical if route.resource else "")
        for origin in ("", "null", "https://evil.example"):
            reply = await site.client.request(
                route.method, path, headers={"Origin": origin}, allow_redirects=False
            )
            assert 403 == reply.status, (path, origin)
    assert 200 == (await site.get("/caps")).status
