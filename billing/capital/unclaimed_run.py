"""Money nobody fetched: listed, forfeited by a decision, and paid to whoever proves later that it is theirs.

Each function is one story in one transaction. The connection acts as weir_office; times are UTC microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing import store
from billing.canon import canonical, digest
from billing.capital import store as capital_store
from billing.capital import unclaimed_store
from billing.capital.run import Tell, book_currency, check_resolution, open_month
from billing.capital.unclaimed import Movement, Unclaimed, claim_parts, unclaimed, waiting
from billing.capital.unclaimed_store import Forfeit
from billing.ledger.entry import Entry, EntryKind, payable, postings
from billing.money import format_amount, parse_amount
from billing.rules.afterwards import unclaimed_rule
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import to_datetime

EVIDENCE_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Picture:
    """What waits too long, what went elsewhere, who cannot be reached, and what waits at the bank."""

    currency: str
    waits: Sequence[Unclaimed]
    forfeited: Sequence[Forfeit]
    lost: frozenset[MemberId]
    ordered: Mapping[MemberId, int]
    """Ordered in a batch without an outcome, in minor units; it is not in `waits`."""


async def picture(connection: Connection, rule: str, *, now_us: int) -> Picture:
    """All unclaimed money by a rule. Raises Refusal for a rule that is none."""
    currency = await book_currency(connection)
    return Picture(
        currency,
        await _waits(connection, rule, currency, now_us=now_us),
        await unclaimed_store.forfeits(connection),
        frozenset(await unclaimed_store.lost_contact(connection)),
        await unclaimed_store.ordered(connection),
    )


async def forfeit(
    connection: Connection,
    rule: str,
    resolution: str,
    *,
    trial: bool,
    now_us: int,
    tell: Tell = lambda _done, _of: None,
) -> list[Unclaimed]:
    """Move what waited for the rule's years to where the rule wants it; what was moved. A trial posts nothing.

    Invariant: what is ordered at the bank is not moved, so nothing is forfeited and paid out as well. Asked again it
    finds nothing more. Raises Refusal.
    """
    resolution = check_resolution(resolution)
    currency, found_rule = await book_currency(connection), unclaimed_rule(rule)
    if trial:
        return await _waits(connection, rule, currency, now_us=now_us)
    async with connection.transaction():
        await store.lock_books(connection)
        found = await _waits(connection, rule, currency, now_us=now_us)
        month = await open_month(connection, now_us=now_us)
        for one in found:
            document = {"member": one.member, "rule": rule, "since": str(one.since), "amount_minor": one.amount_minor,
                        "currency": currency, "resolution": resolution, "source": found_rule.source}  # fmt: skip
            text = canonical(document)
            act = await capital_store.insert_act(
                connection, kind="forfeit", resolution=resolution, document=text, digest=digest(text),
                key=f"forfeit:{resolution}:{one.member}:{one.since}", amount_minor=one.amount_minor, lines=1,
                now_us=now_us,
            )  # fmt: skip
            await unclaimed_store.insert_forfeit(
                connection, act, one.member, rule=rule, since=one.since, destination=found_rule.destination,
                listed=one.listed, amount_minor=one.amount_minor,
            )  # fmt: skip
            sides = postings(
                [(payable(one.member), one.amount_minor), (found_rule.destination, -one.amount_minor)]
            )
            memo = f"not fetched by member {one.member} since {one.since}, rule {rule}, act {act}"
            await store.post(
                connection, Entry(month, EntryKind.FORFEIT, memo, sides, f"forfeit:{act}"), now_us=now_us
            )
            tell(1, len(found))
    return found


async def claim(
    connection: Connection, member: MemberId, amount: str | None, resolution: str, evidence: str, *, trial: bool,
    now_us: int,
) -> dict[str, object]:  # fmt: skip
    """Make forfeited money payable again to whoever proved that it is theirs; without an amount all of it.

    Never too late. The same resolution and evidence told twice are booked once. Raises Refusal.
    """
    resolution = check_resolution(resolution)
    if not evidence.strip() or len(evidence) > EVIDENCE_CHARACTERS_MAX or not evidence.isprintable():
        raise Refusal(
            f"evidence: how was the claim proved? One line of at most {EVIDENCE_CHARACTERS_MAX} characters"
        )
    currency = await book_currency(connection)
    key = f"claim:{member}:{resolution}:{digest(evidence)}:{amount or 'all'}"
    async with connection.transaction():
        await store.lock_books(connection)
        done = await capital_store.act_by_key(connection, key)
        if done is not None:
            return {**json.loads(done.document), "act": done.number, "before": True}
        forfeited = await unclaimed_store.forfeits(connection, member)
        there = sum(one.open_minor for one in forfeited)
        wanted = there if amount is None else parse_amount(amount, currency)
        if not 0 < wanted <= there:
            raise Refusal(
                f"amount: {format_amount(there, currency)} was forfeited and not claimed; a claim is part of it"
            )
        parts = claim_parts({one.act: one.open_minor for one in forfeited}, wanted)
        document = {"member": member, "amount_minor": wanted, "currency": currency, "evidence": evidence,
                    "resolution": resolution, "parts": [[number, part] for number, part in parts.items()]}  # fmt: skip
        if trial:
            return {**document, "act": None, "before": False}
        text = canonical(document)
        act = await capital_store.insert_act(
            connection, kind="claim", resolution=resolution, key=key, document=text, digest=digest(text),
            amount_minor=wanted, lines=len(parts), now_us=now_us,
        )  # fmt: skip
        await unclaimed_store.insert_claims(connection, act, parts)
        destinations = {one.act: one.destination for one in forfeited}
        sides = [(destinations[number], part) for number, part in parts.items()]
        entry = Entry(
            await open_month(connection, now_us=now_us), EntryKind.CLAIM,
            f"claimed by member {member} after all, act {act}",
            postings([*sides, (payable(member), -wanted)]), f"claim:{act}",
        )  # fmt: skip
        await store.post(connection, entry, now_us=now_us)
    return {**document, "act": act, "before": False}


async def mark(connection: Connection, member: MemberId, *, reached: bool, why: str, now_us: int) -> None:
    """Note that a member cannot be reached, or can be again. Raises Refusal."""
    if not why.strip() or len(why) > EVIDENCE_CHARACTERS_MAX or not why.isprintable():
        raise Refusal(f"why: one line of at most {EVIDENCE_CHARACTERS_MAX} characters")
    await unclaimed_store.insert_contact(connection, member, reached=reached, why=why, now_us=now_us)


async def _waits(connection: Connection, rule: str, currency: str, *, now_us: int) -> list[Unclaimed]:
    found, today = unclaimed_rule(rule), to_datetime(now_us).date()
    movements = await unclaimed_store.payable_movements(connection)
    # What waits at the bank counts as paid, against what waited longest: its outcome is still to be told.
    at_bank = [
        Movement(member, today, -amount)
        for member, amount in (await unclaimed_store.ordered(connection)).items()
    ]
    queue = waiting([*movements, *at_bank])
    least = parse_amount(found.list_from, currency, field="list_from")
    return list(unclaimed(queue, found, today=today, list_from_minor=least))
