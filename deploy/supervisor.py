"""`weir up`: everything on one machine, in order, and down again in order; `weir gateway run`: the same without books.

The order is written here once: lock, format, sockets, children (they load and wait), database,
migrations, founding, enrolment, gates open, ready; and back: not ready, workers drain, the shipper ships what is left,
portal, database.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from deploy.admin import Admin
from deploy.bundler import Bundler
from deploy.children import Child, ChildSpec, all_at_once, python_module
from deploy.embedded import EmbeddedServer
from deploy.enrolment import Enrolment
from deploy.founding import Founding, ensure_signing_key, found, login_link
from deploy.keeper import Counted, Either, keep
from deploy.observe.ledger import LedgerExporter, ended
from deploy.observe.scrape import Scrape
from deploy.place import Hold, check_format, held, prepare
from deploy.rooms import bring_up_to_date, check_schema, connected
from deploy.running import RoomsSettings, Running, has_terminal
from deploy.service_manager import ServiceManager
from deploy.sockets import listen, url_of
from deploy.workers import Workers
from meter import __version__
from meter.postgres import DatabaseAway
from meter.refusal import Refusal

Tell = Callable[[str], None]
Result = TypeVar("Result")
FACTS = ("gateway_directory_change_least", "meter_unshipped_events")
HURRY_S = 3
"""After a second signal a child gets this long instead of its setting."""


@dataclass(slots=True)
class _Parts:
    """What is running; readiness looks at it."""

    workers: Workers | None = None
    is_stopping: bool = False

    def ready(self) -> int:
        """How many workers serve."""
        return 0 if self.workers is None else self.workers.ready()

    def readiness(self) -> Mapping[str, bool]:
        """Postgres is not among the parts on purpose: object traffic goes on without it."""
        return {"gateway": self.ready() > 0, "not_stopping": not self.is_stopping}


class Supervisor:
    """One start of Weir. `tell` prints a line for the operator.

    alone: a gateway and nothing else; the co-op's books and its database are on another machine.
    """

    def __init__(self, settings: RoomsSettings, *, tell: Tell, alone: bool = False) -> None:
        self._alone = alone
        self._rooms = settings
        self._settings = settings.deploy
        self._tell = tell
        self._manager = ServiceManager(tell)
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._counted = Counted(settings.deploy)
        self._parts = _Parts()
        self._scrape = Scrape(
            self._counted, self._settings.data.absolute(), certificate_files=self._settings.certificate_files,
            ready=self._parts.ready, living=self._living, has_books=not alone,
        )  # fmt: skip
        self._restarted_at_reload: list[Child] = []
        self._reloads = 0
        self._reloading: set[asyncio.Task[None]] = set()
        self._keepers: set[asyncio.Task[None]] = set()
        self._began = time.time()
        self._enrolment: Enrolment | None = None
        self._seen: asyncio.Task[None] | None = None

    async def run(self, announce: Callable[[Running], Awaitable[None]]) -> None:
        """Start everything, call `announce` once it serves, and stay until a signal.

        Raises Refusal when something cannot start, or a child ends too often.
        """
        os.umask(0o077)
        with self._signals():
            data = prepare(self._settings.data)
            timeout_s = self._settings.lock_timeout_s
            with held(data, kind="up", timeout_s=timeout_s) as hold:
                check_format(data)
                async with self._manager.watched(), AsyncExitStack() as stack:
                    try:
                        running = await self._unless_stopped(self._start(stack, data, hold))
                        if running is not None:
                            await self._unless_stopped(announce(running))
                            await self._manager.serving(self._stopping.wait())
                            await self._notice()
                    finally:
                        # Before the stack unwinds: from here on an ended child is not started again.
                        self._parts.is_stopping = True
                        self._stopping.set()
                await asyncio.gather(*self._keepers, return_exceptions=True)
                self._raise_what_stopped_us()

    async def _start(self, stack: AsyncExitStack, data: Path, hold: Hold) -> Running:
        server = self._embedded(stack, data)
        dsn = self._rooms.meter.database_url if server is None else server.dsn
        gateway = self._listen("gateway", slots=self._settings.worker_count())
        portal = [] if self._alone else self._listen("portal", slots=1)
        admin = self._listen("admin", slots=1)
        for one in (*gateway, *portal, *admin):
            stack.callback(one.close)
        gateway_url = self._settings.gateway_url or url_of(gateway[0])
        portal_url = self._rooms.billing.portal_url or (url_of(portal[0]) if portal else "")
        environment = {"WEIR_DATABASE_URL": dsn, "WEIR_DATA": str(data)}
        environment |= {"WEIR_GATEWAY_URL": gateway_url, "WEIR_PORTAL_URL": portal_url}
        children = self._children(stack, data, environment, gateway=gateway, portal=portal)
        # They load while the database is made and started, and wait at their gates.
        await all_at_once(child.launch() for child in children)
        founding = await self._database(server, dsn, data)
        await self._enrol(dsn, data)
        if not self._alone:
            ledger = self._scrape.ledger = LedgerExporter(dsn, self._rooms, tell=self._tell)
            stack.push_async_callback(ended, asyncio.create_task(ledger.keep()))
        await self._serve_admin(stack, admin[0])
        await all_at_once(child.start() for child in children)
        for child in children:
            self._keep_child(child)
        link = await self._login_link(dsn, founding, portal_url=portal_url)
        running = Running(
            gateway_url, portal_url or None, url_of(admin[0]), data, server is not None, founding, link
        )  # fmt: skip
        hold.tell(self._facts(running))
        self._when_asked_to_reload(lambda told: hold.tell(self._facts(running) | told))
        return running

    async def _enrol(self, dsn: str, data: Path) -> None:
        """Enter this start; it is seen until everything else has stopped."""
        enrolment = Enrolment(
            dsn, data, name=self._settings.gateway_name, heartbeat_s=self._settings.gateway_heartbeat_s,
            timeout_s=self._rooms.meter.database_timeout_s, tell=self._tell,
        )  # fmt: skip
        try:
            await enrolment.begin()
        except DatabaseAway as error:
            if not self._alone:
                raise
            self._tell(f"starting with what this gateway knew last: {error}")
        self._enrolment = enrolment
        seen = asyncio.create_task(enrolment.keep_seen(self._facts_of_gateway))
        self._keepers.add(seen)
        seen.add_done_callback(self._on_kept)
        self._seen = seen

    async def _unenrol(self) -> None:
        """Last but the database: what it ran has stopped, and nothing waits to be shipped."""
        if self._enrolment is not None and self._seen is not None:
            self._seen.cancel()
            await asyncio.wait({self._seen})
            await self._enrolment.end()

    def _facts_of_gateway(self) -> tuple[int | None, int | None]:
        gauges = self._counted.fleet.total().gauges
        change, backlog = (gauges.get(f"weir_{name}") for name in FACTS)
        return None if change is None else int(change), None if backlog is None else int(backlog)

    def _embedded(self, stack: AsyncExitStack, data: Path) -> EmbeddedServer | None:
        """Our own server, not started yet; it stops after everything that uses it."""
        if self._rooms.meter.database_url:
            return None
        server = EmbeddedServer(self._settings, data, tell=self._tell)
        stack.push_async_callback(server.stop)
        return server

    async def _database(self, server: EmbeddedServer | None, dsn: str, data: Path) -> Founding | None:
        """Start it, bring its tables up to date, and found the co-op if there is none."""
        if server is not None:
            await server.start()
            self._keep(keep(server, self._settings, self._counted, stopping=self._stopping, tell=self._tell))
        timeout_s = self._rooms.meter.database_timeout_s
        if self._alone:
            await check_schema(dsn, data, timeout_s=timeout_s)
            return None
        async with connected(dsn, role=None, timeout_s=timeout_s) as connection:
            await bring_up_to_date(connection)
        if lost := await ensure_signing_key(dsn, data, timeout_s=timeout_s):
            self._tell(lost)
        return await found(dsn, data, now_us=time.time_ns() // 1000, timeout_s=timeout_s)

    def _listen(self, name: str, *, slots: int) -> list[socket.socket]:
        host, port = getattr(self._settings, f"{name}_host"), getattr(self._settings, f"{name}_port")
        return listen(host, port, slots=slots, backlog=self._settings.listen_backlog, setting=name)

    async def _serve_admin(self, stack: AsyncExitStack, listening: socket.socket) -> None:
        started_at = datetime.fromtimestamp(self._began, UTC).isoformat(timespec="seconds")
        admin = Admin(
            metrics=self._scrape.text,
            is_ready=self._parts.readiness,
            facts=lambda: {"pid": os.getpid(), "started_at": started_at},
        )
        stack.push_async_callback(admin.stop)
        await admin.start(listening)

    def _children(
        self,
        stack: AsyncExitStack,
        data: Path,
        environment: dict[str, str],
        *,
        gateway: list[socket.socket],
        portal: list[socket.socket],
    ) -> list[Child]:
        """Stopped in the opposite order: workers drain first, then the shipper ships what they left."""
        stack.push_async_callback(self._unenrol)
        specs = []
        for one in portal:
            bundler = Bundler(self._rooms.billing, environment, tell=self._tell)
            stack.push_async_callback(bundler.stop)
            specs.append(bundler.reached_by(_portal_spec(one, environment)))
        specs.append(ChildSpec("shipper", python_module("meter"), environment))
        others = [self._child(data, spec) for spec in specs]
        for child in others:
            stack.push_async_callback(self._stop, child)
        self._restarted_at_reload = others
        workers = Workers(
            gateway, environment, make=lambda spec: self._child(data, spec),
            stop=lambda child: self._stop(child, self._settings.worker_stop_timeout_s),
        )  # fmt: skip
        self._parts.workers = workers
        stack.push_async_callback(workers.drain)
        return [*others, *workers.serving]

    def _child(self, data: Path, spec: ChildSpec) -> Child:
        return Child(spec, self._settings, data, take_metrics=self._counted.take)

    async def _login_link(self, dsn: str, founding: Founding | None, *, portal_url: str) -> str | None:
        if founding is None:
            return None
        return await login_link(
            dsn,
            founding.member.id,
            portal_url=portal_url,
            ttl_minutes=self._rooms.billing.login_link_ttl_minutes,
            now_us=time.time_ns() // 1000,
            timeout_s=self._rooms.meter.database_timeout_s,
        )

    def _facts(self, running: Running) -> dict[str, object]:
        return {
            "gateway_url": running.gateway_url,
            "portal_url": running.portal_url,
            "admin_url": running.admin_url,
            "is_embedded": running.is_embedded,
            "reloads": self._reloads,
            "started_us": int(self._began * 1_000_000),
            "version": __version__,
        }

    def _keep_child(self, child: Child) -> None:
        """Watch a child for as long as it is to run."""
        workers = self._parts.workers
        assert workers is not None
        stopping = Either(self._stopping, workers.leaving(child))
        self._keep(keep(child, self._settings, self._counted, stopping=stopping, tell=self._tell))

    def _keep(self, watching: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(watching)
        self._keepers.add(task)
        task.add_done_callback(self._on_kept)

    def _on_kept(self, task: asyncio.Task[None]) -> None:
        """A keeper that gave up is a reason to stop everything; one whose child was to end is not."""
        if not task.cancelled() and task.exception() is not None:
            self._stopping.set()

    def _when_asked_to_reload(self, tell_others: Callable[[dict[str, object]], None]) -> None:
        """From now on SIGUSR2 exchanges the workers, and so does SIGHUP where no terminal could have sent it."""
        loop = asyncio.get_running_loop()

        def reload() -> None:
            task = asyncio.create_task(self._manager.while_reloading(self._reload(tell_others)))
            self._reloading.add(task)
            task.add_done_callback(self._reloading.discard)

        loop.add_signal_handler(signal.SIGUSR2, reload)
        if not has_terminal():
            loop.add_signal_handler(signal.SIGHUP, reload)

    async def _reload(self, tell_others: Callable[[dict[str, object]], None]) -> None:
        """Fresh workers in the place of the old ones, then a fresh shipper and portal; settings are read anew."""
        workers = self._parts.workers
        if workers is None or self._stopping.is_set():
            return
        problem = None
        try:
            await workers.exchange(self._keep_child)
            for child in self._restarted_at_reload:
                child.signal(signal.SIGTERM)
        except Refusal as refusal:
            problem = str(refusal)
            self._tell(f"not reloaded, the old workers serve on: {problem}")
        self._reloads += 1
        tell_others({"reloads": self._reloads, "reload_problem": problem})

    def _raise_what_stopped_us(self) -> None:
        """Raises GaveUp when a child could not be kept."""
        for task in self._keepers:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _unless_stopped(self, step: Awaitable[Result]) -> Result | None:
        """The step's result; None when a signal came first, and then the step was cancelled."""
        task = asyncio.ensure_future(step)
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            return task.result()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return None

    async def _notice(self) -> None:
        """Say "not ready" for a while, so that a load balancer turns away before we drain."""
        self._parts.is_stopping = True
        if self._parts.workers is not None and self._settings.stop_notice_s:
            self._parts.workers.give_notice()
        self._tell("stopping: open exchanges are finished first; press Ctrl-C again to hurry")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurrying.wait(), self._settings.stop_notice_s or 0.001)

    async def _stop(self, child: Child, timeout_s: int | None = None) -> None:
        stopping = asyncio.create_task(child.stop(timeout_s=timeout_s or self._settings.child_stop_timeout_s))
        hurried = asyncio.create_task(self._hurrying.wait())
        await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not stopping.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(stopping), HURRY_S)
            child.signal(signal.SIGKILL)
        await stopping
        self._counted.fleet.end(child.name)

    def _living(self) -> dict[int, str]:
        """Our children's processes, and what each of them is."""
        workers = self._parts.workers
        serving = [] if workers is None else workers.serving
        kinds = [
            *((child, child.name) for child in self._restarted_at_reload),
            *((child, "gateway") for child in serving),
        ]
        return {child.process.pid: kind for child, kind in kinds if child.process is not None}

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first signal asks to stop, the second to hurry."""
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()


def _portal_spec(listening: socket.socket, environment: Mapping[str, str]) -> ChildSpec:
    own = {"WEIR_PORTAL_FD": str(listening.fileno())}
    return ChildSpec("portal", python_module("billing"), {**environment, **own}, (listening.fileno(),))
