"""The eleven rule sets: one co-op closed under each by hand, the law's limits kept, and nonsense refused.

The co-op: members' charges 10,000.00, others' 2,500.00, costs 10,000.00, side income 100.00. So the service earned
2,500.00, of which members 2,500 x 10,000 / 12,500 = 2,000.00 and others 500.00; 600.00 is never the members' to share.
Interest on shares is 60.00; users and workers share 80 to 20; u and v were charged 6,000.00 and 4,000.00.
"""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest

from billing.rules.book import rule_set, rule_set_ids, rule_set_text
from billing.rules.document import rule_set_document
from billing.rules.text import parse_rule_set, parse_rule_set_toml
from meter.refusal import Refusal
from tests.unit.test_patronage_examples import close, shares, step

IDS = ("us-subchapter-t", "us-selc", "ca-qc", "ca-federal", "uk-society", "it", "es", "fr-scic", "fr-scop", "de-eg", "plain")  # fmt: skip


def co_op(rules: str, **more: Any) -> dict[str, Any]:
    return {
        "currency": "CAD", "rule_set": rules, "costs": "10000.00", "side_income": "100.00",
        "non_member_revenue": "2500.00", "share_interest": "60.00", "fiscal_year_number": 3,
        "class_weights": {"user": 80, "worker": 20},
        "members": [
            {"id": "u", "class": "user", "charges": "6000.00"},
            {"id": "v", "class": "user", "charges": "4000.00"},
            {"id": "w", "class": "worker", "hours": "100"},
        ],
    } | more  # fmt: skip


def lots(rate: str, **more: Any) -> dict[str, Any]:
    """1,000.00 held by u the whole year, and by v for 73 of 365 days."""
    held = [("u", 365), ("v", 73)]
    lots = [{"member": one, "par": "1000.00", "rate": rate, "days": days} for one, days in held]
    return {"share_interest": "0", "share_lots": lots} | more


def test_the_eleven_are_there() -> None:
    assert set(IDS) == set(rule_set_ids())


def test_plain_gives_all_back_and_keeps_it_in_the_members_names() -> None:
    told = close(co_op("plain"))
    # 2,000 - 60 = 1,940: users 1,552, of which u 6/10.
    assert {"u": "931.20", "v": "620.80", "w": "388.00"} == shares(told) == shares(told, "retained")
    assert {"collective:main": "600.00", "interest:shares": "60.00"} == told["accounts"]


def test_subchapter_t_pays_20_percent_in_money() -> None:
    told = close(co_op("us-subchapter-t"))
    assert {"u": "931.20", "v": "620.80", "w": "388.00"} == shares(told)
    assert {"u": "186.24", "v": "124.16", "w": "77.60"} == shares(told, "cash")
    assert {"u": "744.96", "v": "496.64", "w": "310.40"} == shares(told, "nonqualified")  # nobody consented


def test_selc_tops_up_to_a_quarter() -> None:
    told = close(co_op("us-selc"))
    # A quarter of 2,600 is 650; 600 is there, 50 more. 2,000 - 50 - 60 = 1,890; users 1,512, half in cash.
    assert "50.00" == step(told, "top_up")
    assert {"u": "907.20", "v": "604.80", "w": "378.00"} == shares(told)
    assert {"u": "453.60", "v": "302.40", "w": "189.00"} == shares(told, "cash")


def test_selc_interest_is_at_most_15_percent() -> None:
    # 20 % asked, 15 % paid: 150.00 for the whole year, 30.00 for a fifth of it.
    assert {"u": "150.00", "v": "30.00"} == close(co_op("us-selc", **lots("20 %")))["interest"]


def test_quebec_takes_interest_first_then_what_the_meeting_puts_aside() -> None:
    told = close(co_op("ca-qc", voluntary_reserve="194.00"))
    # 2,000 - 60 - 194 = 1,746; users 1,396.80.
    assert {"u": "838.08", "v": "558.72", "w": "349.20"} == shares(told)
    keys = [one["key"] for one in told["steps"]]
    assert keys.index("share_interest") < keys.index("resolved_reserve_voluntary")


def test_federal_canada_retires_deficits_first_and_withholds_15_percent_above_100() -> None:
    given = co_op("ca-federal", prior_deficit="300.00")
    given["members"][0]["withholding"] = True
    told = close(given)
    # 2,000 - 300 - 60 = 1,640; users 1,312; u 787.20, of which 15 % of 687.20 = 103.08.
    assert {"u": "787.20", "v": "524.80", "w": "328.00"} == shares(told)
    settled = {one["id"]: (one["withheld"], one["paid"]) for one in told["settlements"]}
    assert {"u": ("103.08", "684.12"), "v": ("0.00", "524.80"), "w": ("0.00", "328.00")} == settled


@pytest.mark.parametrize(("base", "interest"), [("4 %", "60.00"), ("2 %", "50.00"), (None, "50.00")])
def test_a_uk_society_pays_2_over_base_or_5_if_greater(base: str | None, interest: str) -> None:
    given = co_op("uk-society", **lots("6 %"))
    given["share_lots"].pop()
    told = close(given | ({"reference_rate": base} if base else {}))
    assert interest == step(told, "share_interest")


def test_italy_takes_30_and_3_percent_of_all_profit() -> None:
    told = close(co_op("it"))
    # Of 2,600 together 780 and 78: from the members' 2,000 600 and 60, from the others' 600 180 and 18.
    assert {"reserve:compulsory": "780.00", "fund:mutual": "78.00", "collective:main": "402.00", "interest:shares": "60.00"} == told["accounts"]  # fmt: skip
    # 2,000 - 660 - 60 = 1,280; users 1,024.
    assert {"u": "614.40", "v": "409.60", "w": "256.00"} == shares(told)


def test_spain_takes_a_fifth_and_a_twentieth_and_half_of_the_rest() -> None:
    told = close(co_op("es"))
    assert {"reserve:compulsory": "700.00", "fund:education": "100.00", "collective:main": "300.00", "interest:shares": "60.00"} == told["accounts"]  # fmt: skip
    # 2,000 - 400 - 100 - 60 = 1,440; users 1,152.
    assert {"u": "691.20", "v": "460.80", "w": "288.00"} == shares(told)


def test_a_spanish_loss_goes_to_reserves_and_then_by_activity_at_least_the_minimum() -> None:
    # Loss 1,000: voluntary reserve 100; compulsory 20 % = 200 though it holds 500; members 700 by 600 and 400 (obliged).
    told = close(
        {
            "currency": "EUR", "rule_set": "es", "costs": "1700.00",
            "reserves": {"voluntary": "100.00", "compulsory": "500.00", "average": "20 %"},
            "members": [
                {"id": "u", "class": "user", "charges": "600.00"},
                {"id": "v", "class": "user", "charges": "100.00", "minimum_activity": "400.00"},
            ],
        }
    )  # fmt: skip
    assert {"reserve:voluntary": "-100.00", "reserve:compulsory": "-200.00"} == told["accounts"]
    assert {"u": "-420.00", "v": "-280.00"} == shares(told)


def test_spanish_interest_is_at_most_legal_interest_and_6_points() -> None:
    told = close(co_op("es", **lots("12 %", reference_rate="3.25 %")))
    assert {"u": "92.50", "v": "18.50"} == told["interest"]
    with pytest.raises(Refusal, match=r"^reference_rate: is missing; es allows interest up to 6 % above"):
        close(co_op("es", **lots("12 %")))


def test_a_scic_keeps_15_percent_and_half_of_the_rest() -> None:
    told = close(co_op("fr-scic"))
    assert ("300.00", "850.00") == (step(told, "compulsory_reserve"), step(told, "statutory_reserve"))
    # 2,000 - 300 - 850 - 60 = 790; users 632.
    assert {"u": "379.20", "v": "252.80", "w": "158.00"} == shares(told)


def test_a_legal_reserve_that_is_nearly_full_takes_what_it_lacks() -> None:
    told = close(co_op("fr-scic", reserves={"compulsory": "900.00", "highest_capital": "1000.00"}))
    assert ("100.00", "950.00") == (step(told, "compulsory_reserve"), step(told, "statutory_reserve"))


def test_a_scop_gives_workers_a_quarter_at_least() -> None:
    told = close(co_op("fr-scop"))
    # 2,000 - 300 - 60 = 1,640; a fifth would be 328, a quarter of 2,000 is 500. Users 1,140.
    assert {"user": "1140.00", "worker": "500.00"} == told["class_pools"]
    assert {"u": "684.00", "v": "456.00", "w": "500.00"} == shares(told)


def test_scop_interest_is_at_most_the_workers_part() -> None:
    with pytest.raises(Refusal, match=r"^share_interest: 700\.00 is more than the workers' part, 500\.00"):
        close(co_op("fr-scop", share_interest="700.00"))


def test_workers_of_a_scop_share_whether_members_or_not_and_elsewhere_they_do_not() -> None:
    given = co_op("fr-scop")
    given["members"].append({"id": "x", "class": "worker", "hours": "300", "member": False})
    assert ("125.00", "375.00") == (shares(close(given))["w"], shares(close(given))["x"])
    with pytest.raises(Refusal, match=r"^members: 'x' is no member, and by es only members share"):
        close(given | {"rule_set": "es"})


def test_a_german_refund_is_at_most_the_members_surplus_and_for_no_employee() -> None:
    told = close(co_op("de-eg"))
    # § 22 KStG: (2,600 - 100) x 10,000 / 12,500 = 2,000; less interest 60. 19.4 % of charges for all.
    assert {"u": "1164.00", "v": "776.00", "w": "0.00"} == shares(told)
    assert "class worker does not share" in [one["name"] for one in told["steps"]]


@pytest.mark.parametrize("identity", IDS)
def test_every_number_has_a_source_and_is_within_its_law(identity: str) -> None:
    for number in rule_set(identity).numbers().values():
        assert number.source
        assert number.least is None or number.least <= number.share
        assert number.most is None or number.most >= number.share


@pytest.mark.parametrize("identity", IDS)
def test_a_rule_set_reads_back_from_its_document(identity: str) -> None:
    assert rule_set(identity) == parse_rule_set(rule_set_document(rule_set(identity)))


def changed(identity: str, **more: Any) -> dict[str, Any]:
    """The file's document with some keys replaced; `levy_0_share` reaches into the first levy."""
    document = copy.deepcopy(tomllib.loads(rule_set_text(identity)))
    for key, value in more.items():
        place: Any = document
        *path, last = key.split("__")
        for one in path:
            place = place[int(one) if one.isdigit() else one]
        place[last] = value
    return document


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (changed("es", levy__0__share="19 %"), "rule_set.levy[0].share: 19 % is less than the law's 20 % (Ley 27/1999, art. 58"),
        (changed("us-selc", interest__cap={"share": "16 %", "most": "15 %", "source": "12451"}), "rule_set.interest.cap.share: 16 % is more than the law's 15 % (12451)"),
        (changed("us-selc", cash__share="19.99 %"), "rule_set.cash.share: 19.99 % is less than the law's 20 %"),
        (changed("it", levy__0__share="98 %"), "rule_set: mutual_funds and what is taken before it come to 101 % of the members' surplus; percentages may not exceed the whole"),
        (changed("fr-scop", levy__0__share="80 %"), "rule_set: reserves of 80 % leave less than the 25 % that workers get at least"),
        (changed("plain", cash__share="101 %"), "rule_set.cash.share: '101 %' is more than the whole, 100 %"),
        (changed("plain", cash__share=1), "rule_set.cash.share: one line of text in quotes is wanted here"),
        (changed("plain", cash__share="-1 %"), "rule_set.cash.share: '-1 %' is not an exact number of 0 or more"),
        (changed("plain", cash__shaer="1"), "rule_set.cash.shaer: is an unknown key; did you mean 'share'?"),
        (changed("plain", loss__rest="nobody"), "rule_set.loss.rest: 'nobody' is none of collective, carried"),
        (changed("plain", levy=[{}]), "rule_set.levy[0].key: is missing"),
        (changed("es", levy__1__key="compulsory_reserve"), "rule_set.levy: two levies have one key"),
        (changed("es", levy__0__key="cash_share"), "rule_set.levy[0].key: 'cash_share' is the name of another number"),
        (changed("es", levy__0__to="payable:tax"), "rule_set.levy[0].to: 'payable:tax' is no account of a reserve or fund"),
        (changed("plain", effective_from="soon"), "rule_set.effective_from: 'soon' is not a month; write it as YYYY-MM"),
        (changed("plain", version=-1), "rule_set.version: a whole number of 0 or more is wanted here"),
        (changed("plain", id="Plain!"), "rule_set.id: 'Plain!' is no name"),
        ([], "rule_set: a table of names and values is wanted here"),
    ],
)  # fmt: skip
def test_a_rule_set_that_breaks_a_rule_is_refused(document: Any, sentence: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_rule_set(document)
    assert str(refused.value).startswith(sentence)


def test_a_file_that_is_no_toml_or_too_large_is_refused() -> None:
    with pytest.raises(Refusal, match=r"^rule_set: is not TOML"):
        parse_rule_set_toml("id = ")
    with pytest.raises(Refusal, match=r"^rule_set: a file of rules has at most 65536 bytes"):
        parse_rule_set_toml("#" * 65537)


def test_an_unknown_rule_set_names_the_nearest() -> None:
    with pytest.raises(Refusal, match=r"^rule_set: 'us-selk' is unknown; did you mean 'us-selc'"):
        rule_set("us-selk")
