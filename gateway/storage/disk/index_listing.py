"""Pages of keys and of open uploads, in byte order. It reads the index and touches no file.

A delimiter is a skip-scan: at a key that rolls up, the scan jumps behind the common prefix, so a page
costs its own length, however many keys a prefix hides. Rows are taken in one call and turned into objects in
one expression: a page of 1000 keys must cost a few milliseconds.
"""

from __future__ import annotations

from gateway.storage.disk.columns import load_checksum, load_properties
from gateway.storage.disk.index import Connection, snapshot
from gateway.storage.disk.index_buckets import require_bucket
from gateway.storage.model import ListedObject, Listing, Upload
from meter.ids import BucketId

_ABOVE_ALL_KEYS = b"\xff"
"""No UTF-8 text has this byte (RFC 3629, section 1), so every key sorts below it."""

_FLAT = """
    SELECT key, size_bytes, etag, modified_us, checksum FROM object
    WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?
"""
# One statement a page: each step seeks the first key that does not belong to the entry before. :behind is
# where the prefix ends (counted from 1), :above_delimiter the least bytes above every key that rolls up.
_ROLLED = """
    WITH RECURSIVE entry (key) AS (
        SELECT (SELECT key FROM object WHERE bucket = :bucket AND key >= :start AND key < :end
                ORDER BY key LIMIT 1)
        UNION ALL
        SELECT (SELECT object.key FROM object WHERE object.bucket = :bucket AND object.key < :end
                AND object.key >= CAST(
                    CASE instr(substr(entry.key, :behind), :delimiter)
                    WHEN 0 THEN entry.key || x'00'
                    ELSE substr(entry.key, 1, :behind - 2 + instr(substr(entry.key, :behind), :delimiter))
                         || :above_delimiter
                    END AS BLOB)
                ORDER BY object.key LIMIT 1)
        FROM entry WHERE entry.key IS NOT NULL
        LIMIT :limit
    )
    SELECT entry.key, size_bytes, etag, modified_us, checksum
    FROM entry LEFT JOIN object ON bucket = :bucket AND object.key =
        CASE instr(substr(entry.key, :behind), :delimiter) WHEN 0 THEN entry.key END
    WHERE entry.key IS NOT NULL
"""
_UPLOADS = """
    SELECT key, upload_id, started_us, headers, checksum_algorithm, checksum_kind, extras FROM upload
    WHERE bucket = ? AND key >= ? AND key < ? AND (key > ? OR (key = ? AND upload_id > ?))
    ORDER BY key, upload_id LIMIT ?
"""


def above(prefix: bytes) -> bytes:
    """The least byte string greater than everything that starts with the UTF-8 prefix."""
    if not prefix:
        return _ABOVE_ALL_KEYS
    assert prefix[-1] < 0xFF, "UTF-8 has no byte 0xFF"
    return prefix[:-1] + bytes([prefix[-1] + 1])


def list_objects(
    connection: Connection, bucket: BucketId, *, prefix: str, delimiter: str, after: str, limit: int
) -> Listing:
    """One page; see Engine.list_objects. Raises NoSuchBucket."""
    with snapshot(connection):
        require_bucket(connection, bucket)
        if limit <= 0:
            return Listing((), (), None)
        wanted = (bucket, prefix.encode(), after.encode())
        if delimiter:
            return _rolled_page(connection, *wanted, delimiter.encode(), limit=limit)
        return _flat_page(connection, *wanted, limit=limit)


def _flat_page(
    connection: Connection, bucket: BucketId, prefix: bytes, after: bytes, *, limit: int
) -> Listing:
    start = max(prefix, first_after(prefix, b"", after))
    rows = connection.execute(_FLAT, (bucket, start, above(prefix), limit + 1)).fetchall()
    more = len(rows) > limit
    objects = [
        ListedObject(
            key.decode(), size_bytes, etag, modified_us, None if checksum is None else load_checksum(checksum)
        )
        for key, size_bytes, etag, modified_us, checksum in rows[:limit]
    ]
    return Listing(tuple(objects), (), objects[-1].key if more else None)


def _rolled_page(
    connection: Connection, bucket: BucketId, prefix: bytes, after: bytes, delimiter: bytes, *, limit: int
) -> Listing:
    wanted = {
        "bucket": bucket,
        "start": max(prefix, first_after(prefix, delimiter, after)),
        "end": above(prefix),
        "behind": len(prefix) + 1,
        "delimiter": delimiter,
        "above_delimiter": above(delimiter),
        "limit": limit + 1,
    }
    objects: list[ListedObject] = []
    prefixes: list[str] = []
    last = None
    for key, size_bytes, etag, modified_us, checksum in connection.execute(_ROLLED, wanted).fetchall():
        if len(objects) + len(prefixes) == limit:
            return Listing(tuple(objects), tuple(prefixes), last)
        common = common_prefix(key, prefix, delimiter)
        if common is None:
            last = key.decode()
            objects.append(ListedObject(last, size_bytes, etag, modified_us, load_checksum(checksum)))
        else:
            last = common.decode()
            prefixes.append(last)
    return Listing(tuple(objects), tuple(prefixes), None)


def first_after(prefix: bytes, delimiter: bytes, after: bytes) -> bytes:
    """The least key a page may begin with."""
    if not after:
        return b""
    common = common_prefix(after, prefix, delimiter) if after.startswith(prefix) else None
    # The least byte string greater than a key is the key and a zero byte.
    return after + b"\x00" if common is None else above(common)


def common_prefix(key: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    """Up to and with the first delimiter behind the prefix, or None."""
    if not delimiter:
        return None
    found = key.find(delimiter, len(prefix))
    return None if found < 0 else key[: found + len(delimiter)]


def list_uploads(
    connection: Connection,
    bucket: BucketId,
    *,
    prefix: str,
    after_key: str,
    after_upload_id: str,
    limit: int,
) -> tuple[tuple[Upload, ...], bool]:
    """Open uploads after the pair, and whether more follow; without an id, keys after after_key."""
    first, marker = prefix.encode(), after_key.encode()
    # As in S3, a key marker without an upload marker leaves out every upload of that key.
    upload_marker = after_upload_id or "\U0010ffff"
    with snapshot(connection):
        require_bucket(connection, bucket)
        rows = connection.execute(
            _UPLOADS,
            (bucket, max(first, marker), above(first), marker, marker, upload_marker, limit + 1),
        ).fetchall()
    uploads = tuple(
        Upload(upload_id, key.decode(), started_us, load_properties(headers, None, extras), algorithm, kind)
        for key, upload_id, started_us, headers, algorithm, kind, extras in rows[:limit]
    )
    return uploads, len(rows) > limit
