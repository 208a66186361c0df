"""The 95th percentile of five-minute samples, as carriers bill a line. Pure.

All samples of the period are sorted, the top 5 % are dropped, and the highest of the rest is what is billed: of the
8,640 in 30 days 432 are dropped, and the 8,208th from below is the one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from billing.money import floor_share
from meter.window import SLOT_US

DROPPED = Fraction(5, 100)
BAND = Fraction(1, 100)
"""How much of the samples, from the billed one downwards, shows who makes it what it is."""
BITS = 8
MEGA = 10**6
GB_PER_MBPS_MONTH = Fraction(657, 2)
"""What 1 Mbit/s running flat out moves in an average month of 365/12 days: 328.5 GB."""


@dataclass(frozen=True, slots=True)
class Percentile:
    """What is billed of a line, and the samples that make it so."""

    samples: int
    """Of the period, those in which nothing moved included."""
    billed_bytes: int
    """Moved in the billed sample."""
    band: tuple[int, ...]
    """Starts of the samples in whose traffic the shares are found, ascending; empty when nothing is billed."""
    moved_bytes: int
    """Over all samples."""


def samples_in(start_us: int, end_us: int) -> int:
    """Samples that were begun in [start, end)."""
    return len(range(start_us, end_us, SLOT_US))


def percentile(totals: Mapping[int, int], samples: int) -> Percentile:
    """The 95th percentile of `samples` of which those not in `totals` are zero.

    The band is the billed sample and those below it, a hundredth of all (86 of 8,640): one sample alone would be
    chance, those above it are dropped and cost nobody anything, and far below it nothing sets the price. Samples of
    equal traffic are in it or out of it together, so that no order decides.
    """
    assert len(totals) <= samples, "a sample is of the period"
    rank = samples - floor_share(samples, DROPPED)
    width = max(floor_share(samples, BAND), 1)
    rising = sorted(totals.values())
    zeros = samples - len(rising)

    def at(place: int) -> int:
        """The sample at a place from below, 1 and up."""
        return rising[place - zeros - 1] if place > zeros else 0

    billed = at(rank) if rank else 0
    low = max(at(max(rank - width + 1, 1)), 1) if billed else 0
    band = sorted(slot for slot, total in totals.items() if low <= total <= billed) if billed else []
    return Percentile(samples, billed, tuple(band), sum(rising))


def bits_per_second(bytes_moved: int, samples: int = 1) -> Fraction:
    """The rate at which bytes were moved over so many samples."""
    return Fraction(bytes_moved * BITS * MEGA, SLOT_US * samples)


def utilisation(found: Percentile) -> Fraction:
    """The mean rate over the billed one: how much of what is paid for is used."""
    if not found.billed_bytes:
        return Fraction(0)
    return Fraction(found.moved_bytes, found.billed_bytes * found.samples)


def price_per_gb(price_per_mbps: Fraction, used: Fraction) -> Fraction:
    """What a GB costs of a line at a price per Mbit/s and month that is used so far: price / (328.5 × utilisation)."""
    return price_per_mbps * Fraction(used.denominator, used.numerator) * Fraction(2, 657)
