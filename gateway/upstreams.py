"""The upstream engines of a worker: opened when a bucket on one is first asked for, by what the directory says of it.

Changes of stored bytes and upstream requests go into the worker's own journal. What is stored is read from PostgreSQL
for limits, and goes on from what this worker told since.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from gateway.call import DISK
from gateway.directory import PostgresDirectory
from gateway.engine_store import S3_KIND, EngineRow
from gateway.feed import storage_event
from gateway.settings import GatewaySettings
from gateway.storage.model import StorageChange
from gateway.storage.upstream.client import Client
from gateway.storage.upstream.endpoint import Upstream
from gateway.storage.upstream.engine import UpstreamEngine
from gateway.storage.upstream.engine_base import Find, Place, Tell
from gateway.storage.upstream.metrics import UpstreamMetrics
from gateway.storage.upstream.signing import Account
from gateway.storage.upstream.stored import StoredSums
from gateway.upstream_store import stored_on_upstreams
from gateway.vault import Vault
from meter.event import Event
from meter.ids import BucketId, MemberId
from meter.metrics import Registry
from meter.postgres import Connection
from meter.recorder import Recorder
from meter.refusal import Refusal
from meter.store import stream_places

log = logging.getLogger(__name__)


class Upstreams:
    """Finds the engine of a bucket."""

    def __init__(
        self, directory: PostgresDirectory, vault: Vault, settings: GatewaySettings, registry: Registry,
        recorder: Recorder, metrics_of: Callable[[Registry, str], UpstreamMetrics] = UpstreamMetrics,
    ) -> None:  # fmt: skip
        self._directory = directory
        self._vault = vault
        self._settings = settings
        self._registry = registry
        self._recorder = recorder
        self._metrics_of = metrics_of
        self._sums = StoredSums()
        self._open: dict[str, tuple[EngineRow, UpstreamEngine]] = {}
        self._former: list[UpstreamEngine] = []

    def of(self, bucket: BucketId) -> UpstreamEngine | None:
        """The engine of a bucket that is not on the disk. Raises Refusal when its secret does not open."""
        found = self._directory.bucket_numbered(bucket)
        if found is None or found.engine == DISK:
            return None
        row = self._directory.engines.get(found.engine)
        if row is None or row.kind != S3_KIND:
            return None
        known = self._open.get(row.name)
        if known is not None and _same(known[0], row):
            return known[1]
        if known is not None:
            # Its readers and writers end with their own key; it is closed with the worker.
            self._former.append(known[1])
        engine = self._opened(row)
        self._open[row.name] = (row, engine)
        return engine

    def owner_of(self, bucket: BucketId) -> MemberId | None:
        """Whose the bucket is."""
        found = self._directory.bucket_numbered(bucket)
        return None if found is None else found.owner

    def stored_bytes_of(self, member: MemberId) -> int:
        """What the member stores on upstreams."""
        return self._sums.of_member(member)

    async def keep_sums(self) -> None:
        """Read what is stored, again and again; with PostgreSQL away the last sums go on."""
        while True:
            if any(row.kind == S3_KIND for row in self._directory.engines.values()):
                await self.read_sums()
            await asyncio.sleep(self._settings.upstream_sums_poll_s)

    async def read_sums(self) -> None:
        """Take the sums anew."""

        async def question(
            connection: Connection,
        ) -> tuple[dict[BucketId, tuple[MemberId, int]], int]:
            # One moment for both: each of our records is either in the sums or after our place.
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                sums = await stored_on_upstreams(connection)
                places = await stream_places(connection)
            return sums, places.get(self._recorder.journal.stream, 0)

        found = await self._directory.ask(question)
        if found is not None:
            self._sums.read(found[0], shipped=found[1])

    async def close(self) -> None:
        """Finish what was begun and close every connection."""
        for engine in (*(one for _, one in self._open.values()), *self._former):
            await engine.close()

    def _opened(self, row: EngineRow) -> UpstreamEngine:
        return open_upstream(
            row, self._vault, self._settings, self._registry, record=self._keep_cost, find=self._find,
            tell=self._tell, sums=self._sums, metrics_of=self._metrics_of,
        )  # fmt: skip

    def _find(self, bucket: BucketId) -> Place | None:
        found = self._directory.bucket_numbered(bucket)
        return None if found is None else Place(found.id, found.upstream_name, found.owner)

    def _keep_cost(self, event: Event) -> None:
        """An upstream request; where the journal has little room left, that is for what members are billed."""
        if self._recorder.has_room:
            self._recorder.record(event)

    def _tell(self, change: StorageChange) -> None:
        self._sums.told(change, sequence=self._recorder.record(storage_event(change)))


def open_upstream(
    row: EngineRow, vault: Vault, settings: GatewaySettings, registry: Registry, *,
    record: Callable[[Event], object], find: Find, tell: Tell, sums: StoredSums,
    metrics_of: Callable[[Registry, str], UpstreamMetrics] = UpstreamMetrics,
) -> UpstreamEngine:  # fmt: skip
    """The engine of that row. Raises Refusal when its secret does not open, or its endpoint is none."""
    secret = vault.reveal(row.secret, access_key=row.sealed_under)
    try:
        upstream = Upstream.at(row.name, row.endpoint, Account(row.access_key, secret, row.region))
    except ValueError as error:
        raise Refusal(f"the engine {row.name} cannot be asked: {error}") from error
    metrics = metrics_of(registry, row.name)
    return UpstreamEngine(
        Client(upstream, settings, metrics, record), settings, find=find, tell=tell, sums=sums, metrics=metrics,
        spool=settings.data, features=row.features,
    )  # fmt: skip


def _same(known: EngineRow, row: EngineRow) -> bool:
    """Whether an open engine is still what the directory says; where new buckets go is nothing to it."""
    return known is row or (
        known.endpoint, known.region, known.access_key, known.secret, known.features
    ) == (row.endpoint, row.region, row.access_key, row.secret, row.features)  # fmt: skip
