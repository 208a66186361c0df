"""A month's closing is a function of its inputs, whatever their order, and every sum in it agrees."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.canon import canonical, digest
from billing.charges.tariff import PRICED, Service, Tariff
from billing.costs.invoices import Invoice
from billing.month.closing import ClosingInputs, MonthSum, closing
from billing.month.frozen import closing_of
from billing.month.member_month import kept, member_month, read_back
from billing.rules.book import rule_set
from billing.year.closing import close_year
from billing.year.inputs import Use, YearInputs
from meter.ids import MemberId
from meter.usage import Member, MemberClass, MemberStatus, Usage
from meter.window import Month

MONTH = Month(2026, 11)
counts = st.integers(0, 10**14)
Whole = tuple[ClosingInputs, list[tuple[Member, Usage]]]


PERSON = st.tuples(
    st.sampled_from(MemberClass), st.sampled_from(MemberStatus), st.integers(0, MONTH.end_us),
    st.none() | st.integers(0, MONTH.end_us), counts, counts, st.integers(0, 10**6),
    st.integers(-(10**24), 10**26), st.just(0) | st.integers(-(10**23), 10**25), st.just(0) | counts,
)  # fmt: skip


def person(number: int, drawn: tuple[Any, ...]) -> tuple[Member, Usage]:
    """Somebody, and what they used."""
    kind, status, joined, left, bytes_in, bytes_out, requests, byte_us, version_us, odd = drawn
    one = Member(MemberId(number), f"m{number}", kind, "", status, joined, left)
    usage = Usage(
        one.id, MONTH.start_us, MONTH.end_us, bytes_in, bytes_out, requests, odd, byte_us, version_us,
        removed_byte_us=odd, corrected_out=-(odd // 2), bytes_out_peering=bytes_out // 3,
    )  # fmt: skip
    return one, usage


@st.composite
def co_ops(draw: st.DrawFn) -> Whole:
    members = [person(number, drawn) for number, drawn in enumerate(draw(st.lists(PERSON, max_size=5)), 1)]
    bills = draw(
        st.lists(st.tuples(st.sampled_from(["disks", "transit"]), st.integers(1, 10**8)), max_size=4)
    )
    invoices = tuple(
        Invoice(number, MONTH, pool, amount, "EUR", "", 0) for number, (pool, amount) in enumerate(bills, 1)
    )
    dear = draw(st.lists(st.integers(0, 10**9), min_size=len(PRICED), max_size=len(PRICED)))
    prices = dict(zip(PRICED, dear, strict=True))
    if draw(st.booleans()):
        del prices[Service.GB_MONTH_VERSIONS]
    if draw(st.booleans()):
        del prices[Service.GB_OUT_PEERING], prices[Service.GB_OUT_OWN]
    inputs = ClosingInputs(MONTH, MONTH.end_us, Tariff("EUR", MONTH, prices), invoices, {"a-stream": 7})
    return inputs, members


@given(co_ops())
def test_every_sum_agrees(whole: Whole) -> None:
    done, members = closing(*whole)
    assert all(check.agree for check in done.checks)
    charged = sum(line.amount_minor for one in members for line in one.charge.lines)
    invoiced = sum(one.amount_minor for one in whole[0].invoices)
    assert charged == sum(done.by_class.values()) == sum(done.by_service.values())
    assert charged - invoiced == done.result.amount_minor


@given(co_ops(), st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_changes_no_byte(whole: Whole, random: object) -> None:
    inputs, members = whole
    invoices, mixed = list(inputs.invoices), list(members)
    random.shuffle(invoices)  # type: ignore[attr-defined]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    shuffled, _ = closing(replace(inputs, invoices=tuple(invoices)), mixed)
    assert canonical(closing(*whole)[0].to_document()) == canonical(shuffled.to_document())


@given(co_ops())
def test_the_stored_document_works_out_to_itself(whole: Whole) -> None:
    done, members = closing(*whole)
    text = canonical(done.to_document())
    read = closing_of(text)
    lines = [read_back(one.text, start_us=MONTH.start_us, end_us=MONTH.end_us) for one in members]
    again, made = closing(read.inputs, [(one.member, one.usage) for one in lines])
    assert (text, [one.text for one in members]) == (
        canonical(again.to_document()), [one.text for one in made],
    )  # fmt: skip
    assert canonical(read.to_document()) == text


@given(PERSON)
def test_a_members_line_is_canonical_and_reads_back_as_it_was(drawn: tuple[Any, ...]) -> None:
    one = person(3, drawn)
    inputs = ClosingInputs(MONTH, MONTH.end_us, Tariff("EUR", MONTH, dict.fromkeys(Service, 10**9)), (), {})
    _, (made,) = closing(inputs, [one])
    assert canonical(json.loads(made.text)) == made.text
    assert digest(made.text) == made.digest.hex()
    back = read_back(made.text, start_us=MONTH.start_us, end_us=MONTH.end_us)
    assert back == made
    assert back == member_month(*one, made.charge)


@given(co_ops(), st.integers(1, 10**12))
def test_one_byte_more_is_another_digest(whole: Whole, more: int) -> None:
    inputs, members = whole
    member = Member(MemberId(99), "m99", MemberClass.USER, "", MemberStatus.ACTIVE, 0)
    one = Usage(member.id, MONTH.start_us, MONTH.end_us, bytes_out=1)
    grown, _ = closing(inputs, [*members, (member, one)])
    again, _ = closing(inputs, [*members, (member, replace(one, bytes_out=1 + more))])
    assert grown.digest != again.digest


def as_row(one: tuple[Member, Usage]) -> list[object]:
    """As `meter.usage_store.everyone_rows` gives it."""
    member, usage = one
    return [
        member.id, True, member.name, member.member_class.value, member.status.value, member.joined_us,
        member.left_us, usage.bytes_in, usage.bytes_out, usage.requests_a, usage.requests_b, usage.corrected_in,
        usage.corrected_out, usage.bytes_out_peering, usage.bytes_out_own, str(usage.byte_us),
        str(usage.version_byte_us), str(usage.part_byte_us), str(usage.removed_byte_us),
    ]  # fmt: skip


@given(co_ops())
def test_the_quick_way_and_the_readable_one_are_the_same(whole: Whole) -> None:
    inputs, members = whole
    readable, lines = closing(inputs, members)
    summing = MonthSum(inputs)
    taken = [summing.take(as_row(one)) for one in members]
    if inputs.tariff.tells_zones_apart:
        assert taken == [None] * len(members)
    else:
        assert taken == [kept(one) for one in lines]
        earned = summing.earned()
        assert {service: amount for service, amount in readable.by_service.items() if amount} == earned
        assert canonical(readable.to_document()) == canonical(summing.closing().to_document())


@given(co_ops(), st.integers(0, 10**9))
def test_only_users_share(whole: Whole, costs: int) -> None:
    """By the plain rule, whoever was charged what: non-member business raises nobody's share but through the result."""
    _, lines = closing(*whole)
    uses = tuple(
        Use(one.member.name, one.member.member_class.value, max(one.charge.amount_minor, 0)) for one in lines
    )
    if any(use.member_class != "customer" for use in uses):
        done = close_year(YearInputs("EUR", rule_set("plain"), costs, uses))
        assert {row.member_class for row in done.allocations if row.amount_minor} <= {"user"}
        by_others = sum(use.charges_minor for use in uses if use.member_class == "customer")
        without = replace(done.inputs, uses=tuple(use for use in uses if use.member_class != "customer"))
        if without.uses and not costs:
            own = close_year(without)
            assert [row.amount_minor for row in own.allocations] == [
                row.amount_minor for row in done.allocations
            ]
            assert own.result_minor + by_others == done.result_minor
