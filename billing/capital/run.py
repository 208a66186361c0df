"""Capital after a closing, in the order of its steps: show it, and pay back lots by a decision.

Each function is one story in one transaction. The connection acts as weir_office; times are UTC microseconds
given by the caller. Allocating is not done here: it and paying back are never one step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from billing import store
from billing.canon import canonical, digest
from billing.capital import store as capital_store
from billing.capital.lots import Change, Kind, LotId, by_year
from billing.capital.retirement import Method, Plan, YearShare, plan
from billing.capital.solvency_run import refuse_insolvent
from billing.capital.unclaimed import waiting
from billing.ledger.entry import Entry, EntryKind, payable, postings, receivable, retained
from billing.money import parse_amount
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import Month

RESOLUTION_CHARACTERS_MAX = 100
Tell = Callable[[int, int], None]
"""Told how many more are done, and of how many in all."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """What a board asks for; amounts as typed."""

    method: Method
    budget: str
    resolution: str
    rule: tuple[YearShare, ...] = ()
    minimum: str = "0"
    set_off: bool = False


@dataclass(frozen=True, slots=True)
class Retired:
    """What came of it, or would come of it in a trial."""

    currency: str
    lines: Mapping[LotId, int]
    document: Mapping[str, Any]
    """What was asked and the totals, as it is kept."""
    act: int | None = None
    """Its number; None for a trial."""
    before: bool = False
    """Whether the same was carried out before, so that nothing was posted now."""
    by_member: Mapping[MemberId, int] = field(default_factory=dict)


async def book_currency(connection: Connection) -> str:
    """The currency of the books. Raises Refusal before there is one."""
    found = await store.book_currency(connection)
    if found is None:
        raise Refusal("the books have no currency yet; set a tariff with `weir tariff set FILE`")
    return found


async def capital_changes(connection: Connection, member: MemberId | None = None) -> list[Change]:
    """What moved the lots of a member, or of all."""
    return await capital_store.lot_changes(connection, member)


async def open_month(connection: Connection, *, now_us: int) -> Month:
    """The month an entry of today is booked in: this one, or the first open one when it is closed already."""
    last, now = await store.last_closed(connection), Month.of(now_us)
    return now if last is None or last < now else last.next()


def check_resolution(text: str) -> str:
    """A resolution's id. Raises Refusal."""
    if not text.strip() or len(text) > RESOLUTION_CHARACTERS_MAX or not text.isprintable():
        raise Refusal(
            f"resolution: who decided this? Give its id, one line of at most {RESOLUTION_CHARACTERS_MAX} characters"
        )
    return text.strip()


async def retire(
    connection: Connection,
    asked: Retirement,
    *,
    trial: bool,
    now_us: int,
    tell: Tell = lambda _done, _of: None,
) -> Retired:
    """Pay back lots into what is payable to the members, once for a resolution; a trial posts nothing.

    Asked again in the same words it posts nothing and tells what was done. Raises Refusal for other words under
    the same resolution, for nothing to pay back, where a rule set asks for solvency, and as plan() does.
    """
    resolution = check_resolution(asked.resolution)
    currency = await book_currency(connection)
    key = f"retirement:{resolution}"
    if trial:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            done = await capital_store.act_by_key(connection, key)
            if done is not None:
                return await _done_before(connection, done, asked, currency, resolution)
            return await _worked_out(connection, asked, currency, resolution, now_us=now_us)
    async with connection.transaction():
        await store.lock_books(connection)
        done = await capital_store.act_by_key(connection, key)
        if done is not None:
            return await _done_before(connection, done, asked, currency, resolution)
        found = await _worked_out(connection, asked, currency, resolution, now_us=now_us)
        text = canonical(found.document)
        act = await capital_store.insert_act(
            connection, kind="retirement", resolution=resolution, key=key, document=text, digest=digest(text),
            amount_minor=sum(found.lines.values()), lines=len(found.lines), now_us=now_us,
        )  # fmt: skip
        await capital_store.insert_lines(connection, act, found.lines)
        await _post(connection, found, act, now_us=now_us, tell=tell)
    return Retired(currency, found.lines, found.document, act, by_member=found.by_member)


async def carry_over(
    connection: Connection, resolution: str, *, trial: bool, now_us: int, tell: Tell = lambda _done, _of: None
) -> dict[LotId, int]:
    """Move what months kept in members' names, before there were lots, into lots of the years it is of.

    What was taken back since counts against the oldest. Done once it finds nothing more. A trial posts nothing.
    """
    resolution = check_resolution(resolution)
    if trial:
        return await _kept_before(connection)
    async with connection.transaction():
        await store.lock_books(connection)
        lots = await _kept_before(connection)
        if not lots:
            return {}
        key = f"carried:{resolution}"
        if await capital_store.act_by_key(connection, key) is not None:
            raise Refusal(
                f"resolution: {resolution} was carried out; what months kept since then needs one of its own"
            )
        text = canonical({"resolution": resolution, "total_minor": sum(lots.values()), "lots": len(lots)})
        act = await capital_store.insert_act(
            connection, kind="carried", resolution=resolution, key=key, document=text,
            digest=digest(text), amount_minor=sum(lots.values()), lines=len(lots), now_us=now_us,
        )  # fmt: skip
        await capital_store.insert_lines(connection, act, lots)
        month = await open_month(connection, now_us=now_us)
        for lot, amount in lots.items():
            sides = postings([(retained(lot.member), amount), (lot.account, -amount)])
            memo = f"what was kept for member {lot.member} in {lot.year} has its lot, act {act}"
            entry = Entry(month, EntryKind.CARRIED, memo, sides, f"carried:{act}:{lot.member}:{lot.year}")
            await store.post(connection, entry, now_us=now_us)
            tell(1, len(lots))
    return lots


async def _kept_before(connection: Connection) -> dict[LotId, int]:
    lots: dict[LotId, int] = {}
    for one in waiting(await capital_store.retained_movements(connection)):
        lot = LotId(one.since.year, one.member, Kind.PLAIN)
        lots[lot] = lots.get(lot, 0) + one.amount_minor
    return dict(sorted(lots.items()))


async def _worked_out(
    connection: Connection, asked: Retirement, currency: str, resolution: str, *, now_us: int
) -> Retired:
    balances = await capital_store.lot_balances(connection)
    planned = plan(
        balances,
        asked.method,
        budget_minor=parse_amount(asked.budget, currency, field="budget"),
        rule=asked.rule,
        minimum_minor=parse_amount(asked.minimum, currency, field="minimum"),
    )
    if not planned.lines:
        raise Refusal("there is nothing to pay back: no lot is reached, or all parts are below the minimum")
    owed = await capital_store.member_balances(connection, "receivable") if asked.set_off else {}
    by_member = planned.by_member
    sides = [(payable(member), -amount) for member, amount in by_member.items()]
    await refuse_insolvent(connection, sides, currency=currency, now_us=now_us)
    set_off = {
        member: min(owed[member], amount) for member, amount in by_member.items() if owed.get(member, 0) > 0
    }
    document = {
        "asked": _asked_document(asked, currency, resolution),
        "currency": currency,
        **_totals(planned, by_member, set_off),
        # From here every member is told when the rest could come back, without all lots being summed up for each.
        "left": _left(balances, planned.lines),
    }
    return Retired(currency, planned.lines, document, by_member=by_member)


def _left(balances: Mapping[LotId, int], paid: Mapping[LotId, int]) -> list[list[int]]:
    """[year, what stays in everybody's lots of it], the oldest first; not those that are empty now."""
    rest = by_year({lot: amount - paid.get(lot, 0) for lot, amount in balances.items()})
    return [[year, amount] for year, amount in rest.items() if amount]


def _totals(
    planned: Plan, by_member: Mapping[MemberId, int], set_off: Mapping[MemberId, int]
) -> dict[str, object]:
    lines = [[lot.member, lot.year, lot.kind.value, amount] for lot, amount in planned.lines.items()]
    return {
        "total_minor": planned.total_minor,
        "members": len(by_member),
        "carried_minor": sum(planned.carried.values()),
        "carried": [[member, amount] for member, amount in planned.carried.items()],
        "set_off_minor": sum(set_off.values()),
        "set_off": [[member, amount] for member, amount in set_off.items()],
        "lines_digest": digest(canonical({"lines": lines})),
    }


def _asked_document(asked: Retirement, currency: str, resolution: str) -> dict[str, object]:
    return {
        "method": asked.method.value,
        "budget_minor": parse_amount(asked.budget, currency, field="budget"),
        "minimum_minor": parse_amount(asked.minimum, currency, field="minimum"),
        "set_off": int(asked.set_off),
        "resolution": resolution,
        "rule": [
            {"year": one.year, "share": f"{one.share.numerator}/{one.share.denominator}"}
            for one in asked.rule
        ],
    }


async def _done_before(
    connection: Connection, done: capital_store.Act, asked: Retirement, currency: str, resolution: str
) -> Retired:
    document = json.loads(done.document)
    if document["asked"] != _asked_document(asked, currency, resolution):
        raise Refusal(
            f"resolution: {resolution} was carried out as retirement {done.number} in other words; "
            "one resolution pays back once"
        )
    lines = await capital_store.act_lines(connection, done.number)
    sums: dict[MemberId, int] = {}
    for lot, amount in lines.items():
        sums[lot.member] = sums.get(lot.member, 0) + amount
    return Retired(currency, lines, document, done.number, before=True, by_member=dict(sorted(sums.items())))


async def _post(connection: Connection, found: Retired, act: int, *, now_us: int, tell: Tell) -> None:
    month = await open_month(connection, now_us=now_us)
    await store.post_many(connection, _entries(found, act, month, tell), now_us=now_us)


def _entries(found: Retired, act: int, month: Month, tell: Tell) -> Iterator[Entry]:
    """One entry a member, and a second one where something is set off, by member."""
    set_off: dict[MemberId, int] = dict(found.document["set_off"])
    lots: dict[MemberId, list[tuple[LotId, int]]] = {}
    for lot, amount in found.lines.items():
        lots.setdefault(lot.member, []).append((lot, amount))
    for member, lines in sorted(lots.items()):
        sides = [(lot.account, amount) for lot, amount in lines]
        paid = sum(amount for _, amount in lines)
        memo = f"capital of member {member} paid back, retirement {act}"
        made = postings([*sides, (payable(member), -paid)])
        yield Entry(month, EntryKind.RETIREMENT, memo, made, f"retirement:{act}:{member}")
        if member in set_off:
            yield set_off_entry(member, set_off[member], act, month)
        tell(1, len(lots))


def set_off_entry(member: MemberId, amount: int, act: int, month: Month) -> Entry:
    """What a member owes for use, taken from what was just made payable to them: a line of its own."""
    sides = postings([(payable(member), amount), (receivable(member), -amount)])
    memo = f"set off against what member {member} owes for use, act {act}"
    return Entry(month, EntryKind.SET_OFF, memo, sides, f"set-off:{act}:{member}")
