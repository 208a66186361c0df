"""Lifecycle rules over real engine and real door: what goes, what stays, and what it costs nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError

from gateway.call import Reply, Services, Subject
from gateway.lifecycle import DAY_US, Fate
from gateway.lifecycle_run import Look, Summary, count
from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import open_engine
from gateway.storage.model import (
    NO_CONDITION,
    Arriving,
    BucketRules,
    Deletion,
    ObjectProperties,
    Retention,
    RetentionMode,
    Versioning,
)
from meter.event import StorageLine
from meter.ids import BucketId
from meter.metrics import Registry
from tests.integration.door_kit import NOW_US, Door, MemoryDirectory

BUCKET = BucketId(1)
MIDNIGHT_US = NOW_US - NOW_US % DAY_US


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    settings = GatewaySettings(data=tmp_path, lifecycle_batch_max=3, part_bytes_min=1)
    engine = await open_engine(tmp_path / "engine", settings)
    directory = MemoryDirectory()
    door = Door(Services(engine, directory, settings), directory)
    await door.ask("PUT", "/abc")
    yield door
    await engine.close()


async def set_rules(door: Door, *rules: str) -> Reply:
    inner = "".join(f"<Rule><Status>Enabled</Status>{rule}</Rule>" for rule in rules)
    document = f"<LifecycleConfiguration>{inner}</LifecycleConfiguration>".encode()
    return await door.ask("PUT", "/abc", {"lifecycle": ""}, body=document)


async def look(door: Door, *, days: int, steps: list[str] | None = None) -> Summary:
    """A look so many days after everything was written."""

    async def rest(seconds: float) -> None:
        assert 0.05 == seconds
        if steps is not None:
            steps.append("rest")

    one = Look(
        door.services.engine, door.services.settings, door.directory.bucket,
        clock=lambda: MIDNIGHT_US + days * DAY_US, rest=rest,
    )  # fmt: skip
    return await one.through(list(door.directory.known))


async def versions(door: Door) -> list[tuple[str, bool, bool]]:
    """(key, is latest, is marker)"""
    listing = await door.services.engine.list_versions(
        BUCKET, prefix="", delimiter="", after_key="", after_version_id="", limit=1000
    )
    return [(one.key, one.is_latest, one.is_marker) for one in listing.versions]


EXPIRE = "<Filter><Prefix>{}</Prefix></Filter><Expiration><Days>{}</Days></Expiration>"
NONCURRENT = (
    "<Filter><Prefix></Prefix></Filter><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
    "<NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
)
MARKERS = (
    "<Filter><Prefix></Prefix></Filter>"
    "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
)
ABORT = (
    "<Filter><Prefix>a</Prefix></Filter><AbortIncompleteMultipartUpload>"
    "<DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
)


async def put(door: Door, key: str, data: bytes = b"12345", *, at_us: int = NOW_US, **properties: Any) -> str:
    """An object, written at NOW_US; its version id."""
    staged = await door.services.engine.stage(Arriving(BUCKET, "key", 0))
    await staged.write(data)
    head = await door.services.engine.put_object(
        BUCKET,
        key,
        staged,
        etag="e",
        properties=ObjectProperties(**properties),
        condition=NO_CONDITION,
        now_us=at_us,
    )
    return head.version_id


async def version_the_bucket(door: Door, **rules: Any) -> None:
    await door.services.engine.set_bucket_rules(BUCKET, BucketRules(versioning=Versioning.ENABLED, **rules))


async def bytes_by_line(door: Door) -> dict[StorageLine, int]:
    """What the outbox sums up to."""
    sums: Counter[StorageLine] = Counter()
    for change in await door.services.engine.outbox(after=0, limit=10_000):
        sums[change.line] += change.delta_bytes
    return {line: total for line, total in sums.items() if total}


async def test_objects_go_when_their_day_has_come_and_not_before(door: Door) -> None:
    for number in range(8):
        await put(door, f"logs/{number}")
    await put(door, "kept")
    await set_rules(door, EXPIRE.format("logs/", 3))
    steps: list[str] = []
    assert Counter() == (await look(door, days=3, steps=steps)).gone
    # Eight keys under the prefix, three a step.
    assert ["rest"] * 3 == steps
    summary = await look(door, days=4)
    assert ({Fate.EXPIRED: 8}, {}, 8, 1) == (summary.gone, summary.refused, summary.seen, summary.buckets)
    assert [("kept", True, False)] == await versions(door)
    assert {StorageLine.OBJECT: 5} == await bytes_by_line(door)
    assert Counter() == (await look(door, days=400)).gone


async def test_tags_and_sizes_choose(door: Door) -> None:
    await put(door, "tagged", tags={"keep": "no"})
    await put(door, "other", tags={"keep": "yes"})
    await put(door, "big", b"x" * 100)
    await set_rules(
        door,
        "<Filter><Tag><Key>keep</Key><Value>no</Value></Tag></Filter><Expiration><Days>1</Days></Expiration>",
        "<Filter><ObjectSizeGreaterThan>99</ObjectSizeGreaterThan></Filter>"
        "<Expiration><Date>2023-01-01</Date></Expiration>",
    )
    assert {Fate.EXPIRED: 2} == (await look(door, days=2)).gone
    assert [("other", True, False)] == await versions(door)


async def test_a_disabled_rule_and_no_rule_do_nothing(door: Door) -> None:
    await put(door, "k")
    assert 0 == (await look(door, days=99)).buckets
    document = f"<LifecycleConfiguration><Rule><Status>Disabled</Status>{EXPIRE.format('', 1)}</Rule></LifecycleConfiguration>"
    await door.ask("PUT", "/abc", {"lifecycle": ""}, body=document.encode())
    summary = await look(door, days=99)
    assert (1, 0) == (summary.buckets, summary.seen)
    await set_rules(door, EXPIRE.format("", 1))
    assert 204 == (await door.ask("DELETE", "/abc", {"lifecycle": ""})).status
    assert 0 == (await look(door, days=99)).buckets
    assert [("k", True, False)] == await versions(door)


async def test_what_was_written_after_the_listing_is_not_lost(door: Door) -> None:
    """The rest between pages is where a member writes again."""
    for key in "abcd":
        await put(door, key)
    await set_rules(door, EXPIRE.format("", 1))
    engine = door.services.engine
    listed = engine.list_versions

    async def list_and_overwrite(*arguments: Any, **more: Any) -> Any:
        page = await listed(*arguments, **more)
        if any(one.key == "a" for one in page.versions):
            await put(door, "a", b"newer", at_us=MIDNIGHT_US + 2 * DAY_US)
        return page

    engine.list_versions = list_and_overwrite  # type: ignore[method-assign]
    summary = await look(door, days=2)
    assert ({Fate.EXPIRED: 3}, {"changed": 1}) == (summary.gone, summary.refused)
    engine.list_versions = listed  # type: ignore[method-assign]
    assert [("a", True, False)] == await versions(door)


async def test_in_a_bucket_with_versions_expiry_hides_and_the_rest_follows(door: Door) -> None:
    await version_the_bucket(door)
    for _ in range(4):
        await put(door, "k")
    await set_rules(door, EXPIRE.format("", 1), NONCURRENT, MARKERS)
    # Versions superseded on the first day: of three noncurrent ones the newest stays.
    first = await look(door, days=2)
    assert {Fate.EXPIRED: 1, Fate.NONCURRENT: 2} == first.gone
    assert [("k", True, True), ("k", False, False), ("k", False, False)] == await versions(door)
    assert {StorageLine.VERSION: 10} == await bytes_by_line(door)
    # The marker superseded the last one two days later, so now that one is the one that is kept.
    second = await look(door, days=5)
    assert {Fate.NONCURRENT: 1} == second.gone
    assert [("k", True, True), ("k", False, False)] == await versions(door)


async def test_a_marker_with_nothing_behind_it_goes(door: Door) -> None:
    await version_the_bucket(door)
    await door.services.engine.delete_objects(BUCKET, [Deletion("lone")], now_us=NOW_US)
    await put(door, "hidden")
    await door.services.engine.delete_objects(BUCKET, [Deletion("hidden")], now_us=NOW_US)
    await set_rules(door, MARKERS)
    assert {Fate.MARKER: 1} == (await look(door, days=0)).gone
    assert [("hidden", True, True), ("hidden", False, False)] == await versions(door)


async def test_locks_hold_and_are_counted(door: Door) -> None:
    await version_the_bucket(door, locks=True)
    until_us = MIDNIGHT_US + 30 * DAY_US
    locked = await put(door, "k", retention=Retention(RetentionMode.GOVERNANCE, until_us))
    await put(door, "held", legal_hold=True)
    await put(door, "held")
    await put(door, "k")
    rules = NONCURRENT.replace("<NewerNoncurrentVersions>1</NewerNoncurrentVersions>", "")
    await set_rules(door, rules)
    summary = await look(door, days=9)
    assert ({}, {"locked": 2}) == (summary.gone, summary.refused)
    assert locked == (await door.services.engine.head_object(BUCKET, "k", locked)).version_id
    assert ({Fate.NONCURRENT: 1}, {"locked": 1}) == (
        (last := await look(door, days=31)).gone, last.refused,
    )  # fmt: skip


async def test_uploads_nobody_completes_are_aborted(door: Door) -> None:
    for key in ("a", "a", "ab", "b"):
        answer = await door.ask("POST", f"/abc/{key}", {"uploads": ""})
        upload_id = answer.body.decode().partition("<UploadId>")[2].partition("<")[0]
        await door.ask("PUT", f"/abc/{key}", {"uploadId": upload_id, "partNumber": "1"}, body=b"12345")
    await set_rules(door, ABORT)
    assert Counter() == (await look(door, days=2)).gone
    assert {Fate.UPLOAD: 3} == (await look(door, days=3)).gone
    uploads, _ = await door.services.engine.list_uploads(
        BUCKET, prefix="", after_key="", after_upload_id="", limit=9
    )
    assert ["b"] == [one.key for one in uploads]
    assert {StorageLine.PART: 5} == await bytes_by_line(door)


async def test_a_bucket_that_fails_does_not_stop_the_others(door: Door) -> None:
    await door.ask("PUT", "/xyz")
    await door.ask("PUT", "/xyz/k", body=b"x")
    await set_rules(door, EXPIRE.format("", 1))
    kept = door.directory.known["abc"].documents[Subject.LIFECYCLE]
    await door.directory.set_document(door.directory.known["xyz"], Subject.LIFECYCLE, kept, now_us=1)
    # Its place is gone and its name is still there, as after a crash.
    await door.services.engine.delete_bucket(BUCKET)
    summary = await look(door, days=100_000)
    assert ({Fate.EXPIRED: 1}, 2) == (summary.gone, summary.buckets)


async def test_headers_announce_what_will_happen(door: Door) -> None:
    await set_rules(
        door,
        "<ID>old logs</ID>" + EXPIRE.format("logs/", 3),
        "<ID>a &quot;b&quot;&#10;</ID>" + ABORT,
    )
    put_answer = await door.ask("PUT", "/abc/logs/1", body=b"x")
    expected = put_answer.headers["x-amz-expiration"]
    written = (await door.services.engine.head_object(BUCKET, "logs/1")).modified_us
    due = datetime.fromtimestamp((written // DAY_US + 4) * 86_400, UTC)
    assert f'expiry-date="{due:%a, %d %b %Y} 00:00:00 GMT", rule-id="old%20logs"' == expected
    for method in ("GET", "HEAD"):
        assert expected == (await door.ask(method, "/abc/logs/1")).headers["x-amz-expiration"]
    copied = await door.ask("PUT", "/abc/logs/2", headers={"x-amz-copy-source": "/abc/logs/1"})
    assert "x-amz-expiration" in copied.headers
    assert "x-amz-expiration" not in (await door.ask("PUT", "/abc/other", body=b"x")).headers
    created = await door.ask("POST", "/abc/a", {"uploads": ""})
    # Days after initiation: two, from the door's own instant, up to the next midnight.
    due = datetime.fromtimestamp(NOW_US // 10**6, UTC).replace(hour=0, minute=0, second=0) + timedelta(days=3)
    assert f"{due:%a, %d %b %Y} 00:00:00 GMT" == created.headers["x-amz-abort-date"]
    assert quote('a "b"\n') == created.headers["x-amz-abort-rule-id"]
    upload_id = created.body.decode().partition("<UploadId>")[2].partition("<")[0]
    listed = await door.ask("GET", "/abc/a", {"uploadId": upload_id})
    assert created.headers["x-amz-abort-date"] == listed.headers["x-amz-abort-date"]


def test_a_look_is_counted() -> None:
    registry = Registry()
    summary = Summary(buckets=1, seen=7, gone=Counter({Fate.EXPIRED: 2}), refused=Counter(locked=1))
    assert "1 buckets, 7 seen, 2 expired, 1 locked" == str(summary)
    count(summary, registry)
    count(summary, registry)
    assert {
        "weir_gateway_lifecycle_looks_total": 2,
        "weir_gateway_lifecycle_seen_total": 14,
        'weir_gateway_lifecycle_removed_total{reason="expired"}': 4,
        'weir_gateway_lifecycle_refused_total{reason="locked"}': 2,
    } == registry.counters


def test_a_client_sets_rules_and_hears_them(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    rules = [
        {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "a"}, "Expiration": {"Days": 1}},
        {
            "ID": "u", "Status": "Enabled", "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
    ]  # fmt: skip
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": rules},
        TransitionDefaultMinimumObjectSize="varies_by_storage_class",
    )  # fmt: skip
    told = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert (rules, "varies_by_storage_class") == (told["Rules"], told["TransitionDefaultMinimumObjectSize"])
    assert 'rule-id="r"' in s3.put_object(Bucket=bucket, Key="a", Body=b"")["Expiration"]
    assert "u" == s3.create_multipart_upload(Bucket=bucket, Key="a")["AbortRuleId"]
    s3.delete_bucket_lifecycle(Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert "Expiration" not in s3.head_object(Bucket=bucket, Key="a")
