"""The spine of billing: set prices, try a month, close it, tell a member. Proof is in `month/proof.py`.

Each function is one story in one transaction: gather, work it out purely, write it down. The
connection acts as weir_office; times are UTC microseconds given by the caller.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from billing import store
from billing.charges import store as charge_store
from billing.charges.quick import Kept
from billing.charges.rating import Credit
from billing.charges.tariff import Tariff, parse_tariff
from billing.costs import store as cost_store
from billing.costs.costing import tariff_in_force
from billing.ledger.entry import Entry
from billing.money import format_amount
from billing.month.booking import charge_entry, result_entry
from billing.month.closing import Closing, ClosingInputs, MonthSum
from billing.month.frozen import closing_of
from billing.month.member_month import MemberMonth, kept, read_back
from billing.register.run import changed_classes
from billing.statements.statement import FINAL, FORMAT, TRIAL, PastMonth
from billing.statements.statement import statement as statement_document
from billing.year_store import first_month
from meter.engine_usage_store import usage_on
from meter.ids import MemberId
from meter.late_store import late_usage
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import close_month, is_closed
from meter.usage import Late, Member, MemberClass, OnEngine, Usage
from meter.usage_store import (
    booked_counts,
    everyone,
    everyone_rows,
    first_month_with_usage,
    late_months,
    of_row,
)
from meter.window import Month

MEMBERS_AT_ONCE = 10_000
"""How many members' lines are in memory, and in one entry of the ledger."""
Each = Callable[[MemberMonth], object]
Progress = Callable[[int], object]


async def set_tariff(connection: Connection, text: str, *, now_us: int, after: int | None = None) -> Tariff:
    """Put a tariff file into force. Raises Refusal for a wrong file, another currency or a closed month.

    after: the number of the last tariff that was set when it was looked at; over a newer one it is refused.
    """
    tariff = parse_tariff(text)
    async with connection.transaction():
        await store.lock_books(connection)
        await refuse_tariff(connection, tariff, after=after)
        await store.insert_tariff(connection, tariff, text, now_us=now_us)
    return tariff


async def refuse_tariff(connection: Connection, tariff: Tariff, *, after: int | None = None) -> None:
    """Raises Refusal for another currency than that of the books, a closed month, or where `after` is not the last."""
    currency = await store.book_currency(connection)
    if currency is not None and currency != tariff.currency:
        raise Refusal(f"currency: the books are kept in {currency}, the tariff is in {tariff.currency}")
    last = await store.last_closed(connection)
    if last is not None and tariff.effective_from <= last:
        raise Refusal(
            f"effective_from: {last} is closed; a tariff can start in {last.next()} at the earliest"
        )
    if after not in (None, await store.last_tariff(connection)):
        raise Refusal("another tariff was set since you looked at it; look again, then put yours in force")


async def trial(connection: Connection, month: Month, *, now_us: int, each: Each | None = None) -> Closing:
    """Work a month out as it stands, changing nothing; of a closed month, the closing itself.

    `each` is told every member's line. Stored bytes of a month that still runs count up to now. Raises Refusal for a
    month not begun, or closed by an older Weir.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await looked_at(connection, month, now_us=now_us, each=each)


async def looked_at(
    connection: Connection, month: Month, *, now_us: int, each: Each | None = None
) -> Closing:
    """trial() inside the caller's transaction."""
    stored = await store.closing_text(connection, month)
    if stored is None:
        return await _summed(connection, await open_inputs(connection, month, now_us=now_us), each)
    done = closing_of(stored)
    if each is not None:
        async for lines in charge_store.all_charges(connection, month, rows_max=MEMBERS_AT_ONCE):
            for text, _ in lines:
                each(_line_of(done, text))
    return done


async def tried(connection: Connection, month: Month, tariff: Tariff | None, *, now_us: int) -> Closing:
    """An open month as it stands, with another tariff's prices if one is given. Raises Refusal."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await as_it_stands(connection, month, now_us=now_us, each=lambda _: None, tariff=tariff)


async def as_it_stands(
    connection: Connection,
    month: Month,
    *,
    now_us: int,
    each: Callable[[Kept], object],
    tariff: Tariff | None = None,
) -> Closing:
    """An open month in the caller's transaction, the quick way; `each` is told what would be kept of everybody."""
    inputs = await open_inputs(connection, month, now_us=now_us)
    if tariff is not None:
        inputs = replace(inputs, tariff=tariff)
    summing = MonthSum(inputs)
    async for lines in _kept_lines(connection, inputs, summing):
        for one in lines:
            each(one)
    return summing.closing()


async def close(
    connection: Connection, month: Month, *, now_us: int, progress: Progress | None = None
) -> Closing:
    """Close a month for good: freeze, work out, write lines, entries and the closing, or nothing at all.

    `progress` is told how many members are done. Raises Refusal when the month is not over, is closed already, or
    follows one that is still open.
    """
    if now_us < month.end_us:
        raise Refusal(f"{month} is not over yet; `weir bill trial {month}` shows how it stands")
    async with connection.transaction():
        await store.lock_books(connection)
        await _refuse_out_of_order(connection, month)
        watermark = await close_month(connection, month, now_us=now_us)
        inputs = await _inputs(connection, month, until_us=month.end_us, watermark=watermark)
        summing, part = MonthSum(inputs), 0
        async for lines in _kept_lines(connection, inputs, summing):
            part += 1
            await charge_store.add_charges(connection, month, lines)
            await _post(connection, charge_entry(month, part, lines, summing.earned()), now_us=now_us)
            if progress is not None:
                progress(summing.lines)
        done = summing.closing()
        result = result_entry(month, done.by_service, done.costs, done.result)
        await _post(connection, result, now_us=now_us)
        await store.insert_closing(connection, done, told_as=FORMAT, now_us=now_us)
    return done


def closed_words(done: Closing) -> str:
    """A closing as the log of acts says it."""
    result_number = format_amount(done.result.amount_minor, done.currency)
    return f"close the month {done.inputs.month}: result {result_number}, digest {done.digest}"


async def statement(connection: Connection, member: MemberId, month: Month, *, now_us: int) -> dict[str, Any]:
    """What a member is told about a month: by the closing once it is closed, else as it stands.

    Raises Refusal when they were no member then, or the month has not begun.
    """
    closed = await _closed_statement(connection, member, month)
    if closed is not None:
        return closed
    own: list[Kept] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        done = await as_it_stands(
            connection,
            month,
            now_us=now_us,
            each=lambda one: own.append(one) if one.member == member else None,
        )
    if not own:
        raise _no_member(month)
    return statement_document(done, _line_of(done, own[0].text), kind=TRIAL)


async def counted(
    connection: Connection, member: MemberId, month: Month, *, now_us: int
) -> Mapping[str, int]:
    """What such a statement says was sent, received and asked for; of an open month nobody else's usage is looked at.

    Needs a transaction. Raises Refusal as statement() does.
    """
    if now_us >= month.end_us:
        closed = await _closed_statement(connection, member, month)
        if closed is not None:
            usage: Mapping[str, int] = closed["usage"]
            return usage
    await open_inputs(connection, month, now_us=now_us)
    found = await booked_counts(connection, member, month)
    if found is None:
        raise _no_member(month)
    return found


async def _closed_statement(connection: Connection, member: MemberId, month: Month) -> dict[str, Any] | None:
    stored = await charge_store.charge_text(connection, member, month)
    if stored is not None:
        return _told(stored)
    older = await store.statement_text(connection, member, month)
    return None if older is None else json.loads(older)


def _no_member(month: Month) -> Refusal:
    return Refusal(f"there is no statement for {month}: they were not a member then")


async def past_months(connection: Connection, member: MemberId, *, count_max: int) -> list[PastMonth]:
    """A member's closed months and what each cost them, the newest first; a list of many statements needs no more."""
    currency = await store.book_currency(connection) or ""
    told = [
        PastMonth(str(month), amount, currency)
        for month, amount in await charge_store.charged_months(connection, member, count_max=count_max)
    ]
    older = await store.statement_texts(connection, member, count_max=count_max - len(told))
    return [
        *told,
        *(PastMonth(one["period"], one["charges_minor"], one["currency"]) for one in map(json.loads, older)),
    ]


async def past_statements(
    connection: Connection, member: MemberId, *, count_max: int
) -> list[dict[str, Any]]:
    """A member's statements of closed months, the newest first."""
    told = [_told(one) for one in await charge_store.charge_texts(connection, member, count_max=count_max)]
    older = await store.statement_texts(connection, member, count_max=count_max - len(told))
    return [*told, *(json.loads(text) for text in older)]


async def closing_document(connection: Connection, month: Month) -> dict[str, Any] | None:
    """The stored page of a closed month, whichever Weir closed it."""
    stored = await store.closing_text(connection, month)
    return None if stored is None else json.loads(stored)


async def _post(connection: Connection, entry: Entry | None, *, now_us: int) -> None:
    if entry is not None:
        await store.post(connection, entry, now_us=now_us)


def _told(kept: charge_store.ChargeText) -> dict[str, Any]:
    done = closing_of(kept.closing)
    return statement_document(done, _line_of(done, kept.line), kind=FINAL, told_as=kept.told_as)


def _line_of(done: Closing, text: str) -> MemberMonth:
    return read_back(text, start_us=done.inputs.month.start_us, end_us=done.inputs.until_us)


@dataclass(frozen=True, slots=True)
class _Peculiar:
    """Members whose line takes the readable way: whose class changed, who was given something, used it earlier, or has
    buckets on an engine with prices of its own."""

    classes: Mapping[MemberId, MemberClass]
    given: Mapping[MemberId, tuple[Credit, ...]]
    late: Mapping[MemberId, tuple[Late, ...]]
    engines: Mapping[MemberId, tuple[OnEngine, ...]]

    def line(self, summing: MonthSum, row: asyncpg.Record, inputs: ClosingInputs) -> Kept:
        number = row["member"]
        if number not in self.classes and number not in self.given and not self._is_apart(number):
            quick = summing.take(row)
            if quick is not None:
                return quick
        member, usage = of_row(row, inputs.month, until_us=inputs.until_us, late=self.late)
        usage = replace(usage, engines=self.engines.get(member.id, ()))
        return kept(summing.add(as_of(member, self.classes), usage, self.given.get(member.id, ())))

    def _is_apart(self, number: MemberId) -> bool:
        return number in self.late or number in self.engines


async def _kept_lines(
    connection: Connection, inputs: ClosingInputs, summing: MonthSum
) -> AsyncIterator[list[Kept]]:
    """What is kept of everybody in a month, by number, so many at a time; each is added to the sum."""
    peculiar = await _peculiar(connection, inputs)
    async for rows in everyone_rows(
        connection, inputs.month, until_us=inputs.until_us, rows_max=MEMBERS_AT_ONCE
    ):
        yield [peculiar.line(summing, row, inputs) for row in rows]


async def _peculiar(connection: Connection, inputs: ClosingInputs) -> _Peculiar:
    month = inputs.month
    return _Peculiar(
        await changed_classes(connection, month),
        await credits_by_member(connection, month),
        await late_usage(connection, month),
        await usage_on(connection, month, inputs.engines, until_us=inputs.until_us),
    )


async def credits_by_member(connection: Connection, month: Month) -> dict[MemberId, tuple[Credit, ...]]:
    """What members were given of a month, each member's in order."""
    found: dict[MemberId, tuple[Credit, ...]] = {}
    for one in sorted(await cost_store.credits_of(connection, month), key=lambda one: one.number):
        found[one.member] = (*found.get(one.member, ()), one)
    return found


def as_of(member: Member, classes: Mapping[MemberId, MemberClass]) -> Member:
    """The member with the class they had, where it was ever changed."""
    return replace(member, member_class=classes[member.id]) if member.id in classes else member


async def _summed(connection: Connection, inputs: ClosingInputs, each: Each | None) -> Closing:
    summing, classes = MonthSum(inputs), await changed_classes(connection, inputs.month)
    given = await credits_by_member(connection, inputs.month)
    async for members in everyone_of(connection, inputs):
        for member, usage in members:
            line = summing.add(as_of(member, classes), usage, given.get(member.id, ()))
            if each is not None:
                each(line)
    return summing.closing()


async def everyone_of(
    connection: Connection, inputs: ClosingInputs
) -> AsyncIterator[list[tuple[Member, Usage]]]:
    """Everybody's usage of an open month, told apart by the engines that have prices; so many at a time."""
    month, until_us = inputs.month, inputs.until_us
    engines = await usage_on(connection, month, inputs.engines, until_us=until_us)
    async for members in everyone(connection, month, until_us=until_us, rows_max=MEMBERS_AT_ONCE):
        yield [(member, replace(usage, engines=engines.get(member.id, ()))) for member, usage in members]


async def priced_engines(connection: Connection, month: Month, *, now_us: int) -> frozenset[str]:
    """Engines that a month's usage is told apart by: of a closed month as it was closed, else as it would be now."""
    stored = await store.closing_text(connection, month)
    if stored is not None:
        return closing_of(stored).inputs.engines
    return (await open_inputs(connection, month, now_us=now_us)).engines


async def open_inputs(
    connection: Connection, month: Month, *, now_us: int, until_us: int | None = None
) -> ClosingInputs:
    """What a closing of an open month would depend on now. Raises Refusal for a month not begun."""
    if now_us < month.start_us:
        raise Refusal(f"{month} has not begun yet")
    if await is_closed(connection, month):
        raise await _nothing_closed(connection, month)
    until = min(now_us, month.end_us) if until_us is None else until_us
    return await _inputs(connection, month, until_us=until, watermark={})


async def _nothing_closed(connection: Connection, month: Month) -> Refusal:
    began = await first_month(connection)
    if month < began:
        return Refusal(f"{month} is before the co-op began, in {began}; there is nothing to show for it")
    return Refusal(f"{month} was closed without usage or costs; there is nothing to show for it")


async def _inputs(
    connection: Connection, month: Month, *, until_us: int, watermark: Mapping[str, int]
) -> ClosingInputs:
    tariff = await tariff_in_force(connection, month)
    earlier = {one: await store.tariff_at(connection, one) for one in await late_months(connection, month)}
    return ClosingInputs(
        month=month,
        until_us=until_us,
        tariff=tariff,
        invoices=tuple(await cost_store.invoices(connection, month)),
        watermark=watermark,
        earlier={one: found or tariff for one, found in earlier.items()},
    )


async def due_month(connection: Connection) -> Month | None:
    """The month that is closed next; None while there is neither usage nor an invoice."""
    last = await store.last_closed(connection)
    if last is not None:
        return last.next()
    begun = (await first_month_with_usage(connection), await cost_store.first_invoice_month(connection))
    return min((one for one in begun if one is not None), default=None)


async def _refuse_out_of_order(connection: Connection, month: Month) -> None:
    last = await store.last_closed(connection)
    if last is not None and month <= last:
        raise Refusal(f"{month} is closed already")
    due = await due_month(connection)
    if due is not None and due < month:
        raise Refusal(f"{due} is still open; months are closed in order, so close it first")
