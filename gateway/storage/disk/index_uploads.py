"""The index's rows of multipart uploads and their parts. It touches no file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from gateway.storage.disk.columns import (
    dump_checksum,
    dump_extras,
    dump_headers,
    load_checksum,
    load_properties,
)
from gateway.storage.disk.index import Connection
from gateway.storage.disk.index_buckets import read_bucket, require_bucket
from gateway.storage.disk.index_change import Timing, begin_change
from gateway.storage.disk.index_objects import head_of_piece
from gateway.storage.disk.index_pieces import add_piece, drop_pieces
from gateway.storage.disk.index_versions import add_object, newest_entry
from gateway.storage.disk.index_writing import check_newest
from gateway.storage.disk.piece import Piece
from gateway.storage.errors import InvalidPart, InvalidPartOrder, NoSuchUpload, PartTooSmall
from gateway.storage.model import Checksum, Condition, ObjectHead, Part, Quota, Upload
from gateway.storage.retention import check_lockable
from meter.event import StorageLine
from meter.ids import BucketId


@dataclass(frozen=True, slots=True)
class Completion:
    """What a Complete asks for."""

    parts: Sequence[tuple[int, str]]
    """(number, ETag without quotes) in the order of the object."""
    etag: str
    checksum: Checksum | None
    condition: Condition
    part_bytes_min: int
    tombstones_from_us: int
    """Uploads completed before this instant are forgotten."""
    sealing: Mapping[str, str] | None = None
    """The object's sealing in place of the upload's."""


@dataclass(frozen=True, slots=True)
class _StoredPart:
    number: int
    piece: int
    size_bytes: int
    etag: str
    checksum: str | None
    """As the column has it."""


def add_upload(connection: Connection, bucket: BucketId, upload: Upload) -> None:
    """Open the upload. Raises NoSuchBucket, InvalidRules."""
    _, rules = read_bucket(connection, bucket)
    check_lockable(upload.properties, rules)
    connection.execute(
        "INSERT INTO upload (upload_id, bucket, key, started_us, headers, checksum_algorithm, checksum_kind,"
        " extras) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            upload.upload_id,
            bucket,
            upload.key.encode(),
            upload.started_us,
            dump_headers(upload.properties),
            upload.checksum_algorithm,
            upload.checksum_kind,
            dump_extras(upload.properties),
        ),
    )


def read_upload(connection: Connection, bucket: BucketId, key: str, upload_id: str) -> Upload:
    """Raises NoSuchBucket, and NoSuchUpload also when the id belongs to another key or bucket."""
    row = connection.execute(
        "SELECT started_us, headers, checksum_algorithm, checksum_kind, extras"
        " FROM upload WHERE upload_id = ? AND bucket = ? AND key = ?",
        (upload_id, bucket, key.encode()),
    ).fetchone()
    if row is None:
        require_bucket(connection, bucket)
        raise NoSuchUpload(upload_id)
    started_us, headers, algorithm, kind, extras = row
    return Upload(upload_id, key, started_us, load_properties(headers, None, extras), algorithm, kind)


def put_part(
    connection: Connection,
    bucket: BucketId,
    key: str,
    upload_id: str,
    part: Part,
    piece: Piece,
    *,
    quota: Quota,
    timing: Timing,
) -> Part:
    """Keep the part; one of the same number is replaced. Raises NoSuchBucket, NoSuchUpload, QuotaExceeded."""
    change = begin_change(connection, bucket, timing)
    read_upload(connection, bucket, key, upload_id)
    replaced = connection.execute(
        "SELECT piece, size_bytes FROM part WHERE upload_id = ? AND number = ?", (upload_id, part.number)
    ).fetchone()
    if replaced is not None:
        drop_pieces(change, [replaced[0]])
    connection.execute(
        "INSERT OR REPLACE INTO part (upload_id, number, piece, size_bytes, etag, modified_us, checksum,"
        " sealing) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            upload_id,
            part.number,
            add_piece(connection, piece),
            part.size_bytes,
            part.etag,
            part.modified_us,
            dump_checksum(part.checksum),
            part.sealing,
        ),
    )
    change.add(StorageLine.PART, part.size_bytes - (0 if replaced is None else replaced[1]))
    change.finish(quota)
    return part


def read_parts(
    connection: Connection, bucket: BucketId, key: str, upload_id: str, *, after: int, limit: int
) -> tuple[tuple[Part, ...], bool]:
    """Parts with number > after, and whether more follow. Raises NoSuchBucket, NoSuchUpload."""
    read_upload(connection, bucket, key, upload_id)
    rows = connection.execute(
        "SELECT number, size_bytes, etag, modified_us, checksum, sealing FROM part"
        " WHERE upload_id = ? AND number > ? ORDER BY number LIMIT ?",
        (upload_id, after, limit + 1),
    ).fetchall()
    parts = tuple(
        Part(number, size_bytes, etag, modified_us, load_checksum(checksum), sealing)
        for number, size_bytes, etag, modified_us, checksum, sealing in rows[:limit]
    )
    return parts, len(rows) > limit


def complete_upload(
    connection: Connection,
    bucket: BucketId,
    key: str,
    upload_id: str,
    completion: Completion,
    *,
    timing: Timing,
) -> ObjectHead:
    """Make the named parts the object and close the upload; see Engine.complete_upload."""
    try:
        upload = read_upload(connection, bucket, key, upload_id)
    except NoSuchUpload:
        return _completed_before(connection, bucket, key, upload_id, completion)
    stored = _stored_parts(connection, upload_id)
    chosen = _choose(stored, completion)
    change = begin_change(connection, bucket, timing)
    newest = newest_entry(change, key)
    check_newest(completion.condition, newest, key=key)
    sealing = upload.properties.sealing if completion.sealing is None else completion.sealing
    properties = replace(upload.properties, checksum=completion.checksum, sealing=sealing)
    sizes = tuple(part.size_bytes for part in chosen)
    head = ObjectHead(
        key,
        sum(sizes),
        completion.etag,
        timing.now_us,
        properties,
        sizes,
        part_checksums=_checksums_of(chosen, completion.checksum),
    )
    pieces = [part.piece for part in chosen]
    head = add_object(change, head, pieces, newest)
    kept = set(pieces)
    dropped = [part.piece for part in stored.values() if part.piece not in kept]
    drop_pieces(change, dropped)
    change.add(StorageLine.PART, -sum(part.size_bytes for part in stored.values()))
    change.finish()
    _forget(connection, upload_id)
    connection.execute(
        "INSERT INTO tombstone (upload_id, bucket, key, parts, piece, completed_us, version_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            upload_id,
            bucket,
            key.encode(),
            _dump_parts(completion.parts),
            pieces[0],
            timing.now_us,
            head.version_id,
        ),
    )
    return head


def _completed_before(
    connection: Connection, bucket: BucketId, key: str, upload_id: str, completion: Completion
) -> ObjectHead:
    """What an earlier Complete with the same parts made, as long as it is there, also as an old version."""
    row = connection.execute(
        "SELECT parts, completed_us, version_id, piece FROM tombstone"
        " WHERE upload_id = ? AND bucket = ? AND key = ?",
        (upload_id, bucket, key.encode()),
    ).fetchone()
    if row is None or row[0] != _dump_parts(completion.parts) or row[1] < completion.tombstones_from_us:
        raise NoSuchUpload(upload_id)
    head = head_of_piece(connection, bucket, key, row[2], piece=row[3])
    if head is None:
        raise NoSuchUpload(upload_id)
    return head


def _choose(stored: dict[int, _StoredPart], completion: Completion) -> list[_StoredPart]:
    numbers = [number for number, _ in completion.parts]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise InvalidPartOrder(numbers)
    if not numbers:
        raise InvalidPart(0)
    chosen = []
    for number, etag in completion.parts:
        part = stored.get(number)
        if part is None or part.etag != etag:
            raise InvalidPart(number)
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size_bytes < completion.part_bytes_min:
            raise PartTooSmall(part.number, part.size_bytes, completion.part_bytes_min)
    return chosen


def _checksums_of(chosen: list[_StoredPart], whole: Checksum | None) -> tuple[str, ...]:
    """The parts' own checksums, where that of the whole is made of them."""
    if whole is None or whole.kind != "COMPOSITE":
        return ()
    loaded = [load_checksum(part.checksum) for part in chosen]
    values = [one.value for one in loaded if one is not None and one.algorithm == whole.algorithm]
    return tuple(values) if len(values) == len(chosen) else ()


def _stored_parts(connection: Connection, upload_id: str) -> dict[int, _StoredPart]:
    rows = connection.execute(
        "SELECT number, piece, size_bytes, etag, checksum FROM part WHERE upload_id = ?", (upload_id,)
    )
    return {row[0]: _StoredPart(*row) for row in rows}


def _forget(connection: Connection, upload_id: str) -> None:
    connection.execute("DELETE FROM part WHERE upload_id = ?", (upload_id,))
    connection.execute("DELETE FROM upload WHERE upload_id = ?", (upload_id,))


def _dump_parts(parts: Sequence[tuple[int, str]]) -> str:
    return json.dumps([[number, etag] for number, etag in parts])


def abort_upload(
    connection: Connection, bucket: BucketId, key: str, upload_id: str, *, timing: Timing
) -> None:
    """Drop the upload and its parts. Raises NoSuchBucket, NoSuchUpload."""
    change = begin_change(connection, bucket, timing)
    read_upload(connection, bucket, key, upload_id)
    stored = _stored_parts(connection, upload_id).values()
    drop_pieces(change, [part.piece for part in stored])
    change.add(StorageLine.PART, -sum(part.size_bytes for part in stored))
    change.finish()
    _forget(connection, upload_id)
