"""What was typed into a form that was refused: by which words its fields are told, and what is shown again. Pure.

It knows no secret: what is not named here, a vote or what a device sent, is never shown again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from billing.charges.tariff import WORDS
from billing.tongue import _, phrase
from meter.refusal import Refusal

CHARACTERS_MAX = 20_000
"""Of one field; what is longer is cut."""
SHOWN: tuple[tuple[str, str, str], ...] = (
    ("/proposals", "title", "Title, one line"),
    ("/proposals", "options", "Who or what can be chosen, one a line, in the order of the ballot"),
    ("/proposals", "body", "What is proposed, and why"),
    ("/proposals", "comment", "What do you think?"),
    ("/proposals", "why", "Why, if you want to say it"),
    ("/board/resolutions", "text", "What was decided, in its own words"),
    ("/treasurer/tariff", "text", "The tariff, as a file"),
    ("/treasurer/invoices", "amount", "Amount"),
    ("/treasurer/invoices", "supplier", "Who sent it"),
    ("/treasurer/invoices", "memo", "What it is for"),
    ("/treasurer/pools", "key", "Key"),
    ("/treasurer/pools", "memo", "Why, or who decided it"),
    ("/membership/address", "legal_name", "Name"),
    ("/membership/address", "postal", "Postal address"),
    ("/membership/address", "email", "E-mail"),
    ("/membership/address", "purposes", "The e-mail address is for"),
    ("/membership/leave", "why", "Why, if you like to say"),
)
"""(where the form is sent, field, its label) of what somebody writes and would not want to write twice."""
LABELS: Mapping[str, str] = {
    "title": "Title, one line",
    "calc-hash": "Digest of a calculation to be approved, if there is one (SHA-256)",
    "expires_days": "The token ends",
    "postal": "Postal address",
    "purposes": "The e-mail address is for",
    "email": "E-mail",
    "put-aside": "Put aside",
    "reference-rate": "The published rate that a cap on interest builds on",
    "effective_from": "First month the tariff counts for",
    "on": "I leave on (UTC)",
    "--on": "The day the bank pays",
}
"""How a refusal calls a field → how its page does, where these are not the same."""
CAPS: Mapping[str, tuple[str, str]] = {
    "egress_soft": ("Sent to readers in a month (egress)", "Warn me at"),
    "egress_hard": ("Sent to readers in a month (egress)", "Refuse at"),
    "storage_soft": ("Stored at once", "Warn me at"),
    "storage_hard": ("Stored at once", "Refuse at"),
}
_FIELD = re.compile(r"([A-Za-z_-]+)( \S+)?: ", re.ASCII)


def field_of(refusal: Refusal) -> str:
    """How the refusal calls the field that it is about; empty where it names none."""
    found = _FIELD.match(str(refusal))
    return "" if found is None else found[1]


def refusal_told(refusal: Refusal) -> str:
    """A refusal as a page says it: the field by the words that the page has for it."""
    text = str(refusal)
    found = _FIELD.match(text)
    label = "" if found is None else _label(found[1])
    whole = phrase(text)
    if found is None or not label:
        return whole[:1].upper() + whole[1:].rstrip(".") + "."
    # What was translated whole has its own word for the field in front; what was not is translated without it.
    rest = phrase(text[found.end() :]) if whole == text else whole.partition(": ")[2]
    return f"{label}{found[2] or ''}: {rest.rstrip('.')}."


def _label(field: str) -> str:
    if field in LABELS:
        return _(LABELS[field])
    if field in CAPS:
        return ", ".join(_(one) for one in CAPS[field])
    service = next((words for one, words in WORDS.items() if one.value == field), None)
    return "" if service is None else f"{_(service)} ({field})"


def shown(path: str, texts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(label, what was written) of a form sent to a path, in the order of the form; bounded, and no secret."""
    known = dict(texts)
    return [
        (_(label), known[name][:CHARACTERS_MAX])
        for start, name, label in SHOWN
        if path.startswith(start) and known.get(name, "").strip()
    ]
