"""Writes what a member takes home of a closed month or year: every file, and the signed list of them.

What is in the files is said elsewhere; here they are gathered, and nothing of another member is among them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

from billing import run, store, year_run, year_store
from billing.canon import canonical
from billing.charges.store import charge_amounts, charge_text
from billing.charges.tariff import tariff_toml
from billing.month.closing import Closing
from billing.month.frozen import closing_of
from billing.portal.bundles import too_many_records
from billing.statements import verifier
from billing.statements.bundle import (
    README,
    engines_text,
    manifest_text,
    proof_text,
    record_line,
    segments_text,
    totals_text,
    year_texts,
)
from billing.statements.sumtree import Tree, grow
from deploy.desk import Desk
from deploy.progress import bar
from meter import frame, heads_store
from meter.daily import file_name
from meter.engine_usage_store import placement
from meter.extract import Extract, Sealed, extract
from meter.ids import BucketId, MemberId
from meter.postgres import Connection
from meter.reader import streams
from meter.recount import Placement
from meter.refusal import Refusal
from meter.retention import beginnings
from meter.segments import segment_paths
from meter.signing import open_key, public_of
from meter.store import displaced, watermarks
from meter.window import Month

TREE = "sum-tree"
AT_ONCE = 10_000
UNTOLD = "DIFFERS  the verifier says no more"
WHERE_ELSE = "it does not check; is the journal of every machine here?"


async def fill(
    desk: Desk, place: Path, member: MemberId, period: Month | int, *, records_max: int | None
) -> dict[str, str]:
    """Write every file of a closed month, or of a fiscal year by its number; their SHA-256 by name.

    Raises Refusal, also where a month has more than records_max records.
    """
    if isinstance(period, Month):
        return await _fill_month(desk, place, member, period, records_max)
    return await _fill_year(desk, place, member, period, records_max)


async def _fill_month(
    desk: Desk, place: Path, member: MemberId, month: Month, records_max: int | None
) -> dict[str, str]:
    async with desk.connected("weir_billing") as connection:
        stored = await store.closing_text(connection, month)
        if stored is None:
            raise Refusal(f"{month} is not closed yet; a statement can be checked once it is final")
        closing = closing_of(stored)
        line = await charge_text(connection, member, month)
        if line is None:
            raise Refusal(f"there is no statement for {month}: they were not a member then")
        texts = {
            "closing.json": stored,
            "line.json": line.line,
            "statement.json": canonical(await run.statement(connection, member, month, now_us=desk.now_us)),
            "tariff.toml": tariff_toml(closing.inputs.tariff),
        }
        texts |= await _totals(desk, connection, member, closing)
        texts |= await _records(desk, connection, place, member, closing, records_max)
    texts |= await _heads(desk, month)
    return _written(desk, place, texts, member=member, period=str(month))


async def _fill_year(
    desk: Desk, place: Path, member: MemberId, number: int, records_max: int | None
) -> dict[str, str]:
    """The year's own files, and its months in directories of their own."""
    async with desk.connected("weir_billing") as connection:
        stored = await year_store.year_text(connection, number)
        if stored is None:
            raise Refusal(
                f"the fiscal year {number} is not closed yet; a statement can be checked once it is final"
            )
        told = await year_run.statement(connection, member, number, now_us=desk.now_us)
        line = await year_store.line_text(connection, member, number)
        assert line is not None, "whoever has a statement of a closed year has a line of it"
        page = json.loads(stored[0])
        months = [Month.parse(text) for text in sorted(page["months"])]
        own = [month for month in months if await charge_text(connection, member, month) is not None]
        trees = await _trees(desk, connection, member, number)
    texts = {"page.json": stored[0], "line.json": line, "statement.json": canonical(told)}
    texts |= year_texts(number, closing_digest=page["digest"], trees=trees)
    for month in own:
        within = place / "months" / str(month)
        within.mkdir(parents=True)
        await _fill_month(desk, within, member, month, records_max)
    return _written(desk, place, texts, member=member, period=str(number))


def _written(
    desk: Desk, place: Path, texts: Mapping[str, str], *, member: MemberId, period: str
) -> dict[str, str]:
    """Write the texts, and list and sign all that is there."""
    key = open_key(desk.data)
    texts = {**texts, "README.txt": README, "verify.py": Path(verifier.__file__).read_text("utf-8")}
    for file, text in texts.items():
        (place / file).parent.mkdir(exist_ok=True)
        (place / file).write_text(text, "utf-8", newline="")
    files = sorted(path for path in place.rglob("*") if path.is_file())
    digests = {str(path.relative_to(place)): _digest(path) for path in files}
    manifest = manifest_text(member, period, key=public_of(key), files=digests)
    signed = f"{manifest}\n{key.sign(manifest.encode()).hex()}\n"
    (place / "manifest.json").write_text(signed, "utf-8", newline="")
    return {**digests, "manifest.json": _digest(place / "manifest.json")}


async def _trees(
    desk: Desk, connection: Connection, member: MemberId, number: int
) -> dict[str, tuple[int, Tree]]:
    """Class → (what measures are multiplied by to be whole, the tree over them)."""
    measures: dict[str, dict[int, Fraction]] = {}
    async with connection.transaction(readonly=True):
        async for rows in year_store.all_lines(connection, number, rows_max=AT_ONCE):
            for text, _ in rows:
                line: dict[str, Any] = json.loads(text)
                for member_class, weight, *_ in line["allocations"]:
                    measures.setdefault(member_class, {})[line["member"]] = Fraction(weight)
    secret = desk.vault().lasting(TREE)
    found = {}
    for member_class, weights in sorted(measures.items()):
        scale = lcm(*(weight.denominator for weight in weights.values()))
        amounts = [(one, int(weight * scale)) for one, weight in weights.items()]
        tree = await asyncio.to_thread(
            grow, amounts, own=member, secret=secret, period=f"{number} {member_class}"
        )
        found[member_class] = (scale, tree)
    return found


def differences(place: Path) -> list[str]:
    """What the bundle's own verifier finds wrong with it, in sentences; none when all agrees."""
    quiet = _Quiet()
    wrong = verifier.look(place, quiet)
    return (quiet.differs or [UNTOLD]) if wrong else []


class _Quiet(verifier.Report):
    """Keeps what differs."""

    def __init__(self) -> None:
        super().__init__()
        self.differs: list[str] = []

    def say(self, text: str) -> None:
        if text.startswith("DIFFERS"):
            self.differs.append(text)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _totals(desk: Desk, connection: Connection, member: MemberId, closing: Closing) -> dict[str, str]:
    month = closing.inputs.month
    amounts: list[tuple[int, int]] = []
    async with connection.transaction(readonly=True):
        async for rows in charge_amounts(connection, month, rows_max=AT_ONCE):
            amounts += rows
    secret = desk.vault().lasting(TREE)
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


async def _records(
    desk: Desk,
    connection: Connection,
    place: Path,
    member: MemberId,
    closing: Closing,
    records_max: int | None,
) -> dict[str, str]:
    """Write the records; what tells of the segments they stand in, and of the engines their buckets are on."""
    journal, month = desk.meter.journal_directory, closing.inputs.month
    found = extract(
        journal,
        member,
        month,
        await watermarks(connection),
        displaced=tuple(await displaced(connection)),
        begins=await beginnings(connection, journal),
    )
    total = sum(len(segment_paths(directory)) for directory in streams(journal))
    segments, buckets = await asyncio.to_thread(
        _write_records, place / "records.jsonl", found, total, records_max=records_max
    )
    texts = {"segments.json": segments_text(segments)}
    if closing.inputs.engines:
        where = Placement(closing.inputs.engines, await placement(connection))
        engines = {bucket: name for bucket in buckets if (name := where.of(bucket)) is not None}
        texts["engines.json"] = engines_text(engines)
    return texts


def _write_records(
    path: Path, found: Iterator[tuple[Sealed, list[Extract]]], total: int, *, records_max: int | None
) -> tuple[list[Sealed], set[BucketId]]:
    segments, buckets, written = [], set[BucketId](), 0
    with path.open("w", encoding="utf-8", newline="") as file, bar("segments", total=total) as progress:
        for segment, records in found:
            segments.append(segment)
            written += len(records)
            if records_max is not None and written > records_max:
                raise too_many_records(records_max)
            file.writelines(record_line(one) for one in records)
            buckets |= {frame.unpack_record(one.record)[1].bucket for one in records}
            progress(len(segments))
    return segments, buckets


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
