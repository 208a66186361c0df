"""Acting in an office: the act and its line in one transaction, or neither; a refusal gets a line of its own.

Also granting and ending offices, and the log walked again. Times are UTC microseconds given by the caller.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg

from billing import store as books_store
from billing.acts import store
from billing.acts.act import (
    DETAIL_CHARACTERS_MAX,
    OFFICE_WORDS,
    WHAT_CHARACTERS_MAX,
    Actor,
    Chain,
    Doing,
    Held,
    Office,
    shortened,
)
from billing.governance.store import resolution as find_resolution
from meter.ids import MemberId
from meter.postgres import AWAY, Connection
from meter.refusal import Refusal, UnknownMember
from meter.store import find_member
from meter.usage import MemberStatus

ACTS_AT_ONCE = 1000


class NotInOffice(Refusal):
    """Whoever acts does not hold the office, so nothing was done."""


@asynccontextmanager
async def acting(connection: Connection, actor: Actor, doing: Doing, *, now_us: int) -> AsyncIterator[Doing]:
    """A transaction that ends with the act's line in the log.

    When what is inside refuses, nothing of it stays, and the log says that it was tried and why not; a name that is
    nobody's was a slip of the pen and leaves no line. What is inside may use transactions of its own. An act that was
    nothing from the start, as a trial is, gets neither line nor transaction.
    """
    if doing.nothing:
        yield doing
        return
    try:
        async with connection.transaction():
            yield doing
            if not doing.nothing:
                await note(connection, actor, doing, is_done=True, now_us=now_us)
    except Refusal as refusal:
        if not isinstance(refusal, (UnknownMember, NotInOffice, *AWAY)) and not doing.nothing:
            doing.detail = str(refusal)
            await note(connection, actor, doing, is_done=False, now_us=now_us)
        raise


async def note(connection: Connection, actor: Actor, doing: Doing, *, is_done: bool, now_us: int) -> None:
    """Add the act's line to the log. Raises Refusal where a member does not hold the office at that moment."""
    try:
        await store.insert_act(
            connection, actor, doing.office, doing.kind, subject=doing.subject,
            what=shortened(doing.what, WHAT_CHARACTERS_MAX), detail=shortened(doing.detail, DETAIL_CHARACTERS_MAX),
            is_done=is_done, now_us=now_us,
        )  # fmt: skip
    except asyncpg.PostgresError as error:
        if store.lacks_office(error):
            raise NotInOffice(
                f"you do not hold the office of {OFFICE_WORDS[doing.office]} any more"
            ) from None
        raise


async def grant(
    connection: Connection, member: MemberId, office: Office, *, from_us: int, until_us: int | None,
    resolution: str | None, who: str, now_us: int,
) -> Held:  # fmt: skip
    """Give a member an office. The connection is the owner's. Raises Refusal."""
    if until_us is not None and until_us <= max(from_us, now_us):
        raise Refusal("until: an office ends after it begins, and not in the past")
    async with connection.transaction():
        await books_store.lock_books(connection)
        found = await find_member(connection, str(member))
        if found.status is not MemberStatus.ACTIVE:
            raise Refusal("an office is held by an active member; this one was suspended or has left")
        for one in await store.held(connection):
            overlaps = (until_us is None or one.from_us < until_us) and (
                one.until_us is None or from_us < one.until_us
            )
            if one.member == member and one.office is office and overlaps:
                raise Refusal(f"{one.name} holds that office in this time already; end it first")
        await _known(connection, resolution)
        number = await store.insert_office(
            connection, member, office, from_us=from_us, until_us=until_us, resolution=resolution, who=who,
            now_us=now_us,
        )  # fmt: skip
    return Held(number, member, found.name, office, from_us, until_us, resolution, who)


async def end(
    connection: Connection, member: MemberId, office: Office, *, ends_us: int, resolution: str | None, who: str,
    now_us: int,
) -> Held:  # fmt: skip
    """End an office that is held, or still to come. The connection is the owner's. Raises Refusal."""
    if ends_us < now_us:
        raise Refusal("on: an office cannot be ended in the past, for somebody may have acted in it since")
    async with connection.transaction():
        await books_store.lock_books(connection)
        open_ones = [
            one
            for one in await store.held(connection)
            if one.member == member and one.office is office and (one.until_us is None or ends_us < one.until_us)
        ]  # fmt: skip
        if not open_ones:
            raise Refusal(f"nobody of that name is {office.value} then; `weir role list` shows who is")
        await _known(connection, resolution)
        for one in open_ones:
            await store.insert_end(
                connection, one.number, ends_us=ends_us, resolution=resolution, who=who, now_us=now_us
            )
    return replace(open_ones[0], until_us=ends_us)


async def _known(connection: Connection, resolution: str | None) -> None:
    if resolution is not None and await find_resolution(connection, resolution) is None:
        raise Refusal(f"there is no resolution '{resolution[:20]}'; `weir resolution list` shows them")


async def verify(connection: Connection) -> tuple[Chain, list[str]]:
    """The log walked from its first act on: where it ends, and sentences about what does not fit."""
    chain, problems = Chain(), list[str]()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        while some := await store.acts_after(connection, chain.number, count_max=ACTS_AT_ONCE):
            problems += chain.walk(some)
    return chain, problems
