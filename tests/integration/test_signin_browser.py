"""Signing in in a real Chromium with its virtual authenticator: passkeys added, used, removed; copies; no script; a phone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, CDPSession, Page, Route, expect

from billing.portal.provider import BACK
from tests.coop import Coop
from tests.integration.browser_kit import (
    NARROW,
    WIDE,
    Seen,
    browser,
    chromium,
    complaints,
    picture,
    portal,
    sign_in,
    window,
)
from tests.provider import CLIENT, SECRET, provider

SCHEMES = ("light", "dark")


@pytest_asyncio.fixture
async def chrome() -> AsyncIterator[Browser]:
    chromium()
    async with browser() as started:
        yield started


@pytest_asyncio.fixture
async def seen(co_op: Coop, tmp_path: Path) -> AsyncIterator[Seen]:
    chromium()
    async with portal(co_op, tmp_path / "journal", named={}) as one:
        yield one


class Device:
    """The virtual authenticator of one page, by Chromium's own protocol."""

    def __init__(self, session: CDPSession, number: str) -> None:
        self._session, self._number = session, number

    async def keys(self) -> list[dict[str, Any]]:
        """What it holds, private keys and counters too."""
        told = await self._session.send("WebAuthn.getCredentials", {"authenticatorId": self._number})
        return list(told["credentials"])

    async def put_back(self, key: dict[str, Any]) -> None:
        """Hold a key as it was when it was looked at: what a copy would be."""
        where = {"authenticatorId": self._number}
        await self._session.send("WebAuthn.clearCredentials", where)
        await self._session.send("WebAuthn.addCredential", where | {"credential": key})

    async def verifies(self, *, user: bool) -> None:
        """Whether the finger is the right one from here on."""
        told = {"authenticatorId": self._number, "isUserVerified": user}
        await self._session.send("WebAuthn.setUserVerified", told)


async def device(page: Page) -> Device:
    """A device with a sensor for this page, whose user is who they say."""
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    told = await session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
                "isUserVerified": True, "automaticPresenceSimulation": True,
            }
        },
    )  # fmt: skip
    return Device(session, told["authenticatorId"])


async def add_passkey(page: Page, address: str, name: str) -> None:
    """As a person does, on the page of sessions."""
    await page.goto(f"{address}/sessions")
    await page.get_by_label("What to call it").fill(name)
    await page.get_by_role("button", name="Add a passkey").click()


async def sign_out(page: Page) -> None:
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("**/login")


async def press_passkey(page: Page, address: str) -> None:
    """At the page that signs in."""
    await page.goto(f"{address}/login")
    await page.get_by_role("button", name="Sign in with a passkey").click()


async def test_a_passkey_is_added_signs_in_is_refused_as_a_copy_and_once_removed(
    chrome: Browser, seen: Seen, tmp_path: Path
) -> None:
    async with window(chrome) as context:
        errors: list[str] = []
        page = await sign_in(seen, context, seen.members[0])
        page.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
        held = await device(page)
        await add_passkey(page, seen.address, "my laptop")
        await page.wait_for_url("**/sessions?added")
        await expect(page.get_by_role("status")).to_contain_text("Added.")
        await expect(page.get_by_role("row", name="my laptop").first).to_be_visible()
        await picture(page, tmp_path, "sessions-with-a-passkey")
        # The device says so itself when it has one already, and nothing is sent.
        await add_passkey(page, seen.address, "again")
        await expect(page.get_by_role("alert")).to_have_text("This device has a passkey of yours already.")
        (as_it_was,) = await held.keys()
        assert ("localhost", True) == (as_it_was["rpId"], as_it_was["isResidentCredential"])
        await sign_out(page)
        await press_passkey(page, seen.address)
        await page.wait_for_url(f"{seen.address}/")
        await sign_out(page)
        # Whoever copied the key before that counts from behind.
        await held.put_back(as_it_was)
        await press_passkey(page, seen.address)
        await expect(page.get_by_role("main")).to_contain_text("as if there were a copy of it")
        assert ["the server responded with a status of 400"] == [
            one.partition(": ")[2].partition(" (")[0] for one in errors
        ]
        await page.goto(seen.address)
        assert page.url.endswith("/login")
        # The way back is a link; there it is told, and removed.
        await page.goto(await seen.link(seen.members[0]))
        await page.get_by_role("main").get_by_role("button", name="Sign in").click()
        await page.wait_for_url(f"{seen.address}/")
        await page.goto(f"{seen.address}/sessions")
        await expect(page.get_by_role("row", name="a passkey was refused")).to_be_visible()
        await page.get_by_role("button", name="Remove the passkey my laptop").click()
        await page.wait_for_url("**/sessions?removed")
        await sign_out(page)
        await press_passkey(page, seen.address)
        await expect(page.get_by_role("main")).to_contain_text("or was removed")


async def test_a_second_press_while_the_first_is_under_way_begins_nothing_anew(
    chrome: Browser, seen: Seen
) -> None:
    async with window(chrome) as context:
        page = await sign_in(seen, context, seen.members[0])
        await device(page)
        await add_passkey(page, seen.address, "\U0001f469\u200d\U0001f4bb laptop")
        await page.wait_for_url("**/sessions?added")
        await sign_out(page)
        begun, pressed = list[Route](), asyncio.Event()

        async def hold(route: Route) -> None:
            begun.append(route)
            await pressed.wait()
            await route.continue_()

        await page.route("**/login/passkey/begin", hold)
        await page.goto(f"{seen.address}/login")
        button = page.get_by_role("button", name="Sign in with a passkey")
        async with page.expect_request("**/login/passkey/begin"):
            await button.click()
        await button.click()
        pressed.set()
        await page.wait_for_url(f"{seen.address}/")
        assert 1 == len(begun)


async def test_a_refusal_before_the_device_is_asked_says_why(chrome: Browser, seen: Seen) -> None:
    async with window(chrome) as context:
        page = await sign_in(seen, context, seen.members[0])
        held = await device(page)
        await add_passkey(page, seen.address, "a\u202eb")
        await expect(page.get_by_role("alert")).to_contain_text("say on which device it is")
        assert [] == await held.keys()
        await (await seen.co_op.owner()).execute("DELETE FROM billing.session")
        await page.get_by_label("What to call it").fill("my laptop")
        await page.get_by_role("button", name="Add a passkey").click()
        await page.wait_for_url(f"{seen.address}/login")
        assert [] == await held.keys()


async def test_without_the_right_finger_nothing_is_sent(chrome: Browser, seen: Seen) -> None:
    async with window(chrome) as context:
        page = await sign_in(seen, context, seen.members[0])
        held = await device(page)
        await held.verifies(user=False)
        await add_passkey(page, seen.address, "x")
        await expect(page.get_by_role("alert")).to_contain_text("Your device gave no passkey")
        await held.verifies(user=True)
        await page.get_by_role("button", name="Add a passkey").click()
        await page.wait_for_url("**/sessions?added")
        await sign_out(page)
        await held.verifies(user=False)
        await press_passkey(page, seen.address)
        await expect(page.get_by_role("alert")).to_contain_text("Your device gave no passkey")
        assert page.url.endswith("/login")


async def test_without_a_script_the_link_is_the_way_in_and_no_passkey_is_offered(
    chrome: Browser, seen: Seen
) -> None:
    async with window(chrome, java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(f"{seen.address}/login")
        await expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
        await expect(page.get_by_text("With a one-time link")).to_be_visible()
        page = await sign_in(seen, context, seen.members[0])
        await page.goto(f"{seen.address}/sessions")
        await expect(page.get_by_role("button", name="Add a passkey")).to_be_hidden()
        await expect(page.get_by_text("use a browser that knows passkeys")).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [NARROW, WIDE])
async def test_axe_finds_nothing_and_nothing_sticks_out(
    chrome: Browser, seen: Seen, scheme: str, width: int, tmp_path: Path
) -> None:
    async with window(chrome, color_scheme=scheme, width=width) as context:
        page = await context.new_page()
        await page.goto(f"{seen.address}/login")
        await expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_visible()
        found = await look(page, tmp_path, f"{scheme}-{width}-login")
        page = await sign_in(seen, context, seen.members[0])
        await device(page)
        await add_passkey(page, seen.address, "a name that is as long as sixty characters, and no shorter..")
        await page.wait_for_url("**/sessions?added")
        found += await look(page, tmp_path, f"{scheme}-{width}-sessions")
    assert [] == found


async def look(page: Page, directory: Path, name: str) -> list[str]:
    """What axe finds, and whether the page is wider than the window; a picture is kept."""
    found = await complaints(page)
    wide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    await picture(page, directory, name)
    return [*found, f"{page.url} is wider than the window"] if wide else found


async def test_all_of_it_goes_by_keyboard(chrome: Browser, seen: Seen) -> None:
    async with window(chrome) as context:
        page = await sign_in(seen, context, seen.members[0])
        await device(page)
        await page.goto(f"{seen.address}/sessions")
        await page.get_by_label("What to call it").focus()
        await page.keyboard.type("by keyboard")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/sessions?added")
        await sign_out(page)
        for _ in range(30):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.textContent.trim()") == "Sign in with a passkey":
                break
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{seen.address}/")


@pytest.mark.parametrize("has_script", [True, False])
async def test_an_account_elsewhere_is_linked_and_signs_in_with_and_without_a_script(
    chrome: Browser, co_op: Coop, tmp_path: Path, *, has_script: bool
) -> None:
    async with provider(lambda: 0) as elsewhere:
        named = {
            "oidc_issuer": elsewhere.issuer, "oidc_client_id": CLIENT, "oidc_client_secret": SECRET,
            "oidc_name": "our Nextcloud",
        }  # fmt: skip
        async with (
            portal(co_op, tmp_path / "journal", named=named) as seen,
            window(chrome, java_script_enabled=has_script) as context,
        ):
            elsewhere.clock = lambda: seen.now_us
            elsewhere.back_urls.add(seen.address + BACK)
            page = await sign_in(seen, context, seen.members[0])
            await page.goto(f"{seen.address}/sessions")
            await page.get_by_role("button", name="Link your account at our Nextcloud").click()
            await page.wait_for_url("**/sessions?linked")
            await expect(page.get_by_role("row", name="an account was linked: our Nextcloud")).to_be_visible()
            if has_script:
                assert [] == await look(page, tmp_path, "sessions-with-an-account")
            await sign_out(page)
            if has_script:
                assert [] == await look(page, tmp_path, "login-with-an-account")
            await page.get_by_role("button", name="Sign in at our Nextcloud").click()
            await page.wait_for_url(f"{seen.address}/")
            # The provider is another site to the browser, and saw no page of ours in a Referer.
            assert 2 == elsewhere.asked.count("/token")
            assert {None} == elsewhere.referers
