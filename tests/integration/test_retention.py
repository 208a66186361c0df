"""What may go after the months a co-op keeps: only what is billed, closed, signed and needed by nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from meter import store, usage_store
from meter.daily import Daily, make_due_heads
from meter.event import Event
from meter.frame import DamagedSegment
from meter.ids import MemberId
from meter.postgres import Connection, connect
from meter.recount import recount
from meter.requests import Search, search
from meter.retention import OlderThanKept, beginnings, plan, remove
from meter.segments import number_of, segment_paths
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.signing import ensure_key
from meter.stillness import held_still
from meter.window import HOUR_US, Month
from tests.events import NOON_US, PLAIN, stored
from tests.integration.journals import write

ONE = MemberId(1)
MARCH, APRIL, MAY, JUNE = (Month(2025, number) for number in (3, 4, 5, 6))
"""Eighteen months before November 2026 is May 2025: March and April may go."""
RECORDS = 510  # (65536 - 256) / 128


@pytest.fixture
def settings(tmp_path: Path, database: str) -> MeterSettings:
    ensure_key(tmp_path)
    return MeterSettings(data=tmp_path, database_url=database, journal_segment_bytes_max=2**16)


def during(month: Month, *, count: int) -> list[Event]:
    return [
        PLAIN._replace(began_us=at, ended_us=at, bytes_in=number)
        for number in range(count)
        for at in (month.start_us + number * 10**6,)
    ]


async def ship(settings: MeterSettings) -> None:
    assert 0 == await ship_everything(settings, settings.database_url)


async def close(settings: MeterSettings, *months: Month) -> None:
    billing = await connect(settings.database_url, role="weir_office")
    for month in months:
        async with billing.transaction():
            await store.close_month(billing, month, now_us=month.end_us)
    await billing.close()


async def old_journal(settings: MeterSettings) -> Path:
    """Two segments of March, one of April, closed; then two of June, and the open one."""
    directory = write(settings, *during(MARCH, count=2 * RECORDS), *during(APRIL, count=RECORDS))
    write(settings, stored(100, MARCH.start_us + HOUR_US), *[stored(1, MARCH.start_us + 2 * HOUR_US)] * 1100,
          stream="engine")  # fmt: skip
    await ship(settings)
    await close(settings, MARCH, APRIL)
    write(settings, *during(JUNE, count=2 * RECORDS + 5))
    await ship(settings)
    return directory


def numbers(directory: Path) -> list[int]:
    return [number_of(path) for path in segment_paths(directory)]


async def meter(settings: MeterSettings) -> Connection:
    return await connect(settings.database_url, role="weir_meter")


async def test_old_segments_go_from_the_front_and_the_rest_is_whole(settings: MeterSettings) -> None:
    directory = await old_journal(settings)
    connection = await meter(settings)
    before = {month: await usage_store.period_usage(connection, month) for month in (MARCH, APRIL, MAY, JUNE)}
    engine = numbers(settings.journal_directory / "engine")
    await Daily(settings).look(connection, now_us=NOON_US)
    assert [4, 5, 6] == numbers(directory)
    assert engine == numbers(settings.journal_directory / "engine")
    begins = await beginnings(connection, settings.journal_directory)
    assert [(4, 3 * RECORDS + 1)] == [(one.number, one.first_sequence) for one in begins.values()]
    closed = await store.watermarks(connection)
    up_to = await store.stream_places(connection)
    for month in (MAY, JUNE):
        counted = recount(settings.journal_directory, month, closed, up_to=up_to, begins=begins)
        assert before[month] == counted
    for month in (MARCH, APRIL):
        with pytest.raises(OlderThanKept, match=f"{month} is older than the journal is kept"):
            recount(settings.journal_directory, month, closed, up_to=up_to, begins=begins)
    write(settings, *[PLAIN] * 7)
    await ship(settings)
    assert 2 * RECORDS + 5 + 7 == len(
        list(search(settings.journal_directory, Search(ONE, JUNE.start_us, 2 * NOON_US)))
    )
    await connection.close()


async def test_a_plan_changes_nothing_and_says_why_the_next_one_stays(settings: MeterSettings) -> None:
    directory = await old_journal(settings)
    connection = await meter(settings)
    assert [] == await plan(connection, settings, now_us=NOON_US)  # no head yet
    await make_due_heads(connection, settings, now_us=NOON_US)
    found = {one.directory.name: one for one in await plan(connection, settings, now_us=NOON_US)}
    assert 3 == len(found["worker-0"].paths)
    assert (
        "it holds events of 2025-06, and 2025-04 is the last month that need not be kept"
        == found["worker-0"].stopped_by
    )
    assert (
        "it holds changes of stored bytes, which every later month counts from" == found["engine"].stopped_by
    )
    assert [1, 2, 3, 4, 5, 6] == numbers(directory)
    for_ever = settings.model_copy(update={"journal_keep_months": 0})
    assert [] == await plan(connection, for_ever, now_us=NOON_US)
    await connection.close()


async def test_of_closed_months_the_first_that_is_kept_stays_and_the_one_before_goes(
    settings: MeterSettings,
) -> None:
    directory = write(settings, *during(APRIL, count=RECORDS), *during(MAY, count=RECORDS))
    await ship(settings)
    await close(settings, APRIL, MAY)
    write(settings, *during(JUNE, count=RECORDS + 5))
    await ship(settings)
    connection = await meter(settings)
    await Daily(settings).look(connection, now_us=NOON_US)
    assert [2, 3, 4] == numbers(directory)
    await connection.close()


async def test_what_is_not_billed_in_a_closed_month_stays(settings: MeterSettings) -> None:
    """Records of March that came after March and April were closed are billed in May, which is kept."""
    write(settings, *during(MARCH, count=10))
    await ship(settings)
    await close(settings, MARCH, APRIL)
    directory = write(settings, *during(MARCH, count=3 * RECORDS))
    await ship(settings)
    connection = await meter(settings)
    await Daily(settings).look(connection, now_us=NOON_US)
    assert [1, 2, 3, 4] == numbers(directory)
    await connection.close()


async def test_nothing_goes_while_somebody_reads(settings: MeterSettings) -> None:
    directory = await old_journal(settings)
    connection = await meter(settings)
    await make_due_heads(connection, settings, now_us=NOON_US)
    plans = await plan(connection, settings, now_us=NOON_US)
    with held_still(settings.journal_directory):
        assert 0 == await remove(connection, settings, plans, now_us=NOON_US)
    assert [1, 2, 3, 4, 5, 6] == numbers(directory)
    assert 3 == await remove(connection, settings, plans, now_us=NOON_US)
    await connection.close()


async def test_a_kill_between_the_word_and_the_deed_is_made_good(settings: MeterSettings) -> None:
    directory = await old_journal(settings)
    connection = await meter(settings)
    await make_due_heads(connection, settings, now_us=NOON_US)
    plans = await plan(connection, settings, now_us=NOON_US)
    kept = {path: path.read_bytes() for path in plans[1].paths[1:]}
    assert 3 == await remove(connection, settings, plans, now_us=NOON_US)
    for path, data in kept.items():
        path.write_bytes(data)
    assert [2, 3, 4, 5, 6] == numbers(directory)
    begins = await beginnings(connection, settings.journal_directory)
    closed, up_to = await store.watermarks(connection), await store.stream_places(connection)
    recount(settings.journal_directory, JUNE, closed, up_to=up_to, begins=begins)
    plans = await plan(connection, settings, now_us=NOON_US)
    assert 2 == await remove(connection, settings, plans, now_us=NOON_US)
    assert [4, 5, 6] == numbers(directory)
    await connection.close()


async def test_segments_that_nobody_removed_are_missed(settings: MeterSettings) -> None:
    directory = await old_journal(settings)
    segment_paths(directory)[0].unlink()
    connection = await meter(settings)
    begins = await beginnings(connection, settings.journal_directory)
    closed, up_to = await store.watermarks(connection), await store.stream_places(connection)
    with pytest.raises(
        DamagedSegment, match="worker-0: segments 1 to 1 are missing, and no retention removed them"
    ):
        recount(settings.journal_directory, JUNE, closed, up_to=up_to, begins=begins)
    await connection.close()
