"""Passkeys attacked with a security key of the test's own: only what was asked for, of whose it is, once, opens."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from billing.portal import mailer
from billing.portal.passkey import Place, place_of, read_name
from billing.settings import BillingSettings
from meter.ids import MemberId
from meter.postgres import AWAY
from meter.refusal import Refusal
from tests.authenticator import MAY_SYNC, PRESENT, VERIFIED, SecurityKey, text
from tests.coop import Coop
from tests.portal import Site, running_site
from tests.smtp import MailServer, mail_server

PORTAL = "http://localhost:8443"
MINUTE = 60 * 10**6
NOT_ACCEPTED = "This passkey was not accepted"


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    settings = BillingSettings(
        portal_url=PORTAL,
        passkeys_per_member_max=3,
        login_attempts_per_minute_max=1000,
        entry_record_lines_max=12,
    )
    async with running_site(co_op, tmp_path / "journal", settings, origin=PORTAL) as one:
        yield one


async def options(site: Site, path: str) -> dict[str, Any]:
    """What the script would be given to ask the device."""
    reply = await site.post(path)
    assert 200 == reply.status, await reply.text()
    return dict(await reply.json())


async def add(site: Site, key: SecurityKey, name: str = "my key", **other: Any) -> int:
    """Register it for whoever is signed in; the status."""
    made = key.create(await options(site, "/passkeys/begin"), **other)
    return (await site.post("/passkeys", name=name, credential=made)).status


async def enter(site: Site, key: SecurityKey, **other: Any) -> tuple[int, str]:
    """Sign in with it, with no session: (status, what the page says)."""
    forget_session(site)
    sent = key.get(await options(site, "/login/passkey/begin"), **other)
    reply = await site.post("/login/passkey", credential=sent)
    return reply.status, await reply.text()


def forget_session(site: Site) -> None:
    site.client.session.cookie_jar.clear()


async def is_in(site: Site) -> str:
    """Who is signed in, by the name on the page; empty for nobody."""
    reply = await site.get("/caps")
    told = await reply.text() if reply.status == 200 else ""
    return told.partition("Sign out ")[2].partition("<")[0]


async def with_key(site: Site, member: MemberId, **more: Any) -> SecurityKey:
    """A registered key of this member's."""
    await site.sign_in(member)
    key = SecurityKey(PORTAL, **more)
    assert 303 == await add(site, key)
    return key


async def test_a_passkey_is_added_signs_in_and_is_listed(site: Site) -> None:
    anna, _ = await site.co_op.found("anna", "ben")
    key = await with_key(site, anna)
    status, _ = await enter(site, key)
    assert (303, "anna") == (status, await is_in(site))
    page = await site.text("/sessions")
    assert "my key" in page
    for told in (
        "a passkey was added: my key",
        "signed in with a passkey: my key",
        "signed in with a one-time link",
    ):
        assert told in page
    owner = await site.co_op.owner()
    assert ["link", "passkey"] == [
        row["way"] for row in await owner.fetch("SELECT way FROM billing.session ORDER BY number")
    ]
    # A device that does not count signs in as often as it likes, too.
    plain = await with_key(site, anna, counts=False)
    assert [303, 303] == [(await enter(site, plain))[0] for _ in range(2)]


async def test_what_a_browser_is_asked_for_wants_a_verified_user_and_names_nobody(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    asked = await options(site, "/passkeys/begin")
    chosen = asked["authenticatorSelection"]
    assert ("required", "required", "none", "localhost") == (
        chosen["userVerification"], chosen["residentKey"], asked["attestation"], asked["rp"]["id"]
    )  # fmt: skip
    assert {-7, -8, -257} == {one["alg"] for one in asked["pubKeyCredParams"]}
    key = SecurityKey(PORTAL)
    await site.post("/passkeys", name="one", credential=key.create(asked))
    again = await options(site, "/passkeys/begin")
    assert ([text(key.id)], asked["user"]["id"]) == (
        [one["id"] for one in again["excludeCredentials"]],
        again["user"]["id"],
    )
    assert asked["challenge"] != again["challenge"]
    forget_session(site)
    asked = await options(site, "/login/passkey/begin")
    assert ("required", []) == (asked["userVerification"], asked["allowCredentials"])


WRONG: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("another origin", {}, {"origin": "https://evil.example"}),
    ("our host on another port", {}, {"origin": "http://localhost:9999"}),
    ("another host's key", {"host": "evil.example"}, {}),
    ("another challenge", {}, {"challenge": text(bytes(32))}),
    ("made for the other purpose", {}, {"type": "webauthn.create"}),
    ("inside another site's frame", {}, {"crossOrigin": True}),
    ("nobody verified", {"flags": PRESENT}, {}),
    ("nobody there", {"flags": VERIFIED}, {}),
]


async def test_an_answer_that_is_not_what_was_asked_for_is_refused(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    key = await with_key(site, anna)
    for what, changed, said in WRONG:
        status, page = await enter(site, replace(key, **changed), **said)
        assert (400, True, "") == (status, NOT_ACCEPTED in page, await is_in(site)), what
    assert 303 == (await enter(site, key))[0]


async def test_a_new_passkey_that_is_not_what_was_asked_for_is_not_kept(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    for what, changed, said in WRONG:
        # The other purpose is the other one.
        told = {"type": "webauthn.get"} if "type" in said else said
        assert 400 == await add(site, replace(SecurityKey(PORTAL), **changed), **told), what
    assert 0 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM billing.passkey")
    assert 303 == await add(site, SecurityKey(PORTAL))


async def test_an_answer_opens_once_and_in_the_browser_that_asked(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    key = await with_key(site, anna, counts=False)
    forget_session(site)
    asked = await options(site, "/login/passkey/begin")
    begun = {one.key: one.value for one in site.client.session.cookie_jar}
    sent = key.get(asked)
    # Another browser, which began something of its own.
    forget_session(site)
    await options(site, "/login/passkey/begin")
    assert 400 == (await site.post("/login/passkey", credential=sent)).status
    # And one that began nothing.
    forget_session(site)
    assert 400 == (await site.post("/login/passkey", credential=sent)).status
    assert "" == await is_in(site)

    async def ours() -> int:
        forget_session(site)
        reply = await site.client.post(
            "/login/passkey", data={"credential": sent}, cookies=begun, allow_redirects=False
        )
        return reply.status

    assert [303, 400] == [await ours(), await ours()]


async def test_of_two_at_once_one_gets_in(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    key = await with_key(site, anna, counts=False)
    forget_session(site)
    sent = key.get(await options(site, "/login/passkey/begin"))
    both = await asyncio.gather(*(site.post("/login/passkey", credential=sent) for _ in range(2)))
    assert [303, 400] == sorted(one.status for one in both)


async def test_a_challenge_is_over_in_time_and_good_for_its_own_purpose_alone(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    key = await with_key(site, anna)
    forget_session(site)
    asked = await options(site, "/login/passkey/begin")
    site.now_us += 5 * MINUTE
    assert 400 == (await site.post("/login/passkey", credential=key.get(asked))).status
    # What was begun to get in does not add a passkey, and what one session began another does not end.
    asked = await options(site, "/login/passkey/begin")
    await site.sign_in(anna)
    new = SecurityKey(PORTAL)
    wanted = await options(site, "/passkeys/begin")
    assert 400 == (await site.post("/login/passkey", credential=key.get(wanted))).status
    began = {one.key: one.value for one in site.client.session.cookie_jar if one.key == "weir_entry"}
    await site.sign_in(ben)
    site.client.session.cookie_jar.update_cookies(began)
    assert 400 == (await site.post("/passkeys", name="x", credential=new.create(wanted))).status
    assert 1 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM billing.passkey")


async def test_another_member_s_passkey_signs_in_as_that_member_or_not_at_all(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    annas, bens = await with_key(site, anna), await with_key(site, ben)
    # Ben's device says that his passkey is Anna's, or shows her passkey's id over his own signature.
    for forged in (
        replace(bens, handle=annas.handle),
        replace(bens, id=annas.id),
        replace(bens, id=annas.id, handle=annas.handle),
    ):
        assert (400, "") == ((await enter(site, forged))[0], await is_in(site))
    assert (303, "ben") == ((await enter(site, bens))[0], await is_in(site))
    # A passkey that is known is not added a second time, by nobody.
    assert 400 == await add(site, replace(annas))
    assert 2 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM billing.passkey")


async def test_a_copy_s_counter_is_refused_noted_and_logged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    (anna,) = await site.co_op.found("anna")
    key = await with_key(site, anna)
    copy = replace(key)
    assert [303, 303] == [(await enter(site, key))[0] for _ in range(2)]
    with caplog.at_level(logging.WARNING, "billing.passkeys"):
        status, page = await enter(site, copy)
    assert (400, True, "") == (status, "as if there were a copy of it" in page, await is_in(site))
    assert [
        "did not count up" in one.getMessage() for one in caplog.records if one.name == "billing.passkeys"
    ] == [True]
    # Nor does one that stops counting get in, and the true one goes on.
    assert 400 == (await enter(site, replace(copy, counts=False, counter=0)))[0]
    assert 303 == (await enter(site, key))[0]
    assert 2 == (await site.text("/sessions")).count("a passkey was refused")


async def test_a_removed_passkey_opens_nothing_and_one_of_who_left_still_does(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    key, other = await with_key(site, anna), await with_key(site, ben)
    owner = await site.co_op.owner()
    number = await owner.fetchval("SELECT number FROM billing.passkey WHERE member = $1", anna)
    # Not by another member.
    for path in (f"/passkeys/{number}/remove", "/passkeys/x/remove", f"/passkeys/{'9' * 30}/remove"):
        assert 404 == (await site.post(path)).status
    assert 303 == (await enter(site, key))[0]
    assert "/sessions?removed" == (await site.post(f"/passkeys/{number}/remove")).headers["Location"]
    assert "a passkey was removed: my key" in await site.text("/sessions")
    status, page = await enter(site, key)
    assert (400, True, "") == (status, "or was removed" in page, await is_in(site))
    await owner.execute("UPDATE meter.member SET status = 'left', left_at = now() WHERE id = $1", ben)
    # What they are owed stands on their own page; a new passkey is for members alone.
    assert (303, "ben") == ((await enter(site, other))[0], await is_in(site))
    page = await site.text("/sessions")
    assert (True, False) == ("You have left: no passkey is added" in page, "Add a passkey" in page)
    # Before the device is asked, which would keep a key that nobody here knows.
    reply = await site.post("/passkeys/begin")
    assert (400, True) == (reply.status, "no passkey is added" in await reply.text())


async def test_who_leaves_while_their_device_makes_a_passkey_has_none_of_it_kept(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    made = SecurityKey(PORTAL).create(await options(site, "/passkeys/begin"))
    owner = await site.co_op.owner()
    await owner.execute("UPDATE meter.member SET status = 'left', left_at = now()")
    assert 400 == (await site.post("/passkeys", name="late", credential=made)).status
    assert 0 == await owner.fetchval("SELECT count(*) FROM billing.passkey")


async def test_a_member_has_so_many_passkeys_and_no_more(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    assert [303] * 3 == [await add(site, SecurityKey(PORTAL), f"key {number}") for number in range(3)]
    reply = await site.post("/passkeys/begin")
    assert (400, True) == (reply.status, "3 passkeys (passkeys_per_member_max)" in await reply.text())
    # Nor by two that were begun while there was room for one.
    await (await site.co_op.owner()).execute("DELETE FROM billing.passkey WHERE name = 'key 0'")
    begun = []
    for _ in range(2):
        wanted = await options(site, "/passkeys/begin")
        cookie = {one.key: one.value for one in site.client.session.cookie_jar}
        begun.append((SecurityKey(PORTAL).create(wanted), cookie))

    async def end(sent: str, cookies: dict[str, str]) -> int:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        forget_session(site)
        form = {"name": "x", "credential": sent}
        return (await site.client.post("/passkeys", data=form, headers=headers, allow_redirects=False)).status

    assert [303, 400] == sorted(await asyncio.gather(*(end(*one) for one in begun)))


GARBAGE = [
    "",
    "x",
    "[]",
    "null",
    "{}",
    "[" * 5000,
    "{" * 5000,
    json.dumps({"rawId": 7}),
    json.dumps({"rawId": "é" * 50}),
]


async def test_garbage_is_refused_with_a_sentence(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    key = await with_key(site, anna)
    real = json.loads(key.create(await options(site, "/passkeys/begin")))
    for field in real["response"]:
        for wrong in ("", "!", "AAAA", None, 7, "_w" * 3000):
            twisted = json.dumps(real | {"response": real["response"] | {field: wrong}})
            await options(site, "/passkeys/begin")
            assert 400 == (await site.post("/passkeys", name="x", credential=twisted)).status, (field, wrong)
    for one in GARBAGE:
        await options(site, "/passkeys/begin")
        assert 400 == (await site.post("/passkeys", name="x", credential=one)).status, one[:20]
        await options(site, "/login/passkey/begin")
        assert 400 == (await site.post("/login/passkey", credential=one)).status, one[:20]
    real = json.loads(key.get(await options(site, "/login/passkey/begin")))
    for field in real["response"]:
        for wrong in ("", "!", "AAAA", None, 7):
            twisted = json.dumps(real | {"response": real["response"] | {field: wrong}})
            await options(site, "/login/passkey/begin")
            assert 400 == (await site.post("/login/passkey", credential=twisted)).status, (field, wrong)


async def test_tries_from_one_address_are_limited_and_what_waits_is_bounded(
    co_op: Coop, tmp_path: Path
) -> None:
    settings = BillingSettings(portal_url=PORTAL, login_attempts_per_minute_max=15, entry_tries_open_max=10)
    async with running_site(co_op, tmp_path / "journal", settings, origin=PORTAL) as site:
        statuses = [(await site.post("/login/passkey/begin")).status for _ in range(17)]
        assert [200] * 15 + [429] * 2 == statuses
        assert 10 == await (await co_op.owner()).fetchval("SELECT count(*) FROM billing.entry_try")


async def test_the_record_of_the_door_keeps_the_newest_lines(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    for _ in range(20):
        await site.sign_in(anna)
    assert 12 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM billing.entry_record")


async def test_where_there_are_no_passkeys_none_is_offered(co_op: Coop, tmp_path: Path) -> None:
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as site:
        (anna,) = await co_op.found("anna")
        assert "passkey" not in await site.text("/login")
        assert 400 == (await site.post("/login/passkey/begin")).status
        await site.sign_in(anna)
        assert "passkey" not in (await site.text("/sessions")).lower()
        reply = await site.get("/sessions")
        assert "script-src" not in reply.headers["Content-Security-Policy"]


async def test_the_two_pages_with_a_script_run_the_portal_s_own_alone(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    for path in ("/login", "/sessions"):
        reply = await site.get(path)
        policy = reply.headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'"} <= set(policy)
        page = await reply.text()
        assert ['<script src="/passkey.js" defer></script>'] == [
            line.strip() for line in page.splitlines() if "<script" in line
        ]
    for path in ("/", "/caps", "/keys", "/proposals"):
        assert "script-src" not in (await site.get(path)).headers["Content-Security-Policy"]
    reply = await site.get("/passkey.js")
    assert ("text/javascript", "nosniff") == (reply.content_type, reply.headers["X-Content-Type-Options"])


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://members.example.coop", Place("members.example.coop", "https://members.example.coop")),
        ("https://Members.Example.coop:8443/", Place("members.example.coop", "https://members.example.coop:8443")),
        ("http://localhost:9001", Place("localhost", "http://localhost:9001")),
        ("http://members.example.coop", None), ("http://127.0.0.1:9001", None), ("https://127.0.0.1", None),
        ("https://[::1]", None), ("http://localhost.evil.example", None), ("", None), ("members.example.coop", None),
    ],
)  # fmt: skip
def test_passkeys_hold_where_browsers_let_them(url: str, place: Place | None) -> None:
    assert place == place_of(url)


@pytest.mark.parametrize("typed", ["", "  ", "x" * 61, "a\x00b", "a\u202eb", "\u200dx", None, b"x"])
def test_a_name_is_one_short_line(typed: object) -> None:
    with pytest.raises(Refusal, match="name: say on which device"):
        read_name(typed)


def test_a_name_keeps_its_words() -> None:
    assert "my old phone" == read_name("  my old\n phone ")
    # A woman who is a technician is three signs, joined by one that nobody sees.
    technician = "\U0001f469\u200d\U0001f4bb laptop"
    assert technician == read_name(technician)


async def test_a_name_is_refused_before_the_device_makes_a_key(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    for name, status in (("a\u202eb", 400), (" ", 400), ("my key", 200)):
        reply = await site.post("/passkeys/begin", name=name)
        assert status == reply.status, name
        assert (status == 400) == ("say on which device" in await reply.text())
    assert 1 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM billing.entry_try")


async def test_a_passkey_that_lives_on_many_devices_is_called_so(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await with_key(site, anna)
    assert "on this one device alone" in await site.text("/sessions")
    await with_key(site, anna, flags=PRESENT | VERIFIED | MAY_SYNC)
    assert "on all devices of one account" in await site.text("/sessions")


async def test_the_portal_s_role_cannot_move_rename_or_wind_back_a_passkey(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await with_key(site, anna)
    portal = await site.co_op.connection("weir_billing")
    for change in ("member = 2", "public_key = 'x'", "credential = 'x'", "name = 'x'"):
        with pytest.raises(Exception, match="permission denied") as told:
            await portal.execute(f"UPDATE billing.passkey SET {change}")
        assert not isinstance(told.value, AWAY)
    with pytest.raises(Exception, match="permission denied"):
        await portal.execute("UPDATE billing.entry_record SET name = 'x'")


@pytest_asyncio.fixture
async def mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MailServer]:
    monkeypatch.setattr(mailer, "PAUSE_S", 0)
    async with mail_server(tmp_path) as one:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "mail.crt"))
        yield one


def by_mail(mails: MailServer, **limits: int) -> BillingSettings:
    """Of a portal that sends its mails there."""
    return BillingSettings(
        smtp_host="127.0.0.1", smtp_port=mails.port, smtp_from="coop@example.org", portal_url=PORTAL, **limits,
    )  # type: ignore[arg-type]  # fmt: skip


async def test_a_member_is_told_by_mail_of_a_new_passkey_however_many_links_were_asked_for(
    co_op: Coop, tmp_path: Path, mails: MailServer
) -> None:
    settings = by_mail(mails, login_mails_per_hour_max=1)
    async with running_site(co_op, tmp_path / "journal", settings, origin=PORTAL) as site:
        (anna,) = await co_op.found("anna")
        await (await co_op.owner()).execute("UPDATE meter.member SET email = 'anna@example.org'")
        for _ in range(2):
            await site.post("/login", email="anna@example.org")
        assert "Your link to sign in" == (await mails.next())["Subject"]
        await with_key(site, anna)
        mail = await mails.next()
        assert ("anna@example.org", "A new passkey of yours") == (mail["To"], mail["Subject"])
        told = mail.get_content()
        assert ('called "my key"' in told, f"{PORTAL}/sessions" in told, "/login/" in told) == (
            True,
            True,
            False,
        )
        assert mails.mails.empty()


async def test_links_that_wait_for_a_slow_mail_server_keep_no_notice_back(
    co_op: Coop, tmp_path: Path, mails: MailServer
) -> None:
    settings = by_mail(mails, login_mails_waiting_max=1)
    async with running_site(co_op, tmp_path / "journal", settings, origin=PORTAL) as site:
        anna, ben = await co_op.found("anna", "ben")
        for member, email in ((anna, "anna@example.org"), (ben, "ben@example.org")):
            await (await co_op.owner()).execute(
                "UPDATE meter.member SET email = $2 WHERE id = $1", member, email
            )
        mails.slow_to = b"ben@"
        await site.post("/login", email="ben@example.org")
        await asyncio.wait_for(mails.waits.wait(), 30)
        for _ in range(3):
            await site.post("/login", email="ben@example.org")
        await with_key(site, anna)
        assert "A new passkey of yours" == (await mails.next())["Subject"]
        mails.goes_on.set()
        assert ["ben@example.org"] * 2 == [(await mails.next())["To"] for _ in range(2)]
