"""A month's closing is a function of its inputs, whatever their order, and every sum in it agrees."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from billing.canon import canonical, digest
from billing.closing import ClosingInputs, MonthSum, closing
from billing.cost import Invoice
from billing.frozen import closing_of
from billing.member_month import kept, member_month, read_back
from billing.tariff import PRICED, Service, Tariff
from meter.ids import MemberId
from meter.usage import Member, MemberClass, MemberStatus, Usage
from meter.window import Month

MONTH = Month(2026, 11)
counts = st.integers(0, 10**14)
Whole = tuple[ClosingInputs, list[tuple[Member, Usage]]]


@st.composite
def members_with_usage(draw: st.DrawFn, number: int) -> tuple[Member, Usage]:
    joined = draw(st.integers(0, MONTH.end_us))
    left = draw(st.none() | st.integers(joined, MONTH.end_us * 2))
    one = Member(
        MemberId(number), f"m{number}", draw(st.sampled_from(MemberClass)), "",
        draw(st.sampled_from(MemberStatus)), joined, left,
    )  # fmt: skip
    usage = Usage(
        one.id, MONTH.start_us, MONTH.end_us, draw(counts), draw(counts), draw(counts), draw(counts),
        draw(st.integers(-(10**24), 10**26)), draw(st.just(0) | st.integers(-(10**23), 10**25)),
        removed_byte_us=draw(st.just(0) | counts), corrected_out=draw(st.just(0) | st.integers(-10**9, 10**9)),
    )  # fmt: skip
    return one, usage


@st.composite
def co_ops(draw: st.DrawFn) -> Whole:
    members = [draw(members_with_usage(number)) for number in range(1, draw(st.integers(0, 6)) + 1)]
    bills = draw(
        st.lists(st.tuples(st.sampled_from(["disks", "transit"]), st.integers(1, 10**8)), max_size=4)
    )
    invoices = tuple(
        Invoice(number, MONTH, pool, amount, "EUR", "", 0) for number, (pool, amount) in enumerate(bills, 1)
    )
    prices = {service: draw(st.integers(0, 10**9)) for service in PRICED}
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


@given(members_with_usage(3))
def test_a_members_line_is_canonical_and_reads_back_as_it_was(one: tuple[Member, Usage]) -> None:
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
