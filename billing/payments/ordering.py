"""Who is owed and would be paid, and a batch of payments ordered: account numbers stay sealed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from billing.canon import canonical, digest
from billing.capital import unclaimed_store
from billing.ledger.books import currency
from billing.payments import store
from billing.payments.sepa import AMOUNT_MINOR_MAX, ORDERS_A_FILE_MAX, check_currency
from billing.payments.store import KeptBatch, KeptOrder
from billing.store import lock_books
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import to_datetime

NAMES_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Members who are owed and are not paid, by name."""

    without_account: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    """Contact with them was lost; nobody knows whether the account is still theirs. What is owed stays owed."""


@dataclass(frozen=True, slots=True)
class Due:
    """A member who is owed, and the account it would be paid to."""

    member: MemberId
    amount_minor: int
    account: store.Account


@dataclass(frozen=True, slots=True)
class Ordered:
    """A batch that was ordered, and who is owed and is not in it."""

    batch: KeptBatch
    left_out: LeftOut


def due_digest(due: Sequence[Due]) -> str:
    """SHA-256 of who would be paid how much, to which account: what somebody saw before they said yes."""
    return digest(
        canonical({"due": [[int(one.member), one.amount_minor, one.account.number] for one in due]})
    )


async def order(
    connection: Connection, *, execute_on: date, minimum_minor: int, now_us: int, shown: str | None = None
) -> Ordered | None:
    """Order everything that is owed and not ordered yet, account numbers unopened; None when that is nothing.

    shown: due_digest() of what was looked at before. Raises Refusal when it is not that any more, for a day that is
    over, a co-op without an account, or when nobody who is owed can be paid.
    """
    check_currency(await currency(connection))
    if execute_on < (today := to_datetime(now_us).date()):
        raise Refusal(f"--on: {execute_on} is over (in UTC it is {today}); a bank executes today or later")
    async with connection.transaction():
        await lock_books(connection)
        own = await store.own_account(connection)
        if own is None:
            raise Refusal(
                "the co-op's own account is not known yet; tell it with `weir pay own-account IBAN --name NAME`"
            )
        due, left_out = await who_is_due(connection, minimum_minor=minimum_minor)
        if not due:
            _refuse_left_out(left_out)
            return None
        if shown is not None and shown != due_digest(due):
            raise Refusal("what is owed has changed since you looked at it; look again, then order it")
        message_id = f"WEIR-PAY-{await store.next_batch(connection)}"
        number = await store.insert_batch(
            connection,
            message_id=message_id,
            execute_on=execute_on,
            currency="EUR",
            account=own.number,
            now_us=now_us,
        )
        rows = [
            (one.member, one.amount_minor, one.account.number, f"{message_id}-M{one.member}") for one in due
        ]
        await store.insert_orders(connection, number, rows)
        return Ordered(await find_batch(connection, number), left_out)


async def who_is_due(connection: Connection, *, minimum_minor: int) -> tuple[list[Due], LeftOut]:
    """Everybody a batch made now would pay, and who is owed and would not be in it."""
    lost = await unclaimed_store.lost_contact(connection)
    owed = await store.owed(
        connection, minimum_minor=minimum_minor, count_max=ORDERS_A_FILE_MAX, besides=lost
    )
    accounts = await store.accounts(connection, [member for member, _ in owed])
    due = [
        Due(member, min(amount, AMOUNT_MINOR_MAX), accounts[member]) for member, amount in owed if member in accounts
    ]  # fmt: skip
    left_out = LeftOut(
        await _names(connection, [member for member, _ in owed if member not in accounts]),
        await _names(connection, await store.owed_among(connection, lost, minimum_minor=minimum_minor)),
    )
    return due, left_out


async def listed(
    connection: Connection, number: int
) -> tuple[KeptBatch, list[KeptOrder], dict[MemberId, str]]:
    """A batch with its payments and the names of who is paid, account numbers unopened. Raises Refusal."""
    kept = await find_batch(connection, number)
    orders = await store.orders(connection, batch=number)
    return kept, orders, await store.member_names(connection, [one.member for one in orders])


async def find_batch(connection: Connection, number: int) -> KeptBatch:
    """A batch. Raises Refusal."""
    found = await store.batches(connection, number)
    if not found:
        raise Refusal(f"there is no batch {number}; `weir pay list` shows them")
    return found[0]


async def _names(connection: Connection, members: Sequence[MemberId]) -> tuple[str, ...]:
    names = await store.member_names(connection, members)
    return tuple(names[one] for one in members)


def _refuse_left_out(left_out: LeftOut) -> None:
    """Somebody is owed and nobody can be paid: say who and why. Raises Refusal."""
    reasons = []
    if left_out.without_account:
        reasons.append(f"no account is known (`weir pay account`) of {_some(left_out.without_account)}")
    if left_out.lost:
        reasons.append(
            f"contact was lost (`weir capital unclaimed mark NAME --reached`) with {_some(left_out.lost)}"
        )
    if reasons:
        raise Refusal(f"nobody who is owed can be paid: {'; '.join(reasons)}")


def _some(names: Sequence[str]) -> str:
    more = "" if len(names) <= NAMES_SHOWN_MAX else f" and {len(names) - NAMES_SHOWN_MAX:,} more"
    return ", ".join(names[:NAMES_SHOWN_MAX]) + more
