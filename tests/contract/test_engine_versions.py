"""What every storage engine promises about versions and delete markers. Written against Engine only."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway.storage.base import Engine
from gateway.storage.errors import (
    BucketNotEmpty,
    InvalidRules,
    IsDeleteMarker,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    PreconditionFailed,
    StorageError,
)
from gateway.storage.model import (
    Amendment,
    BucketRules,
    Condition,
    DefaultRetention,
    Deleted,
    Deletion,
    ListedVersion,
    ObjectProperties,
    RetentionMode,
    StorageChange,
    Versioning,
)
from meter.event import StorageLine
from meter.ids import BucketId
from tests.contract.conftest import OpenEngine
from tests.contract.engine_model import (
    BUCKET,
    OWNER,
    complete,
    create_upload,
    get,
    put,
    put_part,
    read_range,
)

ENABLED = BucketRules(Versioning.ENABLED)
SUSPENDED = BucketRules(Versioning.SUSPENDED)
LOCKS = BucketRules(Versioning.ENABLED, locks=True)
DAYS = DefaultRetention(RetentionMode.GOVERNANCE, days=1)


async def names(
    engine: Engine, *, after: tuple[str, str] = ("", ""), limit: int = 1000
) -> list[tuple[str, str]]:
    page = await engine.list_versions(
        BUCKET, prefix="", delimiter="", after_key=after[0], after_version_id=after[1], limit=limit
    )
    return [(line.key, line.version_id) for line in page.versions]


async def delete_one(
    engine: Engine,
    key: str,
    version_id: str | None = None,
    *,
    condition: Condition | None = None,
    now_us: int = 5_000,
) -> Deleted:
    deletion = Deletion(key, version_id, condition or Condition())
    (answer,) = await engine.delete_objects(BUCKET, [deletion], now_us=now_us)
    return answer


# Rules


async def test_a_new_bucket_has_no_versions_and_no_locks(engine: Engine) -> None:
    assert BucketRules(Versioning.OFF, locks=False, default_retention=None) == (
        await engine.bucket_rules(BUCKET)
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ENABLED, BucketRules()),
        (SUSPENDED, BucketRules()),
        (LOCKS, ENABLED),
        (LOCKS, BucketRules(Versioning.SUSPENDED, locks=True)),
        (LOCKS, BucketRules()),
        (BucketRules(), BucketRules(Versioning.OFF, locks=True)),
        (ENABLED, BucketRules(Versioning.SUSPENDED, locks=True)),
        (ENABLED, BucketRules(Versioning.ENABLED, default_retention=DAYS)),
        (LOCKS, BucketRules(Versioning.ENABLED, True, DefaultRetention(RetentionMode.COMPLIANCE))),
        (LOCKS, BucketRules(Versioning.ENABLED, True, DefaultRetention(RetentionMode.COMPLIANCE, 1, 1))),
        (LOCKS, BucketRules(Versioning.ENABLED, True, DefaultRetention(RetentionMode.COMPLIANCE, -1))),
        (LOCKS, BucketRules(Versioning.ENABLED, True, DefaultRetention(RetentionMode.COMPLIANCE, 36_501))),
        (LOCKS, BucketRules(Versioning.ENABLED, True, DefaultRetention(RetentionMode.COMPLIANCE, 0, 101))),
    ],
)
async def test_rules_that_cannot_be_are_refused_and_change_nothing(
    engine: Engine, old: BucketRules, new: BucketRules
) -> None:
    await engine.set_bucket_rules(BUCKET, old)
    with pytest.raises(InvalidRules):
        await engine.set_bucket_rules(BUCKET, new)
    assert old == (await engine.bucket_rules(BUCKET))


@pytest.mark.parametrize(
    "way",
    [
        [ENABLED, SUSPENDED, ENABLED, LOCKS],
        [SUSPENDED, LOCKS],
        [LOCKS, BucketRules(Versioning.ENABLED, True, DAYS), LOCKS],
        [BucketRules(Versioning.ENABLED, True, DefaultRetention(RetentionMode.COMPLIANCE, years=100))],
    ],
)
async def test_rules_are_kept(engine: Engine, way: list[BucketRules]) -> None:
    for rules in way:
        await engine.set_bucket_rules(BUCKET, rules)
        assert rules == (await engine.bucket_rules(BUCKET))


async def test_rules_hold_in_every_engine_on_the_same_place(open_one: OpenEngine, tmp_path: Path) -> None:
    one, two = [await open_one(tmp_path / "engine") for _ in range(2)]
    await one.create_bucket(BUCKET, owner=OWNER)
    await put(two, "key", b"old")
    await one.set_bucket_rules(BUCKET, ENABLED)
    assert ENABLED == (await two.bucket_rules(BUCKET))
    head = await put(two, "key", b"new")
    assert [("key", head.version_id), ("key", "null")] == await names(one)
    await one.close()
    await two.close()


# Versions


async def test_each_write_makes_a_version_of_its_own(engine: Engine) -> None:
    await put(engine, "key", b"before")
    await engine.set_bucket_rules(BUCKET, ENABLED)
    heads = [await put(engine, "key", data, now_us=3_000) for data in (b"one", os.urandom(5000), b"three")]
    ids = [head.version_id for head in heads]
    assert len({*ids, "", "null"}) == 5
    assert [("key", name) for name in [*reversed(ids), "null"]] == await names(engine)
    assert b"three" == await get(engine, "key") == await get(engine, "key", ids[2])
    assert b"one" == await get(engine, "key", ids[0])
    assert b"before" == await get(engine, "key", "null")
    assert heads == [await engine.head_object(BUCKET, "key", version_id) for version_id in ids]
    assert "null" == (await engine.head_object(BUCKET, "key", "null")).version_id


async def test_later_versions_have_later_times_also_when_the_clock_is_set_back(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    heads = [await put(engine, "key", b"x", now_us=now_us) for now_us in (9_000, 9_000, 4_000)]
    assert [9_000, 9_001, 9_002] == [head.modified_us for head in heads]


async def test_a_copy_of_an_old_version_is_a_new_version(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    old = await put(engine, "key", b"old", etag="old")
    await put(engine, "key", b"new")
    reader = await engine.open_object(BUCKET, "key", old.version_id)
    copy = await engine.copy_object(
        reader, BUCKET, "key", properties=ObjectProperties(), condition=Condition(), now_us=9_000
    )
    reader.close()
    assert b"old" == await get(engine, "key")
    assert ("old", 9_000) == (copy.etag, copy.modified_us)
    assert 3 == len({version_id for _, version_id in await names(engine)})


async def test_an_open_reader_keeps_the_bytes_of_a_removed_version(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    data = os.urandom(50_000)
    head = await put(engine, "key", data)
    reader = await engine.open_object(BUCKET, "key", head.version_id)
    await delete_one(engine, "key", head.version_id)
    assert data == read_range(reader, 0, len(data))
    reader.close()


async def test_what_is_not_there_has_its_own_error(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    head = await put(engine, "key", b"x")
    for key, version_id in (("key", "null"), ("key", "3" * 32), ("other", head.version_id)):
        for ask in (engine.head_object, engine.open_object):
            with pytest.raises(NoSuchVersion) as refused:
                await ask(BUCKET, key, version_id)
            assert (key, version_id) == refused.value.args
    with pytest.raises(NoSuchBucket):
        await engine.head_object(BucketId(99), "key", head.version_id)
    with pytest.raises(NoSuchBucket):
        await engine.bucket_rules(BucketId(99))
    with pytest.raises(NoSuchBucket):
        await engine.set_bucket_rules(BucketId(99), ENABLED)
    with pytest.raises(NoSuchBucket):
        await engine.list_versions(
            BucketId(99), prefix="", delimiter="", after_key="", after_version_id="", limit=1
        )
    with pytest.raises(NoSuchBucket):
        await engine.amend_object(BucketId(99), "key", None, Amendment(), now_us=1)


async def test_old_versions_and_markers_keep_a_bucket_from_being_deleted(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    head = await put(engine, "key", b"x")
    marker = (await delete_one(engine, "key")).marker_version_id
    with pytest.raises(BucketNotEmpty):
        await engine.delete_bucket(BUCKET)
    await delete_one(engine, "key", head.version_id)
    with pytest.raises(BucketNotEmpty):
        await engine.delete_bucket(BUCKET)
    await delete_one(engine, "key", marker)
    await engine.delete_bucket(BUCKET)
    with pytest.raises(NoSuchBucket):
        await engine.bucket_rules(BUCKET)


# Delete markers


async def test_a_marker_hides_the_key_and_goes_like_a_version(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    head = await put(engine, "key", b"data", now_us=1_000)
    marker = await delete_one(engine, "key", now_us=2_000)
    assert (True, True, "", None) == (marker.is_marker, marker.existed, marker.version_id, marker.error)
    for ask in (engine.head_object, engine.open_object):
        with pytest.raises(NoSuchKey) as hidden:
            await ask(BUCKET, "key")
        assert marker.marker_version_id == hidden.value.marker_version_id
        with pytest.raises(IsDeleteMarker) as named:
            await ask(BUCKET, "key", marker.marker_version_id)
        assert ("key", marker.marker_version_id, 2_000) == named.value.args
    assert b"data" == await get(engine, "key", head.version_id)
    expected = Deleted("key", marker.marker_version_id, True, marker.marker_version_id, existed=True)
    assert expected == await delete_one(engine, "key", marker.marker_version_id)
    assert head == (await engine.head_object(BUCKET, "key"))


async def test_a_key_that_never_was_can_be_hidden(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    marker = await delete_one(engine, "nothing")
    assert (True, False) == (marker.is_marker, marker.existed)
    assert [("nothing", marker.marker_version_id)] == await names(engine)
    assert Deleted("nothing", "unknown") == await delete_one(engine, "nothing", "unknown")


async def test_suspended_writes_and_markers_replace_the_null_version_only(engine: Engine) -> None:
    await put(engine, "key", b"before")
    await engine.set_bucket_rules(BUCKET, ENABLED)
    kept = await put(engine, "key", b"kept")
    await engine.set_bucket_rules(BUCKET, SUSPENDED)
    assert "null" == (await put(engine, "key", b"suspended")).version_id
    assert [("key", "null"), ("key", kept.version_id)] == await names(engine)
    assert b"suspended" == await get(engine, "key", "null")
    assert "null" == (await delete_one(engine, "key")).marker_version_id
    assert "null" == (await delete_one(engine, "key")).marker_version_id
    assert [("key", "null"), ("key", kept.version_id)] == await names(engine)
    with pytest.raises(IsDeleteMarker):
        await engine.head_object(BUCKET, "key", "null")
    await put(engine, "key", b"again")
    assert [("key", "null"), ("key", kept.version_id)] == await names(engine)
    assert b"again" == await get(engine, "key")


# Conditions


async def test_a_key_behind_a_marker_does_not_exist_for_conditions(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    await put(engine, "key", b"old", etag="e")
    marker = (await delete_one(engine, "key")).marker_version_id
    for condition in (Condition(if_match="e"), Condition(if_match="*"), Condition(modified_us=1_000)):
        with pytest.raises(NoSuchKey) as refused:
            await put(engine, "key", b"no", condition=condition)
        assert marker == refused.value.marker_version_id
    await put(engine, "key", b"new", condition=Condition(if_none_match=True))
    assert b"new" == await get(engine, "key")


async def test_of_a_hundred_creators_of_versions_one_wins(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)

    async def create(number: int) -> int | None:
        try:
            await put(engine, "key", bytes([number]) * 9, condition=Condition(if_none_match=True))
        except PreconditionFailed:
            return None
        return number

    winners = [number for number in await asyncio.gather(*map(create, range(100))) if number is not None]
    assert 1 == len(winners) == len(await names(engine))
    assert bytes(winners) * 9 == await get(engine, "key")


@pytest.mark.parametrize("rules", [None, ENABLED], ids=["off", "enabled"])
async def test_conditional_deletes_are_decided_one_by_one(engine: Engine, rules: BucketRules | None) -> None:
    if rules is not None:
        await engine.set_bucket_rules(BUCKET, rules)
    for key in ("a", "b", "c", "d", "e", "f"):
        await put(engine, key, b"x", etag=f"tag-{key}", now_us=1_000)
    answers = await engine.delete_objects(
        BUCKET,
        [
            Deletion("a", condition=Condition(if_match="other")),
            Deletion("b", condition=Condition(if_match="tag-b")),
            Deletion("c", condition=Condition(if_match="*")),
            Deletion("d", condition=Condition(modified_us=999)),
            Deletion("e", condition=Condition(modified_us=1_000)),
            Deletion("missing", condition=Condition(if_match="*")),
            Deletion("missing", condition=Condition(modified_us=1)),
            Deletion("f"),
        ],
        now_us=2_000,
    )
    refused: list[type[StorageError] | None] = [
        None if answer.error is None else type(answer.error) for answer in answers
    ]
    assert [PreconditionFailed, None, None, PreconditionFailed, None, NoSuchKey, NoSuchKey, None] == refused
    page = await engine.list_objects(BUCKET, prefix="", delimiter="", after="", limit=10)
    assert ["a", "d"] == [listed.key for listed in page.objects]


async def test_a_condition_is_held_against_the_version_named(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    old = await put(engine, "key", b"old", etag="old", now_us=1_000)
    new = await put(engine, "key", b"new", etag="new", now_us=2_000)
    for condition in (Condition(if_match="new"), Condition(modified_us=2_000)):
        answer = await delete_one(engine, "key", old.version_id, condition=condition)
        assert isinstance(answer.error, PreconditionFailed)
        assert not answer.existed
    gone = await delete_one(engine, "key", "3" * 32, condition=Condition(modified_us=1))
    assert isinstance(gone.error, NoSuchVersion)
    assert 2 == len(await names(engine))
    answer = await delete_one(
        engine, "key", old.version_id, condition=Condition(if_match="old", modified_us=1_000)
    )
    assert Deleted("key", old.version_id, existed=True) == answer
    marker = await delete_one(engine, "key", now_us=3_000)
    stale = await delete_one(engine, "key", marker.marker_version_id, condition=Condition(modified_us=2_999))
    assert isinstance(stale.error, PreconditionFailed)
    await delete_one(engine, "key", marker.marker_version_id, condition=Condition(modified_us=3_000))
    assert new == (await engine.head_object(BUCKET, "key"))


# Uploads


async def test_a_complete_again_answers_the_same_version_also_when_it_is_superseded(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    upload_id = await create_upload(engine, "key")
    parts = [await put_part(engine, "key", upload_id, n, b"x" * 2000) for n in (1, 2)]
    first = await complete(engine, "key", upload_id, parts)
    await put(engine, "key", b"later")
    await delete_one(engine, "key")
    assert first == await complete(engine, "key", upload_id, parts)
    assert 3 == len(await names(engine))
    await delete_one(engine, "key", first.version_id)
    with pytest.raises(NoSuchUpload):
        await complete(engine, "key", upload_id, parts)


async def test_a_complete_again_never_answers_a_marker_or_another_null_version(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, SUSPENDED)
    upload_id = await create_upload(engine, "key")
    part = await put_part(engine, "key", upload_id, 1, b"x")
    await complete(engine, "key", upload_id, [part])
    await delete_one(engine, "key")
    with pytest.raises(NoSuchUpload):
        await complete(engine, "key", upload_id, [part])
    await put(engine, "key", b"other")
    with pytest.raises(NoSuchUpload):
        await complete(engine, "key", upload_id, [part])


# Bytes and lists


async def test_what_stops_being_current_moves_to_its_own_line_in_the_same_commit(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    await put(engine, "key", b"x" * 100, now_us=10)
    head = await put(engine, "key", b"x" * 30, now_us=20)
    await delete_one(engine, "key", now_us=30)
    await delete_one(engine, "key", head.version_id, now_us=40)
    marker = (await names(engine))[0][1]
    await delete_one(engine, "key", marker, now_us=50)
    objects, versions = StorageLine.OBJECT, StorageLine.VERSION
    expected = [
        (objects, 100, 10),
        (objects, -70, 20),
        (versions, 100, 20),
        (objects, -30, 30),
        (versions, 30, 30),
        (versions, -30, 40),
        (objects, 100, 50),
        (versions, -100, 50),
    ]
    assert tuple(
        StorageChange(sequence, OWNER, BUCKET, line, delta, at_us)
        for sequence, (line, delta, at_us) in enumerate(expected, start=1)
    ) == await engine.outbox(after=0, limit=100)


async def test_a_line_of_the_list_tells_all_of_a_version(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    old = await put(
        engine, "key", b"four", etag="tag", properties=ObjectProperties(tags={"a": "b"}), now_us=1_000
    )
    marker = (await delete_one(engine, "key", now_us=2_000)).marker_version_id
    page = await engine.list_versions(
        BUCKET, prefix="", delimiter="", after_key="", after_version_id="", limit=10
    )
    assert (
        ListedVersion("key", marker, True, True, 0, "", 2_000),
        ListedVersion(
            "key", old.version_id, False, False, 4, "tag", 1_000, superseded_us=2_000, tags={"a": "b"}
        ),
    ) == page.versions
    assert page.next_after is None


async def test_a_list_goes_on_behind_a_version_that_is_gone(engine: Engine) -> None:
    await put(engine, "key", b"x", now_us=500)
    await engine.set_bucket_rules(BUCKET, ENABLED)
    for now_us in (1_000, 2_000, 3_000):
        await put(engine, "key", b"x", now_us=now_us)
    await put(engine, "next", b"x")
    newest, second, third, *rest = await names(engine)
    for gone in (third, second, newest):
        await delete_one(engine, *gone)
        assert rest == await names(engine, after=gone)


async def test_a_list_behind_a_gone_null_version_loses_nothing(engine: Engine) -> None:
    await engine.set_bucket_rules(BUCKET, ENABLED)
    oldest = await put(engine, "key", b"x", now_us=1_000)
    await engine.set_bucket_rules(BUCKET, SUSPENDED)
    await put(engine, "key", b"x", now_us=2_000)
    await delete_one(engine, "key", "null")
    assert [("key", oldest.version_id)] == await names(engine, after=("key", "null"))
    assert [] == await names(engine, limit=0)
