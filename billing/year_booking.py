"""What the closing of a year writes into the ledger: the result shared out, and members' parts by the thousand. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from billing.ledger.entry import LOSS, UNDISTRIBUTED, Account, Entry, EntryKind, payable, postings, receivable
from billing.year.course import INTEREST
from billing.year.fiscal import FiscalYear
from billing.year.outcome import YearClosing
from billing.year_lines import YearLine
from meter.ids import MemberId
from meter.window import Month

TAX = Account("payable:tax")
COMMUNITY = Account("fund:community")
"""What is too little to be paid and goes to the purpose the rules name."""
Owed = Mapping[int, Sequence[tuple[Account, int]]]
"""Member number → accounts of their shares of earlier losses, the oldest first, and what stands on them."""


def capital(member: MemberId, year: FiscalYear, kind: str) -> Account:
    """One retained lot of a member: qualified, nonqualified or plain."""
    return Account(f"capital:member:{member}:{year}:{kind}")


def loss_share(member: MemberId, year: FiscalYear) -> Account:
    """A member's share of a loss, to be met from coming returns; it is never billed."""
    return Account(f"loss:member:{member}:{year}")


def year_entry(
    year: FiscalYear, month: Month, closing: YearClosing, swept: Mapping[str, int], results: Sequence[int]
) -> Entry | None:
    """The year's result, collected from where its months left it, to the accounts that get it.

    `swept` are balances of the year's own accounts that no month emptied, debit above zero. What members share
    passes through the undistributed surplus, from which their own entries take it.
    """
    gains, losses = sum(one for one in results if one > 0), sum(one for one in results if one < 0)
    amounts: dict[Account, int] = {UNDISTRIBUTED: gains, LOSS: losses}
    for account, balance in swept.items():
        amounts[Account(account)] = amounts.get(Account(account), 0) - balance
    for name, amount in closing.accounts.items():
        amounts[Account(name)] = amounts.get(Account(name), 0) - amount
    amounts[UNDISTRIBUTED] -= closing.pool_minor
    sides = postings(sorted(amounts.items()))
    if not sides:
        return None
    return Entry(month, EntryKind.YEAR, f"result of the fiscal year {year}", sides, f"year:{year}")


def member_entry(
    year: FiscalYear, month: Month, part: int, lines: Sequence[YearLine], owed: Owed
) -> Entry | None:
    """What some members get of the year, or bear of its loss; None if it is nothing."""
    sides: list[tuple[Account, int]] = []
    shared = interest = 0
    for line in lines:
        sides += member_sides(year, line, owed)
        shared += 0 if line.settlement is None else line.settlement.amount_minor
        interest += line.interest_minor
    made = postings([(UNDISTRIBUTED, shared), (Account(INTEREST), interest), *sides])
    if not made:
        return None
    memo = f"members {lines[0].number} to {lines[-1].number}: their part of the fiscal year {year}"
    return Entry(month, EntryKind.YEAR, memo, made, f"year:{year}:{part}")


def member_sides(year: FiscalYear, line: YearLine, owed: Owed) -> Iterator[tuple[Account, int]]:
    """Credits of one member's part, or the debit of their part of a loss."""
    member, settled = MemberId(line.number), line.settlement
    to_pay = line.interest_minor
    if settled is not None and settled.amount_minor < 0:
        yield loss_share(member, year), -settled.amount_minor
    elif settled is not None:
        to_pay += settled.paid_minor + settled.held_minor
        yield TAX, -settled.withheld_minor
        yield receivable(member), -settled.set_off_minor
        yield COMMUNITY, -settled.given_minor
        yield from _losses_met(settled.loss_met_minor, owed.get(line.number, ()))
        yield from _lots(member, year, line)
    yield payable(member), -to_pay


def _losses_met(amount: int, owed: Sequence[tuple[Account, int]]) -> Iterator[tuple[Account, int]]:
    for account, balance in owed:
        met = min(amount, balance)
        amount -= met
        yield account, -met
    assert amount == 0, "no more of a loss is met than was still to be met"


def _lots(member: MemberId, year: FiscalYear, line: YearLine) -> Iterator[tuple[Account, int]]:
    """What is kept in the member's name, by kind; what met an earlier loss is taken from the nonqualified first."""
    assert line.settlement is not None, "asked only of who was allocated something"
    kept = line.settlement.retained_minor
    qualified = sum(one.qualified_minor for one in line.allocations)
    nonqualified = sum(one.nonqualified_minor for one in line.allocations)
    parts = [
        ("nonqualified", nonqualified),
        ("qualified", qualified),
        ("plain", kept - qualified - nonqualified),
    ]
    met = line.settlement.loss_met_minor
    for kind, amount in parts:
        taken = min(amount, met)
        met -= taken
        yield capital(member, year, kind), taken - amount
