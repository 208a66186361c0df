"""What one run of the simulation is asked to be, and what it found."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet, its traffic, and how PostgreSQL is set up for it."""

    gateways: int = 1000
    workers: int = 1
    """Worker processes of a gateway. Each has a stream, and the storage engine has one more."""
    members: int = 10_000
    buckets_each: int = 2
    rate: int = 500
    """Exchanges a second, all gateways together."""
    seconds: float = 30.0
    warm_up_s: float = 10.0
    interval_ms: int = 10_000
    """How often a shipper looks: the setting `ship_interval_ms`."""
    spread: int = 0
    """By how many gateways a member is served; 0: by any of them."""
    hot: float = 0.0
    """Share of the exchanges that read one bucket everybody reads."""
    synchronous_commit: str = "on"
    fillfactor: int = 0
    """Of this month's sums; 0: as the migrations make them."""
    pooled: int = 0
    """Connections to PostgreSQL behind PgBouncer; 0: each shipper has one of its own."""
    shared_buffers_mb: int = 1024
    seed: int = 1

    @property
    def streams(self) -> int:
        """Streams of all gateways: a stream a worker, and one for the engine."""
        return self.gateways * (self.workers + 1)


@dataclass(frozen=True, slots=True)
class Shipped:
    """One batch that was committed."""

    at_s: float
    """When, by the clock all processes of a machine share."""
    took_s: float
    """From the first statement of its transaction to the answer to COMMIT."""
    records: int
    oldest_s: float
    """How old its oldest record was by then."""


@dataclass(slots=True)
class Figures:
    """What a run found, over its measured part."""

    seconds: float = 0.0
    shipped: list[Shipped] = field(default_factory=list)
    written: int = 0
    """Records the gateways wrote."""
    left: int = 0
    """Records that no sum held at the end of the measured part, beyond those at its beginning."""
    postgres_cpu_s: float = 0.0
    shippers_cpu_s: float = 0.0
    commits: int = 0
    """Transactions of PostgreSQL, also those that only look."""
    wal_bytes: int = 0
    full_page_images: int = 0
    lock_waits: float = 0.0
    """Of the looks at sessions within a transaction, the share that waited for a lock."""
    connections: int = 0
    postgres_bytes: int = 0
    """Memory of all of PostgreSQL's processes, shared pages counted once."""
    updated: int = 0
    updated_in_place: int = 0
    """Rows updated in their own page, so that no index was touched (HOT)."""
    inserted: int = 0
    table_bytes: int = 0
    index_bytes: int = 0
    rows: int = 0


class Count(Protocol):
    """A whole number that processes share."""

    value: int

    def get_lock(self) -> AbstractContextManager[object]:
        """Alone for the time of the block."""
