"""Identities that cross rooms. Each is a type of its own, so that two of them are never exchanged."""

from typing import NewType
from uuid import UUID

MemberId = NewType("MemberId", int)
"""The member's number in the register, 1 and up, never reused."""

BucketId = NewType("BucketId", int)
"""The bucket's number in the directory, 1 and up; a bucket made again under its name gets a new one."""

StreamId = NewType("StreamId", UUID)
"""One writer's journal: a gateway worker, or the outbox of one storage engine."""

NOBODY = MemberId(0)
"""Payer or requester of an exchange that no member can be held to, e.g. a refused signature."""

NO_BUCKET = BucketId(0)
"""The exchange named no bucket, or one that does not exist."""
