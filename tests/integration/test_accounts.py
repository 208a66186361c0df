"""Accounts elsewhere, against a provider on a socket that lies in every way: only what a member linked, proven, opens."""

from __future__ import annotations

import asyncio
import html
import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from billing.portal import mailer
from billing.settings import BillingSettings
from deploy.settings import shown
from meter.ids import MemberId
from tests.coop import NOW, Coop
from tests.portal import Site, running_site
from tests.provider import (
    CLIENT,
    SECRET,
    Provider,
    ec_signed,
    mac_signed,
    provider,
    public_pem,
    rsa_jwk,
    rsa_signed,
    unsigned,
)
from tests.smtp import MailServer, mail_server

PORTAL = "http://localhost:8443"
BACK = "/login/account/back"
WITHIN_S = 30
MINUTE = 60 * 10**6


class Visited(Site):
    """A portal, and the provider that its members' browsers are sent to."""

    provider: Provider

    async def begin(self, path: str = "/login/account") -> str:
        """Press the button; the provider's address that the page leads to."""
        reply = await self.post(path)
        page = await reply.text()
        assert 200 == reply.status, page
        (link,) = re.findall(r'<a href="([^"]+)">Go on to', page)
        (refresh,) = re.findall(r'content="0; url=([^"]+)"', page)
        assert link == refresh
        return html.unescape(link)

    async def visit(self, url: str) -> str:
        """Be signed in at the provider, and sent back: the path of the portal."""
        async with aiohttp.ClientSession() as other, asyncio.timeout(WITHIN_S):
            reply = await other.get(url, allow_redirects=False)
        assert 302 == reply.status, await reply.text()
        location = reply.headers["Location"]
        assert location.startswith(f"{PORTAL}{BACK}?"), location
        return location.removeprefix(PORTAL)

    async def enter(self, path: str = "/login/account") -> tuple[int, str]:
        """All of it: (status, where to or what is said)."""
        reply = await self.get(await self.visit(await self.begin(path)))
        return reply.status, reply.headers.get("Location") or await reply.text()

    async def linked(self, member: MemberId, subject: str) -> None:
        """Link an account and sign out."""
        await self.sign_in(member)
        self.provider.subject = subject
        assert (303, "/sessions?linked") == await self.enter("/account")
        self.leave()

    def leave(self) -> None:
        self.client.session.cookie_jar.clear()

    async def who(self) -> str:
        """The name of who is signed in; empty for nobody."""
        reply = await self.get("/")
        told = await reply.text() if reply.status == 200 else ""
        return told.partition("Sign out ")[2].partition("<")[0]


def settings_for(issuer: str, **more: Any) -> BillingSettings:
    return BillingSettings(
        **{
            "portal_url": PORTAL, "oidc_issuer": issuer, "oidc_client_id": CLIENT, "oidc_client_secret": SECRET,
            "oidc_timeout_s": 2, "oidc_answer_bytes_max": 16 * 1024, "login_attempts_per_minute_max": 1000,
        } | more
    )  # fmt: skip


@pytest_asyncio.fixture
async def elsewhere() -> AsyncIterator[Provider]:
    async with provider(lambda: NOW, PORTAL + BACK) as one:
        yield one


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path, elsewhere: Provider) -> AsyncIterator[Visited]:
    settings = settings_for(elsewhere.issuer)
    async with running_site(co_op, tmp_path / "journal", settings, origin=PORTAL, kind=Visited) as one:
        one.provider = elsewhere
        elsewhere.clock = lambda: one.now_us
        yield one


async def test_a_linked_account_signs_in_until_it_is_unlinked_and_signing_out_ends_our_session(
    site: Visited,
) -> None:
    anna, _ = await site.co_op.found("anna", "ben")
    status, said = await site.enter()
    assert (400, True, "") == (status, "linked to no membership" in said, await site.who())
    await site.linked(anna, "subject-of-anna")
    assert ((303, "/"), "anna") == (await site.enter(), await site.who())
    page = await site.text("/sessions")
    for told in (
        "an account was linked: 127.0.0.1",
        "signed in with a linked account: 127.0.0.1",
        "<td>a linked account</td>",
    ):
        assert told in page
    held = {one.key: one.value for one in site.client.session.cookie_jar}
    assert 303 == (await site.post("/logout")).status
    assert 303 == (await site.client.get("/", cookies=held, allow_redirects=False)).status
    assert ((303, "/"), "anna") == (await site.enter(), await site.who())
    assert "/sessions?unlinked" == (await site.post("/account/unlink")).headers["Location"]
    assert 404 == (await site.post("/account/unlink")).status
    site.leave()
    assert (400, "") == ((await site.enter())[0], await site.who())


async def test_what_the_provider_is_asked_for_has_state_nonce_and_pkce_and_they_are_new_each_time(
    site: Visited,
) -> None:
    first, second = [parse_qs(urlsplit(await site.begin()).query) for _ in range(2)]
    assert (["code"], ["openid"], ["S256"], [PORTAL + BACK], [CLIENT]) == tuple(
        first[one] for one in ("response_type", "scope", "code_challenge_method", "redirect_uri", "client_id")
    )
    for one in ("state", "nonce", "code_challenge"):
        assert (43, True) == (len(first[one][0]), first[one] != second[one])
    assert 3 == len({first[one][0] for one in ("state", "nonce", "code_challenge")})


@pytest.mark.parametrize(
    ("sign", "header"),
    [(rsa_signed, {"alg": "RS256", "kid": "one"}), (ec_signed, {"alg": "ES256", "kid": "two", "typ": "JWT"})],
)
async def test_both_kinds_of_signature_are_taken(
    site: Visited, sign: Callable[..., str], header: dict[str, Any]
) -> None:
    (anna,) = await site.co_op.found("anna")
    site.provider.sign, site.provider.header = sign, header
    await site.linked(anna, "s")
    assert ((303, "/"), "anna") == (await site.enter(), await site.who())


NOW_S = NOW // 10**6
FALSE_CLAIMS: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"}, "issuer with a slash more": {"iss": "http://127.0.0.1/"},
    "no issuer": {"iss": None}, "for another portal": {"aud": "another"}, "for nobody": {"aud": None}, "for an empty list": {"aud": []},
    "for many, without saying whose it is": {"aud": [CLIENT, "another"]},
    "for many, another's": {"aud": [CLIENT, "another"], "azp": "another"}, "another's alone": {"azp": "another"},
    "another nonce": {"nonce": "x" * 43}, "no nonce": {"nonce": None}, "a nonce that is no text": {"nonce": 7},
    "expired": {"exp": NOW_S - 61}, "expired just now": {"exp": NOW_S - 60}, "without an end": {"exp": None}, "an end that is text": {"exp": str(NOW_S + 60)},
    "made at the instant true": {"iat": True}, "an end without end": {"exp": float("inf")}, "not begun": {"nbf": NOW_S + 61}, "made tomorrow": {"iat": NOW_S + 86_400},
    "made at no time": {"iat": None}, "of nobody": {"sub": None}, "of an empty name": {"sub": ""}, "of too long a name": {"sub": "x" * 256},
    "of a number": {"sub": 7}, "of a name with a line in it": {"sub": "a\nb"},
}  # fmt: skip


async def test_a_token_that_says_anything_else_opens_nothing(site: Visited) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.linked(anna, "subject-of-anna")
    for what, said in FALSE_CLAIMS.items():
        site.provider.claims = said
        assert (400, "") == ((await site.enter())[0], await site.who()), what
    site.provider.claims = {}
    assert ((303, "/"), "anna") == (await site.enter(), await site.who())


async def test_for_many_with_our_name_on_it_and_a_clock_that_is_a_little_off_is_taken(site: Visited) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.linked(anna, "subject-of-anna")
    site.provider.claims = {"aud": ["x", CLIENT], "azp": CLIENT, "iat": NOW_S + 60, "exp": NOW_S - 59}
    assert ((303, "/"), "anna") == (await site.enter(), await site.who())


OTHER_KEY = rsa.generate_private_key(65537, 2048)


def twisted(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Signed, and then changed."""
    first, body, last = rsa_signed(header, claims).split(".")
    return f"{first}.{body[:-2]}{'A' if body[-2] != 'A' else 'B'}{body[-1]}.{last}"


FORGED: dict[str, tuple[dict[str, Any], Callable[..., str]]] = {
    "none": ({"alg": "none"}, unsigned),
    "none, with our key's name": ({"alg": "none", "kid": "one"}, unsigned),
    "None": ({"alg": "None", "kid": "one"}, unsigned),
    "RS256 without a signature": ({"alg": "RS256", "kid": "one"}, unsigned),
    "HS256 by the public key": ({"alg": "HS256", "kid": "one"}, lambda h, c: mac_signed(h, c, public_pem())),
    "HS256 by the client's secret": ({"alg": "HS256"}, lambda h, c: mac_signed(h, c, SECRET.encode())),
    "another key under our key's name": ({"alg": "RS256", "kid": "one"}, lambda h, c: rsa_signed(h, c, OTHER_KEY)),
    "a key that it brings itself": (
        {"alg": "RS256", "jwk": rsa_jwk("own", OTHER_KEY), "kid": "own"}, lambda h, c: rsa_signed(h, c, OTHER_KEY)),
    "a key from somewhere": ({"alg": "RS256", "jku": "http://evil.example/keys", "kid": "own"}, lambda h, c: rsa_signed(h, c, OTHER_KEY)),
    "the other kind of key": ({"alg": "ES256", "kid": "one"}, rsa_signed),
    "RS512": ({"alg": "RS512", "kid": "one"}, rsa_signed),
    "no name of a key, of two": ({"alg": "RS256"}, rsa_signed),
    "a condition nobody knows": ({"alg": "RS256", "kid": "one", "crit": ["odd"], "odd": 1}, rsa_signed),
    "changed after it was signed": ({"alg": "RS256", "kid": "one"}, twisted),
    "two parts": ({}, lambda h, c: "a.b"), "nothing": ({}, lambda h, c: ""), "dots": ({}, lambda h, c: ".."),
    "very long": ({}, lambda h, c: "a" * 15_000),
}  # fmt: skip


async def test_a_forged_token_opens_nothing(site: Visited) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.linked(anna, "subject-of-anna")
    for what, (header, sign) in FORGED.items():
        site.provider.header, site.provider.sign = header, sign
        assert (400, "") == ((await site.enter())[0], await site.who()), what
    site.provider.header, site.provider.sign = {"alg": "RS256", "kid": "one"}, rsa_signed
    assert ((303, "/"), "anna") == (await site.enter(), await site.who())


async def test_no_e_mail_address_opens_anything(site: Visited) -> None:
    _, ben = await site.co_op.found("anna", "ben")
    owner = await site.co_op.owner()
    await owner.execute("UPDATE meter.member SET email = 'both@example.org'")
    site.provider.subject = "nobody's"
    for verified in (True, False, "true", None):
        site.provider.claims = {"email": "both@example.org", "email_verified": verified}
        assert (400, "") == ((await site.enter())[0], await site.who())
    await owner.execute("UPDATE meter.member SET email = '' WHERE id = $1", ben)
    site.provider.claims = {"email": "both@example.org", "email_verified": True}
    assert (400, "") == ((await site.enter())[0], await site.who())


async def test_an_account_opens_one_membership_and_a_membership_has_one(site: Visited) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    await site.linked(anna, "subject-of-anna")
    await site.sign_in(ben)
    site.provider.subject = "subject-of-anna"
    status, said = await site.enter("/account")
    assert (400, True) == (status, "linked already" in said)
    await site.sign_in(anna)
    site.provider.subject = "another"
    assert 400 == (await site.enter("/account"))[0]
    await site.linked(ben, "subject-of-ben")
    assert ((303, "/"), "ben") == (await site.enter(), await site.who())
    # And nobody unlinks another's.
    await site.post("/account/unlink")
    site.leave()
    site.provider.subject = "subject-of-anna"
    assert ((303, "/"), "anna") == (await site.enter(), await site.who())


async def test_who_has_left_does_not_get_in(site: Visited) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.linked(anna, "subject-of-anna")
    owner = await site.co_op.owner()
    await owner.execute("UPDATE meter.member SET status = 'left', left_at = now()")
    assert (400, "") == ((await site.enter())[0], await site.who())
    # Their page says so, and lets go of the account: who comes again, comes as a new member.
    await site.sign_in(anna)
    page = await site.text("/sessions")
    assert (True, False) == ("it signs nobody in here" in page, "can sign in here as you" in page)
    assert 303 == (await site.post("/account/unlink")).status
    assert "Link your account" not in await site.text("/sessions")
    reply = await site.post("/account")
    assert (400, True) == (reply.status, "end with the membership" in await reply.text())


async def test_the_way_back_works_once_in_the_browser_that_began_and_in_time(site: Visited) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.linked(anna, "subject-of-anna")
    # The same way back a second time.
    back = await site.visit(await site.begin())
    began = {one.key: one.value for one in site.client.session.cookie_jar}
    assert 303 == (await site.get(back)).status
    site.leave()
    site.client.session.cookie_jar.update_cookies(began)
    assert (400, "") == ((await site.get(back)).status, await site.who())
    # Too late.
    back = await site.visit(await site.begin())
    site.now_us += 5 * MINUTE
    assert (400, "") == ((await site.get(back)).status, await site.who())
    # Another provider's name on it, with all else as it should be.
    back = await site.visit(await site.begin())
    assert 400 == (await site.get(re.sub("iss=[^&]+", "iss=https://evil.example", back))).status
    back = await site.visit(await site.begin())
    query = {name: value[0] for name, value in parse_qs(urlsplit(back).query).items()}
    for wrong in (
        {"code": ""},
        {"code": "x" * 5000},
        {"code": "guessed"},
        {"state": ""},
    ):
        await site.begin()
        assert 400 == (await site.get(f"{BACK}?{urlencode(query | wrong)}")).status
    # Its own code, with a state that is not its own.
    back = await site.visit(await site.begin())
    assert 400 == (await site.get(re.sub("state=[^&]+", f"state={query['state']}", back))).status
    assert 303 == (await site.get(back)).status
    site.leave()
    denied = await site.begin()
    state = parse_qs(urlsplit(denied).query)["state"][0]
    reply = await site.get(f"{BACK}?{urlencode({'error': 'access_denied', 'state': state})}")
    assert (400, True) == (reply.status, "did not sign you in" in await reply.text())


async def test_nobody_is_signed_in_as_somebody_else_by_a_link_from_elsewhere(site: Visited) -> None:
    """Login CSRF: mallory begins, is proven, and has a victim's browser open the way back."""
    mallory, anna = await site.co_op.found("mallory", "anna")
    await site.linked(mallory, "subject-of-mallory")
    back = await site.visit(await site.begin())
    # A browser that began nothing, then one that began something of its own, then one that is signed in.
    site.leave()
    assert (400, "") == ((await site.get(back)).status, await site.who())
    await site.begin()
    assert (400, "") == ((await site.get(back)).status, await site.who())
    await site.sign_in(anna)
    assert (400, "anna") == ((await site.get(back)).status, await site.who())
    # Nor is mallory's account linked to anna: neither by his way back, nor by hers with his code.
    site.leave()
    await site.sign_in(mallory)
    await site.post("/account/unlink")
    back = await site.visit(await site.begin("/account"))
    code = parse_qs(urlsplit(back).query)["code"][0]
    site.leave()
    await site.sign_in(anna)
    assert 400 == (await site.get(back)).status
    began = parse_qs(urlsplit(await site.begin("/account")).query)["state"][0]
    assert 400 == (await site.get(f"{BACK}?{urlencode({'code': code, 'state': began})}")).status
    assert 0 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM billing.outside_account")


async def test_what_a_session_began_another_session_does_not_end(site: Visited) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    await site.sign_in(anna)
    back = await site.visit(await site.begin("/account"))
    # In the same browser, somebody else signs in meanwhile; and the cookie of what was begun is put back.
    began = {one.key: one.value for one in site.client.session.cookie_jar if one.key == "weir_entry"}
    await site.sign_in(ben)
    assert {"weir_session"} == {one.key for one in site.client.session.cookie_jar}
    site.client.session.cookie_jar.update_cookies(began)
    assert 400 == (await site.get(back)).status
    await site.sign_in(anna)
    back = await site.visit(await site.begin("/account"))
    await site.post("/logout")
    assert (400, "") == ((await site.get(back)).status, await site.who())
    assert 0 == await (await site.co_op.owner()).fetchval("SELECT count(*) FROM billing.outside_account")


async def test_nothing_is_begun_by_a_link_or_from_another_site(site: Visited) -> None:
    for path in ("/login/account", "/account"):
        assert (await site.get(path)).status in (404, 405, 410)
        reply = await site.client.post(
            path, headers={"Origin": "https://evil.example"}, allow_redirects=False
        )
        assert 403 == reply.status
    assert [] == site.provider.asked


def body(raw: bytes, **more: Any) -> Callable[[], web.Response]:
    return lambda: web.Response(body=raw, content_type="application/json", **more)


UNFIT: dict[str, Callable[[], web.Response]] = {
    "an error": body(b"{}", status=500), "a redirect elsewhere": lambda: web.Response(status=302, headers={"Location": "http://evil.example/"}),
    "a redirect to itself": lambda: web.Response(status=307, headers={"Location": "/keys"}), "no JSON": body(b"<html>"),
    "a list": body(b"[]"), "nothing": body(b""), "too much": body(b" " * 20_000 + b"{}"), "too deep": body(b"[" * 12_000),
    "no text": body(b"\xff\xfe"), "packed": body(b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"}),
}  # fmt: skip
PAGES = ("/.well-known/openid-configuration", "/keys", "/token")


@pytest.mark.parametrize("page", PAGES)
async def test_a_provider_that_answers_nonsense_opens_nothing_and_is_asked_again(
    site: Visited, page: str
) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.linked(anna, "subject-of-anna")
    for what, answer in UNFIT.items():
        # What was known is too old by now, so everything is asked for.
        site.now_us += 2 * 3600 * 10**6
        back = await site.visit(await site.begin())
        site.now_us += 4 * MINUTE if page == "/token" else 0
        site.provider.answer = lambda path, answer=answer: answer() if path == page else None  # type: ignore[misc]
        if page == "/token":
            assert 400 == (await site.get(back)).status, what
        else:
            site.now_us += 2 * 3600 * 10**6
            reply = await site.post("/login/account")
            assert 400 == reply.status, what
        assert "" == await site.who()
        site.provider.answer = lambda path: None
    assert ((303, "/"), "anna") == (await site.enter(), await site.who())


async def test_what_is_right_but_too_long_or_in_another_place_is_not_taken(site: Visited) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.linked(anna, "subject-of-anna")
    for padding, moves, status in ((0, True, 400), (16 * 1024, False, 400), (8 * 1024, False, 303)):
        back = await site.visit(await site.begin())
        site.provider.padding, site.provider.moves = padding, moves
        # At the last step; and, when what was known is too old, at the first.
        assert status == (await site.get(back)).status, (padding, moves)
        site.leave()
        site.now_us += 2 * 3600 * 10**6
        assert (200 if status == 303 else 400) == (await site.post("/login/account")).status, (padding, moves)
        site.provider.padding, site.provider.moves = 0, False


async def test_a_provider_that_hangs_is_given_up(site: Visited) -> None:
    hanging = asyncio.Event()

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await asyncio.wait_for(hanging.wait(), WITHIN_S)
        return response

    site.provider.answer = lambda path: _Later(serve)
    async with asyncio.timeout(WITHIN_S):
        reply = await site.post("/login/account")
    hanging.set()
    assert (400, True) == (reply.status, "does not answer as it should" in await reply.text())


class _Later(web.StreamResponse):
    """An answer that comes by itself."""

    def __init__(self, serve: Callable[[web.Request], Any]) -> None:
        super().__init__()
        self._serve = serve

    async def prepare(self, request: Any) -> Any:
        return await self._serve(request)


SAID: list[dict[str, Any]] = [
    {"issuer": "http://127.0.0.1:1"}, {"issuer": None}, {"token_endpoint": None}, {"token_endpoint": "http://evil.example/token"},
    {"jwks_uri": "ftp://127.0.0.1/keys"}, {"jwks_uri": 7}, {"authorization_endpoint": "javascript:alert(1)"},
    {"authorization_endpoint": "http://user@127.0.0.1/"}, {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
    {"token_endpoint_auth_methods_supported": 7}, {"jwks_uri": "https://["}, {"token_endpoint": "https://\N{ACCOUNT OF}.example/"},
]  # fmt: skip


async def test_a_provider_that_says_something_unsafe_of_itself_is_not_used(site: Visited) -> None:
    for said in SAID:
        site.provider.document = said
        assert 400 == (await site.post("/login/account")).status, said
    site.provider.document = {}
    assert 200 == (await site.post("/login/account")).status


async def test_the_secret_goes_in_the_body_where_a_provider_wants_it_there(site: Visited) -> None:
    (anna,) = await site.co_op.found("anna")
    site.provider.document = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    await site.linked(anna, "subject-of-anna")
    assert ((303, "/"), "anna") == (await site.enter(), await site.who())


async def test_a_new_key_is_asked_for_once_a_minute_at_most_and_weak_or_odd_ones_are_passed_over(
    site: Visited,
) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.linked(anna, "subject-of-anna")
    fresh = rsa.generate_private_key(65537, 2048)
    site.provider.header = {"alg": "RS256", "kid": "new"}
    site.provider.sign = lambda header, claims: rsa_signed(header, claims, fresh)
    site.provider.keys = [
        {"kty": "OCT"},
        {"kty": "RSA", "kid": "broken"},
        7,
        {"kty": "oct", "k": "AAAA"},
        {"kty": ["RSA"]},
        rsa_jwk("new", fresh),
    ]  # type: ignore[list-item]
    before = site.provider.asked.count("/keys")
    assert (400, before) == ((await site.enter())[0], site.provider.asked.count("/keys"))
    site.now_us += MINUTE
    assert ((303, "/"), "anna", before + 1) == (
        await site.enter(),
        await site.who(),
        site.provider.asked.count("/keys"),
    )
    site.leave()
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is what it is
    site.provider.keys, site.provider.sign = (
        [rsa_jwk("weak", weak)],
        lambda header, claims: rsa_signed(header, claims, weak),
    )
    site.provider.header = {"alg": "RS256", "kid": "weak"}
    site.now_us += 2 * MINUTE
    assert (400, "") == ((await site.enter())[0], await site.who())


@pytest.mark.parametrize("kid", [None, "default"])
async def test_a_new_key_under_the_old_name_or_under_none_is_asked_for_too(
    site: Visited, kid: str | None
) -> None:
    (anna,) = await site.co_op.found("anna")
    site.provider.header = {"alg": "RS256"} | ({} if kid is None else {"kid": kid})

    def has(key: rsa.RSAPrivateKey) -> None:
        shown = {name: value for name, value in rsa_jwk("", key).items() if name != "kid"}
        site.provider.keys = [shown | ({} if kid is None else {"kid": kid})]
        site.provider.sign = lambda header, claims: rsa_signed(header, claims, key)

    has(rsa.generate_private_key(65537, 2048))
    await site.linked(anna, "subject-of-anna")
    has(rsa.generate_private_key(65537, 2048))
    site.now_us += MINUTE
    assert ((303, "/"), "anna") == (await site.enter(), await site.who())


async def test_no_secret_code_token_or_name_of_an_account_is_logged(
    site: Visited, caplog: pytest.LogCaptureFixture
) -> None:
    (anna,) = await site.co_op.found("anna")
    secrets_: set[str] = {SECRET, quote(SECRET, safe=""), "subject-of-anna"}
    sign = site.provider.sign

    def kept(header: dict[str, Any], claims: dict[str, Any]) -> str:
        made = sign(header, claims)
        secrets_.update((made, str(claims["nonce"])))
        return made

    site.provider.sign = kept
    with caplog.at_level(logging.DEBUG):
        await site.linked(anna, "subject-of-anna")
        back = await site.visit(await site.begin())
        secrets_.update(one[0] for name, one in parse_qs(urlsplit(back).query).items() if name != "iss")
        secrets_.update(one.value for one in site.client.session.cookie_jar)
        site.provider.answer = lambda path: (
            web.Response(status=500, text=SECRET) if path == "/token" else None
        )
        assert 400 == (await site.get(back)).status
    # The portal as a process has no access log: test_no_line_holds_a_secret_and_each_is_json.
    told = "\n".join(one.getMessage() for one in caplog.records if one.name != "aiohttp.access")
    assert "did not answer as it should: status 500" in told
    assert (True, []) == (len(secrets_) >= 8, [one for one in secrets_ if one in told])


async def test_without_a_provider_there_is_no_button_and_no_way(co_op: Coop, tmp_path: Path) -> None:
    async with running_site(co_op, tmp_path / "journal", BillingSettings()) as site:
        (anna,) = await co_op.found("anna")
        assert "account" not in await site.text("/login")
        assert 404 == (await site.post("/login/account")).status
        assert 404 == (await site.get(f"{BACK}?code=x&state=y")).status
        await site.sign_in(anna)
        assert "/account" not in await site.text("/sessions")
        assert [404, 404] == [(await site.post(one)).status for one in ("/account", "/account/unlink")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": "http://id.example"}, {"oidc_issuer": "id.example"}, {"oidc_client_id": ""}, {"oidc_client_secret": ""},
        {"portal_url": ""}, {"oidc_issuer": "https://user:word@id.example"}, {"oidc_issuer": "http://localhost.evil.example"},
    ],
)  # fmt: skip
def test_settings_that_would_tell_the_secret_or_lead_nowhere_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        settings_for(
            **(
                {"issuer": "https://id.example"}
                | {one.replace("oidc_issuer", "issuer"): two for one, two in wrong.items()}
            )
        )
    assert settings_for("https://id.example").oidc_issuer == "https://id.example"


def test_the_secret_is_masked_where_settings_are_shown() -> None:
    assert SECRET not in shown("oidc_client_secret", SECRET)


async def test_tries_from_one_address_are_limited(co_op: Coop, tmp_path: Path, elsewhere: Provider) -> None:
    settings = settings_for(elsewhere.issuer, login_attempts_per_minute_max=5)
    async with running_site(co_op, tmp_path / "journal", settings, origin=PORTAL) as site:
        statuses = [(await site.post("/login/account")).status for _ in range(3)]
        statuses += [(await site.get(f"{BACK}?state=x")).status for _ in range(4)]
        assert [200] * 3 + [400] * 2 + [429] * 2 == statuses


@pytest_asyncio.fixture
async def mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MailServer]:
    monkeypatch.setattr(mailer, "PAUSE_S", 0)
    async with mail_server(tmp_path) as one:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "mail.crt"))
        yield one


async def test_a_member_is_told_by_mail_of_a_linked_account_in_their_language(
    co_op: Coop, tmp_path: Path, mails: MailServer, elsewhere: Provider
) -> None:
    settings = settings_for(
        elsewhere.issuer, smtp_host="127.0.0.1", smtp_port=mails.port, smtp_from="coop@example.org",
        oidc_name="Nextcloud", portal_language="de",
    )  # fmt: skip
    async with running_site(co_op, tmp_path / "journal", settings, origin=PORTAL, kind=Visited) as site:
        site.provider = elsewhere
        (anna,) = await co_op.found("anna")
        await (await co_op.owner()).execute("UPDATE meter.member SET email = 'anna@example.org'")
        await site.sign_in(anna)
        location = await site.post("/account")
        link = html.unescape(re.findall(r'<a href="([^"]+authorize[^"]+)"', await location.text())[0])
        assert 303 == (await site.get(await site.visit(link))).status
        mail = await mails.next()
        assert "anna@example.org" == mail["To"]
        told = mail.get_content()
        assert (True, True, True) == (
            "Nextcloud" in told,
            f"{PORTAL}/sessions" in told,
            told.startswith("Hallo anna"),
        )
