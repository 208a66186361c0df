"""The gate a child waits at: its parent starts it early, so that it loads while the database is being made."""

from __future__ import annotations

import os
import sys

GATE_VARIABLE = "WEIR_GATE_FD"


def wait_at_gate() -> None:
    """Return once the parent opens the gate; end the process if the parent is gone. No gate, no waiting."""
    text = os.environ.pop(GATE_VARIABLE, None)
    if text is None:
        return
    descriptor = int(text)
    opened = os.read(descriptor, 1)
    os.close(descriptor)
    if not opened:
        sys.exit(0)
