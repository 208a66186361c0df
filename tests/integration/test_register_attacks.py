"""The register attacked in SQL: with billing's own role, and where its grants would hide it, as the owner."""

from __future__ import annotations

from datetime import date

import asyncpg
import pytest

from billing.ledger.entry import Account, Entry, EntryKind, Posting
from billing.register.operations import Operation, OperationKind
from billing.register.run import add_share_kind, change_class, enter_shares
from billing.run import close
from billing.store import post
from meter.store import add_member, set_member_status
from meter.usage import MemberClass, MemberStatus
from meter.window import Month, to_datetime
from tests.coop import NOVEMBER, NOW, OCTOBER, Coop

TABLES = {
    "share_kind": "who", "operation": "memo", "resolution": "who", "consent": "who", "hours": "who",
    "rule_set_choice": "who", "particulars": "email",
}  # fmt: skip
COLUMNS = {
    "kind": "'subscription'", "member": "1", "classes": "NULL", "share_kind": "'member'", "quantity": "NULL",
    "amount_minor": "NULL", "counterpart": "NULL", "to_kind": "NULL", "to_quantity": "NULL", "corrects": "NULL",
    "entry": "NULL", "who": "'attacker'", "effective_at": "'2026-11-02Z'", "recorded_at": "'2026-11-03Z'",
}  # fmt: skip


async def a_register(co_op: Coop) -> asyncpg.Connection:
    """Anna (1) holds two shares, one of them paid; ben (2) is a member, shop (3) a customer, carl (4) has left.

    The operations are 1 to 7, and October is closed.
    """
    anna, _ = await co_op.found("anna", "ben")
    owner, books = await co_op.owner(), await co_op.books()
    await add_member(
        owner, name="shop", member_class=MemberClass.CUSTOMER, email="", now_us=NOVEMBER.start_us
    )
    carl = await add_member(
        owner, name="carl", member_class=MemberClass.USER, email="c@example.org", now_us=NOVEMBER.start_us
    )
    await set_member_status(owner, carl.id, MemberStatus.LEFT, now_us=NOVEMBER.start_us + 1)
    for name, par in (("member", "64.00"), ("double", "128.00"), ("workers", "64.00")):
        await add_share_kind(
            books, name=name, par=par, currency=None, held_by=["worker" if name == "workers" else "user"],
            is_investment=False, interest_max=None, who="test", now_us=NOW,
        )  # fmt: skip
    asked = Operation(
        0, OperationKind.SUBSCRIPTION, anna, NOVEMBER.start_us, NOW, "test", share_kind="member", quantity=2
    )
    await enter_shares(books, asked)
    await enter_shares(
        books,
        Operation(
            0,
            OperationKind.PAYMENT,
            anna,
            NOVEMBER.start_us,
            NOW,
            "test",
            share_kind="member",
            amount_minor=6400,
        ),
    )
    await close(books, OCTOBER, now_us=NOW)
    return books


async def attack(connection: asyncpg.Connection, **columns: str) -> None:
    """Insert an operation of these columns as it is written, with the next number if none is given."""
    number = columns.pop("number", "(SELECT max(number) + 1 FROM billing.operation)")
    told = COLUMNS | columns
    await connection.execute(
        f"INSERT INTO billing.operation (number, {', '.join(told)}) VALUES ({number}, {', '.join(told.values())})"
    )


async def booked(connection: asyncpg.Connection, *sides: tuple[str, int]) -> int:
    """An entry of the attacker's own."""
    entry = Entry(
        NOVEMBER,
        EntryKind.SHARE,
        "",
        tuple(Posting(Account(name), amount) for name, amount in sides),
        "planted",
    )
    return await post(connection, entry, now_us=NOW)


async def pay(connection: asyncpg.Connection, amount: int, *sides: tuple[str, int]) -> None:
    """Anna pays on her shares, with an entry of these sides."""
    async with connection.transaction():
        entry = await booked(connection, *sides)
        await attack(connection, kind="'payment'", amount_minor=str(amount), entry=str(entry))


async def test_a_right_operation_is_taken(co_op: Coop) -> None:
    books = await a_register(co_op)
    await attack(books, quantity="1")
    await pay(books, 6400, ("bank:main", 6400), ("shares:member:1", -6400))
    rows = await books.fetch("SELECT shares, paid_minor FROM billing.holding")
    assert [(3, 12800)] == [tuple(row) for row in rows]


WRONG = {
    "a holding below zero": ({"kind": "'redemption'", "quantity": "3", "amount_minor": "0"}, "would hold -1 shares"),
    "what another holds": (
        {"kind": "'redemption'", "member": "2", "quantity": "1", "amount_minor": "0"}, "would hold -1 shares",
    ),
    "shares without what was paid on them": (
        {"kind": "'redemption'", "quantity": "2", "amount_minor": "0"}, "would have paid 6400 on 0 shares",
    ),
    "a transfer to oneself": (
        {"kind": "'transfer'", "quantity": "1", "amount_minor": "0", "counterpart": "1"}, "operation_check",
    ),
    "a transfer to a customer": (
        {"kind": "'transfer'", "quantity": "1", "amount_minor": "0", "counterpart": "3"},
        "not for member 3, who is customer",
    ),
    "a transfer to somebody who left": (
        {"kind": "'transfer'", "quantity": "1", "amount_minor": "0", "counterpart": "4"}, "who is no member then",
    ),
    "a transfer to nobody": (
        {"kind": "'transfer'", "quantity": "1", "amount_minor": "0", "counterpart": "9"}, "who is no member then",
    ),
    "a share held by a customer": ({"member": "3", "quantity": "1"}, "not for member 3, who is customer"),
    "a share of another class": ({"share_kind": "'workers'", "quantity": "1"}, "not for member 1, who is user"),
    "a conversion into another class's": (
        {"kind": "'conversion'", "quantity": "1", "amount_minor": "0", "to_kind": "'workers'", "to_quantity": "1"},
        "not for member 1",
    ),
    "more worth by conversion": (
        {"kind": "'conversion'", "quantity": "1", "amount_minor": "0", "to_kind": "'double'", "to_quantity": "1"},
        "are not worth the same",
    ),
    "no shares": ({"quantity": "0"}, "quantity_check"),
    "fewer than no shares": ({"quantity": "-1"}, "quantity_check"),
    "a payment that is not booked": ({"kind": "'payment'", "amount_minor": "1"}, "operation_check"),
    "a payment back": ({"kind": "'payment'", "amount_minor": "-1", "entry": "1"}, "check"),
    "a number that was given": ({"number": "7", "quantity": "1"}, "operation_pkey"),
    "a number ahead": ({"number": "12", "quantity": "1"}, "numbered without gaps"),
    "a closed month": ({"quantity": "1", "effective_at": "'2026-10-31Z'"}, "the month 2026-10 is closed"),
    "a day to come": ({"quantity": "1", "effective_at": "'2026-11-04Z'"}, "operation_check"),
    "a correction of nothing": ({"kind": "'correction'", "corrects": "99"}, "99 cannot be corrected so"),
    "a correction of who came": ({"kind": "'correction'", "corrects": "1"}, "1 cannot be corrected so"),
    "a correction in another's name": (
        {"kind": "'correction'", "corrects": "6", "member": "2"}, "6 cannot be corrected so",
    ),
    "a correction in a closed month": (
        {"kind": "'correction'", "corrects": "6", "effective_at": "'2026-10-31T23:59Z'"}, "is closed",
    ),
    "a correction that leaves a payment on nothing": (
        {"kind": "'correction'", "corrects": "6"}, "would have paid 6400 on 0 shares",
    ),
    "a correction of a payment without its entry": (
        {"kind": "'correction'", "corrects": "7"}, "its entry in the books disagree",
    ),
    "an unknown kind": ({"kind": "'gift'", "quantity": "1"}, "operation_check"),
    "columns of another kind": ({"quantity": "1", "amount_minor": "5"}, "operation_check"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_billing_enters_nothing_wrong(co_op: Coop, name: str) -> None:
    books = await a_register(co_op)
    columns, words = WRONG[name]
    before = await books.fetchval("SELECT count(*) FROM billing.operation")
    with pytest.raises(asyncpg.PostgresError, match=words):
        await attack(books, **columns)
    assert before == await books.fetchval("SELECT count(*) FROM billing.operation")


MISBOOKED = [
    (("bank:main", 6399), ("shares:member:1", -6399)),
    (("bank:main", 6400), ("shares:member:2", -6400)),
    (("bank:main", -6400), ("shares:member:1", 6400)),
    (("bank:main", 6401), ("shares:member:1", -6400), ("shares:member:2", -1)),
]


@pytest.mark.parametrize("sides", MISBOOKED)
async def test_a_payment_and_its_entry_say_the_same(co_op: Coop, sides: tuple[tuple[str, int], ...]) -> None:
    books = await a_register(co_op)
    with pytest.raises(asyncpg.RaiseError, match="disagree about what was paid"):
        await pay(books, 6400, *sides)


async def test_a_payment_beyond_what_was_subscribed_is_refused(co_op: Coop) -> None:
    books = await a_register(co_op)
    with pytest.raises(asyncpg.RaiseError, match="would have paid 12801 on 2 shares"):
        await pay(books, 6401, ("bank:main", 6401), ("shares:member:1", -6401))


async def test_a_day_in_between_is_looked_at_by_the_database_too(co_op: Coop) -> None:
    """Two more shares from the 3rd on cannot be redeemed on the 2nd, though today's sum would be right."""
    books = await a_register(co_op)
    await attack(books, quantity="2", effective_at="'2026-11-03Z'")
    with pytest.raises(asyncpg.RaiseError, match="would hold -1 shares"):
        await attack(books, kind="'redemption'", quantity="3", amount_minor="0", effective_at="'2026-11-02Z'")


async def test_one_entry_serves_one_operation(co_op: Coop) -> None:
    books = await a_register(co_op)
    entry = await books.fetchval("SELECT entry FROM billing.operation WHERE kind = 'payment'")
    with pytest.raises(asyncpg.UniqueViolationError):
        await attack(books, kind="'payment'", amount_minor="6400", entry=str(entry))


MEMBERSHIP = {
    "come": {"kind": "'join'", "classes": "ARRAY['user']", "member": "3"},
    "change class": {
        "kind": "'class'", "classes": "ARRAY['worker']", "effective_at": "'2026-12-01Z'", "member": "1",
    },
    "leave": {"kind": "'leave'", "member": "2"},
    "move": {"kind": "'address'"},
    "take a change of class back": {"kind": "'correction'", "corrects": "8", "effective_at": "'2026-12-01Z'"},
}  # fmt: skip


@pytest.mark.parametrize("name", MEMBERSHIP)
async def test_billing_does_not_say_who_is_a_member(co_op: Coop, name: str) -> None:
    books = await a_register(co_op)
    await change_class(
        await co_op.owner(), (await _number(books, "ben")), (MemberClass.WORKER,), Month(2026, 12), who="test",
        memo="", now_us=NOW,
    )  # fmt: skip
    columns = {"share_kind": "NULL", "member": "2"} | MEMBERSHIP[name]
    with pytest.raises(asyncpg.PostgresError, match="row-level security"):
        await attack(books, **columns)


async def _number(connection: asyncpg.Connection, name: str) -> object:
    return await connection.fetchval("SELECT id FROM meter.member WHERE name = $1", name)


async def test_no_room_s_role_reads_names_and_addresses_or_writes_holdings(co_op: Coop) -> None:
    await a_register(co_op)
    for role in ("weir_billing", "weir_gateway", "weir_meter", "weir_office"):
        connection = await co_op.connection(role)
        for statement in (
            "SELECT * FROM billing.particulars",
            "INSERT INTO billing.particulars (operation, member) VALUES (1, 1)",
            "UPDATE billing.holding SET shares = 100",
            "INSERT INTO billing.holding VALUES (2, 'member', 1, 1)",
            "DELETE FROM billing.holding",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_billing_may_not_change_or_remove_anything(co_op: Coop) -> None:
    books = await a_register(co_op)
    for table, column in TABLES.items():
        for statement in (
            f"UPDATE billing.{table} SET {column} = 'x'", f"DELETE FROM billing.{table}",
            f"TRUNCATE billing.{table} CASCADE", f"ALTER TABLE billing.{table} DISABLE TRIGGER ALL",
            f"DROP TABLE billing.{table} CASCADE",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await books.execute(statement)


async def test_the_owner_is_refused_too(co_op: Coop) -> None:
    await a_register(co_op)
    owner = await co_op.owner()
    for table, column in TABLES.items():
        for statement in (
            f"UPDATE billing.{table} SET {column} = {column}", f"DELETE FROM billing.{table}",
            f"TRUNCATE billing.{table} CASCADE",
        ):  # fmt: skip
            with pytest.raises(asyncpg.RaiseError, match="is only added to"):
                await owner.execute(statement)
    for statement in ("DELETE FROM meter.member", "TRUNCATE meter.member CASCADE"):
        with pytest.raises(asyncpg.RaiseError, match="nobody is removed"):
            await owner.execute(statement)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("class = 'worker'", "changed by an operation of the register"),
        ("next_class = 'worker', next_class_from = '2026-12-01Z'", "changed by an operation of the register"),
        ("joined_at = joined_at - interval '1 year'", "is not changed"),
        ("class = 'owner'", "member_class_check"),
        ("next_class = 'worker', next_class_from = '2026-12-02Z'", "member_next_class_month"),
        ("next_class = 'worker'", "member_next_class_whole"),
    ],
)
async def test_the_list_of_members_says_what_the_register_says(co_op: Coop, change: str, words: str) -> None:
    await a_register(co_op)
    owner = await co_op.owner()
    with pytest.raises(asyncpg.PostgresError, match=words):
        await owner.execute(f"UPDATE meter.member SET {change} WHERE name = 'ben'")


async def test_who_left_does_not_come_back(co_op: Coop) -> None:
    await a_register(co_op)
    owner = await co_op.owner()
    with pytest.raises(asyncpg.RaiseError, match="is not changed"):
        await owner.execute("UPDATE meter.member SET status = 'active', left_at = NULL WHERE name = 'carl'")


@pytest.mark.parametrize(
    ("when", "words"),
    [("'2026-12-02Z'", "operation_check"), ("'2026-11-01Z'", "operation_check"), ("'2026-12-01Z'", None)],
)
async def test_even_the_owner_changes_a_class_only_from_a_month_to_come(
    co_op: Coop, when: str, words: str | None
) -> None:
    await a_register(co_op)
    owner = await co_op.owner()
    columns = {
        "kind": "'class'", "member": "2", "classes": "ARRAY['worker']", "share_kind": "NULL", "effective_at": when,
    }  # fmt: skip
    if words is None:
        await attack(owner, **columns)
        with pytest.raises(asyncpg.RaiseError, match="waiting already"):
            await attack(owner, **columns)
    else:
        with pytest.raises(asyncpg.PostgresError, match=words):
            await attack(owner, **columns)


async def test_who_holds_shares_becomes_no_customer(co_op: Coop) -> None:
    await a_register(co_op)
    with pytest.raises(asyncpg.RaiseError, match="a customer holds none"):
        await attack(
            await co_op.owner(), kind="'class'", classes="ARRAY['customer']", share_kind="NULL",
            effective_at="'2026-12-01Z'",
        )  # fmt: skip


RESOLUTION = {
    "body": "board", "kind": "other", "decided_on": date(2026, 11, 1), "text": "as proposed", "votes_for": 3,
    "votes_against": 1, "votes_abstained": 0, "quorum": 3, "who": "test", "recorded_at": to_datetime(NOW),
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"votes_for": 1}, {"votes_for": None}, {"votes_against": -1}, {"quorum": 5}, {"quorum": 0}, {"text": ""},
        {"body": "somebody"}, {"kind": "party"}, {"decided_on": date(2026, 12, 31)}, {"calc_hash": "x"},
        {"votes_for": None, "votes_against": None, "votes_abstained": None},
    ],
)  # fmt: skip
async def test_no_resolution_that_did_not_carry(co_op: Coop, change: dict[str, object]) -> None:
    books = await co_op.books()

    async def enter(told: dict[str, object]) -> None:
        places = ", ".join(f"${place}" for place in range(1, len(told) + 1))
        await books.execute(
            f"INSERT INTO billing.resolution ({', '.join(told)}) VALUES ({places})", *told.values()
        )

    await enter(RESOLUTION)
    with pytest.raises(asyncpg.CheckViolationError):
        await enter(RESOLUTION | change)
    assert ["2026-1"] == [row["id"] for row in await books.fetch("SELECT id FROM billing.resolution")]


async def test_an_id_of_a_resolution_is_not_chosen(co_op: Coop) -> None:
    books = await co_op.books()
    found = await books.fetchval(
        "INSERT INTO billing.resolution (id, year, place, body, kind, decided_on, text, who, recorded_at)"
        " VALUES ('2019-7', 2019, 7, 'board', 'other', '2026-11-01', 'x', 'test', '2026-11-02Z') RETURNING id"
    )
    assert "2026-1" == found


CONSENT = (
    "INSERT INTO billing.consent (member, bylaws, delivered_on, how, evidence_sha256, from_on, withdraws, who,"
    " recorded_at) VALUES ({}, '1', '2026-10-01', 'hand', {}, {}, {}, 'test', '2026-11-02Z')"
)


async def test_a_consent_needs_evidence_and_is_withdrawn_once_by_its_giver(co_op: Coop) -> None:
    books = await a_register(co_op)
    paper = "repeat('a', 64)"
    await books.execute(CONSENT.format(1, paper, "'2026-10-01'", "NULL"))
    for wrong in (
        (1, "NULL", "'2026-10-02'", "NULL"),
        (1, paper, "'2026-09-30'", "NULL"),
        (2, paper, "'2026-10-02'", "1"),
        (1, paper, "'2026-10-02'", "9"),
    ):
        with pytest.raises((asyncpg.CheckViolationError, asyncpg.RaiseError)):
            await books.execute(CONSENT.format(*wrong))
    await books.execute(CONSENT.format(1, "NULL", "'2026-10-02'", "1"))
    with pytest.raises(asyncpg.UniqueViolationError):
        await books.execute(CONSENT.format(1, "NULL", "'2026-10-03'", "1"))
    with pytest.raises(asyncpg.RaiseError, match="cannot be withdrawn so"):
        await books.execute(CONSENT.format(1, "NULL", "'2026-10-03'", "2"))
