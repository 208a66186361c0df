"""A member's e-mail address changes: the one that was theirs is told so, whoever changed it, once, in their language."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from billing.portal import mailer, old_address
from billing.portal.desk import PORTAL
from billing.portal.mail import old_address_mail
from billing.register.run import change_particulars
from billing.settings import BillingSettings
from meter.ids import MemberId
from tests.coop import Coop
from tests.portal import Site, running_site
from tests.smtp import MailServer, mail_server

PORTAL_URL = "http://portal.example"


@pytest_asyncio.fixture
async def mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MailServer]:
    monkeypatch.setattr(mailer, "PAUSE_S", 0)
    async with mail_server(tmp_path) as one:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "mail.crt"))
        yield one


def settings(mails: MailServer) -> BillingSettings:
    return BillingSettings(
        smtp_host="127.0.0.1", smtp_port=mails.port, smtp_from="coop@example.org", portal_url=PORTAL_URL,
        login_mails_per_hour_max=2, smtp_tries_max=1,
    )  # fmt: skip


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path, mails: MailServer) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", settings(mails), origin=PORTAL_URL) as one:
        yield one


async def anna_at(co_op: Coop, email: str) -> MemberId:
    (anna,) = await co_op.found("anna")
    await (await co_op.owner()).execute("UPDATE meter.member SET email = $1", email)
    return anna


async def moves_to(site: Site, email: str) -> None:
    form = {"legal_name": "Anna Example", "postal": "Lane 1", "email": email, "purposes": "all"}
    assert 303 == (await site.post("/membership/address", **form)).status


async def nothing_waits(co_op: Coop) -> None:
    """Until every line was told and forgotten."""
    owner = await co_op.owner()
    for _ in range(600):
        if not await owner.fetchval("SELECT count(*) FROM billing.address_notice"):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("something still waits in the line of old addresses")


async def test_the_old_address_is_told_what_was_changed_and_what_to_do(site: Site, mails: MailServer) -> None:
    anna = await anna_at(site.co_op, "anna@old.example")
    await site.sign_in(anna)
    await moves_to(site, "anna.private@new.example")
    mail = await mails.next()
    assert ("anna@old.example", "coop@example.org", "Your e-mail address was changed") == (
        mail["To"], mail["From"].addresses[0].addr_spec, mail["Subject"]
    )  # fmt: skip
    text = mail.get_content().replace("\r\n", "\n")
    for told in (
        "Hello anna",
        "now it is one at\nnew.example",
        f"{PORTAL_URL}/sessions",
        "tell your co-op's board today",
    ):
        assert told in text
    # Whoever reads this mailbox now need not learn the new one; and nobody signs in with what they read.
    assert "anna.private" not in text + str(mail)
    assert "/login/" not in text
    await nothing_waits(site.co_op)
    assert 1 == mails.tries


async def test_what_was_sent_to_an_address_signs_nobody_in_once_it_is_another(
    site: Site, mails: MailServer
) -> None:
    """Also not whoever took the address, after the board put it back as the mail says."""
    anna = await anna_at(site.co_op, "anna@old.example")
    owner = await site.co_op.owner()
    await site.sign_in(anna)
    await moves_to(site, "anna@old.example")
    to_old = await site.link(anna)
    assert 200 == (await site.get(to_old)).status
    await moves_to(site, "thief@evil.example")
    assert "anna@old.example" == (await mails.next())["To"]
    to_thief = await site.link(anna)
    nothing: dict[str, str | None] = {"legal_name": None, "postal": None, "purposes": None}
    # What changes no address leaves links as they are.
    await change_particulars(
        owner, anna, **(nothing | {"postal": "Lane 2"}), email=None, who="board", now_us=site.now_us
    )
    assert (410, 200) == ((await site.get(to_old)).status, (await site.get(to_thief)).status)
    await change_particulars(
        owner, anna, **nothing, email="anna@old.example", who="board", now_us=site.now_us
    )
    assert {410} == {(await site.post(one)).status for one in (to_old, to_thief)}
    assert 303 == (await site.post(await site.link(anna))).status


async def test_it_is_told_in_the_member_s_language(site: Site, mails: MailServer) -> None:
    anna = await anna_at(site.co_op, "anna@old.example")
    await site.sign_in(anna)
    await site.post("/language", language="de")
    await moves_to(site, "anna@new.example")
    mail = await mails.next()
    assert "Deine E-Mail-Adresse wurde geändert" == mail["Subject"]
    assert "Hallo anna" in mail.get_content()


async def test_a_change_at_the_command_line_is_told_too_and_an_address_taken_out(
    co_op: Coop, mails: MailServer, tmp_path: Path
) -> None:
    """Also when it happened while no portal ran: the line stands in the database."""
    await anna_at(co_op, "anna@old.example")
    await (await co_op.owner()).execute("UPDATE meter.member SET email = ''")
    async with running_site(co_op, tmp_path / "journal", settings(mails), origin=PORTAL_URL):
        mail = await mails.next()
        assert "anna@old.example" == mail["To"]
        assert "was taken out" in mail.get_content()
        await nothing_waits(co_op)


async def test_what_is_no_change_tells_nobody(site: Site, mails: MailServer) -> None:
    anna = await anna_at(site.co_op, "anna@old.example")
    owner = await site.co_op.owner()
    assert 0 == await owner.fetchval("SELECT count(*) FROM billing.address_notice")  # the first address ever
    await site.sign_in(anna)
    await moves_to(site, "Anna@OLD.example")
    await moves_to(site, "Anna@OLD.example")
    assert 0 == await owner.fetchval("SELECT count(*) FROM billing.address_notice")
    await moves_to(site, "anna@new.example")
    assert "Anna@OLD.example" == (await mails.next())["To"]
    assert 1 == mails.tries


async def test_a_mail_that_was_not_taken_waits_and_is_tried_again(
    site: Site, mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_address, "AGAIN_AFTER_S", 0)
    anna = await anna_at(site.co_op, "anna@old.example")
    await site.sign_in(anna)
    # More often than a member may be sent mails in an hour.
    mails.answers = ["451 later"] * 4
    await moves_to(site, "anna@new.example")
    assert "anna@old.example" == (await mails.next())["To"]
    await nothing_waits(site.co_op)
    assert 5 == mails.tries


async def test_nobody_s_mailbox_is_filled_by_changing_to_and_fro(site: Site, mails: MailServer) -> None:
    anna = await anna_at(site.co_op, "a@x.example")
    await site.sign_in(anna)
    for email in ("b@x.example", "a@x.example", "b@x.example", "a@x.example"):
        await moves_to(site, email)
    assert ["a@x.example", "b@x.example"] == [(await mails.next())["To"] for _ in range(2)]
    await nothing_waits(site.co_op)
    assert 2 == mails.tries


async def test_what_is_a_week_old_is_told_no_more(co_op: Coop, mails: MailServer, tmp_path: Path) -> None:
    await anna_at(co_op, "anna@old.example")
    owner = await co_op.owner()
    await owner.execute("UPDATE meter.member SET email = 'anna@new.example'")
    await owner.execute("UPDATE billing.address_notice SET changed_at = now() - interval '8 days'")
    async with running_site(co_op, tmp_path / "journal", settings(mails), origin=PORTAL_URL):
        await nothing_waits(co_op)
    assert 0 == mails.tries


async def test_billing_writes_nothing_into_the_line_itself(co_op: Coop) -> None:
    ordinary = await co_op.connection("weir_billing")
    row = await ordinary.fetchrow(
        "SELECT has_table_privilege('billing.address_notice', 'INSERT'),"
        " has_column_privilege('billing.address_notice', 'email', 'UPDATE')"
    )
    assert (False, False) == tuple(row)


def test_an_address_that_cannot_stand_in_a_mail_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match=r"[Aa]ddr"):
        old_address_mail(
            sender="a@b.example",
            to="x\r\nBcc: y@z",
            name="anna",
            when="now",
            domain="",
            portal_url="https://p",
        )


async def test_without_a_mail_server_nothing_is_told_and_the_change_is_made(
    co_op: Coop, tmp_path: Path
) -> None:
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as one:
        assert one.server.app[PORTAL].old_addresses is None
        anna = await anna_at(co_op, "anna@old.example")
        await one.sign_in(anna)
        await moves_to(one, "anna@new.example")
