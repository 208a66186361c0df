"""File systems that watch or fail, for the disk engine's tests: real files under each of them."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import DiskEngine
from gateway.storage.disk.files import Files
from gateway.storage.disk.opening import open_files_and_index

SMALL = GatewaySettings(inline_bytes_max=1024)


def open_with(directory: Path, files: Files, settings: GatewaySettings = SMALL) -> DiskEngine:
    blobs, committer = open_files_and_index(directory, settings, files)
    return DiskEngine(directory, settings, blobs, committer)


class RecordingFiles(Files):
    """Notes every call in order; drops those named in `dropped`."""

    def __init__(self, dropped: str = "") -> None:
        self.calls: list[str] = []
        self._dropped = dropped

    def sync_data(self, descriptor: int) -> None:
        if self._dropped != "sync_data":
            super().sync_data(descriptor)
            self.calls.append("sync_data")

    def link(self, descriptor: int, path: Path) -> None:
        super().link(descriptor, path)
        self.calls.append("name")

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self.calls.append("name")

    def sync_directory(self, path: Path) -> None:
        if self._dropped != "sync_directory":
            super().sync_directory(path)
            self.calls.append("sync_directory")

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        self.calls.append("write")
        return super().write(descriptor, data)


class NamedFiles(RecordingFiles):
    """A file system without unnamed files."""

    def create_unnamed(self, directory: Path) -> int:
        raise OSError(95, "Operation not supported", str(directory))


class FailingFiles(Files):
    """The call of a given number fails, counted from arm()."""

    def __init__(self, error_number: int) -> None:
        self._error_number = error_number
        self._calls_left = -1

    def arm(self, call: int) -> None:
        self._calls_left = call

    @property
    def has_failed(self) -> bool:
        return self._calls_left == 0

    def disarm(self) -> None:
        self._calls_left = -1

    def _count(self) -> None:
        if self._calls_left > 0:
            self._calls_left -= 1
            if self._calls_left == 0:
                raise OSError(self._error_number, os.strerror(self._error_number))

    def create_unnamed(self, directory: Path) -> int:
        self._count()
        return super().create_unnamed(directory)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        self._count()
        # Short writes are legal at any time; here they are the rule.
        return super().write(descriptor, memoryview(data)[:200_000])

    def sync_data(self, descriptor: int) -> None:
        self._count()
        super().sync_data(descriptor)

    def link(self, descriptor: int, path: Path) -> None:
        self._count()
        super().link(descriptor, path)

    def sync_directory(self, path: Path) -> None:
        self._count()
        super().sync_directory(path)


def files_under(directory: Path) -> list[str]:
    return sorted(
        path.name for name in ("blobs", "staging") for path in (directory / name).rglob("*") if path.is_file()
    )
