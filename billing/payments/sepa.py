"""Payments by SEPA credit transfer: account numbers checked, and the file a bank takes (pain.001.001.09). Pure.

Sources: ISO 13616 (IBAN, with check digits by ISO 7064 mod 97-10) and its registry for the lengths of the countries
in SEPA; ISO 20022 pain.001.001.09; the European Payments Council's rules on characters and lengths.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from xml.sax.saxutils import escape

from billing.money import format_number
from billing.words import iso_text
from meter.refusal import Refusal

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
CURRENCY = "EUR"
AMOUNT_MINOR_MAX = 99_999_999_999
"""999,999,999.99: the largest single transfer of the scheme."""
NAME_CHARACTERS_MAX = 70
TEXT_CHARACTERS_MAX = 140
ORDERS_A_FILE_MAX = 100_000
_LENGTHS: Mapping[str, int] = {
    "AD": 24, "AL": 28, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27,
    "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15,
    "PL": 28, "PT": 25, "RO": 24, "RS": 22, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "VA": 22,
}  # fmt: skip
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_SPELLED = {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L",
            "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "&": "+", "_": "-", "@": "(at)"}  # fmt: skip
_ALLOWED = re.compile(r"[A-Za-z0-9/\-?:().,'+ ]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Party:
    """Whose account it is. Neither name nor number is in its representation, so neither gets into a log."""

    name: str = field(repr=False)
    iban: str = field(repr=False)

    @property
    def last_four(self) -> str:
        """Enough for the owner to know it by."""
        return self.iban[-4:]


@dataclass(frozen=True, slots=True)
class Order:
    """One transfer to one member, in cents."""

    end_to_end: str
    amount_minor: int
    to: Party
    text: str


@dataclass(frozen=True, slots=True)
class Batch:
    """One file for the bank. The same batch gives the same bytes."""

    message_id: str
    made_us: int
    execute_on: date
    payer: Party
    orders: tuple[Order, ...]

    @property
    def total_minor(self) -> int:
        """Sum of the orders."""
        return sum(one.amount_minor for one in self.orders)


def parse_iban(text: str) -> str:
    """An account number without spaces, in capitals. Raises Refusal that does not repeat the number."""
    iban = "".join(text.split()).upper()
    if _IBAN.fullmatch(iban) is None:
        raise Refusal(
            "IBAN: two letters, two digits and 11 to 30 letters or digits, like DE89 3704 0044 0532 0130 00"
        )
    length = _LENGTHS.get(iban[:2])
    if length is None:
        raise Refusal(f"IBAN: {iban[:2]} is no country of the SEPA area; pay this member in another way")
    if len(iban) != length:
        raise Refusal(f"IBAN: one of {iban[:2]} has {length} characters, this has {len(iban)}")
    if int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 != 1:
        raise Refusal("IBAN: its check digits do not fit; a digit is wrong or two are exchanged")
    return iban


def parse_party(name: str, iban: str) -> Party:
    """An account and its owner's name. Raises Refusal naming the field."""
    plain = latin(name, characters_max=NAME_CHARACTERS_MAX)
    if not re.search("[A-Za-z0-9]", plain):
        raise Refusal("name: the name the account is kept under, in letters a bank can write (a to z)")
    return Party(name.strip(), parse_iban(iban))


def latin(text: str, *, characters_max: int) -> str:
    """Text in the letters every bank of the scheme takes; what has no such letter becomes a dot."""
    spelled = "".join(_SPELLED.get(letter, letter) for letter in text)
    parts = unicodedata.normalize("NFKD", spelled)
    found = "".join(
        letter
        if _ALLOWED.fullmatch(letter)
        else ""
        if unicodedata.combining(letter)
        else " "
        if letter.isspace()
        else "."
        for letter in parts
    )
    # A slash at an end, or two in a row, are kept for the banks' own use.
    return re.sub(r"/{2,}", "/", " ".join(found.split())).strip("/ ")[:characters_max].strip("/ ")


def check_currency(currency: str) -> None:
    """Raises Refusal for books that are not kept in euro."""
    if currency != CURRENCY:
        raise Refusal(
            f"SEPA carries {CURRENCY} alone, and the books are kept in {currency}; pay in another way"
        )


def pain_001(batch: Batch) -> str:
    """The file: one payment information block, booked line by line, charges shared as the scheme wants."""
    assert batch.orders, "a batch pays somebody"
    return "\n".join(_lines(batch)) + "\n"


def _lines(batch: Batch) -> Iterator[str]:
    payer = escape(latin(batch.payer.name, characters_max=NAME_CHARACTERS_MAX))
    totals = (
        f"<NbOfTxs>{len(batch.orders)}</NbOfTxs>",
        f"<CtrlSum>{_amount(batch.total_minor)}</CtrlSum>",
    )
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<Document xmlns="{NAMESPACE}">'
    yield " <CstmrCdtTrfInitn>"
    yield "  <GrpHdr>"
    yield f"   <MsgId>{escape(batch.message_id)}</MsgId>"
    yield f"   <CreDtTm>{iso_text(batch.made_us)[:19]}Z</CreDtTm>"
    yield from (f"   {one}" for one in totals)
    yield f"   <InitgPty><Nm>{payer}</Nm></InitgPty>"
    yield "  </GrpHdr>"
    yield "  <PmtInf>"
    yield f"   <PmtInfId>{escape(batch.message_id)}</PmtInfId>"
    yield "   <PmtMtd>TRF</PmtMtd>"
    yield "   <BtchBookg>false</BtchBookg>"
    yield from (f"   {one}" for one in totals)
    yield "   <PmtTpInf><SvcLvl><Cd>SEPA</Cd></SvcLvl></PmtTpInf>"
    yield f"   <ReqdExctnDt><Dt>{batch.execute_on}</Dt></ReqdExctnDt>"
    yield f"   <Dbtr><Nm>{payer}</Nm></Dbtr>"
    yield f"   <DbtrAcct><Id><IBAN>{batch.payer.iban}</IBAN></Id><Ccy>{CURRENCY}</Ccy></DbtrAcct>"
    # Since 2016 the IBAN alone finds the bank; the element must be there all the same.
    yield "   <DbtrAgt><FinInstnId><Othr><Id>NOTPROVIDED</Id></Othr></FinInstnId></DbtrAgt>"
    yield "   <ChrgBr>SLEV</ChrgBr>"
    yield from _transfers(batch.orders)
    yield "  </PmtInf>"
    yield " </CstmrCdtTrfInitn>"
    yield "</Document>"


def _transfers(orders: Iterable[Order]) -> Iterator[str]:
    for one in orders:
        yield "   <CdtTrfTxInf>"
        yield f"    <PmtId><EndToEndId>{escape(one.end_to_end)}</EndToEndId></PmtId>"
        yield f'    <Amt><InstdAmt Ccy="{CURRENCY}">{_amount(one.amount_minor)}</InstdAmt></Amt>'
        yield f"    <Cdtr><Nm>{escape(latin(one.to.name, characters_max=NAME_CHARACTERS_MAX))}</Nm></Cdtr>"
        yield f"    <CdtrAcct><Id><IBAN>{one.to.iban}</IBAN></Id></CdtrAcct>"
        yield f"    <RmtInf><Ustrd>{escape(latin(one.text, characters_max=TEXT_CHARACTERS_MAX))}</Ustrd></RmtInf>"
        yield "   </CdtTrfTxInf>"


def _amount(minor: int) -> str:
    return format_number(minor, CURRENCY).replace(",", "")
