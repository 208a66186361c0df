"""What is under a key, as the index has it: heads and pieces, read. It touches no file and changes nothing."""

from __future__ import annotations

import sqlite3

from gateway.storage.disk.columns import load_parts, load_properties
from gateway.storage.disk.index import Connection, snapshot, storage_error
from gateway.storage.disk.index_buckets import require_bucket
from gateway.storage.disk.index_pieces import first_piece, other_pieces
from gateway.storage.disk.piece import Piece
from gateway.storage.errors import IsDeleteMarker, NoSuchBucket, NoSuchKey, NoSuchVersion
from gateway.storage.model import NULL_VERSION, ObjectHead
from meter.ids import BucketId

# What was written before there were versions is called 'null' once there are; in the same statement, for a
# second one would cost a plain GET half as much again.
_HEAD = """
    SELECT size_bytes, etag, modified_us, headers, checksum, part_sizes,
           iif(version_id = '', (SELECT iif(versioning = '', '', 'null') FROM bucket WHERE bucket = ?1), version_id),
           extras
    FROM object WHERE bucket = ?1 AND key = ?2
"""
_OPEN = """
    SELECT object.size_bytes, etag, modified_us, headers, checksum, part_sizes,
           iif(version_id = '', (SELECT iif(versioning = '', '', 'null') FROM bucket WHERE bucket = ?1), version_id),
           extras, object.piece, piece.size_bytes, piece.blob, piece.data
    FROM object JOIN piece ON piece.piece = object.piece WHERE bucket = ?1 AND key = ?2
"""
# A version moves between the two tables; in one statement it is always in one of them.
_NAMED = """
    SELECT size_bytes, etag, modified_us, headers, checksum, part_sizes,
           iif(version_id = '', (SELECT iif(versioning = '', '', 'null') FROM bucket WHERE bucket = ?1), version_id),
           extras, piece
    FROM object WHERE bucket = ?1 AND key = ?2 AND version_id IN (?3, ?4)
    UNION ALL
    SELECT size_bytes, etag, modified_us, headers, checksum, part_sizes,
           iif(version_id = '', (SELECT iif(versioning = '', '', 'null') FROM bucket WHERE bucket = ?1), version_id),
           extras, piece
    FROM version WHERE bucket = ?1 AND key = ?2 AND version_id IN (?3, ?4)
"""
_MARKER = """
    SELECT version_id FROM version
    WHERE bucket = ? AND key = ? AND superseded_us IS NULL ORDER BY modified_us DESC LIMIT 1
"""

HeadRow = tuple[int, str, int, str, str | None, str | None, str, str | None]
"""What _HEAD selects."""


def both_names(version_id: str) -> tuple[str, str]:
    """The ids under which the rows have it: the version 'null' may have been written in two ways."""
    return ("", NULL_VERSION) if version_id in ("", NULL_VERSION) else (version_id, version_id)


def read_head(
    connection: Connection, bucket: BucketId, key: str, version_id: str | None = None
) -> ObjectHead:
    """The row of the object, or of one version. Raises what Engine.head_object raises, and Busy."""
    try:
        if version_id is not None:
            return head_of(key, _named(connection, bucket, key, version_id)[:8])
        row = connection.execute(_HEAD, (bucket, key.encode())).fetchone()
        if row is None:
            raise missing(connection, bucket, key)
    except sqlite3.OperationalError as error:
        raise storage_error(error) from error
    return head_of(key, row)


def read_pieces(
    connection: Connection, bucket: BucketId, key: str, version_id: str | None = None
) -> tuple[ObjectHead, tuple[Piece, ...]]:
    """The row and its pieces in order. Raises what Engine.open_object raises, and Busy."""
    try:
        if version_id is not None:
            return _named_pieces(connection, bucket, key, version_id)
        row = connection.execute(_OPEN, (bucket, key.encode())).fetchone()
        rest: list[Piece] = []
        if row is not None and row[5] is not None:
            # Its manifest is a second statement, and the object may be replaced between the two.
            with snapshot(connection):
                row = connection.execute(_OPEN, (bucket, key.encode())).fetchone()
                rest = other_pieces(connection, row[8]) if row is not None else []
        if row is None:
            raise missing(connection, bucket, key)
    except sqlite3.OperationalError as error:
        raise storage_error(error) from error
    return head_of(key, row[:8]), (Piece(row[9], row[10], row[11]), *rest)


def _named_pieces(
    connection: Connection, bucket: BucketId, key: str, version_id: str
) -> tuple[ObjectHead, tuple[Piece, ...]]:
    with snapshot(connection):
        row = _named(connection, bucket, key, version_id)
        number = row[8]
        pieces = (first_piece(connection, number), *other_pieces(connection, number))
    return head_of(key, row[:8]), pieces


def _named(
    connection: Connection, bucket: BucketId, key: str, version_id: str
) -> tuple[int, str, int, str, str | None, str | None, str, str | None, int]:
    names = both_names(version_id)
    row = connection.execute(_NAMED, (bucket, key.encode(), *names)).fetchone()
    if row is None:
        require_bucket(connection, bucket)
        raise NoSuchVersion(key, version_id)
    if row[8] is None:
        raise IsDeleteMarker(key, row[6], row[2])
    size_bytes, etag, modified_us, headers, checksum, part_sizes, found_id, extras, piece = row
    return size_bytes, etag, modified_us, headers, checksum, part_sizes, found_id, extras, piece


def head_of_piece(
    connection: Connection, bucket: BucketId, key: str, version_id: str, *, piece: int
) -> ObjectHead | None:
    """The head of the version that begins with the piece, wherever it stands now; None when it is gone."""
    names = both_names(version_id)
    row = connection.execute(_NAMED, (bucket, key.encode(), *names)).fetchone()
    return head_of(key, row[:8]) if row is not None and row[8] == piece else None


def head_of(key: str, row: HeadRow) -> ObjectHead:
    """The head from its row."""
    size_bytes, etag, modified_us, headers, checksum, part_sizes, version_id, extras = row
    properties = load_properties(headers, checksum, extras)
    sizes, checksums = load_parts(part_sizes)
    return ObjectHead(key, size_bytes, etag, modified_us, properties, sizes, version_id, checksums)


def missing(connection: Connection, bucket: BucketId, key: str) -> Exception:
    """Why there is no object: no bucket, nothing, or a delete marker."""
    try:
        require_bucket(connection, bucket)
    except NoSuchBucket as error:
        return error
    hidden = NoSuchKey(key)
    row = connection.execute(_MARKER, (bucket, key.encode())).fetchone()
    if row is not None:
        hidden.marker_version_id = row[0]
    return hidden
