"""Everything that is known about one member, as one ZIP of tables. It reads for that member and for nobody else."""

from __future__ import annotations

import asyncio
import csv
import io
import zipfile
from collections.abc import Sequence
from typing import IO

import asyncpg

from billing.portal.membership_store import EXPORT, own_papers, paper, rows_of
from billing.spreadsheet import BYTE_ORDER_MARK, cell
from billing.tongue import _
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal

ROWS_AT_ONCE = 5000


def about() -> str:
    """The page that goes with the tables."""
    return _("""Everything your co-op keeps about you in its databases, one table a file, as CSV.

Names of files are those of the tables. Whole numbers are exact: bytes, byte-microseconds, and money in cents.
What you attached to a proposal is in the folder papers, as you gave it.
Your single requests are in the journal: ask for `weir usage YOUR-NAME --by request`. Your objects are yours
already, behind your keys. Secrets are not in here: nobody can read them back, and they would not be safe in a file.
""")


async def write_export(
    connection: Connection, member: MemberId, out: IO[bytes], *, rows_max: int, papers_bytes_max: int
) -> None:
    """Write the ZIP, all tables and papers as of one instant, holding no more than one paper or some rows at a time.

    Raises Refusal beyond rows_max rows, or papers_bytes_max bytes of papers.
    """
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ABOUT.txt", about())
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await _write_tables(connection, member, archive, rows_max=rows_max)
            await _write_papers(
                connection, member, archive, papers_max=rows_max, papers_bytes_max=papers_bytes_max
            )


async def _write_tables(
    connection: Connection, member: MemberId, archive: zipfile.ZipFile, *, rows_max: int
) -> None:
    left = rows_max
    for name in EXPORT:
        with archive.open(f"{name}.csv", "w", force_zip64=True) as file:
            first = True
            async for columns, rows in rows_of(connection, name, member, rows_max=ROWS_AT_ONCE):
                left -= len(rows)
                if left < 0:
                    raise Refusal(f"that is more than {rows_max:,} rows; ask whoever runs the co-op for it")
                text = _csv(columns if first else (), rows)
                first = False
                await asyncio.to_thread(file.write, text)


async def _write_papers(
    connection: Connection,
    member: MemberId,
    archive: zipfile.ZipFile,
    *,
    papers_max: int,
    papers_bytes_max: int,
) -> None:
    """What the member attached, as it was, under the name that the portal gives it."""
    papers = await own_papers(connection, member, papers_max=papers_max)
    if sum(one.size_bytes for one in papers) > papers_bytes_max:
        raise Refusal(
            f"your papers are more than {papers_bytes_max:,} bytes; ask whoever runs the co-op for them"
        )
    for one in papers:
        ending = one.name.rpartition(".")[2].lower()
        content = await paper(connection, one)
        await asyncio.to_thread(
            archive.writestr, f"papers/proposal-{one.proposal}-{one.place}.{ending}", content
        )


def _csv(columns: Sequence[str], rows: Sequence[asyncpg.Record]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if columns:
        out.write(BYTE_ORDER_MARK)
        writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(_plain(value)) for value in row])
    return out.getvalue().encode()


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return " ".join(str(one) for one in value)
    return value
