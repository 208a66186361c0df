"""The questions of a founding at a terminal; an answer that cannot be is asked for again, with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import click

from billing.acts.act import OFFICE_WORDS, Office
from billing.money import exponent, parse_amount
from billing.rules.book import rule_set, rule_set_ids
from billing.rules.founding import founding_rules
from billing.tongue import LANGUAGES, known
from deploy.output import print_table, say
from meter.refusal import Refusal
from meter.usage import MemberClass

LOCALE_SETTINGS = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Variables that say in which language somebody is told something; the first that is set counts (POSIX.1-2017, 8.2)."""
CLASSES = [one.value for one in MemberClass if one.is_member]


def language_of_terminal(environment: Mapping[str, str]) -> str | None:
    """The language somebody's terminal is set to, in the order of POSIX; None where it is none of ours."""
    setting = next((environment[name] for name in LOCALE_SETTINGS if environment.get(name)), "")
    return known(re.split("[_.@]", setting, maxsplit=1)[0].lower())


def asked(given: Mapping[str, object], *, present: str, language: str) -> dict[str, object]:
    """Ask for what is not known yet; the answers as a file would have them.

    `present` is the running month, `language` the papers' language where no other is named.
    """
    told = dict(given)
    say("A few questions. Nothing is done before you have seen all of it and said yes.")
    if "name" not in told:
        told["name"] = _ask("What is the co-op called?", _not_empty)
    if "rule_set" not in told:
        print_table(("rule set", "for"), [(one, rule_set(one).name) for one in rule_set_ids()])
        told["rule_set"] = _ask(
            "By which rule set are its years closed? (`plain` names no law)", rule_set, "plain"
        )
    if "language" not in told:
        told["language"] = click.prompt(
            "In which language are the papers written?", type=click.Choice(list(LANGUAGES)), default=language
        )
    founding = founding_rules(str(told["rule_set"]))
    if founding.founders_min:
        say(f"Its law asks for {founding.founders_min} founders at least ({founding.founders_source}).")
    if "currency" not in told:
        told["currency"] = _ask("In which currency are the books kept?", exponent, "EUR")
    currency = str(told["currency"])
    if "begin" not in told:
        told["begin"] = _ask("In which month do the books begin?", _not_empty, present)
    if "share" not in told:
        told["share"] = {
            "par": _ask(f"What is one share, in {currency}?", lambda text: parse_amount(text, currency))
        }
    if "founder" not in told:
        told["founder"] = _founders()
    if "cost" not in told:
        told["cost"] = _costs(currency)
    if "use" not in told:
        say("What may a member use in a month? It is for the budget alone; nobody is charged by it.")
        told["use"] = {
            "gb_stored": click.prompt("GB stored", type=click.IntRange(0), default=500),
            "gb_out": click.prompt("GB sent to readers", type=click.IntRange(0), default=200),
            "gb_in": click.prompt("GB uploaded", type=click.IntRange(0), default=50),
        }
    return told


def _founders() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    say("Now the founders, one after the other; an empty name ends the list.")
    while True:
        name = click.prompt(
            f"Founder {len(found) + 1}, a short name in small letters", default="", show_default=False
        )
        if not name:
            if found:
                return found
            say("A co-op has one member at least.")
            continue
        founder: dict[str, object] = {
            "name": name,
            "full_name": click.prompt("  full name, as the law wants it"),
            "email": click.prompt("  e-mail address"),
            "class": click.prompt("  class", type=click.Choice(CLASSES), default=CLASSES[0]),
            "shares": click.prompt("  how many shares", type=click.IntRange(1), default=1),
        }
        founder["offices"] = [
            office.value
            for office in Office
            if click.confirm(f"  is {name} {OFFICE_WORDS[office]}?", default=not found)
        ]
        found.append(founder)


def _costs(currency: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    say("What does the service cost every month? An empty line ends the list.")
    while what := click.prompt("What", default="", show_default=False):
        amount = _ask(f"  a month, in {currency}", lambda text: parse_amount(text, currency))
        found.append({"what": what, "a_month": amount})
    return found


def _ask(words: str, check: Callable[[str], object], default: str | None = None) -> str:
    while True:
        told: str = click.prompt(words, default=default)
        try:
            check(told)
        except Refusal as refusal:
            say(str(refusal))
        else:
            return told


def _not_empty(text: str) -> None:
    if not text.strip():
        raise Refusal("a word at least is wanted here")
