"""A member in a real Chromium without script: makes a key and stores with it, rotates it, and votes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from billing.settings import BillingSettings
from billing.voting.document import recount
from gateway.keys import publish_letterbox
from gateway.vault import Vault
from meter.ids import MemberId
from meter.recorder import now_us
from tests.coop import Coop
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.integration.browser_kit import browser, chromium, picture, window
from tests.integration.test_portal_keys import refusal, refused_soon
from tests.portal import Site, running_site
from tests.voting_kit import CLOSES, DURING, NAMES, opened, proposed


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    chromium()
    await publish_letterbox(
        await co_op.connection("weir_gateway"), Vault.open(tmp_path / "secret.key", create=True)
    )
    settings = BillingSettings(
        gateway_url="http://127.0.0.1:9000", session_idle_minutes=43_200, session_absolute_hours=8760
    )
    async with running_site(co_op, tmp_path / "journal", settings) as one:
        yield one


@pytest_asyncio.fixture
async def page() -> AsyncIterator[Page]:
    chromium()
    async with browser() as started, window(started, java_script_enabled=False) as context:
        yield await context.new_page()


async def be(page: Page, site: Site, member: MemberId) -> None:
    """Sign in as this member, who has a name of their own in the corner from then on."""
    await page.context.clear_cookies()
    await page.goto(site.origin + await site.link(member))
    await page.get_by_role("main").get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{site.origin}/")


async def shown_key(page: Page) -> tuple[str, str]:
    """The pair as the page shows it, this once."""
    await page.get_by_role("heading", name="Your new key").wait_for()
    return await page.inner_text("#access-key"), await page.inner_text("#secret-key")


def s3_of(gateway: RunningGateway, member: MemberId, pair: tuple[str, str]) -> Any:
    return client(gateway, Credentials(member, NAMES[0], *pair))


async def test_a_key_made_and_rotated_in_a_browser_is_used_by_boto3(
    site: Site, page: Page, tmp_path: Path
) -> None:
    (anna,) = await site.co_op.found("anna")
    site.now_us = now_us()
    await be(page, site, anna)
    with running_gateway(tmp_path, site.co_op.dsn) as gateway:
        await page.get_by_role("link", name="Keys", exact=True).click()
        await page.get_by_role("button", name="Make a key").click()
        first = await shown_key(page)
        old = s3_of(gateway, anna, first)
        await asyncio.to_thread(lambda: old.create_bucket(Bucket="films"))
        await asyncio.to_thread(lambda: old.put_object(Bucket="films", Key="a", Body=b"moved picture"))

        await page.get_by_role("link", name="To your keys").click()
        await page.locator("summary", has_text="Rotate").click()
        await page.get_by_label("This one ends").select_option("0")
        await page.get_by_role("button", name="Make the new key").click()
        second = await shown_key(page)
        await picture(page, tmp_path, "new-key")
        new = s3_of(gateway, anna, second)
        assert await asyncio.to_thread(refused_soon, old.list_buckets, "InvalidAccessKeyId")
        assert b"moved picture" == await asyncio.to_thread(
            lambda: bytes(new.get_object(Bucket="films", Key="a")["Body"].read())
        )

        # Whoever goes back sees the name of the key and never again its secret.
        await page.get_by_role("link", name="To your keys").click()
        told = await page.inner_text("main")
        assert (True, True, False) == (first[0] in told, second[0] in told, second[1] in await page.content())
        await page.locator("summary", has_text="Revoke").click()
        await page.get_by_role("button", name="Revoke for good").click()
        assert await asyncio.to_thread(refused_soon, new.list_buckets, "InvalidAccessKeyId")
        assert "InvalidAccessKeyId" == await asyncio.to_thread(refusal, old.list_buckets)


@pytest.mark.parametrize("is_secret", [True, False])
async def test_members_vote_in_a_browser_and_the_result_is_counted_again(
    site: Site, page: Page, is_secret: bool, tmp_path: Path
) -> None:
    members = await site.co_op.found(*NAMES)
    books = await site.co_op.books()
    number = await proposed(books)
    await opened(books, number, is_secret=is_secret)
    site.now_us = DURING
    for member, words in zip(members, ("For it", "Against it", "For it"), strict=False):
        await be(page, site, member)
        await page.get_by_role("link", name="Proposals", exact=True).click()
        await page.get_by_role("link", name="A second disk").click()
        await page.get_by_label(words).check()
        await page.get_by_role("button", name="Cast my vote").click()
        await picture(page, tmp_path, f"voted-{member}")
        await page.goto(f"{site.origin}/proposals/{number}")
        assert "You have voted." in await page.inner_text("main")
        assert 0 == await page.get_by_role("button", name="Cast my vote").count()
    site.now_us = CLOSES
    await page.reload()
    assert "Adopted. 3 of 5 took part" in await page.inner_text("main")
    await picture(page, tmp_path, "result")
    # Words beside the bars are drawn in the colour of the words under the picture, not in that of the paper under them.
    colours = await page.eval_on_selector_all(
        ".ballots .line", "all => all.map(one => getComputedStyle(one).color)"
    )
    assert [
        await page.eval_on_selector(".ballots figcaption", "one => getComputedStyle(one).color")
    ] * 3 == colours
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name="Take the result with every ballot").click()
    again = recount(Path(await (await waiting.value).path()).read_text("utf-8"))
    assert ((), ["against", "for", "for"]) == (
        again.problems,
        sorted(one.vote.value for one in again.ballots),
    )
    assert again.digest in await page.inner_text("main")
