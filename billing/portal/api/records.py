"""The API about what stands written down for every member: acts for the co-op, decisions, and signed pages of the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.acts import store as acts_store
from billing.acts.act import Act, Office
from billing.governance import store as governance_store
from billing.governance.decisions import Body, Resolution, ResolutionKind
from billing.portal.acts_pages import rows as seen_by
from billing.portal.api.route import Asking, Parameter, Route, Schema, Told
from billing.portal.api.shapes import (
    COUNT,
    CURSOR,
    DAY,
    DIGEST,
    FLAG,
    MONTH,
    TEXT,
    TIME,
    cursor_parameter,
    limit_parameter,
    or_null,
    record,
    rows,
)
from billing.portal.tokens import Scope
from billing.settings import BillingSettings
from billing.words import iso_text
from meter import heads_store
from meter.heads_store import Kept

ACTS = record(
    {
        "acts": rows(
            record(
                {
                    "number": COUNT,
                    "at": TIME,
                    "who": TEXT,
                    "office": {"type": "string", "enum": [one.value for one in Office]},
                    "what": TEXT,
                    "is_done": {**FLAG, "description": "false: it was refused, and nothing changed."},
                    "is_about_you": FLAG,
                    "detail": {**TEXT, "description": "Only of what you did, or what was done about you."},
                }
            ),
            words="The newest first.",
        ),
        "next": CURSOR,
        "digest": or_null(
            DIGEST,
            words="Of the newest act, where it is in this answer: each is sealed with the digest of the one before it. "
            "Keep it, and nobody can later change what stands here without your seeing it.",
        ),
    }
)
_COUNT_OR_NONE = or_null(record({"for": COUNT, "against": COUNT, "abstained": COUNT}))
RESOLUTIONS = record(
    {
        "resolutions": rows(
            record(
                {
                    "id": TEXT,
                    "decided_on": DAY,
                    "body": {"type": "string", "enum": [one.value for one in Body]},
                    "about": {"type": "string", "enum": [one.value for one in ResolutionKind]},
                    "text": TEXT,
                    "votes": {**_COUNT_OR_NONE, "description": "null: not counted."},
                    "quorum": or_null(COUNT),
                    "calc_hash": or_null(DIGEST, words="Of the closing or the rules that it approves."),
                    "recorded": TIME,
                }
            ),
            words="The newest first.",
        ),
        "next": CURSOR,
    }
)
HEADS = record(
    {
        "heads": rows(
            record(
                {
                    "number": COUNT,
                    "day": DAY,
                    "month": or_null(MONTH, words="The month whose closing it was made for."),
                    "public_key": TEXT,
                    "page": {**TEXT, "description": "The signed page, byte for byte: keep it as a file."},
                }
            ),
            words="The oldest first.",
        ),
        "next": {
            "type": ["string", "null"],
            "description": "Send it back as `cursor` for what comes next; null at the end. To go on another day, send "
            "the number of the last page you have.",
        },
    }
)
ABOUT: Schema = {"type": "string", "enum": ["everybody", "me"], "default": "everybody"}
_ONE_ACT: Mapping[str, Any] = {
    "number": 7, "at": "2026-11-06T09:00:00.000000Z", "who": "anna", "office": "treasurer",
    "what": "close the month 2026-10", "is_done": True, "is_about_you": False, "detail": "",
}  # fmt: skip
_ONE_RESOLUTION: Mapping[str, Any] = {
    "id": "2026-1", "decided_on": "2026-11-06", "body": "meeting", "about": "other", "text": "We buy a second disk.",
    "votes": {"for": 4, "against": 1, "abstained": 0}, "quorum": 3, "calc_hash": None,
    "recorded": "2026-11-06T09:00:00.000000Z",
}  # fmt: skip
_ONE_HEAD: Mapping[str, Any] = {
    "number": 1, "day": "2026-11-06", "month": None, "public_key": "0" * 64, "page": "{...}\n0000\n",
}  # fmt: skip


def routes(settings: BillingSettings) -> tuple[Route, ...]:
    """What this module answers."""
    limit = limit_parameter(settings.api_rows_max)
    return (
        Route(
            "GET", "/acts", "listActs", "the co-op", "Who did what for the co-op, and what was done about you", _acts,
            (Told(ACTS, {"acts": [_ONE_ACT], "next": None, "digest": "0" * 64}),), Scope.ACTS,
            parameters=(
                Parameter("about", ABOUT, "Every act, or those about you alone.", "me"),
                limit,
                cursor_parameter("^[0-9]{1,18}$", "17"),
            ),
            words="Of what concerns another member it says that it concerns somebody, and no more.",
        ),
        Route(
            "GET", "/resolutions", "listResolutions", "voting", "What the members' meeting and the board decided",
            _resolutions, (Told(RESOLUTIONS, {"resolutions": [_ONE_RESOLUTION], "next": None}),), Scope.VOTES,
            parameters=(limit, cursor_parameter("^[0-9]{4}-[0-9]{1,9}$", "2026-17")),
        ),
        Route(
            "GET", "/heads", "listHeads", "the co-op",
            "The signed pages that say, once a day, what the journal of all requests was", _heads,
            (Told(HEADS, {"heads": [_ONE_HEAD], "next": None}),),
            parameters=(limit, cursor_parameter("^[0-9]{1,18}$", "17")),
            words="Who keeps them can show later whether anything was changed: `weir heads verify` needs them and the "
            "public key, and nothing of ours.",
        ),
    )  # fmt: skip


async def _acts(asking: Asking) -> Mapping[str, Any]:
    limit = asking.values.get("limit", asking.portal.settings.api_rows_max)
    cursor, member = asking.values.get("cursor"), asking.caller.member
    about_me = asking.values.get("about") == "me"
    async with asking.portal.database() as connection:
        found = await acts_store.acts(
            connection, before=None if cursor is None else int(cursor), subject=member if about_me else None,
            count_max=limit + 1,
        )  # fmt: skip
    shown = found[:limit]
    is_newest_there = bool(found) and cursor is None and not about_me
    return {
        "acts": [_act(one, seen) for one, seen in zip(shown, seen_by(shown, member), strict=True)],
        "next": str(shown[-1].number) if len(found) > limit else None,
        "digest": found[0].digest.hex() if is_newest_there else None,
    }


def _act(one: Act, seen: Mapping[str, object]) -> dict[str, Any]:
    """An act as the page lets this member see it; the office by its name."""
    return {
        "number": one.number,
        "at": iso_text(one.at_us),
        "who": seen["who"],
        "office": one.office.value,
        "what": seen["what"],
        "is_done": seen["is_done"],
        "is_about_you": seen["is_mine"],
        "detail": seen["detail"],
    }


async def _resolutions(asking: Asking) -> Mapping[str, Any]:
    limit = asking.values.get("limit", asking.portal.settings.api_rows_max)
    cursor = asking.values.get("cursor")
    year, _, place = (cursor or "").partition("-")
    before = None if cursor is None else (int(year), int(place))
    async with asking.portal.database() as connection:
        found = await governance_store.newest_resolutions(connection, before=before, count_max=limit + 1)
    return {
        "resolutions": [_resolution(one) for one in found[:limit]],
        "next": found[limit - 1].id if len(found) > limit else None,
    }


def _resolution(one: Resolution) -> dict[str, Any]:
    votes = one.votes
    return {
        "id": one.id,
        "decided_on": one.decided_on.isoformat(),
        "body": one.body.value,
        "about": one.kind.value,
        "text": one.text,
        "votes": None
        if votes is None
        else {"for": votes.in_favour, "against": votes.against, "abstained": votes.abstained},
        "quorum": one.quorum,
        "calc_hash": one.calc_hash,
        "recorded": iso_text(one.recorded_us),
    }


async def _heads(asking: Asking) -> Mapping[str, Any]:
    limit = asking.values.get("limit", asking.portal.settings.api_rows_max)
    async with asking.portal.database() as connection:
        found = await heads_store.heads(
            connection, after=int(asking.values.get("cursor", 0)), limit=limit + 1
        )
    return {
        "heads": [_head(one) for one in found[:limit]],
        "next": str(found[limit - 1].number) if len(found) > limit else None,
    }


def _head(one: Kept) -> dict[str, Any]:
    return {
        "number": one.number,
        "day": one.day.isoformat(),
        "month": None if one.month is None else str(one.month),
        "public_key": one.public_key,
        "page": one.page.to_file(),
    }
