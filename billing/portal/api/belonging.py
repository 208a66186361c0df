"""The API about who you are to the co-op: the token itself, and the membership."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.governance.decisions import Delivery
from billing.portal.api.route import Asking, Route, Told
from billing.portal.api.shapes import (
    CLASS,
    COUNT,
    CURRENCY,
    DAY,
    FLAG,
    MINOR,
    TEXT,
    TIME,
    WHOLE,
    or_null,
    record,
    rows,
)
from billing.portal.membership_pages import Membership, membership_of
from billing.portal.tokens import Caller, Scope
from billing.words import iso_text

_MEMBER = {"id": WHOLE, "name": TEXT}
ME = record(
    {
        "member": record(_MEMBER),
        "token": record(
            {
                "id": TEXT,
                "name": TEXT,
                "scopes": rows({"type": "string", "enum": [one.value for one in Scope]}),
                "created": TIME,
                "expires": TIME,
            }
        ),
    }
)
MEMBERSHIP = record(
    {
        "member": record(
            {**_MEMBER, "status": {"type": "string", "enum": ["active", "suspended"]}, "joined": TIME}
        ),
        "classes": rows(CLASS, words="Empty for who is no member any more."),
        "shares": rows(record({"kind": TEXT, "shares": COUNT, "paid_minor": MINOR, "currency": CURRENCY})),
        "consents": rows(
            record(
                {
                    "bylaws": TEXT,
                    "delivered_on": DAY,
                    "how": {"type": "string", "enum": [one.value for one in Delivery]},
                    "from": DAY,
                    "is_withdrawn": FLAG,
                }
            )
        ),
        "particulars": record({"legal_name": TEXT, "postal": TEXT, "email": TEXT, "purposes": TEXT}),
        "leaving_on": or_null(DAY, words="The day of a notice to leave."),
    }
)
_ME_EXAMPLE: Mapping[str, Any] = {
    "member": {"id": 1, "name": "anna"},
    "token": {
        "id": "0123456789abcdef",
        "name": "bookkeeping",
        "scopes": ["statements:read"],
        "created": "2026-11-01T09:00:00.000000Z",
        "expires": "2027-01-30T09:00:00.000000Z",
    },
}
_MEMBERSHIP_EXAMPLE: Mapping[str, Any] = {
    "member": {"id": 1, "name": "anna", "status": "active", "joined": "2026-09-01T00:00:00.000000Z"},
    "classes": ["user"],
    "shares": [{"kind": "member", "shares": 2, "paid_minor": 20000, "currency": "EUR"}],
    "consents": [
        {"bylaws": "2026-1", "delivered_on": "2026-09-01", "how": "e-mail", "from": "2026-09-01", "is_withdrawn": False}
    ],
    "particulars": {"legal_name": "Anna Example", "postal": "1 Weir Lane", "email": "anna@example.org", "purposes": ""},
    "leaving_on": None,
}  # fmt: skip


def routes() -> tuple[Route, ...]:
    """What this module answers."""
    return (
        Route(
            "GET", "/me", "getMe", "about you", "Whose token this is, and what it may", _me,
            (Told(ME, _ME_EXAMPLE),),
        ),
        Route(
            "GET", "/membership", "getMembership", "about you", "Your class, shares, consents and addresses",
            _membership, (Told(MEMBERSHIP, _MEMBERSHIP_EXAMPLE),), Scope.MEMBERSHIP,
        ),
    )  # fmt: skip


async def _me(asking: Asking) -> Mapping[str, Any]:
    return me(asking.caller)


def me(caller: Caller) -> dict[str, Any]:
    """A token and whose it is."""
    token = caller.token
    return {
        "member": {"id": int(caller.member), "name": caller.name},
        "token": {
            "id": token.id,
            "name": token.name,
            "scopes": [one.value for one in token.scopes],
            "created": iso_text(token.created_us),
            "expires": iso_text(token.expires_us),
        },
    }


async def _membership(asking: Asking) -> Mapping[str, Any]:
    async with asking.portal.database() as connection:
        found = await membership_of(connection, asking.caller.member, now_us=asking.now_us)
    return membership(asking.caller, found)


def membership(caller: Caller, found: Membership) -> dict[str, Any]:
    """A membership as the API tells it."""
    known = found.known
    return {
        "member": {
            "id": int(caller.member),
            "name": caller.name,
            "status": found.status,
            "joined": iso_text(found.joined_us),
        },
        "classes": [one.value for one in found.person.classes],
        "shares": [
            {
                "kind": kind,
                "shares": one.shares,
                "paid_minor": one.paid_minor,
                "currency": found.kinds[kind].currency,
            }
            for kind, one in found.person.holdings.items()
        ],
        "consents": [
            {
                "bylaws": one.bylaws,
                "delivered_on": one.delivered_on.isoformat(),
                "how": one.how.value,
                "from": one.from_on.isoformat(),
                "is_withdrawn": is_over,
            }
            for one, is_over in found.consents
        ],
        "particulars": {
            "legal_name": known.legal_name,
            "postal": known.postal,
            "email": known.email,
            "purposes": known.purposes,
        },
        "leaving_on": None if found.leaving is None else found.leaving.isoformat(),
    }
