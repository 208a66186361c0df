"""Votes attacked in SQL: with billing's own role, and where its grants would hide it, as the owner of every table."""

from __future__ import annotations

import json

import asyncpg
import pytest

from billing.canon import canonical, digest
from billing.voting import proof, run, store
from billing.voting.count import outcome
from billing.voting.document import result_document
from meter.ids import MemberId
from meter.window import to_datetime
from tests.coop import NOW, Coop
from tests.voting_kit import CLOSES, DURING, NAMES, SETTINGS, opened, proposed

TABLES = {
    "proposal": "who", "proposal_text": "title", "proposal_attachment": "name", "proposal_comment": "body", "poll": "who",
    "voter": "chamber", "ballot": "vote", "vote_result": "document", "adopted": "resolution",
}  # fmt: skip
OTHER_DISK = (
    "document = replace(document, 'A second disk', 'A third disk'), digest ="
    " encode(sha256(convert_to(replace(document, 'A second disk', 'A third disk'), 'UTF8')), 'hex')"
)
BALLOT = "INSERT INTO billing.ballot (proposal, receipt, chamber, vote, member) VALUES ($1, $2, $3, $4, $5)"


async def voted(co_op: Coop, *, is_secret: bool = True) -> tuple[asyncpg.Connection, int]:
    """A vote that is open, in which anna (1) and ben (2) have voted and three others not."""
    await co_op.found(*NAMES)
    books = await co_op.books()
    number = await proposed(books, member=MemberId(1))
    await run.attach(
        books, number, name="a.txt", content=b"x", member=None, who="t", settings=SETTINGS, now_us=NOW
    )
    await opened(books, number, is_secret=is_secret)
    await run.cast(books, number, MemberId(1), "for", now_us=DURING)
    await run.cast(books, number, MemberId(2), "against", now_us=DURING)
    await run.comment(books, number, MemberId(1), "Yes.", settings=SETTINGS, now_us=DURING)
    return books, number


async def mark(connection: asyncpg.Connection, change: str, *, at_us: int | None = DURING) -> None:
    """Change who voted."""
    await connection.execute(
        f"UPDATE billing.turnout SET voted = {change}, last_at = $1",
        None if at_us is None else to_datetime(at_us),
    )


@pytest.mark.parametrize("table", TABLES)
async def test_nothing_of_a_vote_is_changed_or_taken_away(co_op: Coop, table: str) -> None:
    books, number = await voted(co_op)
    stored = await run.settle(books, number, now_us=CLOSES)
    assert not stored.is_adopted
    owner = await co_op.owner()
    for attack in (
        f"UPDATE billing.{table} SET {TABLES[table]} = {TABLES[table]}",
        f"DELETE FROM billing.{table}",
        f"TRUNCATE billing.{table} CASCADE",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await books.execute(attack)
        with pytest.raises(asyncpg.RaiseError, match="only added to"):
            await owner.execute(attack)


async def test_who_voted_is_never_unmarked_nor_marked_for_two(co_op: Coop) -> None:
    await voted(co_op)
    owner = await co_op.owner()
    for change in (
        "set_bit(voted, 0, 0)", "set_bit(set_bit(voted, 0, 0), 3, 1)", "set_bit(set_bit(voted, 2, 1), 3, 1)", "voted",
        "voted || B'1'",
    ):  # fmt: skip
        with pytest.raises(asyncpg.PostgresError, match=r"one voter more|is closed"):
            await mark(owner, change)
    for attack in ("DELETE FROM billing.turnout", "TRUNCATE billing.turnout"):
        with pytest.raises(asyncpg.RaiseError, match="only added to"):
            await owner.execute(attack)


async def test_a_mark_without_a_ballot_and_a_ballot_without_a_mark_are_refused(co_op: Coop) -> None:
    books, number = await voted(co_op)
    with pytest.raises(asyncpg.RaiseError, match="2 ballots of 3 voters"):
        await mark(books, "set_bit(voted, 2, 1)")
    with pytest.raises(asyncpg.RaiseError, match="3 ballots of 2 voters"):
        await books.execute(BALLOT, number, "e" * 32, "members", "for", None)


@pytest.mark.parametrize(
    ("ballot", "words"),
    [
        (("e" * 32, "members", "for", 3), "does not say whose"),
        (("e" * 32, "workers", "for", None), "nobody on the roll"),
        (("e" * 32, "members", "perhaps", None), "ballot_vote_check"),
        (("x", "members", "for", None), "ballot_receipt_check"),
    ],
)
async def test_a_ballot_that_cannot_be_is_refused(
    co_op: Coop, ballot: tuple[str, str, str, int | None], words: str
) -> None:
    books, number = await voted(co_op)
    with pytest.raises(asyncpg.PostgresError, match=words):
        await books.execute(BALLOT, number, *ballot)


async def test_an_open_ballot_says_whose_it_is_and_is_one_of_the_roll(co_op: Coop) -> None:
    books, number = await voted(co_op, is_secret=False)
    for member, words in (
        (None, "says whose"),
        (99, "nobody on the roll"),
        (1, "ballot_proposal_member_key"),
    ):
        with pytest.raises(asyncpg.PostgresError, match=words):
            await books.execute(BALLOT, number, "e" * 32, "members", "for", member)


@pytest.mark.parametrize("at_us", [None, DURING - 10 * 24 * 3600 * 10**6, CLOSES])
async def test_the_database_takes_no_vote_out_of_its_time(co_op: Coop, at_us: int | None) -> None:
    books, number = await voted(co_op)
    await books.execute("BEGIN")
    await books.execute(BALLOT, number, "e" * 32, "members", "for", None)
    with pytest.raises(asyncpg.PostgresError, match="out of its time"):
        await mark(books, "set_bit(voted, 2, 1)", at_us=at_us)


async def test_a_closed_box_takes_nothing_and_is_not_opened_again(co_op: Coop) -> None:
    books, number = await voted(co_op)
    await run.settle(books, number, now_us=CLOSES)
    owner = await co_op.owner()
    for attack in ("SET is_closed = false", "SET voted = set_bit(voted, 2, 1)", "SET last_at = now()"):
        with pytest.raises(asyncpg.PostgresError, match="is closed"):
            await owner.execute(f"UPDATE billing.turnout {attack}")
    with pytest.raises(asyncpg.PostgresError, match="is closed"):
        await owner.execute(BALLOT, number, "e" * 32, "members", "for", None)


async def test_nobody_is_added_to_a_roll(co_op: Coop) -> None:
    books, number = await voted(co_op)
    with pytest.raises(asyncpg.PostgresError, match="roll of proposal 1 is complete"):
        await books.execute("INSERT INTO billing.voter VALUES ($1, 99, 5, 'members')", number)


async def test_a_vote_is_opened_with_a_whole_roll_and_nobody_voted(co_op: Coop) -> None:
    await co_op.found(*NAMES)
    books = await co_op.books()
    number = await proposed(books)
    poll = (
        "INSERT INTO billing.poll VALUES (1, 'x', encode(sha256('x'), 'hex'), true, '2026-11-01Z', '2026-11-02Z',"
        " '2026-11-03Z', 'test', '2026-11-01Z')"
    )
    with pytest.raises(asyncpg.RaiseError, match="opened without a roll"):
        await books.execute(poll)
    for roll, bits in (([0, 1], "10"), ([0, 2], "000"), ([0, 1], "000"), ([], "")):
        await books.execute("BEGIN")
        await books.execute(poll)
        voters = "INSERT INTO billing.voter SELECT $1, n + 1, n, 'members' FROM unnest($2::integer[]) n"
        await books.execute(voters, number, roll)
        turnout = "INSERT INTO billing.turnout (proposal, voted) VALUES ($1, $2::text::bit varying)"
        with pytest.raises(asyncpg.RaiseError, match="bits for a roll"):
            await books.execute(turnout, number, bits)
        await books.execute("ROLLBACK")


@pytest.mark.parametrize(
    "change", ["a ballot left out", "another place", "another one before", "another digest"]
)
async def test_a_result_that_is_not_its_box_is_refused(co_op: Coop, change: str) -> None:
    books, number = await voted(co_op)
    poll = (await store.polls(books, [number]))[number]
    ballots = await store.ballots(books, number)
    text = result_document(
        poll.document,
        ballots,
        [MemberId(1), MemberId(2)],
        outcome(ballots, poll.terms),
        [],
        place=1,
        previous="",
    )
    told = json.loads(text)
    if change == "a ballot left out":
        told["ballots"].pop()
    elif change == "another place":
        told["place"] = 2
    elif change == "another one before":
        told["previous"] = "ab" * 32
    text = canonical(told)
    sha256 = "ab" * 32 if change == "another digest" else digest(text)
    with pytest.raises(asyncpg.PostgresError, match="is not closed"):
        await store.insert_result(books, number, text, sha256, is_adopted=True, now_us=CLOSES)
    await store.close_box(books, number)
    with pytest.raises(asyncpg.PostgresError, match=r"leaves ballots out|before it|vote_result_check"):
        await store.insert_result(books, number, text, sha256, is_adopted=True, now_us=CLOSES)


async def test_what_was_not_adopted_becomes_no_resolution(co_op: Coop) -> None:
    books, number = await voted(co_op)
    await run.settle(books, number, now_us=CLOSES)
    with pytest.raises(asyncpg.RaiseError, match="was not adopted"):
        await books.execute("INSERT INTO billing.adopted VALUES ($1, '2026-1')", number)


async def test_the_database_refuses_a_change_after_the_opening(co_op: Coop) -> None:
    books, number = await voted(co_op)
    owner = await co_op.owner()
    attachment = (
        "INSERT INTO billing.proposal_attachment VALUES ($1, 9, 'n', 'text/plain', encode(sha256('x'), 'hex'), 'x', 'w',"
        " now())"
    )
    for attack in (
        "INSERT INTO billing.proposal_text VALUES ($1, 9, 't', 'b', NULL, 'w', now())",
        attachment,
    ):
        for each in (books, owner):
            with pytest.raises(asyncpg.PostgresError, match="stays as it is"):
                await each.execute(attack, number)
    await run.settle(books, number, now_us=CLOSES)
    with pytest.raises(asyncpg.PostgresError, match="its discussion is over"):
        await owner.execute("INSERT INTO billing.proposal_comment VALUES ($1, 9, 1, 'b', now())", number)


async def test_nothing_in_the_tables_joins_who_voted_and_what(co_op: Coop) -> None:
    """As the owner of the database, by what every row carries: the transaction that wrote it, and where it lies."""
    books, number = await voted(co_op)
    for member in (3, 4, 5):
        await run.cast(books, number, MemberId(member), "abstain", now_us=DURING)
    owner = await co_op.owner()
    rows = "SELECT count(*) FROM billing.ballot b JOIN billing.{} t ON t.xmin = b.xmin"
    assert 0 == await owner.fetchval(rows.format("voter"))
    assert 1 == await owner.fetchval(rows.format("turnout"))  # the last one, until the box is closed
    await run.settle(books, number, now_us=CLOSES)
    every = await owner.fetch(
        "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables"
        " WHERE table_type = 'BASE TABLE' AND table_schema IN ('meter', 'gateway', 'billing')"
    )
    joined = [
        one["name"]
        for one in every
        if one["name"] != "billing.ballot"
        and await owner.fetchval(
            f"SELECT EXISTS (SELECT FROM billing.ballot b JOIN {one['name']} t ON t.xmin = b.xmin)"
        )
    ]
    assert [] == joined
    columns = await owner.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'billing' AND table_name = 'ballot'"
    )
    assert {"proposal", "receipt", "chamber", "vote", "member"} == {one["column_name"] for one in columns}
    assert [None] * 5 == [one["member"] for one in await owner.fetch("SELECT member FROM billing.ballot")]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await books.fetch("SELECT xmin FROM billing.ballot")


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("ballot", "vote = 'abstain'", "the ballots in the box"),
        ("turnout", "voted = B'00011'", "who voted is not"),
        ("proposal_comment", "body = 'No.'", "discussion was changed"),
        ("proposal_text", "body = 'We sell it.'", "its words are not those"),
        ("proposal_attachment", "content = 'y', sha256 = encode(sha256('y'), 'hex')", "its papers are not those"),
        ("vote_result", OTHER_DISK, "the terms"),
        ("vote_result", "place = 3", "does not name the result before it"),
    ],
)  # fmt: skip
async def test_what_whoever_owns_the_machine_changes_later_is_seen(
    co_op: Coop, table: str, change: str, words: str
) -> None:
    books, number = await voted(co_op)
    other = await proposed(books)
    await opened(books, other)
    await run.settle(books, number, now_us=CLOSES)
    await run.settle(books, other, now_us=CLOSES)
    assert [] == await proof.verify(books)
    owner = await co_op.owner()
    where = {"vote_result": "place = 1", "turnout": "is_closed"}.get(table, "true")
    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(f"UPDATE billing.{table} SET {change} WHERE proposal = {number} AND {where}")
    assert [one for one in await proof.verify(books) if words in one]
