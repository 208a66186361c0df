"""A gateway worker as a process: `python -m gateway` serves on the listening socket its parent made."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys

import uvloop

from gateway.app import Worker
from gateway.settings import GatewaySettings
from meter.frame import DamagedSegment, damaged_sentence
from meter.gate import wait_at_gate
from meter.logs import begin_log
from meter.refusal import Refusal
from meter.settings import MeterSettings

log = logging.getLogger("gateway")


async def run() -> None:
    """Serve until SIGTERM, then drain; SIGUSR1 says that it is near.

    The socket is WEIR_GATEWAY_FD, the stream that of WEIR_WORKER; it is one of WEIR_WORKERS.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    listener = socket.socket(fileno=int(os.environ["WEIR_GATEWAY_FD"]))
    worker = Worker(
        GatewaySettings.read(), MeterSettings.read(), index=int(os.environ.get("WEIR_WORKER", "0")),
        workers=int(os.environ.get("WEIR_WORKERS", "1")),
    )  # fmt: skip
    await worker.start(listener)
    loop.add_signal_handler(signal.SIGUSR1, worker.give_notice)
    print("ready", flush=True)  # noqa: T201 - the line the supervisor waits for
    await stopping.wait()
    await worker.stop()


def main() -> None:
    """Entry point."""
    begin_log(MeterSettings.read().log_format)
    wait_at_gate()
    try:
        uvloop.run(run())
    except Refusal as refusal:
        log.critical("%s", refusal)
        sys.exit(2)
    except DamagedSegment as damage:
        # Not begun anew by itself: whether its disk lies again is for a person to see.
        log.critical("%s", damaged_sentence(damage))
        sys.exit(2)


if __name__ == "__main__":
    main()
