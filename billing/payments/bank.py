"""What the bank says: statements as camt.053 or CSV, line by line, and which account a line belongs to. Pure.

It knows the files' fields and our references; it does not know what was imported before. Sources: ISO 20022
camt.053.001.02 and .08.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from billing.canon import canonical
from billing.money import parse_amount
from billing.payments.markup import Node, parse
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month, UnknownMonth

NAMESPACES = {f"urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}" for version in ("02", "08")}
COLUMNS = ("date", "amount", "currency", "reference", "end_to_end", "name", "iban", "text")
NOT_GIVEN = ("", "NOTPROVIDED")
TEXT_CHARACTERS_MAX = 1_000
_INVOICE = re.compile(r"WEIR-([1-9]\d{0,17})-(\d{4}-\d{2})(?!\d)", re.ASCII | re.IGNORECASE)
_ORDER = re.compile(r"WEIR-PAY-[1-9]\d{0,8}-M[1-9]\d{0,11}(?!\d)", re.ASCII | re.IGNORECASE)
_REASON = re.compile(r"[A-Z0-9]{4}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """Money that came in (above zero) or went out. What is about a person is not in its representation."""

    key: str
    """The same for the same line in another file, or in the same file imported again."""
    booked_on: date
    amount_minor: int
    end_to_end: str
    bank_reference: str
    payment_id: str
    """Of the file we sent, when the bank booked it as one; else empty."""
    name: str = field(repr=False)
    iban: str = field(repr=False)
    text: str = field(repr=False)
    return_reason: str = ""
    """The bank's code for why it gives a payment back, as AC04; empty where it says none. No part of the key."""

    @property
    def invoice(self) -> tuple[MemberId, Month] | None:
        """The member and month of our own reference, if the line carries one."""
        return invoice_reference(self.end_to_end) or invoice_reference(self.text)

    @property
    def order(self) -> str:
        """The end-to-end id of a payment of ours; from the text where the bank tells no other. Empty without one."""
        return self.end_to_end or order_reference(self.text)


def reference(member: MemberId, month: Month) -> str:
    """What a member writes on a payment for a month's use."""
    return f"WEIR-{member}-{month}"


def invoice_reference(text: str) -> tuple[MemberId, Month] | None:
    """The one reference in a text; None without one, and for two that differ. Banks break lines anywhere."""
    found = {(int(one[1]), one[2]) for one in _INVOICE.finditer("".join(text.split()))}
    if len(found) != 1:
        return None
    member, month = found.pop()
    try:
        return MemberId(member), Month.parse(month)
    except UnknownMonth:
        return None


def order_reference(text: str) -> str:
    """The one end-to-end id of ours in a text; empty without one, and for two that differ."""
    found = {one.group().upper() for one in _ORDER.finditer("".join(text.split()))}
    return found.pop() if len(found) == 1 else ""


def read_statement(body: bytes, *, currency: str, own_iban: str | None) -> list[Line]:
    """Lines of a camt.053 or CSV file, in its order. Raises Refusal naming the line and what is wrong with it."""
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        lines = list(_camt_lines(start, currency, own_iban))
    else:
        lines = list(_csv_lines(body, currency))
    return list(_keyed(lines))


def _keyed(lines: Iterable[Line]) -> Iterator[Line]:
    """All that is said of a line makes its key, and its place among those that are alike in everything."""
    seen: Counter[str] = Counter()
    for line in lines:
        said: dict[str, object] = {
            "booked_on": str(line.booked_on), "amount_minor": line.amount_minor, "end_to_end": line.end_to_end,
            "bank_reference": line.bank_reference, "name": line.name, "iban": line.iban, "text": line.text,
        }  # fmt: skip
        basis = canonical(said)
        seen[basis] += 1
        text = f"{basis} {seen[basis]}"
        yield replace(line, key=hashlib.sha256(text.encode()).hexdigest())


def _camt_lines(body: bytes, currency: str, own_iban: str | None) -> Iterator[Line]:
    namespace, root = parse(body, what="the statement")
    statements = root.all("BkToCstmrStmt", "Stmt")
    if namespace not in NAMESPACES or root.name != "Document" or not statements:
        raise Refusal("the statement is no camt.053 of version 001.02 or 001.08")
    for statement in statements:
        iban = statement.first("Acct", "Id", "IBAN")
        if own_iban is not None and iban and iban != own_iban:
            raise Refusal("the statement is of another account than the co-op's own (`weir pay own-account`)")
        entries = statement.all("Ntry")
        _check_balances(statement, entries, currency)
        for number, entry in enumerate(entries, 1):
            yield from _entry_lines(entry, f"line {number}", currency)


def _check_balances(statement: Node, entries: Iterable[Node], currency: str) -> None:
    """Where the statement says what it began and ended with, its booked lines lead from one to the other."""
    balances: dict[str, int] = {}
    for balance in statement.all("Bal"):
        code = balance.first("Tp", "CdOrPrtry", "Cd")
        balances[code] = _signed(balance, f"balance {code}", currency)
    began = balances.get("OPBD", balances.get("PRCD"))
    if began is None or "CLBD" not in balances:
        return
    moved = sum(_signed(one, "line", currency) for one in entries if _is_booked(one))
    if began + moved != balances["CLBD"]:
        raise Refusal(
            "the statement's lines do not lead from its opening to its closing balance; part of it is missing"
        )


def _is_booked(entry: Node) -> bool:
    return (entry.first("Sts", "Cd") or entry.first("Sts")) == "BOOK"


def _entry_lines(entry: Node, where: str, currency: str) -> Iterator[Line]:
    if not _is_booked(entry):
        return
    whole = _signed(entry, where, currency)
    booked_on = _day(entry.first("BookgDt", "Dt") or entry.first("BookgDt", "DtTm")[:10], where)
    details = entry.all("NtryDtls", "TxDtls")
    payment_id = entry.first("NtryDtls", "Btch", "PmtInfId") or entry.first("NtryDtls", "Btch", "MsgId")
    ref = entry.first("AcctSvcrRef") or entry.first("NtryRef")
    if len(details) <= 1:
        yield _line(details[0] if details else entry, where, booked_on, whole, ref, payment_id)
        return
    amounts = [
        _detail_amount(one, f"{where}, detail {number}", currency) for number, one in enumerate(details, 1)
    ]
    signed = [amount if whole > 0 else -amount for amount in amounts]
    if sum(signed) != whole:
        raise Refusal(f"{where}: its details sum to {sum(signed)}, the line to {whole} of the smallest unit")
    for number, (detail, amount) in enumerate(zip(details, signed, strict=True), 1):
        yield _line(detail, where, booked_on, amount, f"{ref}/{number}" if ref else "", "")


def _detail_amount(detail: Node, where: str, currency: str) -> int:
    found = detail.all("Amt") or detail.all("AmtDtls", "TxAmt", "Amt")
    if not found:
        raise Refusal(f"{where}: it has no amount of its own")
    return _amount(found[0], where, currency)


def _line(detail: Node, where: str, booked_on: date, amount: int, ref: str, payment_id: str) -> Line:
    if not amount:
        raise Refusal(f"{where}: a line of 0 moves nothing")
    side = "Dbtr" if amount > 0 else "Cdtr"
    parties = "RltdPties"
    text = " ".join(one.text.strip() for one in detail.all("RmtInf", "Ustrd"))
    structured = detail.first("RmtInf", "Strd", "CdtrRefInf", "Ref")
    end_to_end = detail.first("Refs", "EndToEndId")
    reason = detail.first("RtrInf", "Rsn", "Cd")
    return Line(
        "", booked_on, amount, "" if end_to_end in NOT_GIVEN else end_to_end[:35],
        (detail.first("Refs", "AcctSvcrRef") or ref)[:70],
        payment_id or (detail.first("Refs", "PmtInfId") or detail.first("Refs", "MsgId") if amount < 0 else ""),
        detail.first(parties, side, "Pty", "Nm") or detail.first(parties, side, "Nm"),
        detail.first(parties, f"{side}Acct", "Id", "IBAN"),
        f"{text} {structured}".strip()[:TEXT_CHARACTERS_MAX],
        reason if _REASON.fullmatch(reason) else "",
    )  # fmt: skip


def _signed(node: Node, where: str, currency: str) -> int:
    amounts, side = node.all("Amt"), node.first("CdtDbtInd")
    if len(amounts) != 1 or side not in ("CRDT", "DBIT"):
        raise Refusal(f"{where}: it needs one amount, and CRDT or DBIT")
    amount = _amount(amounts[0], where, currency)
    return amount if side == "CRDT" else -amount


def _amount(node: Node, where: str, currency: str) -> int:
    of = node.attributes.get("Ccy", "")
    if of != currency:
        raise Refusal(f"{where}: its currency is '{of[:10]}', and the books are kept in {currency}")
    return parse_amount(node.text.strip(), currency, field=where)


def _day(text: str, where: str) -> date:
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass  # a day that no month has; told with all others below
    raise Refusal(f"{where}: '{text[:20]}' is not a day; write it as YYYY-MM-DD")


def _csv_lines(body: bytes, currency: str) -> Iterator[Line]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refusal("the statement is neither XML nor UTF-8 text") from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(cell.strip().lower() for cell in next(rows, []))
        missing = [name for name in COLUMNS[:3] if name not in header]
        unknown = [name for name in header if name not in COLUMNS]
        if missing or unknown or len(set(header)) < len(header):
            raise Refusal(
                f"the first row names the columns once each: {', '.join(COLUMNS[:3])} and, if you have them, "
                f"{', '.join(COLUMNS[3:])}; this one has '{', '.join(header)[:120]}'"
            )
        for number, row in enumerate(rows, 2):
            if any(row):
                yield _csv_line(
                    dict(zip(header, row, strict=False)), len(row) == len(header), f"row {number}", currency
                )
    except csv.Error as error:
        raise Refusal(f"the statement is no CSV: {error}") from None


def _csv_line(row: Mapping[str, str], is_whole: bool, where: str, currency: str) -> Line:
    if not is_whole:
        raise Refusal(f"{where}: it has another number of cells than the first row")
    if row["currency"] != currency:
        raise Refusal(
            f"{where}: its currency is '{row['currency'][:10]}', and the books are kept in {currency}"
        )
    amount = parse_amount(row["amount"], currency, field=f"{where}, amount", negative=True)
    if not amount:
        raise Refusal(f"{where}: a line of 0 moves nothing")
    end_to_end = row.get("end_to_end", "")
    return Line(
        "", _day(row["date"], where), amount, "" if end_to_end in NOT_GIVEN else end_to_end[:35],
        row.get("reference", "")[:70], "", row.get("name", ""), row.get("iban", ""),
        row.get("text", "")[:TEXT_CHARACTERS_MAX],
    )  # fmt: skip
