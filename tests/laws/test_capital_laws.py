"""Laws of what comes after a closing: patronage reference, section 3, invariant 9 and the paying back of lots."""

from collections.abc import Mapping
from datetime import date
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.capital.deadlines import date_to_date
from billing.capital.exits import Terms, present_values, schedule
from billing.capital.lots import Change, Kind, LotId, capital_accounts
from billing.capital.retirement import Method, YearShare, plan
from billing.capital.revolving import return_needed, years_until_back
from billing.capital.unclaimed import Movement, waiting
from billing.rules.afterwards import InterestOn
from meter.ids import MemberId
from meter.window import Month

lots = st.builds(LotId, st.integers(2000, 2006), st.integers(1, 6).map(MemberId), st.sampled_from(Kind))
ledgers = st.dictionaries(lots, st.integers(1, 10**7), min_size=1, max_size=25)
budgets = st.integers(1, 10**8)
shares = st.fractions(min_value=Fraction(1, 100), max_value=1, max_denominator=100)
rules = st.lists(
    st.builds(YearShare, st.integers(2000, 2006), shares),
    min_size=1,
    max_size=5,
    unique_by=lambda one: one.year,
).map(tuple)
dates = st.dates(date(1990, 1, 1), date(2090, 12, 31))


def lay(
    ledger: Mapping[LotId, int], method: Method, budget: int, rule: tuple[YearShare, ...]
) -> dict[LotId, int]:
    return dict(plan(ledger, method, budget_minor=budget, rule=rule if method is Method.HYBRID else ()).lines)


@given(ledgers, st.sampled_from(Method), budgets, rules)
def test_no_lot_pays_more_than_it_holds_and_the_budget_is_never_passed(
    ledger: dict[LotId, int], method: Method, budget: int, rule: tuple[YearShare, ...]
) -> None:
    lines = lay(ledger, method, budget, rule)
    assert all(0 < amount <= ledger[lot] for lot, amount in lines.items())
    assert sum(lines.values()) <= budget


@given(ledgers, st.sampled_from([Method.FIFO, Method.PERCENTAGE]), budgets)
def test_the_whole_budget_is_paid_or_all_there_is(
    ledger: dict[LotId, int], method: Method, budget: int
) -> None:
    assert min(budget, sum(ledger.values())) == sum(lay(ledger, method, budget, ()).values())


@given(ledgers, rules)
def test_a_hybrid_takes_the_exact_share_of_each_year_to_the_nearest_unit(
    ledger: dict[LotId, int], rule: tuple[YearShare, ...]
) -> None:
    lines = lay(ledger, Method.HYBRID, 10**12, rule)
    for step in rule:
        exact = step.share * sum(amount for lot, amount in ledger.items() if lot.year == step.year)
        paid = sum(amount for lot, amount in lines.items() if lot.year == step.year)
        assert abs(paid - exact) <= Fraction(1, 2)


@given(ledgers, budgets)
def test_fifo_touches_a_year_only_when_all_older_ones_are_empty(
    ledger: dict[LotId, int], budget: int
) -> None:
    lines = lay(ledger, Method.FIFO, budget, ())
    latest = max(lot.year for lot in lines)
    assert all(lines.get(lot) == amount for lot, amount in ledger.items() if lot.year < latest)


@given(ledgers, st.sampled_from(Method), budgets, rules, st.randoms())
def test_the_order_of_the_ledger_changes_nothing(
    ledger: dict[LotId, int], method: Method, budget: int, rule: tuple[YearShare, ...], chance: object
) -> None:
    mixed = list(ledger.items())
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert list(lay(ledger, method, budget, rule).items()) == list(
        lay(dict(mixed), method, budget, rule).items()
    )


@given(ledgers, st.sampled_from(Method), budgets, rules, st.integers(0, 10**6))
def test_a_minimum_moves_nothing_to_others(
    ledger: dict[LotId, int], method: Method, budget: int, rule: tuple[YearShare, ...], minimum: int
) -> None:
    given_rule = rule if method is Method.HYBRID else ()
    without = plan(ledger, method, budget_minor=budget, rule=given_rule)
    found = plan(ledger, method, budget_minor=budget, rule=given_rule, minimum_minor=minimum)
    assert without.by_member == {**found.by_member, **found.carried}
    assert all(amount >= minimum for amount in found.by_member.values())
    assert all(amount < minimum for amount in found.carried.values())


kinds = st.sampled_from(
    ["allocation", "year-closing", "retirement", "exit", "estate", "interest", "reversal"]
)
months = st.builds(Month, st.integers(2024, 2026), st.integers(1, 12))
changes = st.lists(
    st.builds(Change, lots, months, kinds, st.integers(-(10**6), 10**6).filter(bool)), max_size=40
)


@given(changes, months, months)
def test_invariant_9_every_lot_adds_up_and_one_span_ends_where_the_next_begins(
    moved: list[Change], one: Month, other: Month
) -> None:
    first, last = min(one, other), max(one, other)
    whole = {found.lot: found for found in capital_accounts(moved, until=last)}
    before = {found.lot: found.closing_minor for found in capital_accounts(moved, until=first.previous())}
    for found in capital_accounts(moved, start=first, until=last):
        assert before.get(found.lot, 0) == found.opening_minor
        assert whole[found.lot].closing_minor == found.closing_minor
        balance = sum(
            change.amount_minor for change in moved if change.lot == found.lot and change.month <= last
        )
        assert balance == found.closing_minor


@given(
    st.integers(0, 10**10), st.integers(1, 10), shares, st.sampled_from(InterestOn), dates, st.integers(1, 12)
)
def test_a_schedule_sums_to_the_debt_and_is_never_behind(
    owed: int, years: int, rate: Fraction, interest: InterestOn, left_on: date, first_month: int
) -> None:
    found = schedule(owed, Terms(years, rate, interest), left_on=left_on, first_month=first_month)
    assert owed == sum(one.principal_minor for one in found)
    assert [*range(1, len(found) + 1)] == [one.place for one in found]
    assert all(left_on < one.due_on <= date_to_date(left_on, 12 * years) for one in found)
    assert [one.due_on for one in found] == sorted({one.due_on for one in found})
    paid = 0
    for place, one in enumerate(found, 1):
        paid += one.principal_minor
        # Spain asks for a fifth a year: k of n parts are at least k/n of the debt.
        assert paid * max(years, len(found)) >= owed * place or len(found) < years


@given(ledgers, st.fractions(min_value=0, max_value=1, max_denominator=10_000), st.integers(1, 30))
def test_a_present_value_is_never_more_than_the_face_and_waiting_longer_is_worth_less(
    ledger: dict[LotId, int], rate: Fraction, cycle: int
) -> None:
    values = present_values(ledger, rate=rate, cycle_years=cycle, died_on=date(2006, 5, 1), first_month=1)
    assert all(0 <= values[lot] <= ledger[lot] for lot in ledger)
    longer = present_values(ledger, rate=rate, cycle_years=cycle + 1, died_on=date(2006, 5, 1), first_month=1)
    assert all(longer[lot] <= values[lot] for lot in ledger)


@given(
    st.fractions(min_value=0, max_value=Fraction(1, 2), max_denominator=1000),
    st.fractions(min_value=0, max_value=Fraction(9, 10), max_denominator=100),
    st.integers(1, 59),
)
def test_longer_waiting_needs_less_return_and_more_cash_needs_more(
    growth: Fraction, cash: Fraction, years: int
) -> None:
    needed = return_needed(growth, cash, years)
    assert (
        return_needed(growth, cash, years + 1) < needed < return_needed(growth, cash + Fraction(1, 20), years)
    )
    assert years == years_until_back(growth, cash, needed)


movements = st.lists(
    st.builds(Movement, st.integers(1, 3).map(MemberId), dates, st.integers(-500, 1000).filter(bool)),
    max_size=20,
)


@given(movements)
def test_what_waits_is_what_became_payable_less_what_was_paid(moved: list[Movement]) -> None:
    found = waiting(moved)
    for member in (1, 2, 3):
        came = sum(one.amount_minor for one in moved if one.member == member and one.amount_minor > 0)
        went = -sum(one.amount_minor for one in moved if one.member == member and one.amount_minor < 0)
        assert max(came - went, 0) == sum(one.amount_minor for one in found if one.member == member)
