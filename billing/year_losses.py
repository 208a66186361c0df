"""A year with a loss in words: what each account gets or bears, and who bears what no member's share does. Pure.

It reads the document of what one member is told of a year, and works nothing out but who is named in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from billing.tongue import _, phrase, pieces
from billing.words import amount_text

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


IN_NOBODYS_NAME = ("collective:", "reserve:", "fund:")
TOLD_APART = ("interest:shares", "loss:carried")
"""Accounts that get of a result and are neither shared by use and work nor everyone's."""


def account_words(name: str, amount_minor: int) -> str:
    """An account that is not a member's as its amount means it, in the language spoken now."""
    known = BEARERS if amount_minor < 0 else NOT_MEMBERS
    return phrase(known.get(name, NOT_MEMBERS.get(name, name)))


def everyones(co_op: Mapping[str, Any]) -> int:
    """What of a result stays in nobody's name: the collective account, reserves and funds; in minor units."""
    return sum(minor for name, minor in co_op["accounts"].items() if name.startswith(IN_NOBODYS_NAME))


def meets_losses(co_op: Mapping[str, Any]) -> bool:
    """Whether nothing is shared because earlier losses are met first."""
    return not co_op["pool_minor"] and co_op["accounts"].get("loss:carried", 0) > 0


def is_missing(document: Mapping[str, Any]) -> bool:
    """Whether the members' year is a loss. Where others brought a gain, the whole result can still be above zero."""
    co_op = document["co_op"]
    if co_op["pool_minor"]:
        return bool(co_op["pool_minor"] < 0)
    return co_op["result_minor"] < 0 or any(
        minor < 0 for name, minor in co_op["accounts"].items() if name != "collective:main"
    )


def is_spared(document: Mapping[str, Any]) -> bool:
    """Whether the members' year is a loss of which this reader bears nothing."""
    return document["amount_minor"] == 0 and is_missing(document)


def pool_words(document: Mapping[str, Any], *, within: bool) -> str:
    """What members have of the result; `within` a table that says "of it"."""
    if is_missing(document):
        return _("of it borne by the members") if within else _("borne by the members")
    return _("of it shared among the members") if within else _("shared among the members")


def spared_note(document: Mapping[str, Any]) -> str:
    """Below a part of the loss that is nothing: who bears it, where that is one."""
    match list(_bearers(document)):
        case [("carried", _minor)]:
            return _("none: it is carried forward, and coming surpluses meet it first")
        case [("collective", _minor)]:
            return _("none: all of us bear it, in nobody’s name")
        case _several:
            return _("none, by the co-op’s rules; who bears it stands below")


def spared_meaning(document: Mapping[str, Any]) -> str:
    """What a loss means for who bears nothing of it: who does, and what comes before anything comes back."""
    told = [_("By the co-op’s rules no part of the loss is yours, and nobody is billed for it.")]
    for bearer, minor in _bearers(document):
        part = amount_text(minor, document["currency"])
        match bearer:
            case "reserves":
                told.append(_("The co-op’s reserves meet {part} of it.", part=part))
            case "members":
                told.append(
                    _("Members bear {part} of it, from what they would get in coming years.", part=part)
                )
            case "collective":
                told.append(
                    _(
                        "All of us bear {part} of it together, in nobody’s name (collective account).",
                        part=part,
                    )
                )
            case _carried:
                told.append(
                    _(
                        "{part} of it is carried forward: coming surpluses meet it before anything comes back to "
                        "members.", part=part
                    )
                )  # fmt: skip
    return " ".join(told)


def unmet(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What stands against a capital account: the member's parts of losses that are still to be met, as paragraphs."""
    losses = document.get("losses", ())
    if not losses:
        return []
    told = [
        pieces(
            "Your part of the loss of {year} that is still to be met: {part}.",
            {"part": amount_text(one["unmet_minor"], document["currency"])}, year=one["words"],
        )
        for one in losses
    ]  # fmt: skip
    why = _(
        "It is no debt, and nobody asks you for it: it is met from what you would get in coming years, the oldest loss "
        "first. If you leave, it is taken from what is kept in your name."
    )
    return [*told, (why,)]


def _bearers(document: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """(who, how much) of all that bear a part of a loss, in the order of the closing's steps."""
    co_op = document["co_op"]
    accounts = co_op["accounts"]
    reserves = ("reserve:voluntary", "reserve:compulsory")
    parts = {
        "reserves": sum(min(accounts.get(name, 0), 0) for name in reserves),
        "members": min(co_op["pool_minor"], 0),
        "collective": min(accounts.get("collective:main", 0), 0),
        "carried": min(accounts.get("loss:carried", 0), 0),
    }
    return ((who, -minor) for who, minor in parts.items() if minor)
