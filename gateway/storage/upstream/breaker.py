"""A circuit breaker: an upstream that fails again and again is left alone for a while. Pure; it is handed the time."""

from __future__ import annotations


class Breaker:
    """Open after failures_max failures in a row; then one probe every open_s decides.

    Invariant: while it is open at most one request is on its way, and a success closes it.
    """

    __slots__ = ("_failures", "_failures_max", "_open_s", "_probe_after")

    def __init__(self, *, failures_max: int, open_s: float) -> None:
        self._failures_max = failures_max
        self._open_s = open_s
        self._failures = 0
        self._probe_after: float | None = None

    @property
    def is_open(self) -> bool:
        """Requests are refused, but for a probe."""
        return self._probe_after is not None

    def admits(self, now: float) -> bool:
        """Whether a request may go; while open only one that is a probe, and asking takes its turn."""
        if self._probe_after is None:
            return True
        if now < self._probe_after:
            return False
        # Whatever becomes of this probe, the next one waits as long again.
        self._probe_after = now + self._open_s
        return True

    def failed(self, now: float) -> bool:
        """The upstream failed; whether that opened it just now."""
        self._failures += 1
        if self._failures < self._failures_max:
            return False
        opened = self._probe_after is None
        self._probe_after = now + self._open_s
        return opened

    def succeeded(self) -> bool:
        """The upstream answered as one that is well; whether that closed it just now."""
        self._failures = 0
        closed = self._probe_after is not None
        self._probe_after = None
        return closed
