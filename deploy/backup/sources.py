"""What a backup copies from a data directory, in ascending order of paths; the database comes before all of it.

What can be made again stays out: heads (they stand in the database), the gateway's copy of the directory, logs, spare
segments, and exchanges that were open at the moment, which are billed as far as their checkpoints say.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.backup.repository import Writer
from deploy.desk import Desk
from gateway.storage.disk.index import connect_to_look
from gateway.storage.disk.index_backup import IndexMoment, files_of, size_of_files
from meter.cut import CutSegment, cut, opened_anew
from meter.frame import DamagedSegment
from meter.refusal import Refusal
from meter.segments import number_of, placed

_CHUNK_BYTES = 2**20
SINGLE = ("secret.key", "secret.next.key", "secret.ring", "signing.key", "signing.pub", "weir.toml")
"""Files of the data directory itself, ascending."""


class Sources:
    """The parts of one backup that are files."""

    def __init__(
        self, desk: Desk, ends: dict[str, int], damaged: list[str], *, with_files: bool, engine: Path | None,
        told: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        self._data = desk.data
        self._meter = desk.meter.model_copy(update={"data": desk.data})
        self._free_bytes_min = 2**26
        self._ends = ends
        self._damaged = damaged
        self._engine = engine
        self._told = told
        self._done = self._whole = 0
        self._index: Path | None = None
        self.with_files = with_files
        self.index_changes = 0

    def copy_index(self, moment: IndexMoment, temporary: Path) -> None:
        """Copy the fixed index beside, so that its writers' log need not grow until the end. Raises Refusal."""
        assert self._engine is not None
        size = (self._engine / "index.sqlite").stat().st_size
        if shutil.disk_usage(temporary).free < size + self._free_bytes_min:
            raise Refusal(f"{temporary} has no room for a copy of the storage index, {size} bytes")
        self.index_changes = moment.sequence
        self._index = temporary / "index.sqlite"
        try:
            moment.copy(self._index, lambda _, __: None)
        except sqlite3.Error as error:
            raise Refusal(f"the storage index could not be copied: {error}") from error

    def add_rest(self, writer: Writer) -> None:
        """Everything but the database."""
        self._whole = self._work_bytes()
        self._add_documents(writer)
        if self._index is not None:
            self._add_files(writer)
            writer.add("engine/index.sqlite", self._reading(self._index))
        self._add_journal(writer)
        for name in SINGLE:
            if (self._data / name).exists():
                writer.add(name, self._reading(self._data / name))

    def _work_bytes(self) -> int:
        whole = sum(path.stat().st_size for path in self._papers())
        whole += sum(path.stat().st_size for path in self._meter.journal_directory.glob("*/*.seg*"))
        if self._index is not None:
            whole += self._index.stat().st_size
            if self.with_files:
                connection = connect_to_look(self._index, busy_timeout_s=1)
                whole += size_of_files(connection)
                connection.close()
        return whole

    def _papers(self) -> list[Path]:
        return sorted(path for path in (self._data / "documents").rglob("*") if path.is_file())

    def _add_documents(self, writer: Writer) -> None:
        for path in self._papers():
            # Named by its content, so it never changes.
            self._add_unchanging(writer, str(path.relative_to(self._data)), path, path.stat().st_size)

    def _add_files(self, writer: Writer) -> None:
        assert self._engine is not None
        assert self._index is not None
        connection = connect_to_look(self._index, busy_timeout_s=1)
        try:
            for blob, size_bytes in files_of(connection):
                name = f"engine/blobs/{blob[:2]}/{blob}"
                if self.with_files:
                    self._add_unchanging(writer, name, self._engine / "blobs" / blob[:2] / blob, size_bytes)
                else:
                    writer.name_only(name, size_bytes=size_bytes)
        finally:
            connection.close()

    def _add_unchanging(self, writer: Writer, name: str, path: Path, size_bytes: int) -> None:
        if writer.unchanged(name, size_bytes=size_bytes):
            self._tell(size_bytes)
            return
        try:
            line = writer.add(name, self._reading(path), packs=False)
        except FileNotFoundError:
            self._damaged.append(f"{name} is missing, {size_bytes} bytes")
            writer.name_only(name, size_bytes=size_bytes)
            return
        if line.size_bytes != size_bytes:
            self._damaged.append(f"{name} has {line.size_bytes} bytes and should have {size_bytes}")

    def _add_journal(self, writer: Writer) -> None:
        """Each stream up to its end, with its identity, and what crashes left aside."""
        journal = self._meter.journal_directory
        found = dict[str, Path | CutSegment]()
        for label, end in self._ends.items():
            directory, at = journal / label, f"journal/{label}"
            try:
                segments = cut(directory, end)
            except DamagedSegment as damage:
                self._damaged.append(f"the stream {label} is not in the backup: {damage}")
                continue
            found[f"{at}/stream.id"] = directory / "stream.id"
            found |= {f"{at}/{path.name}": path for path in directory.glob("*.torn")}
            for segment in segments:
                path = segment.path
                if segment.records is None:
                    # It may have been compressed since, and then stays so.
                    path = placed(directory, number_of(path)) or path
                    found[f"{at}/{path.name}"] = path
                else:
                    found[f"{at}/{path.name}"] = segment
        for name, source in sorted(found.items()):
            if isinstance(source, CutSegment):
                writer.add(name, self._opened_anew(source))
            elif source.suffix == ".zst":
                self._add_unchanging(writer, name, source, source.stat().st_size)
            else:
                self._add_plain(writer, name, source)

    def _add_plain(self, writer: Writer, name: str, path: Path) -> None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            # Compressed between the look and now: its name in the backup is as good as it was.
            content = self._compressed_since(path)
            name += ".zst"
        writer.add(name, iter([content]))
        self._tell(len(content))

    def _compressed_since(self, path: Path) -> bytes:
        found = placed(path.parent, number_of(path))
        if found is None:
            raise Refusal(f"{path} went while it was backed up")
        return found.read_bytes()

    def _opened_anew(self, segment: CutSegment) -> Iterator[bytes]:
        try:
            yield opened_anew(segment, segment_bytes=self._meter.journal_segment_bytes_max)
        except DamagedSegment as damage:
            raise Refusal(f"the journal is damaged, and was not backed up: {damage}") from None

    def _reading(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
                self._tell(len(chunk))

    def _tell(self, count: int) -> None:
        self._done += count
        self._told(min(self._done, self._whole), self._whole)
