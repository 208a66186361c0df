"""Members paid through the bank, once; its statement into the books, once; and nobody's account in the open."""

from __future__ import annotations

import logging
from datetime import date

import asyncpg
import pytest

from billing.capital import unclaimed_run
from billing.ledger import books
from billing.ledger import store as ledger_store
from billing.ledger.entry import Account, Entry, EntryKind, Posting, payable, receivable
from billing.payments import run as pay
from billing.payments import store as pay_store
from billing.payments.ordering import LeftOut, order
from billing.payments.run import Exported
from billing.run import set_tariff
from deploy.commands.pay import MasterSeal
from gateway.vault import Vault
from meter.ids import MemberId
from meter.refusal import Refusal
from tests.coop import NOVEMBER, NOW, TARIFF, Coop
from tests.unit.test_bank import camt, details, entry

OWN, ANNA, BEN = "DE02120300000000202051", "DE89370400440532013000", "NL91ABNA0417164300"
DAY = date(2026, 11, 9)


@pytest.fixture
def seal() -> MasterSeal:
    return MasterSeal(Vault(b"\x07" * 32))


async def owing(connection: asyncpg.Connection, *, key: str = "share", **amounts: int) -> None:
    """What the year's closing leaves: cents owed to members 1 (anna), 2 (ben), 3 (chloe)."""
    sides = [
        (payable(MemberId(number)), -amounts[name])
        for number, name in enumerate(("anna", "ben", "chloe"), 1)
        if name in amounts
    ]
    total = sum(amounts.values())
    postings = tuple(Posting(*one) for one in [(Account("surplus:undistributed"), total), *sides])
    await ledger_store.post(connection, Entry(NOVEMBER, EntryKind.ALLOCATION, "", postings, key), now_us=NOW)


async def a_co_op(co_op: Coop, seal: MasterSeal) -> asyncpg.Connection:
    await co_op.found("anna", "ben", "chloe")
    connection = await co_op.books()
    for member, iban in ((None, OWN), (MemberId(1), ANNA), (MemberId(2), BEN)):
        await pay.set_account(connection, member, name="A B", iban=iban, seal=seal, now_us=NOW)
    await owing(connection, anna=1089, ben=6503, chloe=4209)
    return connection


async def chloe_too(connection: asyncpg.Connection, seal: MasterSeal) -> None:
    """Nobody is left without an account."""
    await pay.set_account(connection, MemberId(3), name="C", iban="BE68539007547034", seal=seal, now_us=NOW)


async def ordered(connection: asyncpg.Connection, seal: MasterSeal, *, minimum: int = 0) -> Exported | None:
    return await pay.export(connection, execute_on=DAY, minimum_minor=minimum, seal=seal, now_us=NOW)


async def imported(
    connection: asyncpg.Connection, seal: MasterSeal, *lines: str
) -> tuple[int, int, int, int]:
    done = await pay.import_statement(connection, camt(*lines), seal=seal, now_us=NOW)
    return done.lines, done.known, done.booked, done.unmatched


async def balance(connection: asyncpg.Connection, account: str) -> int:
    sums = await ledger_store.account_sums(connection, first=None, last=NOVEMBER, by_member=True)
    return {one.account: one.closing_minor for one in sums}.get(account, 0)


def paid(number: int, amount: str, *, ref: str = "R1", side: str = "DBIT", batch: int = 1, reason: str = "") -> str:  # fmt: skip
    text = details("p", e2e=f"WEIR-PAY-{batch}-M{number}", side="Cdtr", name="x", pty=False, reason=reason)
    return entry(amount, side, ref=ref, inner=text)


def came(text: str, amount: str, *, ref: str = "C1") -> str:
    return entry(amount, ref=ref, inner=details(text, name="Someone", pty=False))


async def test_what_is_owed_goes_to_the_bank_once(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    first = await ordered(connection, seal)
    assert first is not None
    assert (2, 7592, ("chloe",)) == (
        first.batch.orders, first.batch.total_minor, first.left_out.without_account
    )  # fmt: skip
    assert [f"<IBAN>{one}</IBAN>" in first.file for one in (OWN, ANNA, BEN)] == [True] * 3
    await chloe_too(connection, seal)
    second = await ordered(connection, seal)
    assert second is not None
    assert (1, 4209) == (second.batch.orders, second.batch.total_minor)
    assert await ordered(connection, seal) is None


async def test_a_day_that_is_over_in_utc_is_refused_with_the_day_it_is_there(
    co_op: Coop, seal: MasterSeal
) -> None:
    connection = await a_co_op(co_op, seal)
    with pytest.raises(Refusal, match=r"2026-11-05 is over \(in UTC it is 2026-11-06\)"):
        await order(connection, execute_on=date(2026, 11, 5), minimum_minor=0, now_us=NOW)


async def test_whoever_cannot_be_reached_is_left_out_and_named_until_they_can(
    co_op: Coop, seal: MasterSeal
) -> None:
    connection = await a_co_op(co_op, seal)
    await chloe_too(connection, seal)
    for member in (MemberId(1), MemberId(2)):
        await unclaimed_run.mark(connection, member, reached=False, why="letters came back", now_us=NOW)
    await unclaimed_run.mark(connection, MemberId(1), reached=True, why="she called", now_us=NOW)
    first = await ordered(connection, seal)
    assert first is not None
    assert (2, 1089 + 4209, LeftOut(lost=("ben",))) == (
        first.batch.orders, first.batch.total_minor, first.left_out
    )  # fmt: skip
    assert BEN not in first.file
    with pytest.raises(Refusal, match=r"nobody who is owed can be paid: contact was lost .* with ben$"):
        await ordered(connection, seal)
    await unclaimed_run.mark(connection, MemberId(2), reached=True, why="a new address", now_us=NOW)
    second = await ordered(connection, seal)
    assert second is not None
    assert (1, 6503, LeftOut()) == (second.batch.orders, second.batch.total_minor, second.left_out)


async def test_the_file_of_a_batch_is_the_same_again_also_after_an_account_changed(
    co_op: Coop, seal: MasterSeal
) -> None:
    connection = await a_co_op(co_op, seal)
    first = await ordered(connection, seal)
    assert first is not None
    await pay.set_account(connection, MemberId(1), name="New", iban="BE68539007547034", seal=seal, now_us=NOW)
    assert first.file == (await pay.export_again(connection, 1, seal=seal)).file
    with pytest.raises(Refusal, match="there is no batch 2"):
        await pay.export_again(connection, 2, seal=seal)


async def test_small_amounts_wait_and_only_what_came_since_is_added(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    first = await ordered(connection, seal, minimum=2000)
    assert first is not None
    assert (1, 6503) == (first.batch.orders, first.batch.total_minor)
    await owing(connection, anna=1000, ben=10, key="more")
    second = await ordered(connection, seal)
    assert second is not None
    orders = await pay_store.orders(connection, batch=2)
    assert [(1, 2089), (2, 10)] == [(one.member, one.amount_minor) for one in orders]


async def test_the_bank_s_statement_settles_the_orders(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    await ordered(connection, seal)
    assert (2, 0, 2, 0) == await imported(connection, seal, paid(1, "10.89"), paid(2, "65.03", ref="R2"))
    assert [0, 0, -7592] == [
        await balance(connection, one) for one in ("payable:member:1", "payable:member:2", "bank:main")
    ]
    (batch,) = await pay_store.batches(connection)
    assert (0, 2, 0, 0) == (batch.waiting, batch.paid, batch.cancelled, batch.returned)


async def test_a_statement_imported_twice_changes_nothing(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    await ordered(connection, seal)
    lines = (paid(1, "10.89"), came("WEIR-1-2026-10", "5.00"), came("hello", "1.00", ref="C2"))
    assert (3, 0, 2, 1) == await imported(connection, seal, *lines)
    count = await connection.fetchval("SELECT count(*) FROM billing.entry")
    assert (3, 3, 0, 0) == await imported(connection, seal, *lines)
    assert (4, 3, 1, 0) == await imported(connection, seal, *lines, paid(2, "65.03", ref="R9"))
    assert count + 1 == await connection.fetchval("SELECT count(*) FROM billing.entry")
    assert 1 == len(await pay.unmatched(connection, seal=seal))


async def test_a_batch_that_the_bank_books_as_one_line_is_settled_whole(
    co_op: Coop, seal: MasterSeal
) -> None:
    connection = await a_co_op(co_op, seal)
    await ordered(connection, seal)
    whole = entry("75.92", "DBIT", inner="<Btch><PmtInfId>WEIR-PAY-1</PmtInfId></Btch>")
    assert (1, 0, 1, 0) == await imported(connection, seal, whole)
    assert 0 == await balance(connection, "payable:member:2")


async def test_another_amount_than_was_ordered_settles_nothing(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    await ordered(connection, seal)
    assert (1, 0, 0, 1) == await imported(connection, seal, paid(1, "10.88"))
    assert -1089 == await balance(connection, "payable:member:1")


async def test_what_the_bank_gives_back_is_owed_again(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    await ordered(connection, seal)
    await imported(connection, seal, paid(1, "10.89"))
    assert (1, 0, 1, 0) == await imported(connection, seal, paid(1, "10.89", ref="R8", side="CRDT"))
    assert [-1089, 0] == [await balance(connection, one) for one in ("payable:member:1", "bank:main")]
    again = await ordered(connection, seal)
    assert again is not None
    assert (1, 1089) == (again.batch.orders, again.batch.total_minor)


async def test_a_cancelled_batch_is_owed_again_and_its_file_is_not_given(
    co_op: Coop, seal: MasterSeal
) -> None:
    connection = await a_co_op(co_op, seal)
    await ordered(connection, seal)
    assert 2 == (await pay.cancel(connection, 1, now_us=NOW)).cancelled
    with pytest.raises(Refusal, match="nothing of batch 1 waits"):
        await pay.cancel(connection, 1, now_us=NOW)
    with pytest.raises(Refusal, match="batch 1 was cancelled"):
        await pay.export_again(connection, 1, seal=seal)
    again = await ordered(connection, seal)
    assert again is not None
    assert 7592 == again.batch.total_minor


async def test_money_that_names_an_invoice_pays_it(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    assert (3, 0, 1, 2) == await imported(
        connection, seal, came("weir-2-2026-10 thanks", "5.00"), came("WEIR-99-2026-10", "1.00", ref="C2"),
        came("WEIR-1-2026-10 WEIR-2-2026-10", "2.00", ref="C3"),
    )  # fmt: skip
    assert -500 == await balance(connection, receivable(MemberId(2)))
    (done,) = await ledger_store.entries(connection, after=1, count_max=9)
    assert ("bank line 1 of 2026-11-03: use of member 2 in 2026-10", NOVEMBER) == (done.memo, done.month)


async def test_an_unmatched_line_is_assigned_once(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    await imported(connection, seal, came("who am I", "5.00"), entry("20.00", "DBIT", ref="R5"))
    told = await pay.unmatched(connection, seal=seal)
    assert [("Someone", BEN, "who am I"), ("", "", "")] == [(one.name, one.iban, one.text) for one in told]
    assert "Someone" not in repr(told)
    number = await pay.assign(connection, 2, "payable:suppliers", memo="power", now_us=NOW)
    assert 2000 == await balance(connection, "payable:suppliers")
    with pytest.raises(Refusal, match="no line 2 waits"):
        await pay.assign(connection, 2, "payable:suppliers", memo="", now_us=NOW)
    await books.reverse(connection, number, memo="wrong account", now_us=NOW)
    again = await pay.assign(connection, 2, "cost:power", memo="", now_us=NOW)
    assert [0, 2000] == [await balance(connection, one) for one in ("payable:suppliers", "cost:power")]
    assert f"bank:2:{2}" == await connection.fetchval(
        "SELECT idempotency_key FROM billing.entry WHERE number = $1", again
    )


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ("shares:member:1", "shares:member:1 has a register beside it; book it with `weir share`"),
        ("bank:main", "not the bank itself"),
        ("nonsense", "'nonsense' is no account of the books"),
        ("receivable:member:77", "there is no member 77"),
        ("payable:member:1", "member 1's payment waits in batch 1 as WEIR-PAY-1-M1"),
    ],
)  # fmt: skip
async def test_a_line_is_not_assigned_anywhere(
    co_op: Coop, seal: MasterSeal, account: str, words: str
) -> None:
    connection = await a_co_op(co_op, seal)
    await ordered(connection, seal)
    await imported(connection, seal, entry("10.89", "DBIT", ref="R5"))
    with pytest.raises(Refusal, match=words):
        await pay.assign(connection, 1, account, memo="", now_us=NOW)


async def test_a_line_is_tied_to_the_entry_that_moved_its_money(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    await imported(connection, seal, came("a share", "5.00"), came("a share", "5.00", ref="C2"))
    made = {
        amount: await ledger_store.post(
            connection,
            Entry(NOVEMBER, EntryKind.PAYMENT, "", (Posting(Account("bank:main"), amount), Posting(Account("shares:member:1"), -amount)), f"s{amount}"),
            now_us=NOW,
        )
        for amount in (500, 400)
    }  # fmt: skip
    with pytest.raises(Refusal, match="does not move the money of line 1"):
        await pay.assign_entry(connection, 1, made[400])
    with pytest.raises(Refusal, match="there is no entry 99"):
        await pay.assign_entry(connection, 1, 99)
    await pay.assign_entry(connection, 1, made[500])
    with pytest.raises(Refusal, match="belongs to another line"):
        await pay.assign_entry(connection, 2, made[500])
    assert [2] == [one.line.number for one in await pay.unmatched(connection, seal=seal)]


async def test_what_waits_at_the_bank_is_not_paid_by_hand(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    await ordered(connection, seal)
    sides = [
        books.Side("payable:member:1", "10.89", is_debit=True),
        books.Side("bank:main", "10.89", is_debit=False),
    ]
    with pytest.raises(Refusal, match="waits in batch 1"):
        await books.post_by_hand(connection, sides, period=NOVEMBER, memo="cash", key="k", now_us=NOW)


async def test_a_reversed_settlement_waits_again_instead_of_being_paid_twice(
    co_op: Coop, seal: MasterSeal
) -> None:
    connection = await a_co_op(co_op, seal)
    await chloe_too(connection, seal)
    await ordered(connection, seal)
    await imported(connection, seal, paid(1, "10.89"))
    number = await ledger_store.key_number(connection, "bank:1")
    assert number is not None
    await books.reverse(connection, number, memo="wrong line", now_us=NOW)
    assert await ordered(connection, seal) is None
    assert 3 == (await pay_store.batches(connection))[0].waiting


async def test_a_wrong_statement_leaves_nothing(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    later = entry("1.00").replace("2026-11-03", "2027-01-01")
    for body, words in (
        (camt(came("WEIR-1-2026-10", "5.00"), later), "a line is dated 2027-01-01"),
        (camt(entry("1.00"), iban=BEN), "another account than the co-op's own"),
    ):
        with pytest.raises(Refusal, match=words):
            await pay.import_statement(connection, body, seal=seal, now_us=NOW)
    assert 0 == await connection.fetchval("SELECT count(*) FROM billing.bank_line")


@pytest.mark.parametrize(
    ("prepared", "words"),
    [
        ("nothing", "the co-op's own account is not known yet"),
        ("own", r"nobody who is owed can be paid: no account is known .* of anna$"),
        ("late", "--on: 2026-11-09 is over"),
        ("dollars", "SEPA carries EUR alone"),
    ],
)
async def test_an_export_needs_accounts_a_day_and_euro(
    co_op: Coop, seal: MasterSeal, prepared: str, words: str
) -> None:
    connection = await co_op.books()
    if prepared == "dollars":
        await books_in_dollars(connection)
    else:
        await co_op.found("anna")
        await owing(connection, anna=5)
    if prepared == "own":
        await pay.set_account(connection, None, name="Us", iban=OWN, seal=seal, now_us=NOW)
    now = NOW + (30 * 86_400 * 10**6 if prepared == "late" else 0)
    with pytest.raises(Refusal, match=words):
        await pay.export(connection, execute_on=DAY, minimum_minor=0, seal=seal, now_us=now)


async def books_in_dollars(connection: asyncpg.Connection) -> None:
    await set_tariff(connection, TARIFF.replace("EUR", "USD"), now_us=NOW)


async def test_no_name_and_no_number_is_readable_in_the_database_or_logged(
    co_op: Coop, seal: MasterSeal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connection = await a_co_op(co_op, seal)
    await pay.set_account(connection, MemberId(1), name="Xanthippe", iban=ANNA, seal=seal, now_us=NOW)
    await ordered(connection, seal)
    await imported(connection, seal, came("secret text", "5.00"), paid(1, "10.89"))
    owner = await co_op.owner()
    tables = [
        row["tablename"]
        for row in await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'billing'")
    ]
    rows = [
        str(row["line"])
        for name in tables
        for row in await owner.fetch(f"SELECT t::text AS line FROM billing.{name} t")
    ]
    assert len(rows) > 10
    for secret in (OWN, ANNA, BEN, "Xanthippe", "Someone", "secret text"):
        for form in (secret, secret.encode().hex()):
            assert [] == [row for row in rows if form in row]
            assert form not in caplog.text


async def test_a_row_moved_to_another_member_does_not_open(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    await connection.execute(
        "INSERT INTO billing.bank_account (member, sealed, last_four, set_at)"
        " SELECT 2, sealed, last_four, now() FROM billing.bank_account WHERE member = 1"
    )
    with pytest.raises(Refusal, match="does not open with this master key"):
        await ordered(connection, seal)


async def test_the_database_refuses_what_the_code_would_not_do(co_op: Coop, seal: MasterSeal) -> None:
    connection = await a_co_op(co_op, seal)
    await ordered(connection, seal)
    await imported(connection, seal, paid(1, "10.89"), came("x", "5.00"))
    for attack, words in (
        ("INSERT INTO billing.payment_order VALUES (1, 3, 4210, 2, 'X')", "member 3 is owed 4209, and 4210 would wait"),
        ("INSERT INTO billing.payment_order VALUES (1, 1, 1, 2, 'X')", "duplicate key"),
        ("INSERT INTO billing.payment_order VALUES (1, 3, 1, 2, 'WEIR-PAY-1-M1')", "duplicate key"),
        ("INSERT INTO billing.payment_order VALUES (1, 3, -1, 2, 'X')", "amount_minor_check"),
        ("INSERT INTO billing.payment_outcome VALUES (1, 1, 'cancelled', NULL, now())", "is paid, and cannot become cancelled"),
        ("INSERT INTO billing.payment_outcome VALUES (1, 1, 'paid', 1, now())", "is paid, and cannot become paid"),
        ("INSERT INTO billing.payment_outcome VALUES (1, 2, 'returned', 1, now())", "is waiting, and cannot become returned"),
        ("INSERT INTO billing.payment_outcome VALUES (1, 2, 'paid', NULL, now())", "payment_outcome_check"),
        ("INSERT INTO billing.bank_line_entry VALUES (1, 2)", "line 1 of the bank is booked already"),
        ("INSERT INTO billing.bank_line_entry VALUES (2, 1)", "entry 1 does not move the money of line 2"),
    ):  # fmt: skip
        with pytest.raises(asyncpg.PostgresError, match=words):
            await connection.execute(attack)
    for table in (
        "bank_account",
        "payment_batch",
        "payment_order",
        "payment_outcome",
        "bank_line",
        "bank_line_entry",
    ):
        for attack in (f"DELETE FROM billing.{table}", f"TRUNCATE billing.{table} CASCADE"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(attack)
            with pytest.raises(asyncpg.RaiseError, match="is only added to"):
                await (await co_op.owner()).execute(attack)


async def test_two_exports_at_once_pay_once(co_op: Coop, seal: MasterSeal) -> None:
    first, second = await a_co_op(co_op, seal), await co_op.books()
    await chloe_too(first, seal)
    transaction = first.transaction()
    await transaction.start()
    assert await ordered(first, seal) is not None
    await second.execute("SET lock_timeout = '100ms'")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await ordered(second, seal)
    await transaction.commit()
    assert await ordered(second, seal) is None


async def test_other_roles_see_no_account(co_op: Coop, seal: MasterSeal) -> None:
    await a_co_op(co_op, seal)
    for role in ("weir_meter", "weir_gateway"):
        connection = await co_op.connection(role)
        for table in ("bank_account", "bank_line", "payment_order"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"SELECT * FROM billing.{table}")
