"""Schemas of an election: its seats and options, and its result with every ballot. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.portal.api.route import Schema
from billing.portal.api.shapes import COUNT, FLAG, TEXT, by_name, record, rows

VOTES: Schema = {"type": "integer", "minimum": 1, "description": "How many options a ballot may name."}
SLATE = record({"seats": COUNT, "options": rows(TEXT, words="In the order of the ballot.")})
ELECTION = record(
    {"seats": COUNT, "options": rows(TEXT, words="In the order of the ballot."), "votes": VOTES}
)
RULE = record({"votes": {"type": "string", "enum": ["seats", "one"]}, "source": TEXT})
NAMED: Schema = {
    "type": "string", "pattern": "^(abstain|[0-9]+(,[0-9]+)*)$", "description": "Places on the ballot from 1 on, like 1,3.",
}  # fmt: skip
_STANDING = record({"option": COUNT, "name": TEXT, "votes": by_name(COUNT), "score": TEXT})
COUNTED = record(
    {
        "options": rows(_STANDING),
        "elected": rows(TEXT),
        "tied": rows(TEXT, words="Level for what is left of the seats; the members decide."),
        "seats": COUNT,
        "abstained": COUNT,
        "cast": COUNT,
        "eligible": COUNT,
        "needed": COUNT,
        "adopted": FLAG,
        "why": TEXT,
    }
)


def election_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an election's result, out of that of any other vote's."""
    fields = dict(result["properties"])
    poll = dict(fields["poll"]["properties"])
    rules = {name: one for name, one in poll["rules"]["properties"].items() if name != "majority"}
    poll |= {"rules": record(rules | {"election": RULE}), "election": ELECTION}
    ballot = fields["ballots"]["items"]["properties"] | {"vote": NAMED}
    return record(
        fields | {
            "format": {"type": "string", "const": "weir-election-1"}, "poll": record(poll),
            "ballots": rows(record(ballot, optional=("member",))), "count": COUNTED,
        },
        words="The result of an election with every ballot: `weir vote recount` counts it again on any machine.",
    )  # fmt: skip
