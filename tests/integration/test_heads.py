"""Signed heads: one a day and one a closing, and what they betray."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import asyncpg
import pytest

from deploy.cli import run
from deploy.founding import ensure_signing_key
from meter import heads, heads_store, store
from meter.daily import Daily, make_due_heads
from meter.frame import DamagedSegment
from meter.heads import Signed, from_file
from meter.postgres import Connection, connect
from meter.segments import segment_path
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.signing import KeyLost, ensure_key, key_path, known_public, public_path
from meter.window import HOUR_US, Month
from tests.events import NOON_US, PLAIN
from tests.integration.journals import write

DAY_US = 24 * HOUR_US
NOVEMBER = Month(2026, 11)


@pytest.fixture
def settings(tmp_path: Path, database: str) -> MeterSettings:
    ensure_key(tmp_path)
    return MeterSettings(data=tmp_path, database_url=database, journal_segment_bytes_max=2**16)


async def meter(settings: MeterSettings) -> Connection:
    return await connect(settings.database_url, role="weir_meter")


def pages(settings: MeterSettings) -> list[Signed]:
    return [from_file(path.read_text()) for path in sorted(settings.heads_directory.glob("*.head"))]


async def test_a_day_has_one_head_however_often_and_by_how_many_it_is_asked_for(
    settings: MeterSettings,
) -> None:
    write(settings, *[PLAIN] * 700)
    await ship_everything(settings, settings.database_url)
    connections = [await meter(settings) for _ in range(3)]
    for day in range(3):
        now_us = NOON_US + day * DAY_US
        await asyncio.gather(*[make_due_heads(one, settings, now_us=now_us) for one in connections])
        # A shipper that was started again knows nothing of before.
        await Daily(settings).look(connections[0], now_us=now_us + HOUR_US)
    kept = await heads_store.heads(connections[0])
    for one in connections:
        await one.close()
    assert [(1, "2026-11-24"), (2, "2026-11-25"), (3, "2026-11-26")] == [(k.number, str(k.day)) for k in kept]
    assert [k.page for k in kept] == pages(settings)
    key = known_public(settings.data)
    assert key is not None
    assert [] == heads.check(pages(settings), trusted=[key])


async def test_a_head_says_what_each_stream_was(settings: MeterSettings) -> None:
    directory = write(settings, *[PLAIN] * 700)
    write(settings, *[PLAIN] * 3, stream="worker-1")
    await ship_everything(settings, settings.database_url)
    connection = await meter(settings)
    (kept,) = await make_due_heads(connection, settings, now_us=NOON_US)
    await connection.close()
    told = {one["label"]: one for one in json.loads(kept.page.text)["streams"]}
    # A segment of 65,536 bytes holds (65536 - 256) / 128 = 510 records.
    assert (1, 510, 700) == tuple(
        told["worker-0"][name] for name in ("segment", "segment_last_sequence", "last_sequence")
    )
    assert (0, 0, 3) == tuple(
        told["worker-1"][name] for name in ("segment", "segment_last_sequence", "last_sequence")
    )
    data = segment_path(directory, 2).read_bytes()
    assert (
        hashlib.sha256(data[:128] + data[256 : 256 + 190 * 128]).hexdigest()
        == told["worker-0"]["tail_digest"]
    )


async def test_a_closing_gets_a_head_with_its_watermark(settings: MeterSettings) -> None:
    write(settings, *[PLAIN] * 5)
    await ship_everything(settings, settings.database_url)
    billing = await connect(settings.database_url, role="weir_office")
    async with billing.transaction():
        watermark = await store.close_month(billing, NOVEMBER, now_us=NOVEMBER.end_us)
    await billing.close()
    connection = await meter(settings)
    made = await make_due_heads(connection, settings, now_us=NOVEMBER.end_us + HOUR_US)
    assert [NOVEMBER, None] == [one.month for one in made]
    assert {"month": "2026-11", "watermark": watermark} == json.loads(made[0].page.text)["closed"]
    assert [] == await make_due_heads(connection, settings, now_us=NOVEMBER.end_us + 2 * HOUR_US)
    await connection.close()


async def three(settings: MeterSettings) -> list[Signed]:
    write(settings, *[PLAIN] * 5)
    await ship_everything(settings, settings.database_url)
    connection = await meter(settings)
    for day in range(3):
        await make_due_heads(connection, settings, now_us=NOON_US + day * DAY_US)
    await connection.close()
    return pages(settings)


async def test_pages_and_public_key_are_enough_to_see_a_change(settings: MeterSettings) -> None:
    first, second, third = await three(settings)
    key = known_public(settings.data)
    assert key is not None
    changed = Signed(second.text.replace('"last_sequence":5', '"last_sequence":4'), second.signature)
    assert changed != second
    assert [
        "head 2 of 2026-11-25: the signature does not fit the page",
        "head 3 of 2026-11-26 does not continue head 2",
    ] == heads.check([first, changed, third], trusted=[key])
    assert ["head 2 is missing; head 3 follows 1"] == heads.check([first, third], trusted=[key])
    assert 3 == len(heads.check([first, second, third], trusted=["00" * 32]))


async def test_a_lost_key_is_said_and_the_new_one_names_the_old(settings: MeterSettings) -> None:
    await three(settings)
    old = known_public(settings.data)
    assert old is not None
    key_path(settings.data).unlink()
    connection = await meter(settings)
    with pytest.raises(KeyLost, match="is missing, so no head can be signed"):
        await make_due_heads(connection, settings, now_us=NOON_US + 3 * DAY_US)
    told = await ensure_signing_key(settings.database_url, settings.data, timeout_s=30)
    assert f"stay proven by the old public key {old}" in told
    assert "" == await ensure_signing_key(settings.database_url, settings.data, timeout_s=30)
    await make_due_heads(connection, settings, now_us=NOON_US + 3 * DAY_US)
    await connection.close()
    new = known_public(settings.data)
    found = pages(settings)
    assert new is not None
    assert old != new
    assert {"key": old, "head": found[2].digest} == json.loads(found[3].text)["replaces"]
    assert [] == heads.check(found, trusted=[old, new])
    assert [f"head 4 of 2026-11-27 is signed with key {new}, which nobody vouched for"] == heads.check(
        found, trusted=[old]
    )


async def test_a_missing_file_of_a_head_is_written_again(settings: MeterSettings) -> None:
    await three(settings)
    path = sorted(settings.heads_directory.glob("*.head"))[1]
    before = path.read_text()
    path.unlink()
    connection = await meter(settings)
    await make_due_heads(connection, settings, now_us=NOON_US + 2 * DAY_US)
    await connection.close()
    assert before == path.read_text()


async def test_a_tail_that_lost_records_is_not_signed(settings: MeterSettings) -> None:
    directory = write(settings, *[PLAIN] * 5)
    await ship_everything(settings, settings.database_url)
    path = segment_path(directory, 1)
    data = bytearray(path.read_bytes())
    data[128:136] = (4).to_bytes(8, "little")
    path.write_bytes(data)
    connection = await meter(settings)
    with pytest.raises(DamagedSegment, match="holds fewer than 5 records"):
        await make_due_heads(connection, settings, now_us=NOON_US)
    assert [] == await heads_store.heads(connection)
    await connection.close()


@pytest.mark.parametrize(
    "attack",
    ["UPDATE meter.head SET document = ''", "DELETE FROM meter.head", "TRUNCATE meter.head CASCADE",
     "DELETE FROM meter.removed"],
)  # fmt: skip
@pytest.mark.parametrize("role", ["weir_meter", "weir_billing", "weir_office", None])
async def test_heads_are_only_added_to(settings: MeterSettings, attack: str, role: str | None) -> None:
    await three(settings)
    connection = await connect(settings.database_url, role=role)
    with pytest.raises(asyncpg.PostgresError, match=r"refused|permission denied"):
        await connection.execute(attack)
    await connection.close()


async def test_heads_verify_needs_files_and_key_alone(
    settings: MeterSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await three(settings)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    key = public_path(settings.data).read_text().strip()
    files = [str(path) for path in settings.heads_directory.glob("*.head")]
    monkeypatch.setenv("WEIR_DATA", str(elsewhere))
    assert 0 == await asyncio.to_thread(run, ["heads", "verify", *files, "--key", key])
    assert "3 heads, 1 to 3: signed, and each continues the one before\n" == capsys.readouterr().out
    assert 1 == await asyncio.to_thread(run, ["heads", "verify", files[0], files[1], "--key", "11" * 32])
    assert 2 == await asyncio.to_thread(run, ["heads", "verify", *files])
    assert "name the public key with --key" in capsys.readouterr().err
