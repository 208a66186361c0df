"""The API about money: statements as they are kept, years, capital, and the co-op's books."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing import run
from billing.canon import canonical
from billing.portal.api.payment_shapes import (
    COMES_BACK,
    COMES_BACK_EXAMPLE,
    DEBT,
    DEBT_EXAMPLE,
    PAYMENTS,
    PAYMENTS_EXAMPLE,
)
from billing.portal.api.problem import Kind, Problem
from billing.portal.api.route import CSV, Answer, Asking, Attached, Exactly, Parameter, Route, Schema, Told
from billing.portal.api.shapes import (
    COUNT,
    CURRENCY,
    CURSOR,
    FLAG,
    MINOR,
    MONTH,
    TEXT,
    WHOLE,
    cursor_parameter,
    file_of,
    limit_parameter,
    or_null,
    record,
    ref,
    rows,
)
from billing.portal.api.statement_shapes import ACCOUNT, KIND, LOSS, MONTH_EXAMPLE, YEAR, YEAR_EXAMPLE
from billing.portal.books import words
from billing.portal.bundle_pages import bundle_name, bundle_of, month_asked, year_asked
from billing.portal.bundles import AGAIN_S, MEDIA_TYPE, BundlerBusy, NoBundle
from billing.portal.desk import NotFound
from billing.portal.my_share import document, share_of
from billing.portal.telling import book_reports, capital_of, year_of, years_of
from billing.portal.tokens import Scope
from billing.settings import BillingSettings
from billing.statements.sheet import statement_csv
from meter.refusal import Refusal
from meter.window import Month

FORMAT = Parameter(
    "format",
    {"type": "string", "enum": ["json", "csv"], "default": "json"},
    "As a document or as a sheet.",
    "json",
)
BUNDLE = file_of(MEDIA_TYPE, "A ZIP: your records, the prices, the totals, proofs, and the verifier.")
_BUNDLE_WORDS = "Of what is closed. One is made at a time for all members; it is what `weir download` makes."
SHEET: Schema = {"type": "string", "description": "A sheet: RFC 4180, UTF-8 with a byte order mark."}
_SHEET_EXAMPLE = "part,what,quantity,amount_minor,currency,amount\r\n"
STATEMENTS = record(
    {
        "statements": rows(
            record(
                {
                    "period": MONTH,
                    "kind": KIND,
                    "charges_minor": or_null(MINOR),
                    "currency": or_null(CURRENCY),
                    "sentence": TEXT,
                    "digest": or_null(TEXT),
                }
            ),
            words="Of closed months, the newest first.",
        ),
        "next": CURSOR,
    }
)
YEARS = record(
    {
        "running": {**YEAR, "description": "The fiscal year that runs, by the year it begins in."},
        "years": rows(record({"year": YEAR, "is_closed": FLAG})),
    }
)
CAPITAL = record(
    {
        "currency": CURRENCY,
        "kept_minor": {**MINOR, "description": "Kept in the co-op in your name, in minor units."},
        "from": {
            **MONTH,
            "description": "From when the accounts count: the first month of the running year.",
        },
        "accounts": rows(ACCOUNT),
        "losses": rows(LOSS),
        "shares": rows(record({"kind": TEXT, "shares": COUNT, "paid_minor": MINOR})),
        "payments": PAYMENTS,
        "comes_back": COMES_BACK,
        "debts": rows(DEBT),
    }
)
_REPORT = record(
    {
        "report": {"type": "string", "enum": ["balance-sheet", "income-statement", "trial-balance"]},
        "from": or_null(MONTH),
        "to": MONTH,
        "currency": CURRENCY,
        "sections": rows(
            record(
                {
                    "name": TEXT,
                    "lines": rows(record({"account": TEXT, "words": TEXT, "amount_minor": MINOR})),
                    "total_minor": MINOR,
                }
            )
        ),
        "result_minor": or_null(MINOR),
        "checks": rows(record({"name": TEXT, "left": WHOLE, "right": WHOLE})),
    }
)
BOOKS = record({"reports": rows(_REPORT)})
_ONE_LISTED: Mapping[str, Any] = {
    "period": "2026-10", "kind": "final", "charges_minor": 300, "currency": "EUR", "sentence": MONTH_EXAMPLE["sentence"],
    "digest": "0" * 64,
}  # fmt: skip
_ONE_CAPITAL: Mapping[str, Any] = {
    "currency": "EUR", "kept_minor": 150, "from": "2026-01", "losses": [{"words": "2024", "unmet_minor": 20}],
    "accounts": [
        {
            "words": "2025", "opening_minor": 150, "added_minor": 0, "taken_minor": 0, "paid_back_minor": 0,
            "closing_minor": 150,
        }
    ],
    "shares": [{"kind": "member", "shares": 2, "paid_minor": 20000}],
    "payments": PAYMENTS_EXAMPLE, "comes_back": COMES_BACK_EXAMPLE,
    "debts": [DEBT_EXAMPLE],
}  # fmt: skip
_ONE_BOOK: Mapping[str, Any] = {
    "reports": [
        {
            "report": "income-statement", "from": "2026-01", "to": "2026-11", "currency": "EUR",
            "sections": [
                {
                    "name": "expenses", "total_minor": 200,
                    "lines": [{"account": "cost:rack", "words": "Cost: rack", "amount_minor": 200}],
                }
            ],
            "result_minor": 200, "checks": [],
        }
    ]
}  # fmt: skip


def routes(settings: BillingSettings) -> tuple[Route, ...]:
    """What this module answers."""
    month = Parameter("month", MONTH, "A calendar month, UTC.", "2026-10", in_path=True)
    year = Parameter("year", YEAR, "A fiscal year, by the year it begins in.", "2026", in_path=True)
    statement = {"anyOf": [ref("MonthStatement"), ref("OlderStatement")]}
    sheet = Told(SHEET, _SHEET_EXAMPLE, CSV)
    return (
        Route(
            "GET", "/statements", "listStatements", "money", "Your statements of closed months", _statements,
            (Told(STATEMENTS, {"statements": [_ONE_LISTED], "next": None}),), Scope.STATEMENTS,
            parameters=(limit_parameter(settings.api_rows_max), cursor_parameter("^[0-9]{4}-[0-9]{2}$", "2026-09")),
            words=f"The newest {settings.portal_statements_max} (portal_statements_max). The running month has a "
            "statement too, as it stands: ask for it by its name.",
        ),
        Route(
            "GET", "/statements/{month}", "getStatement", "money", "One month's statement, exactly as it is kept",
            _statement, (Told(statement, MONTH_EXAMPLE), sheet), Scope.STATEMENTS, parameters=(month, FORMAT),
            is_heavy=True, words="Of a closed month it is the same, byte for byte, whenever it is asked.",
        ),
        Route(
            "GET", "/years", "listYears", "money", "The fiscal years you can look at", _years,
            (Told(YEARS, {"running": "2026", "years": [{"year": "2026", "is_closed": False}]}),), Scope.STATEMENTS,
        ),
        Route(
            "GET", "/years/{year}", "getYear", "money", "One fiscal year's statement, or how it stands", _year,
            (Told(ref("YearStatement"), YEAR_EXAMPLE), sheet), Scope.STATEMENTS, parameters=(year, FORMAT),
            is_heavy=True,
        ),
        Route(
            "GET", "/statements/{month}/bundle", "getBundle", "money", "All that is needed to check a month without us",
            _month_bundle, (Told(BUNDLE, "PK", MEDIA_TYPE),), Scope.STATEMENTS, parameters=(month,), is_heavy=True,
            conflicts=True, words=_BUNDLE_WORDS,
        ),
        Route(
            "GET", "/years/{year}/bundle", "getYearBundle", "money", "All that is needed to check a year without us",
            _year_bundle, (Told(BUNDLE, "PK", MEDIA_TYPE),), Scope.STATEMENTS, parameters=(year,), is_heavy=True,
            conflicts=True, words=_BUNDLE_WORDS,
        ),
        Route(
            "GET", "/capital", "getCapital", "money", "What is kept in your name, your shares, and what was paid to you", _capital,
            (Told(CAPITAL, _ONE_CAPITAL),), Scope.STATEMENTS, conflicts=True,
            words="Allocated is not paid: `payments` says how far each payment is, `comes_back` when what is kept could "
            "be paid back, and `debts` what you are owed after leaving.",
        ),
        Route(
            "GET", "/books", "getBooks", "money", "The co-op's books: what it has, owes, earns, and what it costs", _books,
            (Told(BOOKS, _ONE_BOOK),), Scope.BOOKS, is_heavy=True, conflicts=True,
            words="What belongs to single members is added up by kind. The income statement is of this calendar year.",
        ),
    )  # fmt: skip


async def _statements(asking: Asking) -> Mapping[str, Any]:
    settings = asking.portal.settings
    limit = asking.values.get("limit", settings.api_rows_max)
    cursor = asking.values.get("cursor")
    async with asking.portal.database() as connection:
        found = await run.past_statements(
            connection, asking.caller.member, count_max=settings.portal_statements_max
        )
    left = [one for one in found if cursor is None or one["period"] < cursor]
    return {
        "statements": [_listed(one) for one in left[:limit]],
        "next": left[limit - 1]["period"] if len(left) > limit else None,
    }


def _listed(one: Mapping[str, Any]) -> dict[str, Any]:
    """A line about a statement; one by an older Weir may say less."""
    return {
        "period": one["period"],
        "kind": one.get("kind", "final"),
        "charges_minor": one.get("charges_minor"),
        "currency": one.get("currency"),
        "sentence": one.get("sentence", ""),
        "digest": one.get("digest"),
    }


async def _statement(asking: Asking) -> Answer:
    try:
        month = Month.parse(asking.values["month"])
        async with asking.portal.database() as connection:
            told = await run.statement(connection, asking.caller.member, month, now_us=asking.now_us)
    except Refusal as refusal:
        raise NotFound(str(refusal)) from None
    return _in_form(asking, told)


async def _years(asking: Asking) -> Mapping[str, Any]:
    async with asking.portal.database() as connection:
        there = await years_of(connection, asking.caller.member, now_us=asking.now_us)
    shown = [(one, False) for one in there.open] + [(one, True) for one in there.closed]
    return {
        "running": f"{there.running:04d}",
        "years": [{"year": f"{number:04d}", "is_closed": is_closed} for number, is_closed in shown],
    }


async def _year(asking: Asking) -> Answer:
    # An open year is worked out from everybody's usage, so one at a time.
    async with asking.portal.searching, asking.portal.database() as connection:
        _, _, told = await year_of(
            asking.portal, connection, asking.caller.member, asking.values["year"], now_us=asking.now_us
        )
    return _in_form(asking, told)


def _in_form(asking: Asking, told: Mapping[str, Any]) -> Exactly:
    """The same characters as the portal's own files."""
    if asking.values.get("format") == "csv":
        return Exactly(statement_csv(told), CSV)
    return Exactly(canonical(told) + "\n")


async def _month_bundle(asking: Asking) -> Answer:
    return await _bundle(asking, month_asked(asking.values["month"]))


async def _year_bundle(asking: Asking) -> Answer:
    return await _bundle(asking, year_asked(asking.values["year"]))


async def _bundle(asking: Asking, period: Month | int) -> Answer:
    caller = asking.caller
    try:
        file = await bundle_of(asking.portal, caller.member, period)
    except NoBundle as refusal:
        raise Problem(Kind.CONFLICT, str(refusal)) from None
    except BundlerBusy as refusal:
        raise Problem(Kind.TOO_MANY, str(refusal), headers={"Retry-After": str(AGAIN_S)}) from None
    return Attached(file, bundle_name(caller.name, period), MEDIA_TYPE)


async def _capital(asking: Asking) -> Mapping[str, Any]:
    try:
        async with asking.portal.database() as connection:
            found = await capital_of(connection, asking.caller.member, now_us=asking.now_us)
            share = await share_of(
                connection, asking.caller.member, currency=found.currency, now_us=asking.now_us
            )
    except Refusal as refusal:
        raise Problem(Kind.CONFLICT, str(refusal)) from None
    return {
        "currency": found.currency,
        "kept_minor": found.kept_minor,
        "from": str(found.first),
        "accounts": found.accounts,
        "losses": found.losses,
        "shares": [
            {"kind": kind, "shares": one.shares, "paid_minor": one.paid_minor}
            for kind, one in found.holdings.items()
        ],
        **document(share),
    }


async def _books(asking: Asking) -> Mapping[str, Any]:
    try:
        # Sums over the whole ledger, so one at a time.
        async with asking.portal.searching, asking.portal.database() as connection:
            currency, reports = await book_reports(connection, now_us=asking.now_us)
    except Refusal as refusal:
        raise Problem(Kind.CONFLICT, str(refusal)) from None
    return {"reports": [_report(one.to_document(currency)) for one in reports]}


def _report(document: Mapping[str, Any]) -> dict[str, Any]:
    """A report with its accounts in plain words."""
    sections = [
        {**one, "lines": [{**line, "words": words(line["account"])} for line in one["lines"]]}
        for one in document["sections"]
    ]
    return {**document, "sections": sections}
