"""What the doctor asks of the co-op itself: database, roles, secrets, engines, journal, backups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg

from deploy import store
from deploy.backup.last import LastUnknown, last_backup
from deploy.binaries import MAJOR
from deploy.desk import Desk
from deploy.doctor.verdict import Level, Verdict, backlog, backup, clock, gateway_versions, ok
from deploy.enrolment import LEASE_BEATS
from deploy.rooms import room_migrations
from gateway import engine_store
from gateway.engine_store import S3_KIND, EngineRow
from gateway.gateways_store import gateways
from gateway.keys import list_keys
from gateway.storage.upstream.cold import Cold
from gateway.vault import Vault
from meter import __version__, shipper
from meter.postgres import Connection, applied_migrations, check, migrations
from meter.refusal import Refusal

RIGHTS = (
    ("weir_meter", "meter.correction", "INSERT", True),
    ("weir_gateway", "gateway.access_key", "SELECT", True),
    ("weir_office", "billing.entry", "INSERT", True),
    ("weir_billing", "billing.entry", "INSERT", False),
    ("weir_gateway", "meter.reading", "INSERT", False),
    ("weir_billing", "meter.reading", "INSERT", False),
    ("weir_meter", "gateway.access_key", "SELECT", False),
)
"""(role, table, right, whether it has it): each room no more than its own."""


async def look(desk: Desk) -> AsyncIterator[Verdict]:
    """Everything. What cannot be asked becomes a verdict of its own."""
    async with desk.connected(None) as connection:
        yield await _version(connection)
        yield clock(await store.clock_us(connection) - desk.now_us)
        schema = await _schema(connection)
        yield schema
        if schema.level is not Level.OK:
            return
        async for verdict in _rights(connection):
            yield verdict
        async for verdict in _journal(desk, connection):
            yield verdict
    async with desk.connected("weir_gateway") as connection:
        for verdict in await _secrets(desk, connection):
            yield verdict
        yield await _gateways(desk, connection)
        engines = [row for row in await engine_store.engines(connection) if row.kind == S3_KIND]
    for row in engines:
        yield await asyncio.to_thread(_engine, desk, row)
    try:
        last = last_backup(desk.data)
    except LastUnknown as refusal:
        yield Verdict(
            "backup", Level.WARN, f"when the last backup was is not known: {refusal}",
            "see whose the file is; a whole backup writes it anew, and `weir backup list PLACE` names those there are",
        )  # fmt: skip
        return
    age_us = None if last is None else desk.now_us - last.taken_us
    yield backup(age_us=age_us, damaged=0 if last is None else last.damaged)


async def _version(connection: Connection) -> Verdict:
    version = await store.server_version(connection)
    if int(version.split(".")[0]) < MAJOR:
        return Verdict(
            "database", Level.FAIL, f"PostgreSQL {version} answers, and Weir needs {MAJOR}",
            f"move the database to PostgreSQL {MAJOR} (pg_dump, pg_restore)",
        )  # fmt: skip
    return ok("database", f"PostgreSQL {version} answers")


async def _schema(connection: Connection) -> Verdict:
    wanted = [one for room, directory in room_migrations() for one in migrations(room, directory)]
    applied = await applied_migrations(connection)
    try:
        check(applied, wanted)
    except Refusal as refusal:
        return Verdict("schema", Level.FAIL, str(refusal), "install the Weir that made it, or a newer one")
    missing = [one for one in wanted if (one.room, one.version) not in applied]
    if missing:
        return Verdict(
            "schema", Level.FAIL, f"{len(missing)} migrations are missing, the first is {missing[0].room}/{missing[0].name}",
            "`weir db migrate`, or `weir up`",
        )  # fmt: skip
    return ok("schema", f"all {len(wanted)} migrations are applied")


async def _gateways(desk: Desk, connection: Connection) -> Verdict:
    lease_s = LEASE_BEATS * desk.deploy.gateway_heartbeat_s
    alive = [one for one in await gateways(connection) if one.stopped_at is None and one.seen_s <= lease_s]
    return gateway_versions(__version__, [(one.name, one.version) for one in alive])


async def _rights(connection: Connection) -> AsyncIterator[Verdict]:
    wrong = []
    for role, table, right, wanted in RIGHTS:
        try:
            has = await store.has_right(connection, role=role, table=table, right=right)
        except asyncpg.UndefinedObjectError:
            wrong.append(f"the role {role} is missing")
            continue
        if has != wanted:
            wrong.append(f"{role} {'lacks' if wanted else 'has'} {right} on {table}")
    if wrong:
        yield Verdict(
            "roles", Level.FAIL, "; ".join(wrong),
            "somebody changed rights by hand: take that back; migrations say what each room may",
        )  # fmt: skip
    else:
        yield ok("roles", "each room's role may what it needs and no more")


async def _journal(desk: Desk, connection: Connection) -> AsyncIterator[Verdict]:
    settings = desk.meter.model_copy(update={"data": desk.data})
    for sentence in await shipper.alarms(connection, settings):
        yield Verdict(
            "journal", Level.FAIL, f"a stream stands still: {sentence}",
            "change nothing; see 'stream stands still' in docs/operators.md",
        )  # fmt: skip
    shipped = await shipper.places(connection, settings.journal_directory)
    found = await asyncio.to_thread(shipper.backlog, settings.journal_directory, shipped)
    waits_us = None if found.oldest_us is None else desk.now_us - found.oldest_us
    yield backlog(events=found.events, waits_us=waits_us)


async def _secrets(desk: Desk, connection: Connection) -> list[Verdict]:
    """Whether the master key opens every open key's secret."""
    try:
        vault = desk.vault()
    except Refusal as refusal:
        return [
            Verdict(
                "secrets", Level.FAIL, str(refusal), "restore secret.key from a backup: see docs/backup.md"
            )
        ]
    rows = [row for row in await list_keys(connection) if row.revoked_us is None]
    closed = [row.access_key for row in rows if not opens(vault, row.secret, row.access_key)]
    if closed:
        return [
            Verdict(
                "secrets", Level.FAIL, f"{len(closed):,} of {len(rows):,} secrets do not open, {closed[0]} for one",
                "secret.key is not the one they were sealed with: restore the right one, or make these keys anew",
            )
        ]  # fmt: skip
    return [ok("secrets", f"the master key opens the secrets of all {len(rows):,} open keys")]


def opens(vault: Vault, sealed: bytes, access_key: str) -> bool:
    """Whether a secret opens."""
    try:
        vault.reveal(sealed, access_key=access_key)
    except Refusal:
        return False
    return True


def _engine(desk: Desk, row: EngineRow) -> Verdict:
    name = f"engine {row.name}"
    try:
        cold = Cold.of(row, desk.vault())
        try:
            count = len(cold.bucket_names())
        finally:
            cold.close()
    except Refusal as refusal:
        return Verdict(
            name,
            Level.FAIL,
            str(refusal),
            "`weir engine check` says more; its buckets answer errors meanwhile",
        )
    return ok(name, f"{row.endpoint} answers, and shows {count:,} buckets")


def settings_refused(refusal: Refusal) -> Iterator[Verdict]:
    """Settings that cannot be read end the visit: nothing else would be looked at in the right place."""
    yield Verdict(
        "settings", Level.FAIL, str(refusal), "mend it where the sentence says; `weir config show` lists all"
    )
