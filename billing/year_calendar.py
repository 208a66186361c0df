"""Which months a fiscal year has and which one a month lies in, by the month the co-op chose to begin with."""

from __future__ import annotations

from billing.governance import store as governance_store
from billing.governance.decisions import first_month_of
from billing.year.fiscal import FiscalYear
from meter.postgres import Connection
from meter.window import Month


async def fiscal_year(connection: Connection, number: int) -> FiscalYear:
    """The fiscal year of that number."""
    return FiscalYear(number, first_month_of(await governance_store.choices(connection)))


async def fiscal_year_of(connection: Connection, month: Month) -> FiscalYear:
    """The fiscal year a month lies in."""
    return FiscalYear.of(month, first_month_of(await governance_store.choices(connection)))
