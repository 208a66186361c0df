"""Why a connection or a request is turned away before it costs anything, and how it is told. Pure."""

from __future__ import annotations

import math
from enum import StrEnum

from gateway.errors import S3Error, render_error, s3_error
from gateway.head import response_head

RETRY_AFTER_S = 1
"""Where what is short is the worker's own, and nobody knows for how long."""


class Reason(StrEnum):
    """Why something was turned away; the label of a metric."""

    ADDRESS_RATE = "address_rate"
    MEMBER_RATE = "member_rate"
    MEMBER_BYTES = "member_bytes"
    EXCHANGES = "exchanges"
    MEMORY = "memory"
    CONNECTIONS = "connections"
    ADDRESS_CONNECTIONS = "address_connections"

    @property
    def is_excess(self) -> bool:
        """Whether somebody did more than they may; else it is the worker that has no room."""
        return self in _EXCESS


_EXCESS = frozenset(
    (Reason.ADDRESS_RATE, Reason.MEMBER_RATE, Reason.MEMBER_BYTES, Reason.ADDRESS_CONNECTIONS)
)
_SENTENCES = {
    Reason.ADDRESS_RATE: "Please reduce your request rate: too many requests come from your address.",
    Reason.MEMBER_RATE: "Please reduce your request rate: this member has used up the requests of the moment.",
    Reason.MEMBER_BYTES: "Please reduce your request rate: this member has used up the bytes of the moment.",
    Reason.EXCHANGES: "Please reduce your request rate: too many requests are under way.",
    Reason.MEMORY: "Please reduce your request rate: there is no memory for another body just now.",
}


class Eviction(StrEnum):
    """Why a connection that was kept was ended; the label of a metric."""

    HEAD = "head"
    """A request's head did not come to its end in time."""
    IDLE = "idle"
    """Nothing was asked for too long."""
    SENDER = "sender"
    """A body came too slowly, or not at all."""
    RECEIVER = "receiver"
    """An answer was taken too slowly, or not at all."""


class Turned(S3Error):
    """Turned away before it cost anything: it stands in no journal, and nobody pays for it."""

    def __init__(self, reason: Reason, *, wait_s: float = RETRY_AFTER_S) -> None:
        super().__init__(
            "SlowDown", status=503, message=_SENTENCES[reason], extra={},
            headers={"Retry-After": str(max(1, math.ceil(wait_s)))},
        )  # fmt: skip
        self.reason = reason


def refusal() -> bytes:
    """What a connection that is not kept is told, whatever it asks."""
    error = s3_error("SlowDown")
    body = render_error(error, resource="", request_id="")
    headers = {"Content-Type": "application/xml", **error.headers}
    head = response_head(error.status, headers, content_length=len(body), request_id="", keep_alive=False)
    return head + body
