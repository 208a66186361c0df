"""What every storage engine promises about what is kept beside the bytes, retention and legal hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.storage.base import Engine
from gateway.storage.errors import (
    InvalidRules,
    IsDeleteMarker,
    NoSuchKey,
    NoSuchVersion,
    ObjectLocked,
)
from gateway.storage.model import (
    Amendment,
    BucketRules,
    Checksum,
    Condition,
    DefaultRetention,
    Deletion,
    ObjectProperties,
    Retention,
    RetentionMode,
    Versioning,
)
from gateway.storage.retention import default_until
from tests.contract.engine_model import BUCKET, complete, create_upload, delete, get, put, put_part

GOVERNANCE, COMPLIANCE = RetentionMode.GOVERNANCE, RetentionMode.COMPLIANCE
LOCKS = BucketRules(Versioning.ENABLED, locks=True)
NOW_US = 1_000_000
LATER_US = 2_000_000
EVERYTHING = ObjectProperties(
    {"content-type": "text/plain", "x-amz-meta-name": "Zoë"},
    Checksum("CRC32C", "yZRlqg=="),
    {"project": "dünen", "": ""},
    "grants",
    Retention(GOVERNANCE, LATER_US),
    True,
    {"key-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="},
)


async def remove(
    engine: Engine, key: str, version_id: str, *, may_bypass: bool = False, now_us: int = NOW_US
) -> bool:
    """Whether the version was removed; ObjectLocked is the only refusal."""
    deletion = Deletion(key, version_id, may_bypass=may_bypass)
    (answer,) = await engine.delete_objects(BUCKET, [deletion], now_us=now_us)
    assert answer.error is None or isinstance(answer.error, ObjectLocked)
    assert answer.existed == (answer.error is None)
    return answer.existed


# What is kept beside the bytes


async def test_everything_beside_the_bytes_comes_back(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, LOCKS)
    head = await put(engine, "key", b"x", properties=EVERYTHING)
    await put(engine, "key", b"newer")
    assert (
        EVERYTHING == head.properties == (await engine.head_object(BUCKET, "key", head.version_id)).properties
    )
    reader = await engine.open_object(BUCKET, "key", head.version_id)
    assert EVERYTHING == reader.head.properties
    reader.close()


async def test_what_an_upload_began_with_is_kept_to_the_object(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, LOCKS)
    asked = ObjectProperties(
        EVERYTHING.headers, None, EVERYTHING.tags, "grants", EVERYTHING.retention, True, EVERYTHING.sealing
    )
    upload_id = await create_upload(engine, "key", properties=asked)
    assert asked == (await engine.get_upload(BUCKET, "key", upload_id)).properties
    listed, _ = await engine.list_uploads(BUCKET, prefix="", after_key="", after_upload_id="", limit=1)
    assert asked == listed[0].properties
    part = await put_part(engine, "key", upload_id, 1, b"x")
    await complete(engine, "key", upload_id, [part])
    assert asked == (await engine.head_object(BUCKET, "key")).properties


async def test_an_amendment_changes_what_it_names_and_nothing_else(engine: Engine) -> None:
    head = await put(engine, "key", b"data", properties=ObjectProperties({"a": "b"}, tags={"old": "1"}))
    after = await engine.amend_object(BUCKET, "key", None, Amendment(tags={"new": "2"}), now_us=9_000)
    assert ({"new": "2"}, {"a": "b"}, "") == (
        after.properties.tags,
        after.properties.headers,
        after.properties.acl,
    )
    after = await engine.amend_object(BUCKET, "key", "null", Amendment(acl="grants"), now_us=9_000)
    assert ({"new": "2"}, "grants") == (after.properties.tags, after.properties.acl)
    assert after == (await engine.head_object(BUCKET, "key"))
    after = await engine.amend_object(BUCKET, "key", None, Amendment(tags={}, acl=""), now_us=9_000)
    assert ObjectProperties({"a": "b"}) == after.properties
    assert (head.modified_us, head.etag, b"data") == (after.modified_us, after.etag, await get(engine, "key"))


async def test_an_amendment_names_a_version(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED))
    old = await put(engine, "key", b"old")
    new = await put(engine, "key", b"new")
    await engine.amend_object(BUCKET, "key", old.version_id, Amendment(tags={"which": "old"}), now_us=9_000)
    assert {"which": "old"} == (await engine.head_object(BUCKET, "key", old.version_id)).properties.tags
    assert new == (await engine.head_object(BUCKET, "key"))
    await delete(engine, "key")
    with pytest.raises(NoSuchKey) as hidden:
        await engine.amend_object(BUCKET, "key", None, Amendment(tags={}), now_us=9_000)
    with pytest.raises(IsDeleteMarker):
        await engine.amend_object(
            BUCKET, "key", hidden.value.marker_version_id, Amendment(tags={}), now_us=9_000
        )
    with pytest.raises(NoSuchVersion):
        await engine.amend_object(BUCKET, "key", "3" * 32, Amendment(tags={}), now_us=9_000)


# Locks


@pytest.mark.parametrize(
    "properties", [ObjectProperties(legal_hold=True), ObjectProperties(retention=Retention(GOVERNANCE, 1))]
)
async def test_a_bucket_without_locks_takes_no_locked_object(
    engine: Engine, properties: ObjectProperties
) -> None:
    await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED))
    with pytest.raises(InvalidRules):
        await put(engine, "key", b"x", properties=properties)
    with pytest.raises(InvalidRules):
        await create_upload(engine, "key", properties=properties)
    await put(engine, "key", b"x")
    for amendment in (
        Amendment(legal_hold=True),
        Amendment(retention=Retention(GOVERNANCE, 1)),
        Amendment(clear_retention=True),
    ):
        with pytest.raises(InvalidRules):
            await engine.amend_object(BUCKET, "key", None, amendment, now_us=NOW_US)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        # removed plainly, with bypass, and plainly after its time
        (ObjectProperties(), (True, True, True)),
        (ObjectProperties(retention=Retention(GOVERNANCE, LATER_US)), (False, True, True)),
        (ObjectProperties(retention=Retention(COMPLIANCE, LATER_US)), (False, False, True)),
        (ObjectProperties(legal_hold=True), (False, False, False)),
        (ObjectProperties(retention=Retention(GOVERNANCE, NOW_US), legal_hold=True), (False, False, False)),
    ],
)
async def test_a_locked_version_stays(
    engine: Engine, properties: ObjectProperties, expected: tuple[bool, bool, bool]
) -> None:
    await engine.set_bucket_rules(BUCKET, LOCKS)
    heads = [await put(engine, "key", b"x", properties=properties) for _ in range(3)]
    ids = [head.version_id for head in heads]
    assert expected == (
        await remove(engine, "key", ids[0], now_us=LATER_US - 1),
        await remove(engine, "key", ids[1], now_us=LATER_US - 1, may_bypass=True),
        await remove(engine, "key", ids[2], now_us=LATER_US),
    )
    kept = [version_id for version_id, was_removed in zip(ids, expected, strict=True) if not was_removed]
    assert [b"x"] * len(kept) == [await get(engine, "key", version_id) for version_id in kept]


async def test_a_lock_does_not_stop_new_versions_and_markers(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, LOCKS)
    locked = ObjectProperties(retention=Retention(COMPLIANCE, LATER_US), legal_hold=True)
    head = await put(engine, "key", b"locked", properties=locked)
    await put(engine, "key", b"newer")
    assert (True,) == await delete(engine, "key", now_us=NOW_US)
    assert b"locked" == await get(engine, "key", head.version_id)


async def test_a_refused_deletion_does_not_hurt_the_others(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, LOCKS)
    held = await put(engine, "held", b"x", properties=ObjectProperties(legal_hold=True))
    free = await put(engine, "free", b"x")
    answers = await engine.delete_objects(
        BUCKET,
        [Deletion("held", held.version_id), Deletion("free", free.version_id)],
        now_us=NOW_US,
    )
    assert [True, False] == [isinstance(answer.error, ObjectLocked) for answer in answers]
    assert ("held",) == answers[0].error.args if answers[0].error else False
    assert 1 == engine.stored_bytes(BUCKET)


LONG, SHORT = Retention(GOVERNANCE, LATER_US + 9), Retention(GOVERNANCE, LATER_US - 9)


@pytest.mark.parametrize(
    ("old", "amendment", "plainly", "bypassing"),
    [
        (None, Amendment(retention=SHORT), True, True),
        (None, Amendment(clear_retention=True), True, True),
        (GOVERNANCE, Amendment(retention=LONG), True, True),
        (GOVERNANCE, Amendment(retention=SHORT), False, True),
        (GOVERNANCE, Amendment(clear_retention=True), False, True),
        # s3-tests: test_object_lock_changing_mode_from_governance_without_bypass
        (GOVERNANCE, Amendment(retention=Retention(COMPLIANCE, LATER_US + 9)), False, True),
        (COMPLIANCE, Amendment(retention=Retention(COMPLIANCE, LATER_US + 9)), True, True),
        (COMPLIANCE, Amendment(retention=Retention(COMPLIANCE, LATER_US)), True, True),
        (COMPLIANCE, Amendment(retention=Retention(COMPLIANCE, LATER_US - 1)), False, False),
        (COMPLIANCE, Amendment(retention=LONG), False, False),
        (COMPLIANCE, Amendment(clear_retention=True), False, False),
    ],
)
async def test_a_running_retention_is_only_made_longer(
    engine: Engine, old: RetentionMode | None, amendment: Amendment, plainly: bool, bypassing: bool
) -> None:
    await engine.set_bucket_rules(BUCKET, LOCKS)
    retention = None if old is None else Retention(old, LATER_US)
    for may_bypass, is_allowed in ((False, plainly), (True, bypassing)):
        head = await put(engine, "key", b"x", properties=ObjectProperties(retention=retention))
        asked = Amendment(
            retention=amendment.retention,
            clear_retention=amendment.clear_retention,
            may_bypass=may_bypass,
        )
        expected = amendment.retention if is_allowed else retention
        if is_allowed:
            await engine.amend_object(BUCKET, "key", head.version_id, asked, now_us=NOW_US)
        else:
            with pytest.raises(ObjectLocked):
                await engine.amend_object(BUCKET, "key", head.version_id, asked, now_us=NOW_US)
        assert expected == (await engine.head_object(BUCKET, "key", head.version_id)).properties.retention


async def test_a_retention_that_has_ended_may_become_anything(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, LOCKS)
    ended = ObjectProperties(retention=Retention(COMPLIANCE, NOW_US))
    await put(engine, "key", b"x", properties=ended)
    after = await engine.amend_object(BUCKET, "key", None, Amendment(retention=SHORT), now_us=NOW_US)
    assert SHORT == after.properties.retention


async def test_a_hold_is_set_and_lifted_and_ends_the_retention_s_say(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, LOCKS)
    head = await put(engine, "key", b"x")
    await engine.amend_object(BUCKET, "key", head.version_id, Amendment(legal_hold=True), now_us=NOW_US)
    assert not await remove(engine, "key", head.version_id, may_bypass=True)
    await engine.amend_object(BUCKET, "key", head.version_id, Amendment(legal_hold=False), now_us=NOW_US)
    assert await remove(engine, "key", head.version_id)


async def test_tags_of_a_locked_version_may_change(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, LOCKS)
    await put(engine, "key", b"x", properties=EVERYTHING)
    after = await engine.amend_object(BUCKET, "key", None, Amendment(tags={"a": "b"}), now_us=NOW_US)
    assert ({"a": "b"}, EVERYTHING.retention, True) == (
        after.properties.tags,
        after.properties.retention,
        after.properties.legal_hold,
    )


# Default retention


@pytest.mark.parametrize("way", ["put", "complete", "copy"])
async def test_a_new_version_gets_the_bucket_s_default_from_its_commit_on(engine: Engine, way: str) -> None:
    await put(engine, "source", b"x")
    upload_id = await create_upload(engine, "key")
    part = await put_part(engine, "key", upload_id, 1, b"x")
    default = DefaultRetention(COMPLIANCE, days=3)
    await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED, True, default))
    if way == "put":
        head = await put(engine, "key", b"x", now_us=NOW_US)
    elif way == "complete":
        head = await complete(engine, "key", upload_id, [part], now_us=NOW_US)
    else:
        reader = await engine.open_object(BUCKET, "source")
        head = await engine.copy_object(
            reader, BUCKET, "key", properties=ObjectProperties(), condition=Condition(), now_us=NOW_US
        )
        reader.close()
    expected = Retention(COMPLIANCE, NOW_US + 3 * 86_400 * 1_000_000)
    assert expected == head.properties.retention
    assert head == (await engine.head_object(BUCKET, "key"))
    assert None is (await engine.head_object(BUCKET, "source")).properties.retention


async def test_a_retention_that_is_named_wins_over_the_default(engine: Engine) -> None:
    default = DefaultRetention(COMPLIANCE, days=3)
    await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED, True, default))
    head = await put(engine, "key", b"x", properties=ObjectProperties(retention=SHORT))
    assert SHORT == head.properties.retention


def _us(year: int, month: int, day: int) -> int:
    instant = datetime(year, month, day, 13, 14, 15, 161718, tzinfo=UTC)
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("begins", "years", "ends"),
    [
        ((2026, 11, 23), 1, (2027, 11, 23)),
        ((2028, 2, 29), 1, (2029, 2, 28)),
        ((2028, 2, 29), 4, (2032, 2, 29)),
        ((2096, 2, 29), 4, (2100, 2, 28)),
        ((2026, 12, 31), 100, (2126, 12, 31)),
    ],
)
def test_years_end_on_the_same_date(
    begins: tuple[int, int, int], years: int, ends: tuple[int, int, int]
) -> None:
    default = DefaultRetention(GOVERNANCE, years=years)
    assert Retention(GOVERNANCE, _us(*ends)) == default_until(default, now_us=_us(*begins))
