"""weir engine inventory, usage and reconcile-with: what lies on an engine, and what it says it was asked for."""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import click

from deploy.commands.options import data_option, json_option
from deploy.commands.usage import LINES
from deploy.desk import Desk, as_operator, at_desk, gateway_settings, ship_up_to_now
from deploy.output import counted as counting
from deploy.output import number_of, print_json, print_table, say
from gateway import engine_store, inventory_store
from gateway.engine_store import S3_KIND, EngineRow, find
from gateway.inventory import Looked, look
from gateway.inventory_store import Counted
from gateway.moving.ends import Ends
from gateway.reconcile import Disagreement, disagreements
from gateway.storage.errors import StorageError
from gateway.storage.upstream.cold import Cold
from gateway.storage.upstream.engine_base import Place
from meter.correcting import enter
from meter.correction import Correction, CorrectionKind
from meter.event import StorageLine
from meter.ids import BucketId
from meter.refusal import Refusal

DIFFERS = 1
SETTLE_S = 1.0
"""Between two looks: whatever this machine wrote is shipped at each."""


@dataclass(slots=True)
class Found:
    """An inventory of one engine."""

    looked: list[Looked] = field(default_factory=list)
    corrected: list[Correction] = field(default_factory=list)

    @property
    def drift_bytes(self) -> int:
        """What still differs."""
        return 0 if self.corrected else sum(one.drift_bytes for one in self.looked)


@click.command("inventory")
@click.argument("name")
@click.option(
    "--correct", "corrects", is_flag=True, help="Enter what differs as corrections of their own kind."
)
@click.option("--who", metavar="NAME", help="Who enters them; the name you are logged in with.")
@json_option
@data_option
def inventory(name: str, corrects: bool, who: str | None, as_json: bool) -> None:
    """List everything on engine NAME, and hold it against what was counted; it changes nothing unless asked to."""

    async def work(desk: Desk) -> Found:
        async with desk.connected("weir_gateway") as connection:
            row = find(await engine_store.engines(connection), name)
        if row.kind != S3_KIND:
            raise Refusal(
                "the disk's bytes are counted in the commit that writes them; `weir audit` compares them"
            )
        found = Found(await _look(desk, row))
        if corrects:
            found.corrected = await _correct(desk, found.looked, who or getpass.getuser())
            await desk.note(
                "weir_gateway",
                as_operator(f"correct counts by an inventory of {name}: {len(found.corrected)} lines"),
            )
        return found

    found = at_desk(work)
    _print(name, found, as_json=as_json)
    if found.drift_bytes or any(not one.is_settled for one in found.looked):
        raise SystemExit(DIFFERS)


async def _look(desk: Desk, row: EngineRow) -> list[Looked]:
    async with desk.connected("weir_gateway") as connection:
        there = [one for one in await inventory_store.placed(connection, row.name) if one.is_there]
        names = await inventory_store.upstream_names(connection, row.name)
    ends = Ends(gateway_settings(desk), desk.meter.model_copy(update={"data": desk.data}), desk.vault())

    async def counted(bucket: BucketId) -> Counted:
        await ship_up_to_now(desk)
        async with desk.connected("weir_gateway") as connection:
            return await inventory_store.counted(connection, bucket)

    looked: list[Looked] = []
    try:
        with counting(f"listing {row.name}") as tell:
            seen = 0

            def step(more: int) -> None:
                nonlocal seen
                seen += more
                tell(seen, seen)

            for one in there:
                engine = await ends.engine(row, Place(one.bucket, names[one.bucket], one.owner))
                looked.append(await look(engine, one, counted, settle_s=SETTLE_S, step=step))
    except StorageError as error:
        raise Refusal(f"{row.name}: {type(error).__name__}: {error}") from error
    finally:
        await ends.close()
    async with desk.connected("weir_gateway") as connection:
        for done in looked:
            if done.is_settled:
                await inventory_store.keep(connection, done.placed.bucket, done.lines, now_us=desk.now_us)
    return looked


async def _correct(desk: Desk, looked: list[Looked], who: str) -> list[Correction]:
    """One correction a line that differs, of the kind that says an inventory found it."""
    settings = desk.meter.model_copy(update={"data": desk.data})
    entered = []
    for one in looked:
        for line, (ours, theirs) in one.lines.items():
            if ours == theirs:
                continue
            asked = Correction(
                member=one.placed.owner, bucket=one.placed.bucket, at_us=time.time_ns() // 1000, who=who,
                why=f"inventory of {one.placed.engine}: {theirs} bytes lie there, {ours} were counted",
                line=line, stored_bytes=theirs - ours, kind=CorrectionKind.INVENTORY,
            )  # fmt: skip
            async with desk.connected("weir_meter") as connection:
                await enter(connection, settings, asked, now_us=desk.now_us)
            entered.append(asked)
    await ship_up_to_now(desk)
    async with desk.connected("weir_gateway") as connection:
        for one in looked:
            same = {line: (theirs, theirs) for line, (_, theirs) in one.lines.items()}
            await inventory_store.keep(connection, one.placed.bucket, same, now_us=desk.now_us)
    return entered


def line_word(line: StorageLine) -> str:
    """A line's name as commands print it."""
    return next(name for name, one in LINES.items() if one is line)


def _print(name: str, found: Found, *, as_json: bool) -> None:
    rows = [
        {
            "bucket": one.placed.name, "number": one.placed.bucket, "line": line_word(line), "counted_bytes": ours,
            "listed_bytes": theirs, "drift_bytes": theirs - ours,
        }
        for one in found.looked
        for line, (ours, theirs) in one.lines.items()
    ]  # fmt: skip
    unsettled = [one.placed.name for one in found.looked if not one.is_settled]
    if as_json:
        print_json({
            "engine": name, "agrees": not found.drift_bytes and not unsettled, "lines": rows,
            "unsettled": unsettled, "corrected": len(found.corrected),
        })  # fmt: skip
        return
    columns = ("bucket", "line", "counted_bytes", "listed_bytes", "drift_bytes")
    shown = [[row[key] for key in columns] for row in rows if row["counted_bytes"] or row["listed_bytes"]]
    print_table(columns, shown, numbers=columns[2:])
    for one in unsettled:
        say(f"{one}: written to during every look; nobody knows")
    if found.corrected:
        say(f"{len(found.corrected)} corrections entered; `weir correct list` shows them")
    elif found.drift_bytes:
        say(f"{found.drift_bytes:,} bytes differ; --correct enters them")


async def reconciled(desk: Desk, row: EngineRow, uid: str) -> tuple[list[Disagreement], int]:
    """Our requests and bytes of the upstream's side, as shipped, against its own log; and how many buckets."""
    async with desk.connected("weir_meter") as connection:
        ours = await inventory_store.asked_of(connection, row.name)
    cold = Cold.of(row, desk.vault())
    try:
        theirs = await asyncio.to_thread(cold.usage_log, uid=uid)
    finally:
        cold.close()
    return disagreements(ours, theirs), len(ours)


@click.command("usage")
@click.argument("name")
@click.option(
    "--uid", help="The account's name in Ceph; kept, and `weir audit` reconciles with it from then on."
)
@click.option("--forget", is_flag=True, help="`weir audit` does not ask for the log any more.")
@json_option
@data_option
def usage(name: str, uid: str | None, forget: bool, as_json: bool) -> None:
    """Hold what we asked of engine NAME against Ceph's own usage log, bucket by bucket, to the byte."""

    async def work(desk: Desk) -> tuple[list[Disagreement], int] | None:
        async with desk.connected("weir_gateway") as connection:
            row = find(await engine_store.engines(connection), name)
            if forget:
                await engine_store.set_usage_uid(connection, name, "")
                return None
        asked = uid or row.usage_uid
        if row.kind != S3_KIND or not asked:
            raise Refusal(f"{name} has no usage log that we know of; name our account there with --uid")
        await ship_up_to_now(desk)
        found = await reconciled(desk, row, asked)
        async with desk.connected("weir_gateway") as connection:
            await engine_store.set_usage_uid(connection, name, asked)
        await desk.note(
            "weir_gateway", as_operator(f"compare with the usage log of {name}: {len(found)} differences")
        )
        return found

    told = at_desk(work)
    if told is None:
        say(f"the usage log of {name} is left alone")
        return
    found, compared = told
    rows: list[Mapping[str, object]] = [
        {"bucket": one.bucket, "what": one.what, "ours": one.ours, "theirs": one.theirs} for one in found
    ]
    if as_json:
        print_json({"engine": name, "agrees": not found, "buckets": compared, "differences": rows})
    else:
        print_table(("bucket", "what", "ours", "theirs"), [list(one.values()) for one in rows])
        say(
            f"{number_of(compared, 'bucket', 'buckets')} compared: {number_of(len(found), 'difference', 'differences') if found else 'all agree'}"
        )
    if found:
        raise SystemExit(DIFFERS)
