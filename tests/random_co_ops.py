"""Random co-ops, as `weir simulate` takes them; one seed, one co-op. Every key of a simulation occurs."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.second_closing import CENTS

RULE_SETS = (
    "us-subchapter-t", "us-selc", "ca-qc", "ca-federal", "uk-society", "it", "es", "fr-scic", "fr-scop", "de-eg",
    "plain",
)  # fmt: skip


def random_co_op(seed: int) -> dict[str, Any]:
    """A co-op that may have anything; a third or so makes a loss."""
    dice = Random(seed)
    rules = dice.choice(RULE_SETS)
    currency = "CAD" if rules == "ca-federal" else dice.choice(sorted(CENTS))
    large = dice.choice([5, 300, 10**5, 10**9])

    def amount(most: int = large) -> str:
        cents, unit = dice.randint(0, most), CENTS[currency]
        digits = len(str(unit)) - 1
        return f"{cents // unit}.{cents % unit:0{digits}d}" if digits else str(cents)

    def maybe(likely: float = 0.3) -> bool:
        return dice.random() < likely

    given: dict[str, Any] = {"currency": currency, "rule_set": rules}
    given["members"] = members = _members(dice, rules, amount, maybe)
    there = {
        one for row in members for one in (row["class"] if isinstance(row["class"], list) else [row["class"]])
    }
    if there == {"customer"}:
        members.append({"id": "founder", "class": "user", "charges": amount()})
        there.add("user")
    _weights(dice, given, there, maybe)
    revenue = large * len(members)
    given["costs"] = amount(dice.choice([0, revenue // 3, revenue, 2 * revenue]) + 1)
    for key, likely in (("side_income", 0.5), ("non_member_revenue", 0.5), ("prior_deficit", 0.2)):
        if maybe(likely):
            given[key] = amount()
    _before_the_pool(dice, given, members, amount, maybe)
    _form(dice, given, amount, maybe)
    return given


def _members(dice: Random, rules: str, amount: Any, maybe: Any) -> list[dict[str, Any]]:
    found = []
    for place in range(dice.randint(1, 7)):
        name = dice.choice(["user", "user", "user", "worker", "worker", "supporter", "customer", "artist"])
        row: dict[str, Any] = {"id": f"{dice.choice('abcxyz')}{place}", "class": name}
        if name == "user" and maybe():
            row["class"] = dice.choice([["user", "worker"], ["worker", "user"], ["user", "artist"]])
        alone = row["class"] == "user"
        if name in ("user", "customer") or maybe():
            row["charges"] = amount() if maybe(0.9) else "0"
        if name == "worker" or (isinstance(row["class"], list) and not alone):
            row["hours"] = dice.choice(["0", "7.5", "1200", "33.333", str(dice.randint(1, 2000))])
            if maybe():
                row["factor"] = dice.choice(["1.5", "2", "0.8"])
        if name == "artist" or (isinstance(row["class"], list) and "artist" in row["class"]) or maybe(0.1):
            row["points"] = str(dice.randint(0, 50))
        if maybe(0.2):
            row["minimum_activity"] = amount() if dice.random() < 0.5 else str(dice.randint(0, 500))
        if rules == "fr-scop" and name == "worker" and maybe():
            row["member"] = False
        if maybe():
            row["number"] = dice.randint(0, 3)
        personal = {"owed": amount(), "loss_carried": amount(), "consent": True}
        row |= {key: value for key, value in personal.items() if maybe()}
        if rules == "ca-federal" and maybe(0.5):
            row["withholding"] = True
        found.append(row)
        if name == "user" and alone and maybe(0.2):
            found.append({"id": row["id"], "class": "customer", "charges": amount()})
    return found


def _weights(dice: Random, given: dict[str, Any], there: set[str], maybe: Any) -> None:
    sharing = sorted(there - {"customer"})
    weights = {name: dice.choice([0, 1, 80, "20", "0.5", "25 %", "1/3"]) for name in sharing}
    if not any(str(weight) != "0" for weight in weights.values()):
        weights[sharing[0]] = 1
    if given["rule_set"] == "us-subchapter-t" and "supporter" in weights:
        weights["supporter"] = 1 if len(weights) > 1 and all(str(one) in ("1", "80", "20") for one in weights.values()) else 0  # fmt: skip
        if len(sharing) == 1:
            weights = {"user": 1}
            given["empty_class"] = "reserve"
        elif not any(str(weight) != "0" for name, weight in weights.items() if name != "supporter"):
            weights[next(name for name in sharing if name != "supporter")] = 5
    given["class_weights"] = weights
    if maybe(0.2):
        weights.setdefault("worker", 10)
        given["empty_class"] = dice.choice(["others", "reserve"])
    if maybe(0.2):
        given["class_keys"] = {dice.choice(sharing): dice.choice(["equal", "points", "charges"])}


def _before_the_pool(dice: Random, given: dict[str, Any], members: list[dict[str, Any]], amount: Any, maybe: Any) -> None:  # fmt: skip
    if given["rule_set"] == "us-selc" or maybe():
        given["fiscal_year_number"] = dice.choice([1, 2, 3, "4"])
    if maybe(0.2):
        given["non_member_hours"] = dice.choice(["0", "100", "333.3"])
    ids = sorted({row["id"] for row in members if row["class"] != "customer"})
    if maybe(0.3) and ids:
        given["share_lots"] = [
            {"member": dice.choice(ids), "par": amount(), "rate": dice.choice(["0.05", "30 %", "0.142857"]), "days": dice.randint(0, 365)}
            for _ in range(dice.randint(1, 3))
        ]  # fmt: skip
        if maybe():
            given["days_in_year"] = 366
        if maybe(0.8):
            given["reference_rate"] = dice.choice(["0.03", "4.25 %"])
    elif maybe(0.5):
        given["share_interest"] = amount()
    if maybe(0.2):
        given["public_aid"] = amount()
    for key in ("voluntary_reserve", "education", "solidarity"):
        if maybe(0.05):
            given[key] = amount(dice.choice([3, 100, 10**6]))
    if maybe(0.4):
        given["reserves"] = {"compulsory": amount(), "voluntary": amount()}
        if maybe():
            given["reserves"]["highest_capital"] = amount()
        if maybe():
            given["reserves"]["average"] = dice.choice(["0.2", "35 %"])


def _form(dice: Random, given: dict[str, Any], amount: Any, maybe: Any) -> None:
    if maybe(0.5):
        given["cash_share"] = dice.choice(["0.20", "0.30", "1/3", "0.5", "100 %", "45.7 %"])
    american = given["rule_set"].startswith("us-")
    if american and maybe() and given.get("cash_share") in ("0.20", "0.30", "1/3", None):
        given["nonqualified_share"] = dice.choice(["0.1", "1/7", "0.5"])
    if maybe(0.3):
        given["minimum_amount"] = amount(dice.choice([10, 10**4]))
        given["below_minimum"] = dice.choice(["held", "given"])
