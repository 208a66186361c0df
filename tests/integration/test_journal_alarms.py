"""A damaged stream raises an alarm wherever somebody looks, and stops nothing but itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from meter.ids import BucketId
from meter.journal import Journal
from meter.postgres import connect
from meter.segments import segment_path
from meter.settings import MeterSettings
from meter.shipper import Shipper, backlog, places, ship_everything
from tests.events import NOON_US, PLAIN
from tests.integration.s3_kit import eventually
from tests.integration.shipping_kit import shipping, write


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def in_a_record(stream: Path) -> None:
    flip(segment_path(stream, 2), 256 + 500)


def in_the_last_header(stream: Path) -> None:
    flip(segment_path(stream, 2), 20)


def stream_id_lost(stream: Path) -> None:
    (stream / "stream.id").unlink()


def stream_id_unreadable(stream: Path) -> None:
    (stream / "stream.id").write_text("no id")


@pytest.fixture
def settings(tmp_path: Path, database: str) -> MeterSettings:
    """Two streams of two segments, 600 records each."""
    write(tmp_path, 600, "worker-0")
    write(tmp_path, 600, "worker-1")
    return MeterSettings(data=tmp_path, database_url=database, journal_sync_interval_ms=1)


@pytest.mark.parametrize(
    "damage",
    [in_a_record, in_the_last_header, stream_id_lost, stream_id_unreadable],
    ids=lambda one: one.__name__,
)
async def test_the_other_stream_goes_on_and_nobody_is_told_that_all_is_well(
    settings: MeterSettings, damage: Callable[[Path], None]
) -> None:
    damage(settings.journal_directory / "worker-0")
    connection = await connect(settings.database_url, role="weir_meter")
    for _ in range(2):
        done = await Shipper(settings).ship(connection)
        assert 1 == len(done.alarms)
        shipped = await places(connection, settings.journal_directory)
        assert 600 == shipped[settings.journal_directory / "worker-1"]
        assert backlog(settings.journal_directory, shipped).events >= 1
    await connection.close()
    assert await ship_everything(settings, settings.database_url) >= 1


def status(settings: MeterSettings, *options: str) -> str:
    (settings.data / "FORMAT").write_text("1\n")
    done = subprocess.run(
        [sys.executable, "-m", "deploy", "status", *options], capture_output=True, text=True, check=True,
        env={**os.environ, "WEIR_DATA": str(settings.data), "WEIR_DATABASE_URL": settings.database_url},
    )  # fmt: skip
    return done.stdout


def test_the_status_names_the_stream_and_counts_what_was_torn(settings: MeterSettings) -> None:
    told = json.loads(status(settings, "--json"))
    assert ([], 0, 1200) == (told["stream_alarms"], told["torn_bytes"], told["unshipped_events"])
    assert "STANDS STILL" not in status(settings)
    in_a_record(settings.journal_directory / "worker-0")
    (settings.journal_directory / "worker-1" / "000000000002.torn").write_bytes(b"x" * 77)
    told = json.loads(status(settings, "--json"))
    (alarm,) = told["stream_alarms"]
    assert "worker-0: record 514 of segment 2 fails its checksum" in alarm
    assert 77 == told["torn_bytes"]
    text = status(settings)
    assert "STANDS STILL" in text
    assert "record 514 of segment 2" in text


def test_the_metrics_tell_of_alarms_and_torn_bytes(settings: MeterSettings) -> None:
    """And the shipper process lives on: an end a second would stop the co-op."""
    in_the_last_header(settings.journal_directory / "worker-0")
    (settings.journal_directory / "worker-1" / "000000000002.torn").write_bytes(b"x" * 77)
    with shipping(settings.data, settings.database_url, alarms=1) as shipper:
        assert eventually(lambda: shipper.latest.get("weir_meter_shipped_events_total", 0) >= 600)
        assert eventually(lambda: shipper.latest.get("weir_meter_torn_bytes") == 77)
        assert eventually(lambda: shipper.latest.get("weir_meter_stream_alarms") == 1)
        assert shipper.process.poll() is None


async def test_a_batch_that_takes_too_long_is_tried_smaller(tmp_path: Path, database: str) -> None:
    """Each row of sums takes a millisecond: 1,600 at once are more than the timeout, 400 are not."""
    settings = MeterSettings(data=tmp_path, database_url=database, database_timeout_s=1)
    journal = Journal(
        settings.journal_directory / "worker-0",
        segment_bytes_max=2**23,
        segment_age_max_s=3600,
        now_us=NOON_US,
    )
    for number in range(16_000):
        journal.append(PLAIN._replace(bucket=BucketId(1 + number // 10)))
    journal.close()
    owner = await connect(database)
    await owner.execute(
        "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_sleep(0.001); RETURN NEW; END $$"
    )
    await owner.execute(
        "CREATE TRIGGER slow BEFORE INSERT ON meter.reading FOR EACH ROW EXECUTE FUNCTION public.slow()"
    )
    shipper, timeouts = Shipper(settings), 0
    for _ in range(10):
        connection = await connect(database, role="weir_meter", timeout_s=1)
        try:
            await shipper.ship(connection)
            break
        except TimeoutError:
            timeouts += 1
        finally:
            connection.terminate()
    assert timeouts >= 1
    assert 16_000 == await owner.fetchval("SELECT sum(requests)::bigint FROM meter.reading")
    await owner.close()
