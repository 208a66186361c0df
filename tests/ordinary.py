"""An ordinary user to run programs as, also when the tests run as root."""

import functools
import os
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOBODY = 65534


@functools.cache
def interpreter() -> str | None:
    """A Python an ordinary user may run with our packages: ours, else the system's; None if neither."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            subprocess.run(
                [candidate, "-c", "import asyncpg, deploy.settings"],
                check=True,
                capture_output=True,
                **as_nobody(),
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    return None


def as_nobody() -> dict[str, Any]:
    """Arguments for subprocess: the user, no groups, no privileges, our packages."""
    paths = os.pathsep.join([str(ROOT), *site.getsitepackages()])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}
    common: dict[str, Any] = {"cwd": ROOT, "env": environment}
    if os.geteuid() == 0:
        common |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    return common
