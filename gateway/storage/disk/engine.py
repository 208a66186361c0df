"""The disk engine: bytes into files first, then one index change that makes them the truth.

Its parts are engine_base (how a put happens), engine_objects and engine_uploads; here are buckets, outbox
and upkeep. It does not know HTTP, members' rights or money; the change of stored bytes goes to the outbox
in the same commit.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from gateway.settings import GatewaySettings
from gateway.storage.base import Engine
from gateway.storage.disk import index_buckets, index_outbox
from gateway.storage.disk.engine_objects import ObjectMethods
from gateway.storage.disk.engine_uploads import UploadMethods
from gateway.storage.disk.opening import open_files_and_index
from gateway.storage.disk.upkeep import SweepReport
from gateway.storage.model import BucketRules, StorageChange
from meter.event import StorageLine
from meter.ids import BucketId, MemberId


async def open_engine(directory: Path, settings: GatewaySettings) -> DiskEngine:
    """Open the directory, made on first use; other processes may have it open too.

    Raises Refusal when it cannot be written, or is of a newer Weir, or its index is damaged.
    """
    blobs, committer = await asyncio.to_thread(open_files_and_index, directory, settings)
    return DiskEngine(directory, settings, blobs, committer)


class DiskEngine(ObjectMethods, UploadMethods, Engine):
    """Engine on one local directory. Make it with open_engine()."""

    # Buckets

    async def create_bucket(
        self,
        bucket: BucketId,
        *,
        owner: MemberId,
        locks: bool = False,  # noqa: ARG002 - set_bucket_rules says it in time
    ) -> None:
        """See Engine."""
        await self._committer.commit(partial(index_buckets.create_bucket, bucket=bucket, owner=owner))
        # The directory's row follows, or is gone already, and a power cut must not leave one without the other.
        await self._committer.make_durable()

    async def delete_bucket(self, bucket: BucketId) -> None:
        """See Engine."""
        await self._committer.commit(partial(index_buckets.delete_bucket, bucket=bucket))
        await self._committer.make_durable()

    async def bucket_rules(self, bucket: BucketId) -> BucketRules:
        """See Engine."""
        _, rules = index_buckets.read_bucket(self._workers.connection(), bucket)
        return rules

    async def set_bucket_rules(self, bucket: BucketId, rules: BucketRules) -> None:
        """See Engine. Every commit reads the rules, so they hold in every process from here on."""
        await self._committer.commit(partial(index_buckets.set_rules, bucket=bucket, rules=rules))
        await self._committer.make_durable()

    def check_space(self, bucket: BucketId, grows_bytes: int) -> None:  # noqa: ARG002 - one disk for all buckets
        """See Engine."""
        self._blobs.check_space(grows_bytes)

    def stored_bytes(self, bucket: BucketId) -> int:
        """See Engine."""
        return index_buckets.stored_bytes(self._workers.connection(), bucket)

    def stored_bytes_of(self, member: MemberId) -> int:
        """See Engine."""
        return index_buckets.stored_bytes_of(self._workers.connection(), member)

    # Outbox and audit

    async def outbox(self, *, after: int, limit: int) -> tuple[StorageChange, ...]:
        """See Engine. What is handed out is journalled, so a power cut must not give its number twice."""
        changes = await self._workers.read(partial(index_outbox.read_changes, after=after, limit=limit))
        if changes:
            await self._committer.make_durable()
        return changes

    async def trim_outbox(self, *, up_to: int) -> None:
        """See Engine."""
        await self._committer.commit(partial(index_outbox.trim, up_to=up_to))

    async def last_sequence(self) -> int:
        """The last sequence the outbox ever gave, also when it is trimmed; 0 before the first."""
        return await self._workers.read(index_outbox.last_sequence)

    async def usage_totals(self) -> dict[tuple[BucketId, StorageLine], int]:
        """Bytes stored a bucket and line, summed over the rows themselves; zero lines are left out."""
        return await self._workers.read(index_outbox.usage_totals)

    # Upkeep

    async def collect(self, now_us: int) -> int:
        """Take replaced and deleted files off the disk once their delay passed; how many went.

        At most collect_files_max a call; call again while it returns that many. 0 while another
        process does this work.
        """
        return await self._upkeep.collect(now_us)

    async def sweep(self, now_us: int) -> SweepReport:
        """Remove what crashes left behind, and name every object whose file is missing or cut.

        Reads all names on the disk: for the start and for now and then. Empty while another process
        does this work.
        """
        return await self._upkeep.sweep(now_us)

    async def close(self) -> None:
        """See Engine. Open readers keep their files."""
        if self._unfinished:
            await asyncio.wait(self._unfinished)
        self.scrub.close()
        await self._committer.close()
        await self._workers.close()
