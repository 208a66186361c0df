"""The data directory of one machine: its lock, its format number, and the directories in it.

It knows who holds the directory and how to share it; not what the rooms keep there.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from meter.refusal import Refusal

FORMAT = 1
"""Version of what is in the data directory; raised when an older Weir could not read it."""
LOCK_POLL_S = 0.05
RECORD_BYTES_MAX = 16_384
AS_OWNER = "run this as the user who runs `weir up`"
LOCK_LAYOUT = "hhqqi"
"""struct flock of 64-bit Linux: type, whence, start, length, pid (fcntl(2))."""


class DataRefused(Refusal):
    """The data directory cannot be used; the sentence says why and what mends it."""


class AlreadyRunning(DataRefused):
    """Another process of Weir holds the data directory."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock, as it wrote itself down."""

    pid: int
    kind: str
    """'up' for a running co-op, 'command' for a short command with its own database server."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """What `weir up` tells other commands once it is ready: URLs, times, how the database is reached."""


UNKNOWN = Holder(0, "unknown")
"""Somebody holds the lock and has not said who."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The lock in our hands; other processes read what we write into it."""

    descriptor: int
    kind: str

    def tell(self, facts: Mapping[str, object]) -> None:
        """Write down who we are, in place: the locked file must stay the same file."""
        text = json.dumps({"pid": os.getpid(), "kind": self.kind, "facts": dict(facts)}).encode()
        os.pwrite(self.descriptor, text, 0)
        os.ftruncate(self.descriptor, len(text))


def prepare(data: Path) -> Path:
    """Make the data directory (never its grandparents' modes) and its log directory; its absolute path.

    Root makes it searchable by others, for the database's user must pass through to its own part.
    Raises DataRefused.
    """
    data = data.absolute()
    if is_founded(data):
        check_owner(data)
    try:
        if not data.exists():
            data.mkdir(mode=0o700, parents=True)
            # Exactly this mode, whatever the umask.
            data.chmod(0o711 if os.geteuid() == 0 else 0o700)
        data.mkdir(exist_ok=True)
        (data / "log").mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        raise DataRefused(f"{data} is a file, and the data directory must be a directory") from None
    except OSError as error:
        raise DataRefused(f"the data directory {data} cannot be made: {error.strerror}") from None
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise DataRefused(f"the data directory {data} cannot be written by {_who()}")
    return data


def check_format(data: Path) -> None:
    """Write FORMAT in a new directory, refuse one of a newer Weir. Raises DataRefused."""
    path = data / "FORMAT"
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        replace_file(path, f"{FORMAT}\n", mode=0o644)
        return
    except (OSError, UnicodeDecodeError) as error:
        raise DataRefused(f"{path} cannot be read: {error}") from None
    if not text.isdecimal() or not text.isascii():
        raise DataRefused(f"{path} holds no format number; is {data} a data directory of Weir?")
    if int(text) > FORMAT:
        raise DataRefused(
            f"{data} was written by a newer Weir (format {text}, this one reads up to {FORMAT}); "
            "install the newer version"
        )


def is_founded(data: Path) -> bool:
    """Whether `weir up` ever got as far as writing FORMAT here. Raises DataRefused when that cannot be seen."""
    try:
        return (data / "FORMAT").exists()
    except OSError as error:
        raise DataRefused(f"the data directory {data} cannot be read by {_who()}: {error.strerror}") from None


def strange_owner(data: Path) -> int | None:
    """The number of the user whose co-op this is; None when we are that user.

    Either the directory or its FORMAT is ours: a volume that Kubernetes mounts stays root's, and is ours by group.
    """
    owner = data.stat().st_uid
    is_ours = os.geteuid() == owner or (is_founded(data) and (data / "FORMAT").stat().st_uid == os.geteuid())
    return None if is_ours else owner


def owner_sentence(data: Path, owner: int) -> str:
    """Whose the directory is, and who we are."""
    return f"{data} belongs to user {owner}, and you are {os.geteuid()}"


def check_owner(data: Path) -> None:
    """Refuse another user's co-op: a file we made in it would shut its own `weir up` out. Raises DataRefused.

    Root is no exception, for root can write everywhere and leaves what others cannot read. The directory of a gateway
    that died is: nobody starts there again, and its disk may have come from a machine with other users.
    """
    if (owner := strange_owner(data)) is not None:
        raise DataRefused(f"{owner_sentence(data, owner)}: {AS_OWNER}")


def replace_file(path: Path, content: str | bytes, *, mode: int) -> None:
    """Write a small file so that a reader sees the old content or the new, also after a power cut.

    Raises DataRefused.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with open(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, path)
        sync_directory(path.parent)
    except OSError as error:
        raise DataRefused(f"{path} cannot be written: {error.strerror}") from None


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(path: Path) -> None:
    """Make everything on the file system of a path durable: one call in place of one a file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


@contextmanager
def held(data: Path, *, kind: str, timeout_s: float) -> Iterator[Hold]:
    """Hold the data directory; waits for a short command, never for a running co-op.

    Raises AlreadyRunning with the holder's pid. The kernel lets go of the lock when we die.
    """
    try:
        descriptor = os.open(data / "weir.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataRefused(f"{data / 'weir.lock'} cannot be opened: {error.strerror}") from None
    try:
        _wait_for_lock(descriptor, data=data, deadline=time.monotonic() + timeout_s)
        hold = Hold(descriptor, kind)
        hold.tell({})
        yield hold
    finally:
        os.close(descriptor)


def holder(data: Path) -> Holder | None:
    """Who holds the data directory now; None when nobody does."""
    try:
        descriptor = os.open(data / "weir.lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataRefused(f"{data / 'weir.lock'} cannot be opened: {error.strerror}") from None
    try:
        # Asked, not taken: a probe that took the lock for an instant could make a start refuse.
        answer = struct.unpack(LOCK_LAYOUT, fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _whole_file()))
        return None if answer[0] == fcntl.F_UNLCK else _read_holder(descriptor)
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, *, data: Path, deadline: float) -> None:
    while not _take(descriptor):
        other = _read_holder(descriptor)
        if other.kind == "up":
            raise AlreadyRunning(f"Weir already runs on {data}, as process {other.pid}")
        if time.monotonic() > deadline:
            raise AlreadyRunning(f"{data} is in use by process {other.pid}; try again when it is done")
        time.sleep(LOCK_POLL_S)


def _take(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _whole_file())
    except (BlockingIOError, PermissionError):
        # POSIX lets a held lock be told as EAGAIN or as EACCES.
        return False
    return True


def _whole_file() -> bytes:
    return struct.pack(LOCK_LAYOUT, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def _read_holder(descriptor: int) -> Holder:
    try:
        told = json.loads(os.pread(descriptor, RECORD_BYTES_MAX, 0))
        found = Holder(int(told["pid"]), str(told["kind"]), dict(told["facts"]))
    except (ValueError, KeyError, TypeError):
        return UNKNOWN
    # Between lock and first write the file still names the last holder, who is gone.
    return found if is_living(found.pid) else UNKNOWN


def is_living(pid: int) -> bool:
    """Whether there is such a process. Asked of the kernel: /proc hides others' where systemd's ProtectProc= says so."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Somebody else's, and alive.
        return True
    return True


def _who() -> str:
    return f"user {os.geteuid()}"
