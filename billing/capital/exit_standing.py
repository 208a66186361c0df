"""Where everybody's leaving stands: asked for, left, owed, payable, paid; what is still in their name besides.

It only reads; exit_run.py books. The connection acts as weir_billing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from billing.capital import exits, unclaimed_store
from billing.capital import store as capital_store
from billing.capital.exits import ExitState
from billing.capital.leavers import left_days
from billing.register import store as register_store
from meter.ids import MemberId
from meter.postgres import Connection


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one member's leaving stands; amounts in minor units."""

    member: MemberId
    state: ExitState
    debts: Sequence[capital_store.Debt]
    """In the order they were booked: lots of a later closing have a debt of their own."""
    wanted_on: date | None
    left_on: date | None
    """By the register."""
    owed_minor: int
    payable_minor: int
    came_since_minor: int
    """Kept in their name by a closing after they left; it becomes a debt by another act."""
    lots_minor: int
    """All that is still in lots."""
    shares_minor: int
    """Paid on shares that are not redeemed; no exit pays them back."""


async def standings(connection: Connection) -> list[Standing]:
    """Everybody who asked to leave or left, by member."""
    asked = await capital_store.requests(connection)
    left = left_days(await register_store.operations(connection))
    shares = await capital_store.member_balances(connection, "shares")
    booked: dict[MemberId, list[capital_store.Debt]] = {}
    for debt in await capital_store.debts(connection):
        booked.setdefault(debt.member, []).append(debt)
    kept: dict[MemberId, int] = {}
    for lot, amount in (await capital_store.lot_balances(connection)).items():
        kept[lot.member] = kept.get(lot.member, 0) + amount
    owed = await capital_store.member_balances(connection, "debt")
    waits = await capital_store.member_balances(connection, "payable")
    lost = await unclaimed_store.lost_contact(connection)
    forfeited: dict[MemberId, int] = {}
    for one in await unclaimed_store.forfeits(connection):
        forfeited[one.member] = forfeited.get(one.member, 0) + one.open_minor
    return [
        Standing(
            member=member,
            state=exits.state_of(
                requested=member in asked, left=member in left, booked=member in booked,
                to_pay_minor=sum(one.to_pay_minor for one in booked.get(member, ())),
                owed_minor=-owed.get(member, 0), payable_minor=-waits.get(member, 0),
                forfeited_minor=forfeited.get(member, 0), reached=member not in lost,
            ),
            debts=tuple(booked.get(member, ())), wanted_on=asked.get(member), left_on=left.get(member),
            owed_minor=-owed.get(member, 0), payable_minor=-waits.get(member, 0),
            came_since_minor=kept.get(member, 0) if member in booked else 0,
            lots_minor=kept.get(member, 0), shares_minor=-shares.get(member, 0),
        )
        for member in sorted({*asked, *booked, *left})
    ]  # fmt: skip
