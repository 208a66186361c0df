"""weir download: a member's statement with all that is needed to check it elsewhere, without us."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from billing import run, store, verifier
from billing.bundle import README, manifest_text, proof_text, record_line, segments_text, totals_text
from billing.canon import canonical
from billing.charge_store import charge_amounts, charge_text
from billing.closing import Closing
from billing.frozen import closing_of
from billing.sumtree import grow
from billing.tariff import tariff_toml
from deploy.commands.bill import sign_heads
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.output import print_json, say
from deploy.progress import bar
from meter import heads_store
from meter.daily import file_name
from meter.extract import Extract, Sealed, extract
from meter.ids import MemberId
from meter.postgres import Connection
from meter.reader import streams
from meter.refusal import Refusal
from meter.retention import beginnings
from meter.segments import segment_paths
from meter.signing import open_key, public_of
from meter.store import displaced, find_member, watermarks
from meter.window import Month

TREE = "sum-tree"
AMOUNTS_AT_ONCE = 10_000


@click.command()
@click.argument("member")
@click.argument("month", metavar="YYYY-MM")
@click.option(
    "--to", "directory", required=True, type=click.Path(path_type=Path), help="A directory to be made."
)
@json_option
@data_option
def download(member: str, month: str, directory: Path, as_json: bool) -> None:
    """MEMBER's statement of a closed month with records, prices, totals, proofs and a verifier, in one directory."""
    wanted = Month.parse(month)
    if directory.exists():
        raise Refusal(f"--to: {directory} is there already; name a directory that is not")
    fresh = directory.with_name(f".{directory.name}.partial")

    async def work(desk: Desk) -> dict[str, str]:
        await sign_heads(desk)
        try:
            fresh.mkdir(parents=True)
            return await _fill(desk, fresh, member, wanted)
        except FileExistsError:
            raise Refusal(
                f"{fresh} is there: another download makes it, or one was broken off; remove it"
            ) from None
        except OSError as error:
            raise Refusal(f"{directory} cannot be made: {error.strerror}") from None

    try:
        files = at_desk(work)
        fresh.rename(directory)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if as_json:
        print_json({"directory": str(directory), "files": files})
    else:
        for name, digest in files.items():
            say(f"{digest}  {name}")
        say(f"check them anywhere with: python -I {directory / 'verify.py'}")


async def _fill(desk: Desk, place: Path, name: str, month: Month) -> dict[str, str]:
    """Write every file; their SHA-256 by name."""
    key = open_key(desk.data)
    async with desk.connected("weir_billing") as connection:
        member = await find_member(connection, name)
        stored = await store.closing_text(connection, month)
        if stored is None:
            raise Refusal(f"{month} is not closed yet; a statement can be checked once it is final")
        closing = closing_of(stored)
        line = await charge_text(connection, member.id, month)
        if line is None:
            raise Refusal(f"there is no statement for {month}: they were not a member then")
        told = await run.statement(connection, member.id, month, now_us=desk.now_us)
        texts = {
            "README.txt": README,
            "closing.json": stored,
            "line.json": line[1],
            "statement.json": canonical(told),
            "tariff.toml": tariff_toml(closing.inputs.tariff),
            "verify.py": Path(verifier.__file__).read_text("utf-8"),
        }
        texts |= await _totals(desk, connection, member.id, closing)
        texts["segments.json"] = await _records(desk, connection, place, member.id, month)
    texts |= await _heads(desk, month)
    (place / "heads").mkdir()
    for file, text in texts.items():
        (place / file).write_text(text, "utf-8", newline="")
    digests = {file: _digest(place / file) for file in sorted([*texts, "records.jsonl"])}
    manifest = manifest_text(member.id, month, key=public_of(key), files=digests)
    signed = f"{manifest}\n{key.sign(manifest.encode()).hex()}\n"
    (place / "manifest.json").write_text(signed, "utf-8", newline="")
    return {**digests, "manifest.json": _digest(place / "manifest.json")}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _totals(desk: Desk, connection: Connection, member: MemberId, closing: Closing) -> dict[str, str]:
    month = closing.inputs.month
    amounts: list[tuple[int, int]] = []
    async with connection.transaction(readonly=True):
        async for rows in charge_amounts(connection, month, rows_max=AMOUNTS_AT_ONCE):
            amounts += rows
    secret = desk.vault().derived(TREE)
    charged = ((number, max(amount, 0)) for number, amount in amounts)
    tree = await asyncio.to_thread(grow, charged, own=member, secret=secret, period=str(month))
    totals = totals_text(
        month,
        closing_digest=closing.digest,
        tree=tree,
        below_zero_minor=sum(min(amount, 0) for _, amount in amounts),
        watermarks=await watermarks(connection),
    )
    return {"totals.json": totals, "proof.json": proof_text(tree)}


async def _records(desk: Desk, connection: Connection, place: Path, member: MemberId, month: Month) -> str:
    """Write the records; the text of the segments they stand in."""
    journal = desk.meter.journal_directory
    found = extract(
        journal,
        member,
        month,
        await watermarks(connection),
        displaced=tuple(await displaced(connection)),
        begins=await beginnings(connection, journal),
    )
    total = sum(len(segment_paths(directory)) for directory in streams(journal))
    segments = await asyncio.to_thread(_write_records, place / "records.jsonl", found, total)
    return segments_text(segments)


def _write_records(path: Path, found: Iterator[tuple[Sealed, list[Extract]]], total: int) -> list[Sealed]:
    segments = []
    with path.open("w", encoding="utf-8", newline="") as file, bar("segments", total=total) as progress:
        for segment, records in found:
            segments.append(segment)
            file.writelines(record_line(one) for one in records)
            progress(len(segments))
    return segments


async def _heads(desk: Desk, month: Month) -> dict[str, str]:
    """The signed pages from the month's first day to its closing. Raises Refusal while the closing has none."""
    async with desk.connected("weir_meter") as connection:
        every = await heads_store.heads(connection)
    closes = next((one for one in every if one.month == month), None)
    if closes is None:
        raise Refusal(f"the closing of {month} is not signed yet; `weir heads list` shows what is")
    return {
        f"heads/{file_name(one.number, one.day.isoformat())}": one.page.to_file()
        for one in every
        if one.number <= closes.number and (one is closes or Month(one.day.year, one.day.month) >= month)
    }
