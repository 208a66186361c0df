"""Many puts of one batch made together, in a dozen statements and not a dozen each.

Python's SQLite lets go of the interpreter's lock at every statement and row, and next to a busy event loop it
waits longest for having it again. Each put is decided as index_writing decides it alone: what that refuses is
refused here, and what is no plain replacing of one object by another is left to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.storage.disk.committer import JointChange, attempt
from gateway.storage.disk.index import Connection, insert_rows
from gateway.storage.disk.index_buckets import read_bucket, stored_bytes, stored_bytes_of
from gateway.storage.disk.index_change import Timing
from gateway.storage.disk.index_outbox import Delta, add_changes
from gateway.storage.disk.index_pieces import Leaving, add_pieces, drop_of_many
from gateway.storage.disk.index_versions import (
    REPLACE_OBJECT,
    Entry,
    check_unlocked,
    current_entries,
    object_row,
    settled,
)
from gateway.storage.disk.index_writing import check_newest, put_object
from gateway.storage.disk.piece import Piece
from gateway.storage.errors import NoSuchBucket, QuotaExceeded, StorageError
from gateway.storage.model import BucketRules, Condition, ObjectHead, Quota, Versioning
from meter.event import StorageLine
from meter.ids import BucketId, MemberId


@dataclass(slots=True)
class Put(JointChange):
    """A piece that becomes an object."""

    bucket: BucketId
    head: ObjectHead
    piece: Piece
    condition: Condition
    quota: Quota
    timing: Timing

    def __call__(self, connection: Connection) -> ObjectHead:
        """Alone. Raises what Engine.put_object raises."""
        return put_object(
            connection, self.bucket, self.head, self.piece, condition=self.condition, quota=self.quota,
            timing=self.timing,
        )  # fmt: skip

    @classmethod
    def together(cls, connection: Connection, changes: Sequence[Put]) -> list[object]:
        """In their order where they are of one key. See JointChange."""
        return [answer for wave in _waves(changes) for answer in _put_wave(connection, wave)]


def _waves(puts: Sequence[Put]) -> Iterator[list[Put]]:
    """The puts in order, cut before each whose key is in its wave already: it must see the one before."""
    wave: list[Put] = []
    places: set[tuple[BucketId, str]] = set()
    for put in puts:
        place = (put.bucket, put.head.key)
        if place in places:
            yield wave
            wave, places = [], set()
        wave.append(put)
        places.add(place)
    yield wave


def _put_wave(connection: Connection, wave: Sequence[Put]) -> Sequence[object]:
    """Puts of different keys. Raises what a put that changed a row before it failed alone has raised."""
    if len(wave) == 1:
        return [attempt(connection, wave[0])]
    newest = current_entries(connection, [(put.bucket, put.head.key) for put in wave])
    answers: list[object] = []
    together = _Together(connection)
    for put in wave:
        entry = newest.get((put.bucket, put.head.key))
        if together.takes(put, entry):
            answers.append(together.decide(put, entry))
        else:
            together.write()
            answers.append(attempt(connection, put))
            together = _Together(connection)
    together.write()
    return answers


class _Together:
    """What puts into unversioned buckets come to, decided one after the other and then written at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._buckets: dict[BucketId, tuple[MemberId, BucketRules] | None] = {}
        self._stored: dict[BucketId, int] = {}
        """With what was decided; only of buckets and members whose quota was asked for."""
        self._stored_of: dict[MemberId, int] = {}
        self._accepted: list[tuple[Put, ObjectHead]] = []
        self._replaced: list[Leaving] = []
        self._deltas: list[tuple[Delta, int | None]] = []
        """What the puts change, each with the piece it replaces."""

    def takes(self, put: Put, newest: Entry | None) -> bool:
        """Whether the put does no more than to make an object, or to replace one of a single piece."""
        if put.bucket not in self._buckets:
            try:
                self._buckets[put.bucket] = read_bucket(self._connection, put.bucket)
            except NoSuchBucket:
                self._buckets[put.bucket] = None
        found = self._buckets[put.bucket]
        if found is None or found[1].versioning is not Versioning.OFF:
            return False
        return newest is None or (newest.is_null and not newest.has_parts)

    def decide(self, put: Put, newest: Entry | None) -> ObjectHead | StorageError:
        """The head as it will be kept, or the refusal."""
        found = self._buckets[put.bucket]
        assert found is not None, "a put that was not taken"
        owner, rules = found
        try:
            check_newest(put.condition, newest, key=put.head.key)
            head = settled(put.head, newest, rules, now_us=put.timing.now_us)
            if newest is not None:
                check_unlocked(put.timing, put.head.key, newest, may_bypass=False)
            delta_bytes = head.size_bytes - (0 if newest is None else newest.size_bytes)
            self._take_room(put, owner, delta_bytes)
        except StorageError as error:
            return error
        self._accepted.append((put, head))
        piece = None if newest is None else newest.piece
        if piece is not None:
            self._replaced.append(Leaving(piece, put.bucket, owner, put.timing.garbage_after_us))
        delta = Delta(owner, put.bucket, StorageLine.OBJECT, delta_bytes, put.timing.now_us)
        self._deltas.append((delta, piece))
        return head

    def _take_room(self, put: Put, owner: MemberId, delta_bytes: int) -> None:
        """Raises QuotaExceeded when more is stored than before, and too much."""
        # Nobody's sum is known before somebody's quota asks; then it holds what was decided before.
        stored, stored_of = self._stored, self._stored_of
        limit, limit_of = put.quota.bucket_bytes_max, put.quota.member_bytes_max
        if limit is not None and put.bucket not in stored:
            stored[put.bucket] = stored_bytes(self._connection, put.bucket) + sum(
                delta.delta_bytes for delta, _ in self._deltas if delta.bucket == put.bucket
            )
        if limit_of is not None and owner not in stored_of:
            stored_of[owner] = stored_bytes_of(self._connection, owner) + sum(
                delta.delta_bytes for delta, _ in self._deltas if delta.member == owner
            )
        if delta_bytes > 0:
            if limit is not None and stored[put.bucket] + delta_bytes > limit:
                raise QuotaExceeded("bucket", limit)
            if limit_of is not None and stored_of[owner] + delta_bytes > limit_of:
                raise QuotaExceeded("member", limit_of)
        if put.bucket in stored:
            stored[put.bucket] += delta_bytes
        if owner in stored_of:
            stored_of[owner] += delta_bytes

    def write(self) -> None:
        """Everything that was decided."""
        connection = self._connection
        if not self._accepted:
            return
        numbers = add_pieces(connection, [put.piece for put, _ in self._accepted])
        files = drop_of_many(connection, self._replaced) if self._replaced else {}
        insert_rows(
            connection,
            REPLACE_OBJECT,
            [
                object_row(put.bucket, head, number)
                for (put, head), number in zip(self._accepted, numbers, strict=True)
            ],
        )
        add_changes(connection, list(self._changes(files)))

    def _changes(self, files: Mapping[int, int]) -> Iterator[Delta]:
        """In the order of the puts, each as it would note it alone; files are bytes by replaced piece."""
        for delta, piece in self._deltas:
            if delta.delta_bytes:
                yield delta
            if piece is not None and files.get(piece):
                yield delta._replace(line=StorageLine.REMOVED, delta_bytes=files[piece])
