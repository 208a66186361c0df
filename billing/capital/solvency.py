"""Whether the co-op can still meet its debts after capital is paid back, where a rule set asks. Pure.

It looks at the books alone: money and claims against debts. Whether a claim is good, directors must know themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from billing.ledger.entry import Account
from billing.money import format_amount
from billing.rules.afterwards import Afterwards
from meter.refusal import Refusal

ASSETS = ("bank", "receivable")
SPAN_MONTHS = 12
"""What falls due within this time are debts that a co-op must be able to meet as they fall due."""


def by_word(sides: Iterable[tuple[Account, int]]) -> dict[str, int]:
    """Sums by the first word of an account; debit above zero."""
    sums: dict[str, int] = {}
    for account, amount in sides:
        word = account.partition(":")[0]
        sums[word] = sums.get(word, 0) + amount
    return sums


def check_solvency(
    rules: Afterwards, before: Mapping[str, int], moved: Mapping[str, int], *, due_minor: int, currency: str
) -> None:
    """Refuse what would leave less in money and claims than is owed, as far as the rule set asks for it.

    `before` are the balances of the books by the first word of an account, `moved` what the act would move, debit above
    zero; due_minor is what leavers and estates get within SPAN_MONTHS and is not payable yet, the act's own part
    included. Raises Refusal.
    """
    if rules.solvency is None:
        return
    after = {word: before.get(word, 0) + moved.get(word, 0) for word in {*before, *moved}}
    has = sum(after.get(word, 0) for word in ASSETS)
    payable = -after.get("payable", 0)
    if has < payable + due_minor:
        _refuse(rules, has, payable + due_minor, "within a year", currency)
    whole = payable - after.get("debt", 0) - after.get("shares", 0)
    if rules.solvency.covers_shares and has < whole:
        _refuse(rules, has, whole, "in all, paid shares included,", currency)


def _refuse(rules: Afterwards, has: int, owes: int, when: str, currency: str) -> None:
    assert rules.solvency is not None, "a rule refuses"
    raise Refusal(
        f"solvency: afterwards the co-op would have {format_amount(has, currency)} in money and claims and owe"
        f" {format_amount(owes, currency)} {when}; the rule set {rules.rule_set} pays back only what leaves it able"
        f" to meet its debts ({rules.solvency.source})"
    )
