"""What a client counts: body bytes of exchanges that succeeded, both ways, XML documents included.

It sits on botocore's own events, sees every attempt, and never asks the gateway.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

SUCCESS = range(200, 300)


@dataclass(slots=True)
class Counts:
    """One member's side of the story; all numbers are bytes or exchanges."""

    bytes_in: int = 0
    """Sent to the gateway, without the framing of aws-chunked."""
    bytes_out: int = 0
    """Received from the gateway."""
    exchanges: int = 0
    cuts: int = 0
    """Downloads cut half-way."""
    cut_delivered: int = 0
    """Body bytes of those that reached this machine's kernel."""

    def document(self) -> dict[str, int]:
        """JSON-ready."""
        return {
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "exchanges": self.exchanges,
            "cuts": self.cuts,
            "cut_delivered": self.cut_delivered,
        }


@dataclass(slots=True)
class CountingHooks:
    """Registers on a boto3 client; one thread, one client, one of these."""

    counts: Counts
    _sending: threading.local = field(default_factory=threading.local)

    def attach(self, client: Any) -> None:
        """Count everything this client does from now on."""
        client.meta.events.register("before-send.s3", self._before_send)
        client.meta.events.register("response-received.s3", self._response_received)

    def _before_send(self, request: Any, **_: Any) -> None:
        self._sending.size_bytes = sent_bytes(request)

    def _response_received(self, response_dict: dict[str, Any] | None, **_: Any) -> None:
        if response_dict is None or response_dict["status_code"] not in SUCCESS:
            return
        self.counts.exchanges += 1
        self.counts.bytes_in += self._sending.size_bytes
        body = response_dict["body"]
        # A streamed body is not here yet: whoever reads it counts it.
        if isinstance(body, bytes):
            self.counts.bytes_out += len(body)


def sent_bytes(request: Any) -> int:
    """The size of a request's body before it was framed in aws-chunked."""
    decoded = request.headers.get("X-Amz-Decoded-Content-Length")
    if decoded is not None:
        return int(decoded)
    body = request.body
    if body is None:
        return 0
    if isinstance(body, str):
        return len(body.encode())
    return len(body) if isinstance(body, bytes | bytearray) else int(request.headers["Content-Length"])
