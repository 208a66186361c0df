"""Founding on paper: what is refused with which sentence, what the budget comes to, what the papers hold."""

from __future__ import annotations

import io
import re
import tomllib
from typing import Any
from urllib.parse import urlsplit

import pypdf
import pytest

from billing.acts.act import Office
from billing.charges.tariff import Service
from billing.founding.budget import budget
from billing.founding.papers import papers, too_few, weights_wanting
from billing.founding.pdf import sheet_pdf
from billing.founding.sheet import Grid, Point, Points, Sheet, Words, markdown
from billing.money import percent_text
from billing.rules.book import rule_set, rule_set_ids
from billing.rules.founding import RULES, founding_rules, helpers
from deploy.commands.found import EXAMPLE
from deploy.found.papers import place_of
from meter.refusal import Refusal
from meter.usage import MemberClass
from tests.founding_kit import NOW_US, answers, document, founders
from tests.house.test_written_pages import SUBJECTS, commands_in, commands_there
from tests.ordinary import ROOT

REGISTER = {
    "title": "Register of members", "source": "no law", "at": "2026-11-26T00:00:00Z", "operations": 6,
    "registers": [{"name": "members", "columns": [{"key": "name", "heading": "Name"}], "rows": [{"name": "Anna Adams"}]}],
}  # fmt: skip


def sheets(**changes: Any) -> dict[str, Sheet]:
    told = answers(**changes)
    return {
        one.name: one for one in papers(told, place_of(told.rule_set), REGISTER, resolution="2026-1")
    }  # fmt: skip


def test_what_was_not_said_has_the_plain_answer() -> None:
    told = answers()
    anna, ben, carla = told.founders
    assert (MemberClass.USER, 2, (Office.BOARD, Office.TREASURER)) == (
        anna.member_class, anna.shares, anna.offices,
    )  # fmt: skip
    assert (MemberClass.USER, ()) == (ben.member_class, carla.offices)
    assert ("2026-11", 2026, "2026-11-26", 6400) == (
        str(told.begin), told.from_year, str(told.meeting.held_on), told.par_minor,
    )  # fmt: skip
    assert 100 * 10**9 == told.tariff.price_nano(Service.GB_OUT)
    assert "@" not in repr(told)


def test_without_prices_the_shipped_example_counts_in_the_founders_currency() -> None:
    told = answers(prices=None, currency="USD", begin="2027-01")
    # The numbers of billing/charges/tariffs/default.toml.
    assert ("USD", "2027-01", 10_000_000, 6_000_000) == (
        told.tariff.currency, str(told.tariff.effective_from), told.tariff.price_nano(Service.GB_OUT),
        told.tariff.price_nano(Service.GB_MONTH),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "  "}, "name: one line of text"),
        ({"name": "x" * 121}, "name: a co-op's name has at most 120 characters"),
        ({"rule_set": "de-e"}, "rule_set: 'de-e' is unknown; did you mean 'de-eg'?"),
        ({"language": "fr"}, "language: 'fr' is none of ours; there is en, de, es"),
        ({"language": 3}, "language: one line of text"),
        ({"currency": "EURO"}, "'EURO' is not a currency code"),
        ({"begin": "2026-10"}, "begin: 2026-10 is over"),
        ({"begin": "2027-12"}, "begin: 2027-12 is far ahead; 2027-11 is the last"),
        ({"begin": "soon"}, "begin: "),
        ({"fiscal_year_begins": 13}, "fiscal_year_begins: the number of a month"),
        ({"share": {"par": "64.001"}}, "par: '64.001' has 3 decimals"),
        ({"share": {"par": "0"}}, "par: a share has a value above 0"),
        ({"share": {"par": 64.5}}, "share.par: one line of text in quotes"),
        ({"founder": None}, "founder: name one member at least"),
        ({"founder": []}, "founder: name one member at least"),
        ({"founder": founders({"name": "Anna"})}, "founder[0].name: 'Anna' cannot be a member's name"),
        ({"founder": founders({}, {"name": "anna"})}, "founder[1].name: there are two founders named 'anna'"),
        ({"founder": founders({}, {}, {"email": "ANNA@example.org"})}, "founder[2].email: anna and carla have one address"),
        ({"founder": founders({"email": "anna"})}, "founder[0].email: 'anna' is no e-mail address"),
        ({"founder": founders({"class": "customer"})}, "founder[0].class: 'customer' is no class of members"),
        ({"founder": founders({"shares": 0})}, "founder[0].shares: a founder takes one share at least"),
        ({"founder": founders({"shares": 1.5})}, "founder[0].shares: a whole number"),
        ({"founder": founders({"offices": ["king"]})}, "founder[0].offices: 'king' is no office"),
        ({"founder": founders({"offices": []}, {"offices": ["operator"]})}, "offices: nobody is on the board"),
        ({"founder": founders({"colour": "red"})}, "founder[0].colour: is an unknown key"),
        ({"cost": [{"what": "machine", "a_month": "1.005"}]}, "cost[0].a_month: '1.005' has 3 decimals"),
        ({"cost": [{"what": "machine", "a_month": "-1"}]}, "cost[0].a_month: '-1' is negative"),
        ({"use": {"gb_out": -1}}, "use.gb_out: a whole number"),
        ({"use": {"gb_out": 10**9 + 1}}, "use.gb_out: at most"),
        ({"prices": {"gb_out": "1"}}, "the tariff lacks"),
        ({"prices": {"gb_sideways": "1"}}, "prices.gb_sideways: is no service"),
        ({"meeting": {"for": 1, "against": 1}}, "meeting.for: 1 for and 1 against carry nothing"),
        ({"meeting": {"for": 4}}, "meeting.for: 4 votes were cast, and there are 3 founders"),
        ({"meeting": {"against": 1}}, "meeting.for: a count of votes names those for it"),
        ({"meeting": {"date": "2026-11-27"}}, "meeting.date: 2026-11-27 is still to come (in UTC it is 2026-11-26)"),
        ({"meeting": {"date": "2026-11-20", "for": 3}}, "meeting.for: votes are held against the register of the day"),
        ({"meeting": {"date": "tomorrow"}}, "meeting.date: 'tomorrow' is not a day"),
        ({"class_weights": {"customer": 1}}, "class_weights.customer: is no class of members"),
        ({"shares": 3}, "shares: is an unknown key; did you mean 'share'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence_that_names_the_field(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refusal) as refused:
        answers(**changes)
    assert str(refused.value).startswith(sentence), str(refused.value)


def test_the_first_year_to_the_cent() -> None:
    # 2 GB at 100, 1 GB at 10, 3 GB-months at 1 are 213.00 a member and month; three members, two months; 15.00 of costs.
    made = budget(answers())
    assert ["2026-11", "2026-12"] == [str(one) for one in made.months]
    assert [20_000, 1_000, 300] == [one.amount_minor for one in made.lines]
    assert (127_800, 3_000, 124_800, 25_600) == (
        made.income_minor, made.costs_minor, made.result_minor, made.shares_minor,
    )  # fmt: skip
    short = budget(
        answers(cost=[{"what": "rack", "a_month": "700.00"}], begin="2027-03", fiscal_year_begins=3)
    )
    assert ("2028-02", 12) == (str(short.months[-1]), len(short.months))
    # 700.00 among three is 233.34, rounded up; 61.00 is missing in each of twelve months.
    assert (23_334, -73_200) == (short.each_would_have_to_pay_minor, short.result_minor)
    assert "732.00 EUR would be missing" in short.sentence()
    assert "would be left" in made.sentence()


def test_a_fiscal_year_that_began_before_the_books_is_the_first_one() -> None:
    told = answers(fiscal_year_begins=7)
    assert (2026, "2027-06") == (told.from_year, str(budget(told).months[-1]))
    assert 2025 == answers(fiscal_year_begins=12).from_year


def test_the_clauses_say_whether_just_as_many_as_the_quorum_are_enough() -> None:
    told = {name: markdown(sheets(rule_set=name)["2-by-law-clauses"]) for name in ("us-selc", "es")}
    assert "more than 50 % of the members with a vote take part" in told["us-selc"]
    assert "at least 10 % of the members with a vote take part" in told["es"]


@pytest.mark.parametrize("identity", rule_set_ids())
def test_the_clauses_say_every_number_of_the_rule_set_with_its_source(identity: str) -> None:
    made = sheets(rule_set=identity)
    told = markdown(made["2-by-law-clauses"])
    rules = rule_set(identity)
    for key, number in rules.numbers().items():
        if key == "loss_from_compulsory_reserve" and not number.share:
            continue  # Where there is no such reserve, nothing is said of it.
        assert percent_text(number.share) in told, key
        assert markdown_words(number.source) in told, key
    for note in rules.notes:
        assert markdown_words(note) in told
    assert ("no legal advice" in told, "has one vote" in told) == (True, True)


def markdown_words(text: str) -> str:
    """The same with every mark escaped, by hand: a backslash before it."""
    return re.sub(r"[\\*_<>\[\]|#~]", lambda found: "\\" + found[0], text)


@pytest.mark.parametrize("identity", rule_set_ids())
def test_each_rule_set_has_a_checklist_of_its_own_with_sources_and_links(identity: str) -> None:
    assert identity in tomllib.loads(RULES.read_text("utf-8")), "no fallback to another one"
    found = founding_rules(identity)
    assert found.of_the_place
    for one in (*found.of_the_place, *found.everywhere):
        assert one.source
        assert not one.link or ("https" == urlsplit(one.link).scheme and urlsplit(one.link).netloc)
    told = markdown(sheets(rule_set=identity)["1-checklist"])
    assert [] == [
        one.what
        for one in found.of_the_place
        if markdown_words(one.what.replace("`", "")) not in told.replace("`", "")
    ]
    assert [] == [one.link for one in helpers() if f"<{one.link}>" not in told]


def test_german_by_laws_have_the_reserve_that_the_law_wants_of_the_statutes() -> None:
    """Genossenschaftsgesetz § 7 Nr. 2: which part of the surplus goes to it each year, and the least it is to reach."""
    told = markdown(sheets(rule_set="de-eg")["2-by-law-clauses"]).replace("\\", "")
    assert "each year [per cent] of the year's surplus goes to it, until it holds at least [amount" in told
    assert "Genossenschaftsgesetz § 7 Nr. 2" in told
    assert "No reserve is compulsory" not in told
    assert "before what the meeting puts aside" in told


def test_a_founder_s_postal_address_is_read_where_it_is_given() -> None:
    first, *others = founders({"postal": "Linden Street 4, 12345 Elmtown"})
    read = answers(founder=[first, *others]).founders
    assert ["Linden Street 4, 12345 Elmtown", ""] == [one.postal for one in read[:2]]
    with pytest.raises(Refusal, match="postal: one line of at most 500 characters"):
        answers(founder=founders({"postal": "x" * 501}))


def test_too_few_founders_are_told_so_and_not_refused() -> None:
    two = answers(rule_set="de-eg", founder=founders()[:2])
    assert "asks for 3 founders, and there are 2 (Genossenschaftsgesetz § 4)" in too_few(
        two, founding_rules("de-eg")
    )
    assert "" == too_few(answers(rule_set="de-eg"), founding_rules("de-eg"))


def test_users_and_workers_without_weights_are_told_what_is_missing() -> None:
    mixed = founders({}, {"class": "worker"})
    wanting = weights_wanting(answers(founder=mixed), rule_set("plain"))
    assert "class_weights" in wanting
    # The true deadline: once a month is closed, a choice is for a coming year only.
    assert "before the first month is closed" in wanting
    chosen = answers(founder=mixed, class_weights={"user": 80, "worker": 20})
    assert "" == weights_wanting(chosen, rule_set("plain"))
    assert '[class_weights]\nuser = "80"\nworker = "20"\n' == chosen.choices
    assert "weights: user 80, worker 20" in markdown(
        sheets(founder=mixed, class_weights={"user": 80, "worker": 20})["2-by-law-clauses"]
    )


def test_the_papers_are_the_meetings() -> None:
    made = sheets(meeting={"for": 3, "against": 0, "place": "Linden Street 4"}, begin="2026-12")
    assert [
        "1-checklist",
        "2-by-law-clauses",
        "3-founding-meeting",
        "4-register-of-members",
        "5-budget-of-the-first-year",
    ] == list(made)
    minutes = markdown(made["3-founding-meeting"])
    assert "held on 2026-11-26 in Linden Street 4" in minutes
    assert "Votes: for 3, against 0, abstained 0." in minutes
    assert "| Anna Adams | user | 2 |  |" in minutes
    assert "| Treasurer | Anna Adams |  |" in minutes
    assert "begin with 2026-12" in minutes
    assert "| Costs | 15.00 EUR |" in markdown(made["5-budget-of-the-first-year"])
    assert "| Name | Anna Adams |" in markdown(made["4-register-of-members"])


def test_no_name_becomes_a_link_a_column_or_a_command() -> None:
    name = "Evil [x](https://evil.example) | <b> `weir up` *"
    minutes = markdown(sheets(founder=founders({"full_name": name}), name="# A | B")["3-founding-meeting"])
    row = next(line for line in minutes.splitlines() if "Evil" in line)
    assert r"| Evil \[x\](https://evil.example) \| \<b\> 'weir up' \* | user | 2 |  |" == row
    assert r"\# A \| B" in minutes


def test_markdown_of_each_kind_of_block() -> None:
    made = Sheet(
        "x", "Title", "Co-op",
        (Words("run `weir up` *now*"), Points((Point("first", "law", "https://a.example"),), boxes=True),
         Points((Point("one"), Point("two", "law")), numbered=True), Grid("c", ("a", "b"), (("1", "2"),), numbers=1)),
        "foot", "en",
    )  # fmt: skip
    assert (
        "# Title\n\nCo-op\n\nrun `weir up` \\*now\\*\n\n* [ ] first\n  (law, <https://a.example>)\n\n1. one\n2. two\n   (law)\n\n"
        "c\n\n| a | b |\n|---|---:|\n| 1 | 2 |\n\n---\n\n*foot*\n" == markdown(made)
    )


def test_every_command_in_the_papers_exists() -> None:
    told = "\n".join(
        markdown(one) for identity in rule_set_ids() for one in sheets(rule_set=identity).values()
    )
    named = commands_in(told)
    assert {"share pay", "register print", "bill close"} <= named
    assert set() == named - commands_there() - set(SUBJECTS)


def test_a_pdf_holds_the_paper_and_made_again_is_the_same() -> None:
    for made in sheets(rule_set="de-eg").values():
        content = sheet_pdf(made, dated_us=NOW_US + 123)
        assert content == sheet_pdf(made, dated_us=NOW_US + 123)
        read = pypdf.PdfReader(io.BytesIO(content))
        text = "".join(page.extract_text() for page in read.pages)
        assert made.title.split(":")[0] in text
        assert "/StructTreeRoot" in read.trailer["/Root"]


def test_the_example_founds_and_stands_in_the_docs() -> None:
    text = EXAMPLE.read_text("utf-8")
    told = answers(**dict.fromkeys(document()) | tomllib.loads(text))
    assert ("Linden Hosting", 3) == (told.name, len(told.founders))
    page = ROOT.joinpath("docs/founding.md").read_text("utf-8")
    assert "\n".join(f"    {line}".rstrip() for line in text.splitlines()) in page


def test_a_short_first_year_is_closed_after_its_own_last_month() -> None:
    """Books from December on, years from January: the first year is one month, and not twelve."""
    told = markdown(sheets(begin="2026-12")["1-checklist"]).replace("\\", "")
    assert "After 2026-12, with which the first fiscal year ends: " in told
    assert "twelve months" not in told
