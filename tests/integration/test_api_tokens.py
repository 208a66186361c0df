"""Tokens of the API: made, shown once, used, listed, ended; and everything that opens nothing."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from billing.portal.bearer import make_token
from billing.portal.token_store import tokens
from billing.portal.tokens import TOKEN, Scope, WantedToken, read_wanted
from billing.settings import BillingSettings
from meter.refusal import Refusal
from tests.api_kit import DAY, Api
from tests.coop import NOW, Coop
from tests.portal import running_site

MINUTE = 60 * 10**6
SETTINGS = BillingSettings(
    api_tokens_per_member_max=3, api_token_days_max=90, api_requests_per_minute_max=5, api_searches_per_minute_max=2,
    api_refused_per_minute_max=4,
)  # fmt: skip
INVALID = 'Bearer realm="weir", error="invalid_token"'


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_site(co_op, tmp_path / "journal", SETTINGS, kind=Api) as one:
        yield one


async def test_a_token_is_made_on_its_page_shown_once_used_and_revoked(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    page = await site.text("/tokens")
    assert ["7", "30", "90"] == re.findall(r'<option value="(\d+)"', page)
    form = [
        ("name", "<b>books</b>"),
        ("scopes", "usage:read"),
        ("scopes", "keys:read"),
        ("expires_days", "7"),
    ]
    reply = await site.client.post("/tokens", data=form, allow_redirects=False)
    made = re.findall(r'<code id="token">(\S+)</code>', await reply.text())[0]
    assert TOKEN.fullmatch(made)
    page = await site.text("/tokens")
    assert (False, True, True) == (made in page, "&lt;b&gt;books&lt;/b&gt;" in page, "never" in page)
    site.now_us += 1
    told = await site.told("/me", made)
    assert (1, ["usage:read", "keys:read"], "2026-11-13T00:00:00.000000Z") == (
        told["member"]["id"], told["token"]["scopes"], told["token"]["expires"],
    )  # fmt: skip
    page = await site.text("/tokens")
    assert (True, False) == ("from 127.0.0.1" in page, ">never<" in page)
    token_id = told["token"]["id"]
    reply = await site.post(f"/tokens/{token_id}/revoke")
    assert (303, "/tokens?revoked") == (reply.status, reply.headers["Location"])
    assert 401 == (await site.problem("/me", made))["status"]
    assert 404 == (await site.post(f"/tokens/{token_id}/revoke")).status
    assert "revoked 6 November 2026" in await site.text("/tokens?revoked")


async def test_when_it_was_used_last_is_written_once_a_minute(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    token = await site.token(anna)
    seen = []
    for wait in (0, MINUTE - 1, 1):
        site.now_us += wait
        await site.told("/me", token)
        (one,) = await tokens(await site.co_op.books(), anna)
        seen.append(one.seen_us)
    assert [NOW, NOW, NOW + MINUTE] == seen


async def test_a_token_that_is_wrong_over_or_revoked_opens_nothing(site: Api) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    token = await site.token(anna, days=2)
    other = await site.token(ben)
    _, token_id, secret = token.split("_", 2)
    _, other_id, other_secret = other.split("_", 2)
    for wrong in (
        f"weir_{other_id}_{secret}", f"weir_{token_id}_{other_secret}", f"weir_{'0' * 16}_{secret}", token[:-1],
        f"{token}A", token.upper(), token_id, "x" * 5000, "",
    ):  # fmt: skip
        site.now_us += MINUTE
        reply = await site.ask("/me", headers={"Authorization": f"Bearer {wrong}"})
        assert (401, INVALID) == (reply.status, reply.headers["WWW-Authenticate"]), wrong[:80]
    for header in (f"Basic {token}", token, f"Token {token}"):
        site.now_us += MINUTE
        reply = await site.ask("/me", headers={"Authorization": header})
        assert (401, 'Bearer realm="weir"') == (reply.status, reply.headers["WWW-Authenticate"])
    assert 200 == (await site.ask("/me", headers={"Authorization": f"bearer {token}"})).status
    # A clock that was set back does not lock anybody out: tries are counted anew.
    site.now_us = NOW + 5 * MINUTE
    assert 200 == (await site.ask("/me", token)).status
    site.now_us = NOW + 2 * DAY - 1
    assert 200 == (await site.ask("/me", token)).status
    site.now_us += 1
    assert 401 == (await site.ask("/me", token)).status
    assert 200 == (await site.ask("/me", other)).status


async def test_two_tokens_in_one_request_open_nothing(site: Api) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    given = [("Authorization", f"Bearer {await site.token(one)}") for one in (anna, ben)]
    reply = await site.client.get("/api/v1/me", headers=given)
    assert 401 == reply.status


async def test_who_has_left_is_refused_and_who_is_suspended_may_read(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    token = await site.token(anna)
    owner = await site.co_op.owner()
    await owner.execute("UPDATE meter.member SET status = 'suspended'")
    assert 200 == (await site.ask("/me", token)).status
    await owner.execute("UPDATE meter.member SET status = 'left', left_at = now()")
    assert 401 == (await site.ask("/me", token)).status
    with pytest.raises(Refusal, match="who has left"):
        await site.token(anna)
    # And their page does not call it open, nor offers another.
    await site.sign_in(anna)
    page = await site.text("/tokens")
    assert (True, False, False) == (
        "<td>you have left</td>" in page,
        "/revoke" in page,
        "Make a token" in page,
    )


async def test_no_token_is_readable_in_the_database_or_logged(
    site: Api, caplog: pytest.LogCaptureFixture
) -> None:
    (anna,) = await site.co_op.found("anna")
    caplog.set_level(logging.DEBUG)
    token = await site.token(anna)
    secret = token.split("_", 2)[2]
    await site.told("/me", token)
    await site.ask("/nothing", token)
    await site.ask("/keys", token, method="POST", data=b"{", headers={"Content-Type": "application/json"})
    (row,) = await (await site.co_op.owner()).fetch("SELECT * FROM billing.api_token")
    assert secret not in repr(tuple(row))
    assert secret.encode() not in bytes(row["secret_sha256"])
    assert secret not in caplog.text


async def test_the_portal_s_role_cannot_widen_lengthen_or_open_a_token(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.token(anna, Scope.USAGE)
    books = await site.co_op.books()
    for change in (
        "scopes = '{keys:write}'", "expires_at = expires_at + interval '1 day'", "member = 2", "created_at = now()",
        "secret_sha256 = secret_sha256", "name = 'x'", "id = 'x'",
    ):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await books.execute(f"UPDATE billing.api_token SET {change}")
    await books.execute("UPDATE billing.api_token SET revoked_at = now()")
    for again in ("NULL", "now() + interval '1 day'"):
        with pytest.raises(asyncpg.RaiseError, match="stays so"):
            await books.execute(f"UPDATE billing.api_token SET revoked_at = {again}")
    for role in ("weir_meter", "weir_gateway"):
        other = await site.co_op.connection(role)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await other.fetch("SELECT * FROM billing.api_token")
    wanted = WantedToken("for ever", (Scope.USAGE,), NOW + 3661 * DAY)
    with pytest.raises(asyncpg.CheckViolationError):
        await make_token(books, anna, wanted, SETTINGS, now_us=NOW)


async def test_of_many_made_at_once_a_member_has_so_many_and_no_more(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    made = await asyncio.gather(
        *(site.token(anna, settings=SETTINGS) for _ in range(6)), return_exceptions=True
    )
    refused = [str(one) for one in made if isinstance(one, Refusal)]
    assert 3 == len(refused)
    assert all("api_tokens_per_member_max" in one for one in refused)
    site.now_us += 31 * DAY
    assert await site.token(anna, settings=SETTINGS)  # the others are over


@pytest.mark.parametrize(
    ("name", "scopes", "days", "field"),
    [
        ("", ["usage:read"], "7", "name"), ("x" * 61, ["usage:read"], "7", "name"), ("a\nb", ["usage:read"], "7", "name"),
        (None, ["usage:read"], "7", "name"), ("a", [], "7", "scopes"), ("a", ["all"], "7", "scopes"),
        ("a", ["usage:read"], "", "expires_days"), ("a", ["usage:read"], "0", "expires_days"),
        ("a", ["usage:read"], "91", "expires_days"), ("a", ["usage:read"], None, "expires_days"),
        ("a", ["usage:read"], "-1", "expires_days"), ("a", ["usage:read"], "٧", "expires_days"),
    ],
)  # fmt: skip
def test_a_token_that_may_not_be_is_refused_by_its_field(
    name: str | None, scopes: list[str], days: str | None, field: str
) -> None:
    with pytest.raises(Refusal, match=f"^{field}: "):
        read_wanted(name, scopes, days, days_max=90, now_us=NOW)


async def test_tries_without_a_token_that_works_are_limited_by_address(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    token = await site.token(anna)
    assert [401] * 4 == [(await site.ask("/me")).status for _ in range(4)]
    site.now_us += MINUTE // 2
    reply = await site.ask("/me", token)
    found = await reply.json(content_type=None)
    assert (429, "30", {"name": "api_refused_per_minute_max", "value": 4}) == (
        reply.status, reply.headers["Retry-After"], found["limit"],
    )  # fmt: skip
    site.now_us += MINUTE // 2
    assert 200 == (await site.ask("/me", token)).status


async def test_requests_of_a_member_are_limited_over_all_their_tokens(site: Api) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    first, second, other = await site.token(anna), await site.token(anna), await site.token(ben)
    statuses = [(await site.ask("/me", one)).status for one in (first, second, first, second, first, second)]
    assert [200] * 5 + [429] == statuses
    found = await site.problem("/me", first)
    assert {"name": "api_requests_per_minute_max", "value": 5} == found["limit"]
    assert 200 == (await site.ask("/me", other)).status
    site.now_us += MINUTE
    heavy = [(await site.ask("/books", first)).status for _ in range(3)]
    assert [200, 200, 429] == heavy
    found = await site.problem("/now", second)
    assert {"name": "api_searches_per_minute_max", "value": 2} == found["limit"]
    assert 200 == (await site.ask("/me", other)).status


async def test_a_session_opens_nothing_of_the_api_and_a_token_no_page(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    token = await site.token(anna)
    await site.sign_in(anna)
    assert 200 == (await site.get("/")).status
    assert 401 == (await site.ask("/me")).status
    assert 401 == (await site.ask("/keys", method="POST", json={})).status
    site.client.session.cookie_jar.clear()
    pages = [
        one.resource.canonical
        for one in site.server.app.router.routes()
        if one.resource is not None and one.method == "GET" and not one.resource.canonical.startswith("/api/")
    ]
    closed = [
        one
        for one in pages
        if not one.startswith(("/login", "/how", "/style", "/icon", "/passkey.js", "/now.js", "/htmx"))
    ]
    assert len(closed) >= 20
    for page in closed:
        filled = re.sub(r"\{\w+\}", "1", page.replace("{report}", "trial-balance").replace("{year}", "2026"))
        reply = await site.client.get(
            filled, headers={"Authorization": f"Bearer {token}"}, allow_redirects=False
        )
        assert (303, "/login") == (reply.status, reply.headers.get("Location")), page


async def test_no_other_site_can_have_a_browser_ask(site: Api) -> None:
    (anna,) = await site.co_op.found("anna")
    token = await site.token(anna)
    reply = await site.ask("/me", token, headers={"Origin": "https://evil.example"})
    assert {"same-origin", "no-store"} <= {
        reply.headers["Cross-Origin-Resource-Policy"], reply.headers["Cache-Control"],
    }  # fmt: skip
    assert [] == [name for name in reply.headers if name.lower().startswith("access-control-")]
    assert "Set-Cookie" not in reply.headers
