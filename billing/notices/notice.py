"""The notice of an allocation: what it must say, whether it can be a qualified one, and its words. Pure.

A credit on the books that the member is not told of is no notice; when it was sent and received is in the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any

from billing.capital.lots import Kind
from billing.money import (
    divide_up,
    exponent,
    format_amount,
    format_decimal,
    quotient_text,
)
from billing.tongue import _, phrase
from billing.words import amount_text
from meter.refusal import Refusal

FORMAT = "weir-allocation-notice-1"
BASE_DECIMALS = 3
REQUIRED = (
    "year", "total_minor", "member", "patronage", "rate", "allocated_minor", "patronage_minor", "cash_minor",
    "retained_minor", "retained_kind", "comes_back", "not_a_bill", "tax", "netting", "see_more", "object",
    "decided_by",
)  # fmt: skip
"""What an allocation notice says (patronage reference, section 5). Each stands in the document and in the text."""
MAY_BE_EMPTY = ("netting",)
NOT_A_BILL = "This is not a bill and not a cheque."


class State(StrEnum):
    """How far a notice has come."""

    CREATED = "created"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"


NEXT: Mapping[State, tuple[State, ...]] = {
    State.CREATED: (State.SENT,),
    State.SENT: (State.DELIVERED, State.FAILED),
    State.FAILED: (State.SENT,),
    State.DELIVERED: (),
}
"""What may follow on what; the database holds to it too."""


@dataclass(frozen=True, slots=True)
class QualifiedTest:
    """Whether the notice of an allocation can be qualified, with both sides of the test in minor units."""

    base_minor: int
    """The allocation without what is in nonqualified notices."""
    money_minor: int
    money_least_minor: int
    consented: bool

    @property
    def passes(self) -> bool:
        """Enough money, and consent."""
        return self.consented and self.money_minor >= self.money_least_minor


def qualified_test(
    *, dividend_minor: int, nonqualified_minor: int, money_minor: int, money_min: Fraction, consented: bool
) -> QualifiedTest:
    """26 USC 1388(c), 26 CFR 1.1388-1(c)(1): so much of what is not in nonqualified notices is paid in money.

    Money is money or a qualified check; a credit against a bill is not.
    """
    base = dividend_minor - nonqualified_minor
    # Rounded up, in the member's favour: a cent below the part is below it.
    least = divide_up(base * money_min.numerator, money_min.denominator)
    return QualifiedTest(base, money_minor, least, consented)


def kind_of_check(*, last_day: date, cashed_on: date) -> Kind:
    """What a qualified check was after all: cashed after the last day it is the redemption of a nonqualified notice.

    Source: 26 CFR 1.1388-1(c)(3)(iii) (patronage reference, G2).
    """
    return Kind.QUALIFIED if cashed_on <= last_day else Kind.NONQUALIFIED


@dataclass(frozen=True, slots=True)
class Terms:
    """What all notices of a year say alike."""

    currency: str
    year: int
    total_minor: int
    comes_back: str
    tax: str
    netting: str
    see_more: str
    object: str
    decided_by: str


@dataclass(frozen=True, slots=True)
class Share:
    """One member's allocation. Invariant: cash + retained = amount. `base` in thousandths of its unit."""

    member: str
    member_class: str
    base: int
    amount_minor: int
    cash_minor: int
    qualified_minor: int
    nonqualified_minor: int
    plain_minor: int
    consented: bool

    def __post_init__(self) -> None:
        assert self.cash_minor + self.retained_minor == self.amount_minor, "cash and retained are the share"

    @property
    def retained_minor(self) -> int:
        """Kept in the member's name, of every kind."""
        return self.qualified_minor + self.nonqualified_minor + self.plain_minor

    def of_kind(self, kind: Kind) -> int:
        """So much of what is retained."""
        amount: int = getattr(self, f"{kind.value}_minor")
        return amount


@dataclass(frozen=True, slots=True)
class Year:
    """All that the notices of a year are made from."""

    terms: Terms
    class_pools: Mapping[str, int]
    class_bases: Mapping[str, int]
    """What all of a class used or worked, in thousandths."""
    shares: Mapping[str, tuple[Share, ...]]
    """By member; somebody in two classes has two, and one notice."""


def refuse_unqualified(year: Year, money_min: Fraction | None) -> None:
    """Raise Refusal for the first share whose notice is called qualified and cannot be."""
    for member, shares in year.shares.items():
        if not any(one.qualified_minor for one in shares):
            continue
        if money_min is None:
            raise Refusal(f"{member}: qualified: this rule set knows no qualified notices")
        found = qualified_test(
            dividend_minor=sum(one.amount_minor for one in shares),
            nonqualified_minor=sum(one.nonqualified_minor for one in shares),
            money_minor=sum(one.cash_minor for one in shares),
            money_min=money_min,
            consented=all(one.consented for one in shares),
        )
        if not found.consented:
            raise Refusal(f"{member}: a qualified notice needs the member's consent, and there is none")
        if not found.passes:
            raise Refusal(
                f"{member}: {format_amount(found.money_minor, year.terms.currency)} in money is less than "
                f"{format_amount(found.money_least_minor, year.terms.currency)}, so the notice cannot be qualified"
            )


def notice(year: Year, member: str) -> dict[str, object]:
    """One member's notice, JSON-ready. Invariant: it holds every required field, and none is empty but netting."""
    terms, shares = year.terms, year.shares[member]
    document: dict[str, object] = {
        "format": FORMAT,
        "currency": terms.currency,
        "year": terms.year,
        "total_minor": terms.total_minor,
        "class_pools": [[one.member_class, year.class_pools[one.member_class]] for one in shares],
        "member": member,
        "patronage": "; ".join(
            f"{format_decimal(one.base, BASE_DECIMALS)} {_unit(year, one)}" for one in shares
        ),
        "rate": "; ".join(_rate(year, one) for one in shares),
        "allocated_minor": sum(one.amount_minor for one in shares),
        "patronage_minor": sum(one.amount_minor for one in shares),
        "cash_minor": sum(one.cash_minor for one in shares),
        "retained_minor": sum(one.retained_minor for one in shares),
        "retained_kind": _kinds(shares, terms.currency),
        "comes_back": terms.comes_back,
        "not_a_bill": NOT_A_BILL,
        "tax": terms.tax,
        "netting": terms.netting,
        "see_more": terms.see_more,
        "object": terms.object,
        "decided_by": terms.decided_by,
    }
    missing = [name for name in REQUIRED if document[name] == "" and name not in MAY_BE_EMPTY]
    assert not missing, missing
    return document


def notice_text(document: Mapping[str, Any]) -> str:
    """The notice in plain words, for print and mail, in the language spoken now; what the co-op wrote stays as it is."""
    currency = str(document["currency"])

    def amount(name: str) -> str:
        return amount_text(document[name], currency)

    lines = [
        _("Your share of the surplus of {year} (notice of allocation)", year=document["year"]),
        _("Member {member}", member=document["member"]),
        "",
        _("All members together are allocated   {amount}", amount=amount("total_minor")),
        *(
            _("Your class ({name}) shares   {amount}", name=phrase(name), amount=amount_text(pool, currency))
            for name, pool in document["class_pools"]
        ),
        _("What you used or worked   {patronage}", patronage=document["patronage"]),
        _("The rate   {rate}", rate=document["rate"]),
        _("Allocated to you   {amount}", amount=amount("allocated_minor")),
        _("  of this by your use or work (patronage)   {amount}", amount=amount("patronage_minor")),
        _("  paid in money   {amount}", amount=amount("cash_minor")),
        _(
            "  kept in the co-op in your name   {amount} ({kind})",
            amount=amount("retained_minor"), kind=phrase(str(document["retained_kind"])),
        ),
        "",
        _("Allocated is not paid. What is kept in your name comes back when the co-op decides:"),
        str(document["comes_back"]),
        phrase(str(document["not_a_bill"])),
        "",
        _("Tax: {tax}", tax=document["tax"]),
    ]  # fmt: skip
    if document["netting"]:
        lines.append(_("Losses that were set against surpluses: {netting}", netting=document["netting"]))
    lines += [
        _("Decided by: {decided_by}", decided_by=document["decided_by"]),
        _("Where to see more: {see_more}", see_more=document["see_more"]),
        _("How to object: {object}", object=document["object"]),
    ]
    return "\n".join(lines) + "\n"


def _unit(year: Year, one: Share) -> str:
    return "hours" if one.member_class == "worker" else year.terms.currency


def _rate(year: Year, one: Share) -> str:
    pool, base = year.class_pools[one.member_class], max(year.class_bases[one.member_class], 1)
    scale = exponent(year.terms.currency)
    rate = quotient_text(pool * 10**BASE_DECIMALS, base * 10**scale, decimals=9)
    return f"{rate} {year.terms.currency} for each 1 {_unit(year, one)}"


def _kinds(shares: tuple[Share, ...], currency: str) -> str:
    """ "plain", or each kind with its amount where there are several."""
    sums = {kind: sum(one.of_kind(kind) for one in shares) for kind in Kind}
    there = [kind for kind in Kind if sums[kind]] or [Kind.PLAIN]
    if len(there) == 1:
        return there[0].value
    return ", ".join(f"{format_amount(sums[kind], currency)} {kind.value}" for kind in there)
