"""The memory this process has for itself, and how much of it it may have."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
GROUPS = Path("/sys/fs/cgroup")
SHARE = 2
"""Half of the memory is for the workers; the rest is for PostgreSQL, the other processes, and the kernel's cache."""


class OwnMemory:
    """What /proc says of this process."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def bytes(self) -> int:
        """Resident, without pages of files, which the kernel can take back: mapped journals are not our memory."""
        _, resident, shared, *_ = os.pread(self._statm, 200, 0).split()
        return (int(resident) - int(shared)) * PAGE_BYTES

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._statm)


def give_back() -> None:
    """Have the C library hand free memory to the kernel, which it otherwise keeps; where it knows how."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def worker_bytes_max(*, workers: int, machine_bytes: int, group_bytes: int | None) -> int:
    """A worker's equal part of what workers may have, of the machine's memory or its control group's if that is less."""
    whole = machine_bytes if group_bytes is None else min(machine_bytes, group_bytes)
    return whole // SHARE // workers


def machine_bytes() -> int:
    """Memory of the machine."""
    return os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES


def group_bytes(own: Path = Path("/proc/self/cgroup"), groups: Path = GROUPS) -> int | None:
    """The least limit of this process's control group and those above it (cgroup v2); None where there is none."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    place = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    path = groups / place
    limits = []
    for directory in (path, *path.parents):
        if not directory.is_relative_to(groups):
            break
        try:
            text = (directory / "memory.max").read_text().strip()
        except OSError:
            continue  # the root has none, nor has a group that we do not see
        if text.isdigit():
            limits.append(int(text))
    return min(limits, default=None)
