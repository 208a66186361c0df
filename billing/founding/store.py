"""SQL of the founding: what was begun, and which steps are done."""

from __future__ import annotations

from dataclasses import dataclass

from meter.postgres import Connection
from meter.window import to_datetime, to_us


@dataclass(frozen=True, slots=True)
class Begun:
    """A founding as the database knows it."""

    name: str
    answers_sha256: bytes
    began_us: int


async def begun(connection: Connection) -> Begun | None:
    """The founding of this database; None where there was none."""
    row = await connection.fetchrow("SELECT name, answers, began_at FROM billing.founding")
    return None if row is None else Begun(row["name"], row["answers"], to_us(row["began_at"]))


async def insert_founding(connection: Connection, founding: Begun) -> None:
    """Begin; a database is founded once."""
    await connection.execute(
        "INSERT INTO billing.founding (name, answers, began_at) VALUES ($1, $2, $3)",
        founding.name, founding.answers_sha256, to_datetime(founding.began_us),
    )  # fmt: skip


async def steps(connection: Connection) -> dict[str, str]:
    """What is done, each with what came of it."""
    rows = await connection.fetch("SELECT step, result FROM billing.founding_step")
    return {row["step"]: row["result"] for row in rows}


async def insert_step(connection: Connection, step: str, result: str, *, now_us: int) -> None:
    """Note that a step is done, in the transaction that did it."""
    await connection.execute(
        "INSERT INTO billing.founding_step (step, result, done_at) VALUES ($1, $2, $3)",
        step, result, to_datetime(now_us),
    )  # fmt: skip
