"""What may happen to shares: reads what a registrar typed, refuses what the register cannot hold, and books it. Pure.

The database refuses the same again. It knows no law but this: paid never exceeds what was subscribed, nobody holds
less than nothing, and a customer holds no share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from billing.ledger.entry import Account, Entry, EntryKind, Posting, postings
from billing.money import format_amount, parse_amount, parse_decimal
from billing.register.operations import (
    CORRECTABLE,
    INTEREST_UNIT,
    Effect,
    Holding,
    Operation,
    OperationKind,
    ShareKind,
    classes_at,
    effects,
    in_force,
)
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import MemberClass
from meter.window import Month

BANK = Account("bank:main")
"""The co-op's own account at the bank."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
QUANTITY_MAX = 10**9
PERCENT_DECIMALS = 4
RECEIVING = frozenset({OperationKind.SUBSCRIPTION, OperationKind.TRANSFER, OperationKind.CONVERSION})
"""Operations after which somebody holds more shares of a kind: only members may."""


def shares_of(member: MemberId) -> Account:
    """A member's paid share capital."""
    return Account(f"shares:member:{member}")


def owed_to(member: MemberId) -> Account:
    """What waits to be paid to a member."""
    return Account(f"payable:member:{member}")


def share_kind(
    *,
    name: str,
    par: str,
    currency: str,
    held_by: Sequence[str],
    is_investment: bool,
    interest_max: str | None,
) -> ShareKind:
    """Read what was typed. Raises Refusal naming the field."""
    if _NAME.fullmatch(name) is None:
        raise Refusal(f"name: '{name[:60]}' is no name of a kind; small letters, digits and '-', like member")
    par_minor = parse_amount(par, currency, field="par")
    if par_minor == 0:
        raise Refusal("par: a share has a value above 0")
    classes = frozenset(MemberClass(one) for one in held_by)
    if not classes or MemberClass.CUSTOMER in classes:
        raise Refusal("held-by: name one or more classes of members; a customer holds no share")
    cap = None
    if interest_max is not None:
        cap = parse_decimal(interest_max, field="interest-max", decimals_max=PERCENT_DECIMALS)
        if cap > INTEREST_UNIT:
            raise Refusal(f"interest-max: {interest_max} % is more than the whole")
    return ShareKind(name, par_minor, currency, classes, is_investment, cap)


def shares(text: int) -> int:
    """A number of shares that was typed. Raises Refusal."""
    if not 1 <= text <= QUANTITY_MAX:
        raise Refusal(f"shares: {text} is not between 1 and {QUANTITY_MAX:,}")
    return text


def check(
    asked: Operation, before: Sequence[Operation], kinds: Mapping[str, ShareKind], *, closed: Month | None
) -> None:
    """Refuse what the register cannot hold; `before` are the operations of everybody the new one touches.

    Raises Refusal with the sentence the registrar reads.
    """
    if closed is not None and Month.of(asked.effective_us) <= closed:
        raise Refusal(f"at: {Month.of(asked.effective_us)} is closed; date it in {closed.next()} or later")
    if asked.effective_us > asked.recorded_us:
        raise Refusal("at: what happens to shares is entered when it has happened, never ahead")
    if asked.kind is OperationKind.TRANSFER and asked.counterpart == asked.member:
        raise Refusal("to: shares are transferred to somebody else")
    if asked.kind in RECEIVING:
        _check_receiver(asked, before, kinds)
    if asked.kind is OperationKind.CONVERSION:
        _check_worth(asked, kinds)
    after = effects([*before, asked])
    touched = {(one.member, one.share_kind) for one in after if one.number == asked.number}
    for member, kind in sorted(touched):
        own = [one for one in after if (one.member, one.share_kind) == (member, kind)]
        _check_timeline(own, kinds[kind])


def _check_receiver(asked: Operation, before: Sequence[Operation], kinds: Mapping[str, ShareKind]) -> None:
    receiver = asked.counterpart or asked.member
    kind = kinds[asked.to_kind or asked.share_kind or ""]
    own = classes_at(in_force(before).get(receiver, ()), asked.effective_us)
    if not own:
        raise Refusal(f"member {receiver} is not in the register at that time, and only members hold shares")
    if not kind.held_by & set(own):
        who = " and ".join(one.value for one in own)
        allowed = " or ".join(sorted(one.value for one in kind.held_by))
        raise Refusal(f"member {receiver} is {who}; shares of kind {kind.name} are for {allowed} members")


def _check_worth(asked: Operation, kinds: Mapping[str, ShareKind]) -> None:
    assert asked.share_kind is not None, "a conversion names the kind it ends"
    assert asked.to_kind is not None, "a conversion names the kind it begins"
    old, new = kinds[asked.share_kind], kinds[asked.to_kind]
    if old.currency != new.currency:
        raise Refusal(f"to-kind: {new.name} is in {new.currency}, {old.name} in {old.currency}")
    worth = (asked.quantity or 0) * old.par_minor
    if worth != (asked.to_quantity or 0) * new.par_minor:
        raise Refusal(
            f"to-shares: {asked.to_quantity} shares of {format_amount(new.par_minor, new.currency)} are not worth"
            f" {format_amount(worth, old.currency)}, as those converted are"
        )


def _check_timeline(own: Iterable[Effect], kind: ShareKind) -> None:
    held = Holding()
    for one in sorted(own, key=lambda one: (one.effective_us, one.number)):
        held = Holding(held.shares + one.shares, held.paid_minor + one.paid_minor)
        if held.shares < 0:
            raise Refusal(
                f"shares: member {one.member} would hold {held.shares} shares of kind {kind.name}; nobody holds fewer"
                " than none"
            )
        subscribed = held.shares * kind.par_minor
        if not 0 <= held.paid_minor <= subscribed:
            raise Refusal(
                f"amount: member {one.member} would have paid {format_amount(held.paid_minor, kind.currency)} on"
                f" {held.shares} shares of kind {kind.name}, which are worth {format_amount(subscribed, kind.currency)}"
            )


def check_correction(asked: Operation, old: Operation, *, is_corrected: bool) -> None:
    """Refuse to correct what cannot be, or has been. Raises Refusal."""
    if is_corrected:
        raise Refusal(f"operation {old.number} is corrected already")
    if old.kind not in CORRECTABLE:
        raise Refusal(
            f"operation {old.number} is a {old.kind.value}, which is not corrected but followed by another"
        )
    if old.kind is OperationKind.CLASS and old.effective_us <= asked.recorded_us:
        raise Refusal(
            f"operation {old.number} counts already; enter another change of class from a month to come"
        )
    if asked.effective_us < old.effective_us:
        raise Refusal(f"at: operation {old.number} is of a later time than its correction would be")


def entry_of(asked: Operation, *, owed: bool, undone: Sequence[Posting] = ()) -> Entry | None:
    """What a numbered operation writes into the books; None where no money moves.

    A redemption that is `owed` waits to be paid; `undone` are the postings a correction takes back.
    """
    paid = asked.amount_minor or 0
    own = shares_of(asked.member)
    match asked.kind:
        case OperationKind.PAYMENT:
            sides = [(BANK, paid), (own, -paid)]
        case OperationKind.REDEMPTION:
            sides = [(own, paid), (owed_to(asked.member) if owed else BANK, -paid)]
        case OperationKind.TRANSFER:
            assert asked.counterpart is not None, "a transfer has somebody who gets the shares"
            sides = [(own, paid), (shares_of(asked.counterpart), -paid)]
        case OperationKind.CORRECTION:
            sides = [(one.account, -one.amount_minor) for one in undone]
        case _:
            return None
    if not (made := postings(sides)):
        return None
    memo = f"{asked.kind.value} of shares, operation {asked.number} of the register"
    key = f"share:{asked.number}"
    return Entry(Month.of(asked.effective_us), EntryKind.SHARE, memo, made, key)
