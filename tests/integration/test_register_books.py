"""The register in a real database: who is a member by trigger, shares entered and booked at once, decisions."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import asyncpg
import pytest

from billing.document import Document
from billing.governance import run as governance_run
from billing.governance import store as governance_store
from billing.governance.decisions import (
    Body,
    Choice,
    Consent,
    Delivery,
    Hours,
    Resolution,
    ResolutionKind,
    Votes,
    choice_for,
    current_hours,
    weights_of,
)
from billing.ledger import store as ledger_store
from billing.ledger.books import reverse
from billing.ledger.entry import Account
from billing.register import store as register_store
from billing.register.operations import Holding, Operation, OperationKind, people_at
from billing.register.run import (
    Entered,
    add_share_kind,
    change_class,
    change_particulars,
    consents_on,
    enter_shares,
    find_share_kind,
    members_in,
    take_back_class,
    verify_register,
)
from billing.register.year import members_of_year
from billing.rules.book import rule_set_text
from billing.run import close, statement
from meter.ids import MemberId
from meter.postgres import connect, migrate
from meter.refusal import Refusal
from meter.store import add_member, find_member, members, set_member_status
from meter.usage import MemberClass, MemberStatus
from meter.window import Month, to_datetime
from tests.capital import balance, choose, money, move
from tests.coop import CENT, NOVEMBER, NOW, OCTOBER, SEPTEMBER, Coop
from tests.postgres import MIGRATIONS, ROOT, TestServer

DAY = 24 * 3600 * 10**6
DECEMBER = NOVEMBER.next()
USER, WORKER, SUPPORTER, CUSTOMER = MemberClass


async def kinds(books: asyncpg.Connection) -> None:
    """A share of 64.00 for users and workers, and one of 100.00 for supporters."""
    for name, par, held_by, is_investment in (
        ("member", "64.00", ["user", "worker"], False),
        ("support", "100.00", ["supporter"], True),
        ("double", "128.00", ["user"], False),
    ):
        await add_share_kind(
            books, name=name, par=par, currency=None, held_by=held_by, is_investment=is_investment,
            interest_max="5", who="test", now_us=NOW,
        )  # fmt: skip


def of(kind: OperationKind, member: MemberId, *, at_us: int = NOW, **more: object) -> Operation:
    """What a registrar asks for, of kind `member` if not said otherwise."""
    found = Operation(0, kind, member, at_us, NOW, "test", share_kind="member")
    return replace(found, **more)  # type: ignore[arg-type]


async def hold(books: asyncpg.Connection, member: MemberId, count: int, paid: int) -> Entered:
    await enter_shares(books, of(OperationKind.SUBSCRIPTION, member, quantity=count))
    return await enter_shares(books, of(OperationKind.PAYMENT, member, amount_minor=paid))


async def balances(books: asyncpg.Connection) -> dict[str, int]:
    """Credit balances of the accounts shares touch."""
    return await register_store.credit_balances(books, ["shares:", "bank:", "payable:"])


# Who is a member


async def test_who_comes_changes_and_leaves_is_entered_by_the_database(co_op: Coop) -> None:
    owner = await co_op.owner()
    anna = await add_member(
        owner, name="anna", member_class=USER, email="a@example.org", now_us=NOW - 5 * DAY
    )
    shop = await add_member(owner, name="shop", member_class=CUSTOMER, email="", now_us=NOW - 4 * DAY)
    await set_member_status(owner, anna.id, MemberStatus.SUSPENDED, now_us=NOW - 3 * DAY)
    await set_member_status(owner, anna.id, MemberStatus.LEFT, now_us=NOW - 2 * DAY)
    told = await register_store.operations(owner)
    assert [
        (1, "join", anna.id, (USER,), NOW - 5 * DAY), (2, "customer", shop.id, (CUSTOMER,), NOW - 4 * DAY),
        (3, "leave", anna.id, (), NOW - 2 * DAY),
    ] == [(one.number, one.kind.value, one.member, one.classes, one.effective_us) for one in told]  # fmt: skip
    assert "a@example.org" == (await register_store.particulars(owner, at_us=NOW))[anna.id].email
    assert [] == await verify_register(await co_op.books(), now_us=NOW)


async def test_a_co_op_of_before_is_entered_in_the_order_its_members_came(
    postgres_server: TestServer, tmp_path: Path
) -> None:
    before = []
    for room, files in (("meter", "000[1-5]_"), ("gateway", "000[12]_"), ("billing", "000[12]_")):
        (tmp_path / room).mkdir()
        for file in (ROOT / room / "sql").glob(f"{files}*.sql"):
            shutil.copy(file, tmp_path / room)
        before.append((room, tmp_path / room))
    dsn = postgres_server.empty_database()
    owner = await connect(dsn)
    try:
        await migrate(owner, before)
        for name, joined, left in (("late", 3, None), ("first", 1, 4), ("second", 2, None)):
            await owner.execute(
                "INSERT INTO meter.member (name, class, email, status, joined_at, left_at)"
                " VALUES ($1, 'user', $1 || '@example.org', $2, $3, $4)",
                name, "left" if left else "active", to_datetime(NOW + joined),
                None if left is None else to_datetime(NOW + left),
            )  # fmt: skip
        await migrate(owner, MIGRATIONS)
        told = await register_store.operations(owner)
        assert [(1, "join", 2), (2, "join", 3), (3, "join", 1), (4, "leave", 2)] == [
            (one.number, one.kind.value, one.member) for one in told
        ]
        assert [] == await verify_register(owner, now_us=NOW + 10)
        emails = await register_store.particulars(owner, at_us=NOW + 10)
        assert ["late@example.org", "first@example.org"] == [emails[MemberId(n)].email for n in (1, 2)]
    finally:
        await owner.close()
        postgres_server.drop(dsn)


async def test_a_change_of_class_counts_from_the_first_instant_of_a_month_to_come(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    owner, books = await co_op.owner(), await co_op.books()
    past, start = Month(2020, 1), Month(2020, 2)
    # Entered long ago, so that the database's own clock is behind the month.
    old = await add_member(owner, name="old", member_class=USER, email="", now_us=past.start_us)
    await change_class(owner, old.id, (WORKER, USER), start, who="test", memo="", now_us=past.start_us + DAY)
    await change_class(owner, anna, (SUPPORTER,), Month(2099, 1), who="test", memo="", now_us=NOW)
    assert [USER, WORKER] == [(await find_member(owner, name)).member_class for name in ("anna", "old")]
    assert [USER, WORKER] == [
        next(one.member_class for one in await members_in(books, month) if one.id == old.id)
        for month in (past, start)
    ]
    (year,) = [
        one for one in members_of_year(await register_store.operations(books), past) if one.member == old.id
    ]
    assert [((USER,), 1, 1), ((WORKER, USER), 2, 12)] == [
        (one.classes, one.first.number, one.last.number) for one in year.spans
    ]
    assert [] == await verify_register(books, now_us=NOW)


@pytest.mark.parametrize(
    ("classes", "start", "sentence"),
    [
        ((WORKER,), NOVEMBER, "2026-12 is the next"),
        ((WORKER,), OCTOBER, "2026-12 is the next"),
        ((USER,), DECEMBER, "that is what they are already"),
        ((USER, CUSTOMER), DECEMBER, "so the class stands alone"),
        ((WORKER, WORKER), DECEMBER, "each class is named once"),
        ((CUSTOMER,), DECEMBER, "holds shares, and a customer holds none"),
    ],
)
async def test_a_change_of_class_that_cannot_be_is_refused(
    co_op: Coop, classes: tuple[MemberClass, ...], start: Month, sentence: str
) -> None:
    (anna,) = await co_op.found("anna")
    books, owner = await co_op.books(), await co_op.owner()
    await kinds(books)
    await hold(books, anna, 1, 6400)
    before = len(await register_store.operations(owner))
    with pytest.raises(Refusal, match=sentence):
        await change_class(owner, anna, classes, start, who="test", memo="", now_us=NOW)
    assert before == len(await register_store.operations(owner))


async def test_one_change_waits_at_a_time_and_can_be_taken_back_until_it_counts(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    owner = await co_op.owner()
    first = await change_class(owner, anna, (WORKER,), DECEMBER, who="test", memo="", now_us=NOW)
    with pytest.raises(Refusal, match=f"entered already, as operation {first.number}"):
        await change_class(owner, anna, (SUPPORTER,), DECEMBER, who="test", memo="", now_us=NOW)
    with pytest.raises(Refusal, match="counts already"):
        await take_back_class(owner, first.number, who="test", memo="", now_us=DECEMBER.start_us)
    await take_back_class(owner, first.number, who="test", memo="slip", now_us=NOW)
    with pytest.raises(Refusal, match="is corrected already"):
        await take_back_class(owner, first.number, who="test", memo="slip", now_us=NOW)
    assert (USER,) == people_at(await register_store.operations(owner), DECEMBER.end_us)[anna].classes
    await change_class(owner, anna, (SUPPORTER,), DECEMBER, who="test", memo="", now_us=NOW)
    assert [] == await verify_register(owner, now_us=NOW)


async def test_a_customer_is_told_that_they_are_none_of_the_members(co_op: Coop) -> None:
    await co_op.found("anna")
    owner, books = await co_op.owner(), await co_op.books()
    shop = await add_member(owner, name="shop", member_class=CUSTOMER, email="", now_us=SEPTEMBER.start_us)
    await co_op.use(shop.id, OCTOBER, 1000 * CENT)
    await close(books, OCTOBER, now_us=NOW)
    told = await statement(books, shop.id, OCTOBER, now_us=NOW)
    assert told["sentence"].startswith("You are a customer of a co-op of 1 member.")


async def test_a_month_has_the_classes_it_had(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    owner, books = await co_op.owner(), await co_op.books()
    await co_op.use(anna, OCTOBER, 1000 * CENT)
    await change_class(owner, anna, (CUSTOMER,), NOVEMBER, who="test", memo="", now_us=OCTOBER.start_us + DAY)
    told = [await statement(books, anna, month, now_us=NOW) for month in (OCTOBER, NOVEMBER)]
    assert ["user", "customer"] == [one["member"]["class"] for one in told]


async def test_addresses_are_followed_by_the_list_of_members_and_keep_their_history(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    owner = await co_op.owner()
    nothing = {"legal_name": None, "postal": None, "email": None, "purposes": None}
    for day, change in (
        (1, {"legal_name": "Anna Adams", "email": "a@example.org"}),
        (2, {"postal": "1 High St"}),
    ):
        await change_particulars(owner, anna, **(nothing | change), who="test", now_us=NOW + day)
    told = [(await register_store.particulars(owner, at_us=NOW + day))[anna] for day in (1, 2)]
    assert [("Anna Adams", ""), ("Anna Adams", "1 High St")] == [(one.legal_name, one.postal) for one in told]
    assert "a@example.org" == (await members(owner))[0].email


# Shares


async def test_shares_are_entered_and_booked_at_once(co_op: Coop) -> None:
    anna, ben = await co_op.found("anna", "ben")
    books = await co_op.books()
    await kinds(books)
    await hold(books, anna, 3, 19200)
    await enter_shares(books, of(OperationKind.TRANSFER, anna, quantity=2, counterpart=ben))
    entered = await enter_shares(books, of(OperationKind.REDEMPTION, ben, quantity=1), owed=True)
    assert 6400 == entered.operation.amount_minor
    assert {ben: {"member": Holding(1, 6400)}} == entered.holdings
    await enter_shares(books, of(OperationKind.REDEMPTION, anna, quantity=1))
    assert {"bank:main": -12800, "shares:member:2": 6400, "payable:member:2": 6400} == await balances(books)
    assert [] == await verify_register(books, now_us=NOW)


async def test_a_conversion_moves_no_money(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await kinds(books)
    await hold(books, anna, 2, 12800)
    done = await enter_shares(
        books, of(OperationKind.CONVERSION, anna, quantity=2, to_kind="double", to_quantity=1)
    )
    assert (None, {"double": Holding(1, 12800), "member": Holding(0, 0)}) == (
        done.operation.entry, done.holdings[anna],
    )  # fmt: skip
    assert [] == await verify_register(books, now_us=NOW)


async def test_a_correction_takes_back_the_operation_and_its_entry(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await kinds(books)
    paid = await hold(books, anna, 2, 6400)
    redeemed = await enter_shares(books, of(OperationKind.REDEMPTION, anna, quantity=2), owed=True)
    booked = await ledger_store.key_number(books, f"share:{redeemed.operation.number}")
    assert booked is not None
    with pytest.raises(Refusal, match=f"both back with `weir share correct {redeemed.operation.number}`"):
        await reverse(books, booked, memo="slip", now_us=NOW)
    for wrong in (redeemed, paid):
        asked = Operation(
            0,
            OperationKind.CORRECTION,
            MemberId(0),
            0,
            NOW,
            "test",
            corrects=wrong.operation.number,
            memo="slip",
        )
        done = await enter_shares(books, asked)
        assert wrong.operation.effective_us == done.operation.effective_us
        with pytest.raises(Refusal, match="is corrected already"):
            await enter_shares(books, asked)
    assert {} == await balances(books)
    assert {anna: {"member": Holding(2, 0)}} == await register_store.holdings(books)
    assert [] == await verify_register(books, now_us=NOW)


async def test_what_is_in_a_closed_month_is_corrected_in_an_open_one(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await kinds(books)
    old = await enter_shares(books, of(OperationKind.SUBSCRIPTION, anna, at_us=OCTOBER.start_us, quantity=1))
    await close(books, OCTOBER, now_us=NOW)
    with pytest.raises(Refusal, match="at: 2026-10 is closed"):
        await enter_shares(books, of(OperationKind.SUBSCRIPTION, anna, at_us=OCTOBER.start_us, quantity=1))
    asked = Operation(0, OperationKind.CORRECTION, MemberId(0), 0, NOW, "test", corrects=old.operation.number)
    assert NOW == (await enter_shares(books, asked)).operation.effective_us


async def test_what_is_refused_leaves_nothing(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await kinds(books)
    await hold(books, anna, 1, 6400)
    count = "SELECT (SELECT count(*) FROM billing.operation), (SELECT count(*) FROM billing.entry)"
    before = tuple(await books.fetchrow(count))
    for asked in (
        of(OperationKind.PAYMENT, anna, amount_minor=1),
        of(OperationKind.REDEMPTION, anna, quantity=2),
        of(OperationKind.SUBSCRIPTION, anna, share_kind="support", quantity=1),
    ):
        with pytest.raises(Refusal):
            await enter_shares(books, asked)
    assert before == tuple(await books.fetchrow(count))


async def test_a_kind_is_made_once_in_the_currency_of_the_books(co_op: Coop) -> None:
    await co_op.found("anna")
    books = await co_op.books()
    await kinds(books)
    for name, currency, sentence in (
        ("member", None, "there is a kind 'member' already"),
        ("x", "USD", "in EUR"),
    ):
        with pytest.raises(Refusal, match=sentence):
            await add_share_kind(
                books, name=name, par="1", currency=currency, held_by=["user"], is_investment=False,
                interest_max=None, who="test", now_us=NOW,
            )  # fmt: skip
    for name, sentence in ((None, "there are several"), ("gold", "there is none named 'gold'")):
        with pytest.raises(Refusal, match=sentence):
            await find_share_kind(books, name)


async def test_two_registrars_at_once_get_two_numbers(co_op: Coop) -> None:
    anna, ben = await co_op.found("anna", "ben")
    first, second = await co_op.books(), await co_op.books()
    await kinds(first)
    transaction = first.transaction()
    await transaction.start()
    one = await enter_shares(first, of(OperationKind.SUBSCRIPTION, anna, quantity=1))
    await second.execute("SET lock_timeout = '100ms'")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await enter_shares(second, of(OperationKind.SUBSCRIPTION, ben, quantity=1))
    await transaction.commit()
    two = await enter_shares(second, of(OperationKind.SUBSCRIPTION, ben, quantity=1))
    assert one.operation.number + 1 == two.operation.number


# Decisions, consents, hours


def resolved(kind: ResolutionKind, day: date = date(2026, 11, 1)) -> Resolution:
    return Resolution("", Body.BOARD, kind, day, "as proposed", None, None, None, None, "test", NOW)


async def test_resolutions_are_numbered_within_their_year(co_op: Coop) -> None:
    books = await co_op.books()
    days = (date(2026, 11, 1), date(2025, 1, 1), date(2026, 2, 1))
    told = [
        await governance_store.insert_resolution(books, resolved(ResolutionKind.OTHER, day)) for day in days
    ]
    assert ["2026-1", "2025-1", "2026-2"] == told


async def test_a_rule_set_is_chosen_freely_until_a_month_is_closed(co_op: Coop) -> None:
    await co_op.found("anna")
    books = await co_op.books()
    choice = Choice(0, "plain", 2026, 1, None, "…", "", "test", NOW)
    await governance_store.insert_choice(books, choice)
    await governance_store.insert_choice(books, replace(choice, rule_set="es", first_month=4))
    await close(books, OCTOBER, now_us=NOW)
    for wrong, words in (
        (replace(choice, first_month=4), "coming fiscal year only"),
        (replace(choice, from_year=2027, first_month=4), "needs a resolution of kind rule-set"),
    ):
        with pytest.raises(asyncpg.RaiseError, match=words):
            await governance_store.insert_choice(books, wrong)
    other = await governance_store.insert_resolution(books, resolved(ResolutionKind.TARIFF))
    right = await governance_store.insert_resolution(books, resolved(ResolutionKind.RULE_SET))
    change = replace(choice, from_year=2027, first_month=4, resolution=other)
    with pytest.raises(asyncpg.RaiseError, match="needs a resolution of kind rule-set"):
        await governance_store.insert_choice(books, change)
    with pytest.raises(asyncpg.RaiseError, match="cannot begin in another month"):
        await governance_store.insert_choice(books, replace(change, resolution=right, first_month=1))
    await governance_store.insert_choice(books, replace(change, resolution=right, rule_set="it"))
    choices = await governance_store.choices(books)
    told = [choice_for(choices, year) for year in (2025, 2026, 2027, 2030)]
    assert ["es", "es", "it", "it"] == [one and one.rule_set for one in told]


async def test_a_consent_holds_from_its_delivery_to_its_withdrawal_and_only_while_a_member(
    co_op: Coop,
) -> None:
    anna, ben = await co_op.found("anna", "ben")
    books, owner = await co_op.books(), await co_op.owner()
    day = date(2026, 10, 5)
    given = Consent(
        0, anna, "2026-1", day, Delivery.HAND, Document("a" * 64, "receipt.pdf"), day, None, "test", NOW
    )
    number = await governance_store.insert_consent(books, given)
    await governance_store.insert_consent(books, replace(given, member=ben))
    await governance_store.insert_consent(
        books, replace(given, withdraws=number, evidence=None, from_on=date(2026, 10, 20))
    )
    await set_member_status(owner, ben, MemberStatus.LEFT, now_us=OCTOBER.start_us + 24 * DAY)

    async def held(day: int) -> list[int]:
        return sorted(await consents_on(books, OCTOBER.start_us + (day - 1) * DAY))

    assert [[], [1, 2], [1, 2], [2], [2], []] == [await held(day) for day in (4, 5, 19, 20, 24, 25)]


async def test_hours_are_one_figure_a_month_and_a_later_one_names_it(co_op: Coop) -> None:
    anna, ben = await co_op.found("anna", "ben", member_class=WORKER)
    books = await co_op.books()
    first = Hours(0, anna, OCTOBER, 120_500, 1000, None, "", "test", NOW)
    number = await governance_store.insert_hours(books, first)
    with pytest.raises(asyncpg.UniqueViolationError):
        await governance_store.insert_hours(books, first)
    for wrong in (
        replace(first, member=ben, corrects=number),
        replace(first, month=NOVEMBER, corrects=number),
    ):
        with pytest.raises(asyncpg.RaiseError, match="is not of member"):
            await governance_store.insert_hours(books, wrong)
    await governance_store.insert_hours(
        books, replace(first, thousandths=100_000, factor_thousandths=1500, corrects=number)
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await governance_store.insert_hours(books, replace(first, corrects=number))
    await governance_store.insert_hours(books, replace(first, month=NOVEMBER))
    found = await governance_store.hours(books, OCTOBER, NOVEMBER)
    assert [(OCTOBER, 100_000), (NOVEMBER, 120_500)] == [
        (one.month, one.thousandths) for one in current_hours(found)
    ]
    assert {anna: 100_000 * 1500 + 120_500 * 1000} == weights_of(found, [OCTOBER, NOVEMBER])


@pytest.mark.parametrize(("rule_set", "refused"), [("ca-federal", True), ("us-selc", False)])
async def test_shares_are_redeemed_only_while_a_rule_set_s_test_of_solvency_holds(
    co_op: Coop, rule_set: str, refused: bool
) -> None:
    """128.00 came in for two shares, 27.99 were spent: 100.01 less 64.00 is less than the 64.00 of the other share."""
    anna, *_ = await co_op.found("anna")
    books = await co_op.books()
    await kinds(books)
    await hold(books, anna, 2, 12_800)
    await move(books, [(Account("bank:main"), -2_799), (Account("cost:transit"), 2_799)], key="spent")
    await choose(books, rule_set)
    back = of(OperationKind.REDEMPTION, anna, quantity=1)
    if refused:
        with pytest.raises(
            Refusal, match=r"solvency: .* have 36\.01 EUR .* owe 64\.00 EUR in all, paid shares"
        ):
            await enter_shares(books, back)
        await money(books, 2_799)
    await enter_shares(books, back)
    assert 6_400 == -await balance(books, f"shares:member:{anna}")


async def test_a_resolution_that_was_entered_before_it_was_held_to_a_majority_changes_no_rules(
    co_op: Coop,
) -> None:
    await co_op.found("anna", "ben", "carl")
    books = await co_op.books()
    law = rule_set_text("de-eg")
    await governance_store.insert_choice(books, Choice(0, "de-eg", 2026, 1, None, law, "", "test", NOW))
    await close(books, OCTOBER, now_us=NOW)

    async def plain(resolution: str) -> Choice:
        return await governance_run.choose(
            books, rule_set_text("plain"), from_year=2027, first_month=1, resolution=resolution, choices="",
            who="test", now_us=NOW,
        )  # fmt: skip

    for votes, refused in ((Votes(2, 1, 0), True), (Votes(3, 0, 0), False)):
        decided = replace(resolved(ResolutionKind.RULE_SET), body=Body.MEETING, votes=votes)
        number = await governance_store.insert_resolution(books, decided)
        if refused:
            with pytest.raises(Refusal, match="2 for and 1 against carry nothing by the rules de-eg"):
                await plain(number)
        else:
            assert "plain" == (await plain(number)).rule_set
