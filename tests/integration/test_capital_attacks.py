"""Capital's tables attacked in SQL with billing's own role, and where its grants would hide it, as the owner."""

from datetime import date
from fractions import Fraction

import asyncpg
import pytest

from billing.capital import unclaimed_run
from billing.capital.exit_run import Leaving, leave
from billing.capital.retirement import Method
from billing.capital.run import Retirement, retire
from billing.ledger.entry import Account
from billing.notices import run as notice_run
from billing.notices.notice import State
from billing.rules.afterwards import afterwards
from tests.capital import allocate, gone, money, move, waits
from tests.coop import NOW, Coop
from tests.integration.test_capital import YEAR_US
from tests.unit.test_notices import DOCUMENT

TABLES = {
    "capital_act": "document", "capital_line": "kind", "capital_exit": "rate", "capital_instalment": "act",
    "capital_due": "act", "capital_request": "why", "capital_contact": "why", "capital_forfeit": "rule",
    "capital_claim": "act", "notice": "document", "notice_event": "evidence",
}  # fmt: skip
ACT = (
    "INSERT INTO billing.capital_act"
    " (kind, resolution, idempotency_key, document, digest, amount_minor, lines, made_at)"
    " VALUES ('{kind}', 'r', '{kind}', '{{}}', repeat('a', 64), {amount}, {lines}, now()) RETURNING number"
)


LINE = "INSERT INTO billing.capital_line VALUES ($1, 1, 1, 2020, 'plain', 5)"


async def planted(
    connection: asyncpg.Connection, kind: str, *statements: str, amount: int = 5, lines: int = 1
) -> None:
    """One transaction that writes an act and what is said to belong to it; $1 is the act's number."""
    async with connection.transaction():
        act = await connection.fetchval(ACT.format(kind=kind, amount=amount, lines=lines))
        for one in statements:
            await connection.execute(one, act)


async def everything(co_op: Coop) -> asyncpg.Connection:
    """One of each: retirement 1, exit 2 (of ben), forfeit 3 (of carla), claim 4, notices 5."""
    anna, ben, carla, _ = await co_op.found("anna", "ben", "carla", "wim")
    connection = await co_op.books()
    await allocate(connection, {(2020, anna): 1_000, (2021, ben): 500})
    await money(connection, 100_000)
    await retire(connection, Retirement(Method.FIFO, "10.00", "r"), trial=False, now_us=NOW)
    await gone(co_op, ben)
    asked = Leaving(ben, date(2026, 11, 3), "r", afterwards("us-selc"), base_rate=Fraction(1, 20))
    await leave(connection, asked, trial=False, now_us=NOW)
    await waits(connection, carla, 6_000, since_us=NOW - 3 * YEAR_US)
    await unclaimed_run.forfeit(connection, "arizona", "r", trial=False, now_us=NOW)
    await unclaimed_run.claim(connection, carla, "40.00", "r", "proof", trial=False, now_us=NOW)
    await notice_run.make(connection, DOCUMENT, afterwards("us-selc"), trial=False, now_us=NOW)
    await notice_run.step(
        connection, 2026, [anna], state=State.SENT, how="letter", evidence="list 1", now_us=NOW
    )
    return connection


async def test_nothing_is_changed_or_removed_by_our_own_role_or_by_the_owner(co_op: Coop) -> None:
    connection, owner = await everything(co_op), await co_op.owner()
    for table, column in TABLES.items():
        for attack in (
            f"UPDATE billing.{table} SET {column} = {column}",
            f"DELETE FROM billing.{table}",
            f"TRUNCATE billing.{table} CASCADE",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(attack)
            with pytest.raises(asyncpg.RaiseError, match="is only added to"):
                await owner.execute(attack)


@pytest.mark.parametrize(
    "attack",
    [
        "INSERT INTO billing.capital_line VALUES (1, 2, 2, 2021, 'plain', 5)",
        "INSERT INTO billing.capital_line VALUES (3, 1, 2, 2021, 'plain', 5)",
        "INSERT INTO billing.capital_claim VALUES (4, 2, 3, 1)",
        "INSERT INTO billing.capital_exit VALUES (1, 1, '2026-01-01', 'exit', 0, '0/1', 0)",
        "INSERT INTO billing.capital_forfeit VALUES (1, 1, 'held', '2020-01-01', 'collective:main', false, 1)",
        "INSERT INTO billing.notice VALUES (1, 2030, 5, 5, '{}', repeat('a', 64), now())",
    ],
)
async def test_nothing_is_added_to_an_act_that_is_complete(co_op: Coop, attack: str) -> None:
    connection = await everything(co_op)
    with pytest.raises(asyncpg.RaiseError, match="has no place for this"):
        await connection.execute(attack)


async def test_a_schedule_gets_no_further_part(co_op: Coop) -> None:
    connection = await everything(co_op)
    with pytest.raises(asyncpg.RaiseError, match="exit 2 has no instalment 6"):
        await connection.execute("INSERT INTO billing.capital_instalment VALUES (2, 6, '2030-01-01', 1, 0)")


def debt(parts: tuple[int, ...], places: int) -> list[str]:
    """A debt of 5 in so many places, and its parts."""
    found = [
        LINE,
        f"INSERT INTO billing.capital_exit VALUES ($1, 1, '2026-01-01', 'exit', 5, '0/1', {places})",
    ]
    for place, part in enumerate(parts, 1):
        found.append(f"INSERT INTO billing.capital_instalment VALUES ($1, {place}, '2030-01-01', {part}, 0)")
    return found


@pytest.mark.parametrize(("parts", "places"), [((3, 1), 2), ((3, 3), 2), ((5,), 2), ((), 1)])
async def test_a_schedule_that_is_not_the_debt_is_refused(
    co_op: Coop, parts: tuple[int, ...], places: int
) -> None:
    await co_op.found("anna")
    with pytest.raises(asyncpg.RaiseError, match="the schedule of exit 1 pays"):
        await planted(await co_op.books(), "exit", *debt(parts, places))


async def test_a_schedule_that_is_the_debt_is_taken(co_op: Coop) -> None:
    await co_op.found("anna")
    connection = await co_op.books()
    await planted(connection, "exit", *debt((3, 2), 2))
    assert 2 == await connection.fetchval("SELECT count(*) FROM billing.capital_instalment")


@pytest.mark.parametrize(("amount", "lines"), [(6, 1), (4, 1), (5, 2), (5, 0)])
async def test_an_act_whose_lines_are_not_its_amount_is_refused(co_op: Coop, amount: int, lines: int) -> None:
    await co_op.found("anna")
    with pytest.raises(asyncpg.RaiseError, match="act 1 "):
        await planted(await co_op.books(), "retirement", LINE, amount=amount, lines=lines)


async def test_a_lot_is_never_taken_below_zero(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    connection = await co_op.books()
    await allocate(connection, {(2020, anna): 4})
    transaction = connection.transaction()
    await transaction.start()
    await planted(connection, "retirement", LINE)
    await move(
        connection, [(Account("capital:member:1:2020:plain"), 5), (Account("payable:member:1"), -5)], key="x"
    )
    with pytest.raises(
        asyncpg.RaiseError, match="act 1 takes more from capital:member:1:2020:plain than there is"
    ):
        await transaction.commit()


async def test_an_exit_without_a_debt_is_refused(co_op: Coop) -> None:
    await co_op.found("anna")
    with pytest.raises(asyncpg.RaiseError, match="act 1 names no debt"):
        await planted(await co_op.books(), "exit", LINE)


async def test_more_than_was_forfeited_is_never_claimed(co_op: Coop) -> None:
    connection = await everything(co_op)
    # 60.00 were forfeited and 40.00 claimed.
    await planted(
        connection, "claim", "INSERT INTO billing.capital_claim VALUES ($1, 1, 3, 1999)", amount=1999
    )
    again = ACT.replace("'{kind}', '{{}}'", "'again', '{{}}'").format(kind="claim", amount=2, lines=1)
    with pytest.raises(asyncpg.RaiseError, match="more is claimed than forfeit 3 was"):
        await connection.execute(
            f"WITH act AS ({again}) INSERT INTO billing.capital_claim SELECT number, 1, 3, 2 FROM act"
        )


async def test_an_instalment_is_made_payable_once_and_not_before_its_day(co_op: Coop) -> None:
    connection = await everything(co_op)
    with pytest.raises(asyncpg.RaiseError, match="instalment 1 of exit 2 is not due yet"):
        await connection.execute("INSERT INTO billing.capital_due VALUES (2, 1, 1, '2026-12-30')")
    await connection.execute("INSERT INTO billing.capital_due VALUES (2, 1, 1, '2027-01-01')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("INSERT INTO billing.capital_due VALUES (2, 1, 2, '2027-01-01')")


@pytest.mark.parametrize(
    ("member", "state", "evidence", "sentence"),
    [
        (2, "delivered", "x", "a notice that is created cannot be delivered"),
        (1, "sent", "x", "a notice that is sent cannot be sent"),
        (2, "sent", "  ", "evidence_check"),
        (2, "created", "x", "a notice that is created cannot be created"),
        (9, "sent", "x", "violates foreign key"),
    ],
)
async def test_a_notice_takes_no_wrong_step(
    co_op: Coop, member: int, state: str, evidence: str, sentence: str
) -> None:
    connection = await everything(co_op)
    with pytest.raises(asyncpg.PostgresError, match=sentence):
        await connection.execute(
            "INSERT INTO billing.notice_event VALUES ($1, 2026, 1, $2, 'letter', $3, now())",
            member, state, evidence,
        )  # fmt: skip


async def test_a_key_is_used_once_and_numbers_have_no_gap(co_op: Coop) -> None:
    connection = await everything(co_op)
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            ACT.format(kind="retirement", amount=0, lines=0).replace(
                "'retirement', '{}'", "'retirement:r', '{}'"
            )
        )
    rows = await connection.fetch("SELECT number FROM billing.capital_act ORDER BY number")
    assert [1, 2, 3, 4, 5] == [row["number"] for row in rows]


async def test_an_exit_is_booked_once_a_member_and_day(co_op: Coop) -> None:
    connection = await everything(co_op)
    again = "INSERT INTO billing.capital_exit VALUES ($1, 2, '2026-11-03', 'exit', 0, '0/1', 0)"
    with pytest.raises(asyncpg.UniqueViolationError):
        await planted(connection, "exit", LINE, again)
