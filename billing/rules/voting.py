"""How members vote under a rule set: which classes, how many must take part, what majority carries.

From one dated file, and what the members chose within it. It knows no ballot; voting/count.py counts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import cache
from pathlib import Path

from billing.fields import Table
from billing.money import exact_text, parse_exact, percent_text
from meter.refusal import Refusal
from meter.usage import MemberClass

RULES = Path(__file__).with_name("voting.toml")
EVERYBODY = "members"
"""The one chamber where a co-op has none."""
WITHOUT_RULES_OF_ITS_OWN = "plain"
ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Majority:
    """The part of the votes for and against that carries: more than it, or with or_equal just as much."""

    share: Fraction
    or_equal: bool
    source: str

    def carries(self, share_for: Fraction) -> bool:
        """Whether this part of the votes is enough."""
        return share_for >= self.share if self.or_equal else share_for > self.share

    @property
    def words(self) -> str:
        """'more than 1/2 of the votes for and against'."""
        return f"{'at least' if self.or_equal else 'more than'} {self.share} of the votes for and against"


class VotesEach(StrEnum):
    """How many votes a member has in an election."""

    SEATS = "seats"
    """As many as there are seats, one for each option at most."""
    ONE = "one"


@dataclass(frozen=True, slots=True)
class ElectionRule:
    """How many options a ballot may name; the most votes are elected."""

    votes: VotesEach
    source: str

    def votes_of(self, seats: int) -> int:
        """In an election to so many seats."""
        return seats if self.votes is VotesEach.SEATS else 1


@dataclass(frozen=True, slots=True)
class VotingChoice:
    """What members chose within a rule set; None is the rule set's own."""

    quorum: Fraction | None = None
    majority: Fraction | None = None
    special: Fraction | None = None
    chambers: Mapping[str, Fraction] = field(default_factory=dict)
    election: VotesEach | None = None


@dataclass(frozen=True, slots=True)
class VotingRules:
    """How a vote goes."""

    rule_set: str
    version: str
    classes: tuple[str, ...]
    """Those with a vote."""
    quorum: Fraction
    quorum_more_than: bool
    """Whether more than that part must take part, and just as much is not enough."""
    quorum_source: str
    ordinary: Majority
    special: Majority
    election: ElectionRule
    special_kinds: frozenset[str]
    chambers: Mapping[str, Fraction]
    """Class → weight, together the whole; none: one chamber of everybody, in which each vote counts alike."""

    def majority(self, kind: str) -> Majority:
        """What a proposal of this kind needs."""
        return self.special if kind in self.special_kinds else self.ordinary

    def chamber(self, classes: tuple[MemberClass, ...]) -> str | None:
        """Where the one vote of somebody of these classes counts: by the first that has one. None: they have none."""
        own = [one.value for one in classes if one.value in self.classes]
        if not self.chambers:
            return EVERYBODY if own else None
        return next((one for one in own if one in self.chambers), None)


def read_choice(table: Table) -> VotingChoice:
    """The table `voting` of a file of choices. Raises Refusal naming the key."""

    def part(key: str) -> Fraction | None:
        return table.share(key) if table.has(key) else None

    chambers: dict[str, Fraction] = {}
    if table.has("chambers"):
        inner = Table(table.get("chambers"), table.field("chambers"))
        chambers = {name: inner.share(name) for name in tuple(inner.keys())}
    each: VotesEach | None = None
    if table.has("election"):
        typed = table.text("election")
        if typed not in list(VotesEach):
            raise Refusal(f"{table.field('election')}: a ballot names as many as there are 'seats', or 'one'")
        each = VotesEach(typed)
    found = VotingChoice(part("quorum"), part("majority"), part("special"), chambers, each)
    table.finish()
    return found


def voting_rules(rule_set: str, chosen: VotingChoice | None = None) -> VotingRules:
    """The rules of a rule set with what was chosen; one the file does not know votes as plain. Raises Refusal."""
    asked = chosen or VotingChoice()
    file = Table(_file(), "")
    found = file.table(rule_set if file.has(rule_set) else WITHOUT_RULES_OF_ITS_OWN)
    classes = found.texts("classes")
    special = found.table("special")
    quorum = found.table("quorum")
    share = _at_least(quorum, "quorum", asked.quorum)
    return VotingRules(
        rule_set=rule_set,
        version=file.text("version"),
        classes=classes,
        quorum=share,
        # At least any part above the law's is more than the law's; and more than all of them can never be there.
        quorum_more_than=quorum.flag("more_than") and share == quorum.exact("share"),
        quorum_source=quorum.text("source"),
        ordinary=_majority(found.table("majority"), "majority", asked.majority),
        special=_majority(special, "special", asked.special),
        election=_election(
            found if found.has("election") else file.table(WITHOUT_RULES_OF_ITS_OWN), asked.election
        ),
        special_kinds=frozenset(special.texts("kinds")),
        chambers=_chambers(found, rule_set, classes, asked.chambers),
    )


def _election(table: Table, asked: VotesEach | None) -> ElectionRule:
    own = table.table("election")
    return ElectionRule(VotesEach(own.text("votes")) if asked is None else asked, own.text("source"))


def _at_least(table: Table, name: str, asked: Fraction | None) -> Fraction:
    law = parse_exact(table.text("share"), field=table.field("share"))
    if asked is not None and asked < law:
        raise Refusal(
            f"voting.{name}: {exact_text(asked)} is less than the rule set's {exact_text(law)}"
            f" ({table.text('source')})"
        )
    return law if asked is None else asked


def _majority(table: Table, name: str, asked: Fraction | None) -> Majority:
    share = _at_least(table, name, asked)
    # There is nothing beyond all of them: who chooses the whole wants everybody for it.
    return Majority(share, table.flag("or_equal") or share == ONE, table.text("source"))


def _chambers(
    table: Table, rule_set: str, classes: tuple[str, ...], asked: Mapping[str, Fraction]
) -> dict[str, Fraction]:
    if not asked:
        return {}
    if not table.has("chambers"):
        raise Refusal(f"voting.chambers: {rule_set} knows no chambers; each member's vote counts alike")
    limits = table.table("chambers")
    least, most = limits.exact("least"), limits.exact("most")
    for name, weight in asked.items():
        if name not in classes:
            raise Refusal(
                f"voting.chambers.{name[:40]}: is no class with a vote; there is {', '.join(classes)}"
            )
        if not least <= weight <= most or not weight:
            raise Refusal(
                f"voting.chambers.{name}: {percent_text(weight)} is not within {percent_text(least)} and"
                f" {percent_text(most)} ({limits.text('source')})"
            )
    if sum(asked.values()) != ONE:
        raise Refusal(
            f"voting.chambers: the weights come to {percent_text(sum(asked.values(), Fraction(0)))}"
        )
    if len(asked) < limits.whole("count", default=1):
        raise Refusal(
            f"voting.chambers: there are {len(asked)}, and {limits.whole('count', default=1)} are the least"
            f" ({limits.text('source')})"
        )
    return dict(sorted(asked.items()))


@cache
def _file() -> dict[str, object]:
    return tomllib.loads(RULES.read_text("utf-8"))
