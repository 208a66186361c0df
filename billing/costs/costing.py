"""Costs, pools, credits and side income as they are booked: each function one story in one transaction.

The connection acts as weir_office; times are UTC microseconds given by the caller.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import asyncpg

from billing import store
from billing.charges.rating import Credit
from billing.charges.tariff import Tariff
from billing.costs import store as cost_store
from billing.costs.entries import IncomeKind, income_entry, invoice_entries
from billing.costs.invoices import (
    MEMO_CHARACTERS_MAX,
    PLAIN,
    Invoice,
    Paper,
    check_line,
    check_pool,
    invoice,
    parts,
)
from billing.costs.pools import Key, key_text, parse_key
from billing.money import format_amount, parse_amount
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import is_closed
from meter.window import Month

REASON_CHARACTERS_MAX = 200


async def tariff_in_force(connection: Connection, month: Month) -> Tariff:
    """The tariff of a month. Raises Refusal when none is in force."""
    tariff = await store.tariff_at(connection, month)
    if tariff is None:
        raise Refusal(f"no tariff is in force in {month}; set one with `weir tariff set FILE`")
    return tariff


@asynccontextmanager
async def _open_books(connection: Connection, month: Month, what: str) -> AsyncIterator[None]:
    """A transaction with the books locked. Raises Refusal when the month turns out to be closed."""
    try:
        async with connection.transaction():
            await store.lock_books(connection)
            yield
    except asyncpg.PostgresError as error:
        if store.closed_month(error):
            raise Refusal(f"{month} is closed; {what} in a month that is open") from None
        raise


async def add_cost(
    connection: Connection, *, month: Month, pool: str, amount: str, memo: str, now_us: int, paper: Paper = PLAIN
) -> Invoice:  # fmt: skip
    """Book an invoice or a credit note to a cost pool and to the ledger.

    One whose service goes over several months is spread by days. Raises Refusal naming the field, or the closed month.
    """
    tariff = await tariff_in_force(connection, month)
    asked = invoice(
        month=month, pool=pool, amount=amount, currency=tariff.currency, memo=memo, booked_us=now_us, paper=paper
    )  # fmt: skip
    async with _open_books(connection, month, "book the invoice"):
        await _refuse_wrong_credit(connection, asked)
        last = await store.last_closed(connection)
        first_open = None if last is None else last.next()
        shares = (
            {} if asked.service is None else parts(asked.amount_minor, asked.service, first_open=first_open)
        )
        booked = await cost_store.insert_invoice(connection, asked, shares)
        for entry in invoice_entries(booked, shares):
            await store.post(connection, entry, now_us=now_us)
    return booked


async def _refuse_wrong_credit(connection: Connection, asked: Invoice) -> None:
    if asked.credits is None:
        return
    found = await cost_store.find_invoice(connection, asked.credits)
    if found is None:
        raise Refusal(f"credits: there is no invoice {asked.credits}; `weir cost list` shows them")
    original, _ = found
    if original.credits is not None:
        raise Refusal(f"credits: {asked.credits} is a credit note itself; name the invoice it takes back")
    if original.pool != asked.pool:
        raise Refusal(
            f"pool: invoice {original.number} is in pool {original.pool}, and so is its credit note"
        )
    alone = await cost_store.taken_back_alone(connection, invoice=original.number, count_max=1)
    if alone:
        raise Refusal(
            f"credits: entry {alone[0].reversal} took invoice {original.number} back in the ledger already; take that "
            f"back first with `weir ledger reverse {alone[0].reversal}`"
        )
    left = original.amount_minor + await cost_store.credited(connection, original.number)
    if -asked.amount_minor > left:
        text = format_amount(left, asked.currency)
        raise Refusal(f"amount: of invoice {original.number} {text} can be taken back, and no more")


def booked_words(one: Invoice) -> str:
    """A booked invoice as the log of acts says it."""
    amount_number = format_amount(one.amount_minor, one.currency)
    if one.credits is None:
        return f"book invoice {one.number}: {amount_number} in pool {one.pool} of {one.month}"
    return (
        f"book credit note of invoice {one.credits}, number {one.number}: {amount_number} in pool {one.pool} of "
        f"{one.month}"
    )


async def list_costs(connection: Connection, month: Month | None) -> list[Invoice]:
    """What a month bears, or all invoices whole; in the order they were booked."""
    if month is None:
        return await cost_store.all_invoices(connection)
    return await cost_store.invoices(connection, month)


async def show_cost(connection: Connection, number: int) -> tuple[Invoice, dict[Month, int]]:
    """An invoice and its parts by month. Raises Refusal."""
    found = await cost_store.find_invoice(connection, number)
    if found is None:
        raise Refusal(f"there is no invoice {number}; `weir cost list` shows them")
    return found


async def credits_of_invoice(
    connection: Connection, number: int
) -> tuple[list[tuple[int, Month, int]], int | None]:
    """Credit notes that name an invoice, and what is left of it in minor units; None of what is a credit note itself."""
    original, _ = await show_cost(connection, number)
    notes = await cost_store.credit_notes(connection, number)
    left = original.amount_minor + sum(amount for _, _, amount in notes)
    return notes, left if original.credits is None else None


async def set_pool(
    connection: Connection, *, name: str, month: Month, key: str, memo: str, now_us: int
) -> Key:
    """Share a pool's costs by a key from a month on. Raises Refusal naming the field.

    A closed month may be the first where the pool had no key in it. No closing takes keys, and a true-up that stands was
    posted with a key for each pool that cost anything: so what it was posted by stays.
    """
    read = await checked_key(connection, name=name, month=month, key=key, memo=memo)
    async with _open_books(connection, month, "let the key begin"):
        await cost_store.insert_pool(
            connection, name=name, month=month, key=read.text, memo=memo, now_us=now_us
        )
    return read.key


class CheckedKey(NamedTuple):
    """A key as it was read, and as it is kept."""

    key: Key
    text: str


async def checked_key(connection: Connection, *, name: str, month: Month, key: str, memo: str) -> CheckedKey:
    """What set_pool() would set; nothing is written. Raises Refusal naming the field, or the closed month."""
    check_pool(name)
    check_line(memo, field="memo", characters_max=MEMO_CHARACTERS_MAX)
    tariff = await tariff_in_force(connection, month)
    read = parse_key(key, currency=tariff.currency)
    if await is_closed(connection, month) and name in await cost_store.pool_keys(connection, month):
        raise Refusal(f"{month} is closed; let the key begin in a month that is open")
    return CheckedKey(read, key_text(read, currency=tariff.currency))


async def add_credit(
    connection: Connection, *, member: MemberId, month: Month, amount: str, reason: str, now_us: int
) -> Credit:
    """Take an amount off a member's charge of a month. Raises Refusal naming the field."""
    check_line(reason, field="reason", characters_max=REASON_CHARACTERS_MAX)
    if not reason.strip():
        raise Refusal("reason: a credit says why; it stands on the statement")
    tariff = await tariff_in_force(connection, month)
    amount_minor = parse_amount(amount, tariff.currency)
    if amount_minor == 0:
        raise Refusal("amount: a credit is more than 0")
    asked = Credit(0, member, month, amount_minor, tariff.currency, reason, now_us)
    async with _open_books(connection, month, "give the credit"):
        return await cost_store.insert_credit(connection, asked)


async def add_income(
    connection: Connection, *, month: Month, kind: str, amount: str, memo: str, owed_by: MemberId | None, now_us: int
) -> int:  # fmt: skip
    """Book income that is no charge for the service; the amount in minor units. Raises Refusal naming the field."""
    if kind not in {one.value for one in IncomeKind}:
        raise Refusal(f"kind: '{kind[:40]}' is none; it is {', '.join(one.value for one in IncomeKind)}")
    check_line(memo, field="memo", characters_max=MEMO_CHARACTERS_MAX)
    tariff = await tariff_in_force(connection, month)
    amount_minor = parse_amount(amount, tariff.currency)
    if amount_minor == 0:
        raise Refusal("amount: income is more than 0")
    async with _open_books(connection, month, "book the income"):
        number = await cost_store.next_income_number(connection)
        entry = income_entry(month, IncomeKind(kind), amount_minor, memo, number=number, owed_by=owed_by)
        await store.post(connection, entry, now_us=now_us)
    return amount_minor
