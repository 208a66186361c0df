"""The index's rows of pieces, of manifests that put them together, and of files to be collected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from gateway.storage.disk.index import Connection, insert_rows
from gateway.storage.disk.index_change import Change
from gateway.storage.disk.piece import Piece
from meter.event import StorageLine
from meter.ids import BucketId, MemberId

_PIECE = "SELECT size_bytes, blob, data FROM piece WHERE piece = ?"
_REST = """
    SELECT piece.size_bytes, piece.blob, piece.data
    FROM manifest JOIN piece ON piece.piece = manifest.piece
    WHERE manifest.first_piece = ? ORDER BY manifest.position
"""


class Leaving(NamedTuple):
    """A piece that is to go, whose it was, and when its file may; UTC microseconds."""

    piece: int
    bucket: BucketId
    member: MemberId
    after_us: int


def add_piece(connection: Connection, piece: Piece) -> int:
    """Keep the piece; its number."""
    row = connection.execute(
        "INSERT INTO piece (size_bytes, blob, data, md5) VALUES (?, ?, ?, ?) RETURNING piece",
        (piece.size_bytes, piece.blob, piece.data, piece.md5),
    ).fetchone()
    return int(row[0])


def add_pieces(connection: Connection, pieces: Sequence[Piece]) -> range:
    """Keep the pieces; their numbers, in order."""
    # What AUTOINCREMENT would give; it goes on behind numbers that were given by hand.
    (last,) = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'piece'"
    ).fetchone()
    numbers = range(last + 1, last + 1 + len(pieces))
    rows = [
        (number, piece.size_bytes, piece.blob, piece.data, piece.md5)
        for number, piece in zip(numbers, pieces, strict=True)
    ]
    insert_rows(connection, "INSERT INTO piece (piece, size_bytes, blob, data, md5)", rows)
    return numbers


def join_pieces(connection: Connection, pieces: Sequence[int]) -> None:
    """Put the pieces together, in this order, under the first of them."""
    if len(pieces) == 1:
        return
    first, *rest = pieces
    connection.executemany(
        "INSERT INTO manifest (first_piece, position, piece) VALUES (?, ?, ?)",
        [(first, position, piece) for position, piece in enumerate(rest, start=1)],
    )


def first_piece(connection: Connection, number: int) -> Piece:
    """The piece of that number."""
    return Piece(*connection.execute(_PIECE, (number,)).fetchone())


def other_pieces(connection: Connection, first: int) -> list[Piece]:
    """The pieces joined behind the first, in order."""
    return [Piece(*row) for row in connection.execute(_REST, (first,))]


def drop_joined(change: Change, first: int) -> None:
    """Forget the piece and all joined behind it; their files go when their readers have had their time."""
    connection = change.connection
    rest = connection.execute("SELECT piece FROM manifest WHERE first_piece = ?", (first,)).fetchall()
    if rest:
        connection.execute("DELETE FROM manifest WHERE first_piece = ?", (first,))
        drop_pieces(change, [first, *(piece for (piece,) in rest)])
    else:
        drop_piece(change, first)


def drop_piece(change: Change, number: int) -> None:
    """Forget a piece that has none joined behind it; its file goes when its readers have had their time."""
    row = change.connection.execute(
        "DELETE FROM piece WHERE piece = ? RETURNING blob, size_bytes", (number,)
    ).fetchone()
    assert row is not None, "a piece is pointed at and not there"
    blob, size_bytes = row
    if blob is not None:
        change.connection.execute(
            "INSERT INTO garbage (blob, after_us, bucket, member, size_bytes) VALUES (?, ?, ?, ?, ?)",
            (blob, change.timing.garbage_after_us, change.bucket, change.owner, size_bytes),
        )
        change.add(StorageLine.REMOVED, size_bytes)


def drop_pieces(change: Change, pieces: Sequence[int]) -> None:
    """Forget the pieces, of which there may be thousands; their files go when their readers have had their time."""
    connection, numbers = change.connection, json.dumps(list(pieces))
    (removed_bytes,) = connection.execute(
        "SELECT coalesce(sum(size_bytes), 0) FROM json_each(?) JOIN piece ON piece = value WHERE blob IS NOT NULL",
        (numbers,),
    ).fetchone()
    connection.execute(
        "INSERT INTO garbage (blob, after_us, bucket, member, size_bytes)"
        " SELECT blob, ?, ?, ?, size_bytes FROM json_each(?) JOIN piece ON piece = value WHERE blob IS NOT NULL",
        (change.timing.garbage_after_us, change.bucket, change.owner, numbers),
    )
    dropped = connection.execute(
        "DELETE FROM piece WHERE piece IN (SELECT value FROM json_each(?))", (numbers,)
    ).rowcount
    assert dropped == len(pieces), "a piece is pointed at and not there"
    change.add(StorageLine.REMOVED, removed_bytes)


def drop_of_many(connection: Connection, leaving: Sequence[Leaving]) -> dict[int, int]:
    """Forget pieces of several buckets as drop_piece does one; the bytes of those in files, by piece."""
    numbers = json.dumps([one.piece for one in leaving])
    files: dict[int, tuple[str, int]] = {
        piece: (blob, size_bytes)
        for piece, blob, size_bytes in connection.execute(
            "SELECT piece, blob, size_bytes FROM json_each(?) JOIN piece ON piece = value WHERE blob IS NOT NULL",
            (numbers,),
        )
    }
    insert_rows(
        connection,
        "INSERT INTO garbage (blob, after_us, bucket, member, size_bytes)",
        [
            (files[one.piece][0], one.after_us, one.bucket, one.member, files[one.piece][1])
            for one in leaving
            if one.piece in files
        ],
    )
    dropped = connection.execute(
        "DELETE FROM piece WHERE piece IN (SELECT value FROM json_each(?))", (numbers,)
    ).rowcount
    assert dropped == len(leaving), "a piece is pointed at and not there"
    return {piece: size_bytes for piece, (_, size_bytes) in files.items()}
