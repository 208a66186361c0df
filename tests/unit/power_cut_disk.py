"""A disk that can lose its power: what was written, what was synced, and what may be left of it after a cut.

The model knows only what POSIX promises. Bytes survive once their file was synced, names once their
directory was; of everything else any part may be there or not, in any order, and a write may be torn at
each sector. What it takes for granted: a sector is written whole, and a write harms no byte beside its own
(SQLite's "powersafe overwrite"). Directories themselves are taken as made.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.storage.disk.files import Files

SECTOR_BYTES = 512


@dataclass(frozen=True)
class Write:
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    inode: int
    size: int


@dataclass(frozen=True)
class Sync:
    inode: int


@dataclass(frozen=True)
class Name:
    """A name points at an inode, or at nothing any more."""

    path: Path
    inode: int | None


@dataclass(frozen=True)
class SyncDirectory:
    path: Path


@dataclass(frozen=True)
class Mark:
    """Something the workload said: an operation begun, or answered."""

    word: str
    what: object


Step = Write | Truncate | Sync | Name | SyncDirectory | Mark


class Recording:
    """Every step in the order it happened. `dropped` names a kind of sync that is left out, as a bad
    disk, or a bad engine, would: "file", "directory", "index" (SQLite's and ours), "log" (ours alone)."""

    def __init__(self, dropped: str = "") -> None:
        self.steps: list[Step] = []
        self.dropped = dropped
        self._lock = threading.Lock()
        self._inodes = 0
        self._names: dict[Path, int] = {}

    def note(self, step: Step) -> None:
        with self._lock:
            self.steps.append(step)
            if isinstance(step, Name):
                if step.inode is None:
                    self._names.pop(step.path, None)
                else:
                    self._names[step.path] = step.inode

    def new_inode(self) -> int:
        with self._lock:
            self._inodes += 1
            return self._inodes

    def inode_at(self, path: Path) -> int | None:
        return self._names.get(path)


class RecordedFiles(Files):
    """The engine's files: everything really happens, and is noted."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._open: dict[int, int] = {}
        self._ends: dict[int, int] = {}

    def create_unnamed(self, directory: Path) -> int:
        descriptor = super().create_unnamed(directory)
        self._begin(descriptor)
        return descriptor

    def create_named(self, path: Path) -> int:
        descriptor = super().create_named(path)
        self._recording.note(Name(path, self._begin(descriptor)))
        return descriptor

    def _begin(self, descriptor: int) -> int:
        inode = self._open[descriptor] = self._recording.new_inode()
        self._ends[inode] = 0
        return inode

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        # Cut short on purpose: a file is more than one write, and each may be lost by itself.
        count = super().write(descriptor, memoryview(data)[:2000])
        self._append(descriptor, bytes(data[:count]))
        return count

    def copy(self, source: int, offset: int, size_bytes: int, target: int) -> int:
        count = super().copy(source, offset, size_bytes, target)
        self._append(target, os.pread(source, count, offset))
        return count

    def _append(self, descriptor: int, data: bytes) -> None:
        inode = self._open[descriptor]
        self._recording.note(Write(inode, self._ends[inode], data))
        self._ends[inode] += len(data)

    def sync_data(self, descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        of_index = self._recording.inode_at(path) if path.name.startswith("index.sqlite") else None
        if self._recording.dropped not in (("file",) if of_index is None else ("index", "log")):
            self._recording.note(Sync(self._open[descriptor] if of_index is None else of_index))

    def link(self, descriptor: int, path: Path) -> None:
        super().link(descriptor, path)
        self._recording.note(Name(path, self._open[descriptor]))

    def rename(self, source: Path, target: Path) -> None:
        inode = self._recording.inode_at(source)
        super().rename(source, target)
        self._recording.note(Name(target, inode))
        self._recording.note(Name(source, None))

    def sync_directory(self, path: Path) -> None:
        if self._recording.dropped != "directory":
            self._recording.note(SyncDirectory(path))

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        if self._recording.inode_at(path) is not None:
            self._recording.note(Name(path, None))


@dataclass
class _Inode:
    synced: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def settled(self) -> None:
        for step in self.pending:
            apply(self.synced, step)
        self.pending.clear()


def apply(content: bytearray, step: Write | Truncate) -> None:
    if isinstance(step, Truncate):
        del content[step.size :]
        content.extend(bytes(step.size - len(content)))
        return
    content.extend(bytes(max(0, step.offset - len(content))))
    content[step.offset : step.offset + len(step.data)] = step.data


class Disk:
    """The disk after some steps."""

    def __init__(self) -> None:
        self._inodes: dict[int, _Inode] = {}
        self._synced_names: dict[Path, int] = {}
        self._pending_names: list[Name] = []

    def take(self, step: Step) -> None:
        """One step more."""
        match step:
            case Write(inode) | Truncate(inode):
                self._inodes.setdefault(inode, _Inode()).pending.append(step)
            case Sync(inode):
                self._inodes.setdefault(inode, _Inode()).settled()
            case Name():
                self._pending_names.append(step)
            case SyncDirectory(path):
                for name in [one for one in self._pending_names if one.path.parent == path]:
                    _point(self._synced_names, name)
                    self._pending_names.remove(name)
            case Mark():
                return

    @property
    def is_unsettled(self) -> bool:
        """Whether a cut here could take anything."""
        return bool(self._pending_names) or any(inode.pending for inode in self._inodes.values())

    def after_a_cut(self, kept: float, dice: random.Random) -> dict[Path, bytes]:
        """What the disk holds when each unsynced thing was kept with that chance: 0.0 nothing, 1.0 all."""
        names = dict(self._synced_names)
        for name in self._pending_names:
            if dice.random() < kept:
                _point(names, name)
        return {path: self._content(inode, kept, dice) for path, inode in names.items()}

    def _content(self, number: int, kept: float, dice: random.Random) -> bytes:
        inode = self._inodes.get(number, _Inode())
        if not inode.pending:
            return bytes(inode.synced)
        content = bytearray(inode.synced)
        for step in inode.pending:
            if dice.random() < kept:
                apply(content, step)
            elif isinstance(step, Write) and kept and len(step.data) > SECTOR_BYTES:
                for sector in _sectors(step):
                    if dice.random() < kept:
                        apply(content, sector)
        return bytes(content)


def _point(names: dict[Path, int], name: Name) -> None:
    if name.inode is None:
        names.pop(name.path, None)
    else:
        names[name.path] = name.inode


def _sectors(step: Write) -> Iterator[Write]:
    at = 0
    while at < len(step.data):
        until = at + SECTOR_BYTES - (step.offset + at) % SECTOR_BYTES
        yield Write(step.inode, step.offset + at, step.data[at:until])
        at = until
