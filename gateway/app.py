"""One gateway worker: engine, directory, recorder and feed put together round aiohttp's low-level server."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from uuid import uuid4

import aiohttp.http_parser

from gateway.auth import Authenticator
from gateway.call import Services
from gateway.cap_watch import CapWatch
from gateway.collecting import keep_collecting
from gateway.connection import ConnectionServer
from gateway.crowd import Crowd, connections_within
from gateway.directory import PostgresDirectory
from gateway.exchange import Exchanges
from gateway.feed import keep_feeding
from gateway.inventory import keep_inventories
from gateway.lifecycle_run import keep_looking
from gateway.limits import Limits
from gateway.memory import OwnMemory, give_back, group_bytes, machine_bytes, worker_bytes_max
from gateway.move_store import WorkerRow
from gateway.moving.holds import Holds
from gateway.moving.noting import in_background, noting
from gateway.scrubbing import keep_scrubbing
from gateway.settings import Durability, GatewaySettings
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.placed import PlacedEngines
from gateway.tracing import ways
from gateway.upstreams import Upstreams
from gateway.vault import Vault
from gateway.wire import expect_answers
from meter.live import open_in
from meter.recorder import RECORDS_TO_END, Recorder, now_us
from meter.refusal import Refusal
from meter.settings import MeterSettings

log = logging.getLogger(__name__)
HEADER_BYTES_MAX = 16 * 1024
HEADERS_MAX = 100
LINGERING_S = 2.0
CUT_WITHIN_S = 0.1
"""What is still open when the drain's time is over ends this fast."""
BACKLOG = 1024
READ_BUFFERS = 2
"""The library stops reading at twice its buffer, so a connection holds one block more than we have taken."""
METRICS_EVERY_S = 1.0
LOOK_AGAIN_S = 60.0
LOCK_PATIENCE_S = 10.0
"""Of a killed worker's stream: whoever closes what the dead one left open keeps its lock for a moment."""
GC_THRESHOLD = 50_000


class Worker:
    """A running worker."""

    def __init__(
        self, settings: GatewaySettings, meter_settings: MeterSettings, *, index: int, workers: int = 1
    ) -> None:
        """index tells its stream; workers is how many share a machine's limits."""
        self._settings = settings
        self._meter_settings = meter_settings
        self._index = index
        self._workers = workers
        self._ways = ways(settings, worker=f"{socket.gethostname()}/worker-{index}")
        self.metrics = self._ways.metrics
        self._memory = OwnMemory()
        self._memory_bytes_max = settings.memory_bytes_max or worker_bytes_max(
            workers=workers, machine_bytes=machine_bytes(), group_bytes=group_bytes()
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, listener: socket.socket) -> None:
        """Open everything and begin to serve. Raises Refusal, JournalLocked."""
        # The pure-Python parser was the home of most request-smuggling faults.
        assert aiohttp.http_parser.HttpRequestParser is aiohttp.http_parser.HttpRequestParserC
        settings, journal = self._settings, self._meter_settings.journal_directory
        self._recorder = self._opened_recorder()
        vault = Vault.open(settings.data / "secret.key")
        self._directory = PostgresDirectory(
            self._meter_settings.database_url,
            snapshot=settings.data / "directory.db",
            vault=vault,
            poll_s=settings.directory_poll_s,
            timeout_s=self._meter_settings.database_timeout_s,
            stale_max_s=settings.directory_stale_max_s,
        )
        self._holds = self._made_holds()
        await self._directory.start()
        # Before the first request: from here on no bucket leaves its engine without this worker's word.
        await self._holds.start()
        self._engine: DiskEngine = await open_engine(settings.engine_directory, settings)
        self._upstreams = Upstreams(
            self._directory, vault, settings, self.metrics.registry, self._recorder, metrics_of=self._ways.upstream
        )  # fmt: skip
        self._placed = PlacedEngines(
            self._engine,
            self._upstreams.of,
            owner_of=self._upstreams.owner_of,
            stored_elsewhere=self._upstreams.stored_bytes_of,
            has_disk=settings.has_disk,
        )
        self._caps = CapWatch(
            self._directory, journal, settings.data / "caps.json", poll_s=settings.cap_poll_s, clock=now_us
        )
        await self._caps.start()
        self._limits = Limits(settings, self._directory, self.metrics.registry, workers=self._workers)
        self._crowd = self._made_crowd()
        exchanges = self._ways.exchanges(
            Services(noting(self._placed, self._holds.note), self._directory, settings),
            Authenticator(self._directory, settings),
            self._recorder,
            self.metrics,
            self._caps,
            self._holds,
            self._limits,
        )
        self._server = self._made_server(exchanges)
        bound_buffers(listener, settings)
        if settings.peer_silence_timeout_s:
            expect_answers(listener, silence_s=settings.peer_silence_timeout_s)
        self._listening = await asyncio.get_running_loop().create_server(
            self._server, sock=listener, backlog=BACKLOG
        )
        self._tasks = [asyncio.create_task(one) for one in self._upkeep()]
        if settings.durability is Durability.RELAXED:
            log.warning("durability is relaxed: a power cut may take writes that were answered")
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)

    def give_notice(self) -> None:
        """A stop is near: say so to whoever asks, and end each connection with its next answer."""
        self._server.is_leaving = True

    def _upkeep(self) -> list[Coroutine[None, None, None]]:
        """What goes on beside the requests."""
        settings = self._settings
        return [
            keep_feeding(self._engine, settings.engine_journal_directory, self._meter_settings),
            self._every(METRICS_EVERY_S, self._publish),
            keep_collecting(self._engine, files_max=settings.collect_files_max),
            self._keep("counting for caps", self._caps.keep_counting),
            self._upstreams.keep_sums(),
            self._keep("lifecycle", self._look_at_rules),
            self._keep("inventory", self._look_at_engines),
            keep_scrubbing(self._engine.scrub, self.metrics, settings.scrub_bytes_per_s),
        ]

    def _made_server(self, exchanges: Exchanges) -> ConnectionServer:
        settings = self._settings
        return ConnectionServer(
            exchanges.handle, crowd=self._crowd, evicted=self.metrics.evicted, access_log=None, auto_decompress=False,
            max_line_size=HEADER_BYTES_MAX, max_field_size=HEADER_BYTES_MAX, max_headers=HEADERS_MAX,
            lingering_time=LINGERING_S, keepalive_timeout=settings.header_timeout_s,
            read_bufsize=settings.receive_block_bytes // READ_BUFFERS,
        )  # fmt: skip

    def _made_crowd(self) -> Crowd:
        settings, descriptors = self._settings, allow_descriptors()
        within = connections_within(settings.connections_max, descriptors_max=descriptors)
        if within < settings.connections_max:
            log.warning(
                "keeping %d connections, not connections_max=%d: this process may open %d files only", within,
                settings.connections_max, descriptors,
            )  # fmt: skip
        return Crowd(
            connections_max=within, address_connections_max=settings.address_connections_max,
            trusted_proxies=settings.trusted_proxies, turned_away=self._limits.turned_away,
        )  # fmt: skip

    def _made_holds(self) -> Holds:
        journal, settings = self._recorder.journal, self._settings
        worker = WorkerRow(journal.stream, uuid4(), journal.directory.name, socket.gethostname())
        return Holds(
            self._directory, worker, keys_max=settings.move_keys_max, hold_max_s=settings.move_hold_max_s,
            poll_s=settings.directory_poll_s,
        )  # fmt: skip

    def _opened_recorder(self) -> Recorder:
        """The worker's stream. Raises Refusal, JournalLocked."""
        settings, journal = self._settings, self._meter_settings.journal_directory
        recorder = Recorder(
            journal / f"worker-{self._index}", self._meter_settings, slots_max=settings.connections_max,
            lock_patience_s=LOCK_PATIENCE_S,
        )  # fmt: skip
        if recorder.journal.capacity <= RECORDS_TO_END * settings.connections_max:
            raise Refusal(
                f"a journal segment of journal_segment_bytes_max={self._meter_settings.journal_segment_bytes_max} "
                f"does not hold the ends of connections_max={settings.connections_max} exchanges"
            )
        return recorder

    async def stop(self) -> None:
        """Take no more connections, let open exchanges finish, and make everything durable."""
        self._listening.close()
        settings = self._settings
        await self._server.leave(goodbye_s=settings.goodbye_ms / 1000, drain_s=settings.drain_timeout_s)
        await self._server.shutdown(CUT_WITHIN_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._caps.close()
        await self._holds.close()
        await self._upstreams.close()
        await self._directory.close()
        await self._engine.close()
        self._recorder.close()
        self._ways.close()
        self._publish()

    async def _every(self, seconds: float, act: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + seconds
            await asyncio.sleep(seconds)
            self.metrics.registry.gauges["weir_gateway_event_loop_lag_seconds"] = max(0.0, loop.time() - due)
            act()

    def _publish(self) -> None:
        registry = self.metrics.registry
        registry.gauges["weir_gateway_connections"] = self._crowd.count
        registry.gauges["weir_gateway_connections_max"] = self._crowd.connections_max
        registry.gauges["weir_gateway_inflight_requests"] = self._server.running
        registry.gauges["weir_gateway_inflight_requests_max"] = self._settings.exchanges_max
        self._look_at_memory()
        registry.gauges["weir_gateway_directory_change_least"] = self._directory.last_change
        registry.gauges["weir_gateway_directory_age_seconds"] = self._directory.age_s
        self.metrics.still_open(open_in(self._recorder.journal.directory))
        self._recorder.journal.roll_if_aged(now_us())
        registry.publish()

    def _look_at_memory(self) -> None:
        own, most = self._memory.bytes(), self._memory_bytes_max
        self.metrics.registry.gauges["weir_gateway_memory_bytes"] = own
        self.metrics.registry.gauges["weir_gateway_memory_bytes_max"] = most
        was_short, self._limits.is_short_of_memory = self._limits.is_short_of_memory, own > most
        if own > most:
            give_back()
        if own > most and not was_short:
            log.warning("no new bodies: this worker has %d bytes of memory, and may have %d", own, most)

    async def _keep(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Work that has no end; a bug in it is logged, and it begins again."""
        while True:
            try:
                await work()
            except Exception:  # a bug there must not end the work for good, nor the worker
                log.exception("%s failed, again in %d s", what, LOOK_AGAIN_S)
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _look_at_rules(self) -> None:
        await keep_looking(
            in_background(self._placed, self._holds), self._directory, self._settings, self.metrics.registry,
            self._settings.data / "lifecycle.lock",
        )  # fmt: skip

    async def _look_at_engines(self) -> None:
        await keep_inventories(
            self._placed, self._directory, self._settings, self.metrics.registry,
            self._settings.data / "inventory.lock",
        )  # fmt: skip


def bound_buffers(listener: socket.socket, settings: GatewaySettings) -> None:
    """What the kernel holds of one connection, which is what a kill -9 can leave unbilled; accepted ones inherit it.

    A dead process's kernel still delivers what it took to send, and has acknowledged what nobody has read. Left
    to itself it holds several MiB. It doubles what it is told, for its own overhead.
    """
    for option, size in (
        (socket.SO_SNDBUF, settings.send_buffer_bytes),
        (socket.SO_RCVBUF, settings.receive_buffer_bytes),
    ):
        if size:
            listener.setsockopt(socket.SOL_SOCKET, option, size)


def allow_descriptors() -> int:
    """As many open files as the machine allows, and how many these are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard
