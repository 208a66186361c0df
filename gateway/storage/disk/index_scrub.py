"""The index's side of the slow check: pieces in order, how far it came, what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.storage.disk.index import Connection
from meter.ids import NO_BUCKET, BucketId


@dataclass(frozen=True, slots=True)
class Recorded:
    """A piece as the index has it; its bytes are read when their turn comes."""

    number: int
    size_bytes: int
    blob: str | None
    md5: bytes | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the check is."""

    piece: int = 0
    """The last piece that was checked in this round; 0 between rounds."""
    began_us: int = 0
    ended_us: int = 0
    """When a whole round last ended; 0 for never."""
    checked_bytes: int = 0
    """In this round, or in the last one between rounds."""
    filled: int = 0
    """Pieces of this round that had no digest and got one: they were not compared with anything."""
    damaged: int = 0
    """Pieces found damaged that still belong to something."""


def read_progress(connection: Connection) -> Progress:
    """Where the check stands."""
    kept = dict(connection.execute("SELECT name, value FROM meta WHERE name LIKE 'scrub%'").fetchall())
    (damaged,) = connection.execute("SELECT count(*) FROM damage JOIN piece USING (piece)").fetchone()
    return Progress(
        piece=kept["scrub_piece"],
        began_us=kept["scrub_began_us"],
        ended_us=kept["scrub_ended_us"],
        checked_bytes=kept["scrub_bytes"],
        filled=kept["scrub_filled"],
        damaged=damaged,
    )


def keep_progress(
    connection: Connection,
    progress: Progress,
    *,
    digests: Mapping[int, bytes],
    damaged: Mapping[int, str],
    sound: Sequence[int],
    now_us: int,
) -> None:
    """Note how far the check came, digests that were missing, damage by piece, and what is sound (again)."""
    connection.executemany(
        "UPDATE meta SET value = ? WHERE name = ?",
        [
            (progress.piece, "scrub_piece"),
            (progress.began_us, "scrub_began_us"),
            (progress.ended_us, "scrub_ended_us"),
            (progress.checked_bytes, "scrub_bytes"),
            (progress.filled, "scrub_filled"),
        ],
    )
    connection.executemany(
        "UPDATE piece SET md5 = ? WHERE piece = ? AND md5 IS NULL",
        [(digest, piece) for piece, digest in digests.items()],
    )
    connection.executemany(
        "INSERT INTO damage (piece, what, found_us) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(piece, what, now_us) for piece, what in damaged.items()],
    )
    connection.executemany("DELETE FROM damage WHERE piece = ?", [(piece,) for piece in sound])
    if progress.ended_us == now_us:
        connection.execute("DELETE FROM damage WHERE piece NOT IN (SELECT piece FROM piece)")


def pieces_after(connection: Connection, *, piece: int, limit: int) -> list[Recorded]:
    """The next pieces in the order they were written."""
    rows = connection.execute(
        "SELECT piece, size_bytes, blob, md5 FROM piece WHERE piece > ? ORDER BY piece LIMIT ?",
        (piece, limit),
    )
    return [Recorded(*row) for row in rows]


def bytes_in_index(connection: Connection, piece: int) -> bytes | None:
    """The bytes of a small piece; None when it is gone."""
    row = connection.execute("SELECT data FROM piece WHERE piece = ?", (piece,)).fetchone()
    return None if row is None else bytes(row[0])


def is_there(connection: Connection, piece: int) -> bool:
    """Whether the piece still belongs to something."""
    return connection.execute("SELECT 1 FROM piece WHERE piece = ?", (piece,)).fetchone() is not None


def owner_of_piece(connection: Connection, piece: int) -> tuple[BucketId, str]:
    """Bucket and key of the object or open upload the piece is of. Slow: it reads whole tables."""
    row = connection.execute(
        "WITH holder AS (SELECT ?1 AS piece UNION SELECT first_piece FROM manifest WHERE piece = ?1)"
        " SELECT bucket, key FROM object JOIN holder USING (piece)"
        " UNION ALL SELECT bucket, key FROM part JOIN upload USING (upload_id) JOIN holder USING (piece)"
        " LIMIT 1",
        (piece,),
    ).fetchone()
    return (NO_BUCKET, "") if row is None else (BucketId(row[0]), row[1].decode())
