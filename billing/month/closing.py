"""A closing: everything that follows from a month's frozen inputs, with the digest of both.

A pure function; the same inputs give the same bytes. It does not know whether it is a trial or final. Members come
one by one, in the order of their numbers, and are summed: a closing of a million members is a page. A month
allocates nothing; what it leaves over is shared out when the year is closed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from billing.canon import canonical, digest
from billing.charges.quick import Kept, Quick
from billing.charges.rating import Credit, charge, sent
from billing.charges.tariff import Service, Tariff, tariff_document
from billing.costs.invoices import Invoice, by_pool
from billing.month.member_month import MemberMonth, member_month
from billing.month.surplus import Result
from meter.usage import Member, MemberClass, Usage
from meter.window import Month

FORMAT = "weir-closing-2"
_CLASSES = {one.value: one for one in MemberClass}


@dataclass(frozen=True, slots=True)
class ClosingInputs:
    """What a closing depends on besides the members and what they used."""

    month: Month
    until_us: int
    """Stored bytes are counted up to here: the month's end, or now in a trial of the running month."""
    tariff: Tariff
    invoices: tuple[Invoice, ...]
    watermark: Mapping[str, int]
    """Stream → last sequence that is in the usage."""
    earlier: Mapping[Month, Tariff] = field(default_factory=dict)
    """Tariffs of earlier months, of which there is late usage."""

    @property
    def engines(self) -> frozenset[str]:
        """Storage engines that any of these tariffs has prices of: usage is told apart by them."""
        return self.tariff.engine_names.union(*(one.engine_names for one in self.earlier.values()))


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
    members: int
    """Who stood in the register as a member; customers are none."""
    lines: int
    """Members and customers together."""
    lines_digest: str
    """SHA-256 over the SHA-256 of every one's line, in the order of their numbers."""
    by_service: Mapping[Service, int]
    by_class: Mapping[MemberClass, int]
    costs: Mapping[str, int]
    result: Result
    checks: tuple[Check, ...]
    digest: str

    @property
    def currency(self) -> str:
        """Of every amount."""
        return self.inputs.tariff.currency

    def to_document(self) -> dict[str, object]:
        """JSON-ready, stable keys: the inputs, what follows from them, and the digest of both."""
        return {**_body(self), "digest": self.digest}


def looked_at_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of a closing's document as somebody can see it before the month is closed.

    Without how far each stream was summed, which is settled by closing and not before, and so without the closing's
    own digest; what the sums say is in the digest of the lines.
    """
    inputs = {name: value for name, value in document["inputs"].items() if name != "watermark"}
    seen = {name: value for name, value in document.items() if name != "digest"}
    return digest(canonical({**seen, "inputs": inputs}))


class MonthSum:
    """Members added up into a closing, in ascending order of their numbers."""

    def __init__(self, inputs: ClosingInputs) -> None:
        self.lines = 0
        self._quick = Quick(inputs.tariff, inputs.month)
        self._told: dict[Service, int] = {}
        self._members = 0
        self._inputs = inputs
        self._last = 0
        self._digests = hashlib.sha256()
        self._by_service = dict.fromkeys(Service, 0)
        self._by_class = dict.fromkeys(MemberClass, 0)
        self._charges_minor = 0
        self._sent_used = 0
        self._sent_charged = 0

    def add(self, member: Member, usage: Usage, credited: tuple[Credit, ...] = ()) -> MemberMonth:
        """Charge one member; what is kept of them."""
        assert member.id > self._last, "members come in the order of their numbers"
        inputs = self._inputs
        rated = charge(
            usage, inputs.tariff, inputs.month, member_class=member.member_class, earlier=inputs.earlier,
            credited=credited,
        )  # fmt: skip
        kept = member_month(member, usage, rated, credited)
        amount = 0
        for line in rated.lines:
            self._by_service[line.service] += line.amount_minor
            amount += line.amount_minor
        self._sent_charged += sent(rated.lines)
        self._by_class[member.member_class] += amount
        self._charges_minor += rated.amount_minor
        self._sent_used += usage.bytes_out
        self.lines += 1
        self._members += member.member_class.is_member
        self._last = member.id
        self._digests.update(kept.digest)
        return kept

    def take(self, row: Iterable[Any]) -> Kept | None:
        """The quick way for one row of `meter.usage_store.everyone_rows`; None for who must be added the readable way."""
        kept = self._quick.line(row)
        if kept is not None:
            assert kept.member > self._last, "members come in the order of their numbers"
            member_class = _CLASSES[kept.member_class]
            self._by_class[member_class] += kept.amount_minor
            self._charges_minor += kept.amount_minor
            self.lines += 1
            self._members += member_class.is_member
            self._last = kept.member
            self._digests.update(kept.digest)
        return kept

    def earned(self) -> dict[Service, int]:
        """What was charged by service since it was asked last: the revenue side of an entry."""
        for service, amount in self._quick.taken().items():
            self._by_service[service] += amount
        found = {
            service: amount - self._told.get(service, 0)
            for service, amount in self._by_service.items()
            if amount != self._told.get(service, 0)
        }
        self._told = dict(self._by_service)
        return found

    def closing(self) -> Closing:
        """The closing of those added."""
        self.earned()
        self._sent_used += self._quick.sent_bytes
        self._sent_charged += self._quick.sent_bytes
        self._quick.sent_bytes = 0
        costs = by_pool(self._inputs.invoices)
        result = Result(self._charges_minor, sum(costs.values()))
        checks = self._checks(result)
        assert all(check.agree for check in checks), checks
        made = Closing(
            self._inputs, self._members, self.lines, self._digests.hexdigest(),
            {service: amount for service, amount in self._by_service.items() if amount},
            {one: amount for one, amount in self._by_class.items() if amount}, costs, result, checks, "",
        )  # fmt: skip
        return _sealed(made)

    def _checks(self, result: Result) -> tuple[Check, ...]:
        invoiced = sum(one.amount_minor for one in self._inputs.invoices)
        return (
            Check("bytes sent: members' usage = lines charged", self._sent_used, self._sent_charged),
            Check("charges: by member = by service", result.charges_minor, sum(self._by_service.values())),
            Check("charges: by member = by class", result.charges_minor, sum(self._by_class.values())),
            Check("charges = costs + result", result.charges_minor, invoiced + result.amount_minor),
        )


def closing(
    inputs: ClosingInputs, members: Iterable[tuple[Member, Usage]]
) -> tuple[Closing, tuple[MemberMonth, ...]]:
    """Work out a whole month at once, members in any order: the closing, and each member's month."""
    summing = MonthSum(inputs)
    kept = tuple(summing.add(member, usage) for member, usage in sorted(members, key=lambda one: one[0].id))
    return summing.closing(), kept


def _sealed(made: Closing) -> Closing:
    return Closing(
        made.inputs, made.members, made.lines, made.lines_digest, made.by_service, made.by_class, made.costs, made.result,
        made.checks, digest(canonical(_body(made))),
    )  # fmt: skip


def _body(made: Closing) -> dict[str, object]:
    return {
        "format": FORMAT,
        "month": str(made.inputs.month),
        "currency": made.inputs.tariff.currency,
        "inputs": _inputs_document(made.inputs),
        "members": made.members,
        "lines": made.lines,
        "lines_digest": made.lines_digest,
        "charges_minor": made.result.charges_minor,
        "charges_by_service": {service.value: amount for service, amount in made.by_service.items()},
        "charges_by_class": {one.value: amount for one, amount in made.by_class.items()},
        "costs": dict(made.costs),
        "costs_minor": made.result.costs_minor,
        "result_minor": made.result.amount_minor,
        "outcome": made.result.outcome.value,
        "checks": [
            {"name": one.name, "left": one.left, "right": one.right, "agree": one.agree} for one in made.checks
        ],
    }  # fmt: skip


def _inputs_document(inputs: ClosingInputs) -> dict[str, object]:
    return {
        "until_us": inputs.until_us,
        "tariff": tariff_document(inputs.tariff),
        "invoices": [
            {"number": one.number, "pool": one.pool, "amount_minor": one.amount_minor,
             "currency": one.currency, "memo": one.memo, "booked_us": one.booked_us}
            for one in sorted(inputs.invoices, key=lambda one: one.number)
        ],
        "watermark": dict(inputs.watermark),
        **_earlier_document(inputs),
    }  # fmt: skip


def _earlier_document(inputs: ClosingInputs) -> dict[str, object]:
    if not inputs.earlier:
        return {}
    return {
        "earlier_tariffs": {str(month): tariff_document(tariff) for month, tariff in inputs.earlier.items()}
    }
