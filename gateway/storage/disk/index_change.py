"""One change of the index while it is made: in which bucket, by which rules, and the bytes it adds and takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.storage.disk.index import Connection
from gateway.storage.disk.index_buckets import check_quota, read_bucket
from gateway.storage.disk.index_outbox import Delta, add_changes
from gateway.storage.model import NO_QUOTA, BucketRules, Quota
from meter.event import StorageLine
from meter.ids import BucketId, MemberId

_LINES = (StorageLine.PART, StorageLine.OBJECT, StorageLine.VERSION, StorageLine.REMOVED)
"""In the order they are noted."""


class Timing(NamedTuple):
    """When a change happens, and when the files it replaces may go; UTC microseconds."""

    now_us: int
    garbage_after_us: int


@dataclass(slots=True)
class Change:
    """Begun by begin_change(), ended by finish(); what it holds was read inside the transaction."""

    connection: Connection
    bucket: BucketId
    owner: MemberId
    rules: BucketRules
    timing: Timing
    _deltas: dict[StorageLine, int] = field(default_factory=lambda: dict.fromkeys(_LINES, 0))

    def add(self, line: StorageLine, delta_bytes: int) -> None:
        """The change stores so many bytes more, or less, on the line."""
        self._deltas[line] += delta_bytes

    def finish(self, quota: Quota = NO_QUOTA) -> None:
        """Note the bytes, one row a line. Raises QuotaExceeded when more is stored than before, and too much."""
        at_us = self.timing.now_us
        add_changes(
            self.connection,
            [
                Delta(self.owner, self.bucket, line, delta_bytes, at_us)
                for line, delta_bytes in self._deltas.items()
                if delta_bytes
            ],
        )
        # What is gone for its member counts against nobody, though its file is there for a while.
        stored_bytes = sum(self._deltas.values()) - self._deltas[StorageLine.REMOVED]
        if quota is not NO_QUOTA and stored_bytes > 0:
            check_quota(self.connection, self.bucket, self.owner, quota)


def begin_change(connection: Connection, bucket: BucketId, timing: Timing) -> Change:
    """Raises NoSuchBucket."""
    owner, rules = read_bucket(connection, bucket)
    return Change(connection, bucket, owner, rules, timing)
