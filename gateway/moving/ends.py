"""The engines a command works with, outside of any gateway: for moves and inventories.

What it changes on an upstream, and what it asks of it, goes into a journal stream of its own, as a worker's does.
"""

from __future__ import annotations

from gateway.engine_store import DISK_KIND, EngineRow
from gateway.feed import storage_event
from gateway.settings import GatewaySettings
from gateway.storage.base import Engine
from gateway.storage.disk.engine import open_engine
from gateway.storage.model import StorageChange
from gateway.storage.upstream.engine_base import Place
from gateway.storage.upstream.stored import StoredSums
from gateway.upstreams import open_upstream
from gateway.vault import Vault
from meter.ids import BucketId
from meter.journal import JournalLocked
from meter.metrics import Registry
from meter.recorder import Recorder
from meter.refusal import Refusal
from meter.settings import MeterSettings

COMMANDS_MAX = 16
"""Commands that may work with engines at once; each writes a stream of its own."""


class Ends:
    """Opens each engine once. close() lets go of all."""

    def __init__(self, settings: GatewaySettings, meter: MeterSettings, vault: Vault) -> None:
        self._settings = settings
        self._meter = meter
        self._vault = vault
        self._open: dict[str, Engine] = {}
        self._places: dict[BucketId, Place] = {}
        self._recorder: Recorder | None = None

    async def engine(self, row: EngineRow, place: Place | None = None) -> Engine:
        """The engine, which finds the bucket of that place. Raises Refusal."""
        if place is not None:
            self._places[place.bucket] = place
        if row.name not in self._open:
            if row.kind == DISK_KIND:
                self._open[row.name] = await open_engine(self._settings.engine_directory, self._settings)
            else:
                self._open[row.name] = self._upstream(row)
        return self._open[row.name]

    async def close(self) -> None:
        """Finish what was begun; what was recorded is on the disk then."""
        for engine in self._open.values():
            await engine.close()
        if self._recorder is not None:
            self._recorder.close()

    def _upstream(self, row: EngineRow) -> Engine:
        recorder = self._recorder = self._recorder or self._own_stream()
        return open_upstream(
            row, self._vault, self._settings, Registry(), record=recorder.record, find=self._places.get,
            tell=self._tell, sums=StoredSums(),
        )  # fmt: skip

    def _tell(self, change: StorageChange) -> None:
        assert self._recorder is not None, "an upstream is open"
        self._recorder.record(storage_event(change))

    def _own_stream(self) -> Recorder:
        for number in range(COMMANDS_MAX):
            directory = self._meter.journal_directory / f"command-{number}"
            try:
                return Recorder(directory, self._meter, slots_max=1)
            except JournalLocked:
                continue  # another command writes it
        raise Refusal(f"{COMMANDS_MAX} commands work with engines already; wait for one of them")
