"""Capital accounts, lot by lot and year by year, from the ledger's postings. Pure.

A lot is what one year kept in one member's name. It decides on no payment; retirement.py plans one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from billing.ledger.entry import Account
from billing.money import parse_decimal
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month

PERCENT_DECIMALS_MAX = 9
EXIT_INTEREST = Account("interest:exits")
"""Interest on what is owed to those who left."""


class Kind(StrEnum):
    """How the tax law looks at a lot; `plain` where it makes no difference."""

    QUALIFIED = "qualified"
    NONQUALIFIED = "nonqualified"
    PLAIN = "plain"


class LotId(NamedTuple):
    """One lot. In order, the oldest year stands first, then the lower member number."""

    year: int
    member: MemberId
    kind: Kind

    @property
    def account(self) -> Account:
        """Where the ledger keeps it."""
        return Account(f"capital:member:{self.member}:{self.year}:{self.kind.value}")


def lot_of(account: str) -> LotId:
    """The lot an account of the ledger is."""
    first, second, member, year, kind = account.split(":")
    assert (first, second) == ("capital", "member"), "only capital has lots"
    return LotId(int(year), MemberId(int(member)), Kind(kind))


def debt(member: MemberId) -> Account:
    """What is owed, by a schedule, to somebody who left, or to their estate."""
    return Account(f"debt:member:{member}")


class Cause(StrEnum):
    """Why a lot changed."""

    ADDED = "added"
    RETIRED = "retired"
    LOST = "lost"
    INTEREST = "interest"
    CORRECTED = "corrected"


_RETIRING = ("retirement", "exit", "estate")


def cause_of(entry_kind: str, amount_minor: int) -> Cause:
    """Why an entry of this kind moved a lot; amount above zero adds to it.

    What pays back and what mends has kinds of its own. All else is a year's closing: it adds, or takes a loss.
    """
    if entry_kind in _RETIRING:
        return Cause.RETIRED
    if "interest" in entry_kind:
        return Cause.INTEREST
    if entry_kind.startswith(("revers", "correct")):
        return Cause.CORRECTED
    return Cause.ADDED if amount_minor > 0 else Cause.LOST


@dataclass(frozen=True, slots=True)
class Change:
    """What one posting did to a lot; above zero adds to it."""

    lot: LotId
    month: Month
    entry_kind: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class LotAccount:
    """One lot over a span of months, in minor units. Invariant: the parts sum to the closing balance."""

    lot: LotId
    opening_minor: int
    added_minor: int
    retired_minor: int
    lost_minor: int
    interest_minor: int
    corrected_minor: int
    closing_minor: int

    def __post_init__(self) -> None:
        came = self.opening_minor + self.added_minor + self.interest_minor + self.corrected_minor
        assert came - self.retired_minor - self.lost_minor == self.closing_minor, "a lot's account adds up"


def capital_accounts(
    changes: Iterable[Change], *, until: Month, start: Month | None = None
) -> tuple[LotAccount, ...]:
    """Every lot's account over [start, until] in whole months, by lot; without a start from its beginning."""
    opening: dict[LotId, int] = {}
    closing: dict[LotId, int] = {}
    moved: dict[tuple[LotId, Cause], int] = {}
    for one in changes:
        if one.month > until:
            continue
        closing[one.lot] = closing.get(one.lot, 0) + one.amount_minor
        if start is not None and one.month < start:
            opening[one.lot] = opening.get(one.lot, 0) + one.amount_minor
        else:
            key = (one.lot, cause_of(one.entry_kind, one.amount_minor))
            moved[key] = moved.get(key, 0) + one.amount_minor
    return tuple(
        LotAccount(
            lot=lot,
            opening_minor=opening.get(lot, 0),
            added_minor=moved.get((lot, Cause.ADDED), 0),
            retired_minor=-moved.get((lot, Cause.RETIRED), 0),
            lost_minor=-moved.get((lot, Cause.LOST), 0),
            interest_minor=moved.get((lot, Cause.INTEREST), 0),
            corrected_minor=moved.get((lot, Cause.CORRECTED), 0),
            closing_minor=closing[lot],
        )
        for lot in sorted(closing)
    )


def by_year(balances: Mapping[LotId, int]) -> dict[int, int]:
    """The sum of each year's lots, the oldest first."""
    sums: dict[int, int] = {}
    for lot, amount in sorted(balances.items()):
        sums[lot.year] = sums.get(lot.year, 0) + amount
    return sums


def percent(text: str, *, field: str, above_hundred: bool = False) -> Fraction:
    """Read a percentage such as "5.18" or "34 %" exactly. Raises Refusal naming the field."""
    plain = text.strip().removesuffix("%").strip()
    scaled = parse_decimal(plain, field=field, decimals_max=PERCENT_DECIMALS_MAX)
    found = Fraction(scaled, 100 * 10**PERCENT_DECIMALS_MAX)
    if found > 1 and not above_hundred:
        raise Refusal(f"{field}: {text[:40]} is more than the whole; it is 100 % at most")
    return found


def share(text: str, *, field: str) -> Fraction:
    """Read a share of the whole: "1/5", "20 %" or "0.2". Raises Refusal naming the field."""
    top, line, bottom = text.partition("/")
    if line:
        below = parse_decimal(bottom.strip(), field=field, decimals_max=0)
        if below == 0:
            raise Refusal(f"{field}: {text[:40]} divides by nothing")
        found = Fraction(parse_decimal(top.strip(), field=field, decimals_max=0), below)
    elif text.rstrip().endswith("%"):
        return percent(text, field=field)
    else:
        scaled = parse_decimal(text.strip(), field=field, decimals_max=PERCENT_DECIMALS_MAX)
        found = Fraction(scaled, 10**PERCENT_DECIMALS_MAX)
    if found > 1:
        raise Refusal(f"{field}: {text[:40]} is more than the whole")
    return found
