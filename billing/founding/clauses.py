"""The clauses of by-laws that Weir counts by, filled from a rule set: a draft for who knows the law. Pure.

Only what the counting needs: who shares, reserves, interest, form of payment, losses, notices, redemption, votes. Every
sentence is whole and in the language spoken now; what the rule set's data says is told again, and a law cited as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from billing.founding.sheet import Block, Heading, Point, Points, Words, capital, point
from billing.rules.afterwards import APPROVAL, Afterwards, DeadlineRule
from billing.rules.ruleset import Base, Bearer, CashBase, Empty, Levy, Origin, Position, RuleSet
from billing.rules.voting import VotingRules
from billing.tongue import _, many, phrase
from billing.words import percent_told

BY = {
    "user": "users by what they were charged at cost in the year",
    "worker": "workers by hours worked, times the published factor",
    "supporter": "supporters equally",
}
INTEREST = {
    Position.BEFORE_RESERVES: "Interest on shares is limited and is taken before reserves are filled; it is never paid out of a loss.",
    Position.AFTER_RESERVES: "Interest on shares is limited and is taken after the reserves that these rules name a part for, before what the meeting puts aside, and before the rest is shared; it is never paid out of a loss.",
    Position.BESIDE_PATRONAGE: "Interest on shares is limited and is taken beside patronage, out of what was earned with others; it is never paid out of a loss.",
}
STATUTES_MUST = {"de-eg": "Genossenschaftsgesetz § 7 Nr. 2"}
"""Rule set → the law by which the by-laws themselves provide for a reserve, where the rule set names none."""
LEVIES = {
    (Origin.MEMBERS, Base.SURPLUS): "{fund}: {percent} of the surplus of what was earned with members.",
    (Origin.MEMBERS, Base.REST): "{fund}: {percent} of what is then left of what was earned with members.",
    (Origin.OTHERS, Base.SURPLUS): "{fund}: {percent} of the surplus of what was earned with others.",
    (Origin.OTHERS, Base.REST): "{fund}: {percent} of what is then left of what was earned with others.",
}
REST = {
    Bearer.CARRIED: "The rest is carried against the surpluses of coming years.",
    Bearer.COLLECTIVE: "The rest is borne by the collective account.",
}


def clauses(
    rules: RuleSet, after: Afterwards, voting: VotingRules, weights: Mapping[str, Fraction]
) -> Iterator[Block]:
    """Every clause, each with its sources; `weights` are what was chosen for the classes."""
    yield from _clause(_("1. At cost"), _at_cost(rules))
    yield from _clause(_("2. Patronage"), _patronage(rules, weights))
    yield from _clause(_("3. Reserves and funds"), _reserves(rules))
    yield from _clause(_("4. Interest on shares"), _interest(rules))
    yield from _clause(_("5. How a share is paid"), _payment(rules, after))
    yield from _clause(_("6. Losses"), _losses(rules))
    yield from _clause(_("7. Notice"), _notice(after))
    yield from _clause(_("8. Paying back, leaving, death"), _redemption(after))
    yield from _clause(_("9. One member, one vote"), _votes(voting))
    yield from _clause(_("10. Changing these rules"), _changing(rules, voting))


def _clause(heading: str, points: Iterator[Point]) -> Iterator[Block]:
    yield Heading(heading)
    yield Points(tuple(points), numbered=True)


def _at_cost(rules: RuleSet) -> Iterator[Point]:
    yield point(_("The co-op serves its members at cost: prices are set beforehand, and what they brought in above cost goes back by these clauses."))  # fmt: skip
    yield point(_("Use is counted where the bytes move, in whole numbers; each member may look at every request behind their bill and check the sum."))  # fmt: skip
    yield point(_("What is earned with others than members is kept apart. It is never shared among members by their use."), rules.law)  # fmt: skip


def _patronage(rules: RuleSet, weights: Mapping[str, Fraction]) -> Iterator[Point]:
    order = [one for one in BY if one in rules.classes.sharing]
    yield point(
        _("From before the year begins the co-op is obliged to share what is left of the year's surplus with its members by the business they did with it: {by}.", by="; ".join(_(BY[one]) for one in order)),
        rules.classes.source,
    )  # fmt: skip
    if len(order) > 1 and weights:
        told = ", ".join(f"{phrase(name)} {weight}" for name, weight in sorted(weights.items()))
        yield point(_("The pool is divided among the classes by these weights: {weights}.", weights=told))
    elif len(order) > 1:
        yield point(_("How the pool is divided among the classes is resolved before the year begins: [weights to be filled in]."))  # fmt: skip
    if rules.classes.empty is Empty.RESERVE:
        yield point(_("The part of a class in which nobody has anything to share by goes to the reserve."))
    else:
        yield point(_("The part of a class in which nobody has anything to share by goes to the other classes."))  # fmt: skip
    most, least = rules.classes.investors, rules.classes.workers
    if most is not None:
        yield point(_("Supporters together get at most {percent} of the pool.", percent=percent_told(most.share)), most.source)  # fmt: skip
    if least is not None:
        yield point(_("Workers together get at least {percent} of the surplus.", percent=percent_told(least.share)), least.source)  # fmt: skip


def _reserves(rules: RuleSet) -> Iterator[Point]:
    for levy in rules.levies:
        yield point(_levy(levy), levy.number.source)
    if rules.target is not None:
        yield point(
            _("The collective account is filled until it got {percent} of the year's whole result.", percent=percent_told(rules.target.share)),
            rules.target.source,
        )  # fmt: skip
    if rules.id in STATUTES_MUST:
        yield point(_("A reserve covers losses in the balance sheet: each year [per cent] of the year's surplus goes to it, until it holds at least [amount, or per cent of the shares]. The resolution on the year names the amount."), STATUTES_MUST[rules.id])  # fmt: skip
    elif not rules.levies and rules.target is None:
        yield point(_("No reserve is compulsory by this rule set; what the by-laws want is filled in here: [per cent of the surplus]."), rules.law)  # fmt: skip
    yield point(_("A reserve stays the co-op's; it is in nobody's name and is not shared when somebody leaves."))  # fmt: skip


def _levy(levy: Levy) -> str:
    told = _(
        LEVIES[levy.origin, levy.base],
        fund=capital(phrase(levy.words)),
        percent=percent_told(levy.number.share),
    )
    if not levy.until_highest_capital:
        return told
    return f"{told} {_('It is fed until it is as high as the capital ever was.')}"


def _interest(rules: RuleSet) -> Iterator[Point]:
    own = rules.interest
    yield point(_(INTEREST[own.position]), own.source)
    if own.cap is not None:
        yield point(_("It is at most {percent} a year.", percent=percent_told(own.cap.share)), own.cap.source)
    if own.over_reference is not None:
        yield point(
            _("Its limit is {rate} and {percent} above it.", rate=phrase(own.reference), percent=percent_told(own.over_reference.share)),
            own.over_reference.source,
        )  # fmt: skip
    if own.cap is None and own.over_reference is None:
        yield point(_("Its highest rate is [per cent] a year; shares earn no vote."))


def _payment(rules: RuleSet, after: Afterwards) -> Iterator[Point]:
    number = rules.cash.number
    percent = percent_told(number.share)
    told = (
        _("{percent} of the part of each member's share in qualified notices is paid in money where nothing else is resolved.", percent=percent)
        if rules.cash.base is CashBase.QUALIFIED
        else _("{percent} of each member's share is paid in money where nothing else is resolved.", percent=percent)
    )  # fmt: skip
    if number.least is not None:
        told += " " + _("It is never less than {percent}.", percent=percent_told(number.least))
    yield point(told, number.source)
    yield point(_("The rest is kept in the member's name (retained patronage). It is shown on their account, year by year, and is paid back by clause 8."))  # fmt: skip
    if rules.cash.setoff_is_cash:
        yield point(_("What a member owes may be set off against it."))
    if rules.withholding is not None:
        held = rules.withholding.number
        yield point(_("Tax of {percent} is withheld where the law asks for it.", percent=percent_told(held.share)), held.source)  # fmt: skip
    if after.money_min is not None:
        yield point(_("A notice is qualified only where {percent} at least is money and the member consented.", percent=percent_told(after.money_min)))  # fmt: skip


def _losses(rules: RuleSet) -> Iterator[Point]:
    own = rules.loss
    yield point(_("A loss is met from the voluntary reserve first; no member is billed for it."), own.source)
    if own.compulsory_reserve.share:
        yield point(
            _("Then from the compulsory reserve, at most {percent} of it.", percent=percent_told(own.compulsory_reserve.share)),
            own.compulsory_reserve.source,
        )  # fmt: skip
    yield point(
        _("Of what remains members bear {percent}, by the business they did, on their accounts alone.", percent=percent_told(own.members.share)),
        own.members.source,
    )  # fmt: skip
    if own.first_years:
        yield point(
            many(
                "Of the losses of the first {number} fiscal year they bear nothing.",
                "Of the losses of the first {number} fiscal years they bear nothing.",
                own.first_years,
            ),
            own.source,
        )
    yield point(_(REST[own.rest]))


def _notice(after: Afterwards) -> Iterator[Point]:
    yield point(_("Each member is told in writing, one by one: the year's total, their own business and the rate, what was allocated, what is paid, what is kept and when it may come back. A poster or a website is not enough."))  # fmt: skip
    yield point(_("Allocated is not paid; the notice says so, and that it is no bill and no cheque."))
    for one in after.deadlines:
        yield point(f"{_deadline(one)} {capital(phrase(one.what))}.", one.source)


def _deadline(rule: DeadlineRule) -> str:
    name = capital(phrase(rule.name))
    span = (
        many("{number} month", "{number} months", rule.months)
        if rule.months
        else many("{number} day", "{number} days", rule.days)
    )
    if rule.after == APPROVAL:
        return _("{name}: {span} after the members' approval of the accounts.", name=name, span=span)
    if rule.after:
        return _("{name}: {span} after the day “{other}”.", name=name, span=span, other=phrase(rule.after))
    if rule.day:
        return _("{name}: {span} after the end of the fiscal year, on day {day} of that month at the latest.", name=name, span=span, day=rule.day)  # fmt: skip
    return _("{name}: {span} after the end of the fiscal year.", name=name, span=span)


def _redemption(after: Afterwards) -> Iterator[Point]:
    own = after.exit
    yield point(_("The board decides each year how much retained patronage is paid back, the oldest first; nobody has a claim before that."))  # fmt: skip
    if own.years_max:
        told = many(
            "Who leaves is paid their account and their shares within {number} year.",
            "Who leaves is paid their account and their shares within {number} years.",
            own.years_max,
        )
    else:
        told = _("Who leaves is paid their account and their shares within [number] years, as the resolution says.")  # fmt: skip
    yield point(told, own.source)
    if own.part_each_year_min:
        yield point(_("Each year at least {percent} of it is paid.", percent=percent_told(own.part_each_year_min)), own.source)  # fmt: skip
    if own.heirs_years_max:
        yield point(
            many(
                "Heirs are paid within {number} year.",
                "Heirs are paid within {number} years.",
                own.heirs_years_max,
            ),
            own.source,
        )
    if after.discounting:
        yield point(_("An estate may take the present value now instead of waiting."), after.estate_source)
    if after.solvency is not None:
        yield point(_("Nothing is paid back while the co-op could not meet its debts as they fall due."), after.solvency.source)  # fmt: skip


def _votes(voting: VotingRules) -> Iterator[Point]:
    classes = ", ".join(map(phrase, voting.classes))
    yield point(_("Each member has one vote, whatever they use and however many shares they hold. Classes with a vote: {classes}.", classes=classes))  # fmt: skip
    percent = percent_told(voting.quorum)
    if not voting.quorum:
        told = _("A meeting or ballot decides when any number of members takes part.")
    elif voting.quorum_more_than:
        told = _("A meeting or ballot decides when more than {percent} of the members with a vote take part.", percent=percent)  # fmt: skip
    else:
        told = _("A meeting or ballot decides when at least {percent} of the members with a vote take part.", percent=percent)  # fmt: skip
    yield point(told, voting.quorum_source)
    yield point(
        _("It is carried by {majority}.", majority=phrase(voting.ordinary.words)), voting.ordinary.source
    )


def _changing(rules: RuleSet, voting: VotingRules) -> Iterator[Point]:
    yield point(_("A change of these clauses needs {majority}.", majority=phrase(voting.special.words)), voting.special.source)  # fmt: skip
    yield point(_("It counts from a coming fiscal year on, and never for one that has begun."))
    yield point(_("Who decides on the surplus: {body}.", body=phrase(rules.decided_by)), rules.law)
    for one in rules.notes:
        yield point(phrase(one))


def disclaimer() -> Words:
    """What stands at the head of every draft."""
    return Words(_("This is a draft, made from a rule set's data. It is no legal advice and no by-laws: have somebody read it who knows the law of your place, before anybody signs or pays."))  # fmt: skip
