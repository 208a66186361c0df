"""Schemas and examples of statements, of a month and of a year. Pure; the statements themselves are made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.charges.tariff import Service
from billing.portal.api.route import Schema
from billing.portal.api.shapes import (
    BYTE_TIME,
    BYTES,
    CLASS,
    COUNT,
    CURRENCY,
    DAY,
    DIGEST,
    FLAG,
    MINOR,
    MONTH,
    SIGNED_BYTES,
    TEXT,
    TIME,
    WHOLE,
    by_name,
    or_null,
    record,
    rows,
)

KIND: Schema = {
    "type": "string",
    "enum": ["trial", "final"],
    "description": "trial: as it stands now; final: by the closing.",
}
EXACT: Schema = {"type": "string", "description": "An exact number: whole, a fraction like 1/3, or decimals."}
YEAR: Schema = {"type": "string", "pattern": "^[0-9]{4}$"}
_LINE = record(
    {
        "service": {"type": "string", "enum": [one.value for one in Service]},
        "words": TEXT,
        "quantity": WHOLE,
        "per": {"type": "integer", "minimum": 1, "description": "How many make one priced unit."},
        "quantity_text": TEXT,
        "price": TEXT,
        "price_nano": {
            "type": "integer",
            "description": "The price of one unit in billionths of the currency.",
        },
        "amount_minor": MINOR,
        "free": COUNT,
        "note": TEXT,
        "engine": TEXT,
    },
    optional=("free", "note", "engine"),
)
_SOMETIMES: dict[str, Schema] = {
    **{f"{line}_byte_microseconds": BYTE_TIME for line in ("version", "part", "removed")},
    **{f"{line}_byte_seconds": WHOLE for line in ("version", "part", "removed")},
    "corrected_bytes_in": SIGNED_BYTES,
    "corrected_bytes_out": SIGNED_BYTES,
}
MONTH_STATEMENT = record(
    {
        "format": {"type": "string", "enum": ["weir-statement-3", "weir-statement-2"]},
        "kind": KIND,
        "period": MONTH,
        "from": TIME,
        "to": TIME,
        "member": record({"id": WHOLE, "name": TEXT, "class": CLASS}),
        "currency": CURRENCY,
        "usage": record(
            {
                "bytes_in": SIGNED_BYTES,
                "bytes_out": SIGNED_BYTES,
                "requests_a": WHOLE,
                "requests_b": WHOLE,
                "byte_microseconds": BYTE_TIME,
                "byte_seconds": WHOLE,
                **_SOMETIMES,
            },
            optional=tuple(_SOMETIMES),
        ),
        "tariff_from": MONTH,
        "lines": rows(_LINE),
        "apart": rows(
            record({"words": TEXT, "quantity": WHOLE, "per": COUNT, "quantity_text": TEXT}),
            words="What is told and not charged.",
        ),
        "charges_minor": MINOR,
        "co_op": record(
            {
                "members": COUNT,
                "charges_minor": {**MINOR, "description": "Of members and customers, in minor units."},
                "customers_charges_minor": {
                    **MINOR,
                    "description": "Customers' part of it, in minor units, where they were charged.",
                },
                "costs_booked": FLAG,
                "costs": by_name(MINOR, words="By cost pool."),
                "costs_minor": MINOR,
                "result_minor": MINOR,
                "outcome": {"type": "string", "enum": ["surplus", "loss", "even"]},
            },
            optional=("customers_charges_minor",),
        ),
        "sentence": TEXT,
        "meaning": TEXT,
        "line_digest": DIGEST,
        "digest": {**DIGEST, "description": "SHA-256 of the month's closing; the same for every member."},
    },
    optional=("apart",),
    words="What a member is told about a month, as the portal's page, PDF and sheet are made from it.",
)
OLDER_STATEMENT: Schema = {
    "type": "object",
    "description": "A month that was closed by an older Weir, as it was told then.",
    "required": ["format", "period"],
    "properties": {"format": {"type": "string", "const": "weir-statement-1"}, "period": MONTH},
}
_SHARE = record(
    {
        "class": TEXT,
        "measure": EXACT,
        "all_measures": EXACT,
        "class_pool_minor": MINOR,
        "exact": EXACT,
        "amount_minor": MINOR,
        "cash_minor": MINOR,
        "retained_minor": MINOR,
        "qualified_minor": MINOR,
        "nonqualified_minor": MINOR,
    }
)
ACCOUNT = record(
    {
        "words": {"type": "string", "description": "The year it was kept from."},
        **{f"{name}_minor": MINOR for name in ("opening", "added", "taken", "paid_back", "closing")},
    }
)
LOSS = record(
    {
        "words": {"type": "string", "description": "The year of the loss."},
        "unmet_minor": {
            **MINOR,
            "description": "Of your part of it, what is still to be met from what you would get; it is no debt.",
        },
    }
)
_PROVIDER = record(
    {
        **dict.fromkeys(("id", "provider", "region"), TEXT),
        "currency": CURRENCY,
        "dated": {"type": "string", "description": "Of which day, as 2026-11-05; empty where it names none."},
        "link": TEXT,
        "amount_minor": MINOR,
        "missing": rows(TEXT),
    }
)
_VOTES = record({"in_favour": COUNT, "against": COUNT, "abstained": COUNT})
_SETTLED = (
    "amount", "cash", "retained", "loss_met", "withheld", "set_off", "given", "held", "paid", "interest", "charges",
)  # fmt: skip
YEAR_STATEMENT = record(
    {
        "format": {"type": "string", "enum": ["weir-year-statement-3", "weir-year-statement-2", "weir-year-statement-1"]},
        "kind": KIND,
        "fiscal_year": TEXT,
        "first_month": MONTH,
        "last_month": MONTH,
        "member": record({"id": WHOLE, "name": TEXT, "classes": rows(CLASS)}),
        "currency": CURRENCY,
        "rule_set": TEXT,
        "co_op": record(
            {
                "members": COUNT,
                "costs": by_name(MINOR),
                "costs_minor": MINOR,
                "side_income": by_name(MINOR),
                "side_income_minor": MINOR,
                "result_minor": MINOR,
                "pool_minor": MINOR,
                "accounts": by_name(MINOR, words="What did not go to members."),
            }
        ),
        "steps": rows(record({"name": TEXT, "formula": TEXT, "amount_minor": MINOR})),
        "shares": rows(_SHARE, words="Your own line of the sum."),
        **{f"{name}_minor": MINOR for name in _SETTLED},
        "resolution": TEXT,
        "closed": TEXT,
        "line_digest": DIGEST,
        "digest": DIGEST,
        "sentence": TEXT,
        "meaning": TEXT,
        "used": record(
            {"months": COUNT, **dict.fromkeys(("bytes_out", "bytes_in"), BYTES), "requests_a": COUNT,
             "requests_b": COUNT, "byte_microseconds": BYTE_TIME}
        ),
        "compared": record({"providers": rows(_PROVIDER), "not_compared": TEXT}),
        "voting": record(
            {
                "classes": {"type": "array", "items": CLASS, "description": "Those who vote by the year's rules."},
                "chambers": {
                    "type": "object",
                    "additionalProperties": {"type": "string", "description": "What it weighs, in percent."},
                    "description": "By class, where each has a chamber of its own.",
                },
            }
        ),
        "capital": rows(ACCOUNT),
        "losses": rows(LOSS),
        "decision": or_null(
            record({"id": TEXT, "body": TEXT, "decided_on": DAY, "text": TEXT, "votes": or_null(_VOTES)})
        ),
    },
    optional=("used", "compared", "capital", "losses", "decision", "voting"),
    words="What a member is told about a fiscal year.",
)  # fmt: skip
_ZEROS = "0" * 64
MONTH_EXAMPLE: Mapping[str, Any] = {
    "format": "weir-statement-3", "kind": "final", "period": "2026-10", "from": "2026-10-01T00:00:00.000000Z",
    "to": "2026-11-01T00:00:00.000000Z", "member": {"id": 1, "name": "anna", "class": "user"}, "currency": "EUR",
    "usage": {
        "bytes_in": 0, "bytes_out": 3000000000, "requests_a": 0, "requests_b": 1, "byte_microseconds": 0, "byte_seconds": 0,
    },
    "tariff_from": "2026-01",
    "lines": [
        {
            "service": "gb_out", "words": "Sent to readers", "quantity": 3000000000, "per": 1000000000,
            "quantity_text": "3 GB", "price": "1.00", "price_nano": 1000000000, "amount_minor": 300,
        }
    ],
    "charges_minor": 300,
    "co_op": {
        "members": 2, "charges_minor": 400, "costs_booked": True, "costs": {"rack": 200}, "costs_minor": 200,
        "result_minor": 200, "outcome": "surplus",
    },
    "sentence": "You are one of 2 members. In October 2026 the service cost 2.00 EUR and members were charged 4.00 EUR: "
    "2.00 EUR is left over.",
    "meaning": "A month shares nothing out.", "line_digest": _ZEROS, "digest": _ZEROS,
}  # fmt: skip
YEAR_EXAMPLE: Mapping[str, Any] = {
    "format": "weir-year-statement-3", "kind": "trial", "fiscal_year": "2026", "first_month": "2026-01",
    "last_month": "2026-12", "member": {"id": 1, "name": "anna", "classes": ["user"]}, "currency": "EUR",
    "rule_set": "us-selc",
    "co_op": {
        "members": 2, "costs": {"rack": 200}, "costs_minor": 200, "side_income": {}, "side_income_minor": 0,
        "result_minor": 200, "pool_minor": 200, "accounts": {},
    },
    "steps": [{"name": "Result", "formula": "4.00 - 2.00", "amount_minor": 200}],
    "shares": [
        {
            "class": "user", "measure": "300", "all_measures": "400", "class_pool_minor": 200, "exact": "1.50",
            "amount_minor": 150, "cash_minor": 50, "retained_minor": 100, "qualified_minor": 100,
            "nonqualified_minor": 0,
        }
    ],
    **{f"{name}_minor": 0 for name in _SETTLED}, "charges_minor": 300, "amount_minor": 150, "cash_minor": 50,
    "retained_minor": 100, "held_minor": 50, "resolution": "", "closed": "", "line_digest": _ZEROS, "digest": _ZEROS,
    "sentence": "You are one of 2 in the co-op's books of the fiscal year 2026.", "meaning": "It still changes.",
}  # fmt: skip
