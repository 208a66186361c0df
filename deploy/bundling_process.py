"""One bundle as a ZIP: `python -m deploy.bundling_process MEMBER PERIOD LINE` writes it to its standard output.

What is said on the line, one JSON object, is the answer. The member asks for what is theirs, so the log of acts has no
line of it. What does not check is given all the same, and says so in a file of its own, as `weir download` does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import IO

from deploy.bundling import WHERE_ELSE, differences, fill
from deploy.commands.bill import sign_heads
from deploy.desk import opened
from meter.ids import MemberId
from meter.logs import begin_log
from meter.refusal import Refusal
from meter.settings import MeterSettings
from meter.window import Month

log = logging.getLogger("deploy.bundling")
LESS_URGENT = 10
"""Added to our niceness: requests and counting go before."""
WARNING = "IT-DOES-NOT-CHECK.txt"


async def make(member: MemberId, period: Month | int, out: IO[bytes]) -> None:
    """Write the ZIP. Raises Refusal."""
    with tempfile.TemporaryDirectory(prefix="weir-bundle-") as made:
        place = Path(made, f"weir-{period}")
        place.mkdir()
        async with opened(migrating=False) as desk:
            await sign_heads(desk)
            await fill(desk, place, member, period, records_max=desk.billing.portal_bundle_records_max)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            if wrong := differences(place):
                archive.writestr(WARNING, "\n".join((WHERE_ELSE, "", *wrong, "")))
            for path in sorted(one for one in place.rglob("*") if one.is_file()):
                archive.write(path, path.relative_to(made))


def main() -> int:
    """Entry point; the exit status."""
    member, period, line = sys.argv[1:]
    os.nice(LESS_URGENT)
    begin_log(MeterSettings.read().log_format)
    wanted = Month.parse(period) if "-" in period else int(period)
    told: dict[str, object] = {"made": period}
    try:
        with os.fdopen(sys.stdout.fileno(), "wb", closefd=False) as out:
            asyncio.run(make(MemberId(int(member)), wanted, out))
    except Refusal as refusal:
        told = {"refused": str(refusal)}
    except OSError as error:
        # Without a word on the line the portal says that there is none.
        log.error("a bundle of %s was not written: %s", period, error.strerror)
        return 1
    os.write(int(line), json.dumps(told).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
