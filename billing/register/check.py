"""The register held against itself, against the members other rooms know, and against the books. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from billing.register.operations import Holding, Operation, Person, ShareKind, effects, people_at
from billing.register.shares import shares_of
from meter.ids import MemberId
from meter.usage import Member, MemberStatus


def problems(
    operations: Sequence[Operation],
    kinds: Mapping[str, ShareKind],
    *,
    held: Mapping[MemberId, Mapping[str, Holding]],
    members: Iterable[Member],
    capital: Mapping[str, int],
    now_us: int,
) -> list[str]:
    """One sentence for each thing that does not agree; none is how it should be."""
    people = people_at(operations, now_us)
    return [
        *_gaps(operations),
        *_holdings(operations, kinds, held),
        *_members(people, members),
        *_capital(held, capital),
    ]


def _gaps(operations: Sequence[Operation]) -> Iterator[str]:
    for expected, one in enumerate(sorted(operations, key=lambda one: one.number), 1):
        if one.number != expected:
            yield f"operation {expected} is missing: the next one is {one.number}"
            return


def _holdings(
    operations: Sequence[Operation],
    kinds: Mapping[str, ShareKind],
    held: Mapping[MemberId, Mapping[str, Holding]],
) -> Iterator[str]:
    sums: dict[tuple[MemberId, str], Holding] = {}
    for one in effects(operations):
        before = sums.get((one.member, one.share_kind), Holding())
        sums[one.member, one.share_kind] = Holding(
            before.shares + one.shares, before.paid_minor + one.paid_minor
        )
    stored = {(member, kind): one for member, own in held.items() for kind, one in own.items()}
    for member, kind in sorted(sums.keys() | stored.keys()):
        told, kept = sums.get((member, kind), Holding()), stored.get((member, kind), Holding())
        if told != kept:
            yield (
                f"member {member} holds {kept.shares} shares of kind {kind} with {kept.paid_minor} paid, and the"
                f" operations come to {told.shares} with {told.paid_minor}"
            )
        if not (told.shares >= 0 and 0 <= told.paid_minor <= told.shares * kinds[kind].par_minor):
            yield f"member {member} has paid {told.paid_minor} on {told.shares} shares of kind {kind}"


def _members(people: Mapping[MemberId, Person], members: Iterable[Member]) -> Iterator[str]:
    known = {one.id: one for one in members}
    for member in sorted(people.keys() | known.keys()):
        person, line = people.get(member), known.get(member)
        if person is None or line is None:
            where = "operations" if line is None else "list of members"
            yield f"member {member} stands in the {where} only"
        elif line.status is MemberStatus.LEFT or not person.classes:
            if not (line.status is MemberStatus.LEFT and not person.classes):
                yield f"member {member} has left by one of the two, and not by the other"
        elif person.classes[0] is not line.member_class:
            yield (
                f"member {member} is {line.member_class.value} in the list of members and"
                f" {person.classes[0].value} in the register"
            )


def _capital(held: Mapping[MemberId, Mapping[str, Holding]], capital: Mapping[str, int]) -> Iterator[str]:
    paid = {
        str(shares_of(member)): sum(one.paid_minor for one in own.values()) for member, own in held.items()
    }
    for account in sorted({name for name, amount in paid.items() if amount} | capital.keys()):
        told, booked = paid.get(account, 0), capital.get(account, 0)
        if told != booked:
            yield f"{account} stands at {booked} in the books, and {told} is paid by the register"
