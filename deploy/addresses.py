"""Whether gateway, portal and websites have names of their own, as they must: the gateway and websites show members' HTML.

Pure: it compares what settings say and asks no DNS.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from meter.public_url import USUAL_PORTS
from meter.refusal import Refusal

WHY = "a page that a member made must never share a name with a session (docs/operators/outside.md)"


class SharedName(Refusal):
    """Two of our names are one, or one is below the other, where members' pages would reach the portal's sessions."""


def check_names(
    *, gateway_url: str, portal_url: str, host_suffix: str, website_suffix: str, website_domains: str
) -> None:
    """Refuse a portal on the gateway's name or round a website's. Raises SharedName.

    The two URLs are checked ones (meter.public_url), or '' where none is known. At a bare address or localhost two ports
    are enough: there are no names below it, and no proxy.
    """
    portal, gateway = urlsplit(portal_url), urlsplit(gateway_url)
    if not portal.hostname:
        return
    if portal.hostname == gateway.hostname:
        if _port(portal_url) == _port(gateway_url):
            raise SharedName(f"portal_url and gateway_url are both at {portal.netloc}: {WHY}")
        if _is_name(portal.hostname) and "https" in (portal.scheme, gateway.scheme):
            raise SharedName(
                f"portal_url and gateway_url share the host {portal.hostname}, and another port is not enough: {WHY}"
            )
    if not _is_name(portal.hostname):
        return
    if host_suffix and _is_at_or_below(portal.hostname, host_suffix):
        raise SharedName(
            f"portal_url is at {portal.hostname}, which host_suffix {host_suffix} gives to buckets: {WHY}"
        )
    named = [
        ("website_suffix", website_suffix),
        *(("website_domains", one) for one in website_domains.split(",")),
    ]
    for setting, name in named:
        other = name.strip()
        if other and (_is_at_or_below(portal.hostname, other) or _is_at_or_below(other, portal.hostname)):
            raise SharedName(
                f"portal_url is at {portal.hostname}, and {setting} has {other}, which is the same name or one above or "
                f"below it: {WHY}"
            )


def _is_at_or_below(name: str, other: str) -> bool:
    """Whether a host name is another one, or ends in it."""
    one, other = (text.lower().strip(".") for text in (name, other))
    return one == other or one.endswith(f".{other}")


def _is_name(host: str) -> bool:
    """Whether other names can stand round it: no bare address, and not this machine's own."""
    if host == "localhost":
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False


def _port(url: str) -> int | None:
    parts = urlsplit(url)
    return parts.port or USUAL_PORTS.get(parts.scheme)
