"""Put, delete and amend, each decided inside its commit. It touches no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.storage.disk.columns import dump_extras
from gateway.storage.disk.index import Connection
from gateway.storage.disk.index_change import Change, Timing, begin_change
from gateway.storage.disk.index_objects import both_names, read_head
from gateway.storage.disk.index_pieces import add_piece
from gateway.storage.disk.index_versions import (
    Entry,
    add_marker,
    add_object,
    check_unlocked,
    named_entry,
    newest_entry,
    remove,
)
from gateway.storage.disk.piece import Piece
from gateway.storage.errors import NoSuchKey, NoSuchVersion, PreconditionFailed, StorageError
from gateway.storage.model import (
    NO_CONDITION,
    NULL_VERSION,
    Amendment,
    Condition,
    Deleted,
    Deletion,
    ObjectHead,
    Quota,
    Versioning,
)
from gateway.storage.retention import amended
from meter.ids import BucketId


def put_object(
    connection: Connection,
    bucket: BucketId,
    head: ObjectHead,
    piece: Piece,
    *,
    condition: Condition,
    quota: Quota,
    timing: Timing,
) -> ObjectHead:
    """Make the piece the object; the head as it is kept. Raises what Engine.put_object raises."""
    change = begin_change(connection, bucket, timing)
    newest = newest_entry(change, head.key)
    check_newest(condition, newest, key=head.key)
    head = add_object(change, head, [add_piece(connection, piece)], newest)
    change.finish(quota)
    return head


def check_newest(condition: Condition, newest: Entry | None, *, key: str) -> None:
    """Hold the condition against the current object; a key behind a marker has none.

    Raises PreconditionFailed; NoSuchKey when something must match and nothing is there.
    """
    if condition is NO_CONDITION or condition == NO_CONDITION:
        return
    current = newest if newest is not None and newest.is_current else None
    if current is not None:
        _check(condition, current, key=key)
    elif condition.if_match is not None or condition.modified_us is not None:
        error = NoSuchKey(key)
        error.marker_version_id = "" if newest is None else newest.version_id
        raise error


def _check(condition: Condition, entry: Entry, *, key: str) -> None:
    if condition.if_none_match:
        raise PreconditionFailed(key)
    if condition.if_match not in (None, "*", entry.etag):
        raise PreconditionFailed(key)
    if condition.modified_us not in (None, entry.modified_us):
        raise PreconditionFailed(key)


def delete_objects(
    connection: Connection, bucket: BucketId, deletions: Sequence[Deletion], *, timing: Timing
) -> tuple[Deleted, ...]:
    """Delete in the order given. Raises NoSuchBucket; what else is refused is in the answers."""
    change = begin_change(connection, bucket, timing)
    answers = tuple(_delete(change, deletion) for deletion in deletions)
    change.finish()
    return answers


def _delete(change: Change, deletion: Deletion) -> Deleted:
    # Everything is looked at before the first row changes, so what is refused has changed nothing.
    try:
        if deletion.version_id is None:
            return _delete_key(change, deletion)
        return _delete_version(change, deletion, deletion.version_id)
    except StorageError as error:
        return Deleted(deletion.key, deletion.version_id or "", error=error)


def _delete_key(change: Change, deletion: Deletion) -> Deleted:
    newest = newest_entry(change, deletion.key)
    check_newest(deletion.condition, newest, key=deletion.key)
    existed = newest is not None and newest.is_current
    if change.rules.versioning is not Versioning.OFF:
        marker = add_marker(change, deletion.key, newest)
        return Deleted(deletion.key, is_marker=True, marker_version_id=marker, existed=existed)
    if newest is not None:
        check_unlocked(change.timing, deletion.key, newest, may_bypass=deletion.may_bypass)
        remove(change, deletion.key, newest)
    return Deleted(deletion.key, existed=existed)


def _delete_version(change: Change, deletion: Deletion, version_id: str) -> Deleted:
    entry = named_entry(change, deletion.key, version_id)
    if entry is None:
        if deletion.condition != NO_CONDITION:
            raise NoSuchVersion(deletion.key, version_id)
        return Deleted(deletion.key, version_id)
    _check(deletion.condition, entry, key=deletion.key)
    check_unlocked(change.timing, deletion.key, entry, may_bypass=deletion.may_bypass)
    remove(change, deletion.key, entry)
    named = entry.version_id or NULL_VERSION
    is_marker = entry.piece is None
    return Deleted(
        deletion.key,
        named,
        is_marker=is_marker,
        marker_version_id=named if is_marker else "",
        existed=True,
    )


def amend_object(
    connection: Connection,
    bucket: BucketId,
    key: str,
    version_id: str | None,
    amendment: Amendment,
    *,
    timing: Timing,
) -> ObjectHead:
    """Change what is kept beside the bytes. Raises what Engine.amend_object raises."""
    change = begin_change(connection, bucket, timing)
    head = read_head(connection, bucket, key, version_id)
    properties = amended(key, head.properties, amendment, change.rules, now_us=timing.now_us)
    row = (dump_extras(properties), bucket, key.encode(), *both_names(head.version_id))
    updated = connection.execute(
        "UPDATE object SET extras = ? WHERE bucket = ? AND key = ? AND version_id IN (?, ?)", row
    ).rowcount
    if not updated:
        connection.execute(
            "UPDATE version SET extras = ? WHERE bucket = ? AND key = ? AND version_id IN (?, ?)", row
        )
    return replace(head, properties=properties)
