"""The index's rows of pieces, of manifests that put them together, and of files to be collected."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gateway.storage.disk.index import Connection, insert_rows
from gateway.storage.disk.piece import Piece

_PIECE = "SELECT size_bytes, blob, data FROM piece WHERE piece = ?"
_REST = """
    SELECT piece.size_bytes, piece.blob, piece.data
    FROM manifest JOIN piece ON piece.piece = manifest.piece
    WHERE manifest.first_piece = ? ORDER BY manifest.position
"""


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


def drop_joined(connection: Connection, first: int, *, after_us: int) -> None:
    """Forget the piece and all joined behind it; their files may go after the instant."""
    rest = connection.execute("SELECT piece FROM manifest WHERE first_piece = ?", (first,)).fetchall()
    if rest:
        connection.execute("DELETE FROM manifest WHERE first_piece = ?", (first,))
        drop_pieces(connection, [first, *(piece for (piece,) in rest)], after_us=after_us)
    else:
        drop_piece(connection, first, after_us=after_us)


def drop_piece(connection: Connection, number: int, *, after_us: int) -> None:
    """Forget a piece that has none joined behind it; its file may go after the instant."""
    row = connection.execute("DELETE FROM piece WHERE piece = ? RETURNING blob", (number,)).fetchone()
    assert row is not None, "a piece is pointed at and not there"
    if row[0] is not None:
        connection.execute("INSERT INTO garbage (blob, after_us) VALUES (?, ?)", (row[0], after_us))


def drop_pieces(connection: Connection, pieces: Sequence[int], *, after_us: int) -> None:
    """Forget the pieces, of which there may be thousands; their files may go after the instant."""
    numbers = json.dumps(list(pieces))
    connection.execute(
        "INSERT INTO garbage (blob, after_us) SELECT blob, ? FROM json_each(?) JOIN piece ON piece = value"
        " WHERE blob IS NOT NULL",
        (after_us, numbers),
    )
    dropped = connection.execute(
        "DELETE FROM piece WHERE piece IN (SELECT value FROM json_each(?))", (numbers,)
    ).rowcount
    assert dropped == len(pieces), "a piece is pointed at and not there"
