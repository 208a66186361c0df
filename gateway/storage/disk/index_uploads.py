"""The index's rows of multipart uploads and their parts. It touches no file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from gateway.storage.disk.index import Connection
from gateway.storage.disk.index_objects import (
    Timing,
    add_piece,
    check_condition,
    current_object,
    drop_pieces,
    dump_checksum,
    dump_headers,
    load_checksum,
    owner_of,
    read_head,
    replace_object,
)
from gateway.storage.disk.index_outbox import add_change
from gateway.storage.disk.piece import Piece
from gateway.storage.errors import InvalidPart, InvalidPartOrder, NoSuchUpload, PartTooSmall
from gateway.storage.model import Checksum, Condition, ObjectHead, ObjectProperties, Part, Upload
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


@dataclass(frozen=True, slots=True)
class _StoredPart:
    number: int
    piece: int
    size_bytes: int
    etag: str


def add_upload(connection: Connection, bucket: BucketId, upload: Upload) -> None:
    """Open the upload. Raises NoSuchBucket."""
    owner_of(connection, bucket)
    connection.execute(
        "INSERT INTO upload (upload_id, bucket, key, started_us, headers, checksum_algorithm, checksum_kind)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            upload.upload_id,
            bucket,
            upload.key.encode(),
            upload.started_us,
            dump_headers(upload.properties),
            upload.checksum_algorithm,
            upload.checksum_kind,
        ),
    )


def read_upload(connection: Connection, bucket: BucketId, key: str, upload_id: str) -> Upload:
    """Raises NoSuchBucket, and NoSuchUpload also when the id belongs to another key or bucket."""
    row = connection.execute(
        "SELECT started_us, headers, checksum_algorithm, checksum_kind"
        " FROM upload WHERE upload_id = ? AND bucket = ? AND key = ?",
        (upload_id, bucket, key.encode()),
    ).fetchone()
    if row is None:
        owner_of(connection, bucket)
        raise NoSuchUpload(upload_id)
    started_us, headers, algorithm, kind = row
    return Upload(upload_id, key, started_us, ObjectProperties(json.loads(headers)), algorithm, kind)


def put_part(
    connection: Connection,
    bucket: BucketId,
    key: str,
    upload_id: str,
    part: Part,
    piece: Piece,
    *,
    timing: Timing,
) -> None:
    """Keep the part; one of the same number is replaced. Raises NoSuchBucket, NoSuchUpload."""
    read_upload(connection, bucket, key, upload_id)
    replaced = connection.execute(
        "SELECT piece, size_bytes FROM part WHERE upload_id = ? AND number = ?", (upload_id, part.number)
    ).fetchone()
    if replaced is not None:
        drop_pieces(connection, [replaced[0]], after_us=timing.garbage_after_us)
    connection.execute(
        "INSERT OR REPLACE INTO part (upload_id, number, piece, size_bytes, etag, modified_us, checksum)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            upload_id,
            part.number,
            add_piece(connection, piece),
            part.size_bytes,
            part.etag,
            part.modified_us,
            dump_checksum(part.checksum),
        ),
    )
    add_change(
        connection,
        member=owner_of(connection, bucket),
        bucket=bucket,
        line=StorageLine.PART,
        delta_bytes=part.size_bytes - (0 if replaced is None else replaced[1]),
        at_us=timing.now_us,
    )


def read_parts(
    connection: Connection, bucket: BucketId, key: str, upload_id: str, *, after: int, limit: int
) -> tuple[tuple[Part, ...], bool]:
    """Parts with number > after, and whether more follow. Raises NoSuchBucket, NoSuchUpload."""
    read_upload(connection, bucket, key, upload_id)
    rows = connection.execute(
        "SELECT number, size_bytes, etag, modified_us, checksum FROM part"
        " WHERE upload_id = ? AND number > ? ORDER BY number LIMIT ?",
        (upload_id, after, limit + 1),
    ).fetchall()
    parts = tuple(
        Part(number, size_bytes, etag, modified_us, load_checksum(checksum))
        for number, size_bytes, etag, modified_us, checksum in rows[:limit]
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
    current = current_object(connection, bucket, key)
    check_condition(completion.condition, current, key=key)
    head = ObjectHead(
        key,
        sum(part.size_bytes for part in chosen),
        completion.etag,
        timing.now_us,
        replace(upload.properties, checksum=completion.checksum),
        tuple(part.size_bytes for part in chosen),
    )
    pieces = [part.piece for part in chosen]
    replaced_bytes = replace_object(connection, bucket, head, pieces, current=current, timing=timing)
    kept = set(pieces)
    dropped = [part.piece for part in stored.values() if part.piece not in kept]
    drop_pieces(connection, dropped, after_us=timing.garbage_after_us)
    part_bytes = sum(part.size_bytes for part in stored.values())
    _note(
        connection,
        bucket,
        object_delta=head.size_bytes - replaced_bytes,
        part_delta=-part_bytes,
        timing=timing,
    )
    _forget(connection, upload_id)
    connection.execute(
        "INSERT INTO tombstone (upload_id, bucket, key, parts, piece, completed_us)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (upload_id, bucket, key.encode(), _dump_parts(completion.parts), pieces[0], timing.now_us),
    )
    return head


def _completed_before(
    connection: Connection, bucket: BucketId, key: str, upload_id: str, completion: Completion
) -> ObjectHead:
    """The object an earlier Complete with the same parts made, as long as it is still the object."""
    row = connection.execute(
        "SELECT tombstone.parts, tombstone.completed_us"
        " FROM tombstone JOIN object USING (bucket, key, piece)"
        " WHERE upload_id = ? AND bucket = ? AND key = ?",
        (upload_id, bucket, key.encode()),
    ).fetchone()
    if row is None or row[0] != _dump_parts(completion.parts) or row[1] < completion.tombstones_from_us:
        raise NoSuchUpload(upload_id)
    return read_head(connection, bucket, key)


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


def _stored_parts(connection: Connection, upload_id: str) -> dict[int, _StoredPart]:
    rows = connection.execute(
        "SELECT number, piece, size_bytes, etag FROM part WHERE upload_id = ?", (upload_id,)
    )
    return {row[0]: _StoredPart(*row) for row in rows}


def _note(
    connection: Connection, bucket: BucketId, *, object_delta: int, part_delta: int, timing: Timing
) -> None:
    owner = owner_of(connection, bucket)
    for line, delta_bytes in ((StorageLine.PART, part_delta), (StorageLine.OBJECT, object_delta)):
        add_change(
            connection, member=owner, bucket=bucket, line=line, delta_bytes=delta_bytes, at_us=timing.now_us
        )


def _forget(connection: Connection, upload_id: str) -> None:
    connection.execute("DELETE FROM part WHERE upload_id = ?", (upload_id,))
    connection.execute("DELETE FROM upload WHERE upload_id = ?", (upload_id,))


def _dump_parts(parts: Sequence[tuple[int, str]]) -> str:
    return json.dumps([[number, etag] for number, etag in parts])


def abort_upload(
    connection: Connection, bucket: BucketId, key: str, upload_id: str, *, timing: Timing
) -> None:
    """Drop the upload and its parts. Raises NoSuchBucket, NoSuchUpload."""
    read_upload(connection, bucket, key, upload_id)
    stored = _stored_parts(connection, upload_id).values()
    drop_pieces(connection, [part.piece for part in stored], after_us=timing.garbage_after_us)
    part_bytes = sum(part.size_bytes for part in stored)
    _note(connection, bucket, object_delta=0, part_delta=-part_bytes, timing=timing)
    _forget(connection, upload_id)
