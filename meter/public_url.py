"""The address at which something of ours is reached from outside, as a setting says it: checked, and in one spelling.

It knows the form alone; whether the address leads to us is the doctor's matter.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\]")
USUAL_PORTS = {"http": 80, "https": 443}


def public_url(value: str) -> str:
    """The address as browsers spell an origin: small letters, no usual port, no slash behind; '' stays ''.

    Raises ValueError with the rule that was broken. No path is taken: pages and signatures begin at the host.
    Source: RFC 6454, section 6.2.
    """
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"{_form()}: this is no address") from None
    # What urlsplit drops without a word must not pass.
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"{_form()}, in ASCII without spaces; a name with other letters is written as xn--…")
    if parts.scheme not in USUAL_PORTS or not parts.netloc:
        raise ValueError(f"{_form()}: it must begin with http:// or https:// and a host")
    if "@" in parts.netloc:
        raise ValueError(f"{_form()}: no user and no password belong in it")
    host = parts.netloc if port is None else parts.netloc.rpartition(":")[0]
    if not HOST.fullmatch(host) or port == 0:
        raise ValueError(f"{_form()}: '{parts.netloc}' is no host")
    if "?" in value or "#" in value:
        raise ValueError(f"{_form()}: nothing with ? or # belongs behind it")
    if parts.path not in ("", "/"):
        raise ValueError(f"{_form()}: it has a host of its own, and no path")
    shown = "" if port in (None, USUAL_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host.lower()}{shown}"


def _form() -> str:
    return "must be an address as https://name.example.coop"
