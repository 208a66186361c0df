"""A closing as a process of its own, which says when members' lines are written and then waits to be killed."""

import asyncio
import sys

from billing import year_run
from billing.run import close
from meter.postgres import connect
from meter.window import Month


def wait(done: int) -> None:
    """Told of members that are done: say so, and go no further."""
    print(done, flush=True)
    sys.stdin.read()


async def main(what: str, dsn: str, now_us: int) -> None:
    """Close December 2026, or the year."""
    books = await connect(dsn, role="weir_office")
    if what == "month":
        await close(books, Month(2026, 12), now_us=now_us, progress=wait)
    else:
        await year_run.close(books, 2026, resolution="2027-1", now_us=now_us, progress=wait)


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
