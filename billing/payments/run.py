"""Payments: what the co-op owes its members into a file for the bank, and the bank's statement into the books.

Everything is booked under the books' lock and once: a payable waits in one batch at a time, a line of the bank is
known again, and both are refused by the database too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import asyncpg

from billing.canon import canonical
from billing.ledger import store as ledger_store
from billing.ledger.books import currency, first_open_period, refuse_ordered
from billing.ledger.entry import (
    BANK,
    OWN_COMMANDS,
    Entry,
    EntryKind,
    Posting,
    member_of,
    parse_account,
    payable,
    receivable,
)
from billing.payments import store
from billing.payments.bank import Line, read_statement
from billing.payments.ordering import LeftOut, find_batch, order
from billing.payments.sepa import (
    Batch,
    Order,
    Party,
    pain_001,
    parse_party,
)
from billing.payments.store import KeptBatch, KeptLine, KeptOrder
from billing.store import lock_books
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import DAY_US, Month, to_datetime

OWN = "bank-account:co-op"
LINES_SHOWN_MAX = 10_000


class Seal(Protocol):
    """What keeps names and account numbers unreadable in the database. A text opens under its own label only."""

    def close(self, text: str, label: str) -> bytes:
        """Encrypt."""

    def open(self, sealed: bytes, label: str) -> str:
        """Decrypt. Raises Refusal."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A batch and its file, and who is owed and is not in it."""

    batch: KeptBatch
    file: str = field(repr=False)
    left_out: LeftOut = field(default_factory=LeftOut)


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a statement."""

    lines: int
    known: int
    booked: int
    unmatched: int


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A line of the bank that nobody's reference is on. What is about a person is not in its representation."""

    line: KeptLine
    name: str = field(repr=False)
    iban: str = field(repr=False)
    text: str = field(repr=False)


async def set_account(
    connection: Connection, member: MemberId | None, *, name: str, iban: str, seal: Seal, now_us: int
) -> Party:
    """Keep the account of a member, or the co-op's own; earlier ones stay. Raises Refusal naming the field."""
    party = parse_party(name, iban)
    sealed = seal.close(canonical({"name": party.name, "iban": party.iban}), _label(member))
    await store.insert_account(connection, member, sealed, party.last_four, now_us=now_us)
    return party


async def export(
    connection: Connection, *, execute_on: date, minimum_minor: int, seal: Seal, now_us: int
) -> Exported | None:
    """Order everything that is owed and not ordered yet, and make its file; None when that is nothing. Raises Refusal."""
    async with connection.transaction():
        done = await order(connection, execute_on=execute_on, minimum_minor=minimum_minor, now_us=now_us)
        return None if done is None else await _exported(connection, done.batch.number, seal, done.left_out)


async def export_again(connection: Connection, number: int, *, seal: Seal) -> Exported:
    """The file of an earlier batch, byte for byte. Raises Refusal when there is none, or it was cancelled."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await _exported(connection, number, seal, LeftOut())


async def _exported(connection: Connection, number: int, seal: Seal, left_out: LeftOut) -> Exported:
    kept = await find_batch(connection, number)
    orders = await store.orders(connection, batch=number)
    if kept.cancelled:
        raise Refusal(f"batch {number} was cancelled; the bank must not get it any more")
    accounts = await store.accounts_numbered(connection, [kept.account, *(one.account for one in orders)])
    made = Batch(
        kept.message_id,
        kept.made_us,
        kept.execute_on,
        _open(seal, accounts[kept.account]),
        tuple(
            Order(
                one.end_to_end,
                one.amount_minor,
                _open(seal, accounts[one.account]),
                f"Payment {one.end_to_end}",
            )
            for one in orders
        ),
    )
    return Exported(kept, pain_001(made), left_out)


async def cancel(connection: Connection, number: int, *, now_us: int) -> KeptBatch:
    """Say that the bank will not execute what still waits of a batch; it is owed again. Raises Refusal."""
    async with connection.transaction():
        await lock_books(connection)
        kept = await find_batch(connection, number)
        waiting = [one for one in await store.orders(connection, batch=number) if one.is_waiting]
        if not waiting:
            raise Refusal(f"nothing of batch {number} waits any more")
        rows = [(one.batch, one.member) for one in waiting]
        await store.insert_outcomes(connection, rows, "cancelled", None, now_us=now_us)
    return await find_batch(connection, kept.number)


async def import_statement(
    connection: Connection,
    body: bytes,
    *,
    seal: Seal,
    now_us: int,
    tell: Callable[[int, int], None] | None = None,
) -> Imported:
    """Keep the lines of a statement that are new and book those that name what they pay; whole or not at all.

    tell(done, all) is called after each line. Raises Refusal naming the line and what is wrong with it.
    """
    unit = await currency(connection)
    own = await store.own_account(connection)
    lines = read_statement(body, currency=unit, own_iban=None if own is None else _open(seal, own).iban)
    latest = to_datetime(now_us + DAY_US).date()
    for line in lines:
        if not date(2000, 1, 1) <= line.booked_on <= latest:
            raise Refusal(f"a line is dated {line.booked_on}; a statement tells of days that have been")
    known = booked = 0
    async with connection.transaction():
        await lock_books(connection)
        members = await store.known_members(
            connection, [one.invoice[0] for one in lines if one.invoice is not None]
        )
        for done, line in enumerate(lines, 1):
            about = canonical({"name": line.name, "iban": line.iban, "text": line.text})
            number = await store.insert_line(
                connection, line, seal.close(about, f"bank-line:{line.key}"), now_us=now_us
            )
            if number is None:
                known += 1
            else:
                booked += await _book_line(connection, number, line, members, now_us=now_us)
            if tell is not None:
                tell(done, len(lines))
    return Imported(len(lines), known, booked, len(lines) - known - booked)


async def _book_line(
    connection: Connection, number: int, line: Line, members: set[MemberId], *, now_us: int
) -> bool:
    """Book a line by what it names: an order of ours, a batch of ours, or a member's invoice."""
    orders = await _orders_of(connection, line)
    if orders and sum(one.amount_minor for one in orders) == abs(line.amount_minor):
        await _book_orders(connection, number, line, orders, now_us=now_us)
        return True
    invoice = None if orders else line.invoice
    if line.amount_minor > 0 and invoice is not None and invoice[0] in members:
        sides = [Posting(receivable(invoice[0]), -line.amount_minor)]
        words = f"use of member {invoice[0]} in {invoice[1]}"
        await _tie(connection, number, line.booked_on, line.amount_minor, sides, words, now_us=now_us)
        return True
    return False


async def _orders_of(connection: Connection, line: Line) -> list[KeptOrder]:
    """Orders the line executes, or gives back when money came in."""
    if line.order:
        found = await store.orders(connection, end_to_end=line.order)
    elif line.amount_minor < 0 and line.payment_id.startswith("WEIR-PAY-"):
        of = [one for one in await store.batches(connection) if one.message_id == line.payment_id]
        found = await store.orders(connection, batch=of[0].number) if of else []
    else:
        found = []
    return [one for one in found if (one.is_waiting if line.amount_minor < 0 else one.is_paid)]


async def _book_orders(
    connection: Connection, number: int, line: Line, orders: Sequence[KeptOrder], *, now_us: int
) -> None:
    sign, what, words = (
        (1, "paid", "paid out") if line.amount_minor < 0 else (-1, "returned", "given back by the bank")
    )
    sides = [Posting(payable(one.member), sign * one.amount_minor) for one in orders]
    reason = line.return_reason if what == "returned" else ""
    if reason:
        words = f"{words} ({reason})"
    text = f"{words}, {orders[0].end_to_end if len(orders) == 1 else line.payment_id}"
    entry = await _tie(connection, number, line.booked_on, line.amount_minor, sides, text, now_us=now_us)
    await store.insert_outcomes(
        connection, [(one.batch, one.member) for one in orders], what, entry, reason=reason, now_us=now_us
    )


async def _tie(
    connection: Connection,
    number: int,
    booked_on: date,
    amount: int,
    sides: Sequence[Posting],
    words: str,
    *,
    now_us: int,
) -> int:
    """Book a line: the bank on one side, what it is for on the other. The memo names no person."""
    period = await first_open_period(connection, Month(booked_on.year, booked_on.month))
    again = await store.line_entries(connection, number)
    key = f"bank:{number}" if not again else f"bank:{number}:{again + 1}"
    memo = f"bank line {number} of {booked_on}: {words}"
    entry = Entry(period, EntryKind.PAYMENT, memo, (Posting(BANK, amount), *sides), key)
    posted = await ledger_store.post(connection, entry, now_us=now_us)
    await store.tie_line(connection, number, posted)
    return posted


async def unmatched(
    connection: Connection, *, seal: Seal, count_max: int = LINES_SHOWN_MAX
) -> list[Unmatched]:
    """Lines of the bank that are not in the books yet, by number."""
    found = []
    for line in await store.open_lines(connection, count_max=count_max):
        about = json.loads(seal.open(line.sealed, f"bank-line:{line.key}"))
        found.append(Unmatched(line, about["name"], about["iban"], about["text"]))
    return found


async def assign(connection: Connection, number: int, account: str, *, memo: str, now_us: int) -> int:
    """Book a line of the bank against an account; the entry. Raises Refusal naming what is wrong."""
    against = parse_account(account, field="account")
    own = OWN_COMMANDS.get(against.partition(":")[0])
    if own is not None:
        raise Refusal(
            f"account: {against} has a register beside it; book it with `{own}` and tie the line with --entry"
        )
    if against == BANK:
        raise Refusal("account: the other side of a line of the bank is not the bank itself")
    if len(memo) > 300 or not memo.isprintable():
        raise Refusal("memo: one line of at most 300 characters")
    async with connection.transaction():
        await lock_books(connection)
        line = await _open_line(connection, number)
        member = member_of(against)
        if member is not None:
            if not await store.known_members(connection, [member]):
                raise Refusal(f"there is no member {member} in the register")
            if against == payable(member):
                await refuse_ordered(connection, member)
        sides = [Posting(against, -line.amount_minor)]
        words = memo or f"assigned to {against}"
        return await _tie(connection, number, line.booked_on, line.amount_minor, sides, words, now_us=now_us)


async def assign_entry(connection: Connection, number: int, entry: int) -> None:
    """Tie a line of the bank to an entry that moves its money already. Raises Refusal."""
    try:
        async with connection.transaction():
            await lock_books(connection)
            await _open_line(connection, number)
            if await ledger_store.entry(connection, entry) is None:
                raise Refusal(f"there is no entry {entry}")
            await store.tie_line(connection, number, entry)
    except asyncpg.UniqueViolationError:
        raise Refusal(f"entry {entry} belongs to another line of the bank") from None
    except asyncpg.PostgresError as error:
        if error.sqlstate == store.SECOND_LINE_STATE:
            raise Refusal(str(error)) from None
        raise


async def _open_line(connection: Connection, number: int) -> KeptLine:
    found = await store.open_lines(connection, number=number, count_max=1)
    if not found:
        raise Refusal(f"no line {number} waits; `weir pay unmatched` shows those that do")
    return found[0]


def _open(seal: Seal, account: store.Account) -> Party:
    about = json.loads(seal.open(account.sealed, _label(account.member)))
    return Party(about["name"], about["iban"])


def _label(member: MemberId | None) -> str:
    return OWN if member is None else f"bank-account:{member}"
