"""A clock that steps: recorder, journal, shipper and PostgreSQL with a clock the test holds."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from meter import frame, store, usage_store
from meter.ids import MemberId
from meter.postgres import connect
from meter.reader import chain
from meter.recorder import Recorder
from meter.recount import recount
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.window import HOUR_US, Month, to_us
from tests.events import PLAIN

ONE = MemberId(1)
SECOND_US, DAY_US = 10**6, 24 * HOUR_US


@pytest.mark.parametrize(
    ("moment", "step_us"),
    [
        # All past: what is months ahead of PostgreSQL's own clock cannot be true, and counts when it is shipped.
        ("2025-11-30T23:59:59Z", DAY_US),
        ("2025-12-31T23:59:59Z", DAY_US),
        ("2024-02-29T23:59:59Z", DAY_US),
        ("2025-02-28T23:59:59Z", DAY_US),
        # A leap second: the last second of the month comes twice.
        ("2016-12-31T23:59:59Z", SECOND_US),
    ],
)
async def test_no_byte_in_a_closed_month_and_no_negative_time(
    moment: str, step_us: int, tmp_path: Path, database: str
) -> None:
    """The clock steps over the month's end, the month is closed, the clock steps back, and forward again."""
    settings = MeterSettings(data=tmp_path, database_url=database)
    now_us = to_us(datetime.fromisoformat(moment))
    month = Month.of(now_us)
    recorder = Recorder(settings.journal_directory / "worker-0", settings, slots_max=4)

    def exchange(bytes_in: int) -> None:
        event = PLAIN._replace(bytes_in=bytes_in, moved_in=bytes_in, began_us=now_us, ended_us=now_us)
        recorder.record(event)

    exchange(1)
    # One that is open over the step back, and that a crash leaves so.
    now_us += step_us
    exchange(10)
    recorder.open(PLAIN._replace(request_id=b"\x02" * 16, status=499, began_us=now_us)).moved(
        bytes_in=100, bytes_out=0, now_us=now_us - step_us
    )
    recorder.journal.sync()
    await ship(recorder, settings)

    books = await connect(database, role="weir_office")
    async with books.transaction():
        await store.close_month(books, month, now_us=now_us)
    frozen = (await usage_store.period_usage(books, month))[ONE]
    assert 1 == frozen.bytes_in

    recorder = Recorder(settings.journal_directory / "worker-0", settings, slots_max=4)
    now_us -= step_us
    exchange(1000)
    now_us += step_us
    exchange(10_000)
    await ship(recorder, settings)
    assert frozen == (await usage_store.period_usage(books, month))[ONE]
    following = (await usage_store.period_usage(books, month.next()))[ONE]
    assert 10 + 100 + 1000 + 10_000 == following.bytes_in
    marks = await store.watermarks(books)
    places = await store.stream_places(books)
    assert (
        following.bytes_in
        == recount(settings.journal_directory, month.next(), marks, up_to=places)[ONE].bytes_in
    )
    await books.close()
    for segment in chain(settings.journal_directory / "worker-0"):
        assert [] == [one for _, one in frame.events(segment.records) if one.ended_us < one.began_us]


async def ship(recorder: Recorder, settings: MeterSettings) -> None:
    """The worker ends, without a word; all it left is shipped."""
    recorder._stopping.set()
    recorder._thread.join()
    recorder.journal.sync()
    recorder.journal._lock_file.close()
    assert 0 == await ship_everything(settings, settings.database_url)
