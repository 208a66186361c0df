"""The first year as founders think it will be: what it costs, what the prices bring in, what is left. Pure.

It is a guess with exact arithmetic: the same rating that writes bills, on use that nobody had yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from billing.charges.rating import GB, charge
from billing.charges.tariff import UNITS, WORDS, Service
from billing.founding.answers import Answers
from billing.money import divide_up, exact_text
from billing.tongue import _, phrase
from billing.words import amount_text, numeral
from meter.ids import MemberId
from meter.usage import Usage
from meter.window import Month

NOBODY = MemberId(0)


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """A service a member is thought to use in a month: how much of it, its price, what it is charged."""

    words: str
    quantity: str
    price: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Budget:
    """The first fiscal year, from the month the books begin to its end."""

    months: tuple[Month, ...]
    members: int
    lines: tuple[BudgetLine, ...]
    """Of one member and month."""
    currency: str
    costs_a_month_minor: int
    shares_minor: int
    """What founders subscribed: their capital, no income."""

    @property
    def charged_minor(self) -> int:
        """Of one member in a month."""
        return sum(one.amount_minor for one in self.lines)

    @property
    def income_minor(self) -> int:
        """Of all members over the year."""
        return self.charged_minor * self.members * len(self.months)

    @property
    def costs_minor(self) -> int:
        """Over the year."""
        return self.costs_a_month_minor * len(self.months)

    @property
    def result_minor(self) -> int:
        """What would be left; below zero, what would be missing."""
        return self.income_minor - self.costs_minor

    @property
    def each_would_have_to_pay_minor(self) -> int:
        """What a member would have to be charged in a month for the costs to be met, rounded up."""
        return divide_up(self.costs_a_month_minor, self.members)

    def sentence(self) -> str:
        """The result in plain words."""
        if not self.costs_a_month_minor:
            return _("No costs were named, so nobody can say yet whether these prices meet them.")
        needed = amount_text(self.each_would_have_to_pay_minor, self.currency)
        charged = amount_text(self.charged_minor, self.currency)
        if self.result_minor < 0:
            missing = amount_text(-self.result_minor, self.currency)
            return _("By these figures {missing} would be missing in the first year: a member would be charged {charged} a month, and {needed} would meet the costs. Find more members, lower costs, or set other prices before the books begin; a price that hides a cost is a loss later.", missing=missing, charged=charged, needed=needed)  # fmt: skip
        if not self.result_minor:
            return _("By these figures the prices meet the costs to the cent: a member would be charged {charged} a month. Nothing would be left for a reserve or a bad month.", charged=charged)  # fmt: skip
        left = amount_text(self.result_minor, self.currency)
        return _("By these figures {left} would be left in the first year: a member would be charged {charged} a month, and {needed} would meet the costs. What is left goes back by the by-laws, after reserves.", left=left, charged=charged, needed=needed)  # fmt: skip


def budget(answers: Answers) -> Budget:
    """The budget that follows from the answers, in the language spoken now. Everybody is thought to use alike."""
    last = Month(answers.from_year, answers.first_month)
    for _month in range(11):
        last = last.next()
    months = [answers.begin]
    while months[-1] < last:
        months.append(months[-1].next())
    return Budget(
        tuple(months), len(answers.founders), tuple(_lines(answers)), answers.currency,
        sum(one.a_month_minor for one in answers.costs),
        sum(one.shares for one in answers.founders) * answers.par_minor,
    )  # fmt: skip


def _lines(answers: Answers) -> list[BudgetLine]:
    month, use = answers.begin, answers.use
    usage = Usage(
        NOBODY, month.start_us, month.end_us, bytes_in=use.gb_in * GB, bytes_out=use.gb_out * GB,
        byte_us=use.gb_stored * GB * (month.end_us - month.start_us),
    )  # fmt: skip
    told = charge(usage, answers.tariff, month).lines
    return [
        BudgetLine(
            phrase(WORDS[one.service]),
            f"{numeral(exact_text(Fraction(one.quantity, one.per)))} {phrase(UNITS[one.service])}",
            f"{numeral(answers.tariff.price_text(one.service))} {answers.currency}",
            one.amount_minor,
        )
        for one in told
        if one.service not in (Service.REQUESTS_A, Service.REQUESTS_B)
    ]
