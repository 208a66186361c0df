"""From the sums to the single requests and back: equal to the byte, shipped or not, and through a running co-op."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import pytest

from meter import usage_store
from meter.event import Mark, RequestClass
from meter.ids import MemberId
from meter.postgres import connect
from meter.requests import Counts, Search, search
from meter.settings import MeterSettings
from meter.shipper import Shipper, ship_everything
from meter.window import HOUR_US
from tests.events import NOON_US, PLAIN, stored
from tests.integration.journals import write
from tests.integration.test_up import Weir, client

ONE = MemberId(1)
COUNTS = ("bytes_in", "bytes_out", "requests_a", "requests_b")


@pytest.fixture
def settings(tmp_path: Path, database: str) -> MeterSettings:
    return MeterSettings(
        data=tmp_path, database_url=database, journal_segment_bytes_max=2**16, ship_batch_records_max=100
    )


def counted(settings: MeterSettings, start_us: int, end_us: int) -> tuple[int, ...]:
    counts = Counts()
    for found in search(settings.journal_directory, Search(ONE, start_us, end_us, storage=True)):
        counts.add(found)
    return tuple(getattr(counts, name) for name in COUNTS)


async def test_the_requests_of_a_window_sum_to_its_usage_whatever_was_shipped(
    settings: MeterSettings,
) -> None:
    def events(first: int) -> list[Any]:
        return [
            PLAIN._replace(
                payer=MemberId(1 + number % 3 // 2),
                request_class=RequestClass(number // 3 % 3),
                ended_us=NOON_US + number * 17 * 10**6,
                bytes_in=number,
                bytes_out=number * 1001,
                marks=Mark.CHECKPOINT if number % 5 == 0 else Mark.NONE,
            )
            for number in range(first, first + 700)
        ]

    windows = [(NOON_US + a * HOUR_US, NOON_US + b * HOUR_US) for a, b in ((0, 8), (0, 1), (2, 3), (3, 6))]
    write(settings, *events(0), stored(5, NOON_US))
    write(settings, *events(300), stream="worker-1")
    connection = await connect(settings.database_url, role="weir_meter")
    await Shipper(settings).ship(connection)
    write(settings, *events(700))  # these are in the journal alone
    before = [counted(settings, *window) for window in windows]
    assert 0 == await ship_everything(settings, settings.database_url)
    after = [counted(settings, *window) for window in windows]
    sums = []
    for start_us, end_us in windows:
        used = await usage_store.usage_between(connection, ONE, start_us=start_us, end_us=end_us)
        sums.append(tuple(getattr(used, name) for name in COUNTS))
    await connection.close()
    assert sums == before == after
    assert all(sums[0])


@pytest.fixture
def weir() -> Iterator[Weir]:
    with tempfile.TemporaryDirectory(prefix="weir-") as name:
        one = Weir(Path(name))
        yield one
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def lines(weir: Weir, *options: str) -> list[dict[str, Any]]:
    told = weir.command("usage", "founder", "--by", "request", "--json", *options)
    return [json.loads(line) for line in told.splitlines()]


def signed_in(ready: dict[str, Any]) -> OpenerDirector:
    """Somebody who used the link of the first screen."""
    opener = build_opener(HTTPCookieProcessor())
    confirmed = Request(ready["login_link"], data=b"", headers={"Origin": ready["portal_url"]})  # noqa: S310  our own portal
    with opener.open(confirmed) as answer:
        assert 200 == answer.status
    return opener


def put_day(put: dict[str, Any]) -> str:
    """The UTC day of an answer, by its own date."""
    day: str = parsedate_to_datetime(put["ResponseMetadata"]["HTTPHeaders"]["date"]).date().isoformat()
    return day


def test_a_running_co_op_shows_its_requests_audits_clean_and_proves_its_heads(weir: Weir) -> None:
    ready = weir.start()
    s3 = client(ready)
    s3.create_bucket(Bucket="films")
    s3.create_bucket(Bucket="music")
    put = s3.put_object(Bucket="films", Key="a", Body=b"x" * 300_000)
    s3.put_object(Bucket="music", Key="b", Body=b"y" * 10)
    s3.get_object(Bucket="films", Key="a")["Body"].read()
    used = weir.json("usage", "founder")
    rows = lines(weir)
    assert 5 == len(rows)
    assert (300_010, 300_000) == (used["bytes_in"], used["bytes_out"])
    assert (300_010, 300_000) == tuple(sum(row[name] for row in rows) for name in ("bytes_in", "bytes_out"))
    assert 1 == sum(row["class"] == "B" for row in rows) == used["requests_b"]
    assert sorted(row["ended"] for row in rows) == [row["ended"] for row in rows]
    (found,) = [row for row in rows if row["request_id"] == put["ResponseMetadata"]["RequestId"]]
    assert ("PutObject", "films", "founder", 200, 300_000) == tuple(
        found[name] for name in ("operation", "bucket", "requester", "status", "bytes_in")
    )
    assert {"music"} == {row["bucket"] for row in lines(weir, "--bucket", "music")}
    assert ["GetObject"] == [row["operation"] for row in lines(weir, "--operation", "getobject")]
    table = csv.DictReader(io.StringIO(weir.command("usage", "founder", "--by", "request", "--csv")))
    assert [row["request_id"] for row in rows] == [row["request_id"] for row in table]
    shown = weir.command("usage", "founder", "--by", "request")
    assert "5 events: 300,010 bytes received" in shown
    assert "there is no bucket 'none'" in weir.command(
        "usage", "founder", "--by", "request", "--bucket", "none", status=2
    )
    assert "go with --by request" in weir.command("usage", "founder", "--bucket", "films", status=2)

    with signed_in(ready).open(f"{ready['portal_url']}/requests/{put_day(put)}") as answer:
        page_of_day = answer.read().decode()
    for word in ("PutObject", "GetObject", "CreateBucket", "films", put["ResponseMetadata"]["RequestId"]):
        assert word in page_of_day

    upload = s3.create_multipart_upload(Bucket="music", Key="c")["UploadId"]
    s3.upload_part(Bucket="music", Key="c", UploadId=upload, PartNumber=1, Body=b"z" * 7)
    changes = [row for row in lines(weir, "--storage") if row["stored_bytes"]]
    assert {("object", 300_000), ("object", 10), ("part", 7)} == {
        (row["line"], row["stored_bytes"]) for row in changes
    }
    assert {""} == {row["line"] for row in rows}
    s3.abort_multipart_upload(Bucket="music", Key="c", UploadId=upload)

    clean = weir.json("audit")
    assert (True, [], 1) == (clean["agrees"], clean["differences"], clean["heads"])
    status = weir.json("status")
    assert (1, 64) == (status["last_head"], len(status["signing_key"]))
    weir.command("heads", "export", str(weir.data.parent / "heads"))
    (page,) = (weir.data.parent / "heads").iterdir()
    assert "1 heads, 1 to 1: signed" in weir.command("heads", "verify", str(page))
    assert 0o600 == (weir.data / "signing.key").stat().st_mode & 0o777
    assert 0 == weir.stop()

    (blob,) = (weir.data / "engine" / "blobs").glob("*/*")
    blob.unlink()
    told = weir.command("audit", status=1)
    assert "" == told  # what it says is on stdout; a difference is no error


def test_an_audit_that_cannot_look_says_so(weir: Weir) -> None:
    assert "there is no co-op in" in weir.command("audit", status=2)
