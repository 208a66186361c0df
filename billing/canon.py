"""Canonical JSON and its digest: one document, one text, one SHA-256. Pure; it knows no document's meaning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

_PLAIN = frozenset({str, int, bool, type(None)})


def canonical(document: Mapping[str, object]) -> str:
    """Sorted keys, no spaces, UTF-8, whole numbers only. A float or a key that is no string is our bug."""
    _check(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(text: str) -> str:
    """SHA-256 of the text in UTF-8, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _check(value: object) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            assert isinstance(key, str), "a key of a document is a string"
            if type(inner) not in _PLAIN:  # A page's table is thousands of these, and a call for each shows.
                _check(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            if type(inner) not in _PLAIN:
                _check(inner)
    else:
        assert isinstance(value, str | int), f"{type(value).__name__} has no place here"
