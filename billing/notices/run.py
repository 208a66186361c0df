"""Notices of an allocation: made for all members of a year, sent, and known to have been received.

Each function is one story in one transaction. The connection acts as weir_office; times are UTC microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from billing import store
from billing.canon import canonical, digest
from billing.capital import store as capital_store
from billing.capital.run import Tell
from billing.governance import store as governance_store
from billing.governance.decisions import choice_for
from billing.notices import store as notice_store
from billing.notices.file import read_year
from billing.notices.notice import NEXT, State, Year, notice, refuse_unqualified
from billing.notices.store import Kept, Step
from billing.rules.afterwards import Afterwards, afterwards
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import members

HOW_CHARACTERS_MAX = 60
EVIDENCE_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Made:
    """Notices that were made, or would be."""

    year: int
    count: int
    act: int | None
    before: bool = False


async def make(
    connection: Connection, document: Mapping[str, Any], rules: Afterwards, *, trial: bool, now_us: int
) -> Made:
    """Make every member's notice from the allocations of a year, once. It sends nothing.

    Raises Refusal for a field that is missing, a share that cannot have a qualified notice, a member who is none,
    and for a year whose notices say something else already.
    """
    year = read_year(document)
    refuse_unqualified(year, rules.money_min)
    rows = await _rows(connection, year)
    all_of_them = digest("".join(f"{member} {found}\n" for member, _, found in rows))
    text = canonical({"year": year.terms.year, "count": len(rows), "notices_digest": all_of_them})
    if trial:
        return Made(year.terms.year, len(rows), None)
    async with connection.transaction():
        await store.lock_books(connection)
        done = await capital_store.act_by_key(connection, f"notices:{year.terms.year}")
        if done is not None:
            if done.document != text:
                raise Refusal(
                    f"the notices of {year.terms.year} were made before and say something else; they are not changed"
                )
            return Made(year.terms.year, len(rows), done.number, before=True)
        act = await capital_store.insert_act(
            connection, kind="notices", resolution=year.terms.decided_by[:100], key=f"notices:{year.terms.year}",
            document=text, digest=digest(text), amount_minor=year.terms.total_minor, lines=len(rows), now_us=now_us,
        )  # fmt: skip
        await notice_store.insert_notices(connection, act, year.terms.year, rows, now_us=now_us)
    return Made(year.terms.year, len(rows), act)


async def rules_of(connection: Connection, document: Mapping[str, Any], rule_set: str | None) -> Afterwards:
    """The rules named, or those in force for the year of the document; `plain` where none was chosen.

    Raises Refusal for a rule set that is none, and as make() for a document without a year.
    """
    if rule_set is None:
        chosen = choice_for(await governance_store.choices(connection), read_year(document).terms.year)
        rule_set = "plain" if chosen is None else chosen.rule_set
    return afterwards(rule_set)


async def step(
    connection: Connection, year: int, wanted: list[MemberId] | None, *, state: State, how: str, evidence: str,
    now_us: int, tell: Tell = lambda _done, _of: None,
) -> int:  # fmt: skip
    """Note that notices were sent, received or failed; how many. Without members: all that can come to it.

    Raises Refusal for missing evidence, and for a step that does not follow on the last one.
    """
    _check(how, "how", HOW_CHARACTERS_MAX)
    _check(evidence, "evidence", EVIDENCE_CHARACTERS_MAX)
    async with connection.transaction():
        await store.lock_books(connection)
        kept = {one.member: one for one in await notice_store.notices(connection, year)}
        if wanted is None:
            chosen = [one.member for one in kept.values() if state in NEXT[one.state]]
        else:
            chosen = wanted
        for member in chosen:
            if member not in kept:
                raise Refusal(f"member {member} has no notice of {year}")
            try:
                await notice_store.insert_step(
                    connection, year, member, state=state, how=how, evidence=evidence, now_us=now_us
                )
            except asyncpg.PostgresError as error:
                if notice_store.wrong_step(error):
                    was = kept[member].state.value
                    raise Refusal(
                        f"a notice that is {was} cannot be {state.value} (member {member})"
                    ) from None
                raise
            tell(1, len(chosen))
    return len(chosen)


async def kept(connection: Connection, year: int, member: MemberId | None = None) -> list[Kept]:
    """The notices of a year, or a member's. Raises Refusal when there is none."""
    found = await notice_store.notices(connection, year, member)
    if not found:
        raise Refusal(f"there is no notice of {year} for them; `weir capital notice make` makes a year's")
    return found


async def history(connection: Connection, year: int, member: MemberId) -> list[Step]:
    """What happened to a notice since it was made."""
    return await notice_store.steps(connection, year, member)


def document_of(one: Kept) -> dict[str, Any]:
    """What the notice says."""
    found: dict[str, Any] = json.loads(one.document)
    return found


async def _rows(connection: Connection, year: Year) -> list[tuple[MemberId, str, str]]:
    known: dict[str, MemberId] = {}
    for member in await members(connection):
        known |= {str(member.id): member.id, member.name: member.id}
    rows: dict[MemberId, tuple[str, str]] = {}
    for name in year.shares:
        if name not in known:
            raise Refusal(f"allocations: '{name[:60]}' is no member's name or number")
        member_id = known[name]
        if member_id in rows:
            raise Refusal(f"allocations: {name} stands in it by name and by number; write one of them")
        text = canonical(notice(year, name))
        rows[member_id] = (text, digest(text))
    return [(member_id, *rows[member_id]) for member_id in sorted(rows)]


def _check(text: str, field: str, characters_max: int) -> None:
    if not text.strip() or len(text) > characters_max or not text.isprintable():
        raise Refusal(f"{field}: it must be said, in one line of at most {characters_max} characters")
