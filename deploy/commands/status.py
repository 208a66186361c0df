"""weir status: whether Weir runs, and how far the counting is."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import asyncpg
import click

from billing.capital import store as capital_store
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk, gateway_settings
from deploy.instants import instant_text, window
from deploy.output import bytes_text, print_json, print_table, say
from deploy.store import server_version
from gateway import inventory_store
from gateway.move_store import open_moves
from gateway.storage.disk.scrub import progress_of
from meter import __version__
from meter.frame import DamagedSegment
from meter.heads_store import last_head
from meter.live import open_by_payer, open_exchanges
from meter.postgres import DatabaseAway
from meter.reader import published_sequence, streams
from meter.shipper import alarms, torn_bytes, unshipped
from meter.signing import known_public
from meter.store import exchanges_cut, members
from meter.usage import Member, MemberStatus
from meter.usage_store import usage_between
from meter.window import MICROSECONDS, Month

TOTALS = ("bytes_in", "bytes_out", "requests_a", "requests_b")
FROM_DATABASE = (
    "postgres_version", "unshipped_events", "stream_alarms", "exchanges_cut", "last_head", "last_head_day", "moves",
    "engine_drift_bytes", "members", "members_active", "members_asked_to_leave", *TOTALS,
)  # fmt: skip
"""What is None while PostgreSQL is away."""
LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    TimeoutError,
)
"""How a connection ends under a question."""


@click.command()
@json_option
@data_option
def status(as_json: bool) -> None:
    """Whether Weir runs here, and this month so far."""
    told = at_desk(_document)
    if as_json:
        print_json(told)
    else:
        _print(told)
    if told["database_problem"]:
        raise DatabaseAway(str(told["database_problem"]))


async def _document(desk: Desk) -> dict[str, object]:
    """Everything; what only PostgreSQL knows is None while it is away, and database_problem says so."""
    here = _here(desk)
    try:
        return here | await _from_database(desk)
    except (DatabaseAway, *LOST) as away:
        sentence = str(away) if isinstance(away, DatabaseAway) else f"the database does not answer: {away}"
        return here | dict.fromkeys(FROM_DATABASE) | _open(desk, []) | {"database_problem": sentence}


def _here(desk: Desk) -> dict[str, object]:
    """What the lock, the journal and the settings say."""
    return {
        **_running(desk),
        "version": __version__,
        "data": str(desk.data),
        "database_problem": None,
        "journal_records": _journal_records(desk.data / "journal"),
        "torn_bytes": torn_bytes(desk.data / "journal"),
        "signing_key": known_public(desk.data),
        "durability": gateway_settings(desk).durability.value,
        **_checked(desk),
        "month": str(Month.of(desk.now_us)),
    }


def _journal_records(journal: Path) -> int:
    """Records in all streams; of a damaged stream none, for the doctor and the alarms name it."""
    found = 0
    for directory in streams(journal):
        with suppress(DamagedSegment):
            found += published_sequence(directory)
    return found


async def _from_database(desk: Desk) -> dict[str, object]:
    async with desk.connected("weir_meter") as connection:
        meter = desk.meter.model_copy(update={"data": desk.data})
        waiting = await unshipped(connection, meter.journal_directory)
        damaged = await alarms(connection, meter)
        register = await members(connection)
        asked = window(None, None, now_us=desk.now_us)
        totals = dict.fromkeys(TOTALS, 0)
        for member in register:
            used = await usage_between(connection, member.id, start_us=asked.start_us, end_us=asked.end_us)
            for name in TOTALS:
                totals[name] += getattr(used, name)
        cut = await exchanges_cut(connection)
        version = await server_version(connection)
        head = await last_head(connection)
    async with desk.connected("weir_gateway") as connection:
        moving = await open_moves(connection)
        drifted = await inventory_store.drifted(connection)
    async with desk.connected("weir_billing") as connection:
        leaving = await capital_store.asked_to_leave(connection)
    return {
        "postgres_version": version,
        "unshipped_events": waiting,
        "stream_alarms": damaged,
        "exchanges_cut": cut,
        "last_head": None if head is None else head.number,
        "last_head_day": None if head is None else str(head.day),
        **_open(desk, register),
        "moves": [
            {
                "bucket": one.name,
                "from": one.source_engine,
                "to": one.target_engine,
                "switched": one.switched_us is not None,
            }
            for one in moving
        ],
        "engine_drift_bytes": sum(abs(one.drift_bytes) for one in drifted),
        "members": len(register),
        "members_active": sum(member.status is MemberStatus.ACTIVE for member in register),
        "members_asked_to_leave": [{"member": one.name, "on": str(one.wanted_on)} for one in leaving],
        **totals,
    }


def _open(desk: Desk, register: list[Member]) -> dict[str, object]:
    """Transfers that are still open, as their workers' files say at this moment."""
    names = {member.id: member.name for member in register}
    by_payer = open_by_payer(open_exchanges(desk.meter.journal_directory))
    return {
        "open_exchanges": sum(one.exchanges for one in by_payer.values()),
        "open_bytes_in": sum(one.bytes_in for one in by_payer.values()),
        "open_bytes_out": sum(one.bytes_out for one in by_payer.values()),
        "open_by_member": [
            {
                "member": names.get(payer),
                "exchanges": one.exchanges,
                "bytes_in": one.bytes_in,
                "bytes_out": one.bytes_out,
            }
            for payer, one in by_payer.items()
        ],
    }


def _running(desk: Desk) -> dict[str, object]:
    if desk.running is None:
        nothing = dict.fromkeys(("pid", "started", "uptime_s", "gateway_url", "portal_url", "admin_url"))
        return {"running": False, **nothing}
    facts = desk.running.facts
    started_us = int(str(facts["started_us"]))
    return {
        "running": True,
        "pid": desk.running.pid,
        "started": instant_text(started_us - started_us % MICROSECONDS),
        "uptime_s": (desk.now_us - started_us) // MICROSECONDS,
        "gateway_url": facts["gateway_url"],
        "portal_url": facts["portal_url"],
        "admin_url": facts["admin_url"],
    }


def _checked(desk: Desk) -> dict[str, object]:
    """The slow check of stored bytes: this round so far, and what is damaged."""
    settings = gateway_settings(desk)
    progress = progress_of(
        settings.engine_directory / "index.sqlite", busy_timeout_s=settings.index_busy_timeout_s
    )
    if progress is None:
        return {"checked_bytes": 0, "checked_whole": None, "unchecked_pieces": 0, "damaged_pieces": 0}
    return {
        "checked_bytes": progress.checked_bytes,
        "checked_whole": instant_text(progress.ended_us) if progress.ended_us else None,
        "unchecked_pieces": progress.filled,
        "damaged_pieces": progress.damaged,
    }


def _check_text(told: dict[str, object]) -> str:
    whole = f"whole on {told['checked_whole']}" if told["checked_whole"] else "never whole yet"
    damaged = f"{told['damaged_pieces']} DAMAGED, see log/" if told["damaged_pieces"] else "none damaged"
    return f"{bytes_text(int(str(told['checked_bytes'])))} in this round, {whole}, {damaged}"


def _sentences(told: object) -> list[str]:
    assert isinstance(told, list)
    return told


def _head_text(told: dict[str, object]) -> str:
    return f"{told['last_head']} of {told['last_head_day']}" if told["last_head"] else "none yet"


def _cut_text(count: int) -> str:
    """What a crash cost members nothing and the co-op little."""
    return f"{count}, billed up to what could be shown" if count else "none"


def _open_text(told: dict[str, object]) -> str:
    if not told["open_exchanges"]:
        return "none"
    moved = f"{bytes_text(int(str(told['open_bytes_in'])))} in, {bytes_text(int(str(told['open_bytes_out'])))} out"
    # Without a worker they move no more; the next start records what they had moved.
    rest = "" if told["running"] else ", left by a crash, recorded at the next start"
    return f"{told['open_exchanges']} ({moved} so far{rest})"


def _open_rows(members: object) -> list[tuple[str, str]]:
    assert isinstance(members, list)
    return [
        (
            f"  of {one['member'] or 'nobody yet'}",
            f"{one['exchanges']} ({bytes_text(one['bytes_in'])} in, {bytes_text(one['bytes_out'])} out)",
        )
        for one in members
    ]


def _move_rows(moves: object) -> list[tuple[str, str]]:
    assert isinstance(moves, list)
    return [
        (
            f"bucket {one['bucket']} on its way",
            f"from {one['from']} to {one['to']}{', its old place not cleared yet' if one['switched'] else ''}",
        )
        for one in moves
    ]


def _leaving_rows(members: object) -> list[tuple[str, str]]:
    assert isinstance(members, list)
    return [(f"member {one['member']} asked to leave", f"on {one['on']}") for one in members]


def _print(told: dict[str, object]) -> None:
    if told["running"]:
        say(f"Weir {told['version']} runs as process {told['pid']} since {told['started']}")
    else:
        say(f"Weir {told['version']} does not run on {told['data']}")
    rows = [
        ("gateway", told["gateway_url"]),
        ("portal", told["portal_url"]),
        ("admin", told["admin_url"]),
        ("data", told["data"]),
        ("PostgreSQL", told["postgres_version"] or "DOES NOT ANSWER"),
        ("durability", told["durability"]),
        ("stored bytes read again", _check_text(told)),
        ("records in the journal", told["journal_records"]),
        ("bytes of torn records, kept aside", told["torn_bytes"] or None),
        ("signed with public key", told["signing_key"]),
        ("transfers still open", _open_text(told)),
        *([] if told["database_problem"] else _database_rows(told)),
    ]
    print_table(("", ""), [row for row in rows if row[1] is not None])


def _database_rows(told: dict[str, object]) -> list[tuple[str, object]]:
    return [
        *_open_rows(told["open_by_member"]),
        ("events not yet in the sums", told["unshipped_events"]),
        *[("a stream that STANDS STILL", alarm) for alarm in _sentences(told["stream_alarms"])],
        ("last signed head", _head_text(told)),
        ("exchanges cut by a crash", _cut_text(int(str(told["exchanges_cut"])))),
        *_move_rows(told["moves"]),
        ("bytes that engines hold otherwise than counted", told["engine_drift_bytes"] or None),
        ("members, active", f"{told['members']}, {told['members_active']}"),
        *_leaving_rows(told["members_asked_to_leave"]),
        (f"received in {told['month']}", bytes_text(int(str(told["bytes_in"])))),
        (f"sent in {told['month']}", bytes_text(int(str(told["bytes_out"])))),
    ]
