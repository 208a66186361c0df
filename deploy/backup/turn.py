"""One backup at a time into a place that has no locks of its own, among the processes of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from meter.refusal import Refusal


@contextmanager
def one_turn(place: str) -> Iterator[None]:
    """By a name in the kernel's own space of sockets, which it gives back when we die. Raises Refusal."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as turn:
        try:
            turn.bind(f"\0weir backup {place}"[:100])
        except OSError:
            raise Refusal(f"another backup or prune is at work in {place}; try again later") from None
        yield
