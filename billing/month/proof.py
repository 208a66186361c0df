"""Works a month out again from usage counted another way, and compares with what was told, bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from billing import store
from billing.canon import canonical, digest
from billing.charges.store import all_charges
from billing.month.closing import Closing, MonthSum
from billing.month.frozen import closing_of
from billing.month.member_month import MemberMonth, read_back
from billing.register.run import changed_classes
from billing.run import MEMBERS_AT_ONCE, as_of, credits_by_member, everyone_of, open_inputs
from billing.statements.statement import FINAL, FORMAT, TRIAL, differences, statement, stranger
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.usage import Usage
from meter.window import Month


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of working a statement out again from other counts."""

    agrees: bool
    stored_digest: str
    recomputed_digest: str
    statement_digest: str
    """Of the statement as it comes out again."""
    differences: list[str]
    months: tuple[Month, ...] = ()
    """Of a year: the months it was closed on."""


@dataclass(frozen=True, slots=True)
class _Both:
    """A month as it was told, and as it comes out again: the sums and one member's line of each."""

    before: Closing
    again: Closing
    own: tuple[MemberMonth, MemberMonth] | None
    differences: list[str]


async def verify(
    connection: Connection,
    member: MemberId,
    month: Month,
    recounted: Mapping[MemberId, Usage],
    *,
    now_us: int,
) -> Verification:
    """Work a month out again from usage counted another way, over the whole month, and compare bit for bit.

    A closed month is compared with its stored lines and closing, an open one with what Postgres holds now. Raises
    Refusal for a member who has no statement of that month, and for a month an older Weir closed.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        stored = await store.closing_text(connection, month)
        told_as = await store.statement_format(connection, month) or FORMAT
        if stored is None:
            both = await _open(connection, member, month, recounted, now_us=now_us)
        else:
            both = await _closed(connection, member, month, recounted, stored)
    if both.own is None:
        raise Refusal(f"there is no statement for {month}: they were not a member then")
    kind = TRIAL if stored is None else FINAL
    before, again = both.own
    told = canonical(statement(both.again, again, kind=kind, told_as=told_as))
    found = list(both.differences)
    if told != canonical(statement(both.before, before, kind=kind, told_as=told_as)):
        found.append("the statement of this member comes out differently")
    agrees = not found and both.before.digest == both.again.digest
    return Verification(agrees, both.before.digest, both.again.digest, digest(told), found)


async def _open(
    connection: Connection, member: MemberId, month: Month, recounted: Mapping[MemberId, Usage], *, now_us: int
) -> _Both:  # fmt: skip
    inputs = await open_inputs(connection, month, now_us=now_us, until_us=month.end_us)
    before, again = MonthSum(inputs), MonthSum(inputs)
    own, found, left = None, [], dict(recounted)
    classes = await changed_classes(connection, month)
    given = await credits_by_member(connection, month)
    async for members in everyone_of(connection, inputs):
        for member_now, usage in members:
            one = as_of(member_now, classes)
            other = left.pop(one.id, None) or Usage(one.id, usage.start_us, usage.end_us)
            found += differences(usage, other, one.name)
            own_credits = given.get(one.id, ())
            lines = before.add(one, usage, own_credits), again.add(one, other, own_credits)
            own = lines if one.id == member else own
    return _Both(before.closing(), again.closing(), own, found + _strangers(left))


async def _closed(
    connection: Connection, member: MemberId, month: Month, recounted: Mapping[MemberId, Usage], stored: str
) -> _Both:  # fmt: skip
    before = closing_of(stored)
    again, own, found, left = MonthSum(before.inputs), None, [], dict(recounted)
    async for lines in all_charges(connection, month, rows_max=MEMBERS_AT_ONCE):
        for text, kept_digest in lines:
            line = read_back(text, start_us=month.start_us, end_us=before.inputs.until_us)
            one = line.member
            other = left.pop(one.id, None) or Usage(one.id, month.start_us, before.inputs.until_us)
            made = again.add(one, other, line.credited)
            found += differences(line.usage, other, one.name)
            if hashlib.sha256(text.encode()).digest() != kept_digest:
                found.append(f"{one.name}: the digest kept beside the line is not the line's")
            if line.usage == other and made.text != text:
                found.append(f"{one.name}: the stored line is not what its usage and the tariff work out to")
            own = (line, made) if one.id == member else own
    done = again.closing()
    if not found and not left and canonical(done.to_document()) != stored:
        found.append("the stored closing is not what its own inputs work out to")
    return _Both(before, done, own, found + _strangers(left))


def _strangers(left: Mapping[MemberId, Usage]) -> list[str]:
    return [stranger(member) for member in sorted(left)]
