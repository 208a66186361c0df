"""What a member is told, in each kind of month; the texts are kept in tests/golden/billing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from billing.canon import canonical
from billing.charges.tariff import DEFAULT_TARIFF, parse_tariff
from billing.costs.invoices import Invoice
from billing.month.closing import ClosingInputs, closing
from billing.statements.render import statement_html, statement_text
from billing.statements.statement import FINAL, FORMAT, TRIAL, differences, statement
from billing.statements.telling import EARLIER, sentence
from billing.tongue import LANGUAGES, speaking
from meter.ids import MemberId
from meter.usage import Member, MemberClass, MemberStatus, Usage
from meter.window import Month

GOLDEN = Path(__file__).parents[1].joinpath("golden", "billing")
MONTH = Month(2026, 11)
MONTH_US = MONTH.end_us - MONTH.start_us


def member(number: int, name: str, member_class: MemberClass = MemberClass.USER) -> Member:
    return Member(MemberId(number), name, member_class, "", MemberStatus.ACTIVE, MONTH.start_us)


def usage(number: int, **counts: int) -> Usage:
    return Usage(MemberId(number), MONTH.start_us, MONTH.end_us, **counts)


INPUTS = ClosingInputs(
    month=MONTH,
    until_us=MONTH.end_us,
    tariff=parse_tariff(DEFAULT_TARIFF.read_text()),
    invoices=(
        Invoice(1, MONTH, "transit", 80_000, "EUR", "", 0), Invoice(2, MONTH, "disks-and-power", 41_250, "EUR", "", 0),
    ),
    watermark={"00000000-0000-0000-0000-000000000001": 99},
)  # fmt: skip
MEMBERS = [
    (member(1, "anna"), usage(1, bytes_in=250 * 10**9, bytes_out=123_456_789_012_345, requests_a=12_000,
                              requests_b=3_456_789, byte_us=4_000_000_000_001 * MONTH_US + 7)),
    (member(2, "ben"), usage(2, bytes_out=40_000_000_000_000, requests_b=1)),
    (member(3, "wim", MemberClass.WORKER), usage(3, bytes_out=1_000_000_000_000)),
    (member(4, "idle"), usage(4)),
]  # fmt: skip


SHOP = (member(5, "shop", MemberClass.CUSTOMER), usage(5, bytes_out=12_500_000_000_000))
"""12,500 GB at 0.01: 125.00."""


def of(
    number: int,
    kind: str = FINAL,
    inputs: ClosingInputs = INPUTS,
    own: Usage | None = None,
    *,
    sells: bool = False,
    told_as: str = FORMAT,
) -> dict[str, object]:
    """What a member is told; `own` in place of their usage; `sells`: the shop buys, too."""
    members = [(one, used if own is None or one.id != number else own) for one, used in MEMBERS]
    done, lines = closing(inputs, [*members, SHOP] if sells else members)
    return statement(done, lines[number - 1], kind=kind, told_as=told_as)


def kept(name: str, made: str) -> str:
    """The golden text; made anew by deleting the file and looking at what was made."""
    path = GOLDEN.joinpath(name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made, "utf-8")
        pytest.fail(f"{name} was missing and is made now: read it")
    return path.read_text("utf-8")


CASES = {
    "surplus": of(1),
    "worker": of(3),
    "idle": of(4),
    "trial": of(2, TRIAL, replace(INPUTS, until_us=MONTH.start_us + 22 * 86_400 * 10**6)),
    "trial-without-costs": of(2, TRIAL, replace(INPUTS, invoices=())),
    "with-a-customer": of(1, sells=True),
    "customer": of(5, sells=True),
    "loss": of(1, FINAL, replace(INPUTS, invoices=(Invoice(1, MONTH, "transit", 10**6, "EUR", "", 0),))),
}


@pytest.mark.parametrize("name", CASES)
def test_the_text_of_a_statement_is_the_one_that_was_read_and_approved(name: str) -> None:
    made = statement_text(CASES[name])
    assert kept(f"{name}.txt", made) == made


@pytest.mark.parametrize("name", ["surplus", "loss"])
def test_the_page_of_a_statement_is_the_one_that_was_read_and_approved(name: str) -> None:
    made = statement_html(CASES[name])
    assert kept(f"{name}.html", made) == made


def test_the_document_of_a_statement_is_the_one_that_was_read_and_approved() -> None:
    made = canonical(CASES["surplus"]) + "\n"
    assert kept("surplus.json", made) == made


@pytest.mark.parametrize("name", CASES)
def test_a_statement_fits_eighty_columns(name: str) -> None:
    assert [] == [line for line in statement_text(CASES[name]).splitlines() if len(line) > 80]


def test_the_charges_are_those_worked_out_by_hand() -> None:
    # 123,456.789012345 GB × 0.01; 0; 4,000 GB-months × 0.006; 12 thousand × 0.005; 3,456.789 thousand × 0.0004
    lines = [line["amount_minor"] for line in CASES["surplus"]["lines"]]  # type: ignore[attr-defined]
    assert [123457, 0, 2400, 6, 138] == lines


def test_script_in_what_somebody_wrote_is_shown_and_never_run() -> None:
    document = CASES["surplus"] | {"sentence": "<script>alert(1)</script>", "meaning": "'\"&"}
    page = statement_html(document)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&#39;&#34;&amp;" in page


def test_a_long_pool_and_huge_figures_stay_readable() -> None:
    dear = replace(INPUTS, invoices=(Invoice(1, MONTH, "p" * 63, 10**17, "EUR", "", 0),))
    lines = statement_text(of(1, FINAL, dear)).splitlines()
    assert max(len(line) for line in lines) <= 80


def test_old_versions_are_a_line_of_their_own_where_there_are_any() -> None:
    some = usage(1, byte_us=5 * 10**9 * MONTH_US, version_byte_us=2 * 10**9 * MONTH_US)
    document = of(1, own=some)
    told = [
        (line["words"], line["quantity_text"], line["price"], line["amount_minor"])
        for line in document["lines"]  # type: ignore[attr-defined]
    ]
    assert ("Kept in storage", "3 GB-months", "0.006", 2) in told
    assert ("Old versions kept", "2 GB-months", "0.006", 1) in told
    assert "Old versions kept" in statement_text(document)
    assert "Old versions kept" in statement_html(document)
    assert 2 * 10**9 * MONTH_US == document["usage"]["version_byte_microseconds"]  # type: ignore[index]
    assert "Old versions kept" not in statement_text(of(1))


def test_unfinished_uploads_are_a_line_and_what_is_not_charged_is_told_apart() -> None:
    some = usage(
        1, bytes_out=10**9, corrected_out=-5 * 10**8, byte_us=5 * 10**9 * MONTH_US, part_byte_us=10**9 * MONTH_US,
        version_byte_us=10**9 * MONTH_US, removed_byte_us=7 * 10**9 * MONTH_US,
    )  # fmt: skip
    document = of(1, own=some)
    told = [(line["words"], line["quantity_text"]) for line in document["lines"]]  # type: ignore[attr-defined]
    assert [
        ("Kept in storage", "3 GB-months"),
        ("Old versions kept", "1 GB-months"),
        ("Unfinished uploads kept", "1 GB-months"),
    ] == [one for one in told if "kept" in one[0].lower()]
    assert [("Of this sent: corrections", "-0.5 GB"), ("Removed, not charged", "7 GB-months")] == [
        (line["words"], line["quantity_text"])
        for line in document["apart"]  # type: ignore[attr-defined]
    ]
    assert sum(line["amount_minor"] for line in document["lines"]) == document["charges_minor"]  # type: ignore[attr-defined]
    for text in (statement_text(document), statement_html(document)):
        for words in ("Unfinished uploads kept", "Of this sent: corrections", "Removed, not charged"):
            assert words in text


def test_differences_name_member_count_and_both_sides() -> None:
    assert ["anna: bytes_out is 5 in the statement and 6 in the recount"] == differences(
        usage(1, bytes_out=5), usage(1, bytes_out=6), "anna"
    )
    assert ["ben: requests_a is 0 in the statement and 1 in the recount"] == differences(
        usage(2), usage(2, requests_a=1), "ben"
    )


def test_a_statement_of_an_older_weir_is_shown_with_its_share() -> None:
    older = CASES["surplus"] | {
        "format": "weir-statement-1",
        "share": {
            "charges_minor": 126001, "all_charges_minor": 166001, "pool_minor": 45751, "exact": "347.26…",
            "amount_minor": 34727, "paid_minor": 0, "retained_minor": 34727,
        },
        "after_share_minor": 91274,
    }  # fmt: skip
    for text in (statement_text(older), statement_html(older)):
        assert "What comes back to you" in text
        assert "347.27" in text
    assert "What comes back to you" not in statement_text(CASES["surplus"])


def test_customers_charges_are_not_called_the_members() -> None:
    """1,670.01 as in the month without the shop, and its 125.00; 1,795.01 - 1,212.50 = 582.51."""
    told = (
        "In November 2026 the service cost 1,212.50 EUR; members were charged 1,670.01 EUR and customers 125.00 EUR: "
        "582.51 EUR is left over."
    )
    for number in (1, 5):
        document = of(number, sells=True)
        assert str(document["sentence"]).endswith(told)
        assert (12500, 179501) == tuple(
            document["co_op"][name]  # type: ignore[index]
            for name in ("customers_charges_minor", "charges_minor")
        )
        page, text = statement_html(document), statement_text(document)
        for words, amount in (("All members’ charges", "1,670.01"), ("Customers’ charges", "125.00")):
            assert f'<th scope="row">{words}</th><td class="n">{amount}</td>' in page
            assert re.search(rf"^  {words.replace('’', chr(39))} +{amount}$", text, re.MULTILINE)
    assert "Customers" not in statement_text(of(1))


INVOICED = {
    "surplus": INPUTS.invoices, "loss": (Invoice(1, MONTH, "transit", 10**6, "EUR", "", 0),),
    "even": (Invoice(1, MONTH, "transit", 179501, "EUR", "", 0),), "none": (),
}  # fmt: skip


@pytest.mark.parametrize("kind", [TRIAL, FINAL])
@pytest.mark.parametrize("outcome", INVOICED)
def test_each_sentence_tells_customers_apart(outcome: str, kind: str) -> None:
    for language in LANGUAGES:
        with speaking(language):
            told = sentence(of(1, kind, replace(INPUTS, invoices=INVOICED[outcome]), sells=True))
        figures = re.findall(r"\d[\d.,]*\d(?=\sEUR)", told)
        cost = {
            "surplus": ["121250"],
            "loss": ["1000000"],
            "even": ["179501"],
            "none": [] if kind == TRIAL else ["000"],
        }
        left = {
            "surplus": ["58251"],
            "loss": ["820499"],
            "even": [],
            "none": [] if kind == TRIAL else ["179501"],
        }
        expected = [*cost[outcome], "167001", "12500", *left[outcome]]
        assert expected == [re.sub(r"\D", "", one) for one in figures], told


def test_a_month_closed_before_stays_in_the_words_it_was_closed_in() -> None:
    """What the month says is as the Weir before had it; the picture, and who gives the files that check it, are today's."""
    told = of(1, told_as=EARLIER)
    assert GOLDEN.joinpath("surplus-as-statement-2.json").read_text("utf-8") == canonical(told) + "\n"
    assert GOLDEN.joinpath("surplus-as-statement-2.txt").read_text("utf-8") == statement_text(told)
    assert GOLDEN.joinpath("surplus-as-statement-2.html").read_text("utf-8") == statement_html(told)
    shop = of(5, sells=True, told_as=EARLIER)
    assert "and members were charged 1,795.01 EUR: 582.51 EUR is left over" in str(shop["sentence"])
    assert "shop, member 5" in statement_text(shop)
    assert (shop["meaning"], False) == (
        "What is left over belongs to the members; you buy at the tariff and are none.",
        "Customers" in statement_text(shop) + statement_html(shop),
    )


def test_a_surplus_is_not_said_to_come_back_whole() -> None:
    for number in (1, 3, 5):
        assert "its surplus comes back" not in str(of(number, sells=True)["meaning"])
    assert "the part that the co-op's rules share out" in str(of(1)["meaning"])
    assert "stays with the co-op" in str(of(5, sells=True)["meaning"])
