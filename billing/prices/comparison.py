"""Our charges and full cost beside what providers' list prices would have come to: a document, bars and a picture.

It works out no price anew, converts nothing without a rate that somebody gave, and says what is not compared. Pure.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from billing.money import divide_half_up, exponent, format_amount, parse_decimal, scale_down
from billing.prices.listprices import LineCost, ListCost, arithmetic, units_text
from billing.prices.pricefile import DECIMALS_MAX, Meter, age_days
from meter.refusal import Refusal

FORMAT = "weir-comparison-1"
NOT_COMPARED = (
    "These are list prices for ordinary traffic to the internet, each with its source, and with its date where the "
    "source bears one: no negotiated discount, no commitment, no tax and no support plan is in them. What a provider "
    "may ask of those who move away, which the European Union's Data Act (article 29) limits to cost and forbids from "
    "12 January 2027 on, is something else."
)
OUR_COST = (
    "Our full cost is all invoices of the period, staff included, in proportion to charges. What was charged beyond "
    "it, a contribution to reserves included, is the members' surplus. Work nobody is paid for is in neither."
)
MISSING = {
    Meter.STORED: "storage", Meter.OUT: "bytes sent", Meter.REQUESTS_A: "requests that change or list",
    Meter.REQUESTS_B: "requests that read",
}  # fmt: skip
BAR_CHARACTERS = 40
_RATE = re.compile(r"([A-Z]{3})=(\d+(?:\.\d+)?)(?:@(\d{4}-\d\d-\d\d))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """What one unit of a currency is in ours, and of which day that is."""

    currency: str
    rate: Fraction
    dated: date


@dataclass(frozen=True, slots=True)
class Ours:
    """Our own side, in the co-op's currency."""

    currency: str
    charged_minor: int
    """By our tariff."""
    cost_minor: int | None
    """The part of all costs of the period that falls on this use; None while no costs are booked."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One length of the picture."""

    words: str
    amount_minor: int
    is_ours: bool = False
    is_whole: bool = True
    """False when the list has no price for some of what was used."""


def parse_rate(text: str, *, today: date) -> Rate:
    """Read 'USD=0.92' or 'USD=0.92@2026-11-20'; without a day it is today's. Raises Refusal."""
    match = _RATE.fullmatch(text)
    try:
        if match is not None:
            exponent(match[1])
            value = Fraction(
                parse_decimal(match[2], field="rate", decimals_max=DECIMALS_MAX), 10**DECIMALS_MAX
            )
            if value > 0:
                return Rate(match[1], value, date.fromisoformat(match[3]) if match[3] else today)
    except ValueError:
        pass  # no day of the calendar: said below
    raise Refusal(
        f"rate: '{text[:40]}' is not a rate; write USD=0.92@2026-11-20 for 1 USD = 0.92 of our currency that day"
    )


def our_part(charged_minor: int, *, all_charges_minor: int, all_costs_minor: int) -> int | None:
    """The part of all costs that falls on charges; None where nothing was charged or no cost is booked."""
    if all_charges_minor <= 0 or all_costs_minor <= 0:
        return None
    return divide_half_up(charged_minor * all_costs_minor, all_charges_minor)


def converted(amount_minor: int, currency: str, rate: Rate, *, to: str) -> int:
    """An amount in another currency, rounded half up to its minor unit."""
    assert rate.currency == currency, "a rate is of one currency"
    exact = rate.rate * amount_minor * 10 ** exponent(to)
    return divide_half_up(exact.numerator, exact.denominator * 10 ** exponent(currency))


def comparison(
    costs: Sequence[ListCost], ours: Ours | None, *, rates: Mapping[str, Rate], to: str, today: date
) -> dict[str, Any]:
    """The document: every line of every provider with its arithmetic, both sums, and the words beside them."""
    return {
        "format": FORMAT,
        "ours": None
        if ours is None
        else {"currency": ours.currency, "charged_minor": ours.charged_minor, "cost_minor": ours.cost_minor},
        "rates": [
            {"currency": one.currency, "to": to, "rate": units_text(one.rate), "dated": one.dated.isoformat()}
            for _, one in sorted(rates.items())
        ],
        "providers": [_provider(one, rates, to=to, today=today) for one in costs],
        "our_cost": OUR_COST,
        "not_compared": NOT_COMPARED,
    }


def _provider(cost: ListCost, rates: Mapping[str, Rate], *, to: str, today: date) -> dict[str, Any]:
    prices = cost.prices
    rate = rates.get(prices.currency)
    return {
        "id": prices.id,
        "provider": prices.provider,
        "region": prices.region,
        "currency": prices.currency,
        "dated": prices.dated,
        "age_days": age_days(prices, today),
        "link": prices.link,
        "standing": prices.standing.value,
        "gb_bytes": prices.gb_bytes,
        "lines": [_line(one, prices.currency) for one in cost.lines],
        "amount_minor": cost.amount_minor,
        "missing": [MISSING[meter] for meter in cost.missing],
        "converted_minor": converted(cost.amount_minor, prices.currency, rate, to=to) if rate else None,
        "notes": list(prices.notes),
    }


def _line(cost: LineCost, currency: str) -> dict[str, Any]:
    return {
        "meter": cost.line.meter.value,
        "words": cost.line.words,
        "units": units_text(cost.units),
        "unit": cost.line.unit,
        "arithmetic": arithmetic(cost, currency),
        "amount_minor": cost.amount_minor,
        "source": cost.line.source,
        "standing": cost.line.standing.value,
    }


def bars(document: Mapping[str, Any], *, to: str) -> dict[str, list[Bar]]:
    """What can be set side by side: amounts by currency, converted ones among those of ours."""
    found: dict[str, list[Bar]] = {}
    ours = document["ours"]
    if ours is not None:
        found[ours["currency"]] = [Bar("we charged", ours["charged_minor"], is_ours=True)]
        if ours["cost_minor"] is not None:
            found[ours["currency"]].append(Bar("our full cost", ours["cost_minor"], is_ours=True))
    for one in document["providers"]:
        is_converted = one["converted_minor"] is not None
        currency = to if is_converted else one["currency"]
        amount = one["converted_minor"] if is_converted else one["amount_minor"]
        found.setdefault(currency, []).append(Bar(one["provider"], amount, is_whole=not one["missing"]))
    return {currency: found[currency] for currency in sorted(found)}


def bar_lines(groups: Mapping[str, Sequence[Bar]]) -> Iterable[str]:
    """The bars as text, one currency after the other, each on a scale of its own."""
    wide = max((len(bar.words) for group in groups.values() for bar in group), default=0)
    for currency, group in groups.items():
        yield currency
        longest = max(bar.amount_minor for bar in group)
        for bar in group:
            length = scale_down(bar.amount_minor, of=longest, to=BAR_CHARACTERS)
            mark = ("█" if bar.is_ours else "▒") * length
            yield f"  {bar.words.ljust(wide)}  {mark.ljust(BAR_CHARACTERS)}  {_amount(bar, currency)}"


def _amount(bar: Bar, currency: str) -> str:
    return ("" if bar.is_whole else "at least ") + format_amount(bar.amount_minor, currency)


def svg(groups: Mapping[str, Sequence[Bar]], *, title: str) -> str:
    """The same bars as a picture that needs nothing else: no script, no font, no address."""
    rows: list[str] = []
    top = 64
    for currency, group in groups.items():
        rows.append(f'<text x="16" y="{top}" class="head">{html.escape(currency)}</text>')
        longest = max(bar.amount_minor for bar in group)
        for bar in group:
            top += 26
            width = scale_down(bar.amount_minor, of=longest, to=360)
            words, amount = html.escape(bar.words), html.escape(_amount(bar, currency))
            rows.append(f'<text x="16" y="{top}">{words}</text>')
            rows.append(
                f'<rect x="250" y="{top - 13}" width="{width}" height="16" class="{"ours" if bar.is_ours else "list"}"/>'
            )
            rows.append(f'<text x="{260 + width}" y="{top}">{amount}</text>')
        top += 40
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{top}" role="img">',
            f"<title>{html.escape(title)}</title>",
            "<style>text{font:14px sans-serif;fill:#222}.head{font-weight:bold}.ours{fill:#1b6e53}.list{fill:#9aa5ad}</style>",
            f'<rect width="800" height="{top}" fill="#fff"/>',
            f'<text x="16" y="30" class="head">{html.escape(title)}</text>',
            *rows,
            "</svg>\n",
        )
    )
