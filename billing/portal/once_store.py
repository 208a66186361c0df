"""SQL of forms that were sent: where each led, for a day."""

from __future__ import annotations

from meter.postgres import Connection
from meter.window import to_datetime


async def lock_form(connection: Connection, digest: bytes) -> None:
    """Be the one that answers this form until the transaction ends."""
    await connection.execute("SELECT billing.lock_form($1)", digest)


async def led_to(connection: Connection, digest: bytes) -> str | None:
    """The page after it, where it was sent before."""
    found: str | None = await connection.fetchval(
        "SELECT led_to FROM billing.form_sent WHERE form_sha256 = $1", digest
    )
    return found


async def keep(connection: Connection, digest: bytes, path: str, *, now_us: int) -> None:
    """Note where it led."""
    await connection.execute(
        "INSERT INTO billing.form_sent (form_sha256, led_to, sent_at) VALUES ($1, $2, $3)",
        digest, path, to_datetime(now_us),
    )  # fmt: skip


async def forget(connection: Connection, *, before_us: int) -> None:
    """Remove those that were sent before an instant."""
    await connection.execute("DELETE FROM billing.form_sent WHERE sent_at < $1", to_datetime(before_us))
