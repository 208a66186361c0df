"""A new key as settings of S3 clients, ready to paste; the texts are in clients.toml, as docs/clients.md has them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

_TEXTS = Path(__file__).with_name("clients.toml")
_CHOICE = re.compile(r"@TLS\[([^|]*)\|([^]]*)\]@")


@dataclass(frozen=True, slots=True)
class Client:
    """What to paste where."""

    name: str
    where: str
    text: str


@cache
def _texts() -> tuple[Client, ...]:
    found = tomllib.loads(_TEXTS.read_text("utf-8"))["client"]
    return tuple(Client(one["name"], one["where"], one["text"]) for one in found)


def settings_of(*, endpoint: str, region: str, access_key: str, secret_key: str) -> list[Client]:
    """The settings of every client that was tried, for this key at this gateway."""
    parts = urlsplit(endpoint)
    is_tls = parts.scheme == "https"
    values = {
        "@ENDPOINT@": endpoint.rstrip("/"), "@HOST@": parts.netloc, "@NAME@": parts.hostname or "",
        "@PORT@": str(parts.port or (443 if is_tls else 80)), "@REGION@": region,
        "@ACCESS_KEY@": access_key, "@SECRET_KEY@": secret_key,
    }  # fmt: skip
    return [Client(one.name, one.where, _filled(one.text, values, is_tls=is_tls)) for one in _texts()]


def _filled(text: str, values: dict[str, str], *, is_tls: bool) -> str:
    text = _CHOICE.sub(r"\1" if is_tls else r"\2", text)
    for name, value in values.items():
        text = text.replace(name, value)
    return text
