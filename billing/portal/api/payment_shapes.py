"""Schemas and an example of what a member was paid and what could come back to them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.capital.retirement import Method
from billing.payments.paid import For, State, Waits
from billing.portal.api.route import Schema
from billing.portal.api.shapes import DAY, FLAG, MINOR, TEXT, or_null, record, rows
from billing.portal.api.statement_shapes import YEAR

LAST_FOUR: Schema = {
    "type": "string",
    "pattern": "^[0-9A-Z]{4}$",
    "description": "The last four characters of an account's number; the rest is never told.",
}
_PART = record(
    {
        "what": {"type": "string", "enum": [one.value for one in For]},
        "amount_minor": MINOR,
        "years": rows(YEAR, words="Of a year's part that year; of capital the years it was kept from."),
        "resolution": TEXT,
    },
    words="A bank is told one sum; it is taken to pay what was owed longest first.",
)
_PAYMENT = record(
    {
        "year": {**YEAR, "description": "The calendar year it was begun in."},
        "state": {
            "type": "string",
            "enum": [one.value for one in State],
            "description": "paid: the bank's own statement shows it, and it did not come back. Of all the others you "
            "have no money: what is returned or cancelled is owed again.",
        },
        "amount_minor": MINOR,
        "begun_on": {
            **DAY,
            "description": "When it was ordered; of what was not ordered, when it was booked.",
        },
        "is_ordered": FLAG,
        "paid_on": or_null(DAY),
        "ended_on": or_null(DAY, words="When it was returned or cancelled."),
        "returned_because": or_null(
            {"type": "string", "pattern": "^[A-Z0-9]{4}$"},
            words="The bank's code (ISO 20022, external return reason), as AC04 for a closed account.",
        ),
        "account_ends_in": or_null(LAST_FOUR),
        "for": rows(_PART),
    }
)
PAYMENTS = record(
    {
        "account": or_null(
            record({"ends_in": LAST_FOUR, "since": DAY}), words="Yours, as the co-op knows it."
        ),
        "waiting_minor": {**MINOR, "description": "Decided to be paid to you, and not ordered yet."},
        "waits_because": or_null({"type": "string", "enum": [one.value for one in Waits]}),
        "waiting": rows(_PART),
        "listed": rows(_PAYMENT, words="The newest first, 200 at most; older ones are in your export."),
    }
)
COMES_BACK = record(
    {
        "is_promised": {
            "type": "boolean",
            "const": False,
            "description": "No date is: the board decides each time.",
        },
        "decided": or_null(
            record(
                {
                    "resolution": TEXT,
                    "on": DAY,
                    "method": {"type": "string", "enum": [one.value for one in Method]},
                    "budget_minor": MINOR,
                }
            ),
            words="The last sum that was set aside to pay kept capital back.",
        ),
        "years": rows(
            record(
                {
                    "year": {**YEAR, "description": "The year it was kept from."},
                    "kept_minor": MINOR,
                    "sums": or_null(
                        {"type": "integer", "minimum": 1}, words="With which such sum from now on."
                    ),
                    "about": or_null(YEAR, words="When that would be, with one such sum a year."),
                }
            ),
            words="As if that sum were set aside once a year and nothing else changed; null where that says nothing.",
        ),
    },
    words="Arithmetic, not a promise.",
)
DEBT = record(
    {
        "kind": {"type": "string", "enum": ["exit", "estate"]},
        "resolution": TEXT,
        "left_on": DAY,
        "principal_minor": {**MINOR, "description": "What was kept, as a debt of the co-op to you."},
        "open_minor": {**MINOR, "description": "Of it, what no part made payable yet."},
        "next_on": or_null(DAY, words="When the next part falls due."),
        "ends_on": or_null(DAY, words="When the last part falls due."),
    },
    words="A decision that made what was kept in your name a debt, after you left; a later closing may bring another.",
)
DEBT_EXAMPLE: Mapping[str, Any] = {
    "kind": "exit", "resolution": "2027-5", "left_on": "2027-03-31", "principal_minor": 15000, "open_minor": 10000,
    "next_on": "2029-03-31", "ends_on": "2030-03-31",
}  # fmt: skip
PAYMENTS_EXAMPLE: Mapping[str, Any] = {
    "account": {"ends_in": "3000", "since": "2026-11-02"}, "waiting_minor": 0, "waits_because": None, "waiting": [],
    "listed": [
        {
            "year": "2027", "state": "paid", "amount_minor": 50, "begun_on": "2027-01-20", "is_ordered": True,
            "paid_on": "2027-01-22", "ended_on": None, "returned_because": None,
            "account_ends_in": "3000",
            "for": [{"what": "year", "amount_minor": 50, "years": ["2026"], "resolution": ""}],
        }
    ],
}  # fmt: skip
COMES_BACK_EXAMPLE: Mapping[str, Any] = {
    "is_promised": False,
    "decided": {"resolution": "2027-3", "on": "2027-02-01", "method": "fifo", "budget_minor": 5000},
    "years": [{"year": "2025", "kept_minor": 150, "sums": 2, "about": "2029"}],
}  # fmt: skip
