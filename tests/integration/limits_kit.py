"""Gateways with small limits, two members in them, and what their workers count while they run."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.gateway import Credentials, RunningGateway, running_gateway
from tests.integration.s3_kit import Answer, Line, ask, sign
from tests.postgres import TestServer

SMALL = b"x" * 1000


@dataclass
class Limited:
    """A gateway, and two members with a bucket and a small object each."""

    gateway: RunningGateway
    anna: Credentials
    ben: Credentials
    _told: dict[int, dict[str, float]] = field(default_factory=dict)

    def follow(self) -> None:
        """Read what each worker tells its parent, from now on."""
        for number, process in enumerate(self.gateway.processes):
            assert process.stdout is not None
            threading.Thread(target=self._read, args=(number, process.stdout), daemon=True).start()

    def _read(self, number: int, lines: IO[str]) -> None:
        for line in lines:
            told = json.loads(line)
            self._told[number] = told["counters"] | told["gauges"]

    def count(self, series: str) -> int:
        """Of all workers together, a second old at most."""
        return int(sum(told.get(series, 0) for told in self._told.values()))

    def limited(self, reason: str) -> int:
        """How much was turned away for that reason."""
        return self.count(f'weir_gateway_limited_total{{reason="{reason}"}}')

    def evicted(self, reason: str) -> int:
        """How many were ended for that reason."""
        return self.count(f'weir_gateway_evicted_total{{reason="{reason}"}}')

    def get(self, who: Credentials, key: str = "small") -> bytes:
        """A signed GET, ready to be sent."""
        return sign(self.gateway, who, "GET", f"/{who.name}-bucket/{key}").whole(b"")

    def put(self, who: Credentials, key: str, body: bytes) -> Answer:
        """A PUT on a connection of its own."""
        return ask(self.gateway, sign(self.gateway, who, "PUT", f"/{who.name}-bucket/{key}").whole(body))

    @contextmanager
    def line_from(self, address: str) -> Iterator[Line]:
        """A connection from that address of the loopback."""
        with socket.create_connection(
            ("127.0.0.1", self.gateway.port), timeout=20, source_address=(address, 0)
        ) as connection:
            yield Line(connection)


@contextmanager
def limited(
    server: TestServer, place: Path, *, workers: int = 1, files_max: int = 0, **settings: object
) -> Iterator[Limited]:
    """A gateway with these settings; whatever is asked of it, it must not be surprised."""
    database = server.database()
    environment = {f"WEIR_{name.upper()}": str(value) for name, value in settings.items()}
    with running_gateway(
        place,
        database,
        workers=workers,
        environment=environment | {"WEIR_METRICS_FD": "1"},
        files_max=files_max,
    ) as gateway:
        told = Limited(gateway, gateway.member("anna"), gateway.member("ben"))
        told.follow()
        for who in (told.anna, told.ben):
            made = ask(gateway, sign(gateway, who, "PUT", f"/{who.name}-bucket").whole(b""))
            assert 200 == made.status, made
            assert 200 == told.put(who, "small", SMALL).status
        yield told
    assert "Traceback" not in gateway.log()
    server.drop(database)
