"""Pages of versions and delete markers: byte order of the keys, newest first within a key.

It reads the two tables side by side. Like index_listing it jumps over what a common prefix hides.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from heapq import merge

from gateway.storage.disk.columns import load_checksum, load_tags
from gateway.storage.disk.index import Connection, snapshot
from gateway.storage.disk.index_buckets import require_bucket
from gateway.storage.disk.index_listing import above, common_prefix, first_after
from gateway.storage.disk.index_versions import version_us
from gateway.storage.model import NULL_VERSION, ListedVersion, VersionListing
from meter.ids import BucketId

_CURRENT = """
    SELECT key, modified_us, version_id, 0, size_bytes, etag, checksum, extras, NULL FROM object
    WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key
"""
_OTHERS = """
    SELECT key, modified_us, version_id, is_marker, size_bytes, etag, checksum, extras, superseded_us
    FROM version WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key, modified_us DESC
"""
_CURRENT_OF_KEY = """
    SELECT key, modified_us, version_id, 0, size_bytes, etag, checksum, extras, NULL FROM object
    WHERE bucket = ? AND key = ? AND modified_us < ?
"""
_OTHERS_OF_KEY = """
    SELECT key, modified_us, version_id, is_marker, size_bytes, etag, checksum, extras, superseded_us
    FROM version WHERE bucket = ? AND key = ? AND modified_us < ? ORDER BY modified_us DESC
"""
_NULL_US = """
    SELECT modified_us FROM object WHERE bucket = ?1 AND key = ?2 AND version_id IN ('', 'null')
    UNION ALL
    SELECT modified_us FROM version WHERE bucket = ?1 AND key = ?2 AND version_id IN ('', 'null')
"""
_ABOVE_ALL_US = 2**63 - 1

_Row = tuple[bytes, int, str, int, int, str, str | None, str | None, int | None]
_Entry = tuple[bytes, ListedVersion | None]
"""A key with its version, or a common prefix with None."""


def list_versions(
    connection: Connection,
    bucket: BucketId,
    *,
    prefix: str,
    delimiter: str,
    after_key: str,
    after_version_id: str,
    limit: int,
) -> VersionListing:
    """One page; see Engine.list_versions. Raises NoSuchBucket."""
    first, end, after = prefix.encode(), delimiter.encode(), after_key.encode()
    with snapshot(connection):
        require_bucket(connection, bucket)
        if limit <= 0:
            return VersionListing((), (), None)
        page: list[_Entry] = []
        with closing(_entries(connection, bucket, first, end, after, after_version_id)) as entries:
            for entry in entries:
                if len(page) == limit:
                    return _listing(page, has_more=True)
                page.append(entry)
        return _listing(page, has_more=False)


def _listing(page: list[_Entry], *, has_more: bool) -> VersionListing:
    versions = tuple(listed for _, listed in page if listed is not None)
    prefixes = tuple(name.decode() for name, listed in page if listed is None)
    if not has_more:
        return VersionListing(versions, prefixes, None)
    name, listed = page[-1]
    return VersionListing(versions, prefixes, (name.decode(), "" if listed is None else listed.version_id))


def _entries(
    connection: Connection,
    bucket: BucketId,
    prefix: bytes,
    delimiter: bytes,
    after: bytes,
    after_version_id: str,
) -> Generator[_Entry, None, None]:
    is_rolled_up = common_prefix(after, prefix, delimiter) is not None
    if after_version_id and after.startswith(prefix) and not is_rolled_up:
        for row in _rest_of_key(connection, bucket, after, after_version_id):
            yield row[0], _listed(row)
    end = above(prefix)
    start = max(prefix, first_after(prefix, delimiter, after))
    while start < end:
        with closing(_scan(connection, bucket, start, end)) as rows:
            start = end
            for row in rows:
                common = common_prefix(row[0], prefix, delimiter)
                if common is not None:
                    yield common, None
                    start = above(common)
                    break
                yield row[0], _listed(row)


def _rest_of_key(connection: Connection, bucket: BucketId, key: bytes, version_id: str) -> Iterator[_Row]:
    """The versions of the key older than the one named, which may be gone by now."""
    older_than_us = version_us(version_id)
    if version_id == NULL_VERSION:
        # Its id tells no time. When it is gone nobody knows where it was: then the key is told again
        # from its newest version, for a version told twice does less harm than one never told.
        row = connection.execute(_NULL_US, (bucket, key)).fetchone()
        older_than_us = None if row is None else row[0]
    place = (bucket, key, _ABOVE_ALL_US if older_than_us is None else older_than_us)
    yield from connection.execute(_CURRENT_OF_KEY, place)
    yield from connection.execute(_OTHERS_OF_KEY, place)


def _scan(connection: Connection, bucket: BucketId, start: bytes, end: bytes) -> Generator[_Row, None, None]:
    with (
        closing(connection.execute(_CURRENT, (bucket, start, end))) as current,
        closing(connection.execute(_OTHERS, (bucket, start, end))) as others,
    ):
        yield from merge(current, others, key=_order)


def _order(row: _Row) -> tuple[bytes, int]:
    return row[0], -row[1]


def _listed(row: _Row) -> ListedVersion:
    key, modified_us, version_id, is_marker, size_bytes, etag, checksum, extras, superseded_us = row
    return ListedVersion(
        key.decode(),
        version_id or NULL_VERSION,
        superseded_us is None,
        bool(is_marker),
        size_bytes,
        etag,
        modified_us,
        load_checksum(checksum),
        superseded_us,
        load_tags(extras),
    )
