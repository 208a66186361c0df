"""The register: who stands in it at an instant, which classes count in which month, and days of shares."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from billing.money import ceil_share
from billing.register.check import problems
from billing.register.operations import Holding, Operation, OperationKind, paid_back, people_at, voters_at
from billing.register.shares import check, check_correction, entry_of, share_kind
from billing.register.year import members_of_year, share_interest, share_lots
from billing.year.inputs import ShareLot
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.usage import Member, MemberStatus
from meter.window import Month
from tests.register_kit import CUSTOMER, KINDS, SUPPORTER, USER, WORKER, Book, at

JANUARY = Month(2026, 1)


def asked(kind: str, member: int, day: str, **more: Any) -> Operation:
    """An operation that is not entered yet."""
    if "counterpart" in more:
        more["counterpart"] = MemberId(more["counterpart"])
    return Operation(99, OperationKind(kind), MemberId(member), at(day), at("2026-12-31"), "test", **more)


def test_holdings_follow_from_subscription_payment_transfer_and_redemption() -> None:
    book = Book()
    book.join(1, "2026-01-01")
    book.join(2, "2026-01-01")
    book.hold(1, "2026-02-01", 3, 19200)
    book.enter(
        "transfer", 1, "2026-03-01", share_kind="member", quantity=2, amount_minor=12800, counterpart=2
    )
    book.enter("redemption", 2, "2026-04-01", share_kind="member", quantity=1, amount_minor=6400)

    def held(day: str) -> list[dict[str, Holding]]:
        return [dict(one.holdings) for one in people_at(book.operations, at(day)).values()]

    assert [{"member": Holding(3, 19200)}, {}] == held("2026-02-28")
    assert [{"member": Holding(1, 6400)}, {"member": Holding(2, 12800)}] == held("2026-03-31")
    assert [{"member": Holding(1, 6400)}, {"member": Holding(1, 6400)}] == held("2026-04-01")


def test_a_conversion_keeps_what_was_paid() -> None:
    book = Book()
    book.join(1, "2026-01-01")
    book.hold(1, "2026-02-01", 4, 25600)
    book.enter(
        "conversion", 1, "2026-03-01", share_kind="member", quantity=2, amount_minor=12800, to_kind="double",
        to_quantity=1,
    )  # fmt: skip
    held = people_at(book.operations, at("2026-03-01"))[MemberId(1)].holdings
    assert {"double": Holding(1, 12800), "member": Holding(2, 12800)} == held


def test_a_correction_undoes_what_it_names_from_its_own_day_on() -> None:
    book = Book()
    book.join(1, "2026-01-01")
    book.hold(1, "2026-02-01", 3, 6400)
    book.enter("correction", 1, "2026-05-01", corrects=3, share_kind="member")

    def paid(day: str) -> int:
        return people_at(book.operations, at(day))[MemberId(1)].holdings["member"].paid_minor

    assert (6400, 0) == (paid("2026-04-30"), paid("2026-05-01"))


@pytest.mark.parametrize(
    ("shares", "paid", "quantity", "back"),
    [(5, 32000, 2, 12800), (1, 3000, 1, 3000), (3, 16000, 1, 3200), (3, 6400, 1, 0)],
)
def test_what_comes_back_is_what_the_other_shares_do_not_cover(
    shares: int, paid: int, quantity: int, back: int
) -> None:
    assert back == paid_back(Holding(shares, paid), quantity, 6400)


def test_somebody_enters_ceases_and_has_one_vote_whatever_their_classes_and_shares() -> None:
    book = Book()
    book.join(1, "2026-01-10", USER, WORKER)
    book.join(2, "2026-01-20")
    book.enter("customer", 3, "2026-01-05", classes=(CUSTOMER,))
    book.hold(1, "2026-02-01", 100, 640_000)
    book.enter("class", 3, "2026-04-01", recorded=at("2026-03-03"), classes=(USER,))
    book.enter("class", 1, "2026-06-01", recorded=at("2026-05-03"), classes=(CUSTOMER,))
    book.enter("leave", 2, "2026-08-15")
    assert [0, 1, 2, 3, 2, 1] == [
        voters_at(book.operations, at(day))
        for day in ("2026-01-09", "2026-01-10", "2026-03-31", "2026-04-01", "2026-06-01", "2026-08-15")
    ]
    people = people_at(book.operations, at("2026-12-31"))
    assert [
        (at("2026-01-10"), at("2026-06-01")), (at("2026-01-20"), at("2026-08-15")), (at("2026-04-01"), None),
    ] == [(one.entered_us, one.ceased_us) for one in people.values()]  # fmt: skip


def test_every_month_of_a_member_has_its_classes() -> None:
    book = Book()
    book.join(1, "2025-05-05")
    book.join(2, "2026-03-20", WORKER)
    book.enter("customer", 3, "2026-01-01", classes=(CUSTOMER,))
    book.join(4, "2025-01-01")
    book.join(5, "2027-01-01")
    book.enter("class", 1, "2026-07-01", recorded=at("2026-06-30"), classes=(USER, WORKER))
    book.enter("class", 3, "2026-02-01", recorded=at("2026-01-30"), classes=(SUPPORTER,))
    book.enter("leave", 4, "2025-12-31")
    book.enter("leave", 2, "2026-05-02")
    told = {
        int(one.member): [(one.classes, one.first.number, one.last.number) for one in one.spans]
        for one in members_of_year(book.operations, JANUARY)
    }
    assert {
        1: [((USER,), 1, 6), ((USER, WORKER), 7, 12)],
        2: [((WORKER,), 3, 5)],
        3: [((CUSTOMER,), 1, 1), ((SUPPORTER,), 2, 12)],
    } == told


def test_a_fiscal_year_may_begin_in_another_month() -> None:
    book = Book()
    book.join(1, "2026-09-30")
    (one,) = members_of_year(book.operations, Month(2025, 10))
    assert [(Month(2026, 9), Month(2026, 9))] == [(span.first, span.last) for span in one.spans]
    assert ((USER,), ()) == (one.classes_in(Month(2026, 9)), one.classes_in(Month(2026, 8)))


def test_a_change_that_was_taken_back_or_waited_when_they_left_never_counts() -> None:
    book = Book()
    book.join(1, "2026-01-01")
    book.join(2, "2026-01-01")
    book.enter("class", 1, "2026-04-01", recorded=at("2026-03-01"), classes=(WORKER,))
    book.enter("correction", 1, "2026-04-01", recorded=at("2026-03-02"), corrects=3)
    book.enter("class", 2, "2026-04-01", recorded=at("2026-03-01"), classes=(WORKER,))
    book.enter("leave", 2, "2026-03-05")
    assert [[(USER,)], [(USER,)]] == [
        [span.classes for span in one.spans] for one in members_of_year(book.operations, JANUARY)
    ]
    assert () == people_at(book.operations, at("2026-12-01"))[MemberId(2)].classes


def days(book: Book, start: Month = JANUARY) -> list[tuple[int, int, int, int]]:
    """(member, paid, days, days in the year) of every lot."""
    return [
        (int(one.member), one.paid_minor, one.days_held, one.days_in_year)
        for one in share_lots(book.operations, KINDS, start)
    ]


@pytest.mark.parametrize(("year", "whole"), [(2026, 365), (2028, 366)])
@pytest.mark.parametrize("since", ["2025-06-01", "{}-01-01"])
def test_a_share_held_the_whole_year_counts_every_day_of_it(year: int, whole: int, since: str) -> None:
    book = Book()
    book.join(1, "2025-01-01")
    book.hold(1, since.format(year), 1, 6400)
    assert [(1, 6400, whole, whole)] == days(book, Month(year, 1))


def test_a_day_counts_for_whoever_holds_when_it_ends() -> None:
    """Counted on a calendar: 31 January + 28 February = 59 days to the end of February, 306 from March on."""
    book = Book()
    book.join(1, "2025-01-01")
    book.join(2, "2025-01-01")
    book.hold(1, "2025-06-01", 1, 6400)
    book.enter(
        "transfer", 1, "2026-03-01T12:00", share_kind="member", quantity=1, amount_minor=6400, counterpart=2
    )
    assert [(1, 6400, 59, 365), (2, 6400, 306, 365)] == days(book)


def test_the_first_and_the_last_day_of_the_year_count_one() -> None:
    book = Book()
    for member in (1, 2, 3):
        book.join(member, "2025-01-01")
    book.hold(1, "2026-12-31T23:59:59", 1, 6400)
    book.hold(2, "2025-06-01", 1, 6400)
    book.enter("redemption", 2, "2026-01-02", share_kind="member", quantity=1, amount_minor=6400)
    book.hold(3, "2025-06-01", 1, 6400)
    book.enter("redemption", 3, "2027-01-01", share_kind="member", quantity=1, amount_minor=6400)
    assert [(1, 6400, 1, 365), (2, 6400, 1, 365), (3, 6400, 365, 365)] == days(book)


def test_who_left_before_the_closing_is_counted_for_their_days() -> None:
    book = Book()
    book.join(1, "2025-01-01")
    book.hold(1, "2025-06-01", 2, 12800)
    book.enter("leave", 1, "2026-02-01T08:00")
    book.enter("redemption", 1, "2026-09-01", share_kind="member", quantity=2, amount_minor=12800)
    assert [(1, 12800, 31, 365)] == days(book)


def test_only_what_was_paid_earns_and_each_amount_has_its_days() -> None:
    book = Book()
    book.join(1, "2026-01-01")
    book.hold(1, "2026-01-01", 3, 6400)
    book.enter("payment", 1, "2026-01-11", share_kind="member", amount_minor=6400, entry=9)
    book.enter("subscription", 1, "2026-01-21", share_kind="member", quantity=1)
    assert [(1, 6400, 10, 365), (1, 12800, 355, 365)] == days(book)


def test_the_rate_is_the_lower_of_the_chosen_and_the_cap_of_the_kind() -> None:
    """100.00 at 8 % capped at 5 %, half of a leap year: 100.00 × 5 % × 183 ÷ 366 = 2.50."""
    book = Book()
    book.join(1, "2028-01-01", SUPPORTER)
    book.hold(1, "2028-07-02", 1, 10000, "support")
    book.join(2, "2028-01-01")
    book.hold(2, "2028-01-01", 1, 6400)
    interest = share_interest(
        share_lots(book.operations, KINDS, Month(2028, 1)), {"support": Fraction(8, 100)}
    )
    assert (ShareLot("1", 10000, Fraction(5, 100), 183),) == interest.lots
    assert 366 == interest.days_in_year
    (lot,) = interest.lots
    assert 250 == ceil_share(lot.par_minor, lot.rate * Fraction(lot.days, interest.days_in_year))


# What is refused, in a sentence


def a_book() -> Book:
    """Member 1 with two shares and one of them paid, member 2, customer 3, member 4 who left; July is closed."""
    book = Book()
    for member in (1, 2, 4):
        book.join(member, "2026-01-01")
    book.enter("customer", 3, "2026-01-01", classes=(CUSTOMER,))
    book.hold(1, "2026-02-01", 2, 6400)
    book.enter("leave", 4, "2026-03-01")
    return book


REFUSED = [
    (("payment", 1, {"amount_minor": 6401}), "would have paid 128.01 EUR on 2 shares"),
    (("redemption", 1, {"quantity": 3, "amount_minor": 0}), "would hold -1 shares"),
    (("redemption", 1, {"quantity": 2, "amount_minor": 0}), "would have paid 64.00 EUR on 0 shares"),
    (("transfer", 1, {"quantity": 1, "amount_minor": 6400, "counterpart": 1}), "to somebody else"),
    (("transfer", 1, {"quantity": 1, "amount_minor": 6400, "counterpart": 3}), "member 3 is customer"),
    (("transfer", 1, {"quantity": 1, "amount_minor": 6400, "counterpart": 4}), "is not in the register"),
    (("transfer", 1, {"quantity": 1, "amount_minor": 6400, "counterpart": 5}), "is not in the register"),
    (("subscription", 3, {"quantity": 1}), "member 3 is customer; shares of kind member are for user or worker"),
    (("subscription", 4, {"quantity": 1}), "is not in the register"),
    (("conversion", 1, {"quantity": 2, "amount_minor": 6400, "to_kind": "double", "to_quantity": 2}),
     "2 shares of 128.00 EUR are not worth 128.00 EUR"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "sentence"), REFUSED)
def test_what_the_register_cannot_hold_is_refused(
    what: tuple[str, int, dict[str, Any]], sentence: str
) -> None:
    kind, member, more = what
    with pytest.raises(Refusal, match=sentence):
        check(
            asked(kind, member, "2026-08-01", share_kind="member", **more), a_book().operations, KINDS,
            closed=Month(2026, 7),
        )  # fmt: skip


def test_what_it_can_hold_is_not() -> None:
    for kind, more in (
        ("payment", {"amount_minor": 6400}),
        ("redemption", {"quantity": 1, "amount_minor": 0}),
        ("transfer", {"quantity": 1, "amount_minor": 6400, "counterpart": 2}),
        ("conversion", {"quantity": 2, "amount_minor": 6400, "to_kind": "double", "to_quantity": 1}),
    ):
        check(
            asked(kind, 1, "2026-08-01", share_kind="member", **more), a_book().operations, KINDS, closed=None
        )


def test_nothing_is_dated_into_a_closed_month_or_ahead() -> None:
    one = asked("subscription", 1, "2026-07-31", share_kind="member", quantity=1)
    with pytest.raises(Refusal, match="2026-07 is closed; date it in 2026-08 or later"):
        check(one, a_book().operations, KINDS, closed=Month(2026, 7))
    with pytest.raises(Refusal, match="never ahead"):
        check(replace(one, effective_us=one.recorded_us + 1), a_book().operations, KINDS, closed=None)


def test_a_day_in_between_is_looked_at_too() -> None:
    """Redeemed in March what was subscribed in April: today's sum would be right, and March's not."""
    book = Book()
    book.join(1, "2026-01-01")
    book.hold(1, "2026-04-01", 1, 0)
    with pytest.raises(Refusal, match="would hold -1 shares"):
        check(
            asked("redemption", 1, "2026-03-01", share_kind="member", quantity=1, amount_minor=0),
            book.operations, KINDS, closed=None,
        )  # fmt: skip


def test_what_cannot_be_corrected() -> None:
    book = a_book()
    join, subscription = book.operations[0], book.operations[4]
    change = book.enter("class", 2, "2026-06-01", recorded=at("2026-05-01"), classes=(WORKER,))
    late = asked("correction", 1, "2026-08-01")
    for old, gone, sentence in (
        (join, False, "is a join, which is not corrected"),
        (subscription, True, "is corrected already"),
        (change, False, "counts already"),
        (replace(subscription, effective_us=at("2026-09-01")), False, "of a later time"),
    ):
        with pytest.raises(Refusal, match=sentence):
            check_correction(late, old, is_corrected=gone)
    check_correction(late, subscription, is_corrected=False)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"par": "0"}, "par: a share has a value above 0"),
        ({"par": "64.001"}, "par: '64.001' has 3 decimals"),
        ({"par": "NaN"}, "par: 'NaN' is not a plain decimal"),
        ({"par": "1e30"}, "par: '1e30' is not a plain decimal"),
        ({"name": "Member Share"}, "name: 'Member Share' is no name"),
        ({"held_by": ["customer", "user"]}, "a customer holds no share"),
        ({"held_by": []}, "name one or more classes"),
        ({"interest_max": "100.0001"}, "is more than the whole"),
        ({"interest_max": "-1"}, "interest-max: '-1' is negative"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    right: dict[str, Any] = {
        "name": "member", "par": "64.00", "currency": "EUR", "held_by": ["user"], "is_investment": False,
        "interest_max": "5.25",
    }  # fmt: skip
    assert (6400, 52_500) == (share_kind(**right).par_minor, share_kind(**right).interest_max_millionths)
    with pytest.raises(Refusal, match=sentence):
        share_kind(**(right | wrong))


def test_money_that_moves_is_booked_on_both_sides() -> None:
    pay = asked("payment", 1, "2026-02-01", share_kind="member", amount_minor=6400)
    redeem = asked("redemption", 1, "2026-02-01", share_kind="member", quantity=1, amount_minor=6400)
    move = asked(
        "transfer", 1, "2026-02-01", share_kind="member", quantity=1, amount_minor=6400, counterpart=2
    )
    for one, owed, sides in (
        (pay, False, {"bank:main": 6400, "shares:member:1": -6400}),
        (redeem, False, {"bank:main": -6400, "shares:member:1": 6400}),
        (redeem, True, {"payable:member:1": -6400, "shares:member:1": 6400}),
        (move, False, {"shares:member:1": 6400, "shares:member:2": -6400}),
    ):
        entry = entry_of(one, owed=owed)
        assert entry is not None
        assert sides == {side.account: side.amount_minor for side in entry.postings}
        assert ("share:99", Month(2026, 2)) == (entry.idempotency_key, entry.month)
    assert None is entry_of(replace(redeem, amount_minor=0), owed=False)
    assert None is entry_of(
        asked("subscription", 1, "2026-02-01", share_kind="member", quantity=1), owed=False
    )


# The register held against what others say


def whole() -> dict[str, Any]:
    """Everything `problems` looks at, agreeing."""
    book = a_book()
    lines = [
        Member(MemberId(number), f"m{number}", CUSTOMER if number == 3 else USER, "", MemberStatus.ACTIVE, 0)
        for number in (1, 2, 3)
    ]
    lines.append(Member(MemberId(4), "m4", USER, "", MemberStatus.LEFT, 0, at("2026-03-01")))
    return {
        "operations": book.operations,
        "kinds": KINDS,
        "held": {MemberId(1): {"member": Holding(2, 6400)}},
        "members": lines,
        "capital": {"shares:member:1": 6400},
        "now_us": at("2026-12-01"),
    }


def test_a_whole_register_has_no_problems() -> None:
    told = whole()
    assert [] == problems(told.pop("operations"), told.pop("kinds"), **told)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (lambda told: told["operations"].pop(1), "operation 2 is missing"),
        (lambda told: told["held"].clear(), "holds 0 shares of kind member with 0 paid, and the operations come to 2"),
        (lambda told: told["held"][MemberId(1)].update(member=Holding(2, 6399)), "with 6399 paid"),
        (lambda told: told["members"].pop(0), "member 1 stands in the operations only"),
        (lambda told: told["members"].append(Member(MemberId(9), "m9", USER, "", MemberStatus.ACTIVE, 0)),
         "member 9 stands in the list of members only"),
        (lambda told: told["members"].__setitem__(1, replace(told["members"][1], member_class=WORKER)),
         "member 2 is worker in the list of members and user in the register"),
        (lambda told: told["members"].__setitem__(3, replace(told["members"][3], status=MemberStatus.ACTIVE)),
         "member 4 has left by one of the two"),
        (lambda told: told["capital"].update({"shares:member:2": 1}), "shares:member:2 stands at 1 in the books"),
        (lambda told: told["capital"].clear(), "shares:member:1 stands at 0 in the books, and 6400 is paid"),
    ],
)  # fmt: skip
def test_each_disagreement_is_named(broken: Any, sentence: str) -> None:
    told = whole()
    broken(told)
    found = problems(told.pop("operations"), told.pop("kinds"), **told)
    assert any(sentence in one for one in found), found
