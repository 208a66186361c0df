"""`weir found` as a process of its own that kills itself: inside the second step it does, or at a named place."""

import os
import signal
import sys
from typing import Any

from billing.founding import store
from deploy.cli import run
from deploy.commands import found
from deploy.found import keeping, papers

insert_step = store.insert_step
done = []


def killed(*_: Any, **__: Any) -> Any:
    """Here it ends, as by a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


async def step(connection: Any, name: str, result: str, *, now_us: int) -> None:
    """One step is done and committed; the second is done, noted, and killed before its end."""
    await insert_step(connection, name, result, now_us=now_us)
    done.append(name)
    if len(done) > 1:
        killed()


match sys.argv[1]:
    case "kept":  # the answers are kept, and the directory has no format yet
        keeping.check_format = killed  # type: ignore[attr-defined]
    case "step":
        store.insert_step = step  # type: ignore[assignment]
    case "papers":  # every step is done, and the first paper is written
        papers.sheet_pdf = killed  # type: ignore[attr-defined]
    case "finish":  # all is done, links too, and the answers are still there
        found.finish = killed  # type: ignore[attr-defined]
    case other:
        raise SystemExit(f"{other} is no place to be killed at")
sys.exit(run(sys.argv[2:]))
