"""A member's own membership: what the forms of its pages say, and what leaving means in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from billing.money import exact_text
from billing.register.particulars import Particulars, changed
from billing.rules.afterwards import RESOLUTION_RATE, ExitRule
from billing.tongue import _, many, phrase
from billing.words import numeral
from meter.refusal import Refusal

FIELDS = ("legal_name", "postal", "email", "purposes")
SHOWN = "shown_"
"""Before the name of a field: what stood in it when the form was made."""
WHY_CHARACTERS_MAX = 500
NOTICE_DAYS_MAX = 3660


def read_particulars(known: Particulars, form: Mapping[str, Any]) -> Particulars:
    """What the form says in place of what was known, but for fields left as the form showed them.

    A form that stood open knows nothing of what was changed meanwhile, and must not put it back. Raises Refusal naming the field.
    """
    typed = {name: form.get(name) for name in FIELDS}
    if not all(isinstance(text, str) for text in typed.values()):
        raise Refusal("the form is not one of ours; go back and try again")
    legal_name, postal, email, purposes = (
        getattr(known, name)
        if " ".join(str(typed[name]).split()) == form.get(SHOWN + name)
        else str(typed[name])
        for name in FIELDS
    )
    return changed(known, legal_name=legal_name, postal=postal, email=email, purposes=purposes)


def read_leaving(form: Mapping[str, Any], *, today: date) -> tuple[date, str]:
    """(day, why) of a notice to leave. Raises Refusal naming the field."""
    if form.get("sure") != "yes":
        raise Refusal("sure: tick that you have read what happens, or nothing is sent")
    try:
        wanted = date.fromisoformat(str(form.get("on", "")))
    except ValueError:
        raise Refusal("on: write the day as 2026-12-31") from None
    if not today <= wanted <= today + timedelta(days=NOTICE_DAYS_MAX):
        raise Refusal(f"on: a day from today on (in UTC it is {today}), within ten years")
    why = " ".join(str(form.get("why", "")).split())
    if len(why) > WHY_CHARACTERS_MAX or not why.isprintable():
        raise Refusal(f"why: one line of at most {WHY_CHARACTERS_MAX} characters")
    return wanted, why


def what_happens(
    rule: ExitRule | None, *, is_suspended: bool = False, is_customer: bool = False, has_capital: bool = True
) -> list[str]:
    """What becomes of what is kept in a leaver's name, sentence by sentence, for whoever reads it."""
    told = [_("This is a notice. Nothing is cut off by it.")]
    if is_suspended:
        told.append(
            _(
                "You are suspended, so your keys are closed already. Ask the co-op how to take your data with you "
                "before it enters the day you left."
            )
        )
    else:
        told.append(
            _(
                "Your keys and your buckets go on until the co-op enters the day you left, so take your data with you "
                "before."
            )
        )
    if is_customer:
        told.append(
            _("Until then you go on as a customer: you pay the tariff, with no vote and no part of the year.")
        )
    else:
        told.append(
            _("Until then you are a member like everybody, with your vote and your part of the year.")
        )
    told.append(
        _(
            "What you leave there stays stored and goes on being charged to you, from the next month on as a customer, "
            "without a part in the surplus."
        )
    )
    return [*told, *([] if is_customer and not has_capital else _capital_of(rule))]


def _capital_of(rule: ExitRule | None) -> list[str]:
    told = list[str]()
    if rule is None:
        no_rule = _(
            "Your co-op has chosen no rules yet for those who leave; a resolution says when you are paid."
        )
        return [no_rule]
    if rule.years_max:
        told.append(
            many(
                "What is kept in your name becomes a debt of the co-op to you. It is paid in instalments, not at once, "
                "within {number} year at most.",
                "What is kept in your name becomes a debt of the co-op to you. It is paid in instalments, not at once, "
                "within {number} years at most.", number=rule.years_max,
            )
        )  # fmt: skip
    else:
        told.append(
            _(
                "What is kept in your name becomes a debt of the co-op to you. It is paid in instalments, not at once; "
                "the resolution says how long."
            )
        )
    if rule.rate == RESOLUTION_RATE:
        told.append(_("Whether it bears interest, and how much, is said by the resolution."))
    elif rule.rate:
        told.append(_interest(rule))
    if rule.deduction_max:
        told.append(
            _(
                "If a minimum stay was agreed and is broken, the co-op may keep a part back, up to the law's limit."
            )
        )
    told.append(_("Where this stands: {source}.", source=phrase(rule.source)))
    return told


def _interest(rule: ExitRule) -> str:
    rate = phrase(rule.rate)
    if not rule.margin:
        return _("It bears interest by the rate called '{rate}'.", rate=rate)
    return many(
        "It bears interest by the rate called '{rate}' and {points} percentage point on top of it.",
        "It bears interest by the rate called '{rate}' and {points} percentage points on top of it.",
        number=1 if rule.margin == Fraction(1, 100) else 2, rate=rate, points=numeral(exact_text(rule.margin * 100)),
    )  # fmt: skip
