"""`weir up`: everything on one machine, in order, and down again in order.

The order is written here once: lock, format, sockets, children (they load and wait), database,
migrations, founding, gates open, ready; and back: not ready, workers drain, the shipper ships what is left, portal, database.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from billing.settings import BillingSettings
from deploy.admin import Admin, build_info
from deploy.aggregate import Snapshot, add
from deploy.children import Child, ChildSpec, python_module
from deploy.embedded import EmbeddedServer
from deploy.founding import Founding, ensure_signing_key, found, login_link
from deploy.keeper import Counted, keep
from deploy.place import Hold, check_format, held, prepare
from deploy.rooms import bring_up_to_date, connected
from deploy.settings import DeploySettings
from deploy.sockets import listen, url_of
from meter.refusal import Refusal
from meter.settings import MeterSettings

Tell = Callable[[str], None]
Result = TypeVar("Result")
HURRY_S = 3
"""After a second signal a child gets this long instead of its setting."""


@dataclass(frozen=True, slots=True)
class Running:
    """A co-op that is ready, as the first screen and the ready file tell it."""

    gateway_url: str
    portal_url: str
    admin_url: str
    data: Path
    is_embedded: bool
    founding: Founding | None
    login_link: str | None

    def ready_document(self) -> dict[str, object]:
        """What `--ready-file` holds; credentials are null when the first member has none left."""
        first = self.founding
        return {
            "gateway_url": self.gateway_url,
            "portal_url": self.portal_url,
            "admin_url": self.admin_url,
            "member": first.member.name if first else None,
            "access_key": first.access_key if first else None,
            "secret_key": first.secret_key if first else None,
            "login_link": self.login_link,
            "pid": os.getpid(),
        }


@dataclass(frozen=True, slots=True)
class RoomsSettings:
    """The settings the start needs, of every room that has some."""

    deploy: DeploySettings
    meter: MeterSettings
    billing: BillingSettings


@dataclass(slots=True)
class _Parts:
    """What is running; readiness looks at it."""

    gateways: list[Child]
    is_stopping: bool = False

    def readiness(self) -> Mapping[str, bool]:
        """Postgres is not among the parts on purpose: object traffic goes on without it."""
        serving = any(child.ready.is_set() for child in self.gateways)
        return {"gateway": serving, "not_stopping": not self.is_stopping}


class Supervisor:
    """One start of Weir. `tell` prints a line for the operator."""

    def __init__(self, settings: RoomsSettings, *, tell: Tell) -> None:
        self._rooms = settings
        self._settings = settings.deploy
        self._tell = tell
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._counted = Counted(settings.deploy)
        self._parts = _Parts([])
        self._keepers: set[asyncio.Task[None]] = set()
        self._began = time.time()

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
                async with AsyncExitStack() as stack:
                    try:
                        running = await self._unless_stopped(self._start(stack, data, hold))
                        if running is not None:
                            await self._unless_stopped(announce(running))
                            await self._stopping.wait()
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
        portal = self._listen("portal", slots=1)
        admin = self._listen("admin", slots=1)
        for one in (*gateway, *portal, *admin):
            stack.callback(one.close)
        gateway_url = self._settings.gateway_url or url_of(gateway[0])
        portal_url = self._rooms.billing.portal_url or url_of(portal[0])
        environment = {"WEIR_DATABASE_URL": dsn, "WEIR_DATA": str(data)}
        environment |= {"WEIR_GATEWAY_URL": gateway_url, "WEIR_PORTAL_URL": portal_url}
        children = self._children(stack, data, environment, gateway=gateway, portal=portal[0])
        # They load while the database is made and started, and wait at their gates.
        await _all_at_once(child.launch() for child in children)
        founding = await self._database(server, dsn, data)
        await self._serve_admin(stack, admin[0])
        await _all_at_once(child.start() for child in children)
        for child in children:
            self._keep(keep(child, self._settings, self._counted, stopping=self._stopping, tell=self._tell))
        link = await self._login_link(dsn, founding, portal_url=portal_url)
        running = Running(gateway_url, portal_url, url_of(admin[0]), data, server is not None, founding, link)
        hold.tell(self._facts(running))
        return running

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
            total=self._total,
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
        portal: socket.socket,
    ) -> list[Child]:
        """Stopped in the opposite order: workers drain first, then the shipper ships what they left."""
        portal_child = self._child(data, _portal_spec(portal, environment))
        stack.push_async_callback(self._stop, portal_child)
        shipper = self._child(data, ChildSpec("shipper", python_module("meter"), environment))
        stack.push_async_callback(self._stop, shipper)
        workers = [
            self._child(data, _gateway_spec(index, one, environment)) for index, one in enumerate(gateway)
        ]
        self._parts.gateways = workers
        stack.push_async_callback(self._drain, workers, gateway)
        return [portal_child, shipper, *workers]

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
            "started_us": int(self._began * 1_000_000),
        }

    def _keep(self, watching: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(watching)
        self._keepers.add(task)
        # A keeper that gave up is a reason to stop everything.
        task.add_done_callback(lambda _: self._stopping.set())

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
        self._tell("stopping: open exchanges are finished first; press Ctrl-C again to hurry")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurrying.wait(), self._settings.stop_notice_s or 0.001)

    async def _drain(self, workers: list[Child], listening: list[socket.socket]) -> None:
        """Workers finish what is open; a hurry ends them at once, and their journals keep the count."""
        for worker in workers:
            worker.signal(signal.SIGTERM)
        for one in listening:
            one.close()
        stops = [self._stop(worker, self._settings.worker_stop_timeout_s) for worker in workers]
        await asyncio.gather(*stops)

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

    def _total(self) -> Snapshot:
        """All children's series, and what only we know."""
        counters = {
            f'weir_child_restarts_total{{child="{name}"}}': count
            for name, count in self._counted.restarts.items()
        }
        counters["weir_metrics_snapshots_rejected_total"] = self._counted.rejected
        ready = sum(child.ready.is_set() for child in self._parts.gateways)
        gauges = {build_info(): 1.0, "weir_gateway_workers_ready": float(ready)}
        return add([self._counted.fleet.total(), Snapshot(counters, gauges)])

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


async def _all_at_once(steps: Iterable[Coroutine[None, None, None]]) -> None:
    """Run steps together; the first one that fails cancels the others, and its error is raised alone."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except* Refusal as failures:
        first = failures.exceptions[0]
    else:
        return
    raise first


def _gateway_spec(index: int, listening: socket.socket, environment: Mapping[str, str]) -> ChildSpec:
    own = {"WEIR_GATEWAY_FD": str(listening.fileno()), "WEIR_WORKER": str(index)}
    return ChildSpec(
        f"gateway-{index}", python_module("gateway"), {**environment, **own}, (listening.fileno(),)
    )


def _portal_spec(listening: socket.socket, environment: Mapping[str, str]) -> ChildSpec:
    own = {"WEIR_PORTAL_FD": str(listening.fileno())}
    return ChildSpec("portal", python_module("billing"), {**environment, **own}, (listening.fileno(),))
