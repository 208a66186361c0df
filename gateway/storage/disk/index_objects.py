"""The index's rows of buckets, objects and their pieces. It knows what is where, and touches no file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from gateway.storage.base import (
    BucketNotEmpty,
    Checksum,
    Condition,
    NoSuchBucket,
    NoSuchKey,
    ObjectHead,
    ObjectProperties,
    PreconditionFailed,
)
from gateway.storage.disk.index import Connection, snapshot, storage_error
from gateway.storage.disk.index_outbox import add_change
from gateway.storage.disk.piece import Piece
from meter.event import StorageLine
from meter.ids import BucketId, MemberId

HEADER_SETS_MAX = 1024
_HEAD = """
    SELECT size_bytes, etag, modified_us, headers, checksum, part_sizes
    FROM object WHERE bucket = ? AND key = ?
"""
_OPEN = """
    SELECT object.size_bytes, etag, modified_us, headers, checksum, part_sizes,
           object.piece, piece.size_bytes, piece.blob, piece.data
    FROM object JOIN piece ON piece.piece = object.piece WHERE bucket = ? AND key = ?
"""
_REST = """
    SELECT piece.size_bytes, piece.blob, piece.data
    FROM manifest JOIN piece ON piece.piece = manifest.piece
    WHERE manifest.first_piece = ? ORDER BY manifest.position
"""


@dataclass(frozen=True, slots=True)
class Current:
    """What a writer must know of the object it is about to replace."""

    first_piece: int
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Timing:
    """When a change happens, and when the files it replaces may go; UTC microseconds."""

    now_us: int
    garbage_after_us: int


def dump_checksum(checksum: Checksum | None) -> str | None:
    """A checksum as it stands in a column."""
    return None if checksum is None else json.dumps([checksum.algorithm, checksum.value, checksum.kind])


@lru_cache(maxsize=HEADER_SETS_MAX)
def load_checksum(column: str | None) -> Checksum | None:
    """A checksum from its column."""
    return None if column is None else Checksum(*json.loads(column))


def dump_headers(properties: ObjectProperties) -> str:
    """The headers as they stand in a column; the checksum has its own."""
    return json.dumps(dict(properties.headers), ensure_ascii=False)


def read_head(connection: Connection, bucket: BucketId, key: str) -> ObjectHead:
    """The object's row. Raises NoSuchBucket, NoSuchKey, Busy."""
    try:
        row = connection.execute(_HEAD, (bucket, key.encode())).fetchone()
    except sqlite3.OperationalError as error:
        raise storage_error(error) from error
    if row is None:
        raise _missing(connection, bucket, key)
    return _head(key, row)


def read_pieces(connection: Connection, bucket: BucketId, key: str) -> tuple[ObjectHead, tuple[Piece, ...]]:
    """The object's row and its pieces in order. Raises NoSuchBucket, NoSuchKey, Busy."""
    try:
        row = connection.execute(_OPEN, (bucket, key.encode())).fetchone()
        if row is not None and row[5] is not None:
            # Its manifest is a second statement, and the object may be replaced between the two.
            with snapshot(connection):
                row = connection.execute(_OPEN, (bucket, key.encode())).fetchone()
                rest = connection.execute(_REST, (row[6],)).fetchall() if row is not None else []
        else:
            rest = []
    except sqlite3.OperationalError as error:
        raise storage_error(error) from error
    if row is None:
        raise _missing(connection, bucket, key)
    first = Piece(row[7], row[8], row[9])
    return _head(key, row), (first, *(Piece(*columns) for columns in rest))


def _head(key: str, row: tuple[int, str, int, str, str | None, str | None]) -> ObjectHead:
    size_bytes, etag, modified_us, headers, checksum, part_sizes = row[:6]
    properties = ObjectProperties(_load_headers(headers), load_checksum(checksum))
    sizes = () if part_sizes is None else tuple(json.loads(part_sizes))
    return ObjectHead(key, size_bytes, etag, modified_us, properties, sizes)


@lru_cache(maxsize=HEADER_SETS_MAX)
def _load_headers(column: str) -> Mapping[str, str]:
    """Most objects share a few sets of headers; nobody writes into what is returned."""
    return MappingProxyType(json.loads(column))


def _missing(connection: Connection, bucket: BucketId, key: str) -> Exception:
    try:
        owner_of(connection, bucket)
    except NoSuchBucket as error:
        return error
    return NoSuchKey(key)


def owner_of(connection: Connection, bucket: BucketId) -> MemberId:
    """Whose bytes the bucket's are. Raises NoSuchBucket."""
    row = connection.execute("SELECT owner FROM bucket WHERE bucket = ?", (bucket,)).fetchone()
    if row is None:
        raise NoSuchBucket(bucket)
    return MemberId(row[0])


def create_bucket(connection: Connection, bucket: BucketId, *, owner: MemberId) -> None:
    """Make the bucket unless it is there."""
    connection.execute(
        "INSERT INTO bucket (bucket, owner) VALUES (?, ?) ON CONFLICT DO NOTHING", (bucket, owner)
    )


def delete_bucket(connection: Connection, bucket: BucketId) -> None:
    """Remove the bucket and the memory of its completed uploads. Raises BucketNotEmpty."""
    (is_used,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM object WHERE bucket = ?)"
        " OR EXISTS (SELECT 1 FROM upload WHERE bucket = ?)",
        (bucket, bucket),
    ).fetchone()
    if is_used:
        raise BucketNotEmpty(bucket)
    connection.execute("DELETE FROM tombstone WHERE bucket = ?", (bucket,))
    connection.execute("DELETE FROM bucket WHERE bucket = ?", (bucket,))


def current_object(connection: Connection, bucket: BucketId, key: str) -> Current | None:
    """The object now under the key."""
    row = connection.execute(
        "SELECT piece, size_bytes, etag FROM object WHERE bucket = ? AND key = ?", (bucket, key.encode())
    ).fetchone()
    return None if row is None else Current(*row)


def check_condition(condition: Condition, current: Current | None, *, key: str) -> None:
    """Raises PreconditionFailed; NoSuchKey when something must match and nothing is there."""
    if condition.if_none_match and current is not None:
        raise PreconditionFailed(key)
    if condition.if_match is None:
        return
    if current is None:
        raise NoSuchKey(key)
    if condition.if_match not in ("*", current.etag):
        raise PreconditionFailed(key)


def add_piece(connection: Connection, piece: Piece) -> int:
    """Keep the piece; its number."""
    row = connection.execute(
        "INSERT INTO piece (size_bytes, blob, data, md5) VALUES (?, ?, ?, ?) RETURNING piece",
        (piece.size_bytes, piece.blob, piece.data, piece.md5),
    ).fetchone()
    return int(row[0])


def put_object(
    connection: Connection,
    bucket: BucketId,
    head: ObjectHead,
    piece: Piece,
    *,
    condition: Condition,
    timing: Timing,
) -> None:
    """Make the piece the object. Raises NoSuchBucket, NoSuchKey, PreconditionFailed."""
    owner = owner_of(connection, bucket)
    current = current_object(connection, bucket, head.key)
    check_condition(condition, current, key=head.key)
    replaced_bytes = replace_object(
        connection, bucket, head, [add_piece(connection, piece)], current=current, timing=timing
    )
    add_change(
        connection,
        member=owner,
        bucket=bucket,
        line=StorageLine.OBJECT,
        delta_bytes=head.size_bytes - replaced_bytes,
        at_us=timing.now_us,
    )


def replace_object(
    connection: Connection,
    bucket: BucketId,
    head: ObjectHead,
    pieces: Sequence[int],
    *,
    current: Current | None,
    timing: Timing,
) -> int:
    """Point the key at the pieces; the bytes of the object that stood there, 0 for none."""
    if current is not None:
        drop_object_pieces(connection, current.first_piece, after_us=timing.garbage_after_us)
    first, *rest = pieces
    connection.executemany(
        "INSERT INTO manifest (first_piece, position, piece) VALUES (?, ?, ?)",
        [(first, position, piece) for position, piece in enumerate(rest, start=1)],
    )
    connection.execute(
        "INSERT OR REPLACE INTO object"
        " (bucket, key, piece, size_bytes, etag, modified_us, headers, checksum, part_sizes)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            bucket,
            head.key.encode(),
            first,
            head.size_bytes,
            head.etag,
            head.modified_us,
            dump_headers(head.properties),
            dump_checksum(head.properties.checksum),
            json.dumps(head.part_sizes) if head.part_sizes else None,
        ),
    )
    return 0 if current is None else current.size_bytes


def delete_objects(
    connection: Connection, bucket: BucketId, keys: Sequence[str], *, timing: Timing
) -> tuple[bool, ...]:
    """Remove keys; True where one existed. A key named twice existed once. Raises NoSuchBucket."""
    owner = owner_of(connection, bucket)
    existed = []
    freed_bytes = 0
    for key in keys:
        current = current_object(connection, bucket, key)
        existed.append(current is not None)
        if current is None:
            continue
        drop_object_pieces(connection, current.first_piece, after_us=timing.garbage_after_us)
        connection.execute("DELETE FROM object WHERE bucket = ? AND key = ?", (bucket, key.encode()))
        freed_bytes += current.size_bytes
    add_change(
        connection,
        member=owner,
        bucket=bucket,
        line=StorageLine.OBJECT,
        delta_bytes=-freed_bytes,
        at_us=timing.now_us,
    )
    return tuple(existed)


def drop_object_pieces(connection: Connection, first_piece: int, *, after_us: int) -> None:
    """Forget all pieces of an object; their files may go after the instant."""
    rest = connection.execute("SELECT piece FROM manifest WHERE first_piece = ?", (first_piece,)).fetchall()
    if rest:
        connection.execute("DELETE FROM manifest WHERE first_piece = ?", (first_piece,))
    drop_pieces(connection, [first_piece, *(piece for (piece,) in rest)], after_us=after_us)


def drop_pieces(connection: Connection, pieces: Sequence[int], *, after_us: int) -> None:
    """Forget the pieces; their files may go after the instant."""
    for piece in pieces:
        row = connection.execute("DELETE FROM piece WHERE piece = ? RETURNING blob", (piece,)).fetchone()
        assert row is not None, f"piece {piece} is pointed at and not there"
        if row[0] is not None:
            connection.execute("INSERT INTO garbage (blob, after_us) VALUES (?, ?)", (row[0], after_us))
