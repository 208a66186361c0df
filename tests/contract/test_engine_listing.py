"""Listings of every storage engine against S3's rules in plain Python, on generated keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.storage.base import Engine
from meter.ids import BucketId
from tests.contract.conftest import OpenEngine
from tests.contract.engine_model import BUCKET, OWNER, list_page, put

LETTERS = "ab/é\U0001f511\x01\uffff\U0010ffff"
WORDS = st.text(LETTERS, max_size=5)
KEYS = st.sets(st.text(LETTERS, min_size=1, max_size=6), max_size=14)
_numbers = count(10)


@pytest.fixture
async def shared_engine(open_one: OpenEngine, tmp_path: Path) -> AsyncIterator[Engine]:
    engine = await open_one(tmp_path / "engine")
    yield engine
    await engine.close()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(keys=KEYS, prefix=WORDS, delimiter=st.sampled_from(["", "/", "a", "//", "é", "b/"]), after=WORDS)
@example(keys={"a/b", "a0", "a"}, prefix="", delimiter="/", after="a/")
@example(keys={"a/b", "a0", "a"}, prefix="", delimiter="/", after="a/zzz")
@example(keys={"\U0010ffff/x", "\uffff"}, prefix="", delimiter="/", after="")
async def test_every_page_is_what_the_rules_say(
    shared_engine: Engine, keys: set[str], prefix: str, delimiter: str, after: str
) -> None:
    bucket = BucketId(next(_numbers))
    await shared_engine.create_bucket(bucket, owner=OWNER)
    for key in keys:
        await put(shared_engine, key, key.encode(), bucket=bucket)
    for limit in (0, 1, 2, 3, 1000):
        page = await shared_engine.list_objects(
            bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
        )
        expected = list_page(keys, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        assert expected == ([listed.key for listed in page.objects], list(page.prefixes), page.next_after)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=KEYS, prefix=WORDS, delimiter=st.sampled_from(["", "/", "a"]), limit=st.integers(1, 4))
async def test_pages_together_are_the_whole_listing(
    shared_engine: Engine, keys: set[str], prefix: str, delimiter: str, limit: int
) -> None:
    bucket = BucketId(next(_numbers))
    await shared_engine.create_bucket(bucket, owner=OWNER)
    for key in keys:
        await put(shared_engine, key, bucket=bucket)
    objects: list[str] = []
    prefixes: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await shared_engine.list_objects(
            bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
        )
        objects += [listed.key for listed in page.objects]
        prefixes += page.prefixes
        after = page.next_after
    expected = list_page(keys, prefix=prefix, delimiter=delimiter, after="", limit=10**6)
    assert expected == (objects, prefixes, None)


async def test_a_line_says_what_the_head_says(engine: Engine) -> None:
    head = await put(engine, "key", b"hello", etag="abc", now_us=55)
    page = await engine.list_objects(BUCKET, prefix="", delimiter="", after="", limit=1)
    (listed,) = page.objects
    assert (head.key, head.size_bytes, head.etag, head.modified_us, head.properties.checksum) == (
        listed.key,
        listed.size_bytes,
        listed.etag,
        listed.modified_us,
        listed.checksum,
    )
