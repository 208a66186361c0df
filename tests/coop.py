"""A small co-op in a real database, for tests: members, usage as the meter books it, a tariff of 1.00 a GB."""

from datetime import date

import asyncpg

from billing.run import set_tariff
from meter.ids import MemberId
from meter.postgres import connect
from meter.store import add_member, part_name
from meter.usage import MemberClass
from meter.window import Month, to_datetime

SEPTEMBER, OCTOBER, NOVEMBER = Month(2026, 9), Month(2026, 10), Month(2026, 11)
NOW = NOVEMBER.start_us + 5 * 24 * 3600 * 10**6
CENT = 10**7  # bytes out that cost one cent
TARIFF = """
currency = "EUR"
effective_from = "2026-01"
gb_out = "1.00"
gb_in = "0"
gb_month = "0"
requests_a_1000 = "0"
requests_b_1000 = "0"
"""


class Coop:
    """A database and the connections a test opened to it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._open: list[asyncpg.Connection] = []

    async def books(self) -> asyncpg.Connection:
        """A connection that acts as the books' writer does."""
        return await self.connection("weir_office")

    async def owner(self) -> asyncpg.Connection:
        """A connection that owns every table."""
        return await self.connection(None)

    async def connection(self, role: str | None) -> asyncpg.Connection:
        """A connection that is closed after the test."""
        self._open.append(await connect(self.dsn, role=role))
        return self._open[-1]

    async def close(self) -> None:
        """Close them all."""
        for one in self._open:
            await one.close()

    async def found(self, *names: str, member_class: MemberClass = MemberClass.USER) -> list[MemberId]:
        """Members who joined on the first of September, and a tariff."""
        owner = await self.owner()
        made = [
            await add_member(owner, name=name, member_class=member_class, email="", now_us=SEPTEMBER.start_us)
            for name in names
        ]
        await set_tariff(await self.books(), TARIFF, now_us=SEPTEMBER.start_us)
        return [one.id for one in made]

    async def use(self, member: MemberId, month: Month, bytes_out: int, *, day: int = 1) -> None:
        """Book egress to a month as the shipper would."""
        meter = await self.connection("weir_meter")
        period = date(month.year, month.number, 1)
        await meter.execute("SELECT meter.ensure_month($1)", period)
        await meter.execute(
            f"INSERT INTO {part_name('reading', period)}"
            " VALUES ($1, $2, $3, 1, 1, 2, 0, 1, 0, 0, 0, $4, 0, $4)",
            period,
            member,
            to_datetime(month.start_us + (day - 1) * 86_400 * 10**6),
            bytes_out,
        )


async def balances(connection: asyncpg.Connection) -> dict[str, tuple[int, int]]:
    """Account → its debits and credits in minor units; over all accounts they are equal."""
    rows = await connection.fetch(
        "SELECT account, sum(greatest(amount_minor, 0)) AS debits, sum(greatest(-amount_minor, 0)) AS credits"
        " FROM billing.posting GROUP BY account"
    )
    found = {row["account"]: (int(row["debits"]), int(row["credits"])) for row in rows}
    assert sum(debit for debit, _ in found.values()) == sum(credit for _, credit in found.values())
    return found


async def left_on(connection: asyncpg.Connection) -> dict[str, int]:
    """Account → what is left on it, in minor units; debit above zero."""
    return {name: debit - credit for name, (debit, credit) in (await balances(connection)).items()}
