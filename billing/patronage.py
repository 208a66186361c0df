"""The surplus shared out among those whose use made it, in proportion to their charges. Pure.

It knows the plain rule only: user members, by charges, all of it kept in their name. It decides on no payment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from billing.money import apportion
from billing.rating import Charge
from billing.surplus import Result
from meter.ids import MemberId
from meter.usage import MemberClass


@dataclass(frozen=True, slots=True)
class Allocation:
    """One member's share in minor units. Invariant: paid + retained = amount. Allocated is not paid."""

    member: MemberId
    charges_minor: int
    amount_minor: int
    paid_minor: int = 0

    @property
    def retained_minor(self) -> int:
        """Kept in the co-op in the member's name."""
        return self.amount_minor - self.paid_minor


@dataclass(frozen=True, slots=True)
class Patronage:
    """Where a result goes. Invariant: Σ allocations = pool, and pool + undistributed − loss = result."""

    pool_minor: int
    undistributed_minor: int
    loss_minor: int
    weights_minor: int
    allocations: tuple[Allocation, ...]


def share_out(
    result: Result, charges: Iterable[Charge], classes: Mapping[MemberId, MemberClass]
) -> Patronage:
    """Share a surplus among user members by largest remainder, ties to the lower member number.

    A loss is named and charged to nobody. Without charges of users the surplus stays undistributed.
    """
    weights = {
        one.member: one.amount_minor
        for one in charges
        if classes[one.member] is MemberClass.USER and one.amount_minor > 0
    }
    surplus = max(result.amount_minor, 0)
    pool = surplus if weights else 0
    shares = apportion(pool, weights) if pool else {}
    return Patronage(
        pool_minor=pool,
        undistributed_minor=surplus - pool,
        loss_minor=max(-result.amount_minor, 0),
        weights_minor=sum(weights.values()),
        allocations=tuple(Allocation(member, weights[member], shares[member]) for member in sorted(shares)),
    )
