"""A closing: everything that follows from a month's frozen inputs, with the digest of both.

A pure function; the same inputs give the same bytes. It does not know whether it is a trial or final.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from billing.booking import closing_entries
from billing.canon import canonical, digest
from billing.cost import Invoice, by_pool
from billing.ledger import Entry
from billing.lines import line_document
from billing.patronage import Patronage, share_out
from billing.rating import Charge, Credit, charge, sent
from billing.surplus import Result
from billing.tariff import Service, Tariff, tariff_document
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Member, MemberClass, Usage
from meter.window import Month

FORMAT = "weir-closing-1"
SOMETIMES = ("version_byte_us", "part_byte_us", "removed_byte_us", "corrected_in", "corrected_out")
"""Counts that stand in a closing where they are not zero, so that closings from before them come out as they were."""

ZONES = ("bytes_out_peering", "bytes_out_own")
"""Counts that stand in a closing where its tariff tells zones apart."""


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
    credits: tuple[Credit, ...] = ()
    earlier: Mapping[Month, Tariff] = field(default_factory=dict)
    """Tariffs of earlier months, of which there is late usage."""


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
    classes = {member.id: member.member_class for member in inputs.members}
    used = {member for member, usage in inputs.usage.items() if used_anything(usage)}
    for member in sorted(used):
        if member not in classes:
            raise Refusal(f"there is usage of member {member}, who is not in the register")
    charged = sorted(used | {one.member for one in inputs.credits})
    charges = tuple(rated(inputs, member, classes[member]) for member in charged)
    costs = by_pool(inputs.invoices)
    result = Result(sum(one.amount_minor for one in charges), sum(costs.values()))
    patronage = share_out(result, charges, classes)
    entries = closing_entries(inputs.month, charges, costs, patronage)
    checks = _checks(inputs, charges, result, patronage, entries)
    assert all(check.agree for check in checks), checks
    text = canonical(_body(inputs, charges, costs, patronage, checks))
    return Closing(inputs, charges, costs, result, patronage, entries, checks, digest(text))


def rated(inputs: ClosingInputs, member: MemberId, member_class: MemberClass) -> Charge:
    """What one member is charged: usage, late usage and credits, at the rates of their class."""
    usage = inputs.usage.get(member) or Usage(member, inputs.month.start_us, inputs.until_us)
    return charge(
        usage, inputs.tariff, inputs.month, member_class=member_class, earlier=inputs.earlier,
        credited=[one for one in inputs.credits if one.member == member],
    )  # fmt: skip


def used_anything(usage: Usage) -> bool:
    """Whether there is anything to charge, a correction included."""
    counts = (usage.bytes_in, usage.bytes_out, usage.requests_a, usage.requests_b, usage.byte_us)
    return bool(usage.late) or any((*counts, *(getattr(usage, name) for name in SOMETIMES)))


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
    kept = patronage.pool_minor + patronage.undistributed_minor - patronage.loss_minor
    return (
        Check(
            "bytes sent: members' usage = lines charged",
            sum(u.bytes_out for u in inputs.usage.values()),
            sent(lines),
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
        "lines": [line_document(line) for line in one.lines],
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
             **{name: getattr(one, name) for name in SOMETIMES if getattr(one, name)},
             **_apart_document(one, inputs.tariff)}
            for _, one in sorted(inputs.usage.items())
            if used_anything(one)
        ],
        "invoices": [
            {"number": one.number, "pool": one.pool, "amount_minor": one.amount_minor,
             "currency": one.currency, "memo": one.memo, "booked_us": one.booked_us}
            for one in sorted(inputs.invoices, key=lambda one: one.number)
        ],
        "watermark": dict(inputs.watermark),
        **_given_document(inputs),
    }  # fmt: skip


def _apart_document(usage: Usage, tariff: Tariff) -> dict[str, object]:
    """Zones where the tariff tells them apart, late usage where there is any."""
    found: dict[str, object] = {}
    if tariff.tells_zones_apart:
        found |= {name: getattr(usage, name) for name in ZONES}
    if usage.late:
        found["late"] = [{**asdict(one), "month": str(one.month)} for one in usage.late]
    return found


def _given_document(inputs: ClosingInputs) -> dict[str, object]:
    found: dict[str, object] = {}
    if inputs.credits:
        found["credits"] = [
            {"number": one.number, "member": one.member, "amount_minor": one.amount_minor,
             "currency": one.currency, "reason": one.reason, "given_us": one.given_us}
            for one in sorted(inputs.credits, key=lambda one: one.number)
        ]  # fmt: skip
    if inputs.earlier:
        found["earlier_tariffs"] = {
            str(month): tariff_document(tariff) for month, tariff in inputs.earlier.items()
        }
    return found
