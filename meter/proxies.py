"""Where a request came from, when trusted proxies stand between. Pure.

Who is at the other end is the connection's word. A header such as X-Forwarded-For counts only when the connection
comes from a proxy the operator named: anybody can write a header.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

FORWARDED_ADDRESSES_MAX = 50
"""A list of proxies longer than this is nobody's honest way here."""


def client_address(peer: str, forwarded: str, proxies: str) -> str:
    """Where a request came from: the peer, or if that is a named proxy, the last address no such proxy gave."""
    address = plain_address(peer)
    if not is_proxy(address, proxies):
        return address
    for hop in reversed(forwarded.split(",")[-FORWARDED_ADDRESSES_MAX:]):
        found = plain_address(hop.strip())
        if not found:
            break
        address = found
        if not is_proxy(found, proxies):
            break
    return address


def plain_address(text: str) -> str:
    """An address in one spelling, IPv4 also where it came wrapped in IPv6; empty for anything else."""
    try:
        found: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


@lru_cache(maxsize=8)
def parse_proxies(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks of a comma-separated list. Raises ValueError."""
    return tuple(ip_network(one.strip()) for one in text.split(",") if one.strip())


def is_proxy(peer: str, proxies: str) -> bool:
    """Whether the address is one of those proxies."""
    address = plain_address(peer) if proxies else ""
    return bool(address) and any(ip_address(address) in network for network in parse_proxies(proxies))
