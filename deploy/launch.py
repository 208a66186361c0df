"""The last step before every process we start: become the right user, die with the parent, then exec.

A tiny program of its own (python -I -S launch.py ... -- command), so that nothing runs between fork and
exec of the large parent. It knows users, capabilities and signals; not what it starts. Linux only.
"""

import argparse
import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_GET_SECUREBITS = 27
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522

ORPHANED = 75
"""Exit status: the parent was gone before the command began."""
REFUSED = 77
"""Exit status: the user may not reach a needed path; the first such path is on stderr."""


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def control(option: int, first: int, second: int = 0) -> int:
    """prctl(2). Raises OSError."""
    zero = ctypes.c_ulong(0)
    answer = int(_libc.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), zero, zero))
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} was refused")
    return answer


def unreachable(paths: list[str]) -> str | None:
    """The first path this process may not read and, for a program or directory, enter; else None."""
    for path in paths:
        if not os.access(path, os.R_OK | os.X_OK):
            return path
    return None


def drop(*, uid: int, gid: int) -> None:
    """Become an ordinary user for good; all capabilities go with it."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def unreachable_after_drop(paths: list[str], *, uid: int, gid: int) -> str | None:
    """What `unreachable` would say as that user, tried in a child so that this process stays as it is."""
    child = os.fork()
    if child == 0:
        drop(uid=uid, gid=gid)
        os._exit(0 if unreachable(paths) is None else 1)
    _, status = os.waitpid(child, 0)
    return None if status == 0 else paths[0]


def keep_capabilities(bits: int) -> None:
    """Give up every capability but these. Raises OSError when one of them was not held."""
    header = _CapabilityHeader(CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)(_CapabilityData(bits, bits, bits), _CapabilityData(0, 0, 0))
    if _libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        raise OSError(ctypes.get_errno(), "capset was refused")


def drop_keeping_search(*, uid: int, gid: int) -> None:
    """Become an ordinary user who may walk through and read any directory, and nothing more.

    Without SECBIT_NO_SETUID_FIXUP, access(2) ignores capabilities of a user who is not root, and
    PostgreSQL asks access(2) before it finds its own files (capabilities(7), "securebits").
    Raises OSError where the system forbids it.
    """
    control(PR_SET_SECUREBITS, control(PR_GET_SECUREBITS, 0) | SECBIT_NO_SETUID_FIXUP)
    drop(uid=uid, gid=gid)
    keep_capabilities(1 << CAP_DAC_READ_SEARCH)
    control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH)


def become(*, uid: int, gid: int, reach: list[str]) -> None:
    """Drop to the user, with the one capability only where a path could not be reached without it."""
    if unreachable_after_drop(reach, uid=uid, gid=gid) is None:
        drop(uid=uid, gid=gid)
        return
    try:
        drop_keeping_search(uid=uid, gid=gid)
    except OSError:
        # A container may withhold the capability. Then the plain user is all there is, and what a
        # half-done change left behind goes too.
        drop(uid=uid, gid=gid)
        keep_capabilities(0)
    blocked = unreachable(reach)
    if blocked is not None:
        sys.stderr.write(blocked + "\n")
        sys.exit(REFUSED)


def main() -> None:
    """Read the arguments and become the command."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--reach", action="append", default=[])
    parser.add_argument("command", nargs="+")
    chosen = parser.parse_args()
    os.umask(0o077)
    if chosen.uid is not None:
        try:
            become(uid=chosen.uid, gid=chosen.gid, reach=chosen.reach)
        except OSError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(REFUSED)
    # After the change of user, which clears it; and the parent may have died before this line.
    control(PR_SET_PDEATHSIG, chosen.signal)
    if os.getppid() != chosen.parent:
        sys.exit(ORPHANED)
    os.execv(chosen.command[0], chosen.command)  # noqa: S606  the whole purpose of this program


if __name__ == "__main__":
    main()
