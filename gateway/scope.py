"""What one access key is held to within what its member may: reading only, some buckets, an end. Pure.

A scope narrows and never widens. One that cannot be read holds its key to nothing at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

from gateway.operation import Operation


@dataclass(frozen=True, slots=True)
class KeyScope:
    """The bounds of one key."""

    read_only: bool = False
    buckets: frozenset[str] | None = None
    """Names of the only buckets it opens; None: all of them."""
    expires_us: int | None = None

    def covers(self, operation: Operation, bucket: str, *, now_us: int) -> bool:
        """Whether the operation lies within the bounds; bucket is empty where none is named."""
        if self.has_ended(now_us) or (self.read_only and operation.writes):
            return False
        return self.buckets is None or not bucket or bucket in self.buckets

    def has_ended(self, now_us: int) -> bool:
        """Whether its time is over."""
        return self.expires_us is not None and now_us >= self.expires_us

    def shows(self, bucket: str) -> bool:
        """Whether a list of buckets holds this one."""
        return self.buckets is None or bucket in self.buckets


NOTHING = KeyScope(read_only=True, buckets=frozenset(), expires_us=0)


def render_scope(scope: KeyScope) -> str:
    """The scope as the directory keeps it."""
    kept: dict[str, object] = {"read_only": scope.read_only}
    if scope.buckets is not None:
        kept["buckets"] = sorted(scope.buckets)
    if scope.expires_us is not None:
        kept["expires_us"] = scope.expires_us
    return json.dumps(kept, sort_keys=True)


@lru_cache(maxsize=1024)
def parse_scope(text: str | None) -> KeyScope | None:
    """What render_scope wrote; None is no bound, anything else that cannot be read is NOTHING."""
    if text is None:
        return None
    try:
        kept = json.loads(text)
    except ValueError:
        return NOTHING
    if not isinstance(kept, dict) or not kept.keys() <= {"read_only", "buckets", "expires_us"}:
        return NOTHING
    read_only, buckets, expires_us = kept.get("read_only", False), kept.get("buckets"), kept.get("expires_us")
    if not isinstance(read_only, bool) or not (expires_us is None or type(expires_us) is int):
        return NOTHING
    if buckets is None:
        return KeyScope(read_only, None, expires_us)
    if not isinstance(buckets, list) or not all(isinstance(name, str) for name in buckets):
        return NOTHING
    return KeyScope(read_only, frozenset(buckets), expires_us)
