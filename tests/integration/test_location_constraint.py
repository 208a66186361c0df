"""Where an upstream wants a new bucket's location said, it is said; where it refuses that, it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from gateway.engine_store import S3_KIND, EngineRow
from gateway.settings import GatewaySettings
from gateway.storage.abilities import LOCATION_CONSTRAINT
from gateway.storage.errors import Misconfigured, StorageError
from gateway.storage.upstream.client import Client
from gateway.storage.upstream.cold import Cold
from gateway.storage.upstream.endpoint import Upstream
from gateway.storage.upstream.engine import UpstreamEngine
from gateway.storage.upstream.engine_base import Place
from gateway.storage.upstream.metrics import UpstreamMetrics
from gateway.storage.upstream.signing import Account
from gateway.storage.upstream.stored import StoredSums
from gateway.storage.upstream.trial import _is_made, _takes_constraint, try_out
from meter.ids import BucketId, MemberId
from meter.metrics import Registry
from meter.refusal import Refusal
from tests.engines.ceph import Ceph
from tests.engines.regional import ACCESS_KEY, REGION, SECRET, Regional, Shared
from tests.engines.rogue import running_rogue

BUCKET = BucketId(7)
ANNA = MemberId(1)


@pytest.fixture
def regional() -> Iterator[Regional]:
    """An S3 system of one region that is not us-east-1."""
    with running_rogue(kind=Regional) as running:
        yield running


@asynccontextmanager
async def before(
    regional: Regional, place: Path, *, region: str = REGION, features: dict[str, bool] | None = None
) -> AsyncIterator[UpstreamEngine]:
    """An engine in front of it."""
    settings = GatewaySettings.model_validate({"data": place, "upstream_attempts_max": 1})
    metrics = UpstreamMetrics(Registry(), "regional")
    account = Account(ACCESS_KEY, SECRET, region)
    upstream = Upstream.at("regional", f"http://127.0.0.1:{regional.port}", account)
    engine = UpstreamEngine(
        Client(upstream, settings, metrics, lambda _: None), settings,
        find=lambda bucket: Place(bucket, "w-7-photos", ANNA), tell=lambda _: None, sums=StoredSums(),
        metrics=metrics, spool=place, features=features,
    )  # fmt: skip
    try:
        yield engine
    finally:
        await engine.close()


def cold(regional: Regional, **more: object) -> Cold:
    """The same as commands ask it."""
    row = EngineRow(
        "regional", S3_KIND, f"http://127.0.0.1:{regional.port}", REGION, ACCESS_KEY, **more  # type: ignore[arg-type]
    )  # fmt: skip
    return Cold(row, SECRET)


async def test_a_new_bucket_is_made_with_its_region_where_the_engine_takes_that(
    regional: Regional, tmp_path: Path
) -> None:
    async with before(regional, tmp_path, features={LOCATION_CONSTRAINT: True}) as engine:
        await engine.create_bucket(BUCKET, owner=ANNA)
    assert {"w-7-photos": REGION} == regional.locations
    assert 0 == regional.forged


async def test_an_engine_that_was_never_tried_so_is_asked_as_before(
    regional: Regional, tmp_path: Path
) -> None:
    """And AWS refuses that outside us-east-1, which is why it is tried."""
    async with before(regional, tmp_path) as engine:
        with pytest.raises(StorageError):
            await engine.create_bucket(BUCKET, owner=ANNA)
    regional.refuses_all = True
    async with before(regional, tmp_path, features={LOCATION_CONSTRAINT: False}) as engine:
        await engine.create_bucket(BUCKET, owner=ANNA)
    assert {"w-7-photos": ""} == regional.locations
    assert 0 == regional.forged


async def test_a_request_for_another_region_is_forged_to_it(regional: Regional, tmp_path: Path) -> None:
    """The system of the test does look at signatures: else the tests above would say less than they do."""
    async with before(
        regional, tmp_path, region="eu-central-8", features={LOCATION_CONSTRAINT: True}
    ) as engine:
        with pytest.raises(Misconfigured):
            await engine.create_bucket(BUCKET, owner=ANNA)
    assert (1, {}) == (regional.forged, regional.locations)


async def test_a_name_somebody_took_before_us_is_not_ours_though_they_open_it_to_us(tmp_path: Path) -> None:
    """Else whoever guesses the name of a bucket to come is sent a member's data."""
    with running_rogue(kind=Shared) as shared:
        async with before(shared, tmp_path) as engine:
            shared.own = ("w-7-photo", "w-7-photos-2")
            with pytest.raises(StorageError):
                await engine.create_bucket(BUCKET, owner=ANNA)
            shared.own = ("w-7-photo", "w-7-photos")
            await engine.create_bucket(BUCKET, owner=ANNA)


def test_a_trial_finds_out_and_commands_do_as_it_found(regional: Regional) -> None:
    with closing(cold(regional)) as untried:
        assert _takes_constraint(untried, "trial")
        assert _is_made(untried, "held", {LOCATION_CONSTRAINT: True})
        with pytest.raises(Refusal, match="IllegalLocationConstraintException"):
            untried.create_bucket("plain")
    with closing(cold(regional, features={LOCATION_CONSTRAINT: True})) as tried:
        tried.create_bucket("copied")
    assert dict.fromkeys(("trial", "held", "copied"), REGION) == regional.locations
    regional.refuses_all = True
    with closing(cold(regional)) as untried:
        assert not _takes_constraint(untried, "other")
        untried.create_bucket("other")
    assert "" == regional.locations["other"]


@pytest.mark.parametrize(("region", "takes"), [("default", True), ("hall-2", False), ("us-east-1", True)])
def test_radosgw_takes_its_zonegroup_s_name_and_refuses_others(
    radosgw: Ceph, region: str, takes: bool
) -> None:
    """It does not look at the region of a signature; with either the trial goes through."""
    row = EngineRow("tried", S3_KIND, radosgw.endpoint, region, radosgw.access_key)
    with closing(Cold(row, radosgw.secret_key)) as asked:
        found = try_out(asked, prefix="region-").features
    assert (takes, True) == (found[LOCATION_CONSTRAINT], found["object_lock"])
