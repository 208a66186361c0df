"""weir reload: fresh workers in the place of the running ones, with no connection refused."""

from __future__ import annotations

import os
import signal
import time

import click

from deploy.commands.options import data_option
from deploy.output import say
from deploy.place import DataRefused, Holder, holder
from deploy.settings import DeploySettings, read
from meter.refusal import Refusal

POLL_S = 0.1


@click.command()
@data_option
def reload() -> None:
    """Exchange the gateway workers one by one, while they serve; settings and program are read anew.

    For an upgrade, or a changed weir.toml. Returns when every old worker has finished what was open.
    """
    settings = read(DeploySettings)
    data = settings.data.absolute()
    before = running_here(settings)
    os.kill(before.pid, signal.SIGUSR2)
    until = time.monotonic() + patience_s(settings)
    while (found := holder(data)) is not None and found.pid == before.pid:
        if found.facts.get("reloads") != before.facts["reloads"]:
            if (problem := found.facts.get("reload_problem")) is not None:
                raise Refusal(f"not reloaded, the old workers serve on: {problem}")
            say("reloaded; every worker is a fresh one")
            return
        if time.monotonic() > until:
            raise Refusal(f"Weir (process {before.pid}) is not done reloading; look into its log")
        time.sleep(POLL_S)
    raise Refusal(f"Weir (process {before.pid}) ended while it reloaded; look into its log")


def running_here(settings: DeploySettings) -> Holder:
    """The Weir that runs on the data directory and is ready. Raises DataRefused."""
    data = settings.data.absolute()
    found = holder(data)
    if found is None or "reloads" not in found.facts:
        raise DataRefused(f"no Weir serves on {data}; start it with `weir up`, or `weir gateway run`")
    return found


def patience_s(settings: DeploySettings) -> int:
    """Each worker may take its time to start, and the last one its time to drain."""
    return settings.child_start_timeout_s * settings.worker_count() + settings.worker_stop_timeout_s
