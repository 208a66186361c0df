"""An engine whose writes are noted while their bucket is on its way to another engine.

It changes nothing and knows nothing of moves: whoever made it is told which keys an engine was asked to write, once
the engine is done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from gateway.moving.holds import Holds
from gateway.storage.base import Engine, ObjectReader
from gateway.storage.errors import Busy
from gateway.storage.model import BucketRules, Deleted, Deletion, ObjectHead
from meter.ids import BucketId

RULES = ""
"""Noted in place of a key when the bucket's own rules were written; no object has it."""
Note = Callable[[BucketId, Iterable[str]], None]


def noting(engine: Engine, note: Note) -> Engine:
    """The same engine, for members' requests."""
    return cast(Engine, _Noting(engine, note))


def in_background(engine: Engine, holds: Holds) -> Engine:
    """The same engine, for deletions nobody waits for: Busy while the bucket is held."""
    return cast(Engine, _Background(engine, holds))


class _Noting:
    """Overrides what writes objects; all else is the engine's own, bound once."""

    def __init__(self, engine: Engine, note: Note) -> None:
        self._engine = engine
        self._note = note
        own = set(dir(type(self)))
        for name in dir(engine):
            if not name.startswith("_") and name not in own:
                setattr(self, name, getattr(engine, name))

    async def set_bucket_rules(self, bucket: BucketId, rules: BucketRules) -> None:
        try:
            await self._engine.set_bucket_rules(bucket, rules)
        finally:
            self._note(bucket, (RULES,))

    async def put_object(self, bucket: BucketId, key: str, *given: Any, **named: Any) -> ObjectHead:
        try:
            return await self._engine.put_object(bucket, key, *given, **named)
        finally:
            self._note(bucket, (key,))

    async def delete_objects(
        self, bucket: BucketId, deletions: Sequence[Deletion], *, now_us: int
    ) -> tuple[Deleted, ...]:
        try:
            return await self._engine.delete_objects(bucket, deletions, now_us=now_us)
        finally:
            self._note(bucket, [one.key for one in deletions])

    async def amend_object(self, bucket: BucketId, key: str, *given: Any, **named: Any) -> ObjectHead:
        try:
            return await self._engine.amend_object(bucket, key, *given, **named)
        finally:
            self._note(bucket, (key,))

    async def copy_object(self, source: ObjectReader, bucket: BucketId, key: str, **named: Any) -> ObjectHead:
        try:
            return await self._engine.copy_object(source, bucket, key, **named)
        finally:
            self._note(bucket, (key,))

    async def complete_upload(self, bucket: BucketId, key: str, *given: Any, **named: Any) -> ObjectHead:
        try:
            return await self._engine.complete_upload(bucket, key, *given, **named)
        finally:
            self._note(bucket, (key,))


class _Background(_Noting):
    """Deletes only where nothing is held."""

    def __init__(self, engine: Engine, holds: Holds) -> None:
        super().__init__(engine, holds.note)
        self._holds = holds

    async def delete_objects(
        self, bucket: BucketId, deletions: Sequence[Deletion], *, now_us: int
    ) -> tuple[Deleted, ...]:
        if not self._holds.try_enter(bucket):
            raise Busy
        try:
            return await super().delete_objects(bucket, deletions, now_us=now_us)
        finally:
            self._holds.let_go(bucket)

    async def abort_upload(self, bucket: BucketId, key: str, upload_id: str, *, now_us: int) -> None:
        if not self._holds.try_enter(bucket):
            raise Busy
        try:
            await self._engine.abort_upload(bucket, key, upload_id, now_us=now_us)
        finally:
            self._holds.let_go(bucket)
