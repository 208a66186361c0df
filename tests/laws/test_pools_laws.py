"""Laws of shared pools: they sum to the pool, order and scale change nothing, and the exact parts are kept to a cent."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.costs.invoices import first_day, parts
from billing.costs.percentile import percentile
from billing.costs.pools import Driver, Key, Measure, Use, exact_parts, shared_out
from meter.event import Zone
from meter.ids import MemberId
from meter.usage import Usage
from meter.window import Month

MONTH = Month(2026, 11)
COUNTS = ("bytes_in", "bytes_out", "requests_a", "requests_b", "byte_us")
measures = st.sampled_from(
    [
        Measure(Driver.EQUAL), Measure(Driver.GB_OUT), Measure(Driver.GB_IN), Measure(Driver.GB_MONTH),
        Measure(Driver.REQUESTS, weight_a=10), Measure(Driver.P95, Zone.INTERNET),
    ]
)  # fmt: skip
counts = st.integers(1, 10**15)


@st.composite
def keys(draw: st.DrawFn) -> Key:
    chosen = draw(st.lists(measures, min_size=1, max_size=4, unique=True))
    weights = [draw(st.integers(1, 1000)) for _ in chosen]
    terms = tuple(
        (Fraction(one, sum(weights)), measure) for one, measure in zip(weights, chosen, strict=True)
    )
    return Key(terms, draw(st.sampled_from([0, 0, 40_000])))


@st.composite
def uses(draw: st.DrawFn) -> Use:
    members = [MemberId(number) for number in range(1, draw(st.integers(2, 8)))]
    usage = {
        member: Usage(member, MONTH.start_us, MONTH.end_us, **{name: draw(counts) for name in COUNTS})
        for member in members
    }
    peaks = {Measure(Driver.P95, Zone.INTERNET): {member: draw(counts) for member in members}}
    return Use(MONTH, dict.fromkeys(members, "user"), usage, peaks)


amounts = st.integers(40_000, 10**12)


def shares(cost: int, key: Key, use: Use) -> dict[MemberId, int]:
    return shared_out("pool", cost, key, use, currency="EUR")


@given(amounts, keys(), uses())
def test_parts_sum_to_the_pool_and_are_the_exact_ones_to_a_cent(cost: int, key: Key, use: Use) -> None:
    found = shares(cost, key, use)
    exact = exact_parts("pool", cost, key, use, currency="EUR")
    assert cost == sum(found.values()) == sum(exact.values())
    assert all(abs(found[member] - part) < 1 for member, part in exact.items())


@given(amounts, keys(), uses(), st.randoms(use_true_random=False))
def test_the_order_of_members_changes_nothing(cost: int, key: Key, use: Use, dice: object) -> None:
    order = list(use.usage)
    dice.shuffle(order)  # type: ignore[attr-defined]
    other = replace(
        use, members=dict.fromkeys(order, "user"), usage={one: use.usage[one] for one in order},
        peaks={measure: {one: peak[one] for one in order} for measure, peak in use.peaks.items()},
    )  # fmt: skip
    assert shares(cost, key, use) == shares(cost, key, other)


@given(amounts, keys(), uses(), st.integers(2, 1000))
def test_everybody_using_so_many_times_as_much_changes_nothing(
    cost: int, key: Key, use: Use, times: int
) -> None:
    usage = {
        member: replace(one, **{name: getattr(one, name) * times for name in COUNTS})
        for member, one in use.usage.items()
    }
    peaks = {measure: {one: n * times for one, n in peak.items()} for measure, peak in use.peaks.items()}
    assert shares(cost, key, use) == shares(cost, key, replace(use, usage=usage, peaks=peaks))


@given(st.integers(1, 10**12), keys().filter(lambda key: not key.fee_minor), uses())
def test_a_credit_mirrors_its_cost(cost: int, key: Key, use: Use) -> None:
    assert {one: -part for one, part in shares(cost, key, use).items()} == shares(-cost, key, use)


@given(st.dictionaries(st.integers(0, 10**6), st.integers(1, 10**15), max_size=60), st.integers(60, 400))
def test_the_percentile_is_what_sorting_and_dropping_gives(totals: dict[int, int], samples: int) -> None:
    """The other way round: all samples from the top, a twentieth of them struck off, whatever is next."""
    every = sorted([*totals.values(), *[0] * (samples - len(totals))], reverse=True)
    found = percentile(totals, samples)
    assert every[samples * 5 // 100] == found.billed_bytes
    assert all(totals[slot] <= found.billed_bytes for slot in found.band)
    assert bool(found.billed_bytes) == bool(found.band)


months = st.integers(0, 60).map(lambda n: Month(2026 + n // 12, n % 12 + 1))


@given(st.integers(-(10**12), 10**12).filter(bool), months, months, st.none() | months)
def test_an_invoice_s_parts_sum_to_it_and_none_is_in_a_closed_month(
    amount: int, one: Month, other: Month, first_open: Month | None
) -> None:
    first, last = sorted((one, other))
    found = parts(amount, (first_day(first), first_day(last.next())), first_open=first_open)
    assert amount == sum(found.values())
    assert all(part * amount >= 0 for part in found.values())
    assert first_open is None or min(found) >= first_open
