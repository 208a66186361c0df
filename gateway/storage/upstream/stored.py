"""What is stored on upstreams, for limits: PostgreSQL's sums as last read, and what this worker told since.

A limit is therefore passed by what other workers told and nobody shipped yet: docs/engines.md says how much that is. Pure.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

from gateway.storage.model import StorageChange
from meter.ids import BucketId, MemberId


class StoredSums:
    """Bytes by bucket and by member."""

    def __init__(self) -> None:
        self._buckets: dict[BucketId, int] = {}
        self._since: deque[tuple[int, StorageChange]] = deque()
        self._members: dict[MemberId, int] = {}
        self._told_buckets: defaultdict[BucketId, int] = defaultdict(int)
        self._told_members: defaultdict[MemberId, int] = defaultdict(int)

    def told(self, change: StorageChange, *, sequence: int) -> None:
        """This worker recorded a change under that number of its stream."""
        self._since.append((sequence, change))
        self._told_buckets[change.bucket] += change.delta_bytes
        self._told_members[change.member] += change.delta_bytes

    def read(self, buckets: Mapping[BucketId, tuple[MemberId, int]], *, shipped: int) -> None:
        """PostgreSQL's sums by bucket, which hold this worker's stream up to that number."""
        members: defaultdict[MemberId, int] = defaultdict(int)
        for owner, stored in buckets.values():
            members[owner] += stored
        self._buckets = {bucket: stored for bucket, (_, stored) in buckets.items()}
        self._members = dict(members)
        while self._since and self._since[0][0] <= shipped:
            _, change = self._since.popleft()
            self._told_buckets[change.bucket] -= change.delta_bytes
            self._told_members[change.member] -= change.delta_bytes

    def of_bucket(self, bucket: BucketId) -> int:
        """Stored bytes of a bucket."""
        return self._buckets.get(bucket, 0) + self._told_buckets.get(bucket, 0)

    def of_member(self, member: MemberId) -> int:
        """Stored bytes of a member's buckets on upstreams."""
        return self._members.get(member, 0) + self._told_members.get(member, 0)
