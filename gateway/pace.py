"""Whether the other side of a transfer moves at all: a client that drips must not hold a place for ever. Pure.

It counts only time spent waiting for that side, in windows; what the last window let through is no merit.
"""

from __future__ import annotations


class TooSlow(Exception):
    """The other side moved less than it must over a whole window of waiting."""


class Pace:
    """A floor under a transfer's speed."""

    __slots__ = ("_bytes_min", "_moved_bytes", "_waited_s", "_window_s")

    def __init__(self, *, window_s: float, bytes_per_s_min: int) -> None:
        """A floor of 0 never raises."""
        self._window_s = window_s
        self._bytes_min = window_s * bytes_per_s_min
        self._waited_s = 0.0
        self._moved_bytes = 0

    def waited(self, seconds: float, *, moved_bytes: int) -> None:
        """We waited so long and then so much had moved. Raises TooSlow."""
        self._waited_s += seconds
        self._moved_bytes += moved_bytes
        if self._waited_s < self._window_s:
            return
        if self._moved_bytes < self._bytes_min:
            raise TooSlow
        self._waited_s, self._moved_bytes = 0.0, 0
