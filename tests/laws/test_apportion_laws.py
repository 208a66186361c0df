"""The laws of sharing out: patronage reference, section 3, invariants 1 and 3 to 6."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from billing.money import apportion

pools = st.integers(0, 10**12)
weight_maps = st.dictionaries(st.integers(1, 50), st.integers(0, 10**9), min_size=1, max_size=12).filter(
    lambda weights: sum(weights.values()) > 0
)


def by_fractions(pool: int, weights: dict[int, int]) -> dict[int, int]:
    """A second, slow calculation: hand out one unit at a time to the largest exact remainder."""
    total = sum(weights.values())
    quota = {key: Fraction(pool * weight, total) for key, weight in weights.items()}
    shares = {key: int(exact) for key, exact in quota.items()}
    order = sorted(quota, key=lambda key: (shares[key] - quota[key], key))
    for key in order[: pool - sum(shares.values())]:
        shares[key] += 1
    return shares


@given(pools, weight_maps)
def test_a_second_calculation_with_fractions_agrees(pool: int, weights: dict[int, int]) -> None:
    assert by_fractions(pool, weights) == apportion(pool, weights)


@given(pools, weight_maps)
def test_shares_sum_to_the_pool(pool: int, weights: dict[int, int]) -> None:
    assert pool == sum(apportion(pool, weights).values())


@given(pools, weight_maps)
def test_each_share_is_its_quota_rounded_down_or_one_more(pool: int, weights: dict[int, int]) -> None:
    total = sum(weights.values())
    for key, share in apportion(pool, weights).items():
        assert 0 <= share * total - pool * weights[key] + total - 1 < 2 * total - 1


@given(pools, weight_maps)
def test_a_larger_weight_never_gets_less(pool: int, weights: dict[int, int]) -> None:
    shares = apportion(pool, weights)
    by_weight = sorted(weights, key=lambda key: (weights[key], shares[key]))
    for smaller, larger in pairwise(by_weight):
        assert weights[smaller] == weights[larger] or shares[smaller] <= shares[larger]


@given(pools, weight_maps, st.randoms(use_true_random=False), st.integers(1, 1000))
def test_neither_order_nor_scale_matters(
    pool: int, weights: dict[int, int], random: object, scale: int
) -> None:
    keys = list(weights)
    random.shuffle(keys)  # type: ignore[attr-defined]
    assert apportion(pool, weights) == apportion(pool, {key: weights[key] * scale for key in keys})


@given(pools, weight_maps)
def test_no_weight_no_share_and_one_member_gets_all(pool: int, weights: dict[int, int]) -> None:
    shares = apportion(pool, weights)
    assert all(shares[key] == 0 for key, weight in weights.items() if weight == 0)
    assert {7: pool} == apportion(pool, {7: 3})
    assert set(apportion(0, weights).values()) == {0}


@given(pools, weight_maps, st.data())
def test_splitting_a_member_moves_the_joint_share_by_at_most_two(
    pool: int, weights: dict[int, int], data: st.DataObject
) -> None:
    whole = data.draw(st.sampled_from(sorted(weights)))
    part = data.draw(st.integers(0, weights[whole]))
    split = weights | {whole: part, 99: weights[whole] - part}
    shares = apportion(pool, split)
    assert abs(apportion(pool, weights)[whole] - shares[whole] - shares[99]) <= 2


def test_ties_go_to_the_lower_key() -> None:
    assert apportion(2, {3: 5, 2: 5, 1: 5}) == {1: 1, 2: 1, 3: 0}


def test_the_reference_closing_splits_its_user_pool_to_the_cent() -> None:
    # G18 of the patronage reference: 720.00 over charges of 1,512.37, 903.11 and 584.52.
    expected = {"A": 36297, "B": 21675, "C": 14028}
    assert expected == apportion(72000, {"A": 151237, "B": 90311, "C": 58452})


def test_the_worker_pool_of_the_reference_closing_too() -> None:
    # G18: 180.00 over 1,200 and 700 hours.
    assert apportion(18000, {"W1": 1200, "W2": 700}) == {"W1": 11368, "W2": 6632}
