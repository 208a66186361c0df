"""Where backups lie: a directory, or a bucket of an S3 system. It keeps named bytes and knows not what is in them.

A name is there with all its bytes or not at all.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from deploy.place import sync_file_system
from meter.refusal import Refusal

_UNFINISHED = ".new-"


class Target(Protocol):
    """What a backup asks of the place where it lies. Everything blocks, and raises Refusal when it fails."""

    def describe(self) -> str:
        """How people call the place."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Keep the bytes under the name; durable after settle()."""
        ...

    def get(self, name: str) -> bytes | None:
        """The bytes under a name; None when there are none."""
        ...

    def size(self, name: str) -> int | None:
        """How many there are; None when there is no such name."""
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """Every name below a prefix that ends in '/', in no order."""
        ...

    def remove(self, name: str) -> None:
        """Forget a name; one that is not there is no error."""
        ...

    def settle(self) -> None:
        """Everything that was put or removed until now survives a power cut."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """For the time of a block nobody else writes here. Raises Refusal."""
        ...


class DirectoryTarget:
    """A directory: another disk, or a share that is mounted."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def describe(self) -> str:
        """Its path."""
        return str(self._root)

    def put(self, name: str, content: bytes) -> None:
        """Beside, then renamed."""
        path = self._root / name
        beside = path.with_name(f"{_UNFINISHED}{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(content)
            os.replace(beside, path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise Refusal(f"{path} cannot be written: {error.strerror}") from None

    def get(self, name: str) -> bytes | None:
        """A file's bytes."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refusal(f"{self._root / name} cannot be read: {error.strerror}") from None

    def size(self, name: str) -> int | None:
        """A file's size."""
        try:
            return (self._root / name).stat().st_size
        except OSError:
            return None

    def names(self, prefix: str) -> Iterator[str]:
        """Files below a directory; what was never finished is not among them."""
        for directory, _, files in os.walk(self._root / prefix):
            for file in files:
                if not file.startswith(_UNFINISHED):
                    yield str((Path(directory) / file).relative_to(self._root))

    def remove(self, name: str) -> None:
        """Unlink."""
        (self._root / name).unlink(missing_ok=True)

    def settle(self) -> None:
        """One sync of everything instead of one a piece: a backup has many, and counts only once its page is there."""
        try:
            sync_file_system(self._root)
        except OSError as error:
            raise Refusal(f"{self._root} does not take what was written: {error.strerror}") from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """By a lock on a file here, which the kernel gives back when we die."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Refusal(f"{self._root} cannot be used for backups: {error.strerror}") from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refusal(
                    f"another backup or prune is at work in {self._root}; try again later"
                ) from None
            for left in self._root.rglob(f"{_UNFINISHED}*"):
                left.unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)
