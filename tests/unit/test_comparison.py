"""Both sides of the comparison: nothing converted without a rate, our full cost, bars that do not mix currencies."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest

from billing.prices import page as pricepage
from billing.prices.comparison import (
    Ours,
    Rate,
    bar_lines,
    bars,
    comparison,
    converted,
    our_part,
    parse_rate,
    svg,
)
from billing.prices.listprices import ListCost, Typed, list_cost
from billing.prices.shelf import read_shelf
from meter.refusal import Refusal
from meter.window import DAY_US

TODAY = date(2026, 11, 25)
SHELF = {one.id: one for one in read_shelf()}


def costs(*ids: str) -> list[ListCost]:
    what = Typed(gb_out=Fraction(10_000), gb_month=Fraction(100))
    return [list_cost(SHELF[one], what.quantities(SHELF[one].gb_bytes, month_us=30 * DAY_US)) for one in ids]


def test_our_part_of_the_costs_follows_charges_and_is_rounded_once() -> None:
    # 3,000.00 charged in all, costs 2,280.00: of 1,512.37 that is 1,149.4012.
    assert 114_940 == our_part(151_237, all_charges_minor=300_000, all_costs_minor=228_000)
    # Costs above charges are told as they are: 100 of 200 charged, 500 cost.
    assert 250 == our_part(100, all_charges_minor=200, all_costs_minor=500)
    assert our_part(100, all_charges_minor=200, all_costs_minor=0) is None
    assert our_part(0, all_charges_minor=0, all_costs_minor=500) is None


def test_a_rate_has_a_day() -> None:
    assert Rate("USD", Fraction(92, 100), date(2026, 11, 20)) == parse_rate(
        "USD=0.92@2026-11-20", today=TODAY
    )
    assert Rate("USD", Fraction(1), TODAY) == parse_rate("USD=1", today=TODAY)


@pytest.mark.parametrize(
    "text", ["USD", "USD=0", "USD=-1", "usd=1", "USD=1e3", "USD=NaN", "USD=1@2026-02-30", "USD=1@"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="rate: "):
        parse_rate(text, today=TODAY)


def test_conversion_knows_the_minor_units_of_both() -> None:
    half = Rate("USD", Fraction(1, 2), TODAY)
    assert 50 == converted(100, "USD", half, to="EUR")
    assert 1 == converted(1, "USD", half, to="EUR")  # half a cent, up
    assert 150 == converted(100, "USD", Rate("USD", Fraction(150), TODAY), to="JPY")
    assert 100 == converted(1, "JPY", Rate("JPY", Fraction(1), TODAY), to="EUR")


def test_without_a_rate_every_currency_has_its_own_bars() -> None:
    ours = Ours("EUR", 12_000, 9_000)
    document = comparison(costs("aws-s3-standard", "hetzner"), ours, rates={}, to="EUR", today=TODAY)
    groups = bars(document, to="EUR")
    assert ["EUR", "USD"] == list(groups)
    assert ["we charged", "our full cost", "Hetzner Object Storage"] == [one.words for one in groups["EUR"]]
    assert [89_330] == [one.amount_minor for one in groups["USD"]]  # 891.00 + 100 × 0.023


def test_with_a_rate_they_share_one_scale() -> None:
    rates = {"USD": Rate("USD", Fraction(1, 2), TODAY)}
    document = comparison(
        costs("aws-s3-standard"), Ours("EUR", 44_665, None), rates=rates, to="EUR", today=TODAY
    )
    (group,) = bars(document, to="EUR").values()
    assert [44_665, 44_665] == [one.amount_minor for one in group]
    drawn = list(bar_lines({"EUR": group}))
    assert ["EUR", 40, 40] == [drawn[0], drawn[1].count("█"), drawn[2].count("▒")]
    assert [{"currency": "USD", "to": "EUR", "rate": "0.5", "dated": "2026-11-25"}] == document["rates"]


def test_a_sum_with_something_missing_says_at_least() -> None:
    document = comparison(costs("azure", "cloudflare-r2"), None, rates={}, to="EUR", today=TODAY)
    azure, r2 = document["providers"]
    assert (["storage"], 86_130) == (azure["missing"], azure["amount_minor"])
    assert ([], 135) == (r2["missing"], r2["amount_minor"])  # 90 × 0.015, and nothing for 10,000 GB sent
    drawn = "\n".join(bar_lines(bars(document, to="EUR")))
    assert "at least 861.30 USD" in drawn
    assert "  1.35 USD" in drawn


def test_the_picture_is_well_formed_and_takes_no_markup_from_a_file() -> None:
    document = comparison(costs("hetzner"), Ours("EUR", 100, 90), rates={}, to="EUR", today=TODAY)
    document["providers"][0]["provider"] = "<script>&"
    drawn = svg(bars(document, to="EUR"), title='a "title" & <more>')
    parsed = ElementTree.fromstring(drawn)  # noqa: S314  our own picture, of a moment ago
    texts = [one.text for one in parsed.iter() if one.text and one.text.strip()]
    assert "<script>&" in texts
    assert "1.00 EUR" in texts


def test_the_page_of_prices_is_the_price_files() -> None:
    written = Path(__file__).parents[2].joinpath("docs/prices.md").read_text("utf-8")
    assert pricepage.page(read_shelf()) == written


def test_the_page_says_what_is_not_compared() -> None:
    told = pricepage.page(read_shelf())
    assert "negotiated discount" in told
    assert "| Cloudflare R2 | 2026 | vendor | 0.00 USD |" in told
