"""What pages make of words: a figure that stays with its unit, a command in a sentence."""

from __future__ import annotations

import pytest

from billing.pages import commands, figure


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("set one with `weir tariff set FILE`.", "set one with <code>weir tariff set FILE</code>."),
        ("`weir a` & `weir b`", "<code>weir a</code> &amp; <code>weir b</code>"),
        ("<b>`x`</b>", "&lt;b&gt;<code>x</code>&lt;/b&gt;"),
        ("'`' is no name", "&#39;`&#39; is no name"),
        ("nothing", "nothing"),
    ],
)
def test_a_command_in_a_sentence_is_shown_as_one_and_everything_is_escaped(said: str, shown: str) -> None:
    assert shown == commands(said)


def test_a_figure_breaks_before_its_number_and_not_before_its_unit() -> None:
    assert ["about 12.3\N{NO-BREAK SPACE}PB", "-1.00\N{NO-BREAK SPACE}EUR", "137,376"] == [
        figure(one) for one in ("about 12.3 PB", "-1.00 EUR", "137,376")
    ]
