"""What the closing of a year writes into the ledger: the result shared out, and members' parts by the thousand. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from billing.ledger.entry import LOSS, UNDISTRIBUTED, Account, Entry, EntryKind, postings, receivable
from billing.year.course import INTEREST
from billing.year.fiscal import FiscalYear
from billing.year.outcome import Settlements, YearClosing
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
    year: FiscalYear, month: Month, number: int, closing: YearClosing, part: range, owed: Owed
) -> Entry | None:
    """What some members get of the year, or bear of its loss; None if it is nothing. `part`: their places on the roll."""
    here = slice(part.start, part.stop)
    settled, people = closing.settlements, closing.roll.people
    interest = [closing.interest.get(identity, 0) for identity in people.ids[here]]
    sides = [(UNDISTRIBUTED, sum(settled.amounts[here])), (Account(INTEREST), sum(interest))]
    columns = zip(
        part, people.numbers[here], settled.amounts[here], settled.paid[here], interest, strict=True
    )
    for place, number_of, amount, paid, earned in columns:
        if amount == paid:  # nothing but money; also nothing at all
            sides.append((Account(f"payable:member:{number_of}"), -paid - earned))
        else:
            sides += _shared(settled, place, MemberId(number_of), year, owed)
            sides.append((Account(f"payable:member:{number_of}"), -paid - settled.held[place] - earned))
    made = postings(sides)
    if not made:
        return None
    memo = f"members {people.numbers[part[0]]} to {people.numbers[part[-1]]}: their part of the fiscal year {year}"
    return Entry(month, EntryKind.YEAR, memo, made, f"year:{year}:{number}")


def _shared(
    settled: Settlements, place: int, member: MemberId, year: FiscalYear, owed: Owed
) -> Iterator[tuple[Account, int]]:
    """One member's share of a loss; or what of their part is not money to be paid: kept, withheld or used otherwise."""
    amount = settled.amounts[place]
    if amount < 0:
        yield loss_share(member, year), -amount
        return
    yield TAX, -settled.withheld[place]
    yield receivable(member), -settled.set_off[place]
    yield COMMUNITY, -settled.given[place]
    met = settled.losses_met[place]
    if met:
        yield from _losses_met(met, owed.get(member, ()))
    # What met an earlier loss is taken from the nonqualified first.
    qualified, nonqualified = settled.qualified[place], settled.nonqualified[place]
    plain = settled.retained[place] - qualified - nonqualified
    for kind, kept in (("nonqualified", nonqualified), ("qualified", qualified), ("plain", plain)):
        taken = min(kept, met)
        met -= taken
        if kept > taken:
            yield capital(member, year, kind), taken - kept


def _losses_met(amount: int, owed: Sequence[tuple[Account, int]]) -> Iterator[tuple[Account, int]]:
    for account, balance in owed:
        met = min(amount, balance)
        amount -= met
        yield account, -met
    assert amount == 0, "no more of a loss is met than was still to be met"
