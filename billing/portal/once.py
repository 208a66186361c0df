"""A form that does its act once: it has a random name, and sent a second time it leads where it led the first time.

A hand presses a button twice, and a browser shows the second answer alone. It does not know what a form does.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable

from billing.portal import once_store
from meter.ids import MemberId
from meter.postgres import Connection
from meter.window import DAY_US

NAME = "form"
"""The field of a form's name."""
NAME_BYTES = 16
NAME_CHARACTERS_MAX = 64
KEPT_US = DAY_US


def form_name() -> str:
    """A name for one form on one page."""
    return secrets.token_hex(NAME_BYTES)


async def done_once(
    connection: Connection, name: str, act: Callable[[], Awaitable[str]], *, member: MemberId, page: str, now_us: int
) -> tuple[str, bool]:  # fmt: skip
    """(the path after it, whether it was done now). What act() refuses leaves no trace, and the form can be sent again.

    name: as the form says it; without one the act is done. Needs a transaction around it, which the act is part of.
    """
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX:
        return await act(), True
    digest = hashlib.sha256(f"{int(member)} {page} {name}".encode()).digest()
    await once_store.lock_form(connection, digest)
    before = await once_store.led_to(connection, digest)
    if before is not None:
        return before, False
    path = await act()
    await once_store.forget(connection, before_us=now_us - KEPT_US)
    await once_store.keep(connection, digest, path, now_us=now_us)
    return path, True
