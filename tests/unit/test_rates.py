"""Allowances that fill up again: what is let through, by sums done by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.rates import Allowances, Rate, neighbourhood

TEN = Rate.shared(10, burst_s=2, workers=1)
"""Ten a second, and what comes up in two seconds at once: twenty."""


def let_through(allowances: Allowances[str], key: str, rate: Rate, now_s: float, tries: int) -> int:
    return sum(allowances.ask(key, rate, now_s) == 0.0 for _ in range(tries))


def test_after_a_rest_the_burst_and_then_the_rate() -> None:
    allowances: Allowances[str] = Allowances(keys_max=10)
    assert 20 == let_through(allowances, "a", TEN, 1000.0, 50)
    assert 0 == let_through(allowances, "a", TEN, 1000.04, 50)
    assert 5 == let_through(allowances, "a", TEN, 1000.55, 50)
    assert 20 == let_through(allowances, "a", TEN, 1100.0, 50)


def test_whoever_is_refused_is_told_for_how_long_and_uses_nothing() -> None:
    allowances: Allowances[str] = Allowances(keys_max=10)
    let_through(allowances, "a", TEN, 1000.0, 20)
    waits = [allowances.ask("a", TEN, 1000.0) for _ in range(100)]
    assert len(set(waits)) == 1
    # The burst ends half a request early, so that no rounded sum decides.
    assert abs(waits[0] - 0.05) < 1e-9
    assert 1 == let_through(allowances, "a", TEN, 1000.0 + waits[0] + 1e-6, 2)


def test_nobody_uses_another_s_allowance() -> None:
    allowances: Allowances[str] = Allowances(keys_max=10)
    let_through(allowances, "a", TEN, 1000.0, 500)
    assert 20 == let_through(allowances, "b", TEN, 1000.0, 50)


def test_workers_share_a_machine_s_number() -> None:
    shares = [Allowances[str](keys_max=10) for _ in range(4)]
    rate = Rate.shared(10, burst_s=2, workers=4)
    assert 4 * 5 == sum(let_through(one, "a", rate, 1000.0, 50) for one in shares)
    assert 40 == sum(let_through(one, "a", rate, 1000.0 + second, 50) for one in shares for second in (2, 4))


def test_a_rate_below_one_in_the_burst_still_lets_one_through() -> None:
    rate = Rate.shared(1, burst_s=1, workers=8)
    allowances: Allowances[str] = Allowances(keys_max=10)
    assert 1 == let_through(allowances, "a", rate, 1000.0, 5)
    assert 0 == let_through(allowances, "a", rate, 1007.9, 5)
    assert 1 == let_through(allowances, "a", rate, 1008.1, 5)


def test_bytes_are_used_up_also_where_they_are_not_there_and_are_owed() -> None:
    megabyte = Rate.shared(1_000_000, burst_s=1, workers=1)
    allowances: Allowances[str] = Allowances(keys_max=10)
    assert 0.0 == allowances.use("a", megabyte, 500_000, 1000.0)
    assert abs(4.5 - allowances.use("a", megabyte, 5_000_000, 1000.0)) < 1e-3
    assert abs(2.5 - allowances.owed_s("a", megabyte, 1002.0)) < 1e-3
    assert 0.0 == allowances.owed_s("a", megabyte, 1005.0)


def test_the_table_is_bounded_and_whoever_was_let_through_longest_ago_is_forgotten() -> None:
    allowances: Allowances[str] = Allowances(keys_max=3)
    for name in ("a", "b", "c"):
        let_through(allowances, name, TEN, 1000.0, 20)
    assert 1 == let_through(allowances, "a", TEN, 1000.11, 5)  # and is the last that was let through
    assert 20 == let_through(allowances, "d", TEN, 1000.11, 50)
    assert 3 == len(allowances)
    # "b" is forgotten and begins anew; "a" is known.
    assert 0 == let_through(allowances, "a", TEN, 1000.12, 5)
    assert 20 == let_through(allowances, "b", TEN, 1000.12, 50)


@given(st.integers(1, 1000), st.integers(1, 10), st.integers(1, 8), st.lists(st.floats(0, 2), max_size=200))
def test_no_pattern_of_asking_gets_more_than_burst_and_rate(
    per_s: int, burst_s: int, workers: int, pauses: list[float]
) -> None:
    allowances: Allowances[str] = Allowances(keys_max=1)
    rate, now_s, got = Rate.shared(per_s, burst_s=burst_s, workers=workers), 1000.0, 0
    for pause in pauses:
        now_s += pause
        got += let_through(allowances, "a", rate, now_s, 3)
    assert got <= (burst_s + now_s - 1000.0) * per_s / workers + 1.501


def test_an_ipv6_customer_is_one_address_and_an_ipv4_address_is_one_however_it_is_written() -> None:
    assert neighbourhood("2001:db8:1:2::1") == neighbourhood("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert neighbourhood("2001:db8:1:3::1") != neighbourhood("2001:db8:1:2::1")
    assert "192.0.2.7" == neighbourhood("192.0.2.7") == neighbourhood("::ffff:192.0.2.7")
    assert "" == neighbourhood("")
