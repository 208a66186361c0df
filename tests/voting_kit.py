"""A co-op that votes, for tests: people in the register, a proposal, and a poll about it."""

from __future__ import annotations

from dataclasses import replace

import asyncpg

from billing.governance.decisions import ResolutionKind
from billing.settings import BillingSettings
from billing.voting import run
from billing.voting.poll import Poll
from billing.voting.proposal import wording
from meter.ids import MemberId
from meter.store import add_member
from meter.usage import MemberClass
from tests.coop import NOW, SEPTEMBER, Coop

DAY = 24 * 3600 * 10**6
OPENS, CLOSES = NOW + DAY, NOW + 15 * DAY
DURING = OPENS + DAY
SETTINGS = BillingSettings()
NAMES = ("anna", "ben", "carla", "dora", "emil")


async def join(
    co_op: Coop, name: str, member_class: MemberClass, *, now_us: int = SEPTEMBER.start_us
) -> MemberId:
    """Somebody comes into the register."""
    found = await add_member(
        await co_op.owner(), name=name, member_class=member_class, email="", now_us=now_us
    )
    return found.id


async def proposed(
    books: asyncpg.Connection, *, kind: ResolutionKind = ResolutionKind.OTHER, member: MemberId | None = None,
    calc_hash: str | None = None,
) -> int:  # fmt: skip
    """A proposal's number."""
    said = wording(
        title="A second disk", body="We buy one.", calc_hash=calc_hash, who="test", recorded_us=NOW
    )
    return await run.propose(books, kind, said, member=member, settings=SETTINGS)


async def opened(books: asyncpg.Connection, number: int, *, is_secret: bool = True, **changed: int) -> Poll:
    """A vote that was opened, with its roll as the register is now."""
    asked = replace(run.Asked(is_secret, NOW, OPENS, CLOSES), **changed)
    return await run.open_poll(books, number, asked, who="test", now_us=NOW)
