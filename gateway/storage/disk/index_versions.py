"""How the versions of one key come, give way, come back and go. It touches no file.

The current object stands in table object, all else of a key in table version. Whoever calls has checked
conditions and locks; each function here leaves both tables as 0002_versions.sql describes them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from gateway.storage.disk.columns import (
    dump_checksum,
    dump_extras,
    dump_headers,
    dump_parts,
    load_properties,
)
from gateway.storage.disk.index import Connection, in_runs, insert_rows, values
from gateway.storage.disk.index_change import Change, Timing
from gateway.storage.disk.index_objects import both_names
from gateway.storage.disk.index_pieces import drop_joined, drop_piece, join_pieces
from gateway.storage.model import NULL_VERSION, BucketRules, ObjectHead, Versioning
from gateway.storage.retention import check_removable, retained
from meter.event import StorageLine
from meter.ids import BucketId

REPLACE_OBJECT = (
    "REPLACE INTO object (bucket, key, piece, size_bytes, etag, modified_us, headers, checksum, part_sizes,"
    " version_id, extras)"
)

_CURRENT = """
    SELECT version_id, modified_us, piece, size_bytes, etag, extras, part_sizes IS NOT NULL, 1, 1
    FROM object WHERE bucket = ? AND key = ?
"""
_CURRENT_OF_MANY = """
    WITH wanted (at, bucket, key) AS ({})
    SELECT json_group_array(json_array(
        at, version_id, modified_us, piece, size_bytes, etag, extras, part_sizes IS NOT NULL))
    FROM wanted CROSS JOIN object ON object.bucket = wanted.bucket AND object.key = wanted.key
"""
_NEWEST_BELOW = """
    SELECT version_id, modified_us, piece, size_bytes, etag, extras, part_sizes IS NOT NULL, 0, superseded_us IS NULL
    FROM version WHERE bucket = ? AND key = ? ORDER BY modified_us DESC LIMIT 1
"""
_NAMED = """
    SELECT version_id, modified_us, piece, size_bytes, etag, extras, part_sizes IS NOT NULL, 1, 1
    FROM object WHERE bucket = ?1 AND key = ?2 AND version_id IN (?3, ?4)
    UNION ALL
    SELECT version_id, modified_us, piece, size_bytes, etag, extras, part_sizes IS NOT NULL, 0, superseded_us IS NULL
    FROM version WHERE bucket = ?1 AND key = ?2 AND version_id IN (?3, ?4)
"""
_RETIRE = """
    INSERT INTO version (bucket, key, modified_us, version_id, is_marker, piece, size_bytes, etag, headers,
                         checksum, part_sizes, extras, superseded_us)
    SELECT bucket, key, modified_us, version_id, 0, piece, size_bytes, etag, headers,
           checksum, part_sizes, extras, ?
    FROM object WHERE bucket = ? AND key = ?
"""
_BRING_BACK = """
    INSERT INTO object (bucket, key, piece, size_bytes, etag, modified_us, headers, checksum, part_sizes,
                        version_id, extras)
    SELECT bucket, key, piece, size_bytes, etag, modified_us, headers, checksum, part_sizes,
           version_id, extras
    FROM version WHERE bucket = ? AND key = ? AND modified_us = ?
"""


class Entry(NamedTuple):
    """What a writer must know of a version or a delete marker."""

    version_id: str
    modified_us: int
    piece: int | None
    """The first piece; None for a marker."""
    size_bytes: int
    etag: str
    extras: str | None
    has_parts: bool
    """It was completed from parts, so there may be more pieces behind the first."""
    is_current: bool
    """It stands in table object."""
    is_newest: bool

    @property
    def is_null(self) -> bool:
        """S3's version 'null'."""
        return self.version_id in ("", NULL_VERSION)


def newest_entry(change: Change, key: str) -> Entry | None:
    """The current object, or the marker that hides the key, or None."""
    place = (change.bucket, key.encode())
    row = change.connection.execute(_CURRENT, place).fetchone()
    if row is None and change.rules.versioning is not Versioning.OFF:
        row = change.connection.execute(_NEWEST_BELOW, place).fetchone()
    return _entry(row)


def named_entry(change: Change, key: str, version_id: str) -> Entry | None:
    """The version or marker of that id."""
    place = (change.bucket, key.encode(), *both_names(version_id))
    return _entry(change.connection.execute(_NAMED, place).fetchone())


def _entry(row: tuple[str, int, int | None, int, str, str | None, int, int, int] | None) -> Entry | None:
    if row is None:
        return None
    version_id, modified_us, piece, size_bytes, etag, extras, has_parts, is_current, is_newest = row
    return Entry(
        version_id, modified_us, piece, size_bytes, etag, extras, bool(has_parts), bool(is_current),
        bool(is_newest),
    )  # fmt: skip


def current_entries(
    connection: Connection, places: Sequence[tuple[BucketId, str]]
) -> dict[tuple[BucketId, str], Entry]:
    """The current objects of those keys that have one."""
    found: dict[tuple[BucketId, str], Entry] = {}
    # One row for all of them, because each row read is one more turn for the interpreter's lock.
    for run in in_runs([(at, bucket, key.encode()) for at, (bucket, key) in enumerate(places)]):
        parameters = tuple(chain.from_iterable(run))
        (rows,) = connection.execute(_CURRENT_OF_MANY.format(values(3, len(run))), parameters).fetchone()
        for at, version_id, modified_us, piece, size_bytes, etag, extras, has_parts in json.loads(rows):
            found[places[at]] = Entry(
                version_id, modified_us, piece, size_bytes, etag, extras, bool(has_parts),
                is_current=True, is_newest=True,
            )  # fmt: skip
    return found


def add_object(change: Change, head: ObjectHead, pieces: Sequence[int], newest: Entry | None) -> ObjectHead:
    """Make the pieces the newest version; the head as it is kept.

    Raises ObjectLocked; InvalidRules when it asks for a lock in a bucket without.
    """
    head = settled(head, newest, change.rules, now_us=change.timing.now_us)
    _make_way(change, head.key, newest, by_us=head.modified_us, by_object=True)
    join_pieces(change.connection, pieces)
    insert_rows(change.connection, REPLACE_OBJECT, [object_row(change.bucket, head, pieces[0])])
    change.add(StorageLine.OBJECT, head.size_bytes)
    return head


def object_row(bucket: BucketId, head: ObjectHead, piece: int) -> tuple[object, ...]:
    """The row that REPLACE_OBJECT writes."""
    return (
        bucket,
        head.key.encode(),
        piece,
        head.size_bytes,
        head.etag,
        head.modified_us,
        dump_headers(head.properties),
        dump_checksum(head.properties.checksum),
        dump_parts(head.part_sizes, head.part_checksums),
        head.version_id,
        dump_extras(head.properties),
    )


def settled(head: ObjectHead, newest: Entry | None, rules: BucketRules, *, now_us: int) -> ObjectHead:
    """The head with its place in the order, its id, and the bucket's default retention. Raises InvalidRules."""
    modified_us = _next_us(head.modified_us, newest)
    version_id = _version_id(rules, modified_us)
    properties = retained(head.properties, rules, now_us=now_us)
    kept = (head.modified_us, head.version_id, head.properties)
    if (modified_us, version_id, properties) == kept:
        # A plain put; making one more head of it would cost as much as a statement.
        return head
    return replace(head, modified_us=modified_us, version_id=version_id, properties=properties)


def add_marker(change: Change, key: str, newest: Entry | None) -> str:
    """Hide the key behind a delete marker; the marker's version id. Raises ObjectLocked."""
    modified_us = _next_us(change.timing.now_us, newest)
    version_id = _version_id(change.rules, modified_us)
    _make_way(change, key, newest, by_us=modified_us, by_object=False)
    change.connection.execute(
        "INSERT INTO version (bucket, key, modified_us, version_id, is_marker, size_bytes, etag, headers)"
        " VALUES (?, ?, ?, ?, 1, 0, '', '{}')",
        (change.bucket, key.encode(), modified_us, version_id),
    )
    return version_id


def _next_us(now_us: int, newest: Entry | None) -> int:
    # Clocks of two machines, or one that was set back: the order of the commits is the order of versions.
    return now_us if newest is None else max(now_us, newest.modified_us + 1)


def _version_id(rules: BucketRules, modified_us: int) -> str:
    """Sorts newest first, tells its time (see version_us) and cannot be guessed."""
    match rules.versioning:
        case Versioning.OFF:
            return ""
        case Versioning.SUSPENDED:
            return NULL_VERSION
        case Versioning.ENABLED:
            return f"{_ID_EPOCH_US - modified_us:016x}{secrets.token_hex(8)}"


_ID_EPOCH_US = 2**63 - 1
_ID_TIME_DIGITS = 16


def version_us(version_id: str) -> int | None:
    """When the version of that id was written, also when it is gone; None for ids we never give."""
    try:
        return _ID_EPOCH_US - int(version_id[:_ID_TIME_DIGITS], 16)
    except ValueError:
        return None


def _make_way(change: Change, key: str, newest: Entry | None, *, by_us: int, by_object: bool) -> None:
    """The versions there are give way to one written at by_us: retired, or replaced for good.

    by_object: it is an object and not a marker, and its row takes the place of the row of what was current.
    """
    if change.rules.versioning is Versioning.ENABLED:
        _retire(change, key, newest, by_us=by_us)
        return
    keeps_newest = newest is not None and not newest.is_null
    replaced = named_entry(change, key, NULL_VERSION) if keeps_newest else newest
    if replaced is not None:
        check_unlocked(change.timing, key, replaced, may_bypass=False)
    if newest is not replaced:
        _retire(change, key, newest, by_us=by_us)
    if replaced is not None:
        _erase(change, key, replaced, keeps_row=by_object and replaced.is_current)


def check_unlocked(timing: Timing, key: str, entry: Entry, *, may_bypass: bool) -> None:
    """Raises ObjectLocked when the entry may not go for good."""
    if entry.extras is not None:
        properties = load_properties("{}", None, entry.extras)
        check_removable(key, properties, now_us=timing.now_us, may_bypass=may_bypass)


def _retire(change: Change, key: str, newest: Entry | None, *, by_us: int) -> None:
    if newest is None:
        return
    place = (change.bucket, key.encode())
    if newest.is_current:
        change.connection.execute(_RETIRE, (by_us, *place))
        change.connection.execute("DELETE FROM object WHERE bucket = ? AND key = ?", place)
        change.add(StorageLine.OBJECT, -newest.size_bytes)
        change.add(StorageLine.VERSION, newest.size_bytes)
    else:
        change.connection.execute(
            "UPDATE version SET superseded_us = ? WHERE bucket = ? AND key = ? AND modified_us = ?",
            (by_us, *place, newest.modified_us),
        )


def remove(change: Change, key: str, entry: Entry) -> None:
    """Take the entry away for good; if it was the newest, the next one is the newest again."""
    _erase(change, key, entry)
    if not entry.is_newest or change.rules.versioning is Versioning.OFF:
        return
    place = (change.bucket, key.encode())
    following = _entry(change.connection.execute(_NEWEST_BELOW, place).fetchone())
    if following is None:
        return
    if following.piece is None:
        change.connection.execute(
            "UPDATE version SET superseded_us = NULL WHERE bucket = ? AND key = ? AND modified_us = ?",
            (*place, following.modified_us),
        )
        return
    change.connection.execute(_BRING_BACK, (*place, following.modified_us))
    change.connection.execute(
        "DELETE FROM version WHERE bucket = ? AND key = ? AND modified_us = ?",
        (*place, following.modified_us),
    )
    change.add(StorageLine.VERSION, -following.size_bytes)
    change.add(StorageLine.OBJECT, following.size_bytes)


def _erase(change: Change, key: str, entry: Entry, *, keeps_row: bool = False) -> None:
    if entry.piece is not None:
        drop = drop_joined if entry.has_parts else drop_piece
        drop(change, entry.piece)
    place = (change.bucket, key.encode())
    if entry.is_current and not keeps_row:
        change.connection.execute("DELETE FROM object WHERE bucket = ? AND key = ?", place)
    elif not entry.is_current:
        change.connection.execute(
            "DELETE FROM version WHERE bucket = ? AND key = ? AND modified_us = ?",
            (*place, entry.modified_us),
        )
    change.add(StorageLine.OBJECT if entry.is_current else StorageLine.VERSION, -entry.size_bytes)
