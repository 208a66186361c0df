"""Cost pools shared out: by which key, who used how much of it, and each one's part to the cent. Pure.

Why which key fits which cost, with the arithmetic, is in docs/costs.md. A pool's parts sum to the pool, always.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction

from billing.money import (
    apportion_exact,
    format_amount,
    parse_amount,
    parse_exact,
    percent_text,
    plain_number,
)
from meter.event import Zone
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Usage
from meter.window import Month

KEY_CHARACTERS_MAX = 500
TERMS_MAX = 10
REQUEST_WEIGHT_MAX = 1_000_000


class Driver(StrEnum):
    """What causes a cost; the value is its word in a key."""

    EQUAL = "equal"
    GB_OUT = "gb_out"
    GB_IN = "gb_in"
    GB_MONTH = "gb_month"
    REQUESTS = "requests"
    P95 = "p95"
    P95_IN = "p95_in"
    P95_OUT = "p95_out"


PERCENTILES = (Driver.P95, Driver.P95_IN, Driver.P95_OUT)
ZONED = (Driver.GB_OUT, *PERCENTILES)
PLACED = (Driver.GB_OUT, Driver.GB_IN, Driver.GB_MONTH, Driver.REQUESTS)
"""What may be counted of one storage engine alone; a sample of five minutes knows no bucket."""
ZONES: Mapping[str, Zone] = {"internet": Zone.INTERNET, "peering": Zone.PEERING, "own": Zone.OWN}


@dataclass(frozen=True, slots=True)
class Measure:
    """A driver with what belongs to it."""

    driver: Driver
    zone: Zone | None = None
    """Of a driver that knows zones; None: all of them together."""
    member_class: str = ""
    """Of `equal`: only members of this class; empty: every member."""
    weight_a: int = 1
    weight_b: int = 1
    """Of `requests`: what one of each class counts."""
    engine: str = ""
    """Only what was used of buckets on this storage engine; empty: of all."""


@dataclass(frozen=True, slots=True)
class Key:
    """fee / M + (K − fee) × Σ weight × use / all use; the weights sum to 1. Without a fee the second part alone."""

    terms: tuple[tuple[Fraction, Measure], ...]
    fee_minor: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """What everybody used of everything in a month, as far as keys ask for it."""

    month: Month
    members: Mapping[MemberId, str]
    """Members of the month, and their class; customers are none."""
    usage: Mapping[MemberId, Usage]
    peaks: Mapping[Measure, Mapping[MemberId, int]] = field(default_factory=dict)
    """Bytes in the samples that make the 95th percentile, for each key that asks."""
    on_engines: Mapping[str, Mapping[MemberId, Usage]] = field(default_factory=dict)
    """Usage of buckets on one engine, for each engine that a key names."""
    is_closed: bool = False
    """The month takes no other key any more: what its keys cannot share is shared equally among members."""


_TERM = re.compile(
    r"(?:(\d[\d.]*(?:/\d+| ?%)?) +)?([a-z0-9_]+)((?::[a-z0-9]+)*)(?:@([a-z][a-z0-9-]{0,31}))?", re.ASCII
)
_FEE = re.compile(r"fee +(\S+)", re.ASCII)


def parse_key(text: str, *, currency: str) -> Key:
    """Read 'gb_out:internet', '40 % equal + 60 % gb_month', 'fee 400.00 + p95'. Raises Refusal naming the rule."""
    if len(text) > KEY_CHARACTERS_MAX:
        raise Refusal(f"key: at most {KEY_CHARACTERS_MAX} characters")
    words = [" ".join(word.split()) for word in text.split("+")]
    fee_minor = 0
    if (match := _FEE.fullmatch(words[0])) is not None:
        fee_minor = parse_amount(match[1], currency, field="key: fee")
        if fee_minor == 0:
            raise Refusal("key: fee: an equal fee is more than 0; leave it out if there is none")
        words = words[1:]
        if not words:
            raise Refusal("key: fee: what is above the fee needs a key too, like 'fee 400.00 + gb_out'")
    if len(words) > TERMS_MAX:
        raise Refusal(f"key: at most {TERMS_MAX} keys are mixed")
    terms = [_term(word, alone=len(words) == 1) for word in words]
    total = sum((weight for weight, _ in terms), Fraction(0))
    if total != 1:
        raise Refusal(f"key: the weights sum to {percent_text(total)}; they must sum to 100 % exactly")
    if len({measure for _, measure in terms}) < len(terms):
        raise Refusal("key: the same key stands in the mix twice; add its weights up")
    return Key(tuple(terms), fee_minor)


def _term(text: str, *, alone: bool) -> tuple[Fraction, Measure]:
    match = _TERM.fullmatch(text)
    if match is None:
        raise Refusal(
            f"key: '{text[:60]}' is no key; write one like gb_out, or a mix like 40 % equal + 60 % gb_month"
        )
    if match[1] is None and not alone:
        raise Refusal(f"key: '{text[:60]}' needs its weight in a mix, like 40 % equal + 60 % gb_month")
    weight = Fraction(1) if match[1] is None else parse_exact(match[1], field="key: weight")
    if weight == 0:
        raise Refusal(f"key: '{text[:60]}' has the weight 0; leave it out")
    measure = _measure(match[2], match[3].split(":")[1:])
    if match[4] is not None:
        if measure.driver not in PLACED:
            raise Refusal(
                f"key: '{text[:60]}': after '@' an engine's name, of {', '.join(one.value for one in PLACED)} only"
            )
        measure = replace(measure, engine=match[4])
    return weight, measure


def _measure(word: str, options: list[str]) -> Measure:
    if word not in {one.value for one in Driver}:
        raise Refusal(f"key: '{word[:40]}' is unknown; keys are {', '.join(one.value for one in Driver)}")
    driver = Driver(word)
    if not options:
        return Measure(driver)
    if driver is Driver.REQUESTS and len(options) == 2 and all(one.isdigit() for one in options):
        weight_a, weight_b = (int(one[:20]) for one in options)
        if not 0 < weight_a + weight_b <= REQUEST_WEIGHT_MAX:
            raise Refusal(
                f"key: weights of requests are not both 0, and at most {REQUEST_WEIGHT_MAX} together"
            )
        return Measure(driver, weight_a=weight_a, weight_b=weight_b)
    if driver in ZONED and len(options) == 1 and options[0] in ZONES:
        return Measure(driver, zone=ZONES[options[0]])
    if driver is Driver.EQUAL and options in (["user"], ["worker"], ["supporter"]):
        return Measure(driver, member_class=options[0])
    raise Refusal(
        f"key: '{':'.join([word, *options])[:60]}': after ':' a key of traffic takes internet, peering or own, "
        "requests two weights as in requests:10:1, equal a class as in equal:user"
    )


def key_text(key: Key, *, currency: str) -> str:
    """The key as parse_key reads it back to the same."""
    words = [f"fee {plain_number(key.fee_minor, currency)}"] if key.fee_minor else []
    for weight, measure in key.terms:
        words.append(
            measure_text(measure) if weight == 1 else f"{_weight_text(weight)} {measure_text(measure)}"
        )
    return " + ".join(words)


def _weight_text(weight: Fraction) -> str:
    return percent_text(weight).replace(",", "")


def measure_text(measure: Measure) -> str:
    """One measure as it stands in a key."""
    text = measure.driver.value
    if measure.zone is not None:
        text += f":{measure.zone.name.lower()}"
    if measure.member_class:
        text += f":{measure.member_class}"
    if (measure.weight_a, measure.weight_b) != (1, 1):
        text += f":{measure.weight_a}:{measure.weight_b}"
    if measure.engine:
        text += f"@{measure.engine}"
    return text


def measures(key: Key) -> Iterator[Measure]:
    """What a key measures."""
    return (measure for _, measure in key.terms)


def used(measure: Measure, use: Use) -> dict[MemberId, int]:
    """Everybody's use of one measure, nobody's below zero: who had more taken back than they used bears nothing."""
    if measure.driver is Driver.EQUAL:
        wanted = measure.member_class
        return {member: 1 for member, one in use.members.items() if not wanted or one == wanted}
    if measure.driver in PERCENTILES:
        return {member: count for member, count in use.peaks[measure].items() if count > 0}
    usages = use.on_engines[measure.engine] if measure.engine else use.usage
    counts = {member: _count(measure, usage) for member, usage in usages.items()}
    return {member: count for member, count in counts.items() if count > 0}


def _count(measure: Measure, usage: Usage) -> int:
    match measure.driver:
        case Driver.GB_OUT:
            return sent_over(usage, measure.zone)
        case Driver.GB_IN:
            return usage.bytes_in
        case Driver.GB_MONTH:
            return usage.byte_us
        case Driver.REQUESTS:
            return usage.requests_a * measure.weight_a + usage.requests_b * measure.weight_b
        case _:
            raise AssertionError(f"{measure.driver} is counted elsewhere")


def sent_over(usage: Usage, zone: Zone | None) -> int:
    """Bytes sent over one zone, or over all."""
    match zone:
        case None:
            return usage.bytes_out
        case Zone.PEERING:
            return usage.bytes_out_peering
        case Zone.OWN:
            return usage.bytes_out_own
        case Zone.INTERNET:
            return usage.bytes_out - usage.bytes_out_peering - usage.bytes_out_own


def exact_parts(pool: str, cost_minor: int, key: Key, use: Use, *, currency: str) -> dict[MemberId, Fraction]:
    """Everybody's exact part of a pool: c = fee/M + (K − fee)·u/U. Raises Refusal naming pool, key and rule.

    Of a closed month no key can be changed: its fee is at most the cost, and what nobody used is shared equally.
    """
    found: dict[MemberId, Fraction] = {}
    if cost_minor == 0:
        return found
    fee = key.fee_minor
    if fee and fee > cost_minor and use.is_closed:
        fee = max(cost_minor, 0)
    elif fee and fee > cost_minor:
        raise Refusal(
            f"pool {pool}: the equal fee of {format_amount(key.fee_minor, currency)} is more than the pool's cost of "
            f"{format_amount(cost_minor, currency)} in {use.month}; a fee is at most the cost"
        )
    amounts = [((cost_minor - fee) * weight, measure) for weight, measure in key.terms]
    for amount, measure in [(Fraction(fee), Measure(Driver.EQUAL)), *amounts]:
        if not amount:
            continue
        counts = used(measure, use)
        if use.is_closed and not counts:
            counts = used(Measure(Driver.EQUAL), use)
        total = sum(counts.values())
        if not total:
            raise Refusal(
                f"pool {pool}: nobody used anything that its key {measure_text(measure)} counts in {use.month}; "
                f"give it another key with `weir pool set {pool}`"
            )
        for member, count in counts.items():
            found[member] = found.get(member, Fraction(0)) + amount * Fraction(count, total)
    return found


def unused(cost_minor: int, key: Key, use: Use) -> list[Measure]:
    """Measures of a closed month's key that nobody used, whose part is shared equally instead."""
    if not use.is_closed or cost_minor in (0, key.fee_minor):
        return []
    return [one for one in measures(key) if not used(one, use)]


def shared_out(pool: str, cost_minor: int, key: Key, use: Use, *, currency: str) -> dict[MemberId, int]:
    """The same in minor units by largest remainder: they sum to the pool without tolerance. Raises Refusal."""
    exact = exact_parts(pool, cost_minor, key, use, currency=currency)
    # The parts themselves are the weights; of a pool below zero (a credit note) they are all below zero.
    return apportion_exact(cost_minor, {member: abs(part) for member, part in exact.items()})


def share_pools(
    costs: Mapping[str, int], keys: Mapping[str, Key], use: Use, *, currency: str
) -> dict[str, dict[MemberId, int]]:
    """Every pool shared out. Raises Refusal for a pool without a key, and as shared_out() does."""
    for pool, cost in costs.items():
        if cost and pool not in keys:
            raise Refusal(
                f"pool {pool}: it has no key in {use.month}; say how it is shared with `weir pool set {pool}`"
            )
    return {
        pool: shared_out(pool, cost, keys[pool], use, currency=currency)
        for pool, cost in sorted(costs.items())
        if cost
    }
