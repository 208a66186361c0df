"""Published and worked examples of the patronage reference, G1 to G20, closed to the cent.

Each expected number is the source's own, or a sum that can be done by hand beside it.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from billing.money import floor_share
from billing.rules.book import rule_set
from billing.year.closing import close_year
from billing.year.document import year_document
from billing.year.reading import read_simulation
from meter.refusal import Refusal

G18: dict[str, Any] = {
    "currency": "EUR", "rule_set": "us-selc", "costs": "2300.00", "side_income": "20.00",
    "non_member_revenue": "500.00", "share_interest": "15.00", "class_weights": {"user": 80, "worker": 20},
    "cash_share": "0.30", "prior_deficit": "0.00", "fiscal_year_number": 3,
    "members": [
        {"id": "A", "class": "user", "charges": "1512.37"},
        {"id": "B", "class": "user", "charges": "903.11"},
        {"id": "C", "class": "user", "charges": "584.52"},
        {"id": "W1", "class": "worker", "hours": "1200"},
        {"id": "W2", "class": "worker", "hours": "700"},
    ],
}  # fmt: skip


def close(given: dict[str, Any]) -> dict[str, Any]:
    return year_document(close_year(read_simulation(json.dumps(given).encode(), rule_set)))


def shares(told: dict[str, Any], field: str = "amount") -> dict[str, str]:
    return {row["id"]: row[field] for row in told["allocations"]}


def step(told: dict[str, Any], key: str) -> str:
    found = [one["amount"] for one in told["steps"] if one["key"] == key]
    assert len(found) == 1, key
    return str(found[0])


def usd(**more: Any) -> dict[str, Any]:
    return {"currency": "USD", "rule_set": "plain", **more}


def test_g1_the_nonqualified_part_is_left_out_of_the_base_of_20_percent() -> None:
    # 26 CFR 1.1388-1(c)(1): 100 = nonqualified 50 + notice 40 + money 10; 10 / (100 - 50) = 20 %.
    given = usd(
        rule_set="us-subchapter-t",
        costs="900.00",
        cash_share="0.10",
        nonqualified_share="0.50",
        members=[{"id": "M", "class": "user", "charges": "1000.00", "consent": True}],
    )
    row = close(given)["allocations"][0]
    assert ["100.00", "10.00", "40.00", "50.00"] == [
        row[field] for field in ("amount", "cash", "qualified", "nonqualified")
    ]
    with pytest.raises(Refusal, match=r"^cash_share: 10 % is less than 20 %"):  # notice 90 + money 10
        close(given | {"nonqualified_share": "0"})


def test_g3_a_marketing_pool_pays_5_cents_a_unit() -> None:
    # 26 CFR 1.1388-1(a)(3) example 1: advances of 45 c and 40 c are costs; 3 c cash and 2 c stock are patronage.
    told = close(
        usd(
            costs="85.00",
            cash_share="0.6",
            members=[{"id": "100 units", "class": "user", "charges": "90.00"}],
        )
    )
    assert {"100 units": "5.00"} == shares(told)
    assert [["3.00"], ["2.00"]] == [list(shares(told, one).values()) for one in ("cash", "retained")]


def test_g3_a_purchaser_of_100_gets_1_in_cash_and_1_in_paper() -> None:
    # 26 CFR 1.1388-1(a)(3) example 3.
    told = close(
        usd(costs="98.00", cash_share="1/2", members=[{"id": "M", "class": "user", "charges": "100.00"}])
    )
    assert [{"M": "2.00"}, {"M": "1.00"}, {"M": "1.00"}] == [
        shares(told, one) for one in ("amount", "cash", "retained")
    ]


def test_g4_ampled_gives_artists_85_and_workers_15_of_100() -> None:
    # Ampled's documentation: dues 1,000,000, expenses 900,000; artists by support received, workers by time and value.
    told = close(
        usd(
            costs="900000.00", non_member_hours="0",
            class_weights={"artist": 85, "worker": 15},
            members=[
                {"id": "a", "class": "artist", "points": "3", "charges": "1000000.00"},
                {"id": "b", "class": "artist", "points": "1"},
                {"id": "w", "class": "worker", "hours": "100", "factor": "2"},
                {"id": "v", "class": "worker", "hours": "100"},
            ],
        )
    )  # fmt: skip
    assert {"artist": "85000.00", "worker": "15000.00"} == told["class_pools"]
    assert {"a": "63750.00", "b": "21250.00", "w": "10000.00", "v": "5000.00"} == shares(told)


def test_g5_resonate_divides_a_million_45_35_20() -> None:
    told = close(
        usd(
            class_weights={"musician": "45 %", "fan": "35 %", "staff": "20 %"},
            members=[
                {"id": "m", "class": "musician", "points": "7", "charges": "1000000.00"},
                {"id": "f", "class": "fan", "points": "2"},
                {"id": "s", "class": "staff", "points": "9"},
            ],
        )
    )
    assert {"musician": "450000.00", "fan": "350000.00", "staff": "200000.00"} == told["class_pools"]


def test_g6_stocksy_has_three_keys_in_one_run() -> None:
    # Stocksy's rules: 5 % to class A equally, 5 % to B by years of service, 90 % to C by share of royalties.
    told = close(
        usd(
            class_weights={"a": 5, "b": 5, "c": 90}, class_keys={"a": "equal", "b": "points", "c": "charges"},
            members=[
                {"id": "a1", "class": "a"}, {"id": "a2", "class": "a"},
                {"id": "b1", "class": "b", "points": "1"}, {"id": "b2", "class": "b", "points": "4"},
                {"id": "c1", "class": "c", "charges": "600.00"}, {"id": "c2", "class": "c", "charges": "400.00"},
            ],
        )
    )  # fmt: skip
    assert {
        "a1": "25.00",
        "a2": "25.00",
        "b1": "10.00",
        "b2": "40.00",
        "c1": "540.00",
        "c2": "360.00",
    } == shares(told)


@pytest.mark.parametrize(
    ("owners", "others", "pool"),
    [("7744236", "2255764", "159927"), ("7744000", "2256000", "159922")],
    ids=["the revenue itself", "the printed, rounded ratio"],
)
def test_g7_davis_food_co_op(owners: str, others: str, pool: str) -> None:
    # Year to 30 September 2017: net income 206,511 in whole dollars, which a currency without cents stands for here.
    costs = str(10_000_000 - 206_511)
    told = close(
        {
            "currency": "JPY", "costs": costs, "non_member_revenue": others,
            "members": [{"id": "owners", "class": "user", "charges": owners}],
        }
    )  # fmt: skip
    assert pool == told["pool"]


def test_g10_south_river_truncated_and_we_lose_no_cent() -> None:
    # 2023: margins 1,986,009.98, factor 0.0200484830, a bill of 1,000.00. They printed 20.04 = 4.00 + 16.04.
    allocated = floor_share(100_000, Fraction("0.0200484830"))
    assert (2004, 400) == (allocated, floor_share(allocated, Fraction("0.2")))
    told = close(
        usd(
            costs="97074351.82",
            members=[
                {"id": "M", "class": "user", "charges": "1000.00"},
                {"id": "rest", "class": "user", "charges": "99059361.80"},
            ],
        )
    )
    # 20.048483 exactly: the cent that truncation drops is the larger remainder's.
    assert {"M": "20.05", "rest": "1985989.93"} == shares(told)


def test_g12_fifty_fifty_fifty_is_a_quarter_in_cash() -> None:
    # Kenkel, "fuzzy math": 50 % unallocated, and of the rest half in cash: 25 % of the surplus, which must be said.
    told = close(
        usd(
            costs="900.00",
            voluntary_reserve="50.00",
            cash_share="50 %",
            members=[{"id": "M", "class": "user", "charges": "1000.00"}],
        )
    )
    assert ["50.00", "25.00", "25.00"] == [shares(told, one)["M"] for one in ("amount", "cash", "retained")]
    formula = next(one["formula"] for one in told["steps"] if one["key"] == "cash")
    assert "50 % of what members share, 25 % of the members' result" == formula


def test_g15_weaver_street_pays_78_cents_an_hour() -> None:
    # 2015: half of the profit to worker-owners; 0.78 x 2,080 hours = 1,622.40. 10,000 hours make a pool of 7,800.
    told = close(
        usd(
            class_weights={"user": "50 %", "worker": "50 %"},
            members=[
                {"id": "shoppers", "class": "user", "charges": "15600.00"},
                {"id": "full-time", "class": "worker", "hours": "2080"},
                {"id": "others", "class": "worker", "hours": "7920"},
            ],
        )
    )
    assert "7800.00" == told["class_pools"]["worker"]
    assert "1622.40" == shares(told)["full-time"]


def test_g18_the_full_closing_in_all_its_steps() -> None:
    told = close(G18)
    assert {
        "operating_result": "1200.00", "member_result": "1028.57", "non_member_result": "171.43",
        "collective": "191.43", "result": "1220.00", "collective_target": "305.00", "top_up": "113.57",
        "left": "915.00", "share_interest": "15.00", "pool": "900.00",
    } == {key: step(told, key) for key in (
        "operating_result", "member_result", "non_member_result", "collective", "result", "collective_target",
        "top_up", "left", "share_interest", "pool",
    )}  # fmt: skip
    assert ("1220.00", "1028.57", "171.43", "191.43", "900.00") == tuple(
        told[key] for key in ("result", "member_result", "non_member_result", "collective", "pool")
    )
    assert {"user": "720.00", "worker": "180.00"} == told["class_pools"]
    assert {"A": "362.97", "B": "216.75", "C": "140.28", "W1": "113.68", "W2": "66.32"} == shares(told)
    assert {"A": "108.90", "B": "65.03", "C": "42.09", "W1": "34.11", "W2": "19.90"} == shares(told, "cash")
    assert {"A": "254.07", "B": "151.72", "C": "98.19", "W1": "79.57", "W2": "46.42"} == shares(
        told, "retained"
    )
    assert "900.00 + 15.00 + 113.57 + 191.43 = 1,220.00" in [one.get("figures") for one in told["checks"]]
    assert {"collective:main": "305.00", "interest:shares": "15.00"} == told["accounts"]


def selc(**more: Any) -> dict[str, Any]:
    hours = {"A": "2000", "B": "1000", "C": "500"}
    workers = [{"id": name, "class": "worker", "hours": count} for name, count in hours.items()]
    return usd(rule_set="us-selc", fiscal_year_number=3, class_weights={"worker": 1}, members=workers) | more


def test_g19_profit_above_a_quarter_takes_nothing_from_the_surplus() -> None:
    # Profit 60.00, surplus 140.00: 30 % is collective already.
    members = [{"id": "A", "class": "worker", "hours": "1", "charges": "140.00"}]
    told = close(selc(members=members, side_income="60.00"))
    assert ("60.00", "140.00", "0.00") == (told["collective"], told["pool"], step(told, "top_up"))


def test_g19_without_profit_a_quarter_of_the_surplus_is_collective() -> None:
    members = [{"id": "A", "class": "worker", "hours": "1", "charges": "200.00"}]
    told = close(selc(members=members))
    assert ("50.00", "150.00") == (told["accounts"]["collective:main"], told["pool"])


def test_g19_a_loss_of_the_third_year_is_borne_by_hours() -> None:
    told = close(selc(costs="1000.00", share_interest="15.00"))
    assert {"A": "-428.57", "B": "-214.29", "C": "-107.14"} == shares(told)
    assert {"A": "0.00", "B": "0.00", "C": "0.00"} == shares(told, "cash")
    assert {"collective:main": "-250.00"} == told["accounts"]


def test_g19_a_loss_of_the_second_year_is_all_collective() -> None:
    told = close(selc(costs="1000.00", fiscal_year_number=2))
    assert {"collective:main": "-1000.00"} == told["accounts"]
    assert ("0.00", {"0.00"}) == (told["pool"], set(shares(told).values()))


def test_g20_spain_takes_a_fifth_a_twentieth_and_a_half() -> None:
    # Ley 27/1999 art. 58: co-operative surplus 10,000, extra-co-operative 2,000, prior co-operative loss 1,000.
    told = close(
        {
            "currency": "EUR", "rule_set": "es", "side_income": "2000.00", "prior_deficit": "1000.00",
            "members": [{"id": "A", "class": "user", "charges": "10000.00"}],
        }
    )  # fmt: skip
    assert ("1800.00", "1000.00", "450.00") == tuple(
        step(told, key) for key in ("compulsory_reserve", "compulsory_reserve_others", "education_fund")
    )
    assert "2800.00" == told["accounts"]["reserve:compulsory"]


def test_g20_a_scic_keeps_57_5_percent_and_shares_get_at_most_the_rest() -> None:
    given = {
        "currency": "EUR", "rule_set": "fr-scic", "share_interest": "5000.00",
        "members": [{"id": "A", "class": "user", "charges": "10000.00"}],
    }  # fmt: skip
    told = close(given)
    assert ("1500.00", "4250.00", "4250.00") == tuple(
        step(told, key) for key in ("compulsory_reserve", "statutory_reserve", "share_interest")
    )
    assert "4250.00" == close(given | {"share_interest": "0"})["pool"]
    assert "3250.00" == step(close(given | {"public_aid": "1000.00"}), "share_interest")


@pytest.mark.parametrize(
    ("months", "stayed", "left", "results", "shared"),
    [
        # 4 × 50.00 left over; of 800.00 charged 200.00 were a customer's, so 50.00 are; 150.00 by 400 and 200.
        (4, "400.00", "200.00", ("150.00", "50.00"), {"anna": "100.00", "ben": "50.00"}),
        (12, "1200.00", None, ("300.00", "300.00"), {"anna": "300.00"}),
    ],
)
def test_who_left_shares_by_the_months_they_were_in(
    months: int, stayed: str, left: str | None, results: tuple[str, str], shared: dict[str, str]
) -> None:
    """Anna and ben are charged 100.00 a month each, the rack costs 150.00; ben left after two months of the first year,
    and his data stayed, as a customer's."""
    theirs = 100 * months - (0 if left is None else 200)
    given = {
        "currency": "EUR", "rule_set": "de-eg", "costs": f"{150 * months}.00",
        "non_member_revenue": f"{theirs}.00",
        "members": [
            {"id": "anna", "class": "user", "charges": stayed},
            *([] if left is None else [{"id": "ben", "class": "user", "charges": left}]),
        ],
    }  # fmt: skip
    told = close(given)
    assert results == (step(told, "member_result"), step(told, "non_member_result"))
    assert shared == shares(told)
