"""Every event carries the zone of the connection that it came over."""

from __future__ import annotations

import socket
from pathlib import Path

from meter import frame
from meter.event import Zone
from meter.reader import chain
from tests.gateway import client, running_gateway
from tests.traffic import signed

NETWORKS = {
    "WEIR_ZONES_OWN": "127.0.0.2/32,198.51.100.0/24",
    "WEIR_ZONES_PEERING": "127.0.0.3/32",
    "WEIR_TRUSTED_PROXIES": "127.0.0.4/32",
}


def test_each_exchange_is_counted_in_the_zone_it_came_from(tmp_path: Path, database: str) -> None:
    with running_gateway(tmp_path, database, environment=NETWORKS) as gateway:
        member = gateway.member("alice")
        client(gateway, member).create_bucket(Bucket="counted")

        def ask(source: str, *, path: str = "/counted/k", forwarded: str = "") -> None:
            """Two requests of one connection from that address."""
            extra = {"X-Forwarded-For": forwarded} if forwarded else {}
            with socket.create_connection(("127.0.0.1", gateway.port), source_address=(source, 0)) as made:
                for _ in range(2):
                    head = signed(gateway.port, member.access_key, member.secret_key, "GET", path, **extra)
                    made.sendall(head)
                    assert made.recv(65536).startswith(b"HTTP/1.1 404")

        ask("127.0.0.2")
        ask("127.0.0.3")
        ask("127.0.0.5")
        ask("127.0.0.4", forwarded="198.51.100.7")
        ask("127.0.0.5", forwarded="198.51.100.7")  # nobody's proxy: its word counts nothing
        ask("127.0.0.2", path="/nobodys/k")
    stream = tmp_path / "journal" / "worker-0"
    events = [event for segment in chain(stream) for _, event in frame.events(segment.records)]
    zones = [event.zone for event in events if event.status == 404]
    assert [
        Zone.OWN, Zone.OWN, Zone.PEERING, Zone.PEERING, Zone.INTERNET, Zone.INTERNET, Zone.OWN, Zone.OWN,
        Zone.INTERNET, Zone.INTERNET, Zone.OWN, Zone.OWN,
    ] == zones  # fmt: skip
