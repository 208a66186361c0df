"""Statements of the bank: both versions of camt.053, CSV, what is refused, and whose payment a line is."""

from __future__ import annotations

from datetime import date

import pytest

from billing.payments import markup
from billing.payments.bank import Line, invoice_reference, read_statement, reference
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month

OWN = "DE02120300000000202051"
ENTRY = """
<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>{status}
<BookgDt><Dt>2026-11-03</Dt></BookgDt><ValDt><Dt>2026-11-03</Dt></ValDt><AcctSvcrRef>{ref}</AcctSvcrRef>
<BkTxCd/><NtryDtls>{details}</NtryDtls></Ntry>"""
OLD, NEW = "<Sts>BOOK</Sts>", "<Sts><Cd>BOOK</Cd></Sts>"


def details(
    text: str, *, e2e: str = "NOTPROVIDED", side: str = "Dbtr", name: str, amount: str = "", pty: bool,
    reason: str = "",
) -> str:  # fmt: skip
    who = f"<Pty><Nm>{name}</Nm></Pty>" if pty else f"<Nm>{name}</Nm>"
    own = f'<Amt Ccy="EUR">{amount}</Amt>' if amount else ""
    given_back = f"<RtrInf><Rsn><Cd>{reason}</Cd></Rsn></RtrInf>" if reason else ""
    return (
        f"<TxDtls><Refs><EndToEndId>{e2e}</EndToEndId></Refs>{own}<RltdPties><{side}>{who}</{side}>"
        f"<{side}Acct><Id><IBAN>NL91ABNA0417164300</IBAN></Id></{side}Acct></RltdPties>"
        f"<RmtInf><Ustrd>{text[:12]}</Ustrd><Ustrd>{text[12:]}</Ustrd></RmtInf>{given_back}</TxDtls>"
    )


def entry(amount: str, side: str = "CRDT", *, status: str = OLD, ref: str = "R1", inner: str = "") -> str:
    return ENTRY.format(amount=amount, side=side, status=status, ref=ref, details=inner)


def balances(began: str, ended: str) -> str:
    return "".join(
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{amount}</Amt>'
        "<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-03</Dt></Dt></Bal>"
        for code, amount in (("OPBD", began), ("CLBD", ended))
    )


def camt(*entries: str, version: str = "02", iban: str = OWN, before: str = "", front: str = "") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{front}<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}">'
        f"<BkToCstmrStmt><GrpHdr><MsgId>1</MsgId></GrpHdr><Stmt><Id>1</Id><Acct><Id><IBAN>{iban}</IBAN></Id></Acct>"
        f"{before}{''.join(entries)}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def read(body: bytes) -> list[tuple[str, int, str, str, str, str]]:
    found = read_statement(body, currency="EUR", own_iban=OWN)
    return [
        (str(one.booked_on), one.amount_minor, one.end_to_end, one.name, one.iban, one.text) for one in found
    ]


@pytest.mark.parametrize(("version", "status", "pty"), [("02", OLD, False), ("08", NEW, True)])
def test_both_versions_say_who_paid_what_for_what(version: str, status: str, pty: bool) -> None:
    paid_in = details("WEIR-3-2026-10 thanks", name="Anna", pty=pty)
    paid_out = details("Payment", e2e="WEIR-PAY-1-M2", side="Cdtr", name="Ben", pty=pty)
    body = camt(
        entry("12.34", status=status, inner=paid_in),
        entry("5.00", "DBIT", status=status, ref="R2", inner=paid_out),
        version=version, before=balances("100.00", "107.34"),
    )  # fmt: skip
    assert [
        ("2026-11-03", 1234, "", "Anna", "NL91ABNA0417164300", "WEIR-3-2026- 10 thanks"),
        ("2026-11-03", -500, "WEIR-PAY-1-M2", "Ben", "NL91ABNA0417164300", "Payment"),
    ] == read(body)
    line = read_statement(body, currency="EUR", own_iban=OWN)[0]
    assert (MemberId(3), Month(2026, 10)) == line.invoice
    assert "Anna" not in repr(line)


def test_a_line_of_several_payments_is_several_lines() -> None:
    inner = details("a", name="A", amount="1.00", pty=False) + details(
        "b", name="B", amount="2.50", pty=False
    )
    assert [100, 250] == [one[1] for one in read(camt(entry("3.50", inner=inner)))]
    with pytest.raises(Refusal, match="line 1: its details sum to 350, the line to 360"):
        read(camt(entry("3.60", inner=inner)))


def test_what_is_pending_is_not_booked() -> None:
    assert [] == read(
        camt(entry("3.50", status="<Sts>PDNG</Sts>"), entry("1.00", status="<Sts><Cd>INFO</Cd></Sts>"))
    )


def test_the_same_line_has_the_same_key_and_two_alike_have_two() -> None:
    one, other = entry("1.00", ref=""), entry("1.00", ref="")
    keys = [line.key for line in read_statement(camt(one, other), currency="EUR", own_iban=None)]
    again = [
        line.key for line in read_statement(camt(one, other, entry("2.00")), currency="EUR", own_iban=None)
    ]
    assert 2 == len(set(keys))
    assert keys == again[:2]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (camt(entry("1.00"), iban="NL91ABNA0417164300"), "another account than the co-op's own"),
        (camt(entry("1.00"), before=balances("0.00", "2.00")), "do not lead from its opening to its closing balance"),
        (camt(entry("1.00"), version="09"), "no camt.053 of version"),
        (camt(entry("1.001")), "line 1: '1.001' has 3 decimals"),
        (camt(entry("NaN")), "line 1: 'NaN' is not a plain decimal"),
        (camt(entry("1e30")), "line 1: '1e30' is not a plain decimal"),
        (camt(entry("0.00")), "a line of 0 moves nothing"),
        (camt(entry("1.00", "UPWARDS")), "one amount, and CRDT or DBIT"),
        (camt(entry("1.00")).replace(b'Ccy="EUR"', b'Ccy="USD"'), "its currency is 'USD'"),
        (camt(entry("1.00")).replace(b"2026-11-03", b"2026-02-30"), "'2026-02-30' is not a day"),
        (camt(front="<!DOCTYPE x>"), "has a DOCTYPE"),
        (camt(front='<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'), "has a DOCTYPE"),
        (camt()[:-20], "no XML that can be read"),
        (b"<Document/>", "no camt.053"),
        (b"<" + b"a><" * 30 + b"/a>", "no XML|in each other"),
        (b"\xff\xfe", "neither XML nor UTF-8"),
    ],
)  # fmt: skip
def test_a_statement_that_is_not_whole_is_refused_whole(body: bytes, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        read(body)


def test_the_reader_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (24, 2_000_000) == (markup.DEPTH_MAX, markup.ELEMENTS_MAX)
    deep = b"<a>" * (markup.DEPTH_MAX + 1) + b"</a>" * (markup.DEPTH_MAX + 1)
    with pytest.raises(Refusal, match="more than 24 in each other"):
        markup.parse(deep, what="it")
    # Two millions of them take the reader nine seconds to refuse.
    monkeypatch.setattr(markup, "ELEMENTS_MAX", 2000)
    markup.parse(b"<a>" + b"<b/>" * 1999 + b"</a>", what="it")
    with pytest.raises(Refusal, match="more than 2000 elements"):
        markup.parse(b"<a>" + b"<b/>" * 2000 + b"</a>", what="it")


def test_a_statement_as_csv() -> None:
    body = (
        "\ufeffDate,Amount,Currency,Reference,Name,Text\r\n"
        '2026-11-03,12.34,EUR,R1,"Müller, Anna",weir-3-2026-10\r\n\r\n'
        "2026-11-04,-7.00,EUR,R2,Power,\r\n"
    ).encode()
    assert [
        ("2026-11-03", 1234, "", "Müller, Anna", "", "weir-3-2026-10"),
        ("2026-11-04", -700, "", "Power", "", ""),
    ] == read(body)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first row names the columns"),
        ("date,amount\n", "the first row names the columns"),
        ("date,amount,currency,colour\n", "the first row names the columns"),
        ("date,date,amount,currency\n", "the first row names the columns"),
        ("date,amount,currency\n2026-11-03,1.00\n", "row 2: it has another number of cells"),
        ("date,amount,currency\n2026-11-03,1.00,USD\n", "row 2: its currency is 'USD'"),
        ("date,amount,currency\n3.11.2026,1.00,EUR\n", "row 2: '3.11.2026' is not a day"),
        ("date,amount,currency\n2026-11-03,\"1,00\",EUR\n", "row 2, amount: '1,00' is not a plain decimal"),
        ("date,amount,currency\n2026-11-03,0,EUR\n", "row 2: a line of 0"),
        ('date,amount,currency\n"2026-11-03,1,EUR\n', "no CSV"),
    ],
)  # fmt: skip
def test_a_csv_that_is_wrong_is_refused_by_its_row(text: str, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        read(text.encode())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("WEIR-3-2026-10", (3, Month(2026, 10))),
        ("RECHNUNG weir-12-2026-01/DANKE", (12, Month(2026, 1))),
        ("WEIR-3-20\n26-10", (3, Month(2026, 10))),
        ("WEIR-3-2026-10 and again WEIR-3-2026-10", (3, Month(2026, 10))),
        ("WEIR-3-2026-10 and WEIR-4-2026-10", None),
        ("WEIR-3-2026-13", None),
        ("WEIR-03-2026-10", None),
        ("WEIR-3-2026-101", None),
        ("WEIR-PAY-1-M3", None),
        ("", None),
    ],
)  # fmt: skip
def test_our_reference_in_what_people_write(text: str, found: tuple[int, Month] | None) -> None:
    assert found == invoice_reference(text)


@pytest.mark.parametrize(
    ("end_to_end", "text", "order"),
    [
        ("WEIR-PAY-1-M2", "", "WEIR-PAY-1-M2"),
        ("", "Payment weir-pay-1-M2", "WEIR-PAY-1-M2"),
        ("", "Payment WEIR-P\nAY-1-M2 ref 7", "WEIR-PAY-1-M2"),
        ("OTHER", "Payment WEIR-PAY-1-M2", "OTHER"),
        ("", "WEIR-PAY-1-M2 WEIR-PAY-1-M3", ""),
        ("", "WEIR-1-2026-10", ""),
    ],
)
def test_a_payment_of_ours_is_known_by_its_id_or_its_text(end_to_end: str, text: str, order: str) -> None:
    body = f'date,amount,currency,end_to_end,text\n2026-11-03,-1,EUR,{end_to_end},"{text}"\n'.encode()
    assert order == read_statement(body, currency="EUR", own_iban=None)[0].order


@pytest.mark.parametrize(("code", "kept"), [("AC04", "AC04"), ("", ""), ("of old age", ""), ("AC0", "")])
def test_why_a_payment_is_given_back_is_the_bank_s_code_and_no_part_of_the_key(code: str, kept: str) -> None:
    def read(reason: str) -> Line:
        inner = details("x", e2e="WEIR-PAY-1-M7", name="Bank", pty=True, reason=reason)
        return read_statement(camt(entry("3.00", inner=inner)), currency="EUR", own_iban=None)[0]

    line = read(code)
    assert (kept, read("").key) == (line.return_reason, line.key)


def test_what_members_are_told_to_write_is_what_is_found() -> None:
    assert "WEIR-41-2026-09" == reference(MemberId(41), Month(2026, 9))
    assert (41, Month(2026, 9)) == invoice_reference(reference(MemberId(41), Month(2026, 9)))


def test_a_day_is_a_day() -> None:
    assert (
        date(2026, 11, 3) == read_statement(camt(entry("1.00")), currency="EUR", own_iban=None)[0].booked_on
    )
