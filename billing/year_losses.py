"""A year with a loss in words: what each account gets or bears, and who bears what no member's share does. Pure.

It reads the document of what one member is told of a year, and works nothing out but who is named in it.
"""

from __future__ import annotations

from billing.tongue import phrase

NOT_MEMBERS = {
    "collective:main": "kept by all of us, in nobody's name (collective account)",
    "reserve:compulsory": "reserve that the rules ask for",
    "reserve:voluntary": "reserve that the members decided",
    "fund:education": "for education",
    "fund:solidarity": "for solidarity",
    "interest:shares": "interest on share capital",
    "loss:carried": "meets losses of earlier years",
}
"""Account → what it gets of a year."""
BEARERS = {
    "collective:main": "borne by all of us, in nobody's name (collective account)",
    "reserve:compulsory": "met from the reserve that the rules ask for",
    "reserve:voluntary": "met from the reserve that the members decided",
    "loss:carried": "carried forward, to be met from coming surpluses",
}
"""Account → what it means that it gives: below zero it bears a part of what is missing."""


def account_words(name: str, amount_minor: int) -> str:
    """An account that is not a member's as its amount means it, in the language spoken now."""
    known = BEARERS if amount_minor < 0 else NOT_MEMBERS
    return phrase(known.get(name, NOT_MEMBERS.get(name, name)))
