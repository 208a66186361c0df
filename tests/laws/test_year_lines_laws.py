"""A year's closing read member by member: lines, entries and digests are what the rows say, bit for bit as ever.

The golden file was written by the Weir that kept an object for every member (commit 3bef54c), so it does not come from
the columns under test: a year closed then still works out to its digest.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest

from billing.canon import canonical
from billing.ledger.entry import Account
from billing.rules.book import rule_set
from billing.year.closing import close_year
from billing.year.columns import People, Uses
from billing.year.fiscal import FiscalYear
from billing.year.inputs import Person, Use, YearInputs
from billing.year.outcome import Allocations, YearClosing
from billing.year.reading import read_simulation
from billing.year_booking import Owed, member_entry
from billing.year_lines import Lines, read_line
from meter.refusal import Refusal
from meter.window import Month
from tests.random_co_ops import random_co_op

YEAR, JANUARY = FiscalYear(2026, 1), Month(2027, 1)
GOLDEN = Path(__file__).parents[1].joinpath("golden", "billing", "years.json")
CO_OPS = 400


def in_the_books(seed: int) -> YearInputs:
    """A random co-op whose members all stand in the register: numbers that sort otherwise than ids, debts, consents."""
    inputs, dice = read_simulation(json.dumps(random_co_op(seed)).encode(), rule_set), Random(seed)
    ids = sorted({use.id for use in inputs.uses})
    numbers = dice.sample(range(1, 100), len(ids))
    held = inputs.rule_set.withholding
    withholds = held is not None and held.currency == inputs.currency
    people = []
    for identity, number in zip(ids, numbers, strict=True):
        owed, loss = dice.choice([0, 0, dice.randint(0, 500)]), dice.choice([0, 0, dice.randint(1, 500)])
        consent, withhold = dice.random() < 0.5, withholds and dice.random() < 0.3
        left = dice.choice(["", "2026-03-04"])
        people.append(Person(identity, number, owed, loss, consent, withhold, "2025-04-11", left))
    dice.shuffle(people)
    return replace(inputs, people=tuple(people))


def closings(count: int) -> Iterator[tuple[int, YearClosing]]:
    """Of random co-ops that can be closed."""
    for seed in range(count):
        try:
            yield seed, close_year(in_the_books(seed))
        except Refusal:
            continue


def losses_of(closing: YearClosing) -> Owed:
    """Each earlier loss as two accounts."""
    return {
        one.number: [
            (Account(f"loss:member:{one.number}:2024"), one.loss_minor // 2),
            (Account(f"loss:member:{one.number}:2025"), one.loss_minor - one.loss_minor // 2),
        ]
        for one in closing.inputs.people
    }


def booked(closing: YearClosing, *, at_once: int) -> dict[str, int]:
    """Account → what the members' entries move on it."""
    found: dict[str, int] = {}
    for number, (part, _) in enumerate(Lines(closing).parts(at_once), 1):
        entry = member_entry(YEAR, JANUARY, number, closing, part, losses_of(closing))
        for account, amount in () if entry is None else entry.postings:
            found[account] = found.get(account, 0) + amount
    return {account: amount for account, amount in found.items() if amount}


def fingerprint(closing: YearClosing) -> list[str]:
    """Digests of the closing, of all lines, and of the sides of one entry for everybody."""
    ((part, lines),) = Lines(closing).parts(1000)
    entry = member_entry(YEAR, JANUARY, 1, closing, part, losses_of(closing))
    sides = "\n".join(
        f"{one.account} {one.amount_minor}" for one in (() if entry is None else entry.postings)
    )
    digests = hashlib.sha256(b"".join(line.digest for line in lines)).hexdigest()
    return [closing.digest, digests, hashlib.sha256(sides.encode()).hexdigest()]


def test_years_work_out_as_before_members_were_columns() -> None:
    """Written by the code before; since then the rule set `es` has a version 2, and its closings' own digests changed."""
    golden: dict[str, list[str]] = json.loads(GOLDEN.read_text())
    told = {str(seed): fingerprint(closing) for seed, closing in closings(int(max(golden, key=int)) + 1)}
    assert golden == told
    assert len(golden) > 80


def test_a_line_says_what_the_rows_say() -> None:
    for seed, closing in closings(CO_OPS):
        lines = [line for _, some in Lines(closing).parts(1000) for line in some]
        settled = {one.id: one for one in closing.settlements}
        assert [line.number for line in lines] == sorted(one.number for one in closing.inputs.people)
        for line in lines:
            own, told = read_line(line.text), json.loads(line.text)
            assert line.text == canonical(told), seed
            assert line.digest == hashlib.sha256(line.text.encode()).digest()
            assert own.person == next(one for one in closing.inputs.people if one.number == line.number)
            assert own.settlement == settled.get(own.name)
            assert line.amount_minor == (0 if own.settlement is None else own.settlement.amount_minor)
            assert list(own.allocations) == [row for row in closing.allocations if row.id == own.name]
            assert set(own.uses) == {
                replace(use, member=True) for use in closing.inputs.uses if use.id == own.name
            }
            assert sorted(own.lots, key=repr) == sorted(
                (lot for lot in closing.inputs.interest.lots if lot.id == own.name), key=repr
            )
            assert own.interest_minor == closing.interest.get(own.name, 0)


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_lines_and_entries_do_not_depend_on_how_many_are_made_at_once(at_once: int) -> None:
    for seed, closing in closings(100):
        parts = list(Lines(closing).parts(at_once))
        whole = [line for _, some in Lines(closing).parts(1000) for line in some]
        assert whole == [line for _, some in parts for line in some], seed
        assert list(range(len(whole))) == [place for part, _ in parts for place in part]
        assert booked(closing, at_once=1000) == booked(closing, at_once=at_once), seed


def expected_sides(closing: YearClosing) -> dict[str, int]:
    """The members' sides by the reference's posting table, from the rows of the closing; credit below zero."""
    numbers = {one.id: one.number for one in closing.inputs.people}
    owed, found = losses_of(closing), dict[str, int]()

    def side(account: str, amount: int) -> None:
        found[account] = found.get(account, 0) + amount

    for one in closing.settlements:
        who = numbers[one.id]
        side("surplus:undistributed", one.amount_minor)
        if one.amount_minor < 0:
            side(f"loss:member:{who}:2026", -one.amount_minor)
            continue
        side(f"payable:member:{who}", -one.paid_minor - one.held_minor)
        side("payable:tax", -one.withheld_minor)
        side(f"receivable:member:{who}", -one.set_off_minor)
        side("fund:community", -one.given_minor)
        older = min(one.loss_met_minor, owed[who][0][1])
        side(owed[who][0][0], -older)
        side(owed[who][1][0], older - one.loss_met_minor)
        kinds = {
            "qualified": sum(row.qualified_minor for row in closing.allocations if row.id == one.id),
            "nonqualified": sum(row.nonqualified_minor for row in closing.allocations if row.id == one.id),
        }
        kinds["plain"] = one.retained_minor - sum(kinds.values())
        left = one.loss_met_minor
        for kind in ("nonqualified", "qualified", "plain"):
            met = min(left, kinds[kind])
            left -= met
            side(f"capital:member:{who}:2026:{kind}", met - kinds[kind])
    for identity, amount in closing.interest.items():
        side("interest:shares", amount)
        side(f"payable:member:{numbers[identity]}", -amount)
    return {account: amount for account, amount in found.items() if amount}


def test_the_members_entries_book_what_the_rows_say() -> None:
    kinds = set()
    for seed, closing in closings(CO_OPS):
        told = booked(closing, at_once=1000)
        assert expected_sides(closing) == told, seed
        kinds |= {account.partition(":")[0] for account in told} | {
            account.rpartition(":")[2] for account in told
        }
    # Or the co-ops were too much alike to prove anything.
    assert {
        "payable",
        "tax",
        "receivable",
        "community",
        "loss",
        "qualified",
        "nonqualified",
        "plain",
    } <= kinds


def test_rows_and_columns_are_the_same() -> None:
    rows = (
        Use("a", "user", 5), Use("b", "worker", 0, Fraction(1, 3), Fraction(2)), Use("a", "worker", 0, Fraction(9)),
    )  # fmt: skip
    columns = Uses.of(rows)
    assert rows == tuple(columns)
    assert columns == list(rows)
    assert columns != rows[:2]
    assert (rows[1], rows[-1], list(rows[1:])) == (columns[1], columns[-1], list(columns[1:]))
    assert [rows[2], rows[0]] == list(columns.picked([2, 0]))
    assert columns is Uses.of(columns)


def test_a_closing_of_columns_is_the_closing_of_their_rows() -> None:
    for seed, closing in closings(100):
        inputs: Any = closing.inputs
        again = close_year(replace(inputs, uses=closing.roll.uses, people=closing.roll.people))
        assert (closing.digest, closing.allocations) == (again.digest, again.allocations), seed


def test_a_year_of_ordinary_members_makes_no_row_of_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million rows are a million objects: only those whose cash is not simply paid are worked out as a row."""
    inputs = YearInputs("EUR", rule_set("us-selc"), 900, (), (), fiscal_year_number=3)
    uses = Uses.of([Use(name, "user", charges) for name, charges in (("a", 500), ("b", 300), ("c", 200))])
    people = People.of([Person(name, number, consent=True) for number, name in enumerate("abc", 1)])

    def refuse(*_: object) -> None:
        raise AssertionError("a row was made")

    for table in (Uses, People, Allocations):
        monkeypatch.setattr(table, "row", refuse)
    monkeypatch.setattr("billing.year.outcome.Settlement", refuse)
    closing = close_year(replace(inputs, uses=uses, people=people))
    ((part, lines),) = Lines(closing).parts(10)
    assert len(lines) == 3
    assert member_entry(YEAR, JANUARY, 1, closing, part, {}) is not None
    # 10.00 of charges less 9.00; a quarter for the collective account (SELC); 37.5, 22.5 and 15, the tie to number 1.
    assert [38, 22, 15] == closing.settlements.amounts
