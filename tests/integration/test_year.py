"""The story of a fiscal year in a real database: trial, close, statements, proof; and everything it refuses."""

from __future__ import annotations

import gc

import asyncpg
import pytest

from billing import year_run
from billing.canon import canonical, digest
from billing.costs.costing import add_cost, add_credit
from billing.governance import store as governance_store
from billing.governance.decisions import Choice, ResolutionKind
from billing.ledger import store as ledger_store
from billing.ledger.books import reverse
from billing.month.member_month import MemberMonth
from billing.rules.book import rule_set_text
from billing.run import close, trial
from billing.year_gather import Options
from billing.year_proof import verify_year
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month
from tests.coop import CENT, Coop, balances, left_on
from tests.reference_year import JANUARY, MONTHS, NOW, decided, g18


async def test_the_reference_year_is_closed_to_the_cent(co_op: Coop) -> None:
    """G18 without its 15.00 of share interest: top-up 113.57, pool 915.00; shares by an apportionment by hand."""
    books, members = await g18(co_op)
    done = await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    steps = {one["key"]: one["amount"] for one in done.page["steps"]}
    assert ("113.57", "915.00") == (steps["top_up"], done.page["pool"])
    assert {"user": "732.00", "worker": "183.00"} == done.page["class_pools"]
    told = [await year_run.statement(books, one, 2026, now_us=NOW) for one in members]
    # 732.00 × 1512.37 / 3000 = 369.018…; × 903.11 = 220.358…; × 584.52 = 142.622…; 183.00 × 1200 / 1900 = 115.578…
    amounts = [36902, 22036, 14262, 0, 11558, 6742]
    assert amounts == [one["amount_minor"] for one in told]
    # 30 % rounded up: 110.706 → 110.71, 66.108 → 66.11, 42.786 → 42.79, 34.674 → 34.68, 20.226 → 20.23
    assert [11071, 6611, 4279, 0, 3468, 2023] == [one["cash_minor"] for one in told]
    assert {done.page["digest"]} == {one["digest"] for one in told}


async def test_the_books_after_the_year_say_who_gets_what(co_op: Coop) -> None:
    books, (a, *_, w1, _) = await g18(co_op)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    left = await left_on(books)
    for account in ("surplus:undistributed", "loss:carried", "income:interest", "interest:shares"):
        assert 0 == left.get(account, 0), account
    # Non-members 171.43, interest 20.00, top-up 113.57.
    assert -(17143 + 2000 + 11357) == left["collective:main"]
    assert -11071 == left[f"payable:member:{a}"]
    kept = [amount for account, amount in left.items() if account.startswith(f"capital:member:{w1}:2026:")]
    assert [-(11558 - 3468)] == kept
    assert 0 == sum(left.values())


async def test_a_trial_changes_nothing_and_has_the_digest_of_the_close(co_op: Coop) -> None:
    books, _ = await g18(co_op)
    before = await year_run.trial(books, 2026, now_us=NOW)
    assert canonical(before.page) == canonical((await year_run.trial(books, 2026, now_us=NOW)).page)
    done = await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    assert canonical(before.page) == canonical(done.page)
    shown = await year_run.trial(books, 2026, now_us=NOW)
    assert ("final", done.page) == (shown.kind, shown.page)


async def test_a_trial_of_a_running_year_counts_its_open_months_as_they_stand(co_op: Coop) -> None:
    books, (a, *_) = await g18(co_op, closed=False)
    await close(books, MONTHS[0], now_us=NOW)
    early = await year_run.trial(books, 2026, now_us=NOW)
    assert ("trial", "915.00") == (early.kind, early.page["pool"])
    told = await year_run.statement(books, a, 2026, now_us=NOW)
    assert ("trial", 36902) == (told["kind"], told["amount_minor"])
    assert "If the year ended now, your share would be 369.02 EUR" in told["meaning"]


async def test_what_a_year_booked_is_not_taken_back_by_reversing_an_entry(co_op: Coop) -> None:
    books, _ = await g18(co_op)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    left = await balances(books)
    for key in ("year:2026", "year:2026:1"):
        number = await ledger_store.key_number(books, key)
        assert number is not None
        with pytest.raises(
            Refusal, match=f"entry {number} is of a closed year, whose page and statements stay"
        ):
            await reverse(books, number, memo="no", now_us=NOW)
    assert left == await balances(books)


async def test_withholding_that_the_rules_do_not_know_is_refused_in_a_sentence_of_its_own(
    co_op: Coop,
) -> None:
    books, _ = await g18(co_op)
    with pytest.raises(Refusal, match=r"^the rule set us-selc withholds nothing; leave out --withhold$"):
        await year_run.trial(books, 2026, Options(withhold=True), now_us=NOW)


async def test_an_open_month_counts_in_the_year_as_its_own_trial_says(co_op: Coop) -> None:
    """In the middle of a month, with a credit in it, which takes a member's line the readable way."""
    books, (a, b, *_) = await g18(co_op, closed=False)
    await add_credit(books, member=b, month=MONTHS[3], amount="3.00", reason="outage", now_us=NOW)
    middle = MONTHS[3].start_us + 10 * 86_400 * 10**6
    page = (await year_run.trial(books, 2026, now_us=middle)).page
    charged: dict[int, int] = {}

    def note(one: MemberMonth) -> None:
        charged[one.member.id] = charged.get(one.member.id, 0) + one.charge.amount_minor

    for month in MONTHS:
        done = await trial(books, month, now_us=middle, each=note)
        assert done.digest == page["months"][str(month)]
    assert (151237, 90311 - 300) == (charged[a], charged[b])
    for member in (a, b):
        told = await year_run.statement(books, member, 2026, now_us=middle)
        assert ("trial", charged[member], page["digest"]) == (
            told["kind"],
            told["charges_minor"],
            told["digest"],
        )


async def test_a_statement_of_an_open_year_is_that_of_its_closing_but_for_what_makes_it_final(
    co_op: Coop,
) -> None:
    books, members = await g18(co_op)
    open_year = [await year_run.statement(books, one, 2026, now_us=NOW) for one in members]
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    closed = [await year_run.statement(books, one, 2026, now_us=NOW) for one in members]
    differing = {"kind", "resolution", "closed", "sentence", "meaning"}
    assert [{key: told for key, told in one.items() if key not in differing} for one in closed] == [
        {key: told for key, told in one.items() if key not in differing} for one in open_year
    ]


async def test_whoever_was_not_there_has_no_statement_of_an_open_year(co_op: Coop) -> None:
    books, members = await g18(co_op)
    for stranger in (MemberId(max(members) + 1), MemberId(10**6)):
        with pytest.raises(Refusal, match="they were not in the register then"):
            await year_run.statement(books, stranger, 2026, now_us=NOW)


async def test_the_collector_rests_only_while_a_year_is_worked_out(co_op: Coop) -> None:
    books, _ = await g18(co_op)
    resolution, seen = await decided(books), list[bool]()
    await year_run.close(
        books, 2026, resolution=resolution, now_us=NOW, progress=lambda _: seen.append(gc.isenabled())
    )
    assert ([False], True) == (seen, gc.isenabled())
    with pytest.raises(Refusal, match="is closed already"):
        await year_run.close(books, 2026, resolution=resolution, now_us=NOW)
    assert gc.isenabled()


async def test_a_year_is_closed_once(co_op: Coop) -> None:
    books, _ = await g18(co_op)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    left = await balances(books)
    with pytest.raises(Refusal, match="the fiscal year 2026 is closed already"):
        await year_run.close(books, 2026, resolution="2027-1", now_us=NOW)
    assert left == await balances(books)


async def test_a_year_with_an_open_month_or_still_running_is_not_closed(co_op: Coop) -> None:
    books, _ = await g18(co_op, closed=False)
    resolution = await decided(books)
    with pytest.raises(Refusal, match="the fiscal year 2026 is not over yet"):
        await year_run.close(books, 2026, resolution=resolution, now_us=JANUARY.start_us - 1)
    for month in MONTHS[:3]:
        await close(books, month, now_us=NOW)
    with pytest.raises(Refusal, match="2026-12 is still open; a year is closed when all its months are"):
        await year_run.close(books, 2026, resolution=resolution, now_us=NOW)


async def test_a_year_is_closed_by_a_resolution_that_fits(co_op: Coop) -> None:
    books, _ = await g18(co_op)
    for wanted, words in (
        ("2027-9", "there is none with the id '2027-9'"),
        (await decided(books, ResolutionKind.TARIFF), "is of kind tariff"),
        (await decided(books, calc_hash="a" * 64), "approved the closing with digest aaaa"),
    ):
        with pytest.raises(Refusal, match=words):
            await year_run.close(books, 2026, resolution=wanted, now_us=NOW)
    digest = (await year_run.trial(books, 2026, now_us=NOW)).page["digest"]
    wanted = await decided(books, calc_hash=digest)
    assert digest == (await year_run.close(books, 2026, resolution=wanted, now_us=NOW)).page["digest"]


async def test_of_two_closings_at_once_one_is_refused_and_one_closes(co_op: Coop) -> None:
    books, _ = await g18(co_op)
    resolution = await decided(books)
    second = await co_op.books()
    transaction = books.transaction()
    await transaction.start()
    await year_run.close(books, 2026, resolution=resolution, now_us=NOW)
    with pytest.raises(Refusal, match="another closing, or somebody who books, is at work"):
        await year_run.close(second, 2026, resolution=resolution, now_us=NOW)
    await transaction.commit()
    with pytest.raises(Refusal, match="closed already"):
        await year_run.close(second, 2026, resolution=resolution, now_us=NOW)


async def test_a_close_that_fails_leaves_nothing_half_done(co_op: Coop) -> None:
    books, _ = await g18(co_op)
    resolution, left = await decided(books), await balances(books)
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE billing.closed_year ADD CONSTRAINT planted CHECK (false)")
    with pytest.raises(asyncpg.CheckViolationError):
        await year_run.close(books, 2026, resolution=resolution, now_us=NOW)
    await owner.execute("ALTER TABLE billing.closed_year DROP CONSTRAINT planted")
    assert left == await balances(books)
    assert 0 == await owner.fetchval("SELECT count(*) FROM billing.year_line")


async def test_what_was_resolved_is_put_aside(co_op: Coop) -> None:
    books, _ = await g18(co_op)
    options = Options(resolved=(("fund:education", 1000), ("reserve:voluntary", 2500)))
    done = await year_run.close(books, 2026, options, resolution=await decided(books), now_us=NOW)
    assert "880.00" == done.page["pool"]
    left = await left_on(books)
    assert (-1000, -2500) == (left["fund:education"], left["reserve:voluntary"])


async def test_a_loss_of_a_first_year_is_collective_and_nobody_is_billed(co_op: Coop) -> None:
    """SELC: losses of the first two fiscal years are wholly collective (reference 2.2, G19)."""
    books, _ = await g18(co_op, closed=False)
    await add_cost(books, month=MONTHS[3], pool="rack", amount="5000.00", memo="", now_us=NOW)
    for month in MONTHS:
        await close(books, month, now_us=NOW)
    before = await balances(books)
    owed = {name: sums for name, sums in before.items() if name.startswith("receivable:member:")}
    done = await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    assert "0.00" == done.page["pool"]
    after = await balances(books)
    assert owed == {name: after[name] for name in owed}
    balance = {name: debit - credit for name, (debit, credit) in after.items()}
    # 3,500.00 + 20.00 − 7,300.00 = −3,780.00, all of it collective.
    assert 378000 == balance["collective:main"]
    assert (0, 0) == (balance["loss:carried"], balance["surplus:undistributed"])


async def test_a_closed_year_works_out_to_itself_and_a_forged_line_does_not(co_op: Coop) -> None:
    books, (a, b, *_) = await g18(co_op)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    told = await verify_year(books, a, 2026)
    assert (True, []) == (told.agrees, told.differences)
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE billing.year_line DISABLE TRIGGER ALL")
    forged = """replace(document, '"user",90311', '"user",90312')"""
    await owner.execute(
        f"UPDATE billing.year_line SET document = {forged}, digest = sha256(convert_to({forged}, 'UTF8'))"
        " WHERE member = $1",
        b,
    )
    other = await verify_year(books, a, 2026)
    assert not other.agrees
    assert "b: charges are 90312 in the year and 90311 in its months" in other.differences


async def test_a_changed_month_betrays_itself_in_the_year(co_op: Coop) -> None:
    books, (a, *_) = await g18(co_op)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE billing.charge DISABLE TRIGGER ALL")
    await owner.execute(
        "UPDATE billing.charge SET amount_minor = 1 WHERE member = $1 AND period = '2026-10-01'", a
    )
    told = await verify_year(books, a, 2026)
    assert not told.agrees
    assert "a: charges are 151237 in the year" in told.differences[0]


async def test_a_share_of_a_loss_is_met_from_the_next_return(co_op: Coop) -> None:
    """Members' 75 % of a loss in a third year (SELC) is kept on accounts of their own, and met before anything."""
    books, (a, *_) = await g18(co_op, closed=False)
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE meter.member DISABLE TRIGGER ALL")
    await owner.execute("UPDATE meter.member SET joined_at = '2023-06-01' WHERE id = $1", a)
    await add_cost(books, month=MONTHS[3], pool="rack", amount="5000.00", memo="", now_us=NOW)
    for month in MONTHS:
        await close(books, month, now_us=NOW)
    done = await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    share = await year_run.statement(books, a, 2026, now_us=NOW)
    assert share["amount_minor"] < 0
    left = await left_on(books)
    assert -share["amount_minor"] == left[f"loss:member:{a}:2026"]
    assert int(done.page["pool"].replace(".", "").replace("-", "")) == sum(
        amount for account, amount in left.items() if account.startswith("loss:member:")
    )
    assert (await verify_year(books, a, 2026)).agrees


@pytest.mark.parametrize("table", ["year", "year_line"])
async def test_a_closed_year_is_only_added_to(co_op: Coop, table: str) -> None:
    books, _ = await g18(co_op)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    owner = await co_op.owner()
    for attack in (
        f"UPDATE billing.{table} SET year = year",
        f"DELETE FROM billing.{table}",
        f"TRUNCATE billing.{table}",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await books.execute(attack)
        with pytest.raises(asyncpg.RaiseError, match="is only added to"):
            await owner.execute(attack)


async def test_a_closed_year_gets_no_further_line_and_no_second_page(co_op: Coop) -> None:
    books, _ = await g18(co_op)
    line = "INSERT INTO billing.year_line VALUES ($1, 99, 5, '{}', sha256(convert_to('{}', 'UTF8')))"
    page = (
        "INSERT INTO billing.year VALUES (2026, '2026-01-01', '2026-12-01', 'x', '{}', repeat('a', 64), $1,"
        " sha256(sha256(convert_to('{}', 'UTF8'))), $2, now())"
    )
    for lines, shared in ((2, 5), (1, 6)):
        transaction = books.transaction()
        await transaction.start()
        await books.execute(line, 2026)
        with pytest.raises(asyncpg.PostgresError, match="the closing of 2026 sums"):
            await books.execute(page, lines, shared)
        await transaction.rollback()
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    for year in (2025, 2026):
        with pytest.raises(asyncpg.PostgresError, match=f"the fiscal year {year} is closed"):
            await books.execute(line, year)
    with pytest.raises(asyncpg.UniqueViolationError):
        await books.execute(page, 1, 5)


async def test_a_year_with_an_open_month_is_refused_by_the_database_too(co_op: Coop) -> None:
    books, _ = await g18(co_op, closed=False)
    with pytest.raises(asyncpg.PostgresError, match="the month 2026-12 is open"):
        await books.execute(
            "INSERT INTO billing.year VALUES (2026, '2026-01-01', '2026-12-01', 'x', '{}', repeat('a', 64), 0,"
            " sha256(''::bytea), 0, now())"
        )


async def test_a_loss_that_is_carried_is_met_from_the_next_year_s_surplus(co_op: Coop) -> None:
    """Plain rules: a loss of 100.00 in 2026; in 2027 charges of 150.00 and no costs leave 50.00 to share."""
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await add_cost(books, month=MONTHS[0], pool="rack", amount="100.00", memo="", now_us=NOW)
    for month in MONTHS:
        await close(books, month, now_us=NOW)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=NOW)
    left = await left_on(books)
    assert (10000, 0) == (left["loss:carried"], left.get("surplus:undistributed", 0))
    await co_op.use(anna, JANUARY, 15000 * CENT)
    after = Month(2028, 1).start_us
    for number in range(1, 13):
        await close(books, Month(2027, number), now_us=after)
    with pytest.raises(Refusal, match="there is none with the id"):
        await year_run.close(books, 2027, resolution="2028-1", now_us=after)
    done = await year_run.close(books, 2027, resolution="2027-1", now_us=after)
    assert "50.00" == done.page["pool"]
    left = await left_on(books)
    assert (0, 0) == (left["loss:carried"], left["surplus:undistributed"])
    assert -5000 == left.get(f"payable:member:{anna}", 0) + left.get(f"capital:member:{anna}:2027:plain", 0)
    assert (await verify_year(books, anna, 2027)).agrees


async def test_a_spanish_loss_takes_of_the_reserve_what_the_years_before_put_there_on_average(
    co_op: Coop,
) -> None:
    """2026: 200.00 of 1,000.00; 2027: 150.00 of 500.00. Their mean is 25 %, so of a loss of 400.00 at most 100.00."""
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    law = rule_set_text("es")
    for year, text in ((2026, law), (2027, law.replace('share = "20 %"\nleast', 'share = "30 %"\nleast'))):
        await governance_store.insert_choice(books, Choice(0, "es", year, 1, None, text, "", "test", NOW))
    await co_op.use(anna, MONTHS[0], 100_000 * CENT)
    after = Month(2028, 2).start_us
    for month in (*MONTHS, *(Month(2027, number) for number in range(1, 13))):
        if month == JANUARY:
            await co_op.use(anna, month, 50_000 * CENT)
        await close(books, month, now_us=after)
    for number in (2026, 2027):
        await year_run.close(books, number, resolution=await decided(books), now_us=after)
    await add_cost(books, month=Month(2028, 1), pool="rack", amount="400.00", memo="", now_us=after)
    page = (await year_run.trial(books, 2028, now_us=after)).page
    took = {one["key"]: one["amount"] for one in page["steps"]}
    assert ("350.00", "0.25") == tuple(page["inputs"]["reserves"][key] for key in ("compulsory", "average"))
    assert ("100.00", "300.00") == (took["loss_from_compulsory_reserve"], took["loss_of_members"])


async def test_years_are_closed_in_order(co_op: Coop) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await co_op.use(anna, MONTHS[0], 100 * CENT)
    after = Month(2028, 1).start_us
    for month in (*MONTHS, *(Month(2027, number) for number in range(1, 13))):
        await close(books, month, now_us=after)
    resolution = await decided(books)
    with pytest.raises(Refusal, match="the fiscal year 2026 is still open; years are closed in order"):
        await year_run.close(books, 2027, resolution=resolution, now_us=after)


async def test_a_closed_year_stays_in_the_format_it_was_closed_in(co_op: Coop) -> None:
    """The newest writes its own name beside the closing; one that an older Weir wrote stands as the first."""
    connection, members = await g18(co_op)
    await year_run.close(connection, 2026, resolution=await decided(connection), now_us=NOW)
    assert "weir-year-statement-3" == await connection.fetchval("SELECT statement_format FROM billing.year")
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE billing.year DISABLE TRIGGER ALL")
    await owner.execute("UPDATE billing.year SET statement_format = DEFAULT")
    told = await year_run.statement(connection, members[0], 2026, now_us=NOW)
    assert "weir-year-statement-1" == told["format"]
    assert "kept in the co-op in your name until" in told["meaning"]
    assert (await verify_year(connection, members[0], 2026)).statement_digest == digest(canonical(told))


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ("", 1),
        ('cash_share = "0.30"', 1),
        ("[class_weights]\nuser = 1\nworker = 0", 0),
        ("[class_weights]\nuser = 80\nworker = 20", 0),
    ],
)
async def test_workers_left_out_for_lack_of_weights_are_said_before_the_year_is_closed(
    co_op: Coop, choices: str, expected: int
) -> None:
    """W1 and W2 worked 1,900 hours; where nobody chose weights their pool is 0."""
    connection, _ = await g18(co_op)
    owner = await co_op.owner()
    await owner.execute("ALTER TABLE billing.rule_set_choice DISABLE TRIGGER ALL")
    await owner.execute("UPDATE billing.rule_set_choice SET choices = $1", choices)
    tried = await year_run.trial(connection, 2026, now_us=NOW)
    assert expected == len(tried.warnings())
    if expected:
        assert "Workers have 1900 hours" in tried.warnings()[0]
        assert "worker" not in tried.page["class_pools"]
    done = await year_run.close(connection, 2026, resolution=await decided(connection), now_us=NOW)
    assert tried.warnings() == done.warnings()
    assert [] == (await year_run.trial(connection, 2026, now_us=NOW)).warnings()
