"""A closing as a document: the inputs as `weir simulate` reads them, what follows from them, and the digest of both.

Amounts are texts in major units that read back exactly; everything else exact is a text too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from typing import Any

from billing.canon import canonical, digest
from billing.money import exact_text, plain_number
from billing.rules.document import rule_set_document
from billing.year.inputs import CUSTOMER, ONE, ZERO, Person, Use, YearInputs
from billing.year.outcome import Settlement, YearAllocation, YearClosing

FORMAT = "weir-year-1"
BLOCK_ROWS = 10_000
Document = dict[str, object]


def year_digest(closing: YearClosing) -> YearClosing:
    """The closing with its digest: SHA-256 of the canonical JSON of all that is not a member's, and of their rows'.

    Rows go in by blocks, in minor units: a million members as texts would take longer than the closing itself.
    """
    inputs = closing.inputs
    numbers = {person.id: person.number for person in inputs.people}
    body: Document = {
        **summary_document(closing),
        "inputs": common_inputs(inputs),
        # By number first: the books give members in that order, and what is in order sorts in no time.
        "uses": _rows_digest(sorted(_use_row(use, numbers.get(use.id, 0)) for use in inputs.uses)),
        "people": _rows_digest(sorted(_person_row(one) for one in inputs.people if _is_special(one))),
        "allocations": _rows_digest(row[:2] + row[3:] for row in closing.allocations),
        "settlements": _rows_digest(closing.settlements),
    }
    return replace(closing, digest=digest(canonical(body)))


def _rows_digest(rows: Iterable[Sequence[object]]) -> str:
    """SHA-256 of the rows as JSON arrays of whole numbers and texts, BLOCK_ROWS of them a line."""
    whole = hashlib.sha256()
    waiting = iter(rows)
    while block := list(islice(waiting, BLOCK_ROWS)):
        whole.update(json.dumps(block, separators=(",", ":"), ensure_ascii=False).encode())
        whole.update(b"\n")
    return whole.hexdigest()


def _use_row(use: Use, number: int) -> tuple[Any, ...]:
    return (
        number, use.id, use.member_class, use.charges_minor, _exact_row(use.hours), _exact_row(use.factor),
        _exact_row(use.points), _exact_row(use.minimum), use.member,
    )  # fmt: skip


def _exact_row(value: Fraction) -> str:
    # Most are one of these two objects, and writing a fraction down takes its time.
    return "0" if value is ZERO else "1" if value is ONE else str(value)


def _is_special(one: Person) -> bool:
    """Whether there is anything to tell; who is missing among the people has nothing special."""
    return bool(
        one.number
        or one.owed_minor
        or one.loss_minor
        or one.consent
        or one.withhold
        or one.joined
        or one.left
    )


def _person_row(one: Person) -> tuple[Any, ...]:
    return (
        one.number, one.id, one.owed_minor, one.loss_minor, one.consent, one.withhold, one.joined, one.left,
    )  # fmt: skip


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
