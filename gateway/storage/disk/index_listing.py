"""Pages of keys and of open uploads, in byte order. It reads the index and touches no file.

A delimiter is a skip-scan: at a key that rolls up, the scan jumps behind the common prefix, so a page
costs its own length, however many keys a prefix hides.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from gateway.storage.disk.columns import load_checksum, load_properties
from gateway.storage.disk.index import Connection, snapshot
from gateway.storage.disk.index_buckets import require_bucket
from gateway.storage.model import ListedObject, Listing, Upload
from meter.ids import BucketId

_ABOVE_ALL_KEYS = b"\xff"
"""No UTF-8 text has this byte (RFC 3629, section 1), so every key sorts below it."""

_SCAN = """
    SELECT key, size_bytes, etag, modified_us, checksum FROM object
    WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key
"""
_UPLOADS = """
    SELECT key, upload_id, started_us, headers, checksum_algorithm, checksum_kind, extras FROM upload
    WHERE bucket = ? AND key >= ? AND key < ? AND (key > ? OR (key = ? AND upload_id > ?))
    ORDER BY key, upload_id LIMIT ?
"""

_Entry = tuple[bytes, ListedObject | None]
"""A key with its object, or a common prefix with None."""


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
        page: list[_Entry] = []
        with closing(
            _entries(connection, bucket, prefix.encode(), delimiter.encode(), after.encode())
        ) as entries:
            for entry in entries:
                if len(page) == limit:
                    return _listing(page, next_after=page[-1][0].decode())
                page.append(entry)
        return _listing(page, next_after=None)


def _listing(page: list[_Entry], *, next_after: str | None) -> Listing:
    objects = tuple(listed for _, listed in page if listed is not None)
    prefixes = tuple(name.decode() for name, listed in page if listed is None)
    return Listing(objects, prefixes, next_after)


def _entries(
    connection: Connection, bucket: BucketId, prefix: bytes, delimiter: bytes, after: bytes
) -> Generator[_Entry, None, None]:
    end = above(prefix)
    start = max(prefix, first_after(prefix, delimiter, after))
    while start < end:
        with closing(connection.execute(_SCAN, (bucket, start, end))) as rows:
            start = end
            for key, size_bytes, etag, modified_us, checksum in rows:
                common = common_prefix(key, prefix, delimiter)
                if common is not None:
                    yield common, None
                    start = above(common)
                    break
                yield key, ListedObject(key.decode(), size_bytes, etag, modified_us, load_checksum(checksum))


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
