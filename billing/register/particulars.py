"""A member's name and addresses as the law's register wants them. Pure.

Personal data: never logged, read only by whoever owns the register.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from meter.refusal import Refusal

JOINERS = frozenset("\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")
JOINED = frozenset({"legal_name", "postal"})
"""Where they may stand."""
EMAIL_CHARACTERS_MAX = 254
_LENGTHS_MAX = {"legal_name": 200, "postal": 500, "email": EMAIL_CHARACTERS_MAX, "purposes": 200}


@dataclass(frozen=True, slots=True)
class Particulars:
    """How somebody is called and reached; empty where it is not known."""

    legal_name: str = ""
    postal: str = ""
    email: str = ""
    purposes: str = ""
    """What they gave the e-mail address for: notices, statements, …"""

    def __repr__(self) -> str:
        return "Particulars(…)"


def changed(
    known: Particulars, *, legal_name: str | None, postal: str | None, email: str | None, purposes: str | None
) -> Particulars:
    """What was known with what was typed in its place. Raises Refusal naming the field."""
    given = {"legal_name": legal_name, "postal": postal, "email": email, "purposes": purposes}
    told = {name: " ".join(text.split()) for name, text in given.items() if text is not None}
    if not told:
        raise Refusal("name what changes: --name, --postal, --email or --purposes")
    for name, text in told.items():
        option = "name" if name == "legal_name" else name
        if len(text) > _LENGTHS_MAX[name]:
            raise Refusal(f"{option}: one line of at most {_LENGTHS_MAX[name]} characters")
        hidden = unseen(text, joins=name in JOINED)
        if hidden:
            raise Refusal(
                f"{option}: it has a character that cannot be seen, {hidden}; write it without that"
            )
    # What was entered once may stay, so that whoever has such an address can still move.
    if told.get("email", "") not in ("", known.email) and not is_address(told["email"]):
        raise Refusal(
            "email: this is no e-mail address, and links to sign in would never arrive; write it as anna@example.coop"
        )
    return replace(known, **told)


def is_address(text: str) -> bool:
    """Whether it could be one e-mail address: no blanks, no line ends, something on both sides of its one '@'."""
    local, _, domain = text.partition("@")
    return (
        bool(local and domain)
        and "@" not in domain
        and len(text) <= EMAIL_CHARACTERS_MAX
        and text.isprintable()
        and not any(one in text for one in ' <>,;:"()[]\\')
    )


def unseen(text: str, *, joins: bool) -> str:
    """The first character that nobody sees, as Unicode numbers it; empty where there is none.

    joins: what joins and parts letters may stand between others, for Persian and Indian names are not written without.
    """
    kept = JOINERS if joins and text.strip("".join(JOINERS)) == text else frozenset()
    return next((f"U+{ord(one):04X}" for one in text if not one.isprintable() and one not in kept), "")
