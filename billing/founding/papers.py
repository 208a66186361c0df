"""The papers founders take to their meeting: checklist, clauses, agenda and minutes, register, budget. Pure.

Everything in them comes from the rule set, the answers and the register, in the founders' language; nothing is decided
here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.acts.act import OFFICE_WORDS, Office
from billing.capital.deadlines import deadlines, month_end
from billing.charges.tariff import PRICED, UNITS, WORDS
from billing.founding.answers import Answers
from billing.founding.budget import Budget, budget
from billing.founding.clauses import clauses, disclaimer
from billing.founding.sheet import Block, Grid, Heading, Point, Points, Sheet, Words, capital, point, typed
from billing.register.forms import Column
from billing.rules.afterwards import Afterwards
from billing.rules.founding import FoundingRules, Help, Item
from billing.rules.ruleset import RuleSet
from billing.rules.voting import VotingRules
from billing.tongue import _, cited, many, phrase, speaking
from billing.words import amount_text, day_text, instant_text, month_told, numeral
from meter.window import Month, to_us


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
) -> tuple[Sheet, ...]:
    """Every paper, in the answers' language. `register`: the register as its law wants it printed, in that language.

    `resolution` is the id of the founding's.
    """
    with speaking(answers.language):
        return tuple(
            Sheet(
                name, title, typed(answers.name), tuple(blocks),
                _("Draft, no legal advice. Made by Weir from the answers of the founders and the data of the rule set."),
                answers.language,
            )
            for name, title, blocks in (
                ("1-checklist", _("What is to be done"), _checklist(answers, place)),
                ("2-by-law-clauses", _("Clauses for the by-laws"), _clauses(answers, place)),
                ("3-founding-meeting", _("The founding meeting: agenda and minutes"), _meeting(answers, place, resolution)),
                ("4-register-of-members", str(register["title"]), _register(register)),
                ("5-budget-of-the-first-year", _("Budget of the first year"), _budget(answers, budget(answers))),
            )
        )  # fmt: skip


def too_few(answers: Answers, founding: FoundingRules) -> str:
    """A sentence where the law asks for more founders than there are; else nothing."""
    if len(answers.founders) >= founding.founders_min:
        return ""
    return many(
        "The law of {place} asks for {least} founders, and there is {number} ({source}).",
        "The law of {place} asks for {least} founders, and there are {number} ({source}).",
        len(answers.founders), place=founding.rule_set, least=founding.founders_min, source=cited(founding.founders_source),
    )  # fmt: skip


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
    rules, founding = place.rules, place.founding
    yield disclaimer()
    yield Words(_("Rule set: {name} ({id}, version {version}). Law: {law}. Checklist of {dated}.", name=phrase(rules.name), id=rules.id, version=rules.version, law=cited(rules.law), dated=day_text(founding.dated)))  # fmt: skip
    if founding.founders_min:
        enough = too_few(answers, founding) or _("At least {least} founders are asked for; there are {count} ({source}).", least=founding.founders_min, count=len(answers.founders), source=cited(founding.founders_source))  # fmt: skip
        yield Words(enough)
    yield Words(_("Where a source says “unchecked”, we did not read it in the text of the law."))
    yield Heading(_("What the law of the place asks"))
    yield Points(tuple(_item(one) for one in founding.of_the_place), boxes=True)
    yield Heading(_("What is to be done everywhere"))
    yield Points(tuple(_item(one) for one in founding.everywhere), boxes=True)
    yield Heading(_("What Weir has done, and what comes next"))
    yield Points(
        (
            Point(_("Entered the members and the shares they subscribed; enter each payment with `weir share pay`.")),
            Point(_("Put the rule set in force from the fiscal year {year} on, and prices from {month} on: `weir tariff show`.", year=answers.from_year, month=month_told(answers.begin))),
            Point(_("Each month: `weir cost add` for every invoice, `weir bill trial`, then `weir bill close`.")),
            Point(_("After {month}, with which the first fiscal year ends: `weir year trial`, the meeting, `weir year close`.", month=month_told(budget(answers).months[-1]))),
            Point(_("From the first day: `weir backup take`, with its passphrase kept where the machine is not.")),
        )
    )  # fmt: skip
    yield from _calendar(answers, place)
    yield Heading(_("Who helps"))
    yield Points(tuple(Point(f"{one.name}: {phrase(one.what)}", link=one.link) for one in place.helpers))
    yield Words(_("These are others' pages; we neither own nor check them."))


def _calendar(answers: Answers, place: Place) -> Iterator[Block]:
    last = budget(answers).months[-1]
    found = deadlines(place.after, year_end=month_end(last.year, last.number))
    if found:
        yield Heading(_("Calendar after the first fiscal year, which ends with {month}", month=month_told(last)))  # fmt: skip
        rows = tuple(
            (
                capital(phrase(one.name)),
                _("Counts from the approval") if one.due_on is None else day_text(one.due_on),
                cited(one.source),
            )
            for one in found
        )
        yield Grid(_("Last days"), (_("What"), _("Last day"), _("Source")), rows)


def _item(item: Item) -> Point:
    return point(phrase(item.what), item.source, item.link)


def _clauses(answers: Answers, place: Place) -> Iterator[Block]:
    yield disclaimer()
    yield Words(_("These are the clauses that the counting rests on; a percentage in them is the rule set's, and may be another within its limits. Company, seat, purpose, admission, organs and dissolution come from model by-laws of the place."))  # fmt: skip
    yield from clauses(place.rules, place.after, place.voting, answers.class_weights)


def _meeting(answers: Answers, place: Place, resolution: str) -> Iterator[Block]:
    held = answers.meeting
    yield disclaimer()
    assert held.held_on is not None, "answers that were read name a day"
    yield Words(
        _("Founding meeting of {name}, held on {day} in {place}. Chair: [name]. Minutes: [name].", name=typed(answers.name), day=day_text(held.held_on), place=typed(held.place) or _("[place]"))
    )  # fmt: skip
    yield Heading(_("Agenda"))
    yield Points(
        tuple(
            Point(one)
            for one in (
                _("Who is here, and who takes the minutes"), _("What the co-op is for"), _("The by-laws, clause by clause"),
                _("Rule set, fiscal year and first prices"), _("Shares"), _("Elections: board, treasurer, operator"),
                _("The budget of the first year"), _("Anything else"),
            )
        ),
        numbered=True,
    )  # fmt: skip
    yield Heading(_("Present"))
    yield Grid(
        _("Founders"),
        (_("Name"), _("Class"), _("Shares"), _("Signature")),
        tuple(
            (typed(one.full_name), phrase(one.member_class.value), str(one.shares), "")
            for one in answers.founders
        ),
        signed=True,
    )
    yield Heading(_("Resolved"))
    yield Words(resolution_text(answers, place.rules))
    yield Words(_votes(answers))
    yield Words(_("Entered in Weir as resolution {id}.", id=resolution))
    yield Heading(_("Elected"))
    yield Grid(
        _("Offices"),
        (_("Office"), _("Held by"), _("Accepts the election (signature)")),
        tuple(
            (
                capital(phrase(OFFICE_WORDS[office])),
                ", ".join(typed(one.full_name) for one in answers.founders if office in one.offices) or _("nobody yet"),
                "",
            )
            for office in Office
        ),
        signed=True,
    )  # fmt: skip
    yield Words(_("Signed by the chair: {line} and by who took the minutes: {line}", line="." * 27))


def _votes(answers: Answers) -> str:
    held = answers.meeting
    if held.in_favour is None:
        return _("Votes: for [number], against [number], abstained [number].")
    return _("Votes: for {yes}, against {no}, abstained {abstained}.", yes=held.in_favour, no=held.against, abstained=held.abstained)  # fmt: skip


def resolution_text(answers: Answers, rules: RuleSet) -> str:
    """What the founding meeting decided, as the register of resolutions keeps it, in the language spoken now."""
    elected = "; ".join(
        f"{phrase(OFFICE_WORDS[office])}: {', '.join(one.name for one in answers.founders if office in one.offices) or _('nobody yet')}"
        for office in Office
    )
    return _(
        "{name} is founded. Its years are closed by the rule set {id} (version {version}, {rules}), from the fiscal year {year} on, which begins with {month}. The books are kept in {currency} and begin with {begin}; the first prices are those of the tariff of that month. A share of kind {kind} is {par}. Elected: {elected}.",
        name=typed(answers.name), id=rules.id, version=rules.version, rules=phrase(rules.name), year=answers.from_year,
        month=month_told(Month(answers.from_year, answers.first_month)), currency=answers.currency,
        begin=month_told(answers.begin), kind=answers.share_kind, par=amount_text(answers.par_minor, answers.currency),
        elected=elected,
    )  # fmt: skip


def _register(register: Mapping[str, Any]) -> Iterator[Block]:
    at = instant_text(to_us(datetime.fromisoformat(register["at"])))
    yield Words(_("As it stood on {instant}, after operation {number}. Form: {source}. It holds names and addresses: keep it as such.", instant=at, number=register["operations"], source=cited(register["source"])))  # fmt: skip
    for part in register["registers"]:
        yield Heading(phrase(capital(str(part["name"]))))
        for row in part["rows"]:
            # An address that is missing has its row, to be filled in: lists of members ask for it.
            cells = [
                (str(one["heading"]), _cell(row[one["key"]]))
                for one in part["columns"]
                if row[one["key"]] or one["key"] == Column.POSTAL.value
            ]
            yield Grid(
                _cell(row[Column.NAME.value]), (_("What"), _("As entered")), tuple(cells)
            )  # fmt: skip


def _cell(value: object) -> str:
    return typed("; ".join(map(str, value)) if isinstance(value, list) else str(value))


def _budget(answers: Answers, made: Budget) -> Iterator[Block]:
    def amount(minor: int) -> str:
        return amount_text(minor, answers.currency)

    yield Words(_("A guess with exact arithmetic: the prices are those in force, the use and the costs are what the founders think."))  # fmt: skip
    yield Heading(_("Prices"))
    yield Words(
        _("The founders' own.")
        if answers.has_own_prices
        else _("The shipped example's numbers, a place to begin: hold them against your own invoices. After a quarter `weir tariff suggest` makes prices from what it really cost.")
    )  # fmt: skip
    yield Grid(
        _("A unit of each service"),
        (_("Service"), _("Unit"), _("Price")),
        tuple(
            (phrase(WORDS[one]), phrase(UNITS[one]), f"{numeral(answers.tariff.price_text(one))} {answers.currency}")
            for one in PRICED
            if one in answers.tariff.prices
        ),
        numbers=1,
    )  # fmt: skip
    yield Heading(_("Costs"))
    yield Grid(
        _("What it costs every month"),
        (_("What"), _("A month")),
        (*((typed(one.what), amount(one.a_month_minor)) for one in answers.costs), (_("Together"), amount(made.costs_a_month_minor))),
        numbers=1,
    )  # fmt: skip
    yield Heading(_("What a member would be charged"))
    yield Grid(
        _("One member, one month"),
        (_("Service"), _("Thought of"), _("Price"), _("Charge")),
        (*((one.words, one.quantity, one.price, amount(one.amount_minor)) for one in made.lines),
         (_("Together"), "", "", amount(made.charged_minor))),
        numbers=2,
    )  # fmt: skip
    yield Heading(_("The year"))
    yield Grid(
        _span(made),
        ("", _("Amount")),
        (
            (_("Charges of all members"), amount(made.income_minor)),
            (_("Costs"), amount(made.costs_minor)),
            (_("Left over") if made.result_minor >= 0 else _("Missing"), amount(abs(made.result_minor))),
            (_("Shares subscribed (capital, no income)"), amount(made.shares_minor)),
        ),
        numbers=1,
    )
    yield Words(made.sentence())


def _span(made: Budget) -> str:
    """'2 months, 2026-11 to 2026-12, 3 members'."""
    return _(
        "{months}, {first} to {last}, {members}",
        months=many("{number} month", "{number} months", len(made.months)),
        first=month_told(made.months[0]), last=month_told(made.months[-1]),
        members=many("{number} member", "{number} members", made.members),
    )  # fmt: skip
