"""Pools shared out by their keys, against sums done by hand; and keys that are no keys."""

from fractions import Fraction

import pytest

from billing.costs.pools import Driver, Key, Measure, Use, key_text, parse_key, share_pools, shared_out
from meter.event import Zone
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Usage
from meter.window import Month

MONTH = Month(2026, 11)
ANNA, BEN, CARLA, WIM = (MemberId(number) for number in (1, 2, 3, 4))
GB = 10**9


def usage(member: MemberId, **counts: int) -> Usage:
    return Usage(member, MONTH.start_us, MONTH.end_us, **counts)


USE = Use(
    MONTH,
    {ANNA: "user", BEN: "user", CARLA: "user", WIM: "worker"},
    {
        ANNA: usage(ANNA, bytes_out=600 * GB, bytes_out_peering=500 * GB, bytes_in=GB, byte_us=3, requests_a=10),
        BEN: usage(BEN, bytes_out=300 * GB, bytes_out_own=100 * GB, byte_us=1, requests_b=100),
        CARLA: usage(CARLA, bytes_out=100 * GB),
    },
    {Measure(Driver.P95): {ANNA: 1, BEN: 3}},
)  # fmt: skip


def parts(key: str, cost: int = 100_000, use: Use = USE) -> list[int]:
    found = shared_out("pool", cost, parse_key(key, currency="EUR"), use, currency="EUR")
    return [found.get(member, 0) for member in (ANNA, BEN, CARLA, WIM)]


def test_equal_fee_and_the_rest_by_use() -> None:
    """c = fee/M + (K − fee)·u/U, the formula of guifi.net (reference 6.1): 1,000.00, fee 400.00, four members.

    By hand: 100.00 each; the 600.00 above it by 600, 300 and 100 GB: 360.00, 180.00, 60.00.
    """
    assert [46_000, 28_000, 16_000, 10_000] == parts("fee 400.00 + gb_out")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("gb_out", [60_000, 30_000, 10_000, 0]),
        ("gb_out:peering", [100_000, 0, 0, 0]),
        ("gb_out:own", [0, 100_000, 0, 0]),
        ("gb_out:internet", [25_000, 50_000, 25_000, 0]),  # 100, 200 and 100 GB
        ("gb_in", [100_000, 0, 0, 0]),
        ("gb_month", [75_000, 25_000, 0, 0]),
        ("requests:10:1", [50_000, 50_000, 0, 0]),  # 10 × 10 and 100 × 1
        ("requests:1:0", [100_000, 0, 0, 0]),
        ("equal", [25_000, 25_000, 25_000, 25_000]),
        ("equal:user", [33_334, 33_333, 33_333, 0]),  # the cent goes to the lower number
        ("p95", [25_000, 75_000, 0, 0]),
        ("40 % equal + 60 % gb_month", [55_000, 25_000, 10_000, 10_000]),
        ("1/3 gb_month + 2/3 gb_out", [65_000, 28_333, 6_667, 0]),  # 65,000; 28,333.3; 6,666.7
    ],
)
def test_a_pool_goes_by_its_key(key: str, expected: list[int]) -> None:
    assert expected == parts(key)


def test_a_credit_note_above_the_invoices_comes_back_by_the_same_key() -> None:
    assert [-60_000, -30_000, -10_000, 0] == parts("gb_out", cost=-100_000)


def test_who_had_more_taken_back_than_used_bears_nothing() -> None:
    mended = Use(MONTH, {}, {ANNA: usage(ANNA, bytes_out=-5), BEN: usage(BEN, bytes_out=1)})
    assert [0, 100, 0, 0] == parts("gb_out", cost=100, use=mended)


def test_keys_are_written_out_as_they_are_read() -> None:
    assert Key(((Fraction(1), Measure(Driver.P95, Zone.INTERNET)),), 40_000) == parse_key(
        "fee  400.00 + p95:internet", currency="EUR"
    )
    for text in (
        "equal",
        "fee 400.00 + p95:internet",
        "33.5 % equal:user + 66.5 % requests:10:1",
        "1/3 equal + 2/3 gb_in",
    ):
        assert text == key_text(parse_key(text, currency="EUR"), currency="EUR")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "key: '' is no key"),
        ("gb_ouy", "key: 'gb_ouy' is unknown; keys are equal, gb_out"),
        ("40 % equal + 50 % gb_out", "key: the weights sum to 90 %; they must sum to 100 % exactly"),
        ("60 % equal + 60 % gb_out", "key: the weights sum to 120 %"),
        ("0 equal + 1 gb_out", "key: 'equal' has the weight 0|key: '0 equal' has the weight 0"),
        ("-1 equal + 2 gb_out", "key: '-1 equal' is no key"),
        ("1e30 equal + 1 gb_out", "key: '1e30 equal' is no key"),
        ("NaN equal + 1 gb_out", "key: 'NaN equal' is no key"),
        ("equal + gb_out", "key: 'equal' needs its weight"),
        ("1/2 equal + 1/2 equal", "key: the same key stands in the mix twice"),
        ("1/0 equal + 1 gb_out", "key: weight: '1/0' is not an exact number"),
        ("fee 400.00", "key: fee: what is above the fee needs a key"),
        ("fee -400.00 + gb_out", "key: fee: '-400.00' is negative"),
        ("fee 400.001 + gb_out", "key: fee: '400.001' has 3 decimals"),
        ("fee 1e30 + gb_out", "key: fee: '1e30' is not a plain decimal"),
        ("fee 0 + gb_out", "key: fee: an equal fee is more than 0"),
        ("requests:0:0", "key: weights of requests are not both 0"),
        ("requests:1", "after ':'"),
        ("gb_out:moon", "after ':'"),
        ("gb_in:peering", "after ':'"),
        ("equal:customer", "after ':'"),
        ("x" * 501, "key: at most 500 characters"),
        (" + ".join(["1/11 equal"] * 11), "key: at most 10 keys are mixed"),
    ],
)
def test_a_wrong_key_is_refused_with_the_rule(key: str, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        parse_key(key, currency="EUR")


def test_a_pool_without_a_key_is_refused() -> None:
    with pytest.raises(Refusal, match="pool transit: it has no key in 2026-11"):
        share_pools({"transit": 5}, {}, USE, currency="EUR")


def test_a_key_nobody_used_is_refused() -> None:
    with pytest.raises(Refusal, match="pool rack: nobody used anything that its key gb_in counts in 2026-11"):
        shared_out("rack", 5, parse_key("gb_in", currency="EUR"), Use(MONTH, {}, {}), currency="EUR")
    with pytest.raises(Refusal, match="pool pool: nobody used anything that its key equal counts"):
        parts("fee 1.00 + gb_in", use=Use(MONTH, {}, {ANNA: usage(ANNA, bytes_in=1)}))


def test_a_fee_above_the_cost_is_refused() -> None:
    with pytest.raises(
        Refusal, match=r"the equal fee of 400\.00 EUR is more than the pool's cost of 399\.99 EUR"
    ):
        parts("fee 400.00 + gb_out", cost=39_999)


def test_a_pool_without_cost_is_nobody_s() -> None:
    assert {"disks": {}} == {
        "disks": shared_out("disks", 0, parse_key("gb_out", currency="EUR"), USE, currency="EUR")
    }


def test_a_pool_of_one_engine_is_borne_by_who_used_that_engine() -> None:
    """By hand: of ceph-a ben sent 30 GB and carla 10; who is on the disk bears nothing of it."""
    on = {"ceph-a": {BEN: usage(BEN, bytes_out=30 * GB, byte_us=5), CARLA: usage(CARLA, bytes_out=10 * GB)}}
    use = Use(MONTH, USE.members, USE.usage, USE.peaks, on)
    assert [0, 75_000, 25_000, 0] == parts("gb_out@ceph-a", use=use)
    assert [0, 100_000, 0, 0] == parts("gb_month@ceph-a", use=use)
    assert [12_500, 75_000, 12_500, 0] == parts("50 % gb_month@ceph-a + 50 % gb_out:internet", use=use)


@pytest.mark.parametrize("text", ["gb_out:internet@ceph-a", "requests:10:1@disk", "gb_in@b2"])
def test_a_key_of_an_engine_is_read_back_as_it_is_written(text: str) -> None:
    assert text == key_text(parse_key(text, currency="EUR"), currency="EUR")


@pytest.mark.parametrize("text", ["equal@ceph-a", "p95@ceph-a", "gb_out@", "gb_out@Ceph"])
def test_what_knows_no_engine_names_none(text: str) -> None:
    with pytest.raises(Refusal, match="key:"):
        parse_key(text, currency="EUR")
