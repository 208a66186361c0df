"""A closing as a document: the inputs as `weir simulate` reads them, what follows from them, and the digest of both.

Amounts are texts in major units that read back exactly; everything else exact is a text too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from json.encoder import encode_basestring

from billing.canon import canonical, digest
from billing.money import exact_text, plain_number
from billing.rules.document import rule_set_document
from billing.year.columns import People
from billing.year.inputs import CUSTOMER, ONE, ZERO, Person, Use, YearInputs
from billing.year.outcome import Allocations, Settlement, Settlements, YearAllocation, YearClosing
from billing.year.roll import Roll

FORMAT = "weir-year-1"
BLOCK_ROWS = 10_000
Document = dict[str, object]
_FLAG = {False: "false", True: "true"}


def year_digest(closing: YearClosing) -> YearClosing:
    """The closing with its digest: SHA-256 of the canonical JSON of all that is not a member's, and of their rows'.

    Rows go in by blocks, in minor units: a million members as texts would take longer than the closing itself.
    """
    body: Document = {
        **summary_document(closing),
        "inputs": common_inputs(closing.inputs),
        "uses": _rows_digest(_use_rows(closing.roll)),
        "people": _rows_digest(_person_rows(closing.roll.people)),
        "allocations": _rows_digest(_allocation_rows(closing.allocations)),
        "settlements": _rows_digest(_settlement_rows(closing.settlements)),
    }
    return replace(closing, digest=digest(canonical(body)))


def _rows_digest(rows: Iterable[str]) -> str:
    """SHA-256 of the rows as JSON arrays of whole numbers and texts, BLOCK_ROWS of them a line."""
    whole = hashlib.sha256()
    waiting = iter(rows)
    while block := list(islice(waiting, BLOCK_ROWS)):
        whole.update(f"[{','.join(block)}]\n".encode())
    return whole.hexdigest()


def _use_rows(roll: Roll) -> Iterator[str]:
    numbers, (ids, classes, charges, *exact, members) = roll.people.numbers, roll.uses.every()
    quoted = {name: encode_basestring(name) for name in set(classes)}
    columns = zip(roll.places, ids, classes, charges, *exact, members, strict=True)
    for place, identity, name, charged, hours, factor, points, minimum, is_member in columns:
        # Most have only charges, and writing a fraction down takes its time.
        if hours is ZERO and factor is ONE and points is ZERO and minimum is ZERO:
            rest = '"0","1","0","0"'
        else:
            rest = f'"{hours}","{factor}","{points}","{minimum}"'
        yield f"[{numbers[place]},{encode_basestring(identity)},{quoted[name]},{charged},{rest},{_FLAG[is_member]}]"


def _person_rows(people: People) -> Iterator[str]:
    """Of whom there is anything to tell; who is missing among the people has nothing special."""
    for identity, number, owed, loss, consent, withhold, joined, left in zip(*people.every(), strict=True):
        if number or owed or loss or consent or withhold or joined or left:
            yield (
                f"[{number},{encode_basestring(identity)},{owed},{loss},{_FLAG[consent]},{_FLAG[withhold]}"
                f",{encode_basestring(joined)},{encode_basestring(left)}]"
            )


def _allocation_rows(rows: Allocations) -> Iterator[str]:
    ids, classes, _, *amounts = rows.every()
    quoted = {name: encode_basestring(name) for name in set(classes)}
    for identity, name, amount, cash, retained, qualified, nonqualified in zip(
        ids, classes, *amounts, strict=True
    ):
        yield f"[{encode_basestring(identity)},{quoted[name]},{amount},{cash},{retained},{qualified},{nonqualified}]"


def _settlement_rows(settled: Settlements) -> Iterator[str]:
    columns = zip(settled.ids, *settled.lines(), strict=True)
    for identity, amount, cash, retained, met, withheld, set_off, given, held, paid in columns:
        if amount:
            yield (
                f"[{encode_basestring(identity)},{amount},{cash},{retained},{met},{withheld},{set_off},{given},{held}"
                f",{paid}]"
            )


def year_document(closing: YearClosing) -> Document:
    """JSON-ready, stable keys."""
    currency = closing.inputs.currency
    return {
        **summary_document(closing),
        "allocations": [_allocation(row, currency) for row in closing.allocations],
        "settlements": [_settlement(one, currency) for one in closing.settlements],
        "inputs": inputs_document(closing.inputs),
        "digest": closing.digest,
    }


def summary_document(closing: YearClosing) -> Document:
    """All that follows but members' rows."""
    inputs = closing.inputs

    def text(minor: int) -> str:
        return plain_number(minor, inputs.currency)

    return {
        "format": FORMAT,
        "currency": inputs.currency,
        "rule_set": inputs.rule_set.id,
        "fiscal_year": inputs.fiscal_year,
        "result": text(closing.result_minor),
        "steps": [
            {"key": one.key, "name": one.name, "formula": one.formula, "amount": text(one.amount_minor)}
            for one in closing.steps
        ],
        "member_result": text(closing.member_result_minor),
        "non_member_result": text(closing.non_member_result_minor),
        "collective": text(closing.collective_minor),
        "pool": text(closing.pool_minor),
        "class_pools": {name: text(part) for name, part in closing.class_pools.items()},
        "interest": {name: text(part) for name, part in sorted(closing.interest.items())},
        "accounts": {account: text(part) for account, part in closing.accounts.items()},
        "checks": [
            {"name": one.name, "left": text(one.left), "right": text(one.right), "agree": one.agree}
            | ({"figures": one.figures} if one.figures else {})
            for one in closing.checks
        ],
        "notes": list(inputs.rule_set.notes),
    }


def _allocation(row: YearAllocation, currency: str) -> Document:
    found: Document = {
        "id": row.id,
        "class": row.member_class,
        "amount": plain_number(row.amount_minor, currency),
        "cash": plain_number(row.cash_minor, currency),
        "retained": plain_number(row.retained_minor, currency),
    }
    if row.qualified_minor or row.nonqualified_minor:
        found["qualified"] = plain_number(row.qualified_minor, currency)
        found["nonqualified"] = plain_number(row.nonqualified_minor, currency)
    return found


def _settlement(one: Settlement, currency: str) -> Document:
    lines = {
        "amount": one.amount_minor,
        "cash": one.cash_minor,
        "retained": one.retained_minor,
        "loss_met": one.loss_met_minor,
        "withheld": one.withheld_minor,
        "set_off": one.set_off_minor,
        "given": one.given_minor,
        "held": one.held_minor,
        "paid": one.paid_minor,
    }
    return {"id": one.id, **{name: plain_number(minor, currency) for name, minor in lines.items()}}


def inputs_document(inputs: YearInputs) -> Document:
    """The inputs with every key, in the form `weir simulate` reads back to the same closing."""
    return {**common_inputs(inputs), "members": list(_members(inputs))}


def common_inputs(inputs: YearInputs) -> Document:
    """The inputs but the members."""

    def text(minor: int) -> str:
        return plain_number(minor, inputs.currency)

    interest, reserves, form = inputs.interest, inputs.reserves, inputs.form
    resolved = dict(inputs.resolved)
    found: dict[str, object | None] = {
        "currency": inputs.currency,
        "rule_set": rule_set_document(inputs.rule_set),
        "fiscal_year": inputs.fiscal_year or None,
        "fiscal_year_number": inputs.fiscal_year_number,
        "costs": text(inputs.costs_minor),
        "side_income": text(inputs.side_income_minor),
        "non_member_revenue": text(inputs.non_member_minor),
        "non_member_hours": _exact(inputs.non_member_hours),
        "class_weights": {name: exact_text(weight) for name, weight in sorted(inputs.class_weights.items())},
        "class_keys": {name: key.value for name, key in sorted(inputs.class_keys.items())},
        "empty_class": (inputs.empty or inputs.rule_set.classes.empty).value,
        "prior_deficit": text(inputs.prior_deficit_minor),
        "share_interest": text(interest.amount_minor),
        "share_lots": [
            {"member": lot.id, "par": text(lot.par_minor), "rate": exact_text(lot.rate), "days": lot.days}
            for lot in sorted(interest.lots, key=lambda lot: (lot.id, lot.par_minor, lot.rate, lot.days))
        ],
        "days_in_year": interest.days_in_year,
        "reference_rate": _exact(interest.reference_rate),
        "public_aid": text(interest.public_aid_minor),
        "voluntary_reserve": text(resolved.pop("reserve:voluntary", 0)),
        "funds": {account.partition(":")[2]: text(amount) for account, amount in sorted(resolved.items())},
        "reserves": _without_none(
            {
                "compulsory": text(reserves.compulsory_minor),
                "voluntary": text(reserves.voluntary_minor),
                "highest_capital": None
                if reserves.highest_capital_minor is None
                else text(reserves.highest_capital_minor),
                "average": _exact(reserves.average),
            }
        ),
        "cash_share": _exact(form.cash_share),
        "nonqualified_share": exact_text(form.nonqualified_share),
        "minimum_amount": text(form.minimum_minor),
        "below_minimum": form.small.value,
    }
    return _without_none(found)


def _members(inputs: YearInputs) -> Iterable[Document]:
    people = {person.id: person for person in inputs.people}
    told: set[str] = set()
    for use in sorted(inputs.uses, key=lambda use: (use.id, use.member_class)):
        yield _use(use, inputs.currency) | _person(people.get(use.id) if use.id not in told else None, inputs)
        told.add(use.id)


def _use(use: Use, currency: str) -> Document:
    found: Document = {"id": use.id, "class": use.member_class}
    if use.charges_minor:
        found["charges"] = plain_number(use.charges_minor, currency)
    measures = (("hours", use.hours), ("points", use.points), ("minimum_activity", use.minimum))
    found |= {name: exact_text(value) for name, value in measures if value}
    if use.factor != ONE:
        found["factor"] = exact_text(use.factor)
    if not use.member and use.member_class != CUSTOMER:
        found["member"] = False
    return found


def _person(person: Person | None, inputs: YearInputs) -> Document:
    if person is None:
        return {}
    found: dict[str, object | None] = {
        "number": person.number or None,
        "owed": plain_number(person.owed_minor, inputs.currency) if person.owed_minor else None,
        "loss_carried": plain_number(person.loss_minor, inputs.currency) if person.loss_minor else None,
        "consent": person.consent or None,
        "withholding": person.withhold or None,
        "joined": person.joined or None,
        "left": person.left or None,
    }
    return _without_none(found)


def _exact(value: Fraction | None) -> str | None:
    return None if value is None else exact_text(value)


def _without_none(found: dict[str, object | None]) -> Document:
    return {key: value for key, value in found.items() if value is not None}
