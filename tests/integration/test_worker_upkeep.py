"""What a worker does by itself beside its members' requests: lifecycle rules, the sweep, the collector."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.collecting import COLLECT_EVERY_S, keep_collecting
from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine
from gateway.storage.disk.opening import open_files_and_index
from gateway.storage.disk.upkeep import SweepReport
from gateway.storage.errors import Busy
from gateway.storage.model import Deletion
from tests.contract.engine_model import BUCKET, OWNER, put
from tests.gateway import RunningGateway, client, running_gateway
from tests.integration.s3_kit import eventually
from tests.postgres import TestServer


@pytest.fixture
def looking(postgres_server: TestServer, tmp_path: Path) -> Iterator[RunningGateway]:
    """Two workers that look through their buckets each second."""
    database = postgres_server.database()
    environment = {"WEIR_LIFECYCLE_INTERVAL_S": "1"}
    with running_gateway(tmp_path, database, workers=2, environment=environment) as gateway:
        yield gateway
    assert "Traceback" not in gateway.log()
    postgres_server.drop(database)


def test_a_running_worker_carries_rules_out(looking: RunningGateway) -> None:
    s3 = client(looking, looking.member("anna"))
    s3.create_bucket(Bucket="rules")
    for key in ("old/a", "old/b", "kept"):
        s3.put_object(Bucket="rules", Key=key, Body=b"x")
    rule = {
        "ID": "old goes", "Status": "Enabled", "Filter": {"Prefix": "old/"},
        "Expiration": {"Date": datetime(2020, 1, 1, tzinfo=UTC)},
    }  # fmt: skip
    s3.put_bucket_lifecycle_configuration(Bucket="rules", LifecycleConfiguration={"Rules": [rule]})

    def keys() -> list[str]:
        return [one["Key"] for one in s3.list_objects_v2(Bucket="rules").get("Contents", [])]

    assert eventually(lambda: keys() == ["kept"], within_s=30), keys()


class BusyAtFirst(DiskEngine):
    """A disk engine whose first sweep meets a busy index, and whose second collection too."""

    sweeps = 0
    collections = 0

    async def sweep(self, now_us: int) -> SweepReport:
        """Busy once."""
        self.sweeps += 1
        if self.sweeps == 1:
            raise Busy("another worker keeps the index")
        return await super().sweep(now_us)

    async def collect(self, now_us: int) -> int:
        """Busy once."""
        self.collections += 1
        if self.collections == 2:
            raise Busy("another worker keeps the index")
        return await super().collect(now_us)


async def test_a_sweep_or_a_collection_that_fails_is_tried_again(tmp_path: Path) -> None:
    settings = GatewaySettings(inline_bytes_max=0, blob_delete_delay_s=0)
    engine = BusyAtFirst(tmp_path, settings, *open_files_and_index(tmp_path, settings))
    await engine.create_bucket(BUCKET, owner=OWNER)
    await put(engine, "key", b"bytes in a file")
    (file,) = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    await engine.delete_objects(BUCKET, [Deletion("key")], now_us=2_000)
    rests: list[bool] = []

    async def rest(seconds: float) -> None:
        assert COLLECT_EVERY_S == seconds
        rests.append(file.exists())
        if len(rests) == 4:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await keep_collecting(engine, files_max=settings.collect_files_max, rest=rest)
    assert (2, 3) == (engine.sweeps, engine.collections)
    assert [True, False, False, False] == rests
    await engine.close()
