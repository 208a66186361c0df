"""What pages make of words: a figure that stays with its unit."""

from __future__ import annotations

from billing.pages import figure


def test_a_figure_breaks_before_its_number_and_not_before_its_unit() -> None:
    assert ["about 12.3\N{NO-BREAK SPACE}PB", "-1.00\N{NO-BREAK SPACE}EUR", "137,376"] == [
        figure(one) for one in ("about 12.3 PB", "-1.00 EUR", "137,376")
    ]
