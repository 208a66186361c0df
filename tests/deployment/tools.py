"""Checkers that .ci/run installs beside the project: found on the PATH or in .tools, or the test is skipped by name."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.engines.place import REQUIRED
from tests.ordinary import ROOT

TOOLS = ROOT / ".tools" / "bin"


def tool(name: str, *, comes_with: str = ".ci/run") -> str:
    """A program's path. Where CI asks for everything, a missing one is a failure."""
    found = shutil.which(name, path=f"{TOOLS}:{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        assert os.environ.get(REQUIRED) != "required", (
            f"{REQUIRED} is 'required', and {name} is not installed"
        )
        pytest.skip(f"{name} is not installed (it comes with {comes_with})")
    return found


def has_nothing_to_say(*command: object, timeout_s: int = 240, **environment: str) -> None:
    """A checker that ends with 0; what it says stands in the failure."""
    done = subprocess.run(
        [str(one) for one in command], capture_output=True, text=True, timeout=timeout_s, check=False, cwd=ROOT,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
