"""Closings of a month worked out by hand: a surplus, a loss, classes; and what they write into the ledger."""

import pytest

from billing.charges.tariff import Service, Tariff
from billing.costs.invoices import Invoice
from billing.ledger.entry import Entry, EntryKind, Posting, receivable
from billing.month.booking import charge_entry, result_entry
from billing.month.closing import Closing, ClosingInputs, MonthSum, closing
from billing.month.member_month import MemberMonth, kept
from meter.ids import MemberId
from meter.usage import Member, MemberClass, MemberStatus, Usage
from meter.window import Month

MONTH = Month(2026, 11)
TARIFF = Tariff("EUR", MONTH, dict.fromkeys(Service, 0) | {Service.GB_OUT: 10**9})  # 1.00 a GB
CENT = 10**7  # bytes that cost one cent at that price


def worked_out(
    charges: dict[str, int], costs: dict[str, int], **classes: MemberClass
) -> tuple[Closing, tuple[MemberMonth, ...]]:
    members = [
        Member(MemberId(number), name, classes.get(name, MemberClass.USER), "", MemberStatus.ACTIVE, 0)
        for number, name in enumerate(charges, 1)
    ]
    invoices = tuple(
        Invoice(number, MONTH, pool, amount, "EUR", "", 0)
        for number, (pool, amount) in enumerate(costs.items(), 1)
    )
    used = [
        (one, Usage(one.id, MONTH.start_us, MONTH.end_us, bytes_out=charges[one.name] * CENT))
        for one in members
    ]
    return closing(ClosingInputs(MONTH, MONTH.end_us, TARIFF, invoices, {}), used)


def test_the_charges_and_costs_of_the_reference_closing() -> None:
    # G18 of the patronage reference, its users alone, with costs that leave 720.00.
    done, members = worked_out({"a": 151237, "b": 90311, "c": 58452}, {"transit": 200000, "disks": 28000})
    assert [151237, 90311, 58452] == [one.charge.amount_minor for one in members]
    assert (300000, 228000, 72000) == (
        done.result.charges_minor, done.result.costs_minor, done.result.amount_minor,
    )  # fmt: skip


def test_a_loss_is_named_and_charged_to_nobody() -> None:
    done, members = worked_out({"a": 100}, {"rack": 350})
    assert (-250, "loss", [100]) == (
        done.result.amount_minor, done.result.outcome.value, [one.charge.amount_minor for one in members],
    )  # fmt: skip


def test_charges_are_told_apart_by_class_because_the_year_needs_it() -> None:
    done, _ = worked_out({"a": 300, "w": 100, "b": 100}, {"rack": 100}, w=MemberClass.WORKER)
    assert {MemberClass.USER: 400, MemberClass.WORKER: 100} == done.by_class


def test_a_month_with_nothing_in_it_is_even_and_writes_nothing() -> None:
    done, members = worked_out({}, {})
    assert ("even", 0, 0, ()) == (
        done.result.outcome.value, done.result.amount_minor, done.members, members,
    )  # fmt: skip
    assert result_entry(MONTH, done.by_service, done.costs, done.result) is None


def test_members_who_owe_nothing_write_nothing() -> None:
    _, members = worked_out({"a": 0, "b": 0}, {})
    assert charge_entry(MONTH, 1, [kept(one) for one in members], {}) is None


def balance(*entries: Entry | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in entries:
        assert entry is not None
        for posting in entry.postings:
            found[posting.account] = found.get(posting.account, 0) + posting.amount_minor
    return found


def test_the_entries_of_a_month_leave_its_revenue_and_cost_accounts_empty() -> None:
    done, members = worked_out({"a": 300, "b": 100}, {"rack": 50, "transit": 100})
    expected = {
        "receivable:member:1": 300, "receivable:member:2": 100, "revenue:gb_out": 0, "cost:rack": -50,
        "cost:transit": -100, "surplus:undistributed": -250,
    }  # fmt: skip
    # The invoices' own entries stand at +50 and +100 already.
    assert expected == balance(
        charge_entry(MONTH, 1, [kept(members[0])], {Service.GB_OUT: 300}),
        charge_entry(MONTH, 2, [kept(members[1])], {Service.GB_OUT: 100}),
        result_entry(MONTH, done.by_service, done.costs, done.result),
    )


def test_a_loss_waits_for_the_year_on_an_account_of_its_own() -> None:
    done, _ = worked_out({"a": 100}, {"rack": 350})
    expected = {"revenue:gb_out": 100, "cost:rack": -350, "loss:carried": 250}
    assert expected == balance(result_entry(MONTH, done.by_service, done.costs, done.result))


def test_a_surplus_that_no_user_made_stays_undistributed() -> None:
    done, _ = worked_out({"w": 500}, {}, w=MemberClass.WORKER)
    expected = {"revenue:gb_out": 500, "surplus:undistributed": -500}
    assert expected == balance(result_entry(MONTH, done.by_service, done.costs, done.result))


def test_members_come_in_the_order_of_their_numbers() -> None:
    summing = MonthSum(ClosingInputs(MONTH, MONTH.end_us, TARIFF, (), {}))
    for number in (1, 2):
        one = Member(MemberId(number), f"m{number}", MemberClass.USER, "", MemberStatus.ACTIVE, 0)
        summing.add(one, Usage(one.id, MONTH.start_us, MONTH.end_us))
    with pytest.raises(AssertionError, match="in the order"):
        summing.add(one, Usage(one.id, MONTH.start_us, MONTH.end_us))


@pytest.mark.parametrize("amounts", [(5,), (5, -4), ()])
def test_an_entry_that_does_not_balance_cannot_be_made(amounts: tuple[int, ...]) -> None:
    sides = tuple(Posting(receivable(MemberId(1)), amount) for amount in amounts)
    with pytest.raises(AssertionError):
        Entry(MONTH, EntryKind.CHARGE, "", sides, "k")
