"""Somebody leaves, or dies: their lots become a debt with a schedule, instalment by instalment payable.

Each function is one story in one transaction, and the same story told twice is booked once. Lots of a later closing
are a story of their own, under a resolution of its own, on the terms of the same day. The connection acts as weir_billing; times are UTC microseconds given by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any

from billing import store
from billing.canon import canonical, digest
from billing.capital import exits
from billing.capital import store as capital_store
from billing.capital.exits import Instalment, Settlement
from billing.capital.leavers import (
    refuse_no_estate,
    refuse_no_notice,
    refuse_unless_joined,
    refuse_unless_left,
)
from billing.capital.lots import EXIT_INTEREST, LotId, by_year, debt
from billing.capital.run import Tell, book_currency, check_resolution, open_month
from billing.capital.solvency_run import refuse_insolvent
from billing.ledger.entry import COLLECTIVE, Account, Entry, EntryKind, payable, postings, receivable
from billing.rules.afterwards import Afterwards
from billing.year.fiscal import FiscalYear
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import Month, to_datetime


class EstateMethod(StrEnum):
    """How an estate is paid."""

    FACE = "face"
    """Each year's lots in full when their turn comes."""
    PRESENT = "present"
    """Now, less what waiting is worth."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """What is asked when somebody leaves."""

    member: MemberId
    left_on: date
    resolution: str
    rules: Afterwards
    years: int | None = None
    base_rate: Fraction | None = None
    deduction: Fraction = Fraction(0)
    heirs: bool = False
    set_off: bool = False
    first_month: int = 1
    """With which the co-op's fiscal years begin."""


@dataclass(frozen=True, slots=True)
class Estate:
    """What is asked when a member died."""

    member: MemberId
    died_on: date
    resolution: str
    rules: Afterwards
    method: EstateMethod
    cycle_years: int
    rate: Fraction = Fraction(0)
    set_off: bool = False
    first_month: int = 1


@dataclass(frozen=True, slots=True)
class Left:
    """What came of it, or would come of it in a trial."""

    currency: str
    document: Mapping[str, Any]
    schedule: Sequence[Instalment]
    act: int | None = None
    before: bool = False


@dataclass(frozen=True, slots=True)
class _Books:
    """What the ledger says of the member."""

    lots: Mapping[LotId, int]
    losses: Mapping[Account, int]
    owed_minor: int
    """For use; only where it is to be set off."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    document: dict[str, object]
    schedule: tuple[Instalment, ...]
    sides: list[tuple[Account, int]]
    principal_minor: int
    rate: Fraction
    lots: Mapping[LotId, int]


async def leave(connection: Connection, asked: Leaving, *, trial: bool, now_us: int) -> Left:
    """Make the lots of somebody who left a debt. Raises Refusal, also for a day to come, or of no membership that ended."""
    words = {
        "kind": "exit", "rule_set": asked.rules.rule_set, "rules": asked.rules.version, "years": asked.years or 0,
        "base_rate": "" if asked.base_rate is None else _exact(asked.base_rate), "heirs": int(asked.heirs),
        "deduction": _exact(asked.deduction), "set_off": int(asked.set_off), "year_end": _year_end(asked.first_month),
    }  # fmt: skip
    book = _Booking(
        "exit", EntryKind.EXIT, asked.member, asked.left_on, asked.resolution, words, asked.set_off,
        asked.rules,
    )  # fmt: skip
    return await _carry_out(
        connection, book, lambda books: _exit_outcome(asked, books), trial=trial, now_us=now_us
    )


async def settle_estate(connection: Connection, asked: Estate, *, trial: bool, now_us: int) -> Left:
    """Pay an estate at face value in turn, or its present value now. Raises Refusal, also for a day before they joined.

    Where the rule set discounts no estate, none waits for its face value either: death is an exit there.
    """
    if asked.method is EstateMethod.PRESENT:
        refuse_no_estate(asked.rules)
    words = {
        "kind": "estate", "rule_set": asked.rules.rule_set, "rules": asked.rules.version,
        "method": asked.method.value, "cycle": asked.cycle_years, "rate": _exact(asked.rate),
        "set_off": int(asked.set_off), "year_end": _year_end(asked.first_month),
    }  # fmt: skip
    book = _Booking(
        "estate", EntryKind.ESTATE, asked.member, asked.died_on, asked.resolution, words, asked.set_off,
        asked.rules,
    )  # fmt: skip
    return await _carry_out(
        connection, book, lambda books: _estate_outcome(asked, books), trial=trial, now_us=now_us
    )


async def make_due(
    connection: Connection, *, trial: bool, now_us: int, tell: Tell = lambda _done, _of: None
) -> list[capital_store.Open]:
    """Make every instalment payable that fell due by now; those instalments. Once each, however often asked."""
    today = to_datetime(now_us).date()
    if trial:
        return await capital_store.fallen_due(connection, today)
    async with connection.transaction():
        await store.lock_books(connection)
        found = await capital_store.fallen_due(connection, today)
        month = await open_month(connection, now_us=now_us)
        for one in found:
            part = one.instalment
            sides = postings(
                [
                    (debt(one.member), part.principal_minor),
                    (EXIT_INTEREST, part.interest_minor),
                    (payable(one.member), -(part.principal_minor + part.interest_minor)),
                ]
            )
            memo = f"instalment {part.place} of exit {one.act} to member {one.member}, due {part.due_on}"
            entry = Entry(month, EntryKind.INSTALMENT, memo, sides, f"instalment:{one.act}:{part.place}")
            number = await store.post(connection, entry, now_us=now_us)
            await capital_store.insert_due(connection, one.act, part.place, entry=number, now_us=now_us)
            tell(1, len(found))
    return found


async def request(connection: Connection, member: MemberId, *, wanted_on: date, why: str, now_us: int) -> int:
    """Note that a member will leave; nothing is owed for that yet. Raises Refusal for who is none, or a day that is over."""
    await refuse_no_notice(connection, member, wanted_on, now_us=now_us)
    return await capital_store.insert_request(connection, member, wanted_on=wanted_on, why=why, now_us=now_us)


def _exit_outcome(asked: Leaving, books: _Books) -> _Outcome:
    rule = asked.rules.exit
    agreed = exits.terms(rule, years=asked.years, base_rate=asked.base_rate, heirs=asked.heirs)
    settled = exits.settle(
        rule, lots_minor=sum(books.lots.values()), losses_minor=sum(books.losses.values()),
        owed_minor=books.owed_minor, deduction=asked.deduction,
    )  # fmt: skip
    schedule = exits.schedule(
        settled.debt_minor, agreed, left_on=asked.left_on, first_month=asked.first_month,
        lots=by_year(books.lots),
    )  # fmt: skip
    sides = [
        *_sides(asked.member, books, settled),
        (settled.deduction_to, -settled.deduction_minor),
        (debt(asked.member), -settled.debt_minor),
    ]
    document = {**_settlement_document(settled), "years": agreed.years, "rate": _exact(agreed.rate)}
    return _Outcome(document, schedule, sides, settled.debt_minor, agreed.rate, books.lots)


def _estate_outcome(asked: Estate, books: _Books) -> _Outcome:
    settled = exits.settle(
        asked.rules.exit, lots_minor=sum(books.lots.values()), losses_minor=sum(books.losses.values()),
        owed_minor=books.owed_minor, deduction=Fraction(0),
    )  # fmt: skip
    if asked.method is EstateMethod.FACE:
        whole = exits.face_value_schedule(
            books.lots, cycle_years=asked.cycle_years, died_on=asked.died_on, first_month=asked.first_month
        )
        schedule = exits.less(whole, settled.losses_minor + settled.set_off_minor)
        sides = [*_sides(asked.member, books, settled), (debt(asked.member), -settled.debt_minor)]
        return _Outcome(
            _settlement_document(settled), schedule, sides, settled.debt_minor, Fraction(0), books.lots
        )
    values = exits.present_values(
        books.lots, rate=asked.rate, cycle_years=asked.cycle_years, died_on=asked.died_on,
        first_month=asked.first_month,
    )  # fmt: skip
    now_minor = sum(values.values())
    less = exits.settle(
        asked.rules.exit, lots_minor=now_minor, losses_minor=settled.losses_minor, owed_minor=books.owed_minor,
        deduction=Fraction(0),
    )  # fmt: skip
    sides = [
        *_sides(asked.member, books, less),
        (COLLECTIVE, -(settled.lots_minor - now_minor)),
        (payable(asked.member), -less.debt_minor),
    ]
    document = {
        **_settlement_document(less),
        "lots_minor": settled.lots_minor,
        "present_value_minor": now_minor,
        "discount_minor": settled.lots_minor - now_minor,
        "values": [[lot.year, lot.kind.value, books.lots[lot], amount] for lot, amount in values.items()],
    }
    return _Outcome(document, (), sides, 0, asked.rate, books.lots)


def _sides(member: MemberId, books: _Books, settled: Settlement) -> list[tuple[Account, int]]:
    """The lots emptied, the losses met (the oldest first), what is owed for use set off."""
    sides = [(lot.account, amount) for lot, amount in books.lots.items()]
    left = settled.losses_minor
    for account, amount in sorted(books.losses.items()):
        sides.append((account, -min(left, amount)))
        left -= min(left, amount)
    return [*sides, (receivable(member), -settled.set_off_minor)]


def _settlement_document(settled: Settlement) -> dict[str, object]:
    return {
        "lots_minor": settled.lots_minor,
        "losses_minor": settled.losses_minor,
        "deduction_minor": settled.deduction_minor,
        "deduction_to": settled.deduction_to,
        "set_off_minor": settled.set_off_minor,
        "debt_minor": settled.debt_minor,
    }


def _year_end(first_month: int) -> int:
    """The month with which fiscal years end; an act's words say it."""
    return FiscalYear(2000, first_month).last.number


def _exact(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"


@dataclass(frozen=True, slots=True)
class _Booking:
    """What an exit and an estate have in common."""

    kind: str
    entry_kind: EntryKind
    member: MemberId
    day: date
    resolution: str
    words: Mapping[str, object]
    set_off: bool
    rules: Afterwards


async def _carry_out(
    connection: Connection, book: _Booking, work: Callable[[_Books], _Outcome], *, trial: bool, now_us: int
) -> Left:
    resolution = check_resolution(book.resolution)
    if book.day > (today := to_datetime(now_us).date()):
        raise Refusal(f"date: {book.day} is still to come (in UTC it is {today}); until then it is a request")
    currency = await book_currency(connection)
    asked = {**book.words, "member": book.member, "date": str(book.day), "resolution": resolution}
    if trial:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            earlier = await capital_store.exits_of_day(connection, book.member, book.day)
            if (again := await _booked(connection, book, earlier, asked, currency)) is not None:
                return again
            outcome = await _solvent(connection, book, work, currency, earlier, now_us=now_us)
            document = {"asked": asked, "currency": currency, **outcome.document}
            return Left(currency, document, outcome.schedule)
    async with connection.transaction():
        await store.lock_books(connection)
        earlier = await capital_store.exits_of_day(connection, book.member, book.day)
        if (again := await _booked(connection, book, earlier, asked, currency)) is not None:
            return again
        outcome = await _solvent(connection, book, work, currency, earlier, now_us=now_us)
        return await _write_down(connection, book, outcome, asked, currency, first=not earlier, now_us=now_us)


async def _booked(
    connection: Connection, book: _Booking, earlier: Sequence[capital_store.Act], asked: Mapping[str, object],
    currency: str,
) -> Left | None:  # fmt: skip
    """What this resolution did before, if it did. An act of another resolution may follow, for lots that came since."""
    for act in earlier:
        if act.kind != book.kind:
            raise Refusal(
                f"date: this member's capital of {book.day} was booked as act {act.number}, an {act.kind}; "
                f"book what came since as an {act.kind} too"
            )
        if act.resolution == asked["resolution"]:
            document = json.loads(act.document)
            if document["asked"] != asked:
                raise Refusal(f"this {book.kind} was booked before as act {act.number}, in other words")
            schedule = await capital_store.instalments(connection, act.number)
            return Left(currency, document, schedule, act.number, before=True)
    return None


async def _solvent(
    connection: Connection, book: _Booking, work: Callable[[_Books], _Outcome], currency: str,
    earlier: Sequence[capital_store.Act], *, now_us: int,
) -> _Outcome:  # fmt: skip
    if not earlier:  # what came since follows the first act, also one that an older Weir booked
        if book.entry_kind is EntryKind.ESTATE:
            refuse_no_estate(book.rules)
            await refuse_unless_joined(connection, book.member, book.day, now_us=now_us)
        else:
            await refuse_unless_left(connection, book.member, book.day, now_us=now_us)
    outcome = work(await _books(connection, book, earlier))
    await refuse_insolvent(
        connection,
        outcome.sides,
        currency=currency,
        now_us=now_us,
        rules=book.rules,
        schedule=outcome.schedule,
    )
    return outcome


async def _books(connection: Connection, book: _Booking, earlier: Sequence[capital_store.Act]) -> _Books:
    lots = {
        lot: amount
        for lot, amount in (await capital_store.lot_balances(connection, book.member)).items()
        if amount
    }
    if not lots and earlier:
        raise Refusal(
            f"this {book.kind} was booked before as act {earlier[-1].number}, and nothing came in their name since"
        )
    if not lots:
        raise Refusal(
            "there is no capital in this member's name: nothing becomes a debt, and nothing need be booked"
        )
    for lot, amount in sorted(lots.items()):
        if amount < 0:
            raise Refusal(f"the lot {lot.account} is below zero; correct the ledger before anything is paid")
    losses = await capital_store.account_balances(connection, f"loss:member:{book.member}:%")
    owed = await capital_store.account_balances(connection, receivable(book.member)) if book.set_off else {}
    return _Books(
        dict(sorted(lots.items())),
        {account: amount for account, amount in losses.items() if amount > 0},
        sum(owed.values()),
    )


async def _write_down(
    connection: Connection, book: _Booking, outcome: _Outcome, asked: Mapping[str, object], currency: str, *,
    first: bool, now_us: int,
) -> Left:  # fmt: skip
    key = f"{book.kind}:{book.member}:{book.day}"
    document = {"asked": asked, "currency": currency, **outcome.document}
    text = canonical(document)
    act = await capital_store.insert_act(
        connection, kind=book.kind, resolution=str(asked["resolution"]),
        key=key if first else f"{key}:{asked['resolution']}", document=text, digest=digest(text),
        amount_minor=sum(outcome.lots.values()), lines=len(outcome.lots), now_us=now_us,
    )  # fmt: skip
    await capital_store.insert_lines(connection, act, outcome.lots)
    await capital_store.insert_exit(
        connection, act, book.member, kind=book.kind, left_on=book.day, rate=outcome.rate,
        principal_minor=outcome.principal_minor, instalments=outcome.schedule,
    )  # fmt: skip
    month: Month = await open_month(connection, now_us=now_us)
    memo = f"capital of member {book.member}, {book.kind} of {book.day}, act {act}"
    entry = Entry(month, book.entry_kind, memo, postings(outcome.sides), f"{book.kind}:{act}")
    await store.post(connection, entry, now_us=now_us)
    return Left(currency, document, outcome.schedule, act)
