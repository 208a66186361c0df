"""What a resolution needs by the rules in force on its day: which body may decide it, and what majority carries. Pure.

The numbers are those that a vote in the portal is held to. A quorum is not asked for here: who was in a room and did not
vote stands in no count.
"""

from __future__ import annotations

from fractions import Fraction

from billing.governance.decisions import Body, Resolution, ResolutionKind
from billing.rules.voting import VotingRules
from meter.refusal import Refusal


def check_majority(asked: Resolution, rules: VotingRules) -> None:
    """Refuse what the rules in force leave to the meeting, and a meeting's count that carries nothing. Raises Refusal.

    Who gets most is elected, and what chambers weigh cannot be told from one count: neither is held to a majority here.
    """
    kind = asked.kind.value
    if asked.body is Body.BOARD and asked.kind is ResolutionKind.RULE_SET and kind in rules.special_kinds:
        raise Refusal(
            f"body: by the rules {rules.rule_set} the members' meeting changes the rules, and not the board "
            f"({rules.special.source})"
        )
    votes = asked.votes
    if asked.body is not Body.MEETING or asked.kind is ResolutionKind.ELECTION or rules.chambers:
        return
    if votes is None or not votes.in_favour + votes.against:
        return
    needed = rules.majority(kind)
    if not needed.carries(Fraction(votes.in_favour, votes.in_favour + votes.against)):
        raise Refusal(
            f"votes: {votes.in_favour} for and {votes.against} against carry nothing by the rules {rules.rule_set}: "
            f"a resolution of kind {kind} needs {needed.words} ({needed.source})"
        )
