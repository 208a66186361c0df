"""The result of a period: what members were charged less what it cost. Pure; it shares nothing out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a result is called."""

    SURPLUS = "surplus"
    LOSS = "loss"
    EVEN = "even"


@dataclass(frozen=True, slots=True)
class Result:
    """Both sides of the sum, in minor units."""

    charges_minor: int
    costs_minor: int

    @property
    def amount_minor(self) -> int:
        """Above zero a surplus, below a loss."""
        return self.charges_minor - self.costs_minor

    @property
    def outcome(self) -> Outcome:
        """Its name."""
        if self.amount_minor == 0:
            return Outcome.EVEN
        return Outcome.SURPLUS if self.amount_minor > 0 else Outcome.LOSS
