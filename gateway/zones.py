"""From an address to the zone its bytes come from and go to, by networks the operator named. Pure.

The most specific network decides. What is in none of them is the internet.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from meter.event import Zone
from meter.proxies import client_address, is_proxy, plain_address

Network = IPv4Network | IPv6Network
_MAPPED_BITS = 96
"""Of an IPv6 address that carries an IPv4 one, before that begins (RFC 4291, section 2.5.5.2)."""
ADDRESSES_MAX = 4096
"""Of so many addresses the answer is remembered."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks of a comma-separated list; IPv4 also where it came wrapped in IPv6. Raises ValueError."""
    return tuple(_plain(ip_network(one.strip())) for one in text.split(",") if one.strip())


def _plain(network: Network) -> Network:
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


class Zones:
    """What one worker knows of networks."""

    def __init__(self, *, own: str, peering: str, proxies: str = "") -> None:
        """Comma-separated networks, as in the settings; proxies are those whose X-Forwarded-For counts."""
        named = [(one, Zone.OWN) for one in parse_networks(own)]
        named += [(one, Zone.PEERING) for one in parse_networks(peering)]
        self._networks = sorted(named, key=lambda found: -found[0].prefixlen)
        self._proxies = proxies
        self.are_named = bool(named)
        """If not, everything is the internet, and nobody need ask."""
        self.of_peer = lru_cache(ADDRESSES_MAX)(self._of_peer)

    def _of_peer(self, peer: str) -> Zone | None:
        """The zone of a connection's other end; None when it is a proxy, and its header must be asked."""
        return None if is_proxy(peer, self._proxies) else self.of_address(plain_address(peer))

    def of_forwarded(self, peer: str, forwarded: str) -> Zone:
        """The zone of what a proxy forwards; forwarded is its X-Forwarded-For, several joined by ','."""
        return self.of_address(client_address(peer, forwarded, self._proxies))

    def of_address(self, address: str) -> Zone:
        """The zone of a plain address; the internet for none."""
        if not address:
            return Zone.INTERNET
        found = ip_address(address)
        return next((zone for network, zone in self._networks if found in network), Zone.INTERNET)
