"""The gate a child waits at: its parent starts it early, so that it loads while the database is being made."""

from __future__ import annotations

import os
import sys

GATE_VARIABLE = "WEIR_GATE_FD"


def require_assertions() -> None:
    """End the process where Python was told to leave assertions out: they guard money and bytes."""
    if not __debug__:
        sys.exit("Weir does not run with assertions switched off; unset PYTHONOPTIMIZE and leave out -O")


def wait_at_gate() -> None:
    """Return once the parent opens the gate; end the process if the parent is gone. No gate, no waiting."""
    require_assertions()
    text = os.environ.pop(GATE_VARIABLE, None)
    if text is None:
        return
    descriptor = int(text)
    opened = os.read(descriptor, 1)
    os.close(descriptor)
    if not opened:
        sys.exit(0)
