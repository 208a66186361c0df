"""What members were charged held against what it cost, by service and by pool, and the prices that follow. Pure.

A pool's cost belongs to the services its key counts; what a key shares equally is overhead, and is borne by the
services in proportion to what they cost themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from billing.charges.rating import Line, counted
from billing.charges.tariff import PRICE_DECIMALS, PRICE_NANO_MAX, PRICED, SAME_AS, SENT, Service, Tariff
from billing.costs.pools import Driver, Key, Measure, sent_over
from billing.money import apportion_exact, ceil_share, exponent
from meter.event import Zone
from meter.refusal import Refusal
from meter.usage import Usage
from meter.window import Month

FLAGGED = Fraction(5, 100)
"""A variance of more than this part of the cost is flagged: the next tariff should follow it."""
NO_SERVICE = "no service"
NO_POOL = "no pool"
RESERVE_MAX = Fraction(1)


@dataclass(frozen=True, slots=True)
class MonthFigures:
    """What there is to hold against each other in a month."""

    month: Month
    tariff: Tariff
    costs: Mapping[str, int]
    keys: Mapping[str, Key]
    total: Usage
    """Everybody's usage together."""
    lines: Sequence[Line]
    """Everybody's lines."""


@dataclass(frozen=True, slots=True)
class Row:
    """One service or pool, in minor units."""

    name: str
    collected_minor: int
    cost_minor: int

    @property
    def difference_minor(self) -> int:
        """Above zero: more was collected than it cost."""
        return self.collected_minor - self.cost_minor

    @property
    def is_flagged(self) -> bool:
        """Whether the difference is more than FLAGGED of the cost."""
        return abs(self.difference_minor) > FLAGGED * abs(self.cost_minor)


Attributed = dict[str, dict[Service | None, int]]
"""Pool → service → its cost in minor units; None: no service could bear it."""


def line_service(service: Service, tariff: Tariff) -> Service:
    """The price a line is charged by: its own, or that of the service it is like."""
    return service if service in tariff.prices else SAME_AS.get(service, service)


def without_key(figures: MonthFigures) -> list[str]:
    """Pools that cost something and have no key, by name; while there is one, nobody can tell what a service cost."""
    return sorted(pool for pool, cost in figures.costs.items() if cost and pool not in figures.keys)


def attributed(figures: MonthFigures) -> Attributed:
    """Each pool's cost by service, summing to the pool. Raises Refusal for a pool without a key."""
    for pool in without_key(figures):
        raise Refusal(
            f"pool {pool}: it has no key in {figures.month}; say how it is shared with `weir pool set {pool}`"
        )
    direct: dict[str, dict[Service | None, Fraction]] = {}
    for pool, cost in figures.costs.items():
        if cost:
            direct[pool] = _direct(cost, figures.keys[pool], figures)
    borne: dict[Service, Fraction] = {}
    for parts in direct.values():
        for service, part in parts.items():
            if service is not None:
                borne[service] = borne.get(service, Fraction(0)) + abs(part)
    return {pool: _whole(figures.costs[pool], parts, borne) for pool, parts in sorted(direct.items())}


def _direct(cost: int, key: Key, figures: MonthFigures) -> dict[Service | None, Fraction]:
    found: dict[Service | None, Fraction] = {}
    fee = min(key.fee_minor, max(cost, 0))
    amounts: list[tuple[Fraction, Measure]] = [(Fraction(fee), Measure(Driver.EQUAL))]
    amounts += [((cost - fee) * weight, measure) for weight, measure in key.terms]
    for amount, measure in amounts:
        weights = {one: weight for one, weight in _services(measure, figures).items() if weight > 0}
        total = sum(weights.values())
        for service, weight in weights.items():
            found[service] = found.get(service, Fraction(0)) + amount * Fraction(weight, total)
        if not total:
            found[None] = found.get(None, Fraction(0)) + amount
    return found


def _services(measure: Measure, figures: MonthFigures) -> dict[Service, int]:
    """The services a measure counts, by how much of them it counts; none for what is shared equally."""
    total, tariff = figures.total, figures.tariff
    found: dict[Service, int] = {}

    def add(service: Service, count: int) -> None:
        named = line_service(service, tariff)
        found[named] = found.get(named, 0) + count

    match measure.driver:
        case Driver.GB_OUT | Driver.P95 | Driver.P95_OUT:
            for service, zone in zip(SENT, (Zone.INTERNET, Zone.PEERING, Zone.OWN), strict=True):
                if measure.zone in (None, zone):
                    add(service, sent_over(total, zone))
        case Driver.GB_IN | Driver.P95_IN:
            add(Service.GB_IN, total.bytes_in)
        case Driver.GB_MONTH:
            for service in (Service.GB_MONTH, Service.GB_MONTH_VERSIONS, Service.GB_MONTH_PARTS):
                add(service, counted(service, total, figures.month)[0])
        case Driver.REQUESTS:
            add(Service.REQUESTS_A, total.requests_a * measure.weight_a)
            add(Service.REQUESTS_B, total.requests_b * measure.weight_b)
        case Driver.EQUAL:
            pass  # overhead: no service of its own
    return found


def _whole(
    cost: int, parts: Mapping[Service | None, Fraction], borne: Mapping[Service, Fraction]
) -> dict[Service | None, int]:
    """Overhead spread over the services by what they bear, then minor units by largest remainder."""
    total = sum(borne.values(), Fraction(0))
    if not total:
        return {None: cost}
    exact = {service: abs(part) for service, part in parts.items() if service is not None}
    overhead = abs(parts.get(None, Fraction(0)))
    if overhead:
        for service, weight in borne.items():
            exact[service] = exact.get(service, Fraction(0)) + overhead * weight * Fraction(
                total.denominator, total.numerator
            )
    return dict[Service | None, int](apportion_exact(cost, exact).items())


def by_service(figures: MonthFigures) -> list[Row]:
    """Collected and cost of each service that has either."""
    costs: dict[Service | None, int] = {}
    for parts in attributed(figures).values():
        for service, part in parts.items():
            costs[service] = costs.get(service, 0) + part
    collected = collected_by(figures)
    names: list[Service | None] = [*Service, None]
    return [
        Row(NO_SERVICE if one is None else one.value, collected.get(one, 0), costs.get(one, 0))
        for one in names
        if collected.get(one) or costs.get(one)
    ]


def collected_by(figures: MonthFigures) -> dict[Service | None, int]:
    """What was charged, by the service whose price it was charged by."""
    found: dict[Service | None, int] = {}
    for line in figures.lines:
        service = line_service(line.service, figures.tariff)
        found[service] = found.get(service, 0) + line.amount_minor
    return found


def by_pool(figures: MonthFigures) -> list[Row]:
    """The same by pool: what a service collected belongs to the pools that make its cost, as they make it."""
    parts = attributed(figures)
    collected: dict[str, int] = dict.fromkeys(parts, 0)
    for service, amount in collected_by(figures).items():
        weights = {pool: abs(one[service]) for pool, one in parts.items() if one.get(service)}
        shares = apportion_exact(amount, weights) if weights else {NO_POOL: amount}
        for pool, share in shares.items():
            collected[pool] = collected.get(pool, 0) + share
    return [
        Row(pool, amount, figures.costs.get(pool, 0))
        for pool, amount in sorted(collected.items())
        if amount or figures.costs.get(pool)
    ]


def added_up(months: Iterable[Sequence[Row]]) -> list[Row]:
    """Rows of several months, row by row, in the order they first come in."""
    found: dict[str, Row] = {}
    for rows in months:
        for row in rows:
            before = found.get(row.name, Row(row.name, 0, 0))
            found[row.name] = Row(
                row.name, before.collected_minor + row.collected_minor, before.cost_minor + row.cost_minor
            )
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One price: what the service cost, how many units were charged, and what follows."""

    service: Service
    cost_minor: int
    units: Fraction
    unit_cost_minor: Fraction | None
    """None when nothing was charged by it."""
    price_nano: int
    """Unit cost × (1 + reserve), rounded up to a billionth; the present price where there is no unit cost."""


def suggestions(months: Sequence[MonthFigures], present: Tariff, reserve: Fraction) -> list[Suggestion]:
    """A price for every service the present tariff names. Raises Refusal for a price that no tariff takes."""
    if reserve > RESERVE_MAX:
        raise Refusal("reserve: at most 100 %; it is put on top of what it costs")
    costs: dict[Service, int] = {}
    units: dict[Service, Fraction] = {}
    for figures in months:
        for parts in attributed(figures).values():
            for borne, part in parts.items():
                if borne is not None:
                    costs[borne] = costs.get(borne, 0) + part
        for line in figures.lines:
            service = line_service(line.service, figures.tariff)
            units[service] = units.get(service, Fraction(0)) + Fraction(line.quantity - line.free, line.per)
    found = []
    for service in PRICED:
        if service in present.prices:
            cost, used = costs.get(service, 0), units.get(service, Fraction(0))
            found.append(_suggestion(service, cost, used, present, reserve))
    return found


def _suggestion(
    service: Service, cost: int, units: Fraction, present: Tariff, reserve: Fraction
) -> Suggestion:
    if units <= 0:
        return Suggestion(service, cost, units, None, present.prices[service])
    unit_cost = max(Fraction(cost), Fraction(0)) * Fraction(units.denominator, units.numerator)
    nano_a_minor = 10 ** (PRICE_DECIMALS - exponent(present.currency))
    price = ceil_share(nano_a_minor, unit_cost * (1 + reserve))
    if price > PRICE_NANO_MAX:
        raise Refusal(
            f"{service.value}: its unit cost is above 1000000 a unit, which no tariff takes; too little was used"
        )
    return Suggestion(service, cost, units, unit_cost, price)


def suggested_tariff(found: Iterable[Suggestion], present: Tariff, begin: Month) -> Tariff:
    """The present tariff with the suggested prices; free amounts, rates of classes and of engines stay as they are."""
    prices = {one.service: one.price_nano for one in found}
    return Tariff(present.currency, begin, prices, present.free, present.classes, present.engines)
