"""The portal's page of what runs just now, and a member's caps: from the journals of the machine, own member only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from billing.settings import BillingSettings
from meter.cap_store import caps
from meter.caps import Cap, Caps
from meter.recorder import Recorder
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from tests.coop import NOVEMBER, NOW, Coop
from tests.events import PLAIN, stored
from tests.portal import Site, running_site


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", BillingSettings(portal_refresh_s=3)) as one:
        yield one


async def text_of(site: Site, path: str) -> str:
    reply = await site.get(path)
    assert 200 == reply.status
    return await reply.text()


async def test_a_running_transfer_and_unshipped_records_are_on_the_members_page_alone(
    site: Site, tmp_path: Path
) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    meter = MeterSettings(data=tmp_path)
    recorder = Recorder(tmp_path / "journal" / "worker-0", meter, slots_max=4)
    try:
        await site.sign_in(anna)
        record = PLAIN._replace(payer=anna, bytes_in=0, bytes_out=1_000_001, ended_us=NOVEMBER.start_us)
        recorder.record(record)
        assert 0 == await ship_everything(meter, site.co_op.dsn)
        recorder.record(record._replace(bytes_out=2_000_000))
        recorder.record(record._replace(payer=ben, bytes_out=7_000_000_000))
        recorder.record(stored(4_321, NOW, member=anna))
        slot = recorder.open(PLAIN._replace(payer=anna, request_id=b"\xab" * 16, began_us=NOW))
        slot.moved(bytes_in=12_000, bytes_out=345_000_000, now_us=NOW)
        other = recorder.open(PLAIN._replace(payer=ben, request_id=b"\xcd" * 16))
        text = await text_of(site, "/now")
        assert "3,000,001 bytes" in text  # shipped, and not shipped yet
        assert "4,321 bytes" in text
        assert ">345 MB<" in text
        assert ">12.0 kB<" in text
        assert "ab" * 16 in text
        assert "cd" * 16 not in text
        # It looks again by itself only for whoever asked for that.
        assert 'http-equiv="refresh"' not in text
        watched = await text_of(site, "/now?watch=on")
        assert '<noscript><meta http-equiv="refresh" content="3; url=/now?watch=again"></noscript>' in watched
        assert 'hx-get="/now?watch=on" hx-trigger="every 3s"' in watched
        slot.moved(bytes_in=12_000, bytes_out=345_000_001, now_us=NOW)
        assert ">about 345 MB<" in await text_of(site, "/now")
        slot.free()
        other.free()
        assert "ab" * 16 not in await text_of(site, "/now")
    finally:
        recorder.close()


async def test_without_journals_the_page_shows_the_sums(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.co_op.use(anna, NOVEMBER, 55)
    await site.sign_in(anna)
    assert "55 bytes" in await text_of(site, "/now")


async def test_a_member_sets_their_caps_and_is_warned(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    await site.co_op.use(anna, NOVEMBER, 850)
    await site.sign_in(anna)
    form = {"egress_soft": " 500 ", "egress_hard": "1 kB", "storage_soft": "", "storage_hard": "1.5 TB"}
    saved = await site.client.post("/caps", data=form, allow_redirects=False)
    assert (303, "/caps?saved") == (saved.status, saved.headers["Location"])
    known = await caps(await site.co_op.books())
    assert {anna: Caps(Cap(500, 1000), Cap(None, 1_500_000_000_000))} == known
    text = await text_of(site, "/caps?saved")
    assert "Saved." in text
    assert 'name="egress_hard" value="1 kB"' in text
    assert 'name="storage_hard" value="1500 GB"' in text
    assert "85 % of your hard cap of 1,000 bytes" in text
    assert "85 % of your hard cap" in await text_of(site, "/now")
    await site.client.post("/caps", data={})
    assert {anna: Caps()} == await caps(await site.co_op.books())
    assert ben not in await caps(await site.co_op.books())


async def test_caps_from_another_site_or_that_make_no_sense_change_nothing(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    nobody = await site.client.post("/caps", data={"egress_hard": "1"}, allow_redirects=False)
    assert (403, True) == (nobody.status, "nothing was done" in await nobody.text())
    await site.sign_in(anna)
    for headers in ({"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}):
        foreign = await site.client.post("/caps", data={"egress_hard": "1"}, headers=headers)
        assert 403 == foreign.status
    for form in ({"egress_hard": "much"}, {"egress_hard": "-1"}, {"egress_soft": "2", "egress_hard": "1"}):
        wrong = await site.client.post("/caps", data=form)
        assert 400 == wrong.status
    assert {} == await caps(await site.co_op.books())
