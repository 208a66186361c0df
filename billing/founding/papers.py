"""The papers founders take to their meeting: checklist, clauses, agenda and minutes, register, budget. Pure.

Everything in them comes from the rule set, the answers and the register; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billing.acts.act import OFFICE_WORDS, Office
from billing.capital.deadlines import deadlines, month_end
from billing.charges.tariff import PRICED, UNITS, WORDS
from billing.founding.answers import Answers
from billing.founding.budget import Budget, budget
from billing.founding.clauses import clauses, disclaimer
from billing.founding.sheet import Block, Grid, Heading, Point, Points, Sheet, Words, capital, typed
from billing.money import format_amount
from billing.register.forms import Column
from billing.rules.afterwards import Afterwards
from billing.rules.founding import FoundingRules, Help, Item
from billing.rules.ruleset import RuleSet
from billing.rules.voting import VotingRules

FOOT = "Draft, no legal advice. Made by Weir from the answers of the founders and the data of the rule set."


@dataclass(frozen=True, slots=True)
class Place:
    """All that the program knows of a rule set."""

    rules: RuleSet
    founding: FoundingRules
    after: Afterwards
    voting: VotingRules
    helpers: Sequence[Help]


def papers(
    answers: Answers, place: Place, register: Mapping[str, Any], *, resolution: str
) -> Iterator[Sheet]:
    """Every paper. `register`: the register as its law wants it printed; `resolution`: the id of the founding's."""
    made = budget(answers)
    for name, title, blocks in (
        ("1-checklist", "What is to be done", _checklist(answers, place)),
        ("2-by-law-clauses", "Clauses for the by-laws", _clauses(answers, place)),
        (
            "3-founding-meeting",
            "The founding meeting: agenda and minutes",
            _meeting(answers, place, resolution),
        ),
        ("4-register-of-members", str(register["title"]), _register(register)),
        ("5-budget-of-the-first-year", "Budget of the first year", _budget(answers, made)),
    ):
        yield Sheet(name, title, typed(answers.name), tuple(blocks), FOOT)


def too_few(answers: Answers, founding: FoundingRules) -> str:
    """A sentence where the law asks for more founders than there are; else nothing."""
    if len(answers.founders) >= founding.founders_min:
        return ""
    return (
        f"The law of {founding.rule_set} asks for {founding.founders_min} founders, and there are"
        f" {len(answers.founders)} ({founding.founders_source})."
    )


def weights_wanting(answers: Answers, rules: RuleSet) -> str:
    """A sentence where users and workers share and nobody said how; else nothing."""
    there = {one.member_class.value for one in answers.founders} & rules.classes.sharing
    if not {"user", "worker"} <= there or answers.class_weights:
        return ""
    return (
        "Users and workers both share, and nobody said yet how the pool is divided among them: put [class_weights] into"
        " the answers, or choose them before the first month is closed with `weir ruleset choose --choices`."
    )


def _checklist(answers: Answers, place: Place) -> Iterator[Block]:
    yield disclaimer()
    yield Words(f"Rule set: {place.rules.name} ({place.rules.id}, version {place.rules.version}). Law: {place.rules.law}. Checklist of {place.founding.version}.")  # fmt: skip
    if place.founding.founders_min:
        enough = too_few(answers, place.founding) or f"At least {place.founding.founders_min} founders are asked for; there are {len(answers.founders)} ({place.founding.founders_source})."  # fmt: skip
        yield Words(enough)
    yield Heading("What the law of the place asks")
    yield Points(tuple(_point(one) for one in place.founding.of_the_place), boxes=True)
    yield Heading("What is to be done everywhere")
    yield Points(tuple(_point(one) for one in place.founding.everywhere), boxes=True)
    yield Heading("What Weir has done, and what comes next")
    yield Points(
        (
            Point("Entered the members and the shares they subscribed; enter each payment with `weir share pay`."),
            Point(f"Put the rule set in force from the fiscal year {answers.from_year} on, and prices from {answers.begin} on: `weir tariff show`."),
            Point("Each month: `weir cost add` for every invoice, `weir bill trial`, then `weir bill close`."),
            Point("After twelve months: `weir year trial`, the meeting, `weir year close`."),
            Point("From the first day: `weir backup take`, with its passphrase kept where the machine is not."),
        )
    )  # fmt: skip
    yield from _calendar(answers, place)
    yield Heading("Who helps")
    yield Points(tuple(Point(f"{one.name}: {one.what}", link=one.link) for one in place.helpers))
    yield Words("These are others' pages; we neither own nor check them.")


def _calendar(answers: Answers, place: Place) -> Iterator[Block]:
    last = budget(answers).months[-1]
    found = deadlines(place.after, year_end=month_end(last.year, last.number))
    if found:
        yield Heading(f"Calendar after the first fiscal year, which ends with {last}")
        rows = tuple(
            (
                one.name,
                "counts from the approval" if one.due_on is None else one.due_on.isoformat(),
                one.source,
            )
            for one in found
        )
        yield Grid("Last days", ("what", "last day", "source"), rows)


def _point(item: Item) -> Point:
    return Point(item.what, item.source, item.link)


def _clauses(answers: Answers, place: Place) -> Iterator[Block]:
    yield disclaimer()
    yield Words("These are the clauses that the counting rests on; a percentage in them is the rule set's, and may be another within its limits. Company, seat, purpose, admission, organs and dissolution come from model by-laws of the place.")  # fmt: skip
    yield from clauses(place.rules, place.after, place.voting, answers.class_weights)


def _meeting(answers: Answers, place: Place, resolution: str) -> Iterator[Block]:
    held = answers.meeting
    yield disclaimer()
    yield Words(f"Founding meeting of {typed(answers.name)}, held on {held.held_on} in {typed(held.place) or '[place]'}. Chair: [name]. Minutes: [name].")  # fmt: skip
    yield Heading("Agenda")
    yield Points(
        tuple(
            Point(one)
            for one in (
                "Who is here, and who takes the minutes", "What the co-op is for", "The by-laws, clause by clause",
                "Rule set, fiscal year and first prices", "Shares", "Elections: board, treasurer, operator",
                "The budget of the first year", "Anything else",
            )
        ),
        numbered=True,
    )  # fmt: skip
    yield Heading("Present")
    yield Grid(
        "Founders",
        ("name", "class", "shares", "signature"),
        tuple(
            (typed(one.full_name), one.member_class.value, str(one.shares), "") for one in answers.founders
        ),
    )
    yield Heading("Resolved")
    yield Words(resolution_text(answers, place.rules))
    yield Words(_votes(answers))
    yield Words(f"Entered in Weir as resolution {resolution}.")
    yield Heading("Elected")
    yield Grid(
        "Offices",
        ("office", "held by", "accepts the election (signature)"),
        tuple(
            (
                OFFICE_WORDS[office],
                ", ".join(typed(one.full_name) for one in answers.founders if office in one.offices) or "nobody yet",
                "",
            )
            for office in Office
        ),
    )  # fmt: skip
    yield Words(
        "Signed by the chair: ........................... and by who took the minutes: ..........................."
    )


def _votes(answers: Answers) -> str:
    held = answers.meeting
    if held.in_favour is None:
        return "Votes: for [number], against [number], abstained [number]."
    return f"Votes: for {held.in_favour}, against {held.against}, abstained {held.abstained}."


def resolution_text(answers: Answers, rules: RuleSet) -> str:
    """What the founding meeting decided, as the register of resolutions keeps it."""
    elected = "; ".join(
        f"{OFFICE_WORDS[office]}: {', '.join(one.name for one in answers.founders if office in one.offices) or 'nobody yet'}"
        for office in Office
    )
    par = format_amount(answers.par_minor, answers.currency)
    return (
        f"{typed(answers.name)} is founded. Its years are closed by the rule set {rules.id} (version {rules.version},"
        f" {rules.name}), from the fiscal year {answers.from_year} on, which begins with month {answers.first_month}."
        f" The books are kept in {answers.currency} and begin with {answers.begin}; the first prices are those of the"
        f" tariff of that month. A share of kind {answers.share_kind} is {par}. Elected: {elected}."
    )


def _register(register: Mapping[str, Any]) -> Iterator[Block]:
    yield Words(f"As it stood on {register['at']}, after operation {register['operations']}. Form: {register['source']}. It holds names and addresses: keep it as such.")  # fmt: skip
    for part in register["registers"]:
        yield Heading(capital(str(part["name"])))
        for row in part["rows"]:
            cells = [(str(one["heading"]), _cell(row[one["key"]])) for one in part["columns"]]
            yield Grid(
                _cell(row[Column.NAME.value]), ("what", "as entered"), tuple(one for one in cells if one[1])
            )


def _cell(value: object) -> str:
    return typed("; ".join(map(str, value)) if isinstance(value, list) else str(value))


def _budget(answers: Answers, made: Budget) -> Iterator[Block]:
    def amount(minor: int) -> str:
        return format_amount(minor, answers.currency)

    yield Words("A guess with exact arithmetic: the prices are those in force, the use and the costs are what the founders think.")  # fmt: skip
    yield Heading("Prices")
    yield Words(
        "The founders' own."
        if answers.has_own_prices
        else "The shipped example's numbers, a place to begin: hold them against your own invoices. After a quarter `weir tariff suggest` makes prices from what it really cost."
    )
    yield Grid(
        "A unit of each service",
        ("service", "unit", "price"),
        tuple(
            (WORDS[one], UNITS[one], f"{answers.tariff.price_text(one)} {answers.currency}")
            for one in PRICED
            if one in answers.tariff.prices
        ),
        numbers=1,
    )
    yield Heading("Costs")
    yield Grid(
        "What it costs every month",
        ("what", "a month"),
        (*((typed(one.what), amount(one.a_month_minor)) for one in answers.costs), ("together", amount(made.costs_a_month_minor))),
        numbers=1,
    )  # fmt: skip
    yield Heading("What a member would be charged")
    yield Grid(
        "One member, one month",
        ("service", "thought of", "price", "charge"),
        (*((one.words, one.quantity, one.price, amount(one.amount_minor)) for one in made.lines),
         ("together", "", "", amount(made.charged_minor))),
        numbers=2,
    )  # fmt: skip
    yield Heading("The year")
    yield Grid(
        f"{len(made.months)} months, {made.months[0]} to {made.months[-1]}, {made.members} members",
        ("", "amount"),
        (
            ("charges of all members", amount(made.income_minor)),
            ("costs", amount(made.costs_minor)),
            ("left" if made.result_minor >= 0 else "missing", amount(abs(made.result_minor))),
            ("shares subscribed (capital, no income)", amount(made.shares_minor)),
        ),
        numbers=1,
    )
    yield Words(made.sentence())
