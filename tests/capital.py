"""Capital in a small co-op for tests: lots, money that waits, what the ledger says of an account."""

from __future__ import annotations

import asyncpg

from billing import store
from billing.capital.lots import Kind, LotId
from billing.governance import store as governance_store
from billing.governance.decisions import Choice
from billing.ledger.entry import BANK, UNDISTRIBUTED, Account, Entry, EntryKind, payable, postings, receivable
from billing.rules.book import rule_set_text
from meter.ids import MemberId
from meter.store import set_member_status
from meter.usage import MemberStatus
from meter.window import Month
from tests.coop import NOVEMBER, NOW, Coop


async def allocate(
    connection: asyncpg.Connection, lots: dict[tuple[int, MemberId], int], *, key: str = "a"
) -> None:
    """A closing's entry that keeps these amounts in members' names."""
    sides = [(LotId(year, member, Kind.PLAIN).account, -amount) for (year, member), amount in lots.items()]
    await move(connection, [*sides, (UNDISTRIBUTED, sum(lots.values()))], key=key)


async def move(
    connection: asyncpg.Connection, sides: list[tuple[Account, int]], *, key: str,
    kind: EntryKind = EntryKind.ALLOCATION, month: Month = NOVEMBER, now_us: int = NOW,
) -> None:  # fmt: skip
    """One entry."""
    async with connection.transaction():
        await store.post(connection, Entry(month, kind, "test", postings(sides), key), now_us=now_us)


async def money(connection: asyncpg.Connection, amount: int) -> None:
    """So much in the bank, kept by all."""
    sides = [(BANK, amount), (Account("reserve:voluntary"), -amount)]
    await move(connection, sides, key=f"money:{amount}")


async def choose(connection: asyncpg.Connection, rule_set: str) -> None:
    """Years from 2026 on go by this rule set."""
    chosen = Choice(0, rule_set, 2026, 1, None, rule_set_text(rule_set), "", "test", NOW)
    await governance_store.insert_choice(connection, chosen)


async def owes(connection: asyncpg.Connection, member: MemberId, amount: int) -> None:
    """A member owes so much for use."""
    await move(
        connection, [(receivable(member), amount), (Account("revenue:gb_out"), -amount)], key=f"owes:{member}"
    )


async def waits(connection: asyncpg.Connection, member: MemberId, amount: int, *, since_us: int) -> None:
    """So much became payable to a member at a time."""
    sides = [(UNDISTRIBUTED, amount), (payable(member), -amount)]
    await move(connection, sides, key=f"waits:{member}:{since_us}", now_us=since_us)


async def balance(connection: asyncpg.Connection, account: str) -> int:
    """An account's balance; debit above zero."""
    found = await connection.fetchval(
        "SELECT coalesce(sum(amount_minor), 0)::numeric FROM billing.posting WHERE account = $1", account
    )
    return int(found)


async def gone(co_op: Coop, *members: MemberId, now_us: int = NOW) -> None:
    """These members left, in the register."""
    owner = await co_op.owner()
    for one in members:
        await set_member_status(owner, one, MemberStatus.LEFT, now_us=now_us)
