"""The laws of the sum tree: whatever the amounts, every member is led to one root that binds the total."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.statements.bundle import proof_text
from billing.statements.sumtree import PARTS, Tree, grow
from billing.statements.verifier import Report, check_tree

SECRET = bytes(range(32))
registers = st.dictionaries(st.integers(1, 60), st.integers(0, 10**12), min_size=1, max_size=33)


def tree_of(amounts: dict[int, int], own: int, *, secret: bytes = SECRET) -> Tree:
    return grow(sorted(amounts.items()), own=own, secret=secret, period="2026-10")


def wrong(tree: Tree, own: int, charged: int, *, proof: str | None = None) -> int:
    """How much the stand-alone verifier, which is written apart, finds wrong."""
    totals = {"tree": {"root": tree.root.hex(), "sum_minor": tree.sum_minor, "parts": PARTS}}
    report = Report()
    report.say = lambda text: None  # type: ignore[method-assign]
    document = json.loads(proof or proof_text(tree))
    check_tree(document, report, {"member": own}, {"charges_minor": charged}, totals)
    return report.wrong


@settings(deadline=None)
@given(registers)
def test_every_member_is_led_to_the_root_and_the_root_binds_the_sum(amounts: dict[int, int]) -> None:
    roots = set()
    for member, amount in amounts.items():
        tree = tree_of(amounts, member)
        assert 0 == wrong(tree, member, amount)
        roots.add((tree.root, tree.sum_minor))
    assert 1 == len(roots)
    assert sum(amounts.values()) == next(iter(roots))[1]


@settings(deadline=None)
@given(registers, st.integers(0, 10**6))
def test_another_charge_is_not_led_there(amounts: dict[int, int], more: int) -> None:
    member, amount = next(iter(amounts.items()))
    tree = tree_of(amounts, member)
    assert 0 < wrong(tree, member, amount + more + 1)
    assert 0 < wrong(tree, member + 100, amount)


@settings(deadline=None)
@given(registers.filter(lambda found: len(found) > 1))
def test_who_is_left_out_of_the_total_sees_it(amounts: dict[int, int]) -> None:
    member, amount = next(iter(amounts.items()))
    without = {one: other for one, other in amounts.items() if one != member}
    shown = tree_of(without, next(iter(without)))
    honest = tree_of(amounts, member)
    assert 0 < wrong(shown, member, amount, proof=proof_text(honest))


@settings(deadline=None)
@given(registers)
def test_no_leaf_tells_a_member_s_whole_charge_to_who_does_not_know_the_secret(
    amounts: dict[int, int],
) -> None:
    member = next(iter(amounts))
    one, other = tree_of(amounts, member), tree_of(amounts, member, secret=bytes(32))
    assert one.root != other.root
    assert {leaf.leaf.salt for leaf in one.proofs}.isdisjoint({leaf.leaf.salt for leaf in other.proofs})


def test_nothing_below_zero_can_hide_in_a_path() -> None:
    amounts = {1: 500, 2: 300, 3: 200}
    tree = tree_of(amounts, 1)
    proof = json.loads(proof_text(tree))
    proof["leaves"][0]["path"][0]["sum_minor"] = -1
    with pytest.raises(OverflowError):
        wrong(tree, 1, 500, proof=json.dumps(proof))


def test_a_leaf_that_is_shown_twice_is_seen() -> None:
    tree = tree_of({1: 500, 2: 300}, 1)
    proof = json.loads(proof_text(tree))
    proof["leaves"][1] = proof["leaves"][0]
    assert 0 < wrong(tree, 1, 500, proof=json.dumps(proof))


def test_the_parts_beside_a_leaf_are_not_whole_charges() -> None:
    # 200 members of one charge: with a cut at a place drawn from 0 to 1,000, few neighbours show a whole one.
    tree = tree_of(dict.fromkeys(range(1, 201), 1000), 7)
    beside = [proof.path[0].sum_minor for proof in tree.proofs]
    assert all(0 < amount < 1000 for amount in beside)
