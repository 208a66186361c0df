"""A rule set as a document that text.py reads back to the same rule set. Pure."""

from __future__ import annotations

from billing.money import exact_text, percent_text
from billing.rules.ruleset import ClassRule, InterestRule, Levy, LossRule, Number, RuleSet

Document = dict[str, object]


def rule_set_document(rules: RuleSet) -> Document:
    """JSON-ready, stable keys; percentages as exact texts."""
    found: Document = {
        "id": rules.id,
        "version": rules.version,
        "effective_from": str(rules.effective_from),
        "name": rules.name,
        "law": rules.law,
        "decided_by": rules.decided_by,
        "consent_kinds": rules.consent_kinds,
        "levy": [_levy(levy) for levy in rules.levies],
        "interest": _interest(rules.interest),
        "classes": _classes(rules.classes),
        "cash": {
            **number_document(rules.cash.number),
            "of": rules.cash.base.value,
            "setoff_is_cash": rules.cash.setoff_is_cash,
        },
        "loss": _loss(rules.loss),
        "notes": list(rules.notes),
    }
    if rules.target is not None:
        found["collective"] = number_document(rules.target)
    if rules.withholding is not None:
        found["withholding"] = {
            **number_document(rules.withholding.number),
            "above": exact_text(rules.withholding.above),
            "currency": rules.withholding.currency,
        }
    return found


def number_document(number: Number) -> Document:
    """One percentage with its limits and its source."""
    found: Document = {"share": percent_text(number.share), "source": number.source}
    if number.least is not None:
        found["least"] = percent_text(number.least)
    if number.most is not None:
        found["most"] = percent_text(number.most)
    return found


def _levy(levy: Levy) -> Document:
    return {
        "key": levy.key,
        "words": levy.words,
        "from": levy.origin.value,
        "of": levy.base.value,
        **number_document(levy.number),
        "to": levy.to,
        "until_highest_capital": levy.until_highest_capital,
    }


def _interest(rule: InterestRule) -> Document:
    found: Document = {
        "position": rule.position.value,
        "without_public_aid": rule.without_public_aid,
        "within_worker_part": rule.within_worker_part,
        "source": rule.source,
    }
    if rule.cap is not None:
        found["cap"] = number_document(rule.cap)
    if rule.over_reference is not None:
        found |= {"over_reference": number_document(rule.over_reference), "reference": rule.reference}
    return found


def _classes(rule: ClassRule) -> Document:
    found: Document = {
        "sharing": sorted(rule.sharing),
        "empty": rule.empty.value,
        "workers_need_not_be_members": rule.workers_need_not_be_members,
        "source": rule.source,
    }
    if rule.investors is not None:
        found["investors"] = number_document(rule.investors)
    if rule.workers is not None:
        found["workers"] = number_document(rule.workers)
    return found


def _loss(rule: LossRule) -> Document:
    # Only where there is an average: so documents of rule sets that know none stay as they were.
    average: Document = {"average_years": rule.average_years} if rule.average_years else {}
    return {
        **average,
        "members": number_document(rule.members),
        "first_years": rule.first_years,
        "rest": rule.rest.value,
        "compulsory_reserve": number_document(rule.compulsory_reserve),
        "source": rule.source,
    }
