"""Workers whose hours get nothing because nobody chose weights: found, so that it is said before a year is closed. Pure.

It changes no share: what a year is shared by was to be chosen before its first month was closed.
"""

from __future__ import annotations

from fractions import Fraction

from billing.year.inputs import WORKER
from billing.year.outcome import YearClosing


def unweighed_hours(closing: YearClosing) -> Fraction:
    """Hours times factor of members who worked, where the rules let workers share and no weight names them; else 0.

    A weight of 0 is a choice, and so is a least part that the rule set gives them.
    """
    inputs, uses = closing.inputs, closing.roll.uses
    may_share = WORKER in inputs.rule_set.classes.sharing
    if not may_share or WORKER in inputs.class_weights or WORKER in closing.class_pools:
        return Fraction(0)
    columns = zip(uses.classes, uses.members, uses.hours, uses.factors, strict=True)
    return sum(
        (hours * factor for name, is_member, hours, factor in columns if name == WORKER and is_member),
        Fraction(0),
    )
