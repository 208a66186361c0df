"""The portal as a process: `python -m billing` serves on the socket it inherits until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys

import uvloop
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from billing.portal.app import make_app
from billing.portal.bundles import Bundles
from billing.portal.desk import PORTAL
from billing.settings import BillingSettings
from meter.gate import wait_at_gate
from meter.logs import begin_log
from meter.postgres import pool
from meter.refusal import Refusal
from meter.settings import MeterSettings

log = logging.getLogger("billing")
GC_THRESHOLD = 50_000
"""Of new objects, at which the youngest are looked through; at Python's 700 a page of a year is held up several times."""
FACTS_INTERVAL_S = 1
OFFICE_CONNECTIONS_MAX = 2
"""Connections for acts in an office, made when the first is done. The books have one writer at a time anyway."""


def in_a_line(record: logging.LogRecord) -> bool:
    """Of what is no HTTP a line with its kind is enough: by the library's traces any stranger could fill the log."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args, record.exc_info = "not HTTP: %s", (type(error).__name__,), None
        record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
    return True


def listening_socket(settings: BillingSettings) -> socket.socket:
    """The socket of WEIR_PORTAL_FD, else our own on 127.0.0.1. Raises Refusal when the port is taken."""
    inherited = os.environ.get("WEIR_PORTAL_FD")
    if inherited is not None:
        return socket.socket(fileno=int(inherited))
    try:
        return socket.create_server(("127.0.0.1", settings.portal_port))
    except OSError as error:
        raise Refusal(f"portal_port {settings.portal_port} cannot be used: {error.strerror}") from None


async def serve(settings: BillingSettings, meter: MeterSettings) -> None:
    """Serve until SIGTERM or SIGINT; open pages get portal_stop_timeout_s to finish."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    listening = listening_socket(settings)
    connections = await pool(
        meter.database_url,
        role="weir_billing",
        size_max=meter.database_pool_max,
        timeout_s=meter.database_timeout_s,
    )
    office = await pool(
        meter.database_url,
        role="weir_office",
        size_max=OFFICE_CONNECTIONS_MAX,
        timeout_s=meter.database_timeout_s,
    )
    bundles = Bundles.inherited(settings)
    app = make_app(
        connections, settings, office=office, journal_directory=meter.journal_directory, bundles=bundles
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=settings.portal_stop_timeout_s)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    # What is there now stays; to look through it again and again would hold a page up for some 70 ms now and then.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    print("ready", flush=True)  # noqa: T201 - the line the supervisor waits for
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), FACTS_INTERVAL_S)
        app[PORTAL].metrics.publish()
    await runner.cleanup()
    await connections.close()
    await office.close()


def main() -> int:
    """Entry point; the exit status."""
    begin_log(MeterSettings.read().log_format)
    logging.getLogger("aiohttp.server").addFilter(in_a_line)
    wait_at_gate()
    try:
        uvloop.run(serve(BillingSettings.read(), MeterSettings.read()))
    except Refusal as refusal:
        log.error("%s", refusal)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
