"""A tariff's prices of a storage engine: read, written, kept, and charged in lines of their own."""

from __future__ import annotations

import pytest

from billing.charges.rating import charge
from billing.charges.tariff import Tariff, parse_tariff, tariff_document, tariff_of, tariff_toml
from billing.month.member_month import member_month, read_back
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Late, Member, MemberClass, MemberStatus, OnEngine, Usage, on_engines
from meter.window import Month

MONTH, EARLIER = Month(2026, 10), Month(2026, 9)
GB = 10**9
ANNA = MemberId(1)
PLAIN = """
currency = "EUR"
effective_from = "2026-01"
gb_out = "1.00"
gb_in = "0"
gb_month = "2.00"
requests_a_1000 = "0"
requests_b_1000 = "0"
"""
PRICED = (
    PLAIN
    + """
[engine.ceph-a]
gb_out = "0.10"
[engine.ceph-a.free]
gb_out = "1"
[engine.disk]
gb_month = "1.50"
[class.customer]
gb_out = "3.00"
[class.customer.engine.ceph-a]
gb_out = "0.30"
"""
)


def used(**counts: int) -> Usage:
    return Usage(ANNA, MONTH.start_us, MONTH.end_us, **counts)


def on(engine: str, **counts: int) -> OnEngine:
    return OnEngine(engine, used(**counts))


def charged(text: str, usage: Usage, **how: object) -> list[tuple[str, str, int, int]]:
    """Service, engine, quantity, amount of what there is."""
    lines = charge(usage, parse_tariff(text), MONTH, **how).lines  # type: ignore[arg-type]
    return [(one.service.value, one.engine, one.quantity, one.amount_minor) for one in lines if one.quantity]


def with_parts(usage: Usage, *parts: OnEngine) -> Usage:
    return Usage(
        ANNA, MONTH.start_us, MONTH.end_us, usage.bytes_in, usage.bytes_out, byte_us=usage.byte_us,
        bytes_out_peering=usage.bytes_out_peering, late=usage.late, engines=parts,
    )  # fmt: skip


def test_what_is_on_an_engine_with_a_price_has_its_own_line() -> None:
    """5 GB sent, 3 of them from ceph-a, of which 1 is free there: 2 at 1.00 and 2 at 0.10."""
    usage = with_parts(used(bytes_out=5 * GB), on("ceph-a", bytes_out=3 * GB))
    assert [("gb_out", "", 2 * GB, 200), ("gb_out", "ceph-a", 3 * GB, 20)] == charged(PRICED, usage)


def test_a_service_the_engine_has_no_price_of_stays_where_it_was() -> None:
    """10 GB kept on ceph-a, which has no price of storage: one line at 2.00; 4 GB on the disk, which has: 1.50."""
    month_us = MONTH.end_us - MONTH.start_us
    usage = with_parts(
        used(byte_us=14 * GB * month_us),
        on("ceph-a", byte_us=10 * GB * month_us),
        on("disk", byte_us=4 * GB * month_us),
    )
    assert [
        ("gb_month", "", 10 * GB * month_us, 2000),
        ("gb_month", "disk", 4 * GB * month_us, 600),
    ] == charged(PRICED, usage)


def test_a_customer_pays_an_engine_s_price_for_customers() -> None:
    usage = with_parts(used(bytes_out=5 * GB), on("ceph-a", bytes_out=3 * GB))
    assert [("gb_out", "", 2 * GB, 600), ("gb_out", "ceph-a", 3 * GB, 60)] == charged(
        PRICED, usage, member_class="customer"
    )


def test_peering_that_only_the_engine_has_a_price_of_is_taken_out_of_what_was_sent() -> None:
    text = PLAIN + '[engine.b2]\ngb_out_peering = "0.01"\n'
    usage = with_parts(
        used(bytes_out=9 * GB, bytes_out_peering=6 * GB), on("b2", bytes_out=5 * GB, bytes_out_peering=4 * GB)
    )
    assert [("gb_out", "", 5 * GB, 500), ("gb_out_peering", "b2", 4 * GB, 4)] == charged(text, usage)


def test_what_came_late_is_charged_at_its_month_s_price_of_the_engine() -> None:
    """2 GB of September, from ceph-a, where September's tariff had 0.70 for it; October's has 0.10."""
    late = Late(EARLIER, False, bytes_out=2 * GB)
    part = OnEngine("ceph-a", Usage(ANNA, MONTH.start_us, MONTH.end_us, bytes_out=2 * GB, late=(late,)))
    usage = with_parts(Usage(ANNA, MONTH.start_us, MONTH.end_us, bytes_out=2 * GB, late=(late,)), part)
    september = parse_tariff(PLAIN + '[engine.ceph-a]\ngb_out = "0.70"\n')
    assert [("gb_out", "ceph-a", 2 * GB, 140)] == charged(PRICED, usage, earlier={EARLIER: september})
    # September had no price of ceph-a: it was like anything else.
    assert [("gb_out", "", 2 * GB, 200)] == charged(PRICED, usage, earlier={EARLIER: parse_tariff(PLAIN)})


@pytest.mark.parametrize("text", [PLAIN, PRICED])
def test_a_tariff_is_read_back_as_it_was(text: str) -> None:
    tariff = parse_tariff(text)
    assert tariff == parse_tariff(tariff_toml(tariff))
    assert tariff == tariff_of(tariff_document(tariff))


def test_a_tariff_without_engines_has_the_document_it_always_had() -> None:
    assert {"currency", "effective_from", "prices_nano"} == set(tariff_document(parse_tariff(PLAIN)))
    assert frozenset() == parse_tariff(PLAIN).engine_names
    assert {"ceph-a", "disk"} == parse_tariff(PRICED).engine_names


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('[engine."Ceph A"]\ngb_out = "1"', "engine.Ceph A: is no engine's name"),
        ("[engine.b2]", "engine.b2: has no price"),
        ("[engine.b2]\ngb_out = 1", "engine.b2.gb_out: write it in quotes"),
        ('[engine.b2]\ngb_outt = "1"', "did you mean 'gb_out'"),
        ("engine = 3", "engine: is a table of its own"),
        ('[engine.b2]\ngb_out = "1"\n[engine.b2.engine.c]\ngb_out = "1"', "unknown key 'engine'"),
        ('[class.user.engine.b2]\ngb_out = "-1"', "class.user.engine.b2.gb_out"),
    ],
)
def test_what_is_wrong_is_named(more: str, words: str) -> None:
    text = more + PLAIN if more.startswith("engine =") else PLAIN + more
    with pytest.raises(Refusal, match=words):
        parse_tariff(text)


def test_a_member_s_line_is_read_back_as_it_was_kept() -> None:
    late = Late(EARLIER, True, bytes_out=-7)
    part = OnEngine("ceph-a", Usage(ANNA, MONTH.start_us, MONTH.end_us, bytes_out=3, late=(late,)))
    usage = with_parts(Usage(ANNA, MONTH.start_us, MONTH.end_us, bytes_out=5, late=(late,)), part)
    tariff: Tariff = parse_tariff(PRICED)
    anna = Member(ANNA, "anna", MemberClass.USER, "", MemberStatus.ACTIVE, 0)
    kept = member_month(anna, usage, charge(usage, tariff, MONTH))
    assert kept == read_back(kept.text, start_us=MONTH.start_us, end_us=MONTH.end_us)


def test_an_engine_without_use_is_left_out() -> None:
    assert (on("a", bytes_out=1),) == on_engines({"b": used(), "a": used(bytes_out=1)})
