"""From the journal into real Postgres: exactly once, whatever is killed, doubled or exchanged in between."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import asyncpg
import pytest

from meter import store, usage_store
from meter.event import Event, RequestClass, StorageLine
from meter.ids import MemberId
from meter.journal import Journal
from meter.postgres import connect
from meter.recount import recount
from meter.settings import MeterSettings
from meter.shipper import Shipper, ship_batch, ship_everything, unshipped
from meter.tail import SealedSegment, Tail
from meter.usage import Usage
from meter.window import HOUR_US, Month
from tests.events import NOON_US, PLAIN, stored

NOVEMBER = Month(2026, 11)
ONE = MemberId(1)


@pytest.fixture
def settings(tmp_path: Path, database: str) -> MeterSettings:
    return MeterSettings(
        data=tmp_path, database_url=database, journal_segment_bytes_max=2**16, ship_batch_records_max=100
    )


def write(settings: MeterSettings, *events: Event, stream: str = "worker-0") -> None:
    journal = Journal(
        settings.journal_directory / stream,
        segment_bytes_max=settings.journal_segment_bytes_max,
        segment_age_max_s=3600,
        now_us=NOON_US,
    )
    for event in events:
        journal.append(event)
    journal.close()


async def usage(settings: MeterSettings) -> Usage:
    connection = await connect(settings.database_url, role="weir_office")
    try:
        return (await usage_store.period_usage(connection, NOVEMBER))[ONE]
    finally:
        await connection.close()


async def test_sums_are_equal_and_shipping_again_changes_nothing(settings: MeterSettings) -> None:
    write(settings, *[PLAIN._replace(bytes_in=n) for n in range(1200)])
    for _ in range(3):
        assert 0 == await ship_everything(settings, settings.database_url)
        found = await usage(settings)
        assert (sum(range(1200)), 1200, 0) == (found.bytes_in, found.requests_a, found.requests_b)


async def test_two_shippers_at_once_count_once(settings: MeterSettings) -> None:
    write(settings, *[PLAIN] * 900)
    write(settings, *[PLAIN] * 300, stream="worker-1")
    await asyncio.gather(*[ship_everything(settings, settings.database_url) for _ in range(4)])
    assert 1200 == (await usage(settings)).requests_a


async def test_a_commit_whose_answer_was_lost_counts_once(settings: MeterSettings) -> None:
    """The connection dies after the commit: the shipper does not know, looks its place up, and goes on."""
    write(settings, *[PLAIN] * 250)
    first = Shipper(settings)
    connection = await connect(settings.database_url, role="weir_meter")
    original = store.move_stream
    calls = 0

    async def die_after_commit(*args: object, **named: object) -> None:
        nonlocal calls
        calls += 1
        await original(*args, **named)  # type: ignore[arg-type]
        if calls == 2:
            # Commit on the server, then behave as if the answer never came.
            await connection.execute("COMMIT")
            connection.terminate()
            raise ConnectionResetError

    store.move_stream = die_after_commit  # type: ignore[assignment]
    try:
        with pytest.raises(Exception):  # noqa: B017 - whatever the driver makes of a dead connection
            await first.ship(connection)
    finally:
        store.move_stream = original  # type: ignore[assignment]
    assert 0 == await ship_everything(settings, settings.database_url)
    assert 250 == (await usage(settings)).requests_a


async def test_a_batch_is_taken_at_its_own_place_and_once(settings: MeterSettings) -> None:
    """Before it there would be a gap, behind it something would count twice; each is left alone and changes nothing."""
    write(settings, *[PLAIN._replace(bytes_in=n) for n in range(1, 301)])
    connection = await connect(settings.database_url, role="weir_meter")
    await store.open_ahead(connection)
    directory = settings.journal_directory / "worker-0"
    tail, other = Tail(directory), Tail(directory)
    first, second, third = (tail.read(100) for _ in range(3))
    across = other.read(150)
    taken = [
        await ship_batch(connection, tail, batch)
        for batch in (second, third, first, first, across, third, second, second, first, across, third)
    ]
    places = await store.stream_places(connection)
    await connection.close()
    assert [2, 6, 10] == [number for number, is_ours in enumerate(taken) if is_ours]
    assert [300] == list(places.values())
    found = await usage(settings)
    assert (sum(range(1, 301)), 300) == (found.bytes_in, found.requests_a)


async def test_a_segment_that_was_shipped_with_another_digest_is_an_alarm_and_counts_nothing(
    settings: MeterSettings,
) -> None:
    write(settings, *[PLAIN] * 900)
    connection = await connect(settings.database_url, role="weir_meter")
    directory = settings.journal_directory / "worker-0"
    stream = Tail(directory).stream
    await store.stream_place(connection, stream, label="worker-0", lock=False)
    await store.add_segment(connection, stream, SealedSegment(1, 1, 510, b"another".ljust(32), bytes(32)))
    done = await Shipper(settings).ship(connection)
    places = await store.stream_places(connection)
    await connection.close()
    assert ["worker-0: segment 1 differs from the one shipped before"] == done.alarms
    # Five batches of a hundred had gone before the seal was reached; what stands with the wrong seal does not count.
    assert {stream: 500} == places
    assert 500 == (await usage(settings)).requests_a


async def test_unshipped_tells_the_backlog(settings: MeterSettings) -> None:
    write(settings, *[PLAIN] * 30)
    connection = await connect(settings.database_url, role="weir_meter")
    assert 30 == await unshipped(connection, settings.journal_directory)
    await Shipper(settings).ship(connection)
    assert 0 == await unshipped(connection, settings.journal_directory)
    await connection.close()


async def test_a_rewound_journal_is_an_alarm_and_counts_nothing(settings: MeterSettings) -> None:
    write(settings, *[PLAIN] * 30)
    keep = settings.data / "keep"
    shutil.copytree(settings.journal_directory, keep)
    write(settings, *[PLAIN] * 10)
    await ship_everything(settings, settings.database_url)
    shutil.rmtree(settings.journal_directory)
    shutil.copytree(keep, settings.journal_directory)
    write(settings, PLAIN._replace(bytes_in=5), *[PLAIN] * 20)
    connection = await connect(settings.database_url, role="weir_meter")
    done = await Shipper(settings).ship(connection)
    await connection.close()
    assert ["worker-0: record 40 is not the one that was shipped"] == done.alarms
    assert 40 == (await usage(settings)).requests_a


async def test_a_lost_segment_is_an_alarm(settings: MeterSettings) -> None:
    write(settings, *[PLAIN] * 900)
    (settings.journal_directory / "worker-0" / "000000000001.seg").unlink()
    connection = await connect(settings.database_url, role="weir_meter")
    done = await Shipper(settings).ship(connection)
    await connection.close()
    assert 0 == done.records
    assert ["worker-0: record 1 should be next, the journal holds 511 to 900"] == done.alarms


async def test_a_sealed_segment_is_compressed_once_it_is_shipped(settings: MeterSettings) -> None:
    write(settings, *[PLAIN] * 900)
    await ship_everything(settings, settings.database_url)
    names = sorted(path.name for path in (settings.journal_directory / "worker-0").glob("*.seg*"))
    assert ["000000000001.seg.zst", "000000000002.seg"] == names


async def test_a_segment_sealed_after_its_records_were_shipped_leaves_its_link_too(
    settings: MeterSettings,
) -> None:
    """510 records fill the first segment, which is sealed when the next one comes; the shipper is a new one."""
    for count in (510, 1):
        write(settings, *[PLAIN] * count)
        await ship_everything(settings, settings.database_url)
    connection = await connect(settings.database_url, role="weir_meter")
    kept = await connection.fetch("SELECT number, first_sequence, last_sequence FROM meter.segment")
    await connection.close()
    assert [(1, 1, 510)] == [tuple(row) for row in kept]
    names = sorted(path.name for path in (settings.journal_directory / "worker-0").glob("*.seg*"))
    assert ["000000000001.seg.zst", "000000000002.seg"] == names


async def test_late_usage_is_billed_in_the_first_open_month(settings: MeterSettings) -> None:
    write(settings, PLAIN)
    await ship_everything(settings, settings.database_url)
    billing = await connect(settings.database_url, role="weir_office")
    async with billing.transaction():
        await store.close_month(billing, NOVEMBER, now_us=NOVEMBER.end_us)
    write(settings, PLAIN._replace(bytes_in=77))
    await ship_everything(settings, settings.database_url)
    december = await usage_store.period_usage(billing, NOVEMBER.next())
    assert (1000, 77) == ((await usage(settings)).bytes_in, december[ONE].bytes_in)
    marks = await store.watermarks(billing)
    await billing.close()
    up_to = dict.fromkeys(marks[NOVEMBER], 2**62)
    recounted = recount(settings.journal_directory, NOVEMBER.next(), marks, up_to=up_to)
    assert december == recounted


async def test_stored_bytes_are_integrated_exactly_also_when_they_arrive_late(
    settings: MeterSettings,
) -> None:
    """600 bytes for the last two hours of November, then on; 600 lost again one hour into December."""
    end = NOVEMBER.end_us
    write(settings, stored(600, end - 2 * HOUR_US))
    await ship_everything(settings, settings.database_url)
    billing = await connect(settings.database_url, role="weir_office")
    async with billing.transaction():
        await store.close_month(billing, NOVEMBER, now_us=end)
    # A late change: 100 more bytes since the last hour of November, told only now.
    write(settings, stored(100, end - HOUR_US), stored(-700, end + HOUR_US))
    await ship_everything(settings, settings.database_url)
    november, december = [
        (await usage_store.period_usage(billing, month))[ONE].byte_us for month in (NOVEMBER, NOVEMBER.next())
    ]
    assert 600 * 2 * HOUR_US == november
    assert 100 * HOUR_US + 700 * HOUR_US == december
    whole = await usage_store.usage_between(
        billing, ONE, start_us=end - 3 * HOUR_US, end_us=end + 3 * HOUR_US
    )
    assert november + december == whole.byte_us
    marks = await store.watermarks(billing)
    up_to = dict.fromkeys(marks[NOVEMBER], 2**62)
    for month, expected in ((NOVEMBER, november), (NOVEMBER.next(), december)):
        counted = recount(settings.journal_directory, month, marks, up_to=up_to)
        assert expected == counted[ONE].byte_us
    await billing.close()


async def test_old_versions_are_told_apart_within_what_is_stored(settings: MeterSettings) -> None:
    """900 bytes for November's last 4 hours; for the last of these, 900 new ones beside the 900 old."""
    end = NOVEMBER.end_us
    write(
        settings,
        stored(900, end - 4 * HOUR_US),
        stored(900, end - HOUR_US, line=StorageLine.VERSION),
        stored(50, end - 2 * HOUR_US, line=StorageLine.PART),
        stored(-50, end - HOUR_US, line=StorageLine.PART),
        stored(-900, end + HOUR_US, line=StorageLine.VERSION),
    )
    await ship_everything(settings, settings.database_url)
    billing = await connect(settings.database_url, role="weir_office")
    months = [(await usage_store.period_usage(billing, month))[ONE] for month in (NOVEMBER, NOVEMBER.next())]
    december_us = NOVEMBER.next().end_us - end
    assert [
        ((900 * 4 + 50 + 900) * HOUR_US, 900 * HOUR_US),
        (900 * december_us + 900 * HOUR_US, 900 * HOUR_US),
    ] == [(used.byte_us, used.version_byte_us) for used in months]
    marks = await store.watermarks(billing)
    for month, used in zip((NOVEMBER, NOVEMBER.next()), months, strict=True):
        (stream,) = await store.stream_places(billing)
        assert used == recount(settings.journal_directory, month, marks, up_to={stream: 2**62})[ONE]
    between = await usage_store.usage_between(
        billing, ONE, start_us=end - 2 * HOUR_US, end_us=end + 2 * HOUR_US
    )
    assert 2 * 900 * HOUR_US == between.version_byte_us
    await billing.close()


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE meter.reading SET bytes_out = bytes_out - 1",
        "UPDATE meter.reading SET bytes_in = 0",
        "DELETE FROM meter.reading",
        "TRUNCATE meter.reading",
        "DELETE FROM meter.storage",
        "UPDATE meter.segment SET digest = ''",
        "DELETE FROM meter.closed_month",
    ],
)
@pytest.mark.parametrize("role", ["weir_meter", "weir_billing", "weir_office", None])
async def test_what_was_counted_is_only_added_to(
    settings: MeterSettings, attack: str, role: str | None
) -> None:
    write(settings, *[PLAIN._replace(bytes_out=9)] * 900, stored(1, NOON_US))
    await ship_everything(settings, settings.database_url)
    connection = await connect(settings.database_url, role=role)
    try:
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(attack)
    finally:
        await connection.close()


async def test_a_closed_month_takes_nothing_even_from_the_shipper(settings: MeterSettings) -> None:
    write(settings, PLAIN)
    await ship_everything(settings, settings.database_url)
    billing = await connect(settings.database_url, role="weir_office")
    async with billing.transaction():
        await store.close_month(billing, NOVEMBER, now_us=NOVEMBER.end_us)
    await billing.close()
    shipper = await connect(settings.database_url, role="weir_meter")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await shipper.execute("UPDATE meter.reading_2026_11 SET bytes_in = bytes_in + 1")
    await shipper.close()


async def test_usage_by_hour_and_request_class(settings: MeterSettings) -> None:
    read = PLAIN._replace(request_class=RequestClass.B, bytes_in=0, bytes_out=50)
    later = read._replace(ended_us=NOON_US + HOUR_US)
    write(settings, PLAIN, read, read, later)
    await ship_everything(settings, settings.database_url)
    connection = await connect(settings.database_url, role="weir_office")
    rows = await usage_store.usage_rows(
        connection, ONE, start_us=NOON_US - HOUR_US, end_us=NOON_US + 2 * HOUR_US, by="hour"
    )
    await connection.close()
    assert [(1000, 100, 1, 2), (0, 50, 0, 1)] == [
        (u.bytes_in, u.bytes_out, u.requests_a, u.requests_b) for _, u in rows
    ]
