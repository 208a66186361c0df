"""What lies in a stream's directory, and under which names: segments, the stream's identity, torn tails."""

from __future__ import annotations

import os
import re
from pathlib import Path
from uuid import UUID, uuid4

from meter.frame import DamagedSegment
from meter.ids import StreamId

_DIGITS = 12
_NAME = re.compile(r"\d{12}\.seg(\.zst)?", re.ASCII)
_ANY_SEGMENT = (".seg", ".seg.zst")


def segment_path(directory: Path, number: int) -> Path:
    """Where a segment lies while it is not compressed."""
    return directory / f"{number:012d}.seg"


def segment_paths(directory: Path) -> list[Path]:
    """All segments of a stream in order, compressed ones as .seg.zst; each number once, the plain one first."""
    found: dict[str, str] = {}
    for name in _names(directory):
        if _NAME.fullmatch(name):
            found.setdefault(name[:_DIGITS], name)
    return [directory / name for name in found.values()]


def check_names(directory: Path) -> None:
    """Raises DamagedSegment for a file that is a segment by its ending and by no number: a copy, perhaps."""
    for name in _names(directory):
        if name.endswith(_ANY_SEGMENT) and not _NAME.fullmatch(name):
            raise DamagedSegment(f"{directory.name}: '{name}' is no segment's name")


def number_of(path: Path) -> int:
    """The number that a segment's name states."""
    return int(path.name[:_DIGITS])


def last_segment(directory: Path) -> Path | None:
    """The segment with the highest number; None in a stream that never had one."""
    last = max((name[:_DIGITS] for name in _names(directory) if _NAME.fullmatch(name)), default=None)
    return None if last is None else placed(directory, int(last))


def placed(directory: Path, number: int) -> Path | None:
    """Where a segment lies now, compressed or not; None when there is no such number."""
    # In this order: the compressed one is there before the plain one goes.
    plain = segment_path(directory, number)
    return next((path for path in (plain, plain.with_suffix(".seg.zst")) if path.exists()), None)


def stream_of(directory: Path) -> StreamId:
    """The stream's permanent identity, made on first sight. Raises DamagedSegment when it was lost."""
    path = directory / "stream.id"
    if not path.exists():
        if last_segment(directory) is not None:
            raise DamagedSegment(f"{directory.name} has segments and no stream.id")
        write_durably(path, str(uuid4()).encode())
    return read_identity(path)


def read_identity(path: Path) -> StreamId:
    """What a stream.id says. Raises DamagedSegment."""
    try:
        return StreamId(UUID(path.read_text("ascii").strip()))
    except ValueError:
        raise DamagedSegment(f"{path.parent.name}: stream.id holds no UUID") from None


def write_durably(path: Path, content: bytes) -> None:
    """Write a small file that is whole under its name or not there, also after a power cut."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_directory(path.parent)


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_torn_path(path: Path) -> Path:
    """A name for a torn tail; what an earlier crash of the same segment left is kept too."""
    taken = len(list(path.parent.glob(f"{path.stem}*.torn")))
    return path.with_suffix(f".{taken + 1}.torn" if taken else ".torn")


def torn_bytes(directory: Path) -> int:
    """Bytes found behind the last whole record after crashes, all of this stream that are still kept aside."""
    return sum((directory / name).stat().st_size for name in _names(directory) if name.endswith(".torn"))


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
