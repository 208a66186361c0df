"""Patterns of policies: `*` is any run of characters, `?` is one, `${name}` is a fact of the request.

What a fact brings in stands for itself: a `*` in a member's name is no wildcard. Nothing here goes back and tries
again, so no pattern costs more than its length times the text's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

Lookup = Callable[[str], str | None]
"""The value of a fact by its lower-case name; None where the request has none."""


class Wild(Enum):
    """What stands for other characters than itself."""

    MANY = auto()
    ONE = auto()


@dataclass(frozen=True, slots=True)
class Variable:
    """A fact that is filled in when the pattern is compared."""

    name: str
    """In lower case."""


Token = str | Wild | Variable
_PIECE = re.compile(r"\$\{[^{}]*\}|\*+|\?|[^*?$]+|\$")
_PLAIN_PIECE = re.compile(r"\*+|\?|[^*?]+")
_WILDS = {"*": Wild.MANY, "?": Wild.ONE}


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern, taken apart."""

    tokens: tuple[Token, ...]
    runs: tuple[re.Pattern[str], ...] | None
    """Ready to be compared; None while facts are missing."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the facts it needs."""
        return tuple(token.name for token in self.tokens if isinstance(token, Variable))

    def matches(self, text: str, lookup: Lookup) -> bool:
        """Whether the whole text fits; never when a fact it needs is missing."""
        if self.runs is not None:
            return _fits(self.runs, text)
        filled = [lookup(token.name) if isinstance(token, Variable) else token for token in self.tokens]
        if None in filled:
            return False
        return _fits(_compiled(tuple(token for token in filled if token is not None)), text)

    def literal(self, lookup: Lookup) -> str | None:
        """The text with its facts, wildcards read as the characters they are; None when a fact is missing."""
        pieces = []
        for token in self.tokens:
            piece = lookup(token.name) if isinstance(token, Variable) else _SHOWN.get(token, token)
            if piece is None:
                return None
            pieces.append(str(piece))
        return "".join(pieces)


_SHOWN: dict[Token, Token] = {Wild.MANY: "*", Wild.ONE: "?"}


def parse_pattern(text: str, *, with_variables: bool) -> Pattern:
    """Take a pattern apart; `${*}`, `${?}` and `${$}` are these characters themselves.

    Without variables `${` is text, as in policies of version 2008-10-17.
    """
    tokens: list[Token] = []
    for match in (_PIECE if with_variables else _PLAIN_PIECE).finditer(text):
        piece = match[0]
        if with_variables and piece.startswith("${"):
            name = piece[2:-1]
            tokens.append(name if name in ("*", "?", "$") else Variable(name.strip().lower()))
        else:
            tokens.append(_WILDS.get(piece[0], piece))
    needs_facts = any(isinstance(token, Variable) for token in tokens)
    return Pattern(tuple(tokens), None if needs_facts else _compiled(tuple(tokens)))


def _compiled(tokens: tuple[Token, ...]) -> tuple[re.Pattern[str], ...]:
    """What stands between the `*`, each of a fixed length: looked for once, from left to right."""
    runs = [""]
    for token in tokens:
        if token is Wild.MANY:
            runs.append("")
        else:
            runs[-1] += "." if token is Wild.ONE else re.escape(str(token))
    runs[-1] += r"\Z"
    return tuple(re.compile(run, re.DOTALL) for run in runs)


def _fits(runs: tuple[re.Pattern[str], ...], text: str) -> bool:
    found = runs[0].match(text)
    for run in runs[1:]:
        if found is None:
            return False
        # The last one says where it ends, so it too is found where it must be.
        found = run.search(text, found.end())
    return found is not None
