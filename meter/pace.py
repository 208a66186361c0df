"""How long a shipper rests between rounds: as long as is set, and longer while Postgres is slow.

A thousand shippers that all come every half second keep one Postgres busy with transactions of a few records each. Rarer
rounds carry the same records in fewer transactions, so whoever finds Postgres slow comes less often. Pure.
"""

from __future__ import annotations

TRANSACTION_S, RECORD_S = 1.0, 0.0002
"""What a transaction, and each record in it, may take: several times what they take where nothing waits."""
LONGER, SHORTER = 2.0, 0.8
JITTER = 0.1
"""The pause is up to so much shorter or longer, so that shippers which began together do not stay together."""


def strain(took_s: float, records: int) -> float:
    """How slow Postgres was: above 1 a transaction took longer than it may."""
    return took_s / (TRANSACTION_S + records * RECORD_S)


class Pace:
    """The pause of one shipper. It doubles while Postgres is slow, and comes back step by step."""

    def __init__(self, *, interval_s: float, longest_s: float) -> None:
        self._shortest_s = interval_s
        self._longest_s = max(interval_s, longest_s)
        self._pause_s = interval_s

    def after(self, strain_max: float, *, chance: float) -> float:
        """The pause after a round with that strain at worst, 0 if it shipped nothing; `chance` is from 0 to 1."""
        if strain_max > 1:
            self._pause_s = min(self._pause_s * LONGER, self._longest_s)
        elif strain_max:
            self._pause_s = max(self._pause_s * SHORTER, self._shortest_s)
        return self._pause_s * (1 + JITTER * (2 * chance - 1))
