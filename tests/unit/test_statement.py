"""What a member is told, in each kind of month; the texts are kept in tests/golden/billing."""

from dataclasses import replace
from pathlib import Path

import pytest

from billing.canon import canonical
from billing.closing import ClosingInputs, closing
from billing.cost import Invoice
from billing.frozen import inputs_of
from billing.render import statement_html, statement_text
from billing.statement import FINAL, TRIAL, as_told_apart, differences, statement
from billing.tariff import DEFAULT_TARIFF, Service, parse_tariff
from meter.ids import MemberId
from meter.refusal import Refusal
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
    members=(member(1, "anna"), member(2, "ben"), member(3, "wim", MemberClass.WORKER), member(4, "idle")),
    usage={
        MemberId(1): usage(1, bytes_in=250 * 10**9, bytes_out=123_456_789_012_345, requests_a=12_000,
                           requests_b=3_456_789, byte_us=4_000_000_000_001 * MONTH_US + 7),
        MemberId(2): usage(2, bytes_out=40_000_000_000_000, requests_b=1),
        MemberId(3): usage(3, bytes_out=1_000_000_000_000),
    },
    invoices=(
        Invoice(1, MONTH, "transit", 80_000, "EUR", "", 0), Invoice(2, MONTH, "disks-and-power", 41_250, "EUR", "", 0),
    ),
    watermark={"00000000-0000-0000-0000-000000000001": 99},
)  # fmt: skip


def of(number: int, kind: str = FINAL, inputs: ClosingInputs = INPUTS) -> dict[str, object]:
    return statement(closing(inputs), MemberId(number), kind=kind)


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


def test_somebody_who_was_no_member_then_gets_no_statement() -> None:
    with pytest.raises(Refusal, match="no statement for 2026-11"):
        of(9)


def test_old_versions_are_a_line_of_their_own_where_there_are_any() -> None:
    some = usage(1, byte_us=5 * 10**9 * MONTH_US, version_byte_us=2 * 10**9 * MONTH_US)
    document = of(1, FINAL, replace(INPUTS, usage={MemberId(1): some}))
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
    document = of(1, FINAL, replace(INPUTS, usage={MemberId(1): some}))
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


def test_a_closing_reads_back_with_every_line_and_correction() -> None:
    some = usage(
        1, byte_us=5, part_byte_us=3, version_byte_us=1, removed_byte_us=9, corrected_in=-2, bytes_in=1
    )
    made = closing(replace(INPUTS, usage={MemberId(1): some}))
    assert {MemberId(1): some} == inputs_of(canonical(made.to_document())).usage


def test_an_older_closing_held_unfinished_uploads_with_the_objects() -> None:
    """It is compared so, unless the tariff has a price for them: then it must have told them apart."""
    counted = {MemberId(1): usage(1, byte_us=5, part_byte_us=3)}
    older = replace(INPUTS, usage={MemberId(1): usage(1, byte_us=5)})
    assert older.usage == as_told_apart(older, counted)
    newer = replace(INPUTS, usage={MemberId(1): usage(1, byte_us=5, part_byte_us=2)})
    assert counted == as_told_apart(newer, counted)
    priced = replace(
        older, tariff=replace(older.tariff, prices={**older.tariff.prices, Service.GB_MONTH_PARTS: 1})
    )
    assert counted == as_told_apart(priced, counted)


def test_differences_name_member_count_and_both_sides() -> None:
    stored = {MemberId(1): usage(1, bytes_out=5), MemberId(2): usage(2)}
    again = {MemberId(1): usage(1, bytes_out=6), MemberId(3): usage(3, requests_a=1)}
    assert [
        "anna: bytes_out is 5 in the statement and 6 in the recount",
        "member 3: requests_a is 0 in the statement and 1 in the recount",
    ] == differences(stored, again, {MemberId(1): "anna"})


def test_the_share_of_the_statement_is_the_share_of_the_closing() -> None:
    shares = {one.member: one.amount_minor for one in closing(INPUTS).patronage.allocations}
    told = {number: of(number)["share"]["amount_minor"] for number in (1, 2)}  # type: ignore[index]
    assert shares == told
