"""A pipe between two sockets: what goes through it never passes through this process's memory.

It knows no HTTP and counts nothing: both ends are told by the kernel how many bytes it moved.
"""

from __future__ import annotations

import fcntl
import os
from typing import Self

PIPE_BYTES = 2**19
"""Of one pipe. The kernel lets a user without privileges have 64 MiB of them, so 128 transfers at once."""
_FLAGS = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE


class Pipe:
    """Invariant: whoever fills it empties it before it is filled again, so that only a socket makes anybody wait."""

    __slots__ = ("_exit", "entry")

    def __init__(self, *, entry: int, exit_: int) -> None:
        self.entry = entry
        """The descriptor bytes are put into."""
        self._exit = exit_

    @classmethod
    def opened(cls) -> Self | None:
        """A pipe of PIPE_BYTES; None where the process, or its user, may have no more of them."""
        try:
            exit_, entry = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        pipe = cls(entry=entry, exit_=exit_)
        try:
            fcntl.fcntl(entry, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            pipe.close()
            return None
        return pipe

    def empty_into(self, descriptor: int, count: int) -> int:
        """Move up to count bytes into a socket; how many it took. Raises BlockingIOError when it takes none."""
        return os.splice(self._exit, descriptor, count, flags=_FLAGS)

    def close(self) -> None:
        """What is in it is lost."""
        os.close(self.entry)
        os.close(self._exit)


def pour(source: int, entry: int, count: int) -> int:
    """Move up to count bytes that a socket has into an empty pipe; how many, 0 at the stream's end.

    Raises BlockingIOError when none are there.
    """
    return os.splice(source, entry, count, flags=_FLAGS)
