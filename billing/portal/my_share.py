"""What a member was paid, what waits, and when what is kept could come back: fetched for page and API, told in words.

It promises nothing: only what the bank's own statement shows is paid, and only what was decided has a date.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from billing.capital import store as capital_store
from billing.capital.expected import Back, Decided, expected, read_decided
from billing.payments import member_store
from billing.payments.paid import For, Paid, Part, Payment, State, Waits, by_year, paid_to
from billing.tongue import _
from billing.words import amount_text, day_text, list_text
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import to_datetime

PAYMENTS_SHOWN_MAX = 200
_decisions: dict[str, Decided] = {}
"""The last decision by its digest: it may name half the members, and every page needs three of its numbers."""


@dataclass(frozen=True, slots=True)
class Share:
    """What is a member's: paid, on its way, waiting, kept."""

    currency: str
    paid: Paid
    waits: Waits | None
    """Why what waits is not ordered; None where nothing waits."""
    account: member_store.Standing
    decided: Decided | None
    back: list[Back]
    debts: list[capital_store.Debt]
    """What leaving made of it, in the order it was booked: nothing, one, or one more for each later closing."""


async def share_of(connection: Connection, member: MemberId, *, currency: str, now_us: int) -> Share:
    """All of it of this member, of one instant."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        moved = await member_store.movements(connection, member)
        ordered = await member_store.orders(connection, member)
        standing = await member_store.standing(connection, member)
        kept = await member_store.kept_by_year(connection, member)
        decided = await _decided(connection, standing.decided)
        debts = await capital_store.debts(connection, member)
    paid = paid_to(moved, ordered)
    back = expected(kept, decided, this_year=to_datetime(now_us).year)
    return Share(currency, paid, _waits(paid, standing), standing, decided, back, debts)


async def _decided(connection: Connection, digest: str | None) -> Decided | None:
    if digest is None:
        return None
    if digest not in _decisions:
        document, day = await member_store.decision(connection, digest)
        found = read_decided(document, on=day)
        _decisions.clear()
        _decisions[digest] = found
    return _decisions[digest]


def _waits(paid: Paid, standing: member_store.Standing) -> Waits | None:
    if not paid.waiting:
        return None
    if not standing.is_reached:
        return Waits.NOT_REACHED
    return Waits.NO_ACCOUNT if standing.last_four is None else Waits.NEXT_ORDER


def page(share: Share, *, closed_year: int | None) -> dict[str, object]:
    """What the template shows, in the language spoken now; `closed_year` is that of the statement above it, if it is final."""
    shown = share.paid.payments[:PAYMENTS_SHOWN_MAX]
    return {
        "share": share,
        "since": [] if closed_year is None else list(_since(share, closed_year)),
        "payments": [
            (year, _paid_minor(listed), [_row(one) for one in listed]) for year, listed in by_year(shown)
        ],
        "more": len(share.paid.payments) - len(shown),
        "waiting": [(part_words(one), one.amount_minor) for one in share.paid.waiting],
        "account_since": None
        if share.account.account_since_us is None
        else to_datetime(share.account.account_since_us).date(),
    }


def _paid_minor(listed: list[Payment]) -> int:
    return sum(one.amount_minor for one in listed if one.state is State.PAID)


def _row(one: Payment) -> tuple[object, list[str], str, str, int]:
    """(day, what for, how far it is, last characters of the account, amount)."""
    return (
        one.begun_on,
        [part_words(part) for part in one.parts],
        how_far(one),
        one.last_four,
        one.amount_minor,
    )


def _since(share: Share, year: int) -> Iterator[str]:
    """What became of the part of a closed year that was to be paid, a sentence for each state."""
    for state, minor in share.paid.of_year(year).items():
        told: Mapping[str, Any] = {"amount": amount_text(minor, share.currency)}
        match state:
            case State.PAID:
                yield _("{amount} was paid to you.", **told)
            case State.ORDERED:
                yield _(
                    "{amount} is ordered from the bank; the bank has not said yet that it is paid.", **told
                )
            case State.SET_OFF:
                yield _("{amount} was set off against what you owed for use.", **told)
            case State.FORFEITED:
                yield _("{amount} was not fetched for years and is used as the rules say.", **told)
            case None if share.waits is Waits.NO_ACCOUNT:
                yield _("{amount} is not paid: the co-op knows no bank account of yours.", **told)
            case None:
                yield _("{amount} is not paid and not ordered yet.", **told)
            case _other:
                yield _("{amount} was booked otherwise; the treasurer can say how.", **told)


def part_words(part: Part) -> str:
    """What so much of a payment is for."""
    match part.what:
        case For.YEAR:
            return _("your part of the year {year}", year=part.years[0])
        case For.RETIREMENT if part.years:
            years = list_text([str(year) for year in part.years])
            return _(
                "what was kept from {years}, paid back (resolution {id})", years=years, id=part.resolution
            )
        case For.RETIREMENT:
            return _("kept capital, paid back (resolution {id})", id=part.resolution)
        case For.INSTALMENT:
            return _("an instalment of your capital, after leaving")
        case For.ESTATE:
            return _("capital of an estate")
        case For.CLAIM:
            return _("money you fetched after all")
        case For.CAME_BACK:
            return _("money that came back from the bank")
        case For.OTHER:
            return _("other, booked by the treasurer")


def how_far(one: Payment) -> str:
    """How far a payment is, with its days; never more than is known."""
    paid = "" if one.paid_on is None else day_text(one.paid_on)
    ended = "" if one.ended_on is None else day_text(one.ended_on)
    match one.state:
        case State.ORDERED:
            return _("ordered; the bank has not said yet that it is paid")
        case State.PAID:
            return _("paid on {paid}", paid=paid)
        case State.RETURNED if one.reason:
            why = return_words(one.reason)
            return _(
                "not paid: given back by the bank on {ended}, which says: {why}. It is owed to you again",
                ended=ended,
                why=why,
            )
        case State.RETURNED:
            return _("not paid: given back by the bank on {ended}; it is owed to you again", ended=ended)
        case State.CANCELLED:
            return _("not paid: cancelled on {ended}; it is owed to you again", ended=ended)
        case State.SET_OFF:
            return _("set off against what you owed for use")
        case State.FORFEITED:
            return _("not fetched for years, used as the rules say")
        case State.OTHERWISE:
            return _("booked otherwise; the treasurer can say how")


def return_words(code: str) -> str:
    """Why a bank gives a transfer back (ISO 20022 ExternalReturnReason1Code, as SEPA transfers use it)."""
    match code:
        case "AC01" | "AC03":
            return _("there is no such account ({code})", code=code)
        case "AC04":
            return _("the account is closed ({code})", code=code)
        case "AC06":
            return _("the account is blocked ({code})", code=code)
        case "AG01":
            return _("the account takes no transfers ({code})", code=code)
        case "BE04":
            return _("an address is missing ({code})", code=code)
        case "MD07":
            return _("its holder has died ({code})", code=code)
        case "MS02":
            return _("its holder refused it ({code})", code=code)
        case "RC01" | "CNOR":
            return _("the bank is not known or takes no transfers ({code})", code=code)
        case _other:
            return _("no more than a code ({code})", code=code)


def document(share: Share) -> dict[str, object]:
    """The same for programs."""
    account, decided = share.account, share.decided
    since = None if account.account_since_us is None else to_datetime(account.account_since_us).date()
    return {
        "payments": {
            "account": None if since is None else {"ends_in": account.last_four, "since": since.isoformat()},
            "waiting_minor": share.paid.waiting_minor,
            "waits_because": None if share.waits is None else share.waits.value,
            "waiting": [_part(one) for one in share.paid.waiting],
            "listed": [_payment(one) for one in share.paid.payments[:PAYMENTS_SHOWN_MAX]],
        },
        "comes_back": {
            "is_promised": False,
            "decided": None
            if decided is None
            else {
                "resolution": decided.resolution, "on": decided.on.isoformat(), "method": decided.method.value,
                "budget_minor": decided.budget_minor,
            },
            "years": [
                {
                    "year": f"{one.year:04d}", "kept_minor": one.kept_minor, "sums": one.sums,
                    "about": None if one.about is None else f"{one.about:04d}",
                }
                for one in share.back
            ],
        },
        "debts": [_debt(one) for one in share.debts],
    }  # fmt: skip


def _debt(one: capital_store.Debt) -> dict[str, object]:
    return {
        "kind": one.kind,
        "resolution": one.resolution,
        "left_on": one.left_on.isoformat(),
        "principal_minor": one.principal_minor,
        "open_minor": one.open_minor,
        "next_on": None if one.next_on is None else one.next_on.isoformat(),
        "ends_on": None if one.ends_on is None else one.ends_on.isoformat(),
    }


def _part(one: Part) -> dict[str, object]:
    return {
        "what": one.what.value,
        "amount_minor": one.amount_minor,
        "years": [f"{year:04d}" for year in one.years],
        "resolution": one.resolution,
    }


def _payment(one: Payment) -> dict[str, object]:
    return {
        "year": f"{one.begun_on.year:04d}", "state": one.state.value, "amount_minor": one.amount_minor,
        "begun_on": one.begun_on.isoformat(), "is_ordered": one.is_ordered,
        "paid_on": None if one.paid_on is None else one.paid_on.isoformat(),
        "ended_on": None if one.ended_on is None else one.ended_on.isoformat(),
        "returned_because": one.reason or None, "account_ends_in": one.last_four or None,
        "for": [_part(part) for part in one.parts],
    }  # fmt: skip
