"""A closing is a function of its inputs, whatever their order, and every sum in it agrees."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from billing.canon import canonical
from billing.closing import Closing, ClosingInputs, closing
from billing.cost import Invoice
from billing.frozen import inputs_of
from billing.tariff import Service, Tariff
from meter.ids import MemberId
from meter.usage import Member, MemberClass, MemberStatus, Usage
from meter.window import Month

MONTH = Month(2026, 11)
counts = st.integers(0, 10**14)


@st.composite
def co_ops(draw: st.DrawFn) -> ClosingInputs:
    classes = draw(st.lists(st.sampled_from(MemberClass), min_size=0, max_size=6))
    members = tuple(
        Member(MemberId(number), f"m{number}", one, "", draw(st.sampled_from(MemberStatus)), 0)
        for number, one in enumerate(classes, 1)
    )
    usage = {
        one.id: Usage(
            one.id, MONTH.start_us, MONTH.end_us, draw(counts), draw(counts), draw(counts), draw(counts),
            draw(st.integers(-(10**24), 10**26)), draw(st.just(0) | st.integers(-(10**23), 10**25)),
        )
        for one in members
        if draw(st.booleans())
    }  # fmt: skip
    bills = draw(
        st.lists(st.tuples(st.sampled_from(["disks", "transit"]), st.integers(1, 10**8)), max_size=4)
    )
    invoices = tuple(
        Invoice(number, MONTH, pool, amount, "EUR", "", 0) for number, (pool, amount) in enumerate(bills, 1)
    )
    prices = {service: draw(st.integers(0, 10**9)) for service in Service}
    if draw(st.booleans()):
        del prices[Service.GB_MONTH_VERSIONS]
    return ClosingInputs(
        MONTH, MONTH.end_us, Tariff("EUR", MONTH, prices), members, usage, invoices, {"a-stream": 7}
    )


def allocations(one: Closing) -> dict[MemberId, int]:
    return {share.member: share.amount_minor for share in one.patronage.allocations}


@given(co_ops())
def test_every_sum_agrees(inputs: ClosingInputs) -> None:
    done = closing(inputs)
    assert all(check.agree for check in done.checks)
    assert done.result.charges_minor - done.result.costs_minor == (
        sum(allocations(done).values()) + done.patronage.undistributed_minor - done.patronage.loss_minor
    )


@given(co_ops(), st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_changes_no_byte(inputs: ClosingInputs, random: object) -> None:
    members, invoices, usage = list(inputs.members), list(inputs.invoices), list(inputs.usage.items())
    for one in (members, invoices, usage):
        random.shuffle(one)  # type: ignore[attr-defined]
    shuffled = replace(inputs, members=tuple(members), invoices=tuple(invoices), usage=dict(usage))
    assert canonical(closing(inputs).to_document()) == canonical(closing(shuffled).to_document())


@given(co_ops())
def test_the_stored_document_works_out_to_itself(inputs: ClosingInputs) -> None:
    text = canonical(closing(inputs).to_document())
    assert text == canonical(closing(inputs_of(text)).to_document())


@given(co_ops())
def test_a_loss_is_charged_to_nobody(inputs: ClosingInputs) -> None:
    dear = replace(inputs, invoices=(Invoice(1, MONTH, "rack", 10**17, "EUR", "", 0),))
    done = closing(dear)
    assert allocations(done) == {}
    assert 10**17 - done.result.charges_minor == done.patronage.loss_minor


@given(co_ops())
def test_only_users_share(inputs: ClosingInputs) -> None:
    users = {one.id for one in inputs.members if one.member_class is MemberClass.USER}
    assert set(allocations(closing(inputs))) <= users


@given(co_ops(), st.integers(1, 10**12))
def test_one_byte_more_is_another_digest(inputs: ClosingInputs, more: int) -> None:
    member = Member(MemberId(99), "m99", MemberClass.USER, "", MemberStatus.ACTIVE, 0)
    one = Usage(member.id, MONTH.start_us, MONTH.end_us, bytes_out=1)
    grown = replace(inputs, members=(*inputs.members, member), usage={**inputs.usage, member.id: one})
    again = replace(grown, usage={**inputs.usage, member.id: replace(one, bytes_out=1 + more)})
    assert closing(grown).digest != closing(again).digest
