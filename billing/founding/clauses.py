"""The clauses of by-laws that Weir counts by, filled from a rule set: a draft for who knows the law. Pure.

Only what the counting needs: who shares, reserves, interest, form of payment, losses, notices, redemption, votes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from billing.founding.sheet import Block, Heading, Point, Points, Words, capital
from billing.money import percent_text
from billing.rules.afterwards import Afterwards
from billing.rules.ruleset import Base, Bearer, CashBase, Empty, Number, Origin, Position, RuleSet
from billing.rules.voting import VotingRules

BY = {
    "user": "users by what they were charged at cost in the year",
    "worker": "workers by hours worked, times the published factor",
    "supporter": "supporters equally",
}
INTEREST = {
    Position.BEFORE_RESERVES: "before reserves are filled",
    Position.AFTER_RESERVES: "after reserves are filled and before the rest is shared",
    Position.BESIDE_PATRONAGE: "beside patronage, out of what was earned with others",
}


def clauses(
    rules: RuleSet, after: Afterwards, voting: VotingRules, weights: Mapping[str, Fraction]
) -> Iterator[Block]:
    """Every clause, each with its sources; `weights` are what was chosen for the classes."""
    yield from _clause("1. At cost", _at_cost(rules))
    yield from _clause("2. Patronage", _patronage(rules, weights))
    yield from _clause("3. Reserves and funds", _reserves(rules))
    yield from _clause("4. Interest on shares", _interest(rules))
    yield from _clause("5. How a share is paid", _payment(rules, after))
    yield from _clause("6. Losses", _losses(rules))
    yield from _clause("7. Notice", _notice(after))
    yield from _clause("8. Paying back, leaving, death", _redemption(after))
    yield from _clause("9. One member, one vote", _votes(voting))
    yield from _clause("10. Changing these rules", _changing(rules, voting))


def _clause(heading: str, points: Iterator[Point]) -> Iterator[Block]:
    yield Heading(heading)
    yield Points(tuple(points), numbered=True)


def _at_cost(rules: RuleSet) -> Iterator[Point]:
    yield Point("The co-op serves its members at cost: prices are set beforehand, and what they brought in above cost goes back by these clauses.")  # fmt: skip
    yield Point("Use is counted where the bytes move, in whole numbers; each member may look at every request behind their bill and check the sum.")  # fmt: skip
    yield Point("What is earned with others than members is kept apart. It is never shared among members by their use.", rules.law)  # fmt: skip


def _patronage(rules: RuleSet, weights: Mapping[str, Fraction]) -> Iterator[Point]:
    order = [one for one in BY if one in rules.classes.sharing]
    yield Point(
        "From before the year begins the co-op is obliged to share what is left of the year's surplus with its members by"
        f" the business they did with it: {'; '.join(BY[one] for one in order)}.",
        rules.classes.source,
    )  # fmt: skip
    if len(order) > 1:
        told = ", ".join(f"{name} {weight}" for name, weight in sorted(weights.items()))
        yield Point(
            f"The pool is divided among the classes by these weights: {told}."
            if told
            else "How the pool is divided among the classes is resolved before the year begins: [weights to be filled in]."
        )
    goes = "the reserve" if rules.classes.empty is Empty.RESERVE else "the other classes"
    yield Point(f"The part of a class in which nobody has anything to share by goes to {goes}.")
    for words, number in (
        ("Supporters together get at most {} of the pool.", rules.classes.investors),
        ("Workers together get at least {} of the surplus.", rules.classes.workers),
    ):
        if number is not None:
            yield Point(words.format(_share(number)), number.source)


def _reserves(rules: RuleSet) -> Iterator[Point]:
    for levy in rules.levies:
        whose = (
            "what was earned with members" if levy.origin is Origin.MEMBERS else "what was earned with others"
        )
        base = "what is then left" if levy.base is Base.REST else "the surplus"
        until = ", until it is as high as the capital ever was" if levy.until_highest_capital else ""
        yield Point(
            f"{capital(levy.words)}: {_share(levy.number)} of {base} of {whose}{until}.", levy.number.source
        )
    if rules.target is not None:
        yield Point(
            f"The collective account is filled until it got {_share(rules.target)} of the year's whole result.",
            rules.target.source,
        )
    if not rules.levies and rules.target is None:
        yield Point("No reserve is compulsory by this rule set; what the by-laws want is filled in here: [per cent of the surplus].", rules.law)  # fmt: skip
    yield Point("A reserve stays the co-op's; it is in nobody's name and is not shared when somebody leaves.")


def _interest(rules: RuleSet) -> Iterator[Point]:
    own = rules.interest
    yield Point(f"Interest on shares is limited and is taken {INTEREST[own.position]}; it is never paid out of a loss.", own.source)  # fmt: skip
    if own.cap is not None:
        yield Point(f"It is at most {_share(own.cap)} a year.", own.cap.source)
    if own.over_reference is not None:
        yield Point(f"It is at most {own.reference} and {_share(own.over_reference)} above it.", own.over_reference.source)  # fmt: skip
    if own.cap is None and own.over_reference is None:
        yield Point("Its highest rate is [per cent] a year; shares earn no vote.")


def _payment(rules: RuleSet, after: Afterwards) -> Iterator[Point]:
    of = " of the part in qualified notices" if rules.cash.base is CashBase.QUALIFIED else ""
    least = rules.cash.number.least
    bound = f", and never less than {percent_text(least)}" if least is not None else ""
    yield Point(f"{_share(rules.cash.number)}{of} of each member's share is paid in money where nothing else is resolved{bound}.", rules.cash.number.source)  # fmt: skip
    yield Point("The rest is kept in the member's name (retained patronage). It is shown on their account, year by year, and is paid back by clause 8.")  # fmt: skip
    if rules.cash.setoff_is_cash:
        yield Point("What a member owes may be set off against it.")
    if rules.withholding is not None:
        yield Point(f"Tax of {_share(rules.withholding.number)} is withheld where the law asks for it.", rules.withholding.number.source)  # fmt: skip
    if after.money_min is not None:
        yield Point(f"A notice is qualified only where {percent_text(after.money_min)} at least is money and the member consented.")  # fmt: skip


def _losses(rules: RuleSet) -> Iterator[Point]:
    own = rules.loss
    yield Point("A loss is met from the voluntary reserve first; no member is billed for it.", own.source)
    if own.compulsory_reserve.share:
        yield Point(f"Then from the compulsory reserve, at most {_share(own.compulsory_reserve)} of it.", own.compulsory_reserve.source)  # fmt: skip
    yield Point(f"Of what remains members bear {_share(own.members)}, by the business they did, on their accounts alone.", own.members.source)  # fmt: skip
    if own.first_years:
        yield Point(
            f"Of the losses of the first {own.first_years} fiscal years they bear nothing.", own.source
        )
    rest = "is carried against the surpluses of coming years" if own.rest is Bearer.CARRIED else "is borne by the collective account"  # fmt: skip
    yield Point(f"The rest {rest}.")


def _notice(after: Afterwards) -> Iterator[Point]:
    yield Point("Each member is told in writing, one by one: the year's total, their own business and the rate, what was allocated, what is paid, what is kept and when it may come back. A poster or a website is not enough.")  # fmt: skip
    yield Point("Allocated is not paid; the notice says so, and that it is no bill and no cheque.")
    for one in after.deadlines:
        start = "the members' approval of the accounts" if one.after == "approval" else one.after or "the end of the fiscal year"  # fmt: skip
        span = f"{one.months} months" if one.months else f"{one.days} days"
        day = f", on day {one.day} of that month at the latest" if one.day else ""
        yield Point(f"{capital(one.name)}: {span} after {start}{day}. {capital(one.what)}.", one.source)


def _redemption(after: Afterwards) -> Iterator[Point]:
    own = after.exit
    yield Point("The board decides each year how much retained patronage is paid back, the oldest first; nobody has a claim before that.")  # fmt: skip
    years = (
        f"within {own.years_max} years" if own.years_max else "within [number] years, as the resolution says"
    )
    yield Point(f"Who leaves is paid their account and their shares {years}.", own.source)
    if own.part_each_year_min:
        yield Point(f"Each year at least {percent_text(own.part_each_year_min)} of it is paid.", own.source)
    if own.heirs_years_max:
        yield Point(f"Heirs are paid within {own.heirs_years_max} year{'s' if own.heirs_years_max > 1 else ''}.", own.source)  # fmt: skip
    if after.discounting:
        yield Point("An estate may take the present value now instead of waiting.", after.estate_source)
    if after.solvency is not None:
        yield Point("Nothing is paid back while the co-op could not meet its debts as they fall due.", after.solvency.source)  # fmt: skip


def _votes(voting: VotingRules) -> Iterator[Point]:
    yield Point(f"Each member has one vote, whatever they use and however many shares they hold. Classes with a vote: {', '.join(voting.classes)}.")  # fmt: skip
    least = "more than" if voting.quorum_more_than else "at least"
    quorum = f"{least} {percent_text(voting.quorum)} of the members with a vote take part" if voting.quorum else "any number of members takes part"  # fmt: skip
    yield Point(f"A meeting or ballot decides when {quorum}.", voting.quorum_source)
    yield Point(f"It is carried by {voting.ordinary.words}.", voting.ordinary.source)


def _changing(rules: RuleSet, voting: VotingRules) -> Iterator[Point]:
    kinds = " and ".join(sorted(voting.special_kinds))
    yield Point(f"A change of these clauses ({kinds}) needs {voting.special.words}.", voting.special.source)
    yield Point("It counts from a coming fiscal year on, and never for one that has begun.")
    yield Point(f"Who decides on the surplus: {rules.decided_by}.", rules.law)
    for one in rules.notes:
        yield Point(one)


def _share(number: Number) -> str:
    return percent_text(number.share)


def disclaimer() -> Words:
    """What stands at the head of every draft."""
    return Words("This is a draft, made from a rule set's data. It is no legal advice and no by-laws: have somebody read it who knows the law of your place, before anybody signs or pays.")  # fmt: skip
