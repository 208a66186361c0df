"""The storage held against itself and against the journal: the index's sums, its rows, the files on the disk.

It only reads, beside running traffic or with nobody there. What a put or the collector moves meanwhile is looked
at a second time before it is called a difference.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.storage.disk.blobs import Blobs
from gateway.storage.disk.files import Files
from gateway.storage.disk.index import connect_to_look
from gateway.storage.disk.index_audit import IndexView, garbage_files, look
from gateway.storage.disk.upkeep import name_damage, survey
from meter.difference import NAMED_MAX, Findings, Kind
from meter.event import StorageLine
from meter.refusal import Refusal


@dataclass(frozen=True, slots=True)
class FilesView:
    """What lies on the disk, in numbers."""

    files: int
    size_bytes: int
    garbage: int
    """Files of objects that are gone, which wait for their readers."""
    garbage_bytes: int


def look_at_index(engine_directory: Path, *, busy_timeout_s: int) -> IndexView | None:
    """The index at this moment; None where nothing was ever stored. Raises Refusal."""
    path = engine_directory / "index.sqlite"
    if not path.exists():
        return None
    try:
        connection = connect_to_look(path, busy_timeout_s=busy_timeout_s)
        try:
            return look(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Refusal(f"the storage index {path} cannot be read: {error}") from error


def check_index(
    findings: Findings, seen: IndexView, journal: Mapping[tuple[int, int], int], *, last_fed: int
) -> None:
    """The index's sums against its rows, and its rows against what journal and outbox say was stored."""
    # What is removed counts against nobody's quota, so no sum is kept of it.
    held = {place: total for place, total in seen.rows.items() if place[1] != StorageLine.REMOVED}
    _compare(
        findings,
        Kind.TOTAL,
        seen.totals,
        held,
        "the index's own sum is {left} bytes, its rows are {right}",
    )
    waiting = [change for change in seen.outbox if change.sequence > last_fed]
    expected = Counter(journal)
    for change in waiting:
        expected[change.bucket, change.line] += change.delta_bytes
    missing = seen.sequence - last_fed - len(waiting)
    if missing > 0:
        findings.add(
            Kind.OUTBOX, "outbox",
            f"the index made {seen.sequence} changes of stored bytes; {last_fed} stand in the journal, {len(waiting)} "
            f"wait in the outbox, {missing} are in neither",
        )  # fmt: skip
    _compare(
        findings, Kind.STORED, seen.rows, expected,
        "the index holds {left} bytes, the changes in journal and outbox come to {right}",
    )  # fmt: skip


def _compare(
    findings: Findings, kind: Kind, left: Mapping[tuple[int, int], int], right: Mapping[tuple[int, int], int],
    sentence: str,
) -> None:  # fmt: skip
    for key in sorted(left.keys() | right.keys()):
        one, other = left.get(key, 0), right.get(key, 0)
        if one != other:
            bucket, line = key
            where = f"bucket {bucket}, line {StorageLine(line).name.lower()}"
            told = sentence.format(left=one, right=other)
            findings.add(kind, where, f"{where}: {told}", size_bytes=abs(one - other))


def check_files(findings: Findings, engine_directory: Path, *, busy_timeout_s: int, now_us: int) -> FilesView:
    """Every file against the index's row for it. Raises Refusal."""
    blobs = Blobs(engine_directory, Files())
    try:
        connection = connect_to_look(engine_directory / "index.sqlite", busy_timeout_s=busy_timeout_s)
        try:
            found = survey(connection, blobs, now_us=now_us, reported_max=NAMED_MAX)
            damaged = name_damage(connection, found)
            garbage = garbage_files(connection)
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise Refusal(f"the files in {engine_directory} cannot be compared: {error}") from error
    for one in damaged:
        whose = f"{one.blob} of bucket {one.bucket}, key '{one.key}'"
        if one.found_bytes is None:
            findings.add(
                Kind.MISSING, one.blob, f"the file {whose} is missing, {one.recorded_bytes} bytes",
                size_bytes=one.recorded_bytes,
            )  # fmt: skip
        else:
            findings.add(
                Kind.SIZE, one.blob,
                f"the file {whose} has {one.found_bytes} bytes, the index says {one.recorded_bytes}",
                size_bytes=abs(one.found_bytes - one.recorded_bytes),
            )  # fmt: skip
    findings.counts[Kind.MISSING] += found.damaged_count - len(damaged)
    for blob, size_bytes in found.orphans.items():
        findings.add(
            Kind.ORPHAN, blob, f"nothing points at the file {blob}, {size_bytes} bytes", size_bytes=size_bytes
        )
    for path in found.drafts:
        findings.add(Kind.ORPHAN, path.name, f"{path.name} in staging was never finished")
    sizes = [size for blob in garbage if (size := _size(blobs.path(blob))) is not None]
    return FilesView(found.files, found.size_bytes, len(sizes), sum(sizes))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None  # collected already, and its row not yet
