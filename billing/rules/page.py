"""The numbers of rule sets as tables for docs/rulesets.md, so that the page says what the program does. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from billing.money import percent_text
from billing.rules.ruleset import Base, Number, Origin, RuleSet

WORDS = {
    "collective_target": "collective account, topped up to (of the whole result)",
    "interest_cap": "interest on shares, highest rate",
    "interest_over_reference": "interest on shares, highest above the published rate",
    "investors_most": "supporters together at most",
    "workers_least": "workers together at least (of the surplus)",
    "cash_share": "paid in cash, where nothing else is decided",
    "loss_of_members": "of a loss, members' part after reserves",
    "loss_from_compulsory_reserve": "of a loss, from the compulsory reserve at most",
    "withholding": "tax withheld",
}


def tables(rule_sets: Iterable[RuleSet]) -> str:
    """One section a rule set: who decides, its numbers with limits and sources, its notes."""
    return "\n".join(line for rules in rule_sets for line in _section(rules))


def _section(rules: RuleSet) -> Iterator[str]:
    yield f"### {rules.id}"
    yield ""
    yield f"{rules.name}. Version {rules.version}, from {rules.effective_from}. Law: {rules.law}. Decides: {rules.decided_by}."
    yield ""
    yield "| key | what | chosen | the law allows | source |"
    yield "|---|---|---:|---|---|"
    words = WORDS | {levy.key: _levy_words(rules, levy.key) for levy in rules.levies}
    for key, number in rules.numbers().items():
        chosen = percent_text(number.share)
        yield f"| `{key}` | {words[key]} | {chosen} | {_limits(number)} | {number.source} |"
    yield ""
    yield from (f"* {fact}" for fact in (*_facts(rules), *rules.notes))
    yield ""


def _levy_words(rules: RuleSet, key: str) -> str:
    levy = next(one for one in rules.levies if one.key == key)
    base = "of the rest" if levy.base is Base.REST else "of the surplus"
    whose = "others' result" if levy.origin is Origin.OTHERS else "members' result"
    until = ", until it is as high as the highest capital" if levy.until_highest_capital else ""
    return f"{levy.words}: {base}, {whose}{until}"


def _limits(number: Number) -> str:
    limits = [] if number.least is None else [f"at least {percent_text(number.least)}"]
    limits += [] if number.most is None else [f"at most {percent_text(number.most)}"]
    return ", ".join(limits) or "no limit stated"


def _facts(rules: RuleSet) -> Iterator[str]:
    position = rules.interest.position.value.replace("_", " ")
    yield f"Interest on shares is taken {position} ({rules.interest.source})."
    if rules.interest.reference:
        yield f"The published rate it builds on, `reference_rate`, is {rules.interest.reference}."
    sharing = ", ".join(sorted(rules.classes.sharing))
    yield f"Classes that share: {sharing}; an empty class's part goes to the {rules.classes.empty.value} ({rules.classes.source})."
    years = (
        f", and in the first {rules.loss.first_years} fiscal years they bear nothing"
        if rules.loss.first_years
        else ""
    )
    if rules.loss.average_years:
        yield (
            f"Of a loss the compulsory reserve meets at most the average part of the surpluses of the last"
            f" {rules.loss.average_years} fiscal years that went there, worked out from the closed years;"
            " `loss_from_compulsory_reserve` where none of them had a surplus."
        )
    yield f"What members do not bear of a loss is {rules.loss.rest.value}{years} ({rules.loss.source})."
