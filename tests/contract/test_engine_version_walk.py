"""A random walk over one bucket, every step held against plain Python lists. Written against Engine only."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from gateway.storage.base import Engine
from gateway.storage.errors import IsDeleteMarker, NoSuchKey, NoSuchVersion
from gateway.storage.model import (
    NO_CONDITION,
    Amendment,
    BucketRules,
    Deletion,
    ListedVersion,
    ObjectProperties,
    Versioning,
    VersionListing,
)
from meter.event import StorageLine
from tests.contract.engine_model import BUCKET, complete, create_upload, get, put, put_part
from tests.contract.version_model import NULL, Version, VersionedBucket

KEYS = ("a", "a/1", "a/2", "b/x/1", "é")
SIZES = (0, 1, 700, 1024, 1025, 3000)
STEPS = 120


class Walk:
    """One walk: the engine, the model, and a clock that is sometimes set back."""

    def __init__(self, engine: Engine, dice: random.Random) -> None:
        self.engine = engine
        self.dice = dice
        self.model = VersionedBucket()
        self.now_us = 10**15
        self.gone: list[tuple[str, str]] = []

    async def step(self) -> None:
        self.now_us += self.dice.choice((0, 1, 1000, 10**6, -(10**7)))
        await self.dice.choice(
            (self.put, self.put, self.copy, self.complete, self.delete, self.remove, self.remove, self.tag)
        )()

    def any_version(self) -> tuple[str, str]:
        ids = [(key, v.version_id) for key, versions in self.model.history.items() for v in versions]
        return self.dice.choice([*ids, *self.gone[-3:], ("a", "3" * 32), ("nothing", NULL)])

    async def turn(self) -> None:
        """From OFF to a history, and to and fro after that."""
        self.model.versioning = self.dice.choice(
            (Versioning.ENABLED, Versioning.ENABLED, Versioning.SUSPENDED)
        )
        await self.engine.set_bucket_rules(BUCKET, BucketRules(self.model.versioning))

    def data(self) -> bytes:
        return self.dice.randbytes(self.dice.choice(SIZES))

    async def put(self) -> None:
        key, data = self.dice.choice(KEYS), self.data()
        head = await put(self.engine, key, data, etag=data.hex()[:9], now_us=self.now_us)
        self.model.write(key, head.version_id or NULL, data)

    async def copy(self) -> None:
        key, version_id = self.any_version()
        data = next((v.data for v in self.model.history.get(key, []) if v.version_id == version_id), None)
        if data is None:
            return
        target = self.dice.choice(KEYS)
        reader = await self.engine.open_object(BUCKET, key, version_id)
        head = await self.engine.copy_object(
            reader, BUCKET, target, properties=ObjectProperties(), condition=NO_CONDITION, now_us=self.now_us
        )
        reader.close()
        self.model.write(target, head.version_id or NULL, data)

    async def complete(self) -> None:
        key, datas = self.dice.choice(KEYS), [self.data(), self.data(), self.data()]
        upload_id = await create_upload(self.engine, key, now_us=self.now_us)
        parts = [await put_part(self.engine, key, upload_id, n + 1, data) for n, data in enumerate(datas)]
        head = await complete(self.engine, key, upload_id, parts, now_us=self.now_us)
        self.model.write(key, head.version_id or NULL, b"".join(datas))
        assert head == await complete(self.engine, key, upload_id, parts, now_us=self.now_us)

    async def delete(self) -> None:
        key = self.dice.choice(KEYS)
        existed = key in self.model.current()
        (answer,) = await self.engine.delete_objects(BUCKET, [Deletion(key)], now_us=self.now_us)
        assert (existed, "", None) == (answer.existed, answer.version_id, answer.error)
        assert answer.is_marker == bool(answer.marker_version_id)
        self.model.delete(key, answer.marker_version_id)

    async def remove(self) -> None:
        named = [self.any_version() for _ in range(self.dice.randint(1, 3))]
        answers = await self.engine.delete_objects(
            BUCKET, [Deletion(key, version_id) for key, version_id in named], now_us=self.now_us
        )
        for (key, version_id), answer in zip(named, answers, strict=True):
            removed = self.model.remove(key, version_id)
            is_marker = removed is not None and removed.data is None
            assert (removed is not None, version_id, is_marker, version_id if is_marker else "") == (
                answer.existed,
                answer.version_id,
                answer.is_marker,
                answer.marker_version_id,
            )
            self.gone.append((key, version_id))

    async def tag(self) -> None:
        key, version_id = self.any_version()
        found = next((v for v in self.model.history.get(key, []) if v.version_id == version_id), None)
        amendment = Amendment(tags={"step": str(self.now_us)})
        if found is None or found.data is None:
            with pytest.raises(NoSuchVersion if found is None else IsDeleteMarker):
                await self.engine.amend_object(BUCKET, key, version_id, amendment, now_us=self.now_us)
            return
        await self.engine.amend_object(BUCKET, key, version_id, amendment, now_us=self.now_us)
        found.tags = {"step": str(self.now_us)}

    async def listed(
        self, *, prefix: str = "", delimiter: str = "", after: tuple[str, str] = ("", ""), limit: int = 1000
    ) -> VersionListing:
        return await self.engine.list_versions(
            BUCKET,
            prefix=prefix,
            delimiter=delimiter,
            after_key=after[0],
            after_version_id=after[1],
            limit=limit,
        )

    async def compare(self) -> None:
        await self.compare_history()
        await self.compare_page()
        await self.compare_bytes()
        await self.compare_sums()

    async def compare_history(self) -> None:
        listing = await self.listed()
        history: dict[str, list[ListedVersion]] = {}
        for line in listing.versions:
            history.setdefault(line.key, []).append(line)
        assert list(history) == sorted(self.model.history, key=str.encode)
        for key, lines in history.items():
            assert [_told(version) for version in self.model.history[key]] == [
                (line.version_id, line.is_marker, line.size_bytes, dict(line.tags)) for line in lines
            ]
            assert [True, *[False] * (len(lines) - 1)] == [line.is_latest for line in lines]
            times = [line.modified_us for line in lines]
            assert times == sorted(set(times), reverse=True)
            assert lines[0].superseded_us is None
            assert all(
                line.superseded_us is not None and line.superseded_us > line.modified_us for line in lines[1:]
            )

    async def compare_page(self) -> None:
        prefix, delimiter = self.dice.choice(("", "", "a", "a/", "b")), self.dice.choice(("", "/"))
        limit = self.dice.randint(1, 4)
        after = ("", "")
        for _ in range(100):
            versions, prefixes, last = self.model.page(
                prefix=prefix, delimiter=delimiter, after=after, limit=limit
            )
            page = await self.listed(prefix=prefix, delimiter=delimiter, after=after, limit=limit)
            assert [(key, v.version_id) for key, v in versions] == [
                (line.key, line.version_id) for line in page.versions
            ]
            assert prefixes == list(page.prefixes)
            assert last == page.next_after
            if last is None:
                return
            after = last
        raise AssertionError("the pages do not end")

    async def compare_bytes(self) -> None:
        for key in KEYS:
            for version in self.model.history.get(key, []):
                if version.data is None:
                    with pytest.raises(IsDeleteMarker):
                        await self.engine.open_object(BUCKET, key, version.version_id)
                else:
                    assert version.data == await get(self.engine, key, version.version_id)
            current = self.model.current().get(key)
            if current is not None:
                assert current == await get(self.engine, key)
                continue
            with pytest.raises(NoSuchKey) as hidden:
                await self.engine.head_object(BUCKET, key)
            markers = self.model.history.get(key, [])[:1]
            assert [version.version_id for version in markers] == [
                name for name in [hidden.value.marker_version_id] if name
            ]
        for key, version_id in self.gone:
            if version_id not in [version.version_id for version in self.model.history.get(key, [])]:
                with pytest.raises(NoSuchVersion):
                    await self.engine.head_object(BUCKET, key, version_id)

    async def compare_sums(self) -> None:
        page = await self.engine.list_objects(BUCKET, prefix="", delimiter="", after="", limit=1000)
        assert sorted(self.model.current(), key=str.encode) == [listed.key for listed in page.objects]
        objects, versions = self.model.bytes_of_lines()
        sums: Counter[StorageLine] = Counter()
        for change in await self.engine.outbox(after=0, limit=100_000):
            sums[change.line] += change.delta_bytes
        assert (objects, versions, 0) == tuple(
            sums[line] for line in (StorageLine.OBJECT, StorageLine.VERSION, StorageLine.PART)
        )
        assert objects + versions == self.engine.stored_bytes(BUCKET)


def _told(version: Version) -> tuple[str, bool, int, dict[str, str]]:
    return version.version_id, version.data is None, len(version.data or b""), version.tags


@pytest.mark.parametrize("number", range(4))
async def test_a_versioned_bucket_is_what_plain_lists_say(engine: Engine, seed: int, number: int) -> None:
    walk = Walk(engine, random.Random(seed + number))
    for step in range(STEPS):
        if step in (15, 60, 75, 90, 105):
            await walk.turn()
        await walk.step()
        await walk.compare()
    assert walk.model.history
