"""A small reader of PromQL for tests: which metrics an expression names, by which labels, and what is wrong with it.

It knows tokens, brackets and selectors, not meanings; a real Prometheus is asked for those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?![\w:])|(?P<name>[a-zA-Z_:][\w:]*)|(?P<text>\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<span>\[[^\]]*\])|(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>(){},=]))"
)
WORDS = frozenset(
    {"by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "and", "or", "unless"}
)
GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
PAIRS = {")": "(", "}": "{"}
SPAN = re.compile(r"\[(?:\d+[smhdw]|\$__rate_interval)(?::(?:\d+[smhdw])?)?\]")


class NotPromQL(ValueError):
    """What is wrong with an expression."""


@dataclass(frozen=True)
class Selector:
    """One metric that is asked for, and the labels that are asked of it."""

    metric: str
    labels: tuple[str, ...]
    span: str
    """The range in brackets behind it, or ''."""
    function: str
    """What stands round it: rate, increase, '' for nothing."""


def tokens(expr: str) -> list[tuple[str, str]]:
    """(kind, text) of each token. Raises NotPromQL."""
    found, place = [], 0
    while expr[place:].strip():
        match = TOKEN.match(expr, place)
        if match is None:
            raise NotPromQL(f"not a token: {expr[place : place + 20]!r}")
        kind = match.lastgroup
        assert kind is not None
        found.append((kind, match[kind]))
        place = match.end()
    return found


def checked(expr: str) -> list[tuple[str, str]]:
    """Its tokens, brackets in pairs and spans well formed. Raises NotPromQL."""
    found, stack = tokens(expr), list[str]()
    for kind, text in found:
        if text in ("(", "{") and kind == "sign":
            stack.append(text)
        elif text in PAIRS and kind == "sign" and (not stack or stack.pop() != PAIRS[text]):
            raise NotPromQL(f"'{text}' closes nothing")
        elif kind == "span" and SPAN.fullmatch(text) is None:
            raise NotPromQL(f"not a range: {text}")
    if stack:
        raise NotPromQL(f"'{stack[-1]}' is not closed")
    if not found:
        raise NotPromQL("nothing is asked")
    return found


def selectors(expr: str) -> list[Selector]:
    """Every metric of an expression. Raises NotPromQL."""
    found, read, place = list[Selector](), checked(expr), 0
    while place < len(read):
        kind, text = read[place]
        if kind == "name" and text in GROUPING and _is(read, place + 1, "("):
            place = _closing(read, place + 1)
        elif (
            kind == "name"
            and text not in WORDS
            and not _is(read, place + 1, "(")
            and not _groups(read, place + 1)
        ):
            labels, end = _matchers(read, place + 1)
            span = read[end][1] if end < len(read) and read[end][0] == "span" else ""
            function = read[place - 2][1] if place > 1 and _is(read, place - 1, "(") else ""
            found.append(Selector(text, labels, span, function))
            place = end - 1
        place += 1
    return found


def grouped(expr: str) -> set[str]:
    """Labels behind by, without, on and ignoring."""
    found, read = set[str](), checked(expr)
    for place, (kind, text) in enumerate(read):
        if kind == "name" and text in GROUPING and _is(read, place + 1, "("):
            end = _closing(read, place + 1)
            found |= {text for kind, text in read[place + 2 : end] if kind == "name"}
    return found


def _is(read: list[tuple[str, str]], place: int, sign: str) -> bool:
    return 0 <= place < len(read) and read[place] == ("sign", sign)


def _groups(read: list[tuple[str, str]], place: int) -> bool:
    """An aggregation whose grouping comes first: sum by (…) (…)."""
    return place < len(read) and read[place][0] == "name" and read[place][1] in ("by", "without")


def _closing(read: list[tuple[str, str]], opening: int) -> int:
    depth = 0
    for place in range(opening, len(read)):
        depth += (read[place][1] == "(") - (read[place][1] == ")")
        if depth == 0:
            return place
    raise NotPromQL("'(' is not closed")


def _matchers(read: list[tuple[str, str]], place: int) -> tuple[tuple[str, ...], int]:
    if not _is(read, place, "{"):
        return (), place
    labels, place = list[str](), place + 1
    while not _is(read, place, "}"):
        if [kind for kind, _ in read[place : place + 3]] != ["name", "sign", "text"]:
            raise NotPromQL("a matcher is label, comparison, text")
        if read[place + 1][1] not in ("=", "!=", "=~", "!~"):
            raise NotPromQL(f"'{read[place + 1][1]}' compares no labels")
        labels.append(read[place][1])
        place += 3
        if _is(read, place, ","):
            place += 1
    return tuple(labels), place + 1
