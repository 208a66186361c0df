"""The closing of a year worked out a second time, from the reference's section 3, with fractions and nothing of billing.

It takes what `weir simulate` takes, already parsed, and the rule set's TOML as a plain dictionary. Money is a fraction
of the major unit throughout, and becomes whole cents only where the reference says so. `None` stands for a refusal.
"""

from __future__ import annotations

import math
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

F = Fraction
SHELF = Path(__file__).resolve().parents[1] / "billing" / "rules" / "sets"
CENTS = {"EUR": 100, "USD": 100, "CAD": 100, "GBP": 100, "JPY": 1, "KWD": 1000}
ORDINARY = ("user", "worker", "supporter", "customer")
KEYS = {"user": "charges", "worker": "hours", "supporter": "equal"}


class No(Exception):
    """The closing cannot be made of this."""


def rules_of(identity: str) -> dict[str, Any]:
    """The file, as data."""
    return tomllib.loads((SHELF / f"{identity}.toml").read_text())


def part(text: Any) -> F:
    """'25 %', '0.25', '1/4' or 25."""
    text = str(text)
    return F(text[:-1].strip()) / 100 if text.endswith("%") else F(text)


def hand_out(cents: int, by: dict[Any, F]) -> dict[Any, int]:
    """One cent after the other to whoever is furthest below what is exactly theirs."""
    if cents < 0:
        return {who: -got for who, got in hand_out(-cents, by).items()}
    whole = sum(by.values())
    if not whole:
        assert not cents
        return dict.fromkeys(by, 0)
    due = {who: F(cents) * weight / whole for who, weight in by.items()}
    got = {who: math.floor(amount) for who, amount in due.items()}
    waiting = sorted(by, key=lambda who: (got[who] - due[who], who))
    for who in waiting[: cents - sum(got.values())]:
        got[who] += 1
    return got


class Year:
    """One year on the way through the steps."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.rules = rules_of(given["rule_set"])
        self.unit = CENTS[given["currency"]]
        self.out: dict[str, int] = {}
        rows = []
        for row in given["members"]:
            classes = row["class"] if isinstance(row["class"], list) else [row["class"]]
            rows += [(row, name, len(classes)) for name in classes]
        self.rows = rows
        self.person: dict[str, dict[str, Any]] = {}
        for row in given["members"]:
            keep = {
                k: row[k] for k in ("number", "owed", "loss_carried", "consent", "withholding") if k in row
            }
            self.person.setdefault(row["id"], {}).update(keep)

    def cents(self, key: str, where: dict[str, Any] | None = None) -> int:
        amount = F(str((self.given if where is None else where).get(key, "0"))) * self.unit
        assert amount.denominator == 1
        return amount.numerator

    def key(self, name: str) -> str:
        return str(self.given.get("class_keys", {}).get(name, KEYS.get(name, "points")))

    def charged(self, row: dict[str, Any], name: str, count: int) -> int:
        if count == 1:
            return self.cents("charges", row)
        charging = [one for one in row["class"] if self.key(one) == "charges"]
        return self.cents("charges", row) if name == (charging or row["class"])[0] else 0

    def measure(self, row: dict[str, Any], name: str, count: int, loss: bool) -> F:
        key = self.key(name)
        own = {
            "charges": F(self.charged(row, name, count)),
            "hours": F(0)
            if name == "user" and count > 1
            else part(row.get("hours", 0)) * part(row.get("factor", 1)),
            "points": part(row.get("points", 0)),
            "equal": F(1),
        }[key]
        obliged = row.get("minimum_activity", 0)
        floor = F(self.cents("minimum_activity", row)) if key == "charges" else part(obliged)
        return max(own, floor) if loss else own

    def classes(self, loss: bool) -> dict[str, dict[tuple[int, str], F]]:
        found: dict[str, dict[tuple[int, str], F]] = {}
        for row, name, count in self.rows:
            if name != "customer":
                who = (self.person[row["id"]].get("number", 0), row["id"])
                found.setdefault(name, {})[who] = self.measure(row, name, count, loss)
        return found

    # 2 and 3
    def by_source(self) -> tuple[int, int]:
        inside = outside = 0
        hours_in = hours_out = F(0)
        for row, name, count in self.rows:
            ours = name != "customer" and row.get("member", True)
            charged = self.charged(row, name, count)
            inside, outside = (inside + charged, outside) if ours else (inside, outside + charged)
            if name == "worker":
                if ours:
                    hours_in += part(row.get("hours", 0))
                else:
                    hours_out += part(row.get("hours", 0))
        outside += self.cents("non_member_revenue")
        operating = inside + outside - self.cents("costs")
        key = {"1 in": F(inside), "2 out": F(outside)}
        if "non_member_hours" in self.given:
            key = {"1 in": hours_in, "2 out": hours_out + part(self.given["non_member_hours"])}
        if not any(key.values()):
            key["1 in"] = F(1)
        got = hand_out(operating, key)
        self.result = operating + self.cents("side_income")
        return got["1 in"], got["2 out"] + self.cents("side_income")

    def levy(self, levy: dict[str, Any], whole: int, left: int) -> int:
        take = min(math.ceil((whole if levy["of"] == "surplus" else left) * part(levy["share"])), left)
        reserves = self.given.get("reserves", {})
        if levy.get("until_highest_capital") and "highest_capital" in reserves:
            already = self.cents("compulsory", reserves) + self.out.get("reserve:compulsory", 0)
            take = min(take, max(0, self.cents("highest_capital", reserves) - already))
        self.book(levy["to"], take)
        return take

    def book(self, account: str, cents: int) -> None:
        self.out[account] = self.out.get(account, 0) + cents

    # 6
    def interest(self, left: int) -> int:
        asked = self.cents("share_interest")
        lots = self.given.get("share_lots", [])
        if lots:
            rule = self.rules["interest"]
            caps = [part(rule["cap"]["share"])] if "cap" in rule else []
            if "over_reference" in rule:
                if "reference_rate" in self.given:
                    caps.append(part(self.given["reference_rate"]) + part(rule["over_reference"]["share"]))
                elif not caps:
                    raise No
            exact = F(0)
            for lot in lots:
                rate = min(part(lot["rate"]), max(caps)) if caps else part(lot["rate"])
                year = int(self.given.get("days_in_year", 365))
                exact += F(str(lot["par"])) * self.unit * rate * F(int(lot["days"]), year)
            asked = math.floor(exact)
        if self.rules["interest"].get("without_public_aid"):
            left = max(0, left - self.cents("public_aid"))
        paid = min(asked, left)
        self.paid_interest = paid
        self.book("interest:shares", paid)
        return paid

    def before_the_pool(self, members: int, others: int) -> int:
        position = self.rules["interest"]["position"]
        levies = self.rules.get("levy", [])
        rest = others
        if others > 0:
            for levy in levies:
                if levy["from"] == "others":
                    rest -= self.levy(levy, others, rest)
        self.collective = rest
        self.book("collective:main", rest)
        self.paid_interest = 0
        if members < 0:
            return members
        left = members - min(members, self.cents("prior_deficit"))
        self.book("loss:carried", members - left)
        self.base = left
        if position == "before_reserves":
            left -= self.interest(left)
        whole = left
        for levy in levies:
            if levy["from"] == "members":
                left -= self.levy(levy, whole, left)
        if "collective" in self.rules:
            lacking = math.ceil(self.result * part(self.rules["collective"]["share"])) - rest
            more = max(0, min(lacking, left))
            self.book("collective:main", more)
            left -= more
        if position == "after_reserves":
            left -= self.interest(left)
        for key, account in (("voluntary_reserve", "reserve:voluntary"), ("solidarity", "fund:solidarity"), ("education", "fund:education")):  # fmt: skip
            if self.cents(key) > left:
                raise No
            left -= self.cents(key)
            self.book(account, self.cents(key))
        return left

    def loss(self, members: int) -> int:
        if any(self.cents(key) for key in ("voluntary_reserve", "education", "solidarity")):
            raise No
        loss, reserves, rule = -members, self.given.get("reserves", {}), self.rules["loss"]
        free = min(loss, self.cents("voluntary", reserves))
        most = math.floor(loss * part(reserves.get("average", rule["compulsory_reserve"]["share"])))
        bound = min(loss - free, most, self.cents("compulsory", reserves))
        self.book("reserve:voluntary", -free)
        self.book("reserve:compulsory", -bound)
        self.gave = free + bound
        left = loss - self.gave
        young = rule.get("first_years", 0)
        if young and "fiscal_year_number" not in self.given:
            raise No
        spared = young and int(self.given["fiscal_year_number"]) <= young
        return 0 if spared else math.floor(left * part(rule["members"]["share"]))

    # 8 and 9
    def share(self, cents: int) -> dict[tuple[str, str], int]:
        measures = self.classes(loss=cents < 0)
        weights = {name: part(weight) for name, weight in self.given["class_weights"].items() if part(weight)}
        rule = self.rules["classes"]
        can = {
            name
            for name in weights
            if (name in rule["sharing"] or name not in ORDINARY) and any(measures.get(name, {}).values())
        }
        least = 0
        if "workers" in rule and cents > 0 and any(measures.get("worker", {}).values()):
            least = math.ceil(self.base * part(rule["workers"]["share"]))
            if least:
                can.add("worker")
        self.pools: dict[str, int] = {}
        if not cents or not can:
            return {}
        drawn = set(weights) | can if self.given.get("empty_class", rule["empty"]) == "reserve" else can
        if 0 < cents < least:
            raise No
        by = {name: weights.get(name, F(0)) for name in drawn}
        pools = hand_out(cents, by) if any(by.values()) else {"worker": cents}
        if least and pools["worker"] < least:
            del by["worker"]
            pools = {"worker": least, **hand_out(cents - least, by)}
        if "investors" in rule and cents > 0 and "supporter" in pools:
            pools["supporter"] = min(pools["supporter"], math.floor(cents * part(rule["investors"]["share"])))
        self.pools = {name: pool for name, pool in pools.items() if name in can}
        return {
            (who[1], name): got
            for name, pool in self.pools.items()
            for who, got in hand_out(pool, measures[name]).items()
        }


def reckon(given: dict[str, Any]) -> dict[str, Any] | None:
    """Everything a person would look at, in whole cents."""
    year = Year(given)
    try:
        members, others = year.by_source()
        left = year.before_the_pool(members, others)
        if members < 0:
            borne = year.loss(members)
            shares = year.share(-borne)
            rest = members + year.gave - sum(shares.values())
            if year.rules["loss"]["rest"] == "collective":
                year.collective += rest
                year.book("collective:main", rest)
            else:
                year.book("loss:carried", rest)
        else:
            shares = year.share(left)
            year.book("collective:main", left - sum(shares.values()))
            if "within_worker_part" in year.rules["interest"] and year.paid_interest > year.pools.get(
                "worker", 0
            ):
                raise No
    except No:
        return None
    return {
        "result": year.result,
        "member_result": members,
        "collective": year.collective,
        "pool": sum(shares.values()),
        "class_pools": year.pools,
        "accounts": {account: cents for account, cents in year.out.items() if cents},
        "shares": shares,
        "settled": settle(year, shares),
    }


# 10 to 12
def settle(year: Year, shares: dict[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Per member: the lines after the allocation, and what of it is qualified."""
    given, rules = year.given, year.rules
    kappa = part(given.get("cash_share", rules["cash"]["share"]))
    apart = part(given.get("nonqualified_share", 0))
    american = rules.get("consent_kinds", False)
    floor = part(rules["cash"]["least"]) if american and not rules["cash"].get("setoff_is_cash") and "least" in rules["cash"] else F(0)  # fmt: skip
    found: dict[str, dict[str, int]] = {}
    for who in sorted({identity for identity, _ in shares}):
        mine = sorted((name, got) for (identity, name), got in shares.items() if identity == who)
        total, person = sum(got for _, got in mine), year.person[who]
        if total <= 0:
            if total:
                found[who] = {"cash": 0, "retained": total, "paid": 0}
            continue
        small = total < year.cents("minimum_amount")
        gift = small and given.get("below_minimum", "held") == "given"
        old_loss = 0 if gift else min(total, year.cents("loss_carried", person))
        room, rows = total - old_loss, []
        for _, got in mine:
            cash = min(room, got if gift else math.ceil(got * kappa))
            room -= cash
            rows.append((got, cash, min(got - cash, math.ceil(got * apart))))
        cash = sum(row[1] for row in rows)
        tax = 0
        if person.get("withholding") and not gift:
            over = max(F(0), total - part(rules["withholding"]["above"]) * year.unit)
            tax = min(cash, math.floor(over * part(rules["withholding"]["share"]) + F(1, 2)))
        must = sum(math.ceil((got - away) * floor) for got, _, away in rows) if person.get("consent") else 0
        off = 0 if gift else min(year.cents("owed", person), max(0, cash - tax - must))
        rest = cash - tax - off
        qualified = 0
        if american and person.get("consent") and not (small and not gift and rest):
            qualified = sum(
                got - paid - away for got, paid, away in rows if paid >= math.ceil((got - away) * floor)
            )
        found[who] = {
            "cash": cash, "retained": total - cash, "loss_met": old_loss, "withheld": tax, "set_off": off,
            "given": rest if gift else 0, "held": rest if small and not gift else 0,
            "paid": 0 if small else rest, "qualified": qualified,
        }  # fmt: skip
    return found
