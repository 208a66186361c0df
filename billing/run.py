"""The spine of billing: set prices, try a month, close it, tell a member, prove it.

Each function is one story in one transaction: gather, work it out purely, write it down. The
connection acts as weir_billing; times are UTC microseconds given by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from billing import cost_store, store
from billing.canon import canonical, digest
from billing.closing import Closing, ClosingInputs, closing
from billing.costing import tariff_in_force
from billing.costs_run import earlier_tariffs
from billing.frozen import inputs_of
from billing.statement import FINAL, TRIAL, as_told_apart, differences, was_member
from billing.statement import statement as statement_document
from billing.tariff import Tariff, parse_tariff
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import close_month, is_closed, members
from meter.usage import Usage
from meter.usage_store import first_month_with_usage, period_usage
from meter.window import Month

FIRST_MONTH = Month(2000, 1)


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of working a statement out again from other counts."""

    agrees: bool
    stored_digest: str
    recomputed_digest: str
    differences: list[str]


@dataclass(frozen=True, slots=True)
class Balance:
    """One account of the ledger, in minor units."""

    account: str
    debits_minor: int
    credits_minor: int


async def set_tariff(connection: Connection, text: str, *, now_us: int) -> Tariff:
    """Put a tariff file into force. Raises Refusal for a wrong file, another currency or a closed month."""
    tariff = parse_tariff(text)
    async with connection.transaction():
        await store.lock_books(connection)
        currency = await store.book_currency(connection)
        if currency is not None and currency != tariff.currency:
            raise Refusal(f"currency: the books are kept in {currency}, the tariff is in {tariff.currency}")
        last = await store.last_closed(connection)
        if last is not None and tariff.effective_from <= last:
            raise Refusal(
                f"effective_from: {last} is closed; a tariff can start in {last.next()} at the earliest"
            )
        await store.insert_tariff(connection, tariff, text, now_us=now_us)
    return tariff


async def trial(connection: Connection, month: Month, *, now_us: int) -> Closing:
    """Work a month out as it stands, changing nothing; of a closed month, the closing itself.

    Stored bytes of a month that still runs count up to now. Raises Refusal for a month not begun.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        stored = await store.closing_text(connection, month)
        if stored is not None:
            return closing(inputs_of(stored))
        return closing(await _open_inputs(connection, month, now_us=now_us))


async def close(connection: Connection, month: Month, *, now_us: int) -> Closing:
    """Close a month for good: freeze, work out, write statements, entries and the closing, or nothing at all.

    Raises Refusal when the month is not over, is closed already, or follows one that is still open.
    """
    if now_us < month.end_us:
        raise Refusal(f"{month} is not over yet; `weir bill trial {month}` shows how it stands")
    async with connection.transaction():
        await store.lock_books(connection)
        await _refuse_out_of_order(connection, month)
        watermark = await close_month(connection, month, now_us=now_us)
        done = closing(await _inputs(connection, month, until_us=month.end_us, watermark=watermark))
        await _write_down(connection, done, now_us=now_us)
    return done


async def statement(connection: Connection, member: MemberId, month: Month, *, now_us: int) -> dict[str, Any]:
    """What a member is told about a month: the stored statement once it is closed, else a trial.

    Raises Refusal when they were no member then, or the month has not begun.
    """
    stored = await store.statement_text(connection, member, month)
    if stored is not None:
        found: dict[str, Any] = json.loads(stored)
        return found
    done = await trial(connection, month, now_us=now_us)
    return statement_document(done, member, kind=TRIAL)


async def past_statements(
    connection: Connection, member: MemberId, *, count_max: int
) -> list[dict[str, Any]]:
    """A member's statements of closed months, the newest first."""
    return [json.loads(text) for text in await store.statement_texts(connection, member, count_max=count_max)]


async def verify(
    connection: Connection,
    member: MemberId,
    month: Month,
    recounted: Mapping[MemberId, Usage],
    *,
    now_us: int,
) -> Verification:
    """Work a month out again from usage counted another way, over the whole month, and compare bit for bit.

    A closed month is compared with its stored closing and statement; an open one with what Postgres holds
    now. Raises Refusal as statement() does.
    """
    stored = await store.closing_text(connection, month)
    if stored is None:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            inputs = await _open_inputs(connection, month, now_us=now_us, until_us=month.end_us)
    else:
        inputs = inputs_of(stored)
        recounted = as_told_apart(inputs, recounted)
    before, again = closing(inputs), closing(replace(inputs, usage=recounted))
    kind = TRIAL if stored is None else FINAL
    told = canonical(statement_document(before, member, kind=kind))
    found = differences(inputs.usage, recounted, {one.id: one.name for one in inputs.members})
    if stored is not None and stored != canonical(before.to_document()):
        found.append("the stored closing is not what its own inputs work out to")
    if stored is not None and told != await store.statement_text(connection, member, month):
        found.append("the stored statement of this member is not what the closing says")
    if told != canonical(statement_document(again, member, kind=kind)):
        found.append("the statement of this member comes out differently")
    stored_digest = before.digest if stored is None else str(json.loads(stored)["digest"])
    agrees = not found and stored_digest == again.digest
    return Verification(agrees, stored_digest, again.digest, found)


async def trial_balance(connection: Connection) -> list[Balance]:
    """Debits and credits of every account; over all accounts they are equal."""
    found = [Balance(*row) for row in await store.balances(connection)]
    assert sum(one.debits_minor for one in found) == sum(one.credits_minor for one in found)
    return found


async def _open_inputs(
    connection: Connection, month: Month, *, now_us: int, until_us: int | None = None
) -> ClosingInputs:
    if now_us < month.start_us:
        raise Refusal(f"{month} has not begun yet")
    if await is_closed(connection, month):
        raise Refusal(f"{month} was closed without usage or costs; there is nothing to show for it")
    until = min(now_us, month.end_us) if until_us is None else until_us
    return await _inputs(connection, month, until_us=until, watermark={})


async def _inputs(
    connection: Connection, month: Month, *, until_us: int, watermark: Mapping[str, int]
) -> ClosingInputs:
    register = await members(connection)
    usage = await period_usage(connection, month, until_us=until_us)
    tariff = await tariff_in_force(connection, month)
    return ClosingInputs(
        month=month,
        until_us=until_us,
        tariff=tariff,
        members=tuple(one for one in register if one.id in usage or was_member(one, month)),
        usage=usage,
        invoices=tuple(await cost_store.invoices(connection, month)),
        watermark=watermark,
        credits=tuple(await cost_store.credits_of(connection, month)),
        earlier=await earlier_tariffs(connection, usage, tariff),
    )


async def _refuse_out_of_order(connection: Connection, month: Month) -> None:
    last = await store.last_closed(connection)
    if last is not None and month <= last:
        raise Refusal(f"{month} is closed already")
    if last is not None:
        due = last.next()
    else:
        begun = (await first_month_with_usage(connection), await cost_store.first_invoice_month(connection))
        due = min((one for one in begun if one is not None), default=month)
    if due < month:
        raise Refusal(f"{due} is still open; months are closed in order, so close it first")


async def _write_down(connection: Connection, done: Closing, *, now_us: int) -> None:
    month = done.inputs.month
    for entry in done.entries:
        await store.post(connection, entry, now_us=now_us)
    rows = []
    for member in sorted(one.id for one in done.inputs.members):
        text = canonical(statement_document(done, member, kind=FINAL))
        rows.append((member, text, digest(text)))
    await store.insert_statements(connection, month, rows)
    await store.insert_closing(connection, month, canonical(done.to_document()), done.digest, now_us=now_us)
