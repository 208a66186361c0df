"""Closings worked out by hand: a surplus, a loss, a surplus that is nobody's."""

import pytest

from billing.closing import Closing, ClosingInputs, closing
from billing.cost import Invoice
from billing.ledger import Entry, EntryKind, Posting, receivable
from billing.tariff import Service, Tariff
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Member, MemberClass, MemberStatus, Usage
from meter.window import Month

MONTH = Month(2026, 11)
TARIFF = Tariff("EUR", MONTH, dict.fromkeys(Service, 0) | {Service.GB_OUT: 10**9})  # 1.00 a GB
CENT = 10**7  # bytes that cost one cent at that price


def worked_out(charges: dict[str, int], costs: dict[str, int], **classes: MemberClass) -> Closing:
    members = tuple(
        Member(MemberId(number), name, classes.get(name, MemberClass.USER), "", MemberStatus.ACTIVE, 0)
        for number, name in enumerate(charges, 1)
    )
    usage = {
        one.id: Usage(one.id, MONTH.start_us, MONTH.end_us, bytes_out=charges[one.name] * CENT)
        for one in members
    }
    invoices = tuple(
        Invoice(number, MONTH, pool, amount, "EUR", "", 0)
        for number, (pool, amount) in enumerate(costs.items(), 1)
    )
    return closing(ClosingInputs(MONTH, MONTH.end_us, TARIFF, members, usage, invoices, {}))


def shares(done: Closing) -> list[int]:
    return [one.amount_minor for one in done.patronage.allocations]


def test_the_user_part_of_the_reference_closing() -> None:
    # G18 of the patronage reference, its users alone: a pool of 720.00.
    done = worked_out({"a": 151237, "b": 90311, "c": 58452}, {"transit": 200000, "disks": 28000})
    assert shares(done) == [36297, 21675, 14028]
    assert (
        done.result.charges_minor, done.result.costs_minor, done.result.amount_minor,
    ) == (300000, 228000, 72000)  # fmt: skip


def test_a_loss_is_named_and_charged_to_nobody() -> None:
    done = worked_out({"a": 100}, {"rack": 350})
    assert (
        done.result.amount_minor, done.result.outcome.value, done.patronage.loss_minor, shares(done),
    ) == (-250, "loss", 250, [])  # fmt: skip


def test_a_surplus_that_no_user_made_stays_undistributed() -> None:
    done = worked_out({"w": 500}, {}, w=MemberClass.WORKER)
    assert (done.patronage.undistributed_minor, done.patronage.pool_minor, shares(done)) == (500, 0, [])


def test_what_workers_were_charged_is_shared_among_the_users() -> None:
    done = worked_out({"a": 300, "w": 100, "b": 100}, {"rack": 100}, w=MemberClass.WORKER)
    assert shares(done) == [300, 100]


def test_a_month_with_nothing_in_it_is_even() -> None:
    done = worked_out({}, {})
    assert (done.result.outcome.value, done.result.amount_minor, done.entries) == ("even", 0, ())


def test_the_entries_of_a_month_leave_its_revenue_and_cost_accounts_empty() -> None:
    done = worked_out({"a": 300, "b": 100}, {"rack": 50, "transit": 100})
    balance: dict[str, int] = {}
    for entry in done.entries:
        for posting in entry.postings:
            balance[posting.account] = balance.get(posting.account, 0) + posting.amount_minor
    expected = {
        "receivable:member:1": 300, "receivable:member:2": 100, "revenue:gb_out": 0, "cost:rack": -50,
        "cost:transit": -100, "surplus:undistributed": 0, "retained:member:1": -188, "retained:member:2": -62,
    }  # fmt: skip
    assert expected == balance  # the invoices' own entries stand at +50 and +100 already


def test_usage_of_somebody_unknown_is_refused() -> None:
    stranger = Usage(MemberId(9), MONTH.start_us, MONTH.end_us, bytes_out=1)
    with pytest.raises(Refusal, match="member 9, who is not in the register"):
        closing(ClosingInputs(MONTH, MONTH.end_us, TARIFF, (), {MemberId(9): stranger}, (), {}))


@pytest.mark.parametrize("amounts", [(5,), (5, -4), ()])
def test_an_entry_that_does_not_balance_cannot_be_made(amounts: tuple[int, ...]) -> None:
    sides = tuple(Posting(receivable(MemberId(1)), amount) for amount in amounts)
    with pytest.raises(AssertionError):
        Entry(MONTH, EntryKind.CHARGE, "", sides, "k")
