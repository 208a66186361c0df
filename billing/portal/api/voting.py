"""The API about having a say: proposals with their discussion, and results with every ballot. It votes for nobody."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from billing.governance.decisions import ResolutionKind
from billing.portal.api.election_shapes import SLATE, election_result
from billing.portal.api.route import Answer, Asking, Attached, Exactly, Parameter, Route, Schema, Told
from billing.portal.api.shapes import (
    COUNT,
    CURSOR,
    DIGEST,
    FLAG,
    TEXT,
    TIME,
    WHOLE,
    by_name,
    cursor_parameter,
    file_of,
    limit_parameter,
    or_null,
    record,
    ref,
    rows,
)
from billing.portal.desk import NotFound
from billing.portal.proposals_told import listed, proposal_of, refuse_strangers, result_of
from billing.portal.tokens import Scope
from billing.settings import BillingSettings
from billing.voting import store
from billing.voting.poll import Poll
from billing.voting.proposal import MEDIA_TYPES, file_name
from billing.words import iso_text

STATES = ("discussed", "waiting", "open", "over", "adopted", "declined", "withdrawn")
STATE: Schema = {"type": "string", "enum": list(STATES)}
ABOUT: Schema = {"type": "string", "enum": [one.value for one in ResolutionKind]}
EXACT: Schema = {"type": "string", "description": "An exact number."}
_POLL = record(
    {
        "opens": TIME,
        "closes": TIME,
        "record": {**TIME, "description": "Who was a member then has a vote."},
        "is_secret": FLAG,
        "needed": {**COUNT, "description": "How many must take part."},
    }
)
PROPOSALS = record(
    {
        "proposals": rows(
            record({"number": COUNT, "title": TEXT, "about": TEXT, "state": STATE, "poll": or_null(_POLL)}),
            words="The newest first.",
        ),
        "next": CURSOR,
    }
)
PROPOSAL = record(
    {
        "number": COUNT,
        "about": ABOUT,
        "title": TEXT,
        "text": TEXT,
        "calc_hash": or_null(DIGEST),
        "election": or_null(SLATE, words="Seats and options, where somebody is to be elected."),
        "by": TEXT,
        "made": TIME,
        "state": STATE,
        "poll": or_null(_POLL),
        "cast": {**COUNT, "description": "How many have voted so far."},
        "roll": {**COUNT, "description": "How many have a vote."},
        "has_voted": {"type": "boolean", "description": "Whether you have."},
        "attachments": rows(
            record({"place": COUNT, "name": TEXT, "media_type": TEXT, "sha256": DIGEST, "size_bytes": COUNT})
        ),
        "comments": rows(record({"place": COUNT, "name": TEXT, "text": TEXT, "said": TIME})),
        "resolution": or_null(TEXT, words="What it became."),
        "result_digest": or_null(
            DIGEST, words="SHA-256 of the result, as `/proposals/{number}/result` gives it."
        ),
    }
)
_TALLY: dict[str, Schema] = {"for": COUNT, "against": COUNT, "abstained": COUNT}
_RESULT = record(
    {
        "format": {"type": "string", "const": "weir-vote-1"},
        "place": COUNT,
        "previous": {
            "type": "string",
            "description": "The digest of the result before; empty for the first.",
        },
        "poll": record(
            {
                "format": {"type": "string", "const": "weir-poll-1"},
                "proposal": COUNT,
                "kind": ABOUT,
                "title": TEXT,
                "text": TEXT,
                "calc_hash": or_null(DIGEST),
                "by": or_null(WHOLE),
                "attachments": rows(record({"name": TEXT, "bytes": COUNT, "sha256": DIGEST})),
                "ballot": {"type": "string", "enum": ["secret", "open"]},
                "record": TIME,
                "opens": TIME,
                "closes": TIME,
                "rules": record(
                    {
                        "rule_set": TEXT,
                        "version": {"type": ["string", "integer"]},
                        "classes": rows(TEXT),
                        "chambers": by_name(EXACT),
                        "quorum": record(
                            {"share": EXACT, "more_than": FLAG, "source": TEXT}, optional=("more_than",)
                        ),
                        "majority": record({"share": EXACT, "or_equal": FLAG, "source": TEXT}),
                    }
                ),
                "eligible": by_name(COUNT),
            }
        ),
        "poll_digest": DIGEST,
        "discussion": record({"comments": COUNT, "digest": DIGEST}),
        "voted": rows(WHOLE),
        "ballots": rows(
            record(
                {
                    "receipt": TEXT,
                    "chamber": TEXT,
                    "vote": {"type": "string", "enum": ["for", "against", "abstain"]},
                    "member": {**WHOLE, "description": "In an open vote."},
                },
                optional=("member",),
            )
        ),
        "count": record(
            {
                "chambers": by_name(record(_TALLY)),
                **_TALLY,
                "cast": COUNT,
                "eligible": COUNT,
                "needed": COUNT,
                "share_for": or_null(EXACT),
                "adopted": FLAG,
                "why": TEXT,
            }
        ),
    },
    words="A result with every ballot: `weir vote recount` counts it again on any machine.",
)
RESULT: dict[str, Any] = {"anyOf": [_RESULT, election_result(_RESULT)]}
_ONE_POLL: Mapping[str, Any] = {
    "opens": "2026-11-07T00:00:00.000000Z", "closes": "2026-11-21T00:00:00.000000Z",
    "record": "2026-11-06T00:00:00.000000Z", "is_secret": True, "needed": 1,
}  # fmt: skip
_ONE_PROPOSAL: Mapping[str, Any] = {
    "number": 1, "about": "other", "title": "A second disk", "text": "We buy one.", "calc_hash": None,
    "election": None, "by": "anna",
    "made": "2026-11-06T00:00:00.000000Z", "state": "waiting", "poll": _ONE_POLL, "cast": 0, "roll": 5,
    "has_voted": False, "attachments": [], "comments": [], "resolution": None, "result_digest": None,
}  # fmt: skip
_ONE_TALLY: Mapping[str, Any] = {"for": 1, "against": 0, "abstained": 0}
_ONE_RESULT: Mapping[str, Any] = {
    "format": "weir-vote-1", "place": 1, "previous": "", "poll_digest": "0" * 64,
    "poll": {
        "format": "weir-poll-1", "proposal": 1, "kind": "other", "title": "A second disk", "text": "We buy one.",
        "calc_hash": None, "by": 1, "attachments": [], "ballot": "secret", "record": _ONE_POLL["record"],
        "opens": _ONE_POLL["opens"], "closes": _ONE_POLL["closes"],
        "rules": {
            "rule_set": "plain", "version": 1, "classes": ["user"], "chambers": {},
            "quorum": {"share": "0", "more_than": False, "source": "by-laws"},
            "majority": {"share": "1/2", "or_equal": False, "source": "by-laws"},
        },
        "eligible": {"all": 5},
    },
    "discussion": {"comments": 0, "digest": "0" * 64}, "voted": [1],
    "ballots": [{"receipt": "00" * 16, "chamber": "all", "vote": "for"}],
    "count": {
        "chambers": {"all": _ONE_TALLY}, **_ONE_TALLY, "cast": 1, "eligible": 5, "needed": 1, "share_for": "1",
        "adopted": True, "why": "all are for it",
    },
}  # fmt: skip
_LISTED_EXAMPLE: Mapping[str, Any] = {
    "proposals": [
        {"number": 1, "title": "A second disk", "about": "anything else", "state": "waiting", "poll": _ONE_POLL}
    ],
    "next": None,
}  # fmt: skip


def routes(settings: BillingSettings) -> tuple[Route, ...]:
    """What this module answers."""
    number = Parameter(
        "number",
        {"type": "integer", "minimum": 0, "maximum": 999_999_999},
        "The number of a proposal.",
        1,
        in_path=True,
    )
    place = Parameter(
        "place", {"type": "integer", "minimum": 0, "maximum": 9999}, "Which of its papers.", 1, in_path=True
    )
    return (
        Route(
            "GET", "/proposals", "listProposals", "voting", "What was proposed, and how far it is", _list,
            (Told(PROPOSALS, _LISTED_EXAMPLE),), Scope.VOTES,
            parameters=(
                limit_parameter(min(settings.api_rows_max, settings.proposals_listed_max)),
                cursor_parameter("^[0-9]{1,9}$", "17"),
            ),
        ),
        Route(
            "GET", "/proposals/{number}", "getProposal", "voting", "One proposal with its discussion", _one,
            (Told(PROPOSAL, _ONE_PROPOSAL),), Scope.VOTES, parameters=(number,),
        ),
        Route(
            "GET", "/proposals/{number}/attachments/{place}", "getAttachment", "voting",
            "A paper that goes with a proposal", _attachment,
            tuple(Told(file_of(one, "The paper."), "120 EUR", one) for one in MEDIA_TYPES), Scope.VOTES,
            parameters=(number, place),
        ),
        Route(
            "GET", "/proposals/{number}/result", "getResult", "voting",
            "The result of a vote with every ballot, exactly as it is kept", _result,
            (Told(ref("VoteResult"), _ONE_RESULT),), Scope.VOTES, parameters=(number,),
        ),
    )  # fmt: skip


async def _list(asking: Asking) -> Mapping[str, Any]:
    settings, cursor = asking.portal.settings, asking.values.get("cursor")
    most = min(settings.api_rows_max, settings.proposals_listed_max)
    async with asking.portal.database() as connection:
        await refuse_strangers(connection, asking.caller.member, number=None, now_us=asking.now_us)
        found, last = await listed(
            connection, count_max=asking.values.get("limit", most),
            before=None if cursor is None else int(cursor), now_us=asking.now_us,
        )  # fmt: skip
    return {
        "proposals": [
            {name: value for name, value in one.items() if name != "is_election"}
            | {"poll": _poll(poll if isinstance(poll := one["poll"], Poll) else None)}
            for one in found
        ],
        "next": None if last is None else str(last),
    }


async def _one(asking: Asking) -> Mapping[str, Any]:
    member, number = asking.caller.member, asking.values["number"]
    async with asking.portal.database() as connection:
        await refuse_strangers(connection, member, number=number, now_us=asking.now_us)
        told = await proposal_of(connection, number, now_us=asking.now_us)
        has_voted = told.poll is not None and await store.has_voted(connection, number, member)
    found, said = told.proposal, told.proposal.wording
    return {
        "number": found.number,
        "about": found.kind.value,
        "title": said.title,
        "text": said.body,
        "calc_hash": said.calc_hash,
        "election": None
        if said.slate is None
        else {"seats": said.slate.seats, "options": list(said.slate.options)},
        "by": found.who if found.member is not None else "the board",
        "made": iso_text(found.recorded_us),
        "state": told.state,
        "poll": _poll(told.poll),
        "cast": told.cast,
        "roll": told.roll,
        "has_voted": has_voted,
        "attachments": [
            {
                "place": one.place,
                "name": one.name,
                "media_type": one.media_type,
                "sha256": one.sha256,
                "size_bytes": one.size_bytes,
            }
            for one in told.attachments
        ],
        "comments": [
            {"place": one.place, "name": one.name, "text": one.body, "said": iso_text(one.recorded_us)}
            for one in told.comments
        ],
        "resolution": told.resolution,
        "result_digest": None if told.result is None else told.result.digest,
    }


async def _attachment(asking: Asking) -> Answer:
    member, number, place = asking.caller.member, asking.values["number"], asking.values["place"]
    async with asking.portal.database() as connection:
        await refuse_strangers(connection, member, number=number, now_us=asking.now_us)
        found = await store.attachment(connection, number, place)
    if found is None:
        raise NotFound(f"proposal {number} has no such paper")
    paper, content = found
    return Attached(BytesIO(content), file_name(number, paper), paper.media_type)


async def _result(asking: Asking) -> Answer:
    member, number = asking.caller.member, asking.values["number"]
    async with asking.portal.database() as connection:
        await refuse_strangers(connection, member, number=number, now_us=asking.now_us)
        stored = await result_of(connection, number, now_us=asking.now_us)
    return Exactly(stored.document)


def _poll(poll: Poll | None) -> dict[str, Any] | None:
    if poll is None:
        return None
    return {
        "opens": iso_text(poll.opens_us),
        "closes": iso_text(poll.closes_us),
        "record": iso_text(poll.record_us),
        "is_secret": poll.is_secret,
        "needed": poll.terms.needed,
    }
