"""The stories of decisions, each in one transaction: a resolution entered, a rule set chosen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from billing import store
from billing.governance import store as governance_store
from billing.governance.choices import NO_CURRENCY, check_choices, parse_choices, rules_of
from billing.governance.decisions import Choice, Resolution, check_choice, check_resolution, choice_at
from billing.governance.majorities import check_majority
from billing.register import store as register_store
from billing.register.operations import voters_at
from billing.rules.text import parse_rule_set_toml
from billing.rules.voting import VotingRules, voting_rules
from meter.postgres import Connection
from meter.window import DAY_US, to_datetime, to_us


async def check(connection: Connection, asked: Resolution, *, now_us: int) -> None:
    """Refuse what nobody can have decided, by the register and the rules of the day. Raises Refusal."""
    day = asked.decided_on
    # The end of the day: who was admitted by the meeting itself may have voted in it.
    until_us = _end_us(day)
    voters = voters_at(await register_store.operations(connection), until_us)
    check_resolution(asked, today=to_datetime(now_us).date(), voters=voters)
    rules = await rules_at(connection, until_us)
    if rules is not None:
        check_majority(asked, rules)


async def rules_at(connection: Connection, at_us: int) -> VotingRules | None:
    """How members vote by the rule set in force; None where none was chosen."""
    chosen = choice_at(await governance_store.choices(connection), at_us)
    if chosen is None:
        return None
    currency = await store.book_currency(connection) or NO_CURRENCY
    rules, choices = rules_of(chosen, currency=currency)
    return voting_rules(rules.id, choices.voting)


def _end_us(day: date) -> int:
    return to_us(datetime(day.year, day.month, day.day, tzinfo=UTC)) + DAY_US - 1


async def enter(connection: Connection, asked: Resolution) -> Resolution:
    """Enter a checked resolution; with its number."""
    async with connection.transaction():
        await store.lock_books(connection)
        return replace(asked, id=await governance_store.insert_resolution(connection, asked))


async def choose(
    connection: Connection, text: str, *, from_year: int, first_month: int | None, resolution: str | None, choices: str,
    who: str, now_us: int,
) -> Choice:  # fmt: skip
    """Close years by the rule set of this text from a fiscal year on; the text is kept. Raises Refusal."""
    found = parse_rule_set_toml(text)
    async with connection.transaction():
        await store.lock_books(connection)
        currency = await store.book_currency(connection) or NO_CURRENCY
        check_choices(parse_choices(choices, currency=currency), found, currency=currency)
        before = await governance_store.choices(connection)
        month = first_month or (before[-1].first_month if before else 1)
        asked = Choice(0, found.id, from_year, month, resolution, text, choices, who, now_us)
        decided = None if resolution is None else await governance_store.resolution(connection, resolution)
        closed = await store.last_closed(connection)
        check_choice(asked, before, decided, anything_closed=closed is not None, now_us=now_us)
        # One that was entered when no majority was asked for changes nothing either.
        rules = (
            None
            if closed is None or decided is None
            else await rules_at(connection, _end_us(decided.decided_on))
        )
        if rules is not None and decided is not None:
            check_majority(decided, rules)
        return replace(asked, number=await governance_store.insert_choice(connection, asked))
