"""The register's stories, each in one transaction: gather, refuse or not, enter, book.

What happens to shares is entered and booked at once, so that the register and the books cannot differ. The connection
acts as weir_office for shares; who is a member, and in which class, is entered by the register's owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import asyncpg

from billing import store
from billing.capital.solvency_run import refuse_insolvent
from billing.governance.decisions import Consent, consented_through, consents_at
from billing.governance.store import consents
from billing.register import store as register_store
from billing.register.check import problems
from billing.register.operations import (
    Holding,
    Operation,
    OperationKind,
    ShareKind,
    classes_at,
    in_force,
    paid_back,
    people_at,
)
from billing.register.particulars import Particulars, changed
from billing.register.shares import check, check_correction, entry_of, share_kind
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import members
from meter.usage import Member, MemberClass
from meter.window import Month, to_datetime


@dataclass(frozen=True, slots=True)
class Entered:
    """An operation as it was entered, and what those it touched hold now."""

    operation: Operation
    holdings: dict[MemberId, dict[str, Holding]]


async def add_share_kind(
    connection: Connection, *, name: str, par: str, currency: str | None, held_by: list[str], is_investment: bool,
    interest_max: str | None, who: str, now_us: int,
) -> ShareKind:  # fmt: skip
    """Add a kind of shares in the currency of the books. Raises Refusal naming the field."""
    async with connection.transaction():
        await store.lock_books(connection)
        of_the_books = await store.book_currency(connection) or currency
        if of_the_books is None:
            raise Refusal("currency: the books have none yet; set a tariff first, or give --currency")
        if currency not in (None, of_the_books):
            raise Refusal(f"currency: the books are kept in {of_the_books}")
        kind = share_kind(
            name=name, par=par, currency=of_the_books, held_by=held_by, is_investment=is_investment,
            interest_max=interest_max,
        )  # fmt: skip
        try:
            async with connection.transaction():
                await register_store.insert_share_kind(connection, kind, who=who, now_us=now_us)
        except asyncpg.UniqueViolationError:
            raise Refusal(
                f"name: there is a kind '{name}' already; other terms are another kind of shares"
            ) from None
    return kind


async def find_share_kind(connection: Connection, name: str | None) -> ShareKind:
    """The kind of that name, or the only one there is. Raises Refusal."""
    kinds = await register_store.share_kinds(connection)
    if not kinds:
        raise Refusal("there is no kind of shares yet; `weir share kind` makes one")
    if name is None and len(kinds) == 1:
        return next(iter(kinds.values()))
    if name is None:
        raise Refusal(f"kind: there are several, name one with --kind: {', '.join(kinds)}")
    if name not in kinds:
        raise Refusal(f"kind: there is none named '{name[:60]}'; there is {', '.join(kinds)}")
    return kinds[name]


async def enter_shares(connection: Connection, asked: Operation, *, owed: bool = False) -> Entered:
    """Enter and book what happened to shares. Raises Refusal.

    For a redemption, a transfer or a conversion without an amount, it is what was paid on these shares. A correction
    is dated to the day of what it corrects where that month is open, if its own day is not given (effective_us 0).
    """
    async with connection.transaction():
        await store.lock_books(connection)
        kinds = await register_store.share_kinds(connection)
        closed = await store.last_closed(connection)
        undone = []
        if asked.kind is OperationKind.CORRECTION:
            asked, old = await _correction(connection, asked, closed)
            undone = [] if old.entry is None else await register_store.entry_postings(connection, old.entry)
        touched = {asked.member} | ({asked.counterpart} if asked.counterpart is not None else set())
        before = await register_store.operations(connection, members=touched)
        if asked.kind is OperationKind.CORRECTION:
            touched |= {one.counterpart for one in before if one.number == asked.corrects and one.counterpart}
            before = await register_store.operations(connection, members=touched)
        asked = replace(
            _with_amount(asked, before, kinds), number=await register_store.next_number(connection)
        )
        check(asked, before, kinds, closed=closed)
        entry = entry_of(asked, owed=owed, undone=undone)
        if entry is not None and asked.kind is OperationKind.REDEMPTION:
            assert asked.share_kind is not None, "shares that are redeemed are of a kind"
            sides = [(one.account, one.amount_minor) for one in entry.postings]
            currency = kinds[asked.share_kind].currency
            await refuse_insolvent(connection, sides, currency=currency, now_us=asked.recorded_us)
        if entry is not None:
            number = await store.post(connection, entry, now_us=asked.recorded_us)
            asked = replace(asked, entry=number)
        await register_store.insert_operation(connection, asked)
        held = {one: (await register_store.holdings(connection, member=one)).get(one, {}) for one in touched}
    return Entered(asked, held)


async def _correction(
    connection: Connection, asked: Operation, closed: Month | None
) -> tuple[Operation, Operation]:
    assert asked.corrects is not None, "a correction names what it corrects"
    old = await register_store.operation(connection, asked.corrects)
    if old is None:
        raise Refusal(f"there is no operation {asked.corrects}; `weir register history` shows their numbers")
    day_is_open = closed is None or Month.of(old.effective_us) > closed
    when = asked.effective_us or (old.effective_us if day_is_open else asked.recorded_us)
    asked = replace(asked, member=old.member, share_kind=old.share_kind, effective_us=when)
    is_corrected = await register_store.is_corrected(connection, old.number)
    check_correction(asked, old, is_corrected=is_corrected)
    return asked, old


def _with_amount(asked: Operation, before: list[Operation], kinds: dict[str, ShareKind]) -> Operation:
    """With what was paid on the shares that leave the holding, where nobody said otherwise."""
    leaving = (OperationKind.REDEMPTION, OperationKind.TRANSFER, OperationKind.CONVERSION)
    if asked.kind not in leaving or asked.amount_minor is not None:
        return asked
    assert asked.share_kind is not None, "shares that leave are of a kind"
    assert asked.quantity is not None, "shares that leave are counted"
    person = people_at(before, asked.effective_us).get(asked.member)
    held = (person.holdings if person else {}).get(asked.share_kind, Holding())
    amount = paid_back(held, asked.quantity, kinds[asked.share_kind].par_minor)
    return replace(asked, amount_minor=amount)


async def change_class(
    owner: Connection, member: MemberId, classes: tuple[MemberClass, ...], start: Month, *, who: str, memo: str,
    now_us: int,
) -> Operation:  # fmt: skip
    """Enter that somebody's classes are these from a month to come. Raises Refusal. As the register's owner."""
    if len(set(classes)) != len(classes):
        raise Refusal("class: each class is named once")
    if MemberClass.CUSTOMER in classes and len(classes) > 1:
        raise Refusal("class: a customer is no member, so the class stands alone")
    if start.start_us <= now_us:
        raise Refusal(
            f"from: a change of class counts from a month to come; {Month.of(now_us).next()} is the next"
        )
    async with owner.transaction():
        await store.lock_books(owner)
        before = await register_store.operations(owner, members=[member])
        steps = in_force(before)[member]
        if steps[-1].kind is OperationKind.LEAVE:
            raise Refusal(f"member {member} has left; a new membership is a new line in the register")
        if steps[-1].effective_us > now_us:
            raise Refusal(
                f"a change from {Month.of(steps[-1].effective_us)} on is entered already, as operation"
                f" {steps[-1].number}; `weir register correct {steps[-1].number}` takes it back"
            )
        if steps[-1].classes == classes:
            raise Refusal("class: that is what they are already")
        held = (await register_store.holdings(owner, member=member)).get(member, {})
        if MemberClass.CUSTOMER in classes and any(one.shares for one in held.values()):
            raise Refusal(f"member {member} holds shares, and a customer holds none; redeem them first")
        asked = Operation(
            await register_store.next_number(owner), OperationKind.CLASS, member, start.start_us, now_us, who,
            classes=classes, memo=memo,
        )  # fmt: skip
        await register_store.insert_operation(owner, asked)
    return asked


async def take_back_class(owner: Connection, number: int, *, who: str, memo: str, now_us: int) -> Operation:
    """Correct a change of class that does not count yet. Raises Refusal. As the register's owner."""
    async with owner.transaction():
        await store.lock_books(owner)
        old = await register_store.operation(owner, number)
        if old is None or old.kind is not OperationKind.CLASS:
            raise Refusal(
                f"operation {number} is no change of class; `weir share correct` corrects those of shares"
            )
        asked = Operation(
            await register_store.next_number(owner), OperationKind.CORRECTION, old.member, old.effective_us, now_us,
            who, corrects=number, memo=memo,
        )  # fmt: skip
        check_correction(asked, old, is_corrected=await register_store.is_corrected(owner, number))
        await register_store.insert_operation(owner, asked)
    return asked


async def change_particulars(
    owner: Connection, member: MemberId, *, legal_name: str | None, postal: str | None, email: str | None,
    purposes: str | None, who: str, now_us: int,
) -> tuple[Operation, Particulars]:  # fmt: skip
    """Enter a new name or address; what is not given stays. Raises Refusal. As the register's owner."""
    async with owner.transaction():
        await store.lock_books(owner)
        known = (await register_store.particulars(owner, at_us=now_us, member=member)).get(
            member, Particulars()
        )
        told = changed(
            known,
            legal_name=legal_name,
            postal=postal,
            email=email,
            purposes=purposes,
        )
        asked = Operation(
            await register_store.next_number(owner), OperationKind.ADDRESS, member, now_us, now_us, who
        )
        await register_store.insert_operation(owner, asked)
        await register_store.insert_particulars(owner, asked.number, member, told)
        await register_store.set_email(owner, member, told.email)
        if told.email != known.email:
            # Whoever reads the mailbox that was theirs must not come in by what was sent there before.
            await register_store.end_links(owner, member)
    return asked, told


async def verify_register(connection: Connection, *, now_us: int) -> list[str]:
    """What is wrong with the register, in sentences; none when numbers, holdings, members and books agree."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return problems(
            await register_store.operations(connection),
            await register_store.share_kinds(connection),
            held=await register_store.holdings(connection),
            members=await members(connection),
            capital=await register_store.credit_balances(connection, ["shares:"]),
            now_us=now_us,
        )


async def members_in(connection: Connection, month: Month) -> list[Member]:
    """The list of members, each with the class they had in that month; of who came in it, the one they came with.

    Who had left when it began, at its first instant too, is a customer in it, as `meter.usage_store` has it.
    """
    known = await members(connection)
    changers = await register_store.class_changers(connection)
    steps = in_force(await register_store.operations(connection, members=changers)) if changers else {}

    def class_of(one: Member) -> MemberClass:
        if one.left_us is not None and one.left_us <= month.start_us:
            return MemberClass.CUSTOMER
        own = steps.get(one.id)
        classes = classes_at(own, max(month.start_us, own[0].effective_us)) if own else ()
        return classes[0] if classes else one.member_class

    return [replace(one, member_class=class_of(one)) for one in known]


async def changed_classes(connection: Connection, month: Month) -> dict[MemberId, MemberClass]:
    """Of those whose class was ever changed and who were there in the month: the class they are charged in.

    Who had left when it began is not among them; `meter.usage_store` gives them as customers. Who uses and works is charged as a user; hours are told apart anyway.
    """
    changers = await register_store.class_changers(connection)
    steps = in_force(await register_store.operations(connection, members=changers)) if changers else {}
    found = {
        member: classes_at(own, max(month.start_us, own[0].effective_us)) for member, own in steps.items()
    }
    return {
        member: MemberClass.USER if MemberClass.USER in classes else classes[0]
        for member, classes in found.items()
        if classes
    }


async def consents_on(connection: Connection, at_us: int) -> dict[MemberId, Consent]:
    """Whose consent holds on the day of an instant: given, not withdrawn, and still a member."""
    found = consents_at(await consents(connection), to_datetime(at_us).date())
    there = people_at(await register_store.operations(connection, members=found), at_us) if found else {}
    return {member: one for member, one in found.items() if member in there and there[member].is_member}


async def consented(
    connection: Connection, used: Mapping[MemberId, Month], begin: Month, *, until_us: int
) -> set[MemberId]:
    """Whose consent held for all they did as a member from a month on: consent by membership works for patronage after
    the by-laws were received, and while a member (26 USC 1388(c)(2)(B)).

    `used` has the first month in which they did something. It counts from its first day, or from the one on which they
    became a member in it; for who is not there, from the day they are a member on. The consent holds on to the day before
    until_us, or to their last day as a member.
    """
    given: dict[MemberId, list[Consent]] = {}
    for one in await consents(connection):
        given.setdefault(one.member, []).append(one)
    if not given:
        return set()
    there = people_at(await register_store.operations(connection, members=given), until_us - 1)
    found = set()
    for member, own in given.items():
        person = there.get(member)
        if person is None or person.entered_us is None:
            continue
        first_us = used.get(member, begin).start_us
        if member not in used or Month.of(person.entered_us) == used[member]:
            first_us = max(first_us, person.entered_us)
        last_us = (until_us if person.ceased_us is None else person.ceased_us) - 1
        if consented_through(own, to_datetime(first_us).date(), to_datetime(last_us).date()):
            found.add(member)
    return found
