"""weir simulate: bad input is one sentence with the field and the rule, exit 2 and nothing on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from billing.rules.book import rule_set
from billing.year import reading
from billing.year.closing import close_year
from billing.year.document import year_document
from billing.year.reading import read_simulation
from deploy.commands.simulate import simulate
from meter.refusal import Refusal
from tests.ordinary import ROOT
from tests.random_co_ops import random_co_op
from tests.unit.test_patronage_examples import G18, close, shares, step

A, B, C, W1, W2 = G18["members"]


def raw(**texts: str) -> str:
    """G18 with values as JSON text, so that 1e30 and NaN can be written."""
    whole = {key: json.dumps(value) for key, value in G18.items()} | texts
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in whole.items() if value) + "}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (raw(costs='"2300.001"'), "costs: '2300.001' has 3 decimals; at most 2 are exact"),
        (raw(costs='"NaN"'), "costs: 'NaN' is not a plain decimal number"),
        (raw(costs="NaN"), "costs: NaN is not exact; write the number in quotes"),
        (raw(costs="Infinity"), "costs: Infinity is not exact"),
        (raw(costs='"1e30"'), "costs: '1e30' is not a plain decimal number"),
        (raw(costs="1e30"), "costs: 1e30 is not exact"),
        (raw(costs="1" + "0" * 60), "costs: 1000"),
        (raw(costs='"1000000000000000000.00"'), "costs: '1000000000000000000.00' is too large; at most 15 digits"),
        (raw(costs="2300.0"), "costs: 2300.0 is not exact; write the number in quotes, for example"),
        (raw(costs="true"), "costs: this is not exact"),
        (raw(costs="null"), "costs: this is not exact"),
        (raw(costs='"-5.00"'), "costs: '-5.00' is negative; it must be 0 or more"),
        (raw(costs='"2300.00 USD"'), "costs: '2300.00 USD' is not a plain decimal number"),
        (raw(costs='"２３００"'), "costs: '２３００' is not a plain decimal number"),
        (raw(currency='"EURO"'), "currency: 'EURO' is not a currency code of ISO 4217; write it like EUR"),
        (raw(currency='"BTC"'), "currency: 'BTC' is not a currency code"),
        (raw(currency=""), "currency: is missing"),
        (raw(currency='"JPY"'), "members[0].charges: '1512.37' has 2 decimals; at most 0 are exact"),
        (raw(class_weights='{"user":0,"worker":"0"}'), "class_weights: all are zero"),
        (raw(class_weights="{}"), "class_weights: all are zero"),
        (raw(class_weights='{"user":80,"worker":-20}'), "class_weights.worker: '-20' is not an exact number of 0 or more"),
        (raw(class_weights='{"user":0.8,"worker":0.2}'), "class_weights.user: 0.8 is not exact"),
        (raw(class_weights='{"user":80,"customer":20}'), "class_weights.customer: no member is of this class"),
        (raw(class_weights='{"user":80,"supporter":20}'), "class_weights.supporter: no member is of this class; leave it out, or say with empty_class"),
        (raw(class_weights='{"user":80,"wroker":20}'), "class_weights.wroker: no member is of this class"),
        (raw(class_weights=""), "class_weights: is missing, and user and worker share"),
        (raw(members="[]"), "members: there is none"),
        (raw(members=""), "members: is missing"),
        (raw(members="{}"), "members: a list of tables is wanted here"),
        (raw(members='["A"]'), "members[0]: a table of names and values is wanted here"),
        (raw(members=json.dumps([A, W1, A])), "members: 'A' is there twice as user; a member has one row a class"),
        (raw(members=json.dumps([A, W1, B | {"class": "usr"}])), "members: 'B' is of class 'usr', which class_weights does not name"),
        (raw(members=json.dumps([A, W1, B | {"chrages": "1"}])), "members[2].chrages: is an unknown key; did you mean 'charges'?"),
        (raw(members=json.dumps([A, W1 | {"hours": "1e3"}])), "members[1].hours: '1e3' is not an exact number of 0 or more"),
        (raw(members=json.dumps([A, W1 | {"hours": "1/3"}])), "members[1].hours: '1/3' is not a plain decimal; write it like 7.5"),
        (raw(members=json.dumps([A | {"id": ""}])), "members[0].id: one line of text in quotes is wanted here"),
        (raw(members='[{"id":"\\ud800","class":"user"}]'), "members[0].id: one line of text"),
        (raw(members='[{"id":"a","class":[]}]'), "members[0].class: name one class"),
        (raw(members=json.dumps([A | {"hours": "3"}, W1])), "members[0].hours: a user shares by charges"),
        (raw(members=json.dumps([A | {"joined": "2026-13-01"}, W1])), "members[0].joined: is not a day; write it as YYYY-MM-DD"),
        (raw(members=json.dumps([A | {"joined": "2026-02-01", "left": "2026-01-01"}, W1])), "members[0].left: 2026-01-01 is before 2026-02-01"),
        (raw(members=json.dumps([A | {"withholding": True}, W1])), "members: 'A' has withholding, and us-selc holds no rule for it"),
        (raw(cash_share='"0.19"'), "cash_share: 19 % is less than 20 %, the least that us-selc allows"),
        (raw(cash_share='"1.01"'), "cash_share: 101 % is more than the whole, 100 %"),
        (raw(cash_share='"1/0"'), "cash_share: '1/0' is not an exact number"),
        (raw(cash_share="0.3"), "cash_share: 0.3 is not exact"),
        (raw(percentages='{"collective_target":"101 %"}'), "percentages.collective_target: 101 % is more than the whole"),
        (raw(percentages='{"collective_traget":"30 %"}'), "percentages.collective_traget: is unknown; did you mean 'collective_target'?"),
        (raw(rule_set='"it"', percentages='{"compulsory_reserve":"98 %"}'), "percentages: mutual_funds and what is taken before it come to 101 % of the members' surplus; percentages may not exceed the whole"),
        (raw(rule_set='"es"', percentages='{"education_fund":"4 %"}'), "percentages.education_fund: 4 % is less than the law's 5 % (Ley 27/1999, art. 58"),
        (raw(rule_set='"us-selk"'), "rule_set: 'us-selk' is unknown; did you mean 'us-selc'?"),
        (raw(rule_set="7"), "rule_set: one line of text in quotes is wanted here"),
        (raw(rule_set='{"id":"mine"}'), "rule_set.effective_from: is missing"),
        (raw(rule_set='"us-subchapter-t"', class_weights='{"user":40,"supporter":60}', members=json.dumps([A, {"id": "S", "class": "supporter"}])), "class_weights.supporter: more than 50 % of all weights"),
        (raw(voluntary_reserve='"2000.00"'), "voluntary_reserve: 2000.00 is more than the 900.00 that is left for it"),
        (raw(costs='"9300.00"', education='"1.00"'), "education: the members' result is a loss, and only a surplus can be put aside"),
        (raw(costs='"9300.00"', fiscal_year_number=""), "fiscal_year_number: is missing; us-selc treats a loss of the first 2 fiscal years otherwise"),
        (raw(fiscal_year_number="0"), "fiscal_year_number: a whole number of 1 or more is wanted here"),
        (raw(fiscal_year_number='"1.5"'), "fiscal_year_number: a whole number of 1 or more"),
        (raw(share_lots='[{"member":"A","par":"1.00","rate":"0.05","days":1}]'), "share_interest: share_lots are there too"),
        (raw(share_interest="", share_lots='[{"member":"Z","par":"1.00","rate":"0.05","days":1}]'), "share_lots: 'Z' is no member here"),
        (raw(share_interest="", share_lots='[{"member":"A","par":"1.00","rate":"0.05","days":366}]'), "share_lots: 366 days of 'A' are not 0 to 365"),
        (raw(days_in_year="360"), "days_in_year: 360 is not 365 or 366"),
        (raw(funds='{"Fund!":"1.00"}'), "funds.Fund!: is no fund's name"),
        (raw(empty_class='"vanish"'), "empty_class: 'vanish' is none of reserve, others"),
        (raw(coasts='"1"'), "coasts: is an unknown key; did you mean 'costs'?"),
        ('{"costs":"1.00","costs":"2.00"}', "costs: stands there twice; each key is given once"),
        ("[" * 100_000, "the file is not a simulation: it is nested too deep"),
        ("{", "the file is not JSON: line 1, column 2"),
        ("[]", "the file: a table of names and values is wanted here"),
        ("", "the file is not JSON: line 1, column 1"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_prints_nothing(text: str, sentence: str) -> None:
    told = CliRunner().invoke(simulate, ["-"], input=text.encode("utf-8", "surrogatepass"))
    assert isinstance(told.exception, Refusal), told.output
    assert str(told.exception).startswith(sentence)
    assert "\n" not in str(told.exception)
    assert "" == told.stdout


def test_what_is_no_utf_8_or_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match=r"^the file is not UTF-8 text: byte 2 is wrong"):
        read_simulation(b'{"\xff', rule_set)
    monkeypatch.setattr(reading, "SIMULATION_BYTES_MAX", 3)
    with pytest.raises(Refusal, match=r"^the file has more than 3 bytes"):
        read_simulation(b"{  }", rule_set)


def weir(*arguments: str, given: str = "", data: Path) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, with no co-op anywhere."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", "simulate", *arguments],
        input=given, capture_output=True, text=True, check=False, cwd=ROOT, env={"WEIR_DATA": str(data), "PATH": ""},
    )  # fmt: skip


def test_the_command_prints_json_and_needs_no_co_op(tmp_path: Path) -> None:
    file = tmp_path / "g18.json"
    file.write_text(json.dumps(G18))
    from_file, from_stdin = (
        weir(str(file), data=tmp_path / "none"),
        weir("-", given=json.dumps(G18), data=tmp_path),
    )
    assert (0, "", from_file.stdout) == (from_stdin.returncode, from_stdin.stderr, from_stdin.stdout)
    told = json.loads(from_file.stdout)
    assert "900.00" == told["pool"]
    assert not (tmp_path / "none").exists()
    keys = ("result", "steps", "member_result", "non_member_result", "collective", "pool", "class_pools", "allocations", "checks", "digest")  # fmt: skip
    assert [] == [key for key in keys if key not in told]
    assert {"id", "class", "amount", "cash", "retained"} <= set(told["allocations"][0])
    assert all({"name", "formula", "amount"} <= set(one) for one in told["steps"])
    assert all(one["agree"] and one["left"] == one["right"] for one in told["checks"])


def test_the_command_refuses_with_2_and_says_why_on_stderr(tmp_path: Path) -> None:
    told = weir("-", given=raw(costs='"1e30"'), data=tmp_path)
    assert (2, "") == (told.returncode, told.stdout)
    assert told.stderr.startswith("weir: costs: '1e30' is not a plain decimal number")
    assert (
        "weir: /nowhere.json cannot be read: No such file or directory\n"
        == weir("/nowhere.json", data=tmp_path).stderr
    )


def test_the_table_shows_steps_shares_and_checks(tmp_path: Path) -> None:
    members = [A | {"owed": "50.00"}, *G18["members"][1:]]
    told = weir("-", "--table", given=json.dumps(G18 | {"members": members}), data=tmp_path).stdout
    for line in ("113.57", "362.97", "900.00 + 15.00 + 113.57 + 191.43 = 1,220.00", "set off", "50.00"):
        assert line in told


def test_the_inputs_it_prints_close_to_the_same_bytes() -> None:
    given = G18 | {
        "members": [
            A | {"number": 7, "owed": "3.00", "loss_carried": "2.00", "consent": True, "joined": "2026-01-05"},
            {"id": "A", "class": "worker", "hours": "33.3", "factor": "1.5", "minimum_activity": "2"},
            *G18["members"][1:], {"id": "S", "class": "supporter"}, {"id": "x", "class": "customer", "charges": "9.00"},
        ],
        "share_interest": "0", "share_lots": [{"member": "A", "par": "100.00", "rate": "14.2857 %", "days": 31}],
        "reserves": {"compulsory": "5.00", "average": "1/3"}, "funds": {"forest": "3.00"}, "education": "2.00",
        "voluntary_reserve": "1.00", "minimum_amount": "5.00", "below_minimum": "given", "nonqualified_share": "0.1",
        "class_keys": {"supporter": "equal"}, "fiscal_year": "2026", "percentages": {"collective_target": "30 %"},
    }  # fmt: skip
    told = close(given)
    assert told == close(told["inputs"])


def test_what_is_not_said_has_a_sensible_meaning() -> None:
    told = close({"currency": "EUR", "members": [{"id": "A", "class": "user", "charges": 10}]})
    assert ("plain", "10.00", {"A": "10.00"}) == (told["rule_set"], told["pool"], shares(told))


def test_a_member_in_two_classes_is_counted_in_each() -> None:
    rows = [*G18["members"], {"id": "A", "class": "worker", "hours": "1900"}]
    told = close(G18 | {"members": rows})
    # 1,900 of 3,800 hours: half of the workers' 180.00.
    assert {"user": "362.97", "worker": "90.00"} == {
        row["class"]: row["amount"] for row in told["allocations"] if row["id"] == "A"
    }
    assert "452.97" == next(one["amount"] for one in told["settlements"] if one["id"] == "A")
    merged = [A | {"class": ["user", "worker"], "hours": "1900"}, *G18["members"][1:]]
    assert told == close(G18 | {"members": merged})


def test_use_before_joining_is_business_with_a_non_member() -> None:
    rows = [*G18["members"], {"id": "A", "class": "customer", "charges": "500.00"}]
    told = close(G18 | {"members": rows, "non_member_revenue": "0"})
    assert ("171.43", shares(close(G18))) == (told["non_member_result"], shares(told))


@pytest.mark.parametrize(
    ("empty", "pools", "unshared"),
    [("others", {"user": "900.00"}, None), ("reserve", {"user": "720.00"}, "180.00")],
)
def test_the_part_of_an_empty_class_never_vanishes(
    empty: str, pools: dict[str, str], unshared: str | None
) -> None:
    told = close(G18 | {"members": [A, B, C], "empty_class": empty})
    assert pools == told["class_pools"]
    assert unshared is None or unshared == step(told, "unshared")
    assert all(one["agree"] for one in told["checks"])


def test_a_class_in_which_nobody_worked_follows_the_rule_set() -> None:
    idle = [A, B, C, W1 | {"hours": "0"}]
    assert {"user": "900.00"} == close(G18 | {"members": idle})["class_pools"]
    spain = close(G18 | {"members": idle, "rule_set": "es", "cash_share": "1"})
    assert "151.28" == step(spain, "unshared")  # a fifth of 756.42


def test_costs_above_revenue_are_a_loss_and_no_error() -> None:
    told = close(G18 | {"costs": "9300.00", "rule_set": "plain"})
    # (3,500 - 9,300) x 3,000 / 3,500 = -4,971.43; non-members' -828.57 and side income 20.00 are collective.
    assert ("0.00", "4971.43") == (told["pool"], step(told, "loss_carried"))
    assert {"loss:carried": "-4971.43", "collective:main": "-808.57"} == told["accounts"]


def test_small_amounts_are_held_or_given_and_stay_booked() -> None:
    small = G18 | {"minimum_amount": "100.00"}
    held = {one["id"]: one for one in close(small)["settlements"]}["W2"]
    assert ("66.32", "19.90", "19.90", "0.00") == tuple(
        held[key] for key in ("amount", "cash", "held", "paid")
    )
    given = {one["id"]: one for one in close(small | {"below_minimum": "given"})["settlements"]}["W2"]
    assert ("66.32", "66.32", "66.32", "0.00") == tuple(
        given[key] for key in ("amount", "cash", "given", "paid")
    )


def test_what_is_owed_is_set_off_but_never_from_the_money_that_must_be_paid() -> None:
    owing = [A | {"owed": "500.00"}, *G18["members"][1:]]
    told = {one["id"]: one for one in close(G18 | {"members": owing})["settlements"]}["A"]
    assert ("108.90", "108.90", "0.00") == tuple(told[key] for key in ("cash", "set_off", "paid"))
    # With consent 20 % of 362.97, 72.60, must reach A in money: 26 USC 1388(c)(1), a credit is none.
    owing[0] = owing[0] | {"consent": True}
    told = {one["id"]: one for one in close(G18 | {"members": owing})["settlements"]}["A"]
    assert ("36.30", "72.60") == tuple(told[key] for key in ("set_off", "paid"))


def test_a_share_of_an_earlier_loss_is_met_from_what_is_retained_first() -> None:
    losing = [A | {"loss_carried": "300.00"}, *G18["members"][1:]]
    told = {one["id"]: one for one in close(G18 | {"members": losing})["settlements"]}["A"]
    # 362.97 - 300.00 leaves 62.97 of the 108.90 that would be cash.
    assert ("62.97", "300.00", "300.00") == tuple(told[key] for key in ("cash", "retained", "loss_met"))


def test_hours_of_non_members_split_the_result_by_work() -> None:
    # 1,900 member hours, 1,900 others: half and half of 1,200.00.
    told = close(G18 | {"non_member_hours": "1900"})
    assert ("600.00", "600.00") == (told["member_result"], told["non_member_result"])


def test_interest_beside_patronage_comes_from_what_was_earned_with_others() -> None:
    document = year_document(close_year(read_simulation(json.dumps(G18).encode(), rule_set)))["inputs"]
    assert isinstance(document, dict)
    own: Any = document["rule_set"]
    own["interest"]["position"] = "beside_patronage"
    told = close(G18 | {"rule_set": own})
    # 191.43 - 15.00 = 176.43 by source; up to 305.00 128.57 more; 1,028.57 - 128.57 = 900.00.
    assert ("176.43", "128.57", "900.00") == (told["collective"], step(told, "top_up"), told["pool"])


WEIRD: list[Any] = [
    None, True, False, 0, -1, 10**30, "", " ", "0", "-1", "1e30", "NaN", "1/0", "1/3", "101 %", "9" * 15, "9" * 40, "\u0663",
    "\x00", "x" * 200, [], {}, [[]], [{}], {"": ""}, {"x": "1"}, ["user", "user"], "user", "customer", "worker", "plain",
]  # fmt: skip


def spoil(value: Any, dice: Random) -> Any:
    """The same document with one place changed into something weird."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(sorted(value))
        if dice.random() < 0.1:
            return {name: one for name, one in value.items() if name != key}
        return value | {key: spoil(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        place = dice.randrange(len(value))
        return [*value[:place], spoil(value[place], dice), *value[place + 1 :]]
    return dice.choice(WEIRD)


def test_whatever_comes_in_closes_or_is_refused_by_a_sentence() -> None:
    told = {True: 0, False: 0}
    for seed in range(600):
        dice = Random(seed)
        given = random_co_op(seed)
        for _ in range(dice.randint(1, 2)):
            given = spoil(given, dice)
        try:
            closing = close_year(read_simulation(json.dumps(given).encode(), rule_set))
            told[all(check.agree for check in closing.checks)] += 1
        except Refusal as refusal:
            told[False] += 1
            assert "\n" not in str(refusal), f"seed {seed}"  # noqa: PT017
        except Exception as error:
            raise AssertionError(f"seed {seed}: {given}") from error
    assert min(told.values()) > 20
