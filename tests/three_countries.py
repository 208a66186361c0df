"""A year of a co-op of 12 users, 3 workers and 2 supporters: one usage, closed by the rules of three countries.

From what each used month by month to what each gets; the tables of docs/year.md are made of it. Everything is
invented, and nothing of it is chance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from billing.charges.tariff import parse_tariff
from billing.money import plain_number
from billing.month.closing import ClosingInputs, closing
from billing.rules.book import rule_set
from billing.year.closing import close_year
from billing.year.document import year_document
from billing.year.fiscal import FiscalYear
from billing.year.reading import read_simulation
from meter.ids import MemberId
from meter.usage import Member, MemberClass, MemberStatus, Usage
from meter.window import Month

COUNTRIES = {"us-selc": "California (SELC by-laws)", "it": "Italy", "es": "Spain"}
YEAR = FiscalYear(2026)
USERS = (
    "archive", "bakery", "choir", "clinic", "farm", "film-club", "kiosk", "library", "museum", "press", "radio", "school",
)  # fmt: skip
WORKERS = {"ada": "1560", "bo": "1040.5", "cy": "780"}
SUPPORTERS = ("foundation", "neighbour")
TARIFF = parse_tariff(
    'currency = "EUR"\neffective_from = "2026-01"\ngb_out = "0.01"\ngb_in = "0"\ngb_month = "0.006"\n'
    'requests_a_1000 = "0.005"\nrequests_b_1000 = "0.0004"\n'
)
COSTS = "16480.00"
SIDE_INCOME = "120.00"
SHARE = {"par": "250.00", "rate": "0.03", "days": 365}
REFERENCE_RATE = "0.02"
"""Invented: caps of the law build on a published rate."""


def used(place: int, month: Month) -> Usage:
    """What the user at a place used: more the further down the list, and more towards the year's end."""
    weight = (place + 1) * (month.number + 11)
    return Usage(
        MemberId(place + 1), month.start_us, month.end_us,
        bytes_out=weight * 123_456_789_012,
        requests_b=weight * 45_678,
        byte_us=weight * 9_876_543_210 * (month.end_us - month.start_us),
    )  # fmt: skip


def charges() -> dict[str, int]:
    """Every user's charges of the year in cents, as twelve monthly closings make them."""
    found = dict.fromkeys(USERS, 0)
    for month in YEAR.months:
        members = [
            (
                Member(MemberId(place + 1), name, MemberClass.USER, "", MemberStatus.ACTIVE, 0),
                used(place, month),
            )
            for place, name in enumerate(USERS)
        ]
        _, lines = closing(ClosingInputs(month, month.end_us, TARIFF, (), {}), members)
        for line in lines:
            found[line.member.name] += line.charge.amount_minor
    return found


def simulation(rules: str) -> dict[str, Any]:
    """The file that `weir simulate` reads for one country."""
    members: list[dict[str, Any]] = [
        {"id": name, "number": number, "class": "user", "charges": plain_number(cents, "EUR")}
        for number, (name, cents) in enumerate(charges().items(), 1)
    ]
    members += [
        {"id": name, "number": number, "class": "worker", "hours": hours}
        for number, (name, hours) in enumerate(WORKERS.items(), len(USERS) + 1)
    ]
    members += [
        {"id": name, "number": number, "class": "supporter"}
        for number, name in enumerate(SUPPORTERS, len(USERS) + len(WORKERS) + 1)
    ]
    return {
        "currency": "EUR",
        "rule_set": rules,
        "fiscal_year": str(YEAR),
        "fiscal_year_number": 3,
        "costs": COSTS,
        "side_income": SIDE_INCOME,
        "share_lots": [{"member": name, **SHARE} for name in SUPPORTERS],
        "reference_rate": REFERENCE_RATE,
        "class_weights": {"user": 80, "worker": 20},
        "cash_share": "0.30",
        "members": members,
    }


def closed(rules: str) -> Mapping[str, Any]:
    """What `weir simulate` prints for it."""
    content = json.dumps(simulation(rules)).encode()
    return year_document(close_year(read_simulation(content, rule_set)))


def tables() -> str:
    """Both tables of docs/year.md."""
    done = {rules: closed(rules) for rules in COUNTRIES}
    return "\n".join([*_sums(done), "", *_members(done)]) + "\n"


def _sums(done: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    accounts = sorted({name for one in done.values() for name in one["accounts"]})
    rows = [("result", "the year's result"), ("pool", "**shared among the members**")]
    yield "| | " + " | ".join(COUNTRIES.values()) + " |"
    yield "|---|" + "---:|" * len(done)
    yield _row(rows[0][1], [one["result"] for one in done.values()])
    for name in accounts:
        yield _row(f"`{name}`", [one["accounts"].get(name, "0.00") for one in done.values()])
    yield _row(rows[1][1], [one["pool"] for one in done.values()])


def _members(done: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    own = charges()
    yield (
        "| member | class | charges or hours | "
        + " | ".join(f"{name}: share | in cash" for name in COUNTRIES.values())
        + " |"
    )
    yield "|---|---|---:|" + "---:|---:|" * len(done)
    for one in simulation("plain")["members"]:
        name = one["id"]
        measure = (
            plain_number(own[name], "EUR")
            if name in own
            else f"{WORKERS[name]} h"
            if name in WORKERS
            else "–"
        )
        cells = []
        for document in done.values():
            share = next((row for row in document["allocations"] if row["id"] == name), None)
            interest = document["interest"].get(name)
            nothing = ["–", "–"] if interest is None else [f"interest {interest}", interest]
            cells += (
                nothing if share is None or share["amount"] == "0.00" else [share["amount"], share["cash"]]
            )
        yield _row(f"{name} | {one['class']} | {measure}", cells)


def _row(head: str, cells: list[str]) -> str:
    return f"| {head} | " + " | ".join(cells) + " |"
