"""This machine's gateway in the directory: entered at the start, seen every few seconds, and never twice.

Which start may go on as which gateway is decided in gateway/enrolment.py.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import asyncpg

from deploy.founding import vault_path
from deploy.rooms import connected
from gateway import gateways_store as store
from gateway.directory_store import forget_changes
from gateway.enrolment import (
    Claim,
    Identity,
    begin_start,
    decide,
    default_name,
    fresh_identity,
    host_name,
    is_name,
    place_of,
    read,
    started,
)
from gateway.key_files import read_keys
from gateway.rotation import settle_here
from gateway.secret_store import note_keys
from meter import __version__
from meter.ids import StreamId
from meter.postgres import AWAY, Connection
from meter.reader import streams
from meter.refusal import Refusal
from meter.segments import stream_of

LEASE_BEATS = 3
"""A gateway that was not seen for so many beats is taken for gone."""
CHANGES_KEPT_DAYS = 7
FORGET_EVERY_BEATS = 1000
WAIT_STEP_S = 0.5
UNANSWERED = (asyncpg.PostgresError, *AWAY)
Facts = Callable[[], tuple[int | None, int | None]]
"""The last change of the directory that all workers know, and how many records wait to be shipped."""


class NotThisGateway(Refusal):
    """Somebody else is the gateway that this data directory says it is."""


class Enrolment:
    """One start of this gateway. `tell` prints a line for the operator."""

    def __init__(
        self, dsn: str, data: Path, *, name: str, heartbeat_s: int, timeout_s: int, tell: Callable[[str], None]
    ) -> None:  # fmt: skip
        if name and not is_name(name):
            raise Refusal(
                f"setting gateway_name is {name!r}: small letters, digits and '-', which is at no end; 63 at most"
            )
        self._dsn = dsn
        self._data = data
        self._name = name
        self._heartbeat_s = heartbeat_s
        self._timeout_s = timeout_s
        self._tell = tell
        self._identity: Identity | None = None
        self._claimed: set[Path] = set()
        self._opens: list[str] = []
        self._is_away = False

    async def begin(self) -> None:
        """Enter this start. Raises NotThisGateway for a copy, Refusal for a name that is taken, DatabaseAway."""
        async with connected(self._dsn, role="weir_gateway", timeout_s=self._timeout_s) as connection:
            await self._begin(connection)

    async def _begin(self, connection: Connection) -> None:
        identity, place = read(self._data) or await self._by_streams(connection), place_of(self._data)
        row = await store.gateway_row(connection, identity.id)
        lease_s = LEASE_BEATS * self._heartbeat_s
        while (claim := decide(identity, row, place=place, lease_s=lease_s)) is Claim.WAIT:
            assert row is not None
            before_s = row.seen_s
            await asyncio.sleep(WAIT_STEP_S)
            row = await store.gateway_row(connection, identity.id)
            if row is not None and row.seen_s < before_s:
                raise NotThisGateway(self._why(row.name, "runs elsewhere just now"))
        if claim is Claim.COPY:
            assert row is not None
            raise NotThisGateway(self._why(row.name, "was started since from another copy"))
        fresh = begin_start(self._data, identity, row)
        name = self._name or default_name(host_name(), identity.id)
        if row is None:
            await store.enter_gateway(
                connection, fresh.id, name=name, start=fresh.next, place=place, version=__version__
            )
        elif not await store.begin_gateway(
            connection, fresh.id, before=row.start, name=self._name or row.name, start=fresh.next,
            place=place, version=__version__,
        ):  # fmt: skip
            raise NotThisGateway(self._why(row.name, "was started at the same time from another copy"))
        self._identity = started(self._data, fresh)
        await self._note_keys(connection)
        await self._claim_streams(connection)

    async def _by_streams(self, connection: Connection) -> Identity:
        """Of a directory that does not say who it is: the gateway its journal belongs to, else a new one."""
        ids = [stream_of(directory) for directory in streams(self._data / "journal")]
        owners = await store.owners_of(connection, ids)
        row = await store.gateway_row(connection, owners[0]) if len(owners) == 1 else None
        return fresh_identity() if row is None else Identity(owners[0], row.start, row.start)

    def _why(self, name: str, what: str) -> str:
        return (
            f"the gateway '{name}' that {self._data} holds {what}. One journal has one writer: use the directory "
            "that ran last, or begin here with an empty data directory and the same secret.key"
        )

    async def keep_seen(self, facts: Facts) -> None:
        """Say every few seconds that we are there. Raises NotThisGateway once somebody else is this gateway."""
        while True:
            await asyncio.sleep(self._heartbeat_s)
            try:
                async with connected(self._dsn, role="weir_gateway", timeout_s=self._timeout_s) as connection:
                    await self._beat(connection, facts)
                    if not random.randrange(FORGET_EVERY_BEATS):  # noqa: S311 - gateways take turns, more or less
                        await forget_changes(connection, days=CHANGES_KEPT_DAYS)
            except UNANSWERED as error:
                if not self._is_away:
                    self._tell(f"PostgreSQL is away, the gateway goes on with what it knows: {error}")
                self._is_away = True
            else:
                self._is_away = False

    async def _beat(self, connection: Connection, facts: Facts) -> None:
        if self._identity is None:
            await self._begin(connection)
        identity = self._identity
        assert identity is not None
        change, backlog = facts()
        if not await store.see_gateway(
            connection, identity.id, start=identity.start, change=change, backlog=backlog
        ):
            row = await store.gateway_row(connection, identity.id)
            name = row.name if row is not None else str(identity.id)
            raise NotThisGateway(self._why(name, "was started since from another copy"))
        await self._note_keys(connection)
        await self._claim_streams(connection)

    async def _note_keys(self, connection: Connection) -> None:
        """Say which master keys are here whenever that changed: a new one waits until every gateway has it.

        And put a new one in force here once it is for all.
        """
        assert self._identity is not None
        try:
            await settle_here(connection, vault_path(self._data))
            opens = read_keys(vault_path(self._data)).fingerprints
        except Refusal:
            return  # the workers say so, and do not start
        if opens != self._opens:
            await note_keys(connection, self._identity.id, opens)
            self._opens = opens

    async def _claim_streams(self, connection: Connection) -> None:
        """Enter the streams of this machine's journal that are not entered yet. Raises NotThisGateway."""
        assert self._identity is not None
        for directory in streams(self._data / "journal"):
            if directory in self._claimed:
                continue
            stream: StreamId = stream_of(directory)
            owner = await store.claim_stream(connection, stream, self._identity.id, label=directory.name)
            if owner != self._identity.id:
                raise NotThisGateway(
                    f"{directory} is a copy: its stream {stream} belongs to the gateway {owner}. Begin here with an "
                    "empty data directory and the same secret.key"
                )
            self._claimed.add(directory)

    async def end(self) -> None:
        """Everything was shipped and has stopped. With Postgres away it is seen as silent instead."""
        if self._identity is None:
            return
        try:
            async with connected(self._dsn, role="weir_gateway", timeout_s=self._timeout_s) as connection:
                await store.stop_gateway(connection, self._identity.id, start=self._identity.start)
        except UNANSWERED as error:
            self._tell(f"PostgreSQL is away and was not told of the stop: {error}")
