"""An upstream S3 system as its operator entered it: where it is, and as whom we sign there. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from gateway.storage.upstream.signing import Account

_ENDPOINT = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?/?"
)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Upstream:
    """One engine of kind 's3'."""

    name: str
    account: Account
    host: str
    """Without brackets: what a connection is made to, and a certificate has to name."""
    port: int
    is_tls: bool
    host_header: str
    """As the Host header says it; a port that is the scheme's own is left out."""

    @classmethod
    def at(cls, name: str, endpoint: str, account: Account) -> Self:
        """The upstream at an endpoint URL. Raises ValueError for what is none: a path belongs to no endpoint."""
        found = _ENDPOINT.fullmatch(endpoint)
        if found is None:
            raise ValueError("an endpoint is http://HOST[:PORT] or https://HOST[:PORT]")
        scheme, written = found["scheme"], found["host"]
        usual = _PORTS[scheme]
        port = int(found["port"] or usual)
        if not 0 < port < 2**16:
            raise ValueError("a port is a number from 1 to 65535")
        header = written if port == usual else f"{written}:{port}"
        return cls(name, account, written.strip("[]"), port, scheme == "https", header)
