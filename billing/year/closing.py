"""The closing of a fiscal year, in the order of its steps; a loss takes a branch of its own.

A pure function: the same inputs give the same bytes, in whatever order members are named. It knows no resolution and
no database, and not whether it is a trial or final.
"""

from __future__ import annotations

from billing.rules.ruleset import Position
from billing.year.checks import all_checks
from billing.year.course import COLLECTIVE, Course
from billing.year.document import year_digest
from billing.year.form import allocations, say_cash, say_settled
from billing.year.inputs import YearInputs
from billing.year.loss import bear_loss
from billing.year.outcome import YearClosing
from billing.year.sharing import Shared, share_out
from billing.year.split import Split, keep_collective, split, take_from_others
from billing.year.taking import (
    meet_prior_losses,
    pay_interest,
    put_aside,
    take_compulsory,
    top_up,
)
from billing.year.validity import check_inputs, check_shared


def close_year(inputs: YearInputs) -> YearClosing:
    """Work a fiscal year out. Raises Refusal naming the input that is wrong and the rule it breaks."""
    course = Course(inputs)
    check_inputs(course)
    whole = split(course)
    collective = take_from_others(course, whole.others_minor)
    if whole.members_minor >= 0:
        shared, collective = _surplus(course, whole, collective)
    else:
        collective = keep_collective(course, collective)
        before = course.accounts.get(COLLECTIVE, 0)
        shared = bear_loss(course, whole.members_minor)
        collective += course.accounts.get(COLLECTIVE, 0) - before
    return _closed(course, whole, shared, collective)


def _surplus(course: Course, whole: Split, others: int) -> tuple[Shared, int]:
    """Steps 4 to 9; the pool shared out, and what went to the collective account by source."""
    collective = keep_collective(course, pay_interest(course, others, Position.BESIDE_PATRONAGE))
    surplus = meet_prior_losses(course, whole.members_minor)
    left = pay_interest(course, surplus, Position.BEFORE_RESERVES)
    left = take_compulsory(course, left)
    left = top_up(course, left, whole, collective)
    left = pay_interest(course, left, Position.AFTER_RESERVES)
    left = put_aside(course, left)
    shared = share_out(course, left, surplus=surplus)
    if shared.unshared_minor:
        course.give(COLLECTIVE, shared.unshared_minor)
        formula = "parts of classes that may not share, or in which nobody has anything to share by"
        course.take("unshared", "of empty classes, to the collective account", formula, shared.unshared_minor)
    check_shared(course, shared)
    return shared, collective


def _closed(course: Course, whole: Split, shared: Shared, collective: int) -> YearClosing:
    inputs = course.inputs
    pool = sum(shared.pools.values())
    course.note("pool", "shared among the members", "what is left", pool)
    for name, part in shared.pools.items():
        course.note(f"pool_{name}", f"pool of class {name}", "pool x weight / sum of weights", part)
    rows, settled = allocations(course, shared)
    cash = sum(rows.cash)
    say_cash(course, whole, cash, pool)
    say_settled(course, settled, cash)
    parts = [pool, *reversed(course.took), collective]
    checks = all_checks(inputs, whole, shared.pools, pool, course.accounts, parts, rows, settled)
    assert all(check.agree for check in checks), [check for check in checks if not check.agree]
    accounts = {account: amount for account, amount in sorted(course.accounts.items()) if amount}
    closing = YearClosing(
        inputs, tuple(course.steps), whole.result_minor, whole.members_minor, whole.non_members_minor, collective,
        pool, shared.pools, course.roll, rows, settled, course.interest, accounts, checks, digest="",
    )  # fmt: skip
    return year_digest(closing)
