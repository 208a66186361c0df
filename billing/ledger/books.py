"""The books as commands and pages ask for them: reports, entries by hand, reversals, and the chain walked again.

It fetches, asks the pure modules, and carries out. It does not know what closings and payments write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TextIO

import asyncpg

from billing.costs import store as cost_store
from billing.costs.invoices import MEMO_CHARACTERS_MAX
from billing.ledger import reports, store
from billing.ledger.chain import GENESIS, Booked, Head, faults
from billing.ledger.entry import OWN_COMMANDS, Entry, EntryKind, Posting, member_of, parse_account, payable
from billing.ledger.export import Format, entry_day, writer
from billing.ledger.reports import Report
from billing.money import format_amount, parse_amount, plain_number
from billing.payments import store as pay_store
from billing.store import book_currency, closed_month
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import Month

ENTRIES_A_STEP = 2_000
FAULTS_MAX = 100
REFUSED_KINDS = (EntryKind.RESULT.value, EntryKind.REVERSAL.value, EntryKind.TRUEUP.value)


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of walking the whole chain again. `faults` is empty when the books are whole."""

    entries: int
    before_chain: int
    digest: str
    faults: tuple[str, ...]
    told: tuple[str, ...] = ()
    """Invoices that older books took back in the ledger alone, and how each is put right; no fault of the chain."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an entry by hand, as it was typed; the amount without a sign."""

    account: str
    amount: str
    is_debit: bool


async def currency(connection: Connection) -> str:
    """Of every amount in the books. Raises Refusal before the first tariff."""
    found = await book_currency(connection)
    if found is None:
        raise Refusal("the books have no currency yet; it comes with the first `weir tariff set FILE`")
    return found


async def trial_balance(connection: Connection, last: Month, *, by_member: bool) -> Report:
    """Every account's balance at the end of a month."""
    async with _one_view(connection):
        sums = await store.account_sums(connection, first=None, last=last, by_member=by_member)
        return reports.trial_balance(sums, last, await store.type_balances(connection, last))


async def balance_sheet(connection: Connection, last: Month) -> Report:
    """What the co-op has and owes at the end of a month, and whose the rest is."""
    async with _one_view(connection):
        sums = await store.account_sums(connection, first=None, last=last, by_member=False)
        return reports.balance_sheet(sums, last, await store.type_balances(connection, last))


async def income_statement(connection: Connection, first: Month, last: Month) -> Report:
    """What came in and what it cost from one month to another, both included."""
    async with _one_view(connection):
        sums = await store.account_sums(connection, first=first, last=last, by_member=False)
        moved = await store.type_movements(connection, first=first, last=last)
        return reports.income_statement(sums, first, last, moved)


async def cash_flow(connection: Connection, first: Month, last: Month) -> Report:
    """Where money came from and went to from one month to another, both included."""
    async with _one_view(connection):
        sums = await store.account_sums(connection, first=first, last=last, by_member=False)
        flows = await store.cash_flows(connection, first=first, last=last)
        return reports.cash_flow(sums, flows, first, last)


async def verify(connection: Connection, *, tell: Callable[[int, int], None] | None = None) -> Verified:
    """Work every hash out again from the first entry on. tell(done, all) is called now and then."""
    found: list[str] = []
    async with _one_view(connection):
        start, end = await store.chain_ends(connection)
        head = Head(0, GENESIS)
        if start.number == 0 and start.hash != GENESIS:
            found.append("where the chain begins was changed")
        while batch := await store.entries(connection, after=head.number, count_max=ENTRIES_A_STEP):
            for after, wrong in faults(head, batch, start):
                head = after
                if wrong is not None and len(found) < FAULTS_MAX:
                    found.append(wrong)
            if tell is not None:
                tell(head.number, end.number)
        alone = await cost_store.taken_back_alone(connection, count_max=FAULTS_MAX)
    if head != end:
        found.append(
            f"the chain ends at entry {head.number}, and the database says at {end.number} or otherwise"
        )
    told = tuple([_alone_words(one) for one in alone])
    return Verified(head.number, start.number, head.hash.hex(), tuple(found), told)


def _alone_words(one: cost_store.TakenBack) -> str:
    return (
        f"entry {one.reversal} took {format_amount(one.amount_minor, one.currency)} of invoice {one.invoice} back in the "
        f"ledger alone, and pools, prices and statements count it still: `weir ledger reverse {one.reversal}` first, then "
        f"`weir cost add` with --credits {one.invoice} for what is not to be paid"
    )


async def export(
    connection: Connection, wanted: Format, last: Month, out: TextIO, *,
    tell: Callable[[int, int], None] = lambda _done, _all: None,
) -> int:  # fmt: skip
    """Write the whole ledger, entries one step at a time, so that memory does not grow with the books; how many."""
    write = writer(wanted, await currency(connection))
    count, after, latest = 0, 0, date(2000, 1, 1)
    async with _one_view(connection):
        sums = await store.account_sums(connection, first=None, last=last, by_member=True)
        _, end = await store.chain_ends(connection)
        out.write(write.head(sums, date(2000, 1, 1)))
        while batch := await store.entries(connection, after=after, count_max=ENTRIES_A_STEP):
            after = batch[-1].number
            for one in batch:
                if one.month <= last:
                    out.write(write.entry(one))
                    count, latest = count + 1, max(latest, entry_day(one))
            tell(after, end.number)
        out.write(write.foot(sums, latest))
    return count


async def first_open_period(connection: Connection, wanted: Month) -> Month:
    """The month itself, or the first one after it that is open."""
    last = await store.last_closed_period(connection)
    return wanted if last is None or wanted > last else last.next()


async def post_by_hand(
    connection: Connection, sides: Sequence[Side], *, period: Month, memo: str, key: str, now_us: int
) -> Booked:
    """A treasurer's own entry. Raises Refusal naming the field: an account, an amount, the sum, the closed month."""
    unit = await currency(connection)
    _check_memo(memo)
    if not key or len(key) > MEMO_CHARACTERS_MAX or not key.isprintable():
        raise Refusal(f"key: one line of at most {MEMO_CHARACTERS_MAX} characters")
    postings = tuple([_posting(side, unit) for side in sides])
    if len(postings) < 2:
        raise Refusal("an entry has two sides at least: --debit ACCOUNT AMOUNT and --credit ACCOUNT AMOUNT")
    total = sum(one.amount_minor for one in postings)
    if total:
        more = "debits are more than the credits" if total > 0 else "credits are more than the debits"
        raise Refusal(f"the {more}, by {abs(total)} of the smallest unit of {unit}; both sides must be equal")
    await _refuse_strangers(connection, postings)
    entry = Entry(period, EntryKind.MANUAL, memo, postings, f"manual:{key}")
    return await book(connection, entry, now_us=now_us, doubled=f"key: '{key[:60]}' was booked already")


async def reverse(connection: Connection, number: int, *, memo: str, now_us: int) -> Booked:
    """The mirror of an entry in its own month or, if that is closed, in the first open one; once.

    Raises Refusal for an entry that is not there, is a closing's, an invoice's, the register's or a reversal itself, or
    was reversed. A reversal of an invoice, which older books may have, is taken back.
    """
    _check_memo(memo)
    original = await store.entry(connection, number)
    if original is None:
        raise Refusal(f"there is no entry {number}")
    if original.kind == EntryKind.INVOICE.value:
        raise await _use_cost_add(connection, original)
    if original.kind == EntryKind.SHARE.value:
        operation = original.idempotency_key.split(":")[1]
        raise Refusal(
            f"entry {number} is of operation {operation} of the register of shares, which would still count it; take both"
            f" back with `weir share correct {operation}`"
        )
    if original.kind == EntryKind.CHARGE.value:
        raise Refusal(
            f"entry {number} is of the charges of {original.month}, which members' statements tell; give back what was too"
            " much with `weir credit add`"
        )
    if original.kind in REFUSED_KINDS and not await cost_store.takes_invoice_back(connection, number):
        raise Refusal(
            f"entry {number} is a {original.kind}, which follows from others; enter what is right instead"
        )
    if original.kind == EntryKind.YEAR.value:
        raise Refusal(
            f"entry {number} is of a closed year, whose page and statements stay as they are; enter what is right in"
            " an open month instead, with `weir ledger post`"
        )
    period = await first_open_period(connection, original.month)
    mirrored = tuple(Posting(one.account, -one.amount_minor) for one in original.postings)
    words = f"reverses entry {number} of {original.month}: {memo}"
    entry = Entry(period, EntryKind.REVERSAL, words, mirrored, f"reversal:{number}")
    return await book(connection, entry, now_us=now_us, doubled=f"entry {number} was reversed already")


async def _use_cost_add(connection: Connection, original: Booked) -> Refusal:
    """What to do instead: the ledger would forget the invoice, and whatever is worked out from invoices would not."""
    number, invoice = original.number, int(original.idempotency_key.split(":")[1])
    found = await cost_store.find_invoice(connection, invoice)
    assert found is not None, "an entry of an invoice names one"
    whole, _ = found
    if whole.credits is not None:
        return Refusal(
            f"entry {number} is of credit note {invoice}, which pools and prices count too; book what is to be paid after "
            f"all with `weir cost add --pool {whole.pool} --amount {plain_number(-whole.amount_minor, whole.currency)}`"
        )
    left = whole.amount_minor + await cost_store.credited(connection, invoice)
    if not left:
        return Refusal(f"entry {number} is of invoice {invoice}, of which credit notes took all back already")
    return Refusal(
        f"entry {number} is of invoice {invoice}, which pools and prices count too; take it back, or some of it, with "
        f"`weir cost add --pool {whole.pool} --amount {plain_number(-left, whole.currency)} --credits {invoice}`"
    )


async def book(connection: Connection, entry: Entry, *, now_us: int, doubled: str) -> Booked:
    """Post and read back. Raises Refusal with `doubled` for a key that is booked, and for a closed month."""
    try:
        async with connection.transaction():
            number = await store.post(connection, entry, now_us=now_us)
            found = await store.entry(connection, number)
    except asyncpg.UniqueViolationError:
        raise Refusal(
            f"{doubled}, as entry {await store.key_number(connection, entry.idempotency_key)}"
        ) from None
    except asyncpg.PostgresError as error:
        if closed_month(error):
            raise Refusal(f"{entry.month} is closed; an entry goes into a month that is open") from None
        raise
    assert found is not None, "it was just written"
    return found


def _check_memo(memo: str) -> None:
    if not memo.strip() or len(memo) > MEMO_CHARACTERS_MAX or not memo.isprintable():
        raise Refusal(f"memo: one line of at most {MEMO_CHARACTERS_MAX} characters that says why")


def _posting(side: Side, unit: str) -> Posting:
    field = "debit" if side.is_debit else "credit"
    account = parse_account(side.account, field=field)
    own = OWN_COMMANDS.get(account.partition(":")[0])
    if own is not None:
        raise Refusal(
            f"{field}: {account} has a register beside it and is not posted to by hand; use `{own}`"
        )
    amount = parse_amount(side.amount, unit, field=f"{field} {account}")
    if not amount:
        raise Refusal(f"{field} {account}: an amount is more than 0")
    return Posting(account, amount if side.is_debit else -amount)


async def _refuse_strangers(connection: Connection, postings: Sequence[Posting]) -> None:
    named = {found for one in postings if (found := member_of(one.account)) is not None}
    for stranger in sorted(named - await pay_store.known_members(connection, sorted(named))):
        raise Refusal(f"there is no member {stranger} in the register")
    for one in postings:
        member = member_of(one.account)
        if member is not None and one.amount_minor > 0 and one.account == payable(member):
            await refuse_ordered(connection, member)


async def refuse_ordered(connection: Connection, member: MemberId) -> None:
    """What waits at the bank is not paid in another way meanwhile. Raises Refusal."""
    waiting = [one for one in await pay_store.orders(connection, member=member) if one.is_waiting]
    if waiting:
        raise Refusal(
            f"member {member}'s payment waits in batch {waiting[0].batch} as {waiting[0].end_to_end}; "
            "cancel the batch first if the bank will not execute it"
        )


def _one_view(connection: Connection) -> asyncpg.transaction.Transaction:
    """All figures of a report are of the same instant."""
    return connection.transaction(isolation="repeatable_read", readonly=True)
