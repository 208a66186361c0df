"""Which fiscal years a member can look at, and which one an address means. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from billing.governance.decisions import Choice, first_month_of
from billing.year.fiscal import FiscalYear, parse_year
from meter.window import Month


@dataclass(frozen=True, slots=True)
class Years:
    """The year that runs, and those a member can look at, newest first."""

    running: int
    open: tuple[int, ...]
    closed: tuple[int, ...]

    def asked(self, text: str | None) -> int:
        """The year of an address; without one the one that runs. Raises Refusal."""
        return self.running if text is None else parse_year(text)


def years(
    choices: Sequence[Choice], founded: Month, *, closed: Iterable[int], own: Iterable[int], now_us: int
) -> Years:
    """From the co-op's first month on; of closed years those in which something was booked to the member."""
    first_month = first_month_of(choices)
    running = FiscalYear.of(Month.of(now_us), first_month).number
    done = set(closed)
    first = max(done, default=FiscalYear.of(founded, first_month).number - 1) + 1
    return Years(running, tuple(range(running, first - 1, -1)), tuple(sorted(own, reverse=True)))
