"""What a trial finds of real engines is what the table says of them."""

import pytest

from gateway.engine_store import S3_KIND, EngineRow
from gateway.storage.abilities import Ability, can
from gateway.storage.upstream.cold import Cold
from gateway.storage.upstream.trial import FEATURES, try_out
from tests.engines.place import S3System

TRIED = [one for one in Ability if one.value in FEATURES]


@pytest.mark.parametrize("system", ["radosgw", "rclone_s3", "versity_s3"])
def test_a_trial_finds_what_the_table_says(system: str, request: pytest.FixtureRequest) -> None:
    """The table was filled by other tests, on whole gateways; the trial asks the engine alone."""
    engine: S3System = request.getfixturevalue(system)
    row = EngineRow(
        "tried", S3_KIND, endpoint=engine.endpoint, region=engine.region, access_key=engine.access_key
    )
    cold = Cold(row, engine.secret_key)
    try:
        before = cold.bucket_names()
        found = try_out(cold, prefix="trial-").features
        assert before == cold.bucket_names()
    finally:
        cold.close()
    assert {one: can(engine.kind, one) for one in TRIED} == {one: found[one] for one in TRIED}
    assert {"conditional_copy", "cleared_retention", "parts_extras", "replacing_copy"} < {*TRIED}
