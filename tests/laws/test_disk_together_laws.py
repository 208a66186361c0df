"""Whether puts are made one by one or many in a batch, the same ones are refused and the same things are kept."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.settings import Durability, GatewaySettings
from gateway.storage.base import Engine
from gateway.storage.disk.engine import open_engine
from gateway.storage.errors import StorageError
from gateway.storage.model import BucketRules, Condition, ObjectProperties, Quota, Versioning
from meter.event import StorageLine
from meter.ids import BucketId, MemberId
from tests.contract.engine_model import complete, create_upload, get, put, put_part

PLAIN, SECOND, VERSIONED, MISSING = BucketId(1), BucketId(2), BucketId(3), BucketId(4)
OWNERS = {PLAIN: MemberId(7), SECOND: MemberId(7), VERSIONED: MemberId(8)}
KEYS = ("a", "b", "parts", "é\U0001f4a7\x00")
SETTINGS = GatewaySettings(inline_bytes_max=8, durability=Durability.RELAXED)
"""What is longer than 8 bytes becomes a file, and is committed alone: here it is only replaced."""

quotas = st.builds(
    Quota,
    st.none() | st.integers(min_value=0, max_value=40),
    st.none() | st.integers(min_value=0, max_value=60),
)
conditions = st.sampled_from(
    (
        Condition(),
        Condition(),
        Condition(if_none_match=True),
        Condition(if_match="*"),
        Condition(if_match="e1"),
    )
)


@dataclass(frozen=True)
class Asked:
    """A put as a client asks for it."""

    bucket: BucketId
    key: str
    size: int
    etag: str
    condition: Condition
    quota: Quota
    tagged: bool


asked_puts = st.builds(
    Asked,
    st.sampled_from((PLAIN, PLAIN, PLAIN, SECOND, VERSIONED, MISSING)),
    st.sampled_from(KEYS),
    st.integers(min_value=0, max_value=8),
    st.sampled_from(("e1", "e2")),
    conditions,
    quotas,
    st.booleans(),
)


async def answer(engine: Engine, asked: Asked, number: int) -> object:
    """What the client is told; of a version only that it has one, for its id is drawn by lot."""
    properties = ObjectProperties({"x-amz-meta-n": str(number)}, tags={"n": "1"} if asked.tagged else {})
    try:
        head = await put(
            engine, asked.key, bytes([number]) * asked.size, bucket=asked.bucket, etag=asked.etag,
            properties=properties, condition=asked.condition, now_us=1_000 + number, quota=asked.quota,
        )  # fmt: skip
    except StorageError as error:
        return type(error), error.args
    return head.size_bytes, head.etag, head.modified_us, bool(head.version_id), head.properties


async def kept(engine: Engine) -> object:
    """Every byte, head and sum that can be seen."""
    changes = await engine.outbox(after=0, limit=1000)
    assert list(range(1, len(changes) + 1)) == [change.sequence for change in changes]
    seen: list[object] = []
    for bucket in OWNERS:
        page = await engine.list_versions(
            bucket, prefix="", delimiter="", after_key="", after_version_id="", limit=1000
        )
        seen += [
            (version.key, version.modified_us, version.size_bytes, version.etag, version.is_latest)
            for version in page.versions
        ]
        for one in (await engine.list_objects(bucket, prefix="", delimiter="", after="", limit=1000)).objects:
            seen.append(
                (
                    one,
                    await get(engine, one.key, bucket=bucket),
                    (await engine.head_object(bucket, one.key)).properties,
                )
            )
        deltas = [change for change in changes if change.bucket == bucket]
        counted = [change.delta_bytes for change in deltas if change.line is not StorageLine.REMOVED]
        assert engine.stored_bytes(bucket) == sum(counted)
        seen.append([(change.member, change.line, change.delta_bytes, change.at_us) for change in deltas])
    return seen


async def run(directory: Path, puts: list[Asked], *, together: bool) -> tuple[list[object], object]:
    """The answers, and what is kept, of an engine that had an object of parts before."""
    engine = await open_engine(directory, SETTINGS)
    for bucket, owner in OWNERS.items():
        await engine.create_bucket(bucket, owner=owner)
    await engine.set_bucket_rules(VERSIONED, BucketRules(Versioning.ENABLED))
    upload_id = await create_upload(engine, "parts")
    await complete(
        engine, "parts", upload_id, [await put_part(engine, "parts", upload_id, n, b"12345") for n in (1, 2)]
    )
    await put(engine, "a", b"a file of twenty by.", now_us=1_000)
    work = [answer(engine, asked, number) for number, asked in enumerate(puts)]
    answers = await asyncio.gather(*work) if together else [await one for one in work]
    try:
        assert await engine.usage_totals() == {
            (bucket, line): total
            for bucket in OWNERS
            for line in (StorageLine.OBJECT, StorageLine.VERSION, StorageLine.REMOVED)
            if (total := await line_bytes(engine, bucket, line))
        }
        return answers, await kept(engine)
    finally:
        await engine.close()


async def line_bytes(engine: Engine, bucket: BucketId, line: StorageLine) -> int:
    """The sum of all changes of one line."""
    changes = await engine.outbox(after=0, limit=1000)
    return sum(one.delta_bytes for one in changes if (one.bucket, one.line) == (bucket, line))


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.lists(asked_puts, min_size=2, max_size=16))
def test_a_batch_answers_and_keeps_what_one_by_one_does(puts: list[Asked]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        alone = asyncio.run(run(Path(one), puts, together=False))
        assert alone == asyncio.run(run(Path(other), puts, together=True))
