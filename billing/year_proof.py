"""Works a closed fiscal year out again from what was frozen, and holds its months against it, bit for bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from billing import store, year_store
from billing.canon import canonical, digest
from billing.month.frozen import closing_of
from billing.month.proof import Verification
from billing.run import MEMBERS_AT_ONCE
from billing.year.closing import close_year
from billing.year.fiscal import FiscalYear
from billing.year.inputs import YearInputs
from billing.year_lines import KeptLine, Lines, YearLine, read_line, with_lines
from billing.year_page import Sources, inputs_without_members, year_page
from billing.year_statement import FINAL, FORMAT, year_statement
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import Month


async def verify_year(connection: Connection, member: MemberId, number: int) -> Verification:
    """Work a closed year out again from its members' lines, and compare page, lines and the member's statement.

    Charges and the costs of the months are held against the months' closings, which `billing.proof` makes again from
    usage. Raises Refusal for a year that is open, and for a member who has no line of it.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        stored = await year_store.year_text(connection, number)
        if stored is None:
            raise Refusal(
                f"the fiscal year {number} is open; `weir verify MEMBER YYYY-MM` checks a month of it"
            )
        page: dict[str, Any] = json.loads(stored[0])
        told_as = await year_store.statement_format(connection, number) or FORMAT
        lines, found = await _read(connection, number)
        year = FiscalYear(number, Month.parse(page["first_month"]).number)
        found += await _against_months(connection, year, page, lines)
    own = next((line for line in lines if line.number == member), None)
    if own is None:
        raise Refusal(
            f"there is no statement for the fiscal year {number}: they were not in the register then"
        )
    again, made = _again(page, lines)
    found += _compared(page, again, lines, made)
    other = read_line(next(line for line in made if line.number == member).text)
    resolution, closed_us = stored[1], stored[2]
    told, before = (
        canonical(
            year_statement(one, line, kind=FINAL, resolution=resolution, closed_us=closed_us, told_as=told_as)
        )
        for one, line in ((again, other), (page, own))
    )
    if told != before:
        found.append("the statement of this member comes out differently")
    agrees = not found and page["digest"] == again["digest"]
    months = tuple(Month.parse(name) for name in page["months"])
    return Verification(agrees, page["digest"], again["digest"], digest(told), found, months)


async def _read(connection: Connection, number: int) -> tuple[list[YearLine], list[str]]:
    lines, found = [], []
    async for some in year_store.all_lines(connection, number, rows_max=MEMBERS_AT_ONCE):
        for text, kept in some:
            line = read_line(text)
            if hashlib.sha256(text.encode()).digest() != kept:
                found.append(f"{line.name}: the digest kept beside the line is not the line's")
            lines.append(line)
    return lines, found


async def _against_months(
    connection: Connection, year: FiscalYear, page: Mapping[str, Any], lines: list[YearLine]
) -> list[str]:
    """Whether the charges of every line, and the digests and results of months, are what the months say."""
    found = []
    for name, told in page["months"].items():
        text = await store.closing_text(connection, Month.parse(name))
        closing = None if text is None else closing_of(text)
        if closing is None or closing.digest != told:
            found.append(f"{name}: the closing of the month is another one than the year was closed on")
        elif closing.result.amount_minor != page["month_results"][name]:
            found.append(f"{name}: the month's result is another one than the year was closed on")
    charged: dict[tuple[int, str], int] = {}
    async for rows in year_store.year_charges(connection, year, rows_max=MEMBERS_AT_ONCE):
        charged |= {(member, name): amount for member, name, amount in rows}
    for line in lines:
        for use in line.uses:
            amount = charged.get((line.number, use.member_class), 0)
            if max(amount, 0) != use.charges_minor:
                found.append(
                    f"{line.name}: charges are {use.charges_minor} in the year and {amount} in its months"
                )
    return found


def _again(page: Mapping[str, Any], lines: list[YearLine]) -> tuple[dict[str, Any], list[KeptLine]]:
    inputs: YearInputs = with_lines(inputs_without_members(page), lines)
    closing = close_year(inputs)
    made = [line for _, some in Lines(closing).parts(MEMBERS_AT_ONCE) for line in some]
    digests = hashlib.sha256(b"".join([line.digest for line in made]))
    sources = Sources(
        FiscalYear(int(page["fiscal_year"]), Month.parse(page["first_month"]).number),
        {Month.parse(name): told for name, told in page["months"].items()},
        page["costs"],
        page["side_income"],
        {Month.parse(name): amount for name, amount in page["month_results"].items()},
    )
    return year_page(sources, closing, lines_digest=digests.hexdigest()), made


def _compared(
    page: Mapping[str, Any], again: Mapping[str, Any], lines: list[YearLine], made: list[KeptLine]
) -> list[str]:
    found = [
        f"{one.name}: the stored line is not what the year works out to"
        for one, other in zip(lines, made, strict=True)
        if one.text != other.text
    ]
    if canonical(page) != canonical(again):
        differing = sorted(key for key in set(page) | set(again) if page.get(key) != again.get(key))
        found.append(f"the stored page is not what its own inputs work out to: {', '.join(differing)}")
    return found
