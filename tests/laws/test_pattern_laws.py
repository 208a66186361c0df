"""Wildcards of policies against the plainest matcher there is: try every way, character by character."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.patterns import parse_pattern

TEXTS = st.text(alphabet="ab/*?${}.\n", max_size=12)
PATTERNS = st.text(alphabet="ab/*?.\n", max_size=10)


def fits(pattern: str, text: str) -> bool:
    """By the meaning of `*` and `?` alone."""

    @cache
    def at(place: int, where: int) -> bool:
        if place == len(pattern):
            return where == len(text)
        if pattern[place] == "*":
            return any(at(place + 1, end) for end in range(where, len(text) + 1))
        return where < len(text) and pattern[place] in ("?", text[where]) and at(place + 1, where + 1)

    return at(0, 0)


def nothing(name: str) -> str | None:
    del name
    return None


@given(PATTERNS, TEXTS)
def test_a_pattern_fits_exactly_what_the_plain_matcher_says(pattern: str, text: str) -> None:
    assert fits(pattern, text) == parse_pattern(pattern, with_variables=True).matches(text, nothing)


@given(st.text(alphabet="ab*?$", max_size=8), TEXTS)
def test_without_variables_a_dollar_is_a_dollar(pattern: str, text: str) -> None:
    assert fits(pattern, text) == parse_pattern(pattern, with_variables=False).matches(text, nothing)


@given(TEXTS, TEXTS, TEXTS)
def test_what_a_fact_brings_in_stands_for_itself(before: str, value: str, after: str) -> None:
    pattern = parse_pattern("x/${aws:username}/*", with_variables=True)
    assert pattern.matches(f"x/{value}/{after}", {"aws:username": value}.get)
    other = f"x/{before}/{after}"
    expected = other.startswith(f"x/{value}/")
    assert expected == pattern.matches(other, {"aws:username": value}.get)
    assert not pattern.matches(other, nothing)


def test_a_pattern_of_many_stars_is_not_slow() -> None:
    """A matcher that goes back would need 2^40 steps here."""
    assert not parse_pattern("*a" * 40 + "b", with_variables=True).matches("a" * 1000, nothing)
