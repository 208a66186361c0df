"""Both closings killed in the middle, when members' lines and entries are written and the page is not: nothing stays."""

import subprocess
import sys

import asyncpg
import pytest

from billing import year_run
from billing.run import close
from tests.coop import Coop, balances
from tests.ordinary import ROOT
from tests.reference_year import MONTHS, NOW, decided, g18

TABLES = ("charge", "closing", "year", "year_line", "closed_year", "entry", "posting")


async def counts(owner: asyncpg.Connection) -> dict[str, int]:
    found = {one: await owner.fetchval(f"SELECT count(*) FROM billing.{one}") for one in TABLES}
    return found | {"closed months": await owner.fetchval("SELECT count(*) FROM meter.closed_month")}


def killed_in_the_middle(what: str, dsn: str) -> int:
    """How many members it had done when it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.closing_process", what, dsn, str(NOW)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    done = process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    assert process.stdin is not None
    process.stdin.close()
    return int(done)


@pytest.mark.parametrize("what", ["month", "year"])
async def test_a_closing_killed_in_the_middle_leaves_nothing_and_is_done_again(
    co_op: Coop, what: str
) -> None:
    books, members = await g18(co_op, closed=False)
    for month in MONTHS if what == "year" else MONTHS[:3]:
        await close(books, month, now_us=NOW)
    resolution = await decided(books)
    owner = await co_op.owner()
    before, booked = await counts(owner), await balances(books)
    assert len(members) == killed_in_the_middle(what, co_op.dsn)
    # Whoever comes next waits for the books until the server has noticed that the killed one is gone.
    await books.execute("SELECT billing.lock_books()")
    assert (before, booked) == (await counts(owner), await balances(books))
    if what == "month":
        await close(books, MONTHS[3], now_us=NOW)
        assert before["closing"] + 1 == (await counts(owner))["closing"]
    else:
        await year_run.close(books, 2026, resolution=resolution, now_us=NOW)
        assert len(members) == (await counts(owner))["year_line"]
