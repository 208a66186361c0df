"""The API about the co-op itself: where the money goes and what is kept, the bills it got, and who acts for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.acts.act import Office
from billing.costs import store as cost_store
from billing.costs.invoices import Invoice
from billing.portal import our_coop
from billing.portal.api.route import Asking, Route, Told
from billing.portal.api.shapes import (
    COUNT,
    CURRENCY,
    CURSOR,
    DAY,
    FLAG,
    MINOR,
    MONTH,
    TEXT,
    TIME,
    cursor_parameter,
    limit_parameter,
    or_null,
    record,
    rows,
)
from billing.portal.coop_told import CoOp, co_op_of, held_now
from billing.portal.tokens import Scope
from billing.settings import BillingSettings
from billing.words import iso_text

_KEPT = rows(record({"words": TEXT, "amount_minor": MINOR}))
CO_OP = record(
    {
        "currency": or_null(CURRENCY, words="null before there is a tariff."),
        "closed": or_null(
            record(
                {
                    "from": MONTH,
                    "to": MONTH,
                    "charges_minor": {
                        **MINOR,
                        "description": "What all members were charged, in minor units.",
                    },
                    "costs": rows(record({"pool": TEXT, "amount_minor": MINOR})),
                    "costs_minor": {**MINOR, "description": "The sum of all pools, in minor units."},
                    "left_minor": {**MINOR, "description": "Above zero left over, below zero missing."},
                }
            ),
            words=f"The last {our_coop.MONTHS} closed months at most; null while none is closed.",
        ),
        "year": or_null(
            record(
                {
                    "year": TEXT,
                    "from": MONTH,
                    "to": MONTH,
                    "came_minor": {**MINOR, "description": "All that came in, in minor units."},
                    "costs_minor": MINOR,
                    "left_minor": {**MINOR, "description": "Above zero left over, below zero missing."},
                    "shared_minor": {**MINOR, "description": "Of it, what was shared among the members."},
                    "rest_minor": {**MINOR, "description": "Of it, what was not."},
                }
            ),
            words="The newest fiscal year that is closed; null while none is.",
        ),
        "one_unit": rows(
            record({"words": TEXT, "amount_minor": MINOR, "hundredths": TEXT}),
            words="Where one unit of money went in the closed year, else in the closed months: of each 100 hundredths that "
            "came in, or of what it cost if that is more.",
        ),
        "kept": or_null(
            record({"by_all": _KEPT, "in_names": _KEPT, "besides": _KEPT}),
            words="What is ours, as of now: in nobody's name, in members' names, and not shared out yet.",
        ),
        "list_prices": or_null(
            record(
                {
                    "month": MONTH,
                    "charges_minor": MINOR,
                    "costs_minor": MINOR,
                    "providers": rows(
                        record(
                            {
                                "provider": TEXT,
                                "region": TEXT,
                                "dated": {**TEXT, "description": "The day the prices are of, or `unknown`."},
                                "currency": CURRENCY,
                                "amount_minor": MINOR,
                                "is_whole": {**FLAG, "description": "All that was used has a price there."},
                                "link": {**TEXT, "description": "The provider's own page of prices."},
                                "site": TEXT,
                                "standing": {
                                    **TEXT,
                                    "description": "How good the weakest of its numbers is.",
                                },
                            }
                        )
                    ),
                }
            ),
            words="What all members used in the last closed month, by others' list prices of its last day.",
        ),
        "next_meeting": {**TEXT, "description": "When and where the members meet next; empty if not said."},
    }
)
INVOICES = record(
    {
        "invoices": rows(
            record(
                {
                    "number": COUNT,
                    "month": MONTH,
                    "pool": TEXT,
                    "supplier": TEXT,
                    "memo": TEXT,
                    "amount_minor": {**MINOR, "description": "Below zero of a credit note."},
                    "currency": CURRENCY,
                    "dated": or_null(DAY),
                    "service": or_null(
                        record({"from": DAY, "to": DAY}), words="What it pays for; null: the month."
                    ),
                    "credits": or_null(COUNT, words="The invoice that a credit note takes back."),
                    "booked": TIME,
                }
            ),
            words="The newest first.",
        ),
        "next": CURSOR,
    }
)
OFFICES = record(
    {
        "offices": rows(
            record(
                {
                    "name": TEXT,
                    "office": {"type": "string", "enum": [one.value for one in Office]},
                    "from": TIME,
                    "until": or_null(TIME),
                    "resolution": or_null(TEXT),
                }
            ),
            words="Who holds one now.",
        )
    }
)
_ONE_CO_OP: Mapping[str, Any] = {
    "currency": "EUR",
    "closed": {
        "from": "2026-09", "to": "2026-10", "charges_minor": 300, "costs": [{"pool": "rack", "amount_minor": 200}],
        "costs_minor": 200, "left_minor": 100,
    },
    "year": None,
    "one_unit": [
        {"words": "Cost: rack", "amount_minor": 200, "hundredths": "66.6…"},
        {"words": "Left over, not shared out yet", "amount_minor": 100, "hundredths": "33.3…"},
    ],
    "kept": {"by_all": [{"words": "Reserve", "amount_minor": 50}], "in_names": [], "besides": []},
    "list_prices": {"month": "2026-10", "charges_minor": 300, "costs_minor": 200, "providers": []},
    "next_meeting": "12 December, 18:00, at the library",
}  # fmt: skip
_ONE_INVOICE: Mapping[str, Any] = {
    "number": 1, "month": "2026-10", "pool": "rack", "supplier": "Example Rack Ltd", "memo": "half a rack",
    "amount_minor": 200, "currency": "EUR", "dated": "2026-10-02", "service": None, "credits": None,
    "booked": "2026-10-05T09:00:00.000000Z",
}  # fmt: skip
_ONE_OFFICE: Mapping[str, Any] = {
    "name": "anna", "office": "treasurer", "from": "2026-09-01T00:00:00.000000Z", "until": None, "resolution": "2026-1",
}  # fmt: skip


def routes(settings: BillingSettings) -> tuple[Route, ...]:
    """What this module answers."""
    return (
        Route(
            "GET", "/co-op", "getCoOp", "the co-op", "Where the money goes, what is kept, and others' list prices",
            _co_op, (Told(CO_OP, _ONE_CO_OP),), Scope.BOOKS, is_heavy=True,
            words="The figures of the page *Our co-op*.",
        ),
        Route(
            "GET", "/invoices", "listInvoices", "the co-op", "The bills that the co-op got", _invoices,
            (Told(INVOICES, {"invoices": [_ONE_INVOICE], "next": None}),), Scope.BOOKS,
            parameters=(limit_parameter(settings.api_rows_max), cursor_parameter("^[0-9]{1,18}$", "17")),
        ),
        Route(
            "GET", "/offices", "listOffices", "the co-op", "Who acts for the co-op now, and by which resolution",
            _offices, (Told(OFFICES, {"offices": [_ONE_OFFICE]}),), Scope.ACTS,
        ),
    )  # fmt: skip


async def _co_op(asking: Asking) -> Mapping[str, Any]:
    portal = asking.portal
    # Sums over everybody's usage and the whole ledger, so one at a time.
    async with portal.searching, portal.database() as connection:
        told = await co_op_of(portal, connection, now_us=asking.now_us)
    return co_op(told, meeting=portal.settings.next_meeting)


def co_op(told: CoOp, *, meeting: str) -> dict[str, Any]:
    """The co-op as the API tells it."""
    compared = told.compared
    return {
        "currency": told.currency,
        "closed": None if told.closed is None else _closed(told.closed),
        "year": None if told.year is None else _year(told.year),
        "one_unit": []
        if told.picture is None
        else [
            {"words": one.words, "amount_minor": one.amount_minor, "hundredths": one.cents}
            for one in told.picture["parts"]
        ],
        "kept": None
        if told.kept is None
        else {
            name: [{"words": words, "amount_minor": amount} for words, amount in lines]
            for name, lines in told.kept.items()
        },
        "list_prices": None if compared is None else {**compared, "month": str(compared["month"])},
        "next_meeting": meeting,
    }


def _closed(found: our_coop.Closed) -> dict[str, Any]:
    return {
        "from": str(found.first),
        "to": str(found.last),
        "charges_minor": found.charges_minor,
        "costs": [{"pool": pool, "amount_minor": minor} for pool, minor in found.costs.items()],
        "costs_minor": found.costs_minor,
        "left_minor": found.left_minor,
    }


def _year(found: Mapping[str, Any]) -> dict[str, Any]:
    amounts = ("came_minor", "costs_minor", "left_minor", "shared_minor", "rest_minor")
    return {
        "year": str(found["number"]),
        "from": str(found["first"]),
        "to": str(found["last"]),
        **{name: found[name] for name in amounts},
    }


async def _invoices(asking: Asking) -> Mapping[str, Any]:
    limit = asking.values.get("limit", asking.portal.settings.api_rows_max)
    cursor = asking.values.get("cursor")
    async with asking.portal.database() as connection:
        found = await cost_store.newest_invoices(
            connection, before=None if cursor is None else int(cursor), count_max=limit + 1
        )
    return {
        "invoices": [_invoice(one) for one in found[:limit]],
        "next": str(found[limit - 1].number) if len(found) > limit else None,
    }


def _invoice(one: Invoice) -> dict[str, Any]:
    return {
        "number": one.number,
        "month": str(one.month),
        "pool": one.pool,
        "supplier": one.supplier,
        "memo": one.memo,
        "amount_minor": one.amount_minor,
        "currency": one.currency,
        "dated": None if one.dated is None else one.dated.isoformat(),
        "service": None
        if one.service is None
        else {"from": one.service[0].isoformat(), "to": one.service[1].isoformat()},
        "credits": one.credits,
        "booked": iso_text(one.booked_us),
    }


async def _offices(asking: Asking) -> Mapping[str, Any]:
    async with asking.portal.database() as connection:
        found = await held_now(connection, now_us=asking.now_us)
    return {
        "offices": [
            {
                "name": one.name,
                "office": one.office.value,
                "from": iso_text(one.from_us),
                "until": None if one.until_us is None else iso_text(one.until_us),
                "resolution": one.resolution,
            }
            for one in found
        ]
    }
