"""A closing: everything that follows from a month's frozen inputs, with the digest of both.

A pure function; the same inputs give the same bytes. It does not know whether it is a trial or final.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from billing.booking import closing_entries
from billing.canon import canonical, digest
from billing.cost import Invoice, by_pool
from billing.ledger import Entry
from billing.patronage import Patronage, share_out
from billing.rating import Charge, charge
from billing.surplus import Result
from billing.tariff import Service, Tariff, tariff_document
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Member, Usage
from meter.window import Month

FORMAT = "weir-closing-1"
SOMETIMES = ("version_byte_us", "part_byte_us", "removed_byte_us", "corrected_in", "corrected_out")
"""Counts that stand in a closing where they are not zero, so that closings from before them come out as they were."""


@dataclass(frozen=True, slots=True)
class ClosingInputs:
    """What a closing depends on, and nothing else."""

    month: Month
    until_us: int
    """Stored bytes are counted up to here: the month's end, or now in a trial of the running month."""
    tariff: Tariff
    members: tuple[Member, ...]
    usage: Mapping[MemberId, Usage]
    invoices: tuple[Invoice, ...]
    watermark: Mapping[str, int]
    """Stream → last sequence that is in the usage."""


@dataclass(frozen=True, slots=True)
class Check:
    """A sum worked out in two ways."""

    name: str
    left: int
    right: int

    @property
    def agree(self) -> bool:
        """No tolerance."""
        return self.left == self.right


@dataclass(frozen=True, slots=True)
class Closing:
    """All that follows from the inputs; money in minor units of the tariff's currency."""

    inputs: ClosingInputs
    charges: tuple[Charge, ...]
    costs: Mapping[str, int]
    result: Result
    patronage: Patronage
    entries: tuple[Entry, ...]
    checks: tuple[Check, ...]
    digest: str

    @property
    def currency(self) -> str:
        """Of every amount."""
        return self.inputs.tariff.currency

    def to_document(self) -> dict[str, object]:
        """JSON-ready, stable keys: the inputs, what follows from them, and the digest of both."""
        return {
            **_body(self.inputs, self.charges, self.costs, self.patronage, self.checks),
            "digest": self.digest,
        }


def closing(inputs: ClosingInputs) -> Closing:
    """Work out a month. Raises Refusal for usage of somebody who is not in the register."""
    charges = tuple(
        charge(inputs.usage[member], inputs.tariff, inputs.month)
        for member in sorted(inputs.usage)
        if used_anything(inputs.usage[member])
    )
    classes = {member.id: member.member_class for member in inputs.members}
    for one in charges:
        if one.member not in classes:
            raise Refusal(f"there is usage of member {one.member}, who is not in the register")
    costs = by_pool(inputs.invoices)
    result = Result(sum(one.amount_minor for one in charges), sum(costs.values()))
    patronage = share_out(result, charges, classes)
    entries = closing_entries(inputs.month, charges, costs, patronage)
    checks = _checks(inputs, charges, result, patronage, entries)
    assert all(check.agree for check in checks), checks
    text = canonical(_body(inputs, charges, costs, patronage, checks))
    return Closing(inputs, charges, costs, result, patronage, entries, checks, digest(text))


def used_anything(usage: Usage) -> bool:
    """Whether there is anything to charge, a correction included."""
    counts = (usage.bytes_in, usage.bytes_out, usage.requests_a, usage.requests_b, usage.byte_us)
    return any((*counts, *(getattr(usage, name) for name in SOMETIMES)))


def _checks(
    inputs: ClosingInputs,
    charges: Iterable[Charge],
    result: Result,
    patronage: Patronage,
    entries: Iterable[Entry],
) -> tuple[Check, ...]:
    lines = [line for one in charges for line in one.lines]
    by_service = {
        service: sum(one.amount_minor for one in lines if one.service is service) for service in Service
    }
    invoiced = sum(one.amount_minor for one in inputs.invoices)
    shares = sum(one.amount_minor for one in patronage.allocations)
    sent = sum(one.quantity for one in lines if one.service is Service.GB_OUT)
    kept = patronage.pool_minor + patronage.undistributed_minor - patronage.loss_minor
    return (
        Check(
            "bytes sent: members' usage = lines charged",
            sum(u.bytes_out for u in inputs.usage.values()),
            sent,
        ),
        Check("charges: by member = by service", result.charges_minor, sum(by_service.values())),
        Check("charges = costs + result", result.charges_minor, invoiced + result.amount_minor),
        Check("shares of members = the pool", shares, patronage.pool_minor),
        Check("pool + undistributed - loss = result", kept, result.amount_minor),
        Check("postings of all entries = 0", sum(p.amount_minor for e in entries for p in e.postings), 0),
    )


def _body(
    inputs: ClosingInputs, charges: Iterable[Charge], costs: Mapping[str, int], patronage: Patronage,
    checks: Iterable[Check],
) -> dict[str, object]:  # fmt: skip
    charged = [_charge_document(one) for one in charges]
    charges_minor = sum(line.amount_minor for one in charges for line in one.lines)
    result = Result(charges_minor, sum(costs.values()))
    return {
        "format": FORMAT,
        "month": str(inputs.month),
        "currency": inputs.tariff.currency,
        "inputs": _inputs_document(inputs),
        "charges": charged,
        "charges_minor": result.charges_minor,
        "costs": dict(costs),
        "costs_minor": result.costs_minor,
        "result_minor": result.amount_minor,
        "outcome": result.outcome.value,
        "pool_minor": patronage.pool_minor,
        "undistributed_minor": patronage.undistributed_minor,
        "loss_minor": patronage.loss_minor,
        "allocations": [
            {
                "member": one.member,
                "charges_minor": one.charges_minor,
                "amount_minor": one.amount_minor,
                "paid_minor": one.paid_minor,
                "retained_minor": one.retained_minor,
            }
            for one in patronage.allocations
        ],
        "checks": [
            {"name": one.name, "left": one.left, "right": one.right, "agree": one.agree} for one in checks
        ],
    }


def _charge_document(one: Charge) -> dict[str, object]:
    return {
        "member": one.member,
        "amount_minor": one.amount_minor,
        "lines": [
            {
                "service": line.service.value,
                "quantity": line.quantity,
                "per": line.per,
                "price_nano": line.price_nano,
                "amount_minor": line.amount_minor,
            }
            for line in one.lines
        ],
    }


def _inputs_document(inputs: ClosingInputs) -> dict[str, object]:
    return {
        "until_us": inputs.until_us,
        "tariff": tariff_document(inputs.tariff),
        "members": [
            {"id": one.id, "name": one.name, "class": one.member_class.value, "status": one.status.value,
             "joined_us": one.joined_us, "left_us": one.left_us}
            for one in sorted(inputs.members, key=lambda one: one.id)
        ],
        "usage": [
            {"member": one.member, "bytes_in": one.bytes_in, "bytes_out": one.bytes_out,
             "requests_a": one.requests_a, "requests_b": one.requests_b, "byte_us": one.byte_us,
             **{name: getattr(one, name) for name in SOMETIMES if getattr(one, name)}}
            for _, one in sorted(inputs.usage.items())
            if used_anything(one)
        ],
        "invoices": [
            {"number": one.number, "pool": one.pool, "amount_minor": one.amount_minor,
             "currency": one.currency, "memo": one.memo, "booked_us": one.booked_us}
            for one in sorted(inputs.invoices, key=lambda one: one.number)
        ],
        "watermark": dict(inputs.watermark),
    }  # fmt: skip
