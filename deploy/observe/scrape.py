"""What a scrape holds: children's counters, the parent's own, the machine, and the ledger exporter's page."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.aggregate import Snapshot, add
from deploy.keeper import Counted
from deploy.observe.catalogue import Exporter, zeros
from deploy.observe.exposition import render
from deploy.observe.ledger import LedgerExporter
from deploy.observe.machine import Machine, Processes
from meter import __version__
from meter.metrics import series

EVERYWHERE = frozenset((Exporter.GATEWAY, Exporter.SHIPPER, Exporter.PARENT))
WITH_BOOKS = EVERYWHERE | {Exporter.PORTAL}


class Scrape:
    """Puts it together. `ready` says how many workers serve, `living` which processes run and what they are."""

    def __init__(
        self, counted: Counted, data: Path, *, certificate_files: str, ready: Callable[[], int],
        living: Callable[[], Mapping[int, str]], has_books: bool,
    ) -> None:  # fmt: skip
        self._counted = counted
        self._machine = Machine(data, certificate_files)
        self._processes = Processes()
        self._ready = ready
        self._living = living
        self._zeros = Snapshot(zeros(WITH_BOOKS if has_books else EVERYWHERE))
        self.ledger: LedgerExporter | None = None
        """Set once the database is there; a gateway alone has none."""

    def text(self) -> bytes:
        """The whole page."""
        ledger = self.ledger
        if ledger is None:
            return render(self._total())
        return render(add([self._total(), ledger.state()])) + ledger.page

    def _total(self) -> Snapshot:
        counters: dict[str, float] = {
            series("weir_child_restarts_total", child=name): count
            for name, count in self._counted.restarts.items()
        }
        counters["weir_metrics_snapshots_rejected_total"] = self._counted.rejected
        gauges = {build_info(): 1.0, "weir_gateway_workers_ready": float(self._ready())}
        living = {os.getpid(): "supervisor", **self._living()}
        return add(
            [
                self._zeros,
                self._counted.fleet.total(),
                Snapshot(counters, gauges),
                self._processes.look(living),
                self._machine.look(),
            ]
        )


def build_info() -> str:
    """The series that says which version runs."""
    return series("weir_build_info", python=platform.python_version(), version=__version__)
