"""A tree of hashes and sums by which a member sees that their charges are in the published total, and nobody else's.

Every node binds the hashes and the sums of the two below it, so the root binds the total and each part of it. A path
from a leaf to the root shows the sums beside it, not whose they are. Each member's amount is cut in two at a place that
only we know, and the leaves are ordered by their hashes: what stands beside a leaf is a part of somebody's charge. Who
knows the secret draws the same tree again; so everybody is shown one root. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

FORMAT = "weir-sum-tree-1"
PARTS = 2
"""Leaves of one member."""
HASH_BYTES = 32
SUM_BYTES = 16


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part of one member's amount, with the salt that hides it."""

    member: int
    part: int
    amount_minor: int
    salt: bytes

    @property
    def node(self) -> bytes:
        """Hash and sum. The member's number is hashed too: two of one amount cannot be shown the same leaf."""
        words = f"{FORMAT} {self.member} {self.part} {self.amount_minor}".encode()
        return _node(hashlib.sha256(b"\0" + self.salt + words).digest(), self.amount_minor)


@dataclass(frozen=True, slots=True)
class Step:
    """The neighbour on the way up."""

    is_left: bool
    hash: bytes
    sum_minor: int


@dataclass(frozen=True, slots=True)
class Proof:
    """A leaf and its way to the root."""

    leaf: Leaf
    path: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """What is published, and one member's proofs."""

    root: bytes
    sum_minor: int
    leaves: int
    proofs: tuple[Proof, ...]


def grow(amounts: Iterable[tuple[int, int]], *, own: int, secret: bytes, period: str) -> Tree:
    """The tree over (member, amount) of everybody, with the proofs of one member. No amount is below zero."""
    level: list[bytes] = []
    mine: list[Leaf] = []
    for member, amount_minor in amounts:
        leaves = leaves_of(member, amount_minor, secret=secret, period=period)
        level += [leaf.node for leaf in leaves]
        if member == own:
            mine = leaves
    level.sort()
    count = len(level)
    places = [level.index(leaf.node) for leaf in mine]
    paths: list[list[Step]] = [[] for _ in mine]
    while len(level) > 1:
        for number, place in enumerate(places):
            beside = place ^ 1
            if beside < len(level):  # the last of an odd level goes up alone
                paths[number].append(_step(level[beside], is_left=beside < place))
            places[number] = place >> 1
        level = _above(level)
    root = level[0] if level else _node(hashlib.sha256(FORMAT.encode()).digest(), 0)
    proofs = tuple(Proof(leaf, tuple(path)) for leaf, path in zip(mine, paths, strict=True))
    return Tree(root[:HASH_BYTES], _sum(root), count, proofs)


def leaves_of(member: int, amount_minor: int, *, secret: bytes, period: str) -> list[Leaf]:
    """A member's leaves; their amounts sum to the member's."""
    assert amount_minor >= 0, "what is below zero is told apart: it could hide what is left out"
    drawn = int.from_bytes(_drawn(secret, "cut", period, member, 0)) % (amount_minor + 1)
    return [
        Leaf(member, part, amount, _drawn(secret, "salt", period, member, part))
        for part, amount in enumerate((drawn, amount_minor - drawn))
    ]


def _drawn(secret: bytes, use: str, period: str, member: int, place: int) -> bytes:
    return hmac.digest(secret, f"{FORMAT} {use} {period} {member} {place}".encode(), "sha256")


def _node(digest: bytes, sum_minor: int) -> bytes:
    return digest + sum_minor.to_bytes(SUM_BYTES, "big")


def _sum(node: bytes) -> int:
    return int.from_bytes(node[HASH_BYTES:], "big")


def _step(node: bytes, *, is_left: bool) -> Step:
    return Step(is_left, node[:HASH_BYTES], _sum(node))


def _above(level: list[bytes]) -> list[bytes]:
    pairs = [
        _node(hashlib.sha256(b"\1" + left + right).digest(), _sum(left) + _sum(right))
        for left, right in zip(level[::2], level[1::2], strict=False)
    ]
    return pairs + level[len(pairs) * 2 :]


def document(proofs: Iterable[Proof]) -> list[dict[str, object]]:
    """JSON-ready."""
    return [
        {
            "part": one.leaf.part,
            "amount_minor": one.leaf.amount_minor,
            "salt": one.leaf.salt.hex(),
            "path": [
                {
                    "side": "left" if step.is_left else "right",
                    "hash": step.hash.hex(),
                    "sum_minor": step.sum_minor,
                }
                for step in one.path
            ],
        }
        for one in proofs
    ]
