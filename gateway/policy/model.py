"""A bucket policy as it is judged: statements about who, what, on what and when. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from ipaddress import ip_network

from gateway.policy.conditions import Condition, Facts, Quantifier
from gateway.policy.patterns import Pattern
from meter.ids import MemberId

JUDGEMENTS_REMEMBERED_MAX = 512


class Verdict(Enum):
    """What a policy says to a request."""

    ALLOWED = auto()
    DENIED = auto()
    SILENT = auto()


@dataclass(frozen=True, slots=True)
class Who:
    """Whom a policy judges; nobody signed for an anonymous request."""

    member: MemberId
    name: str


@dataclass(frozen=True, slots=True)
class Principals:
    """Whom a statement names."""

    everybody: bool
    members: frozenset[int]
    names: frozenset[str]
    pairs: frozenset[tuple[int, str]]

    def include(self, who: Who | None) -> bool:
        """Whether it names this one; None is somebody who did not sign."""
        if self.everybody or who is None:
            return self.everybody
        return who.member in self.members or who.name in self.names or (who.member, who.name) in self.pairs


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement."""

    allows: bool
    principals: Principals
    except_principals: bool
    """NotPrincipal: all but those named."""
    actions: tuple[Pattern, ...]
    """Of lower-case text."""
    except_actions: bool
    resources: tuple[Pattern, ...]
    """Of 'bucket' and 'bucket/key'."""
    except_resources: bool
    conditions: tuple[Condition, ...]

    def concerns(self, who: Who | None, action: str) -> bool:
        """Whether it speaks of this right of this one at all."""
        if self.principals.include(who) == self.except_principals:
            return False
        lower = action.lower()
        named = any(pattern.matches(lower, _nothing) for pattern in self.actions)
        return named != self.except_actions

    def applies(self, resource: str, facts: Facts) -> bool:
        """Whether a statement that concerns a request fits it wholly."""

        def lookup(name: str) -> str | None:
            values = facts(name)
            return values[0] if values else None

        named = any(pattern.matches(resource, lookup) for pattern in self.resources)
        return named != self.except_resources and all(one.holds(facts) for one in self.conditions)

    @property
    def is_public(self) -> bool:
        """Whether it lets in people nobody named, by S3's definition of public."""
        if not self.allows:
            return False
        if not (self.except_principals or self.principals.everybody):
            return False
        return not any(map(_narrows, self.conditions))


# Compared and hashed by identity: it is a key of the cache below, and long.
@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A whole policy."""

    statements: tuple[Statement, ...]
    keys: frozenset[str]
    """Every fact it asks for, in lower case."""

    @property
    def is_public(self) -> bool:
        """Whether any statement is."""
        return any(one.is_public for one in self.statements)

    def judge(self, who: Who | None, action: str, resource: str, facts: Facts) -> Verdict:
        """What it says about one right on one resource. A denial outweighs every permission."""
        allowed = False
        for one in _concerning(self, who, action):
            if (not one.allows or not allowed) and one.applies(resource, facts):
                if not one.allows:
                    return Verdict.DENIED
                allowed = True
        return Verdict.ALLOWED if allowed else Verdict.SILENT

    def may_allow(self, who: Who | None, action: str) -> bool:
        """Whether it could allow the right on some resource in some circumstances."""
        return any(one.allows for one in _concerning(self, who, action))


@lru_cache(maxsize=JUDGEMENTS_REMEMBERED_MAX)
def _concerning(policy: Policy, who: Who | None, action: str) -> tuple[Statement, ...]:
    """The statements that speak of this right of this one; a thousand keys to be deleted ask it once."""
    return tuple(one for one in policy.statements if one.concerns(who, action))


_NAMES_SOMEBODY = frozenset(("aws:principalarn", "aws:principalaccount", "aws:userid", "aws:username"))
_FIXED = frozenset(("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"))
_WIDEST_IPV4, _WIDEST_IPV6 = 8, 32


def _narrows(condition: Condition) -> bool:
    """Whether a condition holds for fixed people or places only, so that a statement is not public."""
    if condition.if_exists or condition.quantifier is not Quantifier.NONE:
        return False
    if condition.key == "aws:sourceip":
        return condition.operator == "IpAddress" and all(map(_is_narrow, condition.values))
    if condition.key not in _NAMES_SOMEBODY or condition.operator not in _FIXED:
        return False
    return not any(mark in value for value in condition.values for mark in ("*", "?", "${"))


def _is_narrow(value: str) -> bool:
    """S3 takes an address range for public when it is wider than /8, or /32 of IPv6."""
    network = ip_network(value, strict=False)
    return network.is_private or network.prefixlen >= (_WIDEST_IPV4 if network.version == 4 else _WIDEST_IPV6)


def _nothing(name: str) -> str | None:
    del name
    return None
