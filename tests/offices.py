"""Members with an office, for tests: granted by the register's owner, as the command does it."""

from __future__ import annotations

from billing.acts import run, store
from billing.acts.act import Act, Office
from meter.ids import MemberId
from tests.coop import SEPTEMBER, Coop


async def holds(co_op: Coop, member: MemberId, *offices: Office) -> None:
    """Let a member hold these offices from the co-op's first month on."""
    for office in offices:
        await run.grant(
            await co_op.owner(), member, office, from_us=SEPTEMBER.start_us, until_us=None, resolution=None, who="test",
            now_us=SEPTEMBER.start_us,
        )  # fmt: skip


async def acts(co_op: Coop) -> list[Act]:
    """Every line of the log, the oldest first."""
    return await store.acts_after(await co_op.books(), 0, count_max=1000)
