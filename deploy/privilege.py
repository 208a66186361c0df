"""Which user the embedded PostgreSQL runs as, and the command line of the launcher.

It reads the user database and never changes it.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from meter.refusal import Refusal

LAUNCHER = Path(__file__).with_name("launch.py")
USERS = ("postgres", "nobody")
"""Tried in this order when Weir is root and nothing is set."""


class NoUser(Refusal):
    """No user that PostgreSQL can run as; it refuses to run as root."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


def current_user() -> User:
    """Who we are. Raises NoUser for a number without a name, which PostgreSQL's peer check needs."""
    return _by_uid(os.geteuid())


def postgres_user(configured: str) -> User:
    """Who the database server runs as: ourselves, unless we are root. Raises NoUser."""
    if os.geteuid() != 0:
        return current_user()
    if configured:
        try:
            found = pwd.getpwnam(configured)
        except KeyError:
            raise NoUser(
                f"setting postgres_user is {configured}, and this machine has no such user"
            ) from None
        if found.pw_uid == 0:
            raise NoUser("setting postgres_user is root, and PostgreSQL refuses to run as root")
        return User(found.pw_name, found.pw_uid, found.pw_gid)
    for name in USERS:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(found.pw_name, found.pw_uid, found.pw_gid)
    raise NoUser(
        "PostgreSQL refuses to run as root, and neither postgres nor nobody exists here; "
        "set postgres_user to an ordinary user, or run weir as one"
    )


def launched(
    command: Sequence[str | Path],
    *,
    death_signal: Signals,
    user: User | None = None,
    reach: Sequence[Path] = (),
) -> list[str]:
    """The command through the launcher: it dies with us, and runs as `user` if we are somebody else."""
    line = [sys.executable, "-I", "-S", str(LAUNCHER), "--parent", str(os.getpid())]
    line += ["--signal", str(int(death_signal))]
    if user is not None and user.uid != os.geteuid():
        line += ["--uid", str(user.uid), "--gid", str(user.gid)]
        for path in reach:
            line += ["--reach", str(path)]
    return [*line, "--", *(str(part) for part in command)]


def _by_uid(uid: int) -> User:
    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        raise NoUser(
            f"user number {uid} has no name on this machine, and PostgreSQL needs one; "
            "run as a named user, or set WEIR_DATABASE_URL"
        ) from None
    return User(found.pw_name, found.pw_uid, found.pw_gid)
