"""The index's rows of buckets: owner, rules, and the sums that quotas are held against."""

from __future__ import annotations

import sqlite3

from gateway.storage.disk.columns import dump_default_retention, load_default_retention
from gateway.storage.disk.index import Connection, storage_error
from gateway.storage.errors import BucketNotEmpty, NoSuchBucket, QuotaExceeded
from gateway.storage.model import BucketRules, Quota, Versioning
from gateway.storage.retention import check_rules
from meter.ids import BucketId, MemberId


def read_bucket(connection: Connection, bucket: BucketId) -> tuple[MemberId, BucketRules]:
    """Whose bytes the bucket's are, and its rules. Raises NoSuchBucket, Busy."""
    try:
        row = connection.execute(
            "SELECT owner, versioning, locks, default_retention FROM bucket WHERE bucket = ?", (bucket,)
        ).fetchone()
    except sqlite3.OperationalError as error:
        raise storage_error(error) from error
    if row is None:
        raise NoSuchBucket(bucket)
    owner, versioning, locks, default = row
    return MemberId(owner), BucketRules(Versioning(versioning), bool(locks), load_default_retention(default))


def require_bucket(connection: Connection, bucket: BucketId) -> None:
    """Raises NoSuchBucket, Busy."""
    read_bucket(connection, bucket)


def create_bucket(connection: Connection, bucket: BucketId, *, owner: MemberId) -> None:
    """Make the bucket unless it is there."""
    connection.execute(
        "INSERT INTO bucket (bucket, owner) VALUES (?, ?) ON CONFLICT DO NOTHING", (bucket, owner)
    )


def set_rules(connection: Connection, bucket: BucketId, rules: BucketRules) -> None:
    """Change the rules. Raises NoSuchBucket, InvalidRules."""
    _, old = read_bucket(connection, bucket)
    check_rules(old, rules)
    connection.execute(
        "UPDATE bucket SET versioning = ?, locks = ?, default_retention = ? WHERE bucket = ?",
        (rules.versioning.value, int(rules.locks), dump_default_retention(rules.default_retention), bucket),
    )


def delete_bucket(connection: Connection, bucket: BucketId) -> None:
    """Remove the bucket and the memory of its completed uploads. Raises BucketNotEmpty."""
    (is_used,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM object WHERE bucket = ?)"
        " OR EXISTS (SELECT 1 FROM version WHERE bucket = ?)"
        " OR EXISTS (SELECT 1 FROM upload WHERE bucket = ?)",
        (bucket, bucket, bucket),
    ).fetchone()
    if is_used:
        raise BucketNotEmpty(bucket)
    connection.execute("DELETE FROM tombstone WHERE bucket = ?", (bucket,))
    connection.execute("DELETE FROM total WHERE bucket = ?", (bucket,))
    connection.execute("DELETE FROM bucket WHERE bucket = ?", (bucket,))


def stored_bytes(connection: Connection, bucket: BucketId) -> int:
    """All bytes of the bucket: objects, versions and parts. Raises NoSuchBucket, Busy."""
    try:
        (total,) = connection.execute(
            "SELECT coalesce(sum(bytes), 0) FROM total WHERE bucket = ?", (bucket,)
        ).fetchone()
    except sqlite3.OperationalError as error:
        raise storage_error(error) from error
    if not total:
        require_bucket(connection, bucket)
    return int(total)


def stored_bytes_of(connection: Connection, member: MemberId) -> int:
    """All bytes of the member's buckets. Raises Busy."""
    try:
        (total,) = connection.execute(
            "SELECT coalesce(sum(bytes), 0) FROM bucket JOIN total USING (bucket) WHERE owner = ?", (member,)
        ).fetchone()
    except sqlite3.OperationalError as error:
        raise storage_error(error) from error
    return int(total)


def check_quota(connection: Connection, bucket: BucketId, owner: MemberId, quota: Quota) -> None:
    """Whether what is stored now, this transaction's own changes included, is allowed. Raises QuotaExceeded."""
    limit = quota.bucket_bytes_max
    if limit is not None and stored_bytes(connection, bucket) > limit:
        raise QuotaExceeded("bucket", limit)
    limit = quota.member_bytes_max
    if limit is not None and stored_bytes_of(connection, owner) > limit:
        raise QuotaExceeded("member", limit)
