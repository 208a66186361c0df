"""SQLite's own writes and syncs, watched from inside the very library the gateway uses.

A VFS is SQLite's seam to the operating system, as gateway/storage/disk/files.py is ours. The one here is
the library's own for Unix with four calls replaced; it is put in place by ctypes, because the standard
library's sqlite3 cannot.
"""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.power_cut_disk import Name, Recording, Sync, SyncDirectory, Truncate, Write

OK, OPEN_CREATE, OPEN_JOURNAL_OR_WAL = 0, 0x4, 0x800 | 0x80000
_pointer, _int, _long = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64


class _Vfs(ctypes.Structure):
    """sqlite3_vfs; https://www.sqlite.org/c3ref/vfs.html."""

    _fields_ = (
        *((name, _int) for name in ("iVersion", "szOsFile", "mxPathname")),
        ("pNext", _pointer),
        ("zName", ctypes.c_char_p),
        ("pAppData", _pointer),
        *(
            (name, _pointer)
            for name in (
                "xOpen", "xDelete", "xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym", "xDlClose",
                "xRandomness", "xSleep", "xCurrentTime", "xGetLastError", "xCurrentTimeInt64", "xSetSystemCall",
                "xGetSystemCall", "xNextSystemCall",
            )
        ),
    )  # fmt: skip


class _Methods(ctypes.Structure):
    """sqlite3_io_methods; https://www.sqlite.org/c3ref/io_methods.html."""

    _fields_ = (
        ("iVersion", _int),
        *(
            (name, _pointer)
            for name in (
                "xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock", "xUnlock",
                "xCheckReservedLock", "xFileControl", "xSectorSize", "xDeviceCharacteristics", "xShmMap",
                "xShmLock", "xShmBarrier", "xShmUnmap", "xFetch", "xUnfetch",
            )
        ),
    )  # fmt: skip


class _File(ctypes.Structure):
    _fields_ = (("pMethods", ctypes.POINTER(_Methods)),)


_file = ctypes.POINTER(_File)
_OPEN = ctypes.CFUNCTYPE(_int, _pointer, _pointer, _file, _int, _pointer)
_DELETE = ctypes.CFUNCTYPE(_int, _pointer, ctypes.c_char_p, _int)
_WRITE = ctypes.CFUNCTYPE(_int, _file, _pointer, _int, _long)
_TRUNCATE = ctypes.CFUNCTYPE(_int, _file, _long)
_SYNC = ctypes.CFUNCTYPE(_int, _file, _int)


def _library() -> ctypes.CDLL:
    """The SQLite the sqlite3 module is bound to: a shared library, or part of the interpreter."""
    library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    try:
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
        library.sqlite3_vfs_register.argtypes = [ctypes.POINTER(_Vfs), _int]
    except AttributeError:
        pytest.skip("this Python keeps its SQLite's symbols to itself; no VFS can be put in place")
    return library


class _Watch:
    """One VFS, registered for good: open connections point at it until the process ends."""

    def __init__(self) -> None:
        self.library = _library()
        self.plain = self.library.sqlite3_vfs_find(None)
        self.recording: Recording | None = None
        self._paths: dict[int, Path] = {}
        self._born: set[Path] = set()
        self._methods: dict[int, tuple[_Methods, _Methods]] = {}
        self.vfs = _Vfs.from_buffer_copy(self.plain.contents)
        self.vfs.zName = b"watched"
        self._plain_open = _OPEN(self.plain.contents.xOpen)
        self._plain_delete = _DELETE(self.plain.contents.xDelete)
        self._calls = (
            _OPEN(self._open), _DELETE(self._delete), _WRITE(self._write), _TRUNCATE(self._truncate), _SYNC(self._sync),
        )  # fmt: skip
        self.vfs.xOpen = ctypes.cast(self._calls[0], _pointer).value
        self.vfs.xDelete = ctypes.cast(self._calls[1], _pointer).value

    def _open(self, vfs: int, name: int | None, file: ctypes._Pointer[_File], flags: int, out: int) -> int:
        code: int = self._plain_open(vfs, name, file, flags, out)
        if code != OK or name is None:
            return code
        path = Path(ctypes.string_at(name).decode())
        self._paths[ctypes.addressof(file.contents)] = path
        file.contents.pMethods = ctypes.pointer(self._watched(file.contents.pMethods))
        if self.recording is not None and flags & OPEN_CREATE and self.recording.inode_at(path) is None:
            self.recording.note(Name(path, self.recording.new_inode()))
            if flags & OPEN_JOURNAL_OR_WAL:
                self._born.add(path)
        return OK

    def _watched(self, plain: ctypes._Pointer[_Methods]) -> _Methods:
        place = ctypes.addressof(plain.contents)
        if place not in self._methods:
            original = _Methods.from_address(place)
            ours = _Methods.from_buffer_copy(original)
            for name, call in zip(("xWrite", "xTruncate", "xSync"), self._calls[2:], strict=True):
                setattr(ours, name, ctypes.cast(call, _pointer).value)
            self._methods[place] = self._methods[ctypes.addressof(ours)] = (original, ours)
        return self._methods[place][1]

    def _plain_of(self, file: ctypes._Pointer[_File]) -> _Methods:
        return self._methods[ctypes.addressof(file.contents.pMethods.contents)][0]

    def _inode(self, file: ctypes._Pointer[_File]) -> tuple[Recording, Path, int] | None:
        path = self._paths[ctypes.addressof(file.contents)]
        inode = None if self.recording is None else self.recording.inode_at(path)
        return None if self.recording is None or inode is None else (self.recording, path, inode)

    def _write(self, file: ctypes._Pointer[_File], data: int, count: int, offset: int) -> int:
        code: int = _WRITE(self._plain_of(file).xWrite)(file, data, count, offset)
        if code == OK and (found := self._inode(file)) is not None:
            recording, _, inode = found
            recording.note(Write(inode, offset, ctypes.string_at(data, count)))
        return code

    def _truncate(self, file: ctypes._Pointer[_File], size: int) -> int:
        code: int = _TRUNCATE(self._plain_of(file).xTruncate)(file, size)
        if code == OK and (found := self._inode(file)) is not None:
            found[0].note(Truncate(found[2], size))
        return code

    def _sync(self, file: ctypes._Pointer[_File], flags: int) -> int:
        """Noted, and not done: the machine that runs the rehearsal keeps its power."""
        if (found := self._inode(file)) is not None:
            recording, path, inode = found
            if recording.dropped != "index":
                recording.note(Sync(inode))
                if path in self._born:
                    # As os_unix.c does with a journal or log it has just made (UNIXFILE_DIRSYNC).
                    self._born.discard(path)
                    recording.note(SyncDirectory(path.parent))
        return OK

    def _delete(self, vfs: int, name: bytes, sync_directory: int) -> int:
        code: int = self._plain_delete(vfs, name, sync_directory)
        path = Path(name.decode())
        if code == OK and self.recording is not None and self.recording.inode_at(path) is not None:
            self.recording.note(Name(path, None))
            if sync_directory:
                self.recording.note(SyncDirectory(path.parent))
        return code


_watches: list[_Watch] = []


@contextmanager
def watched_sqlite(recording: Recording | None) -> Iterator[None]:
    """Connections made inside are noted in the recording, if there is one, and never really synced."""
    if not _watches:
        _watches.append(_Watch())
    watch = _watches[0]
    watch.recording = recording
    watch.library.sqlite3_vfs_register(ctypes.byref(watch.vfs), 1)
    try:
        yield
    finally:
        watch.library.sqlite3_vfs_register(watch.plain, 1)
        watch.recording = None
