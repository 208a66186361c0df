"""Which zone an address is in, by the networks an operator named."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.settings import GatewaySettings
from gateway.zones import Zones
from meter.event import Zone

ZONES = Zones(
    own="10.0.0.0/8, 2001:db8::/32, ::ffff:192.168.0.0/112",
    peering="10.1.0.0/16,203.0.113.0/24,2001:db8:7::/48",
    proxies="127.0.0.1/32,fd00::/8",
)


@pytest.mark.parametrize(
    ("peer", "zone"),
    [
        ("10.2.3.4", Zone.OWN),
        ("::ffff:10.2.3.4", Zone.OWN),
        ("192.168.5.6", Zone.OWN),  # named as IPv6 that carries it
        ("192.169.0.1", Zone.INTERNET),
        ("10.1.255.255", Zone.PEERING),  # the smaller network of the two
        ("10.2.0.0", Zone.OWN),
        ("203.0.113.200", Zone.PEERING),
        ("203.0.114.0", Zone.INTERNET),
        ("2001:db8:7::1", Zone.PEERING),
        ("2001:db8:8::1", Zone.OWN),
        ("2001:db9::1", Zone.INTERNET),
        ("8.8.8.8", Zone.INTERNET),
        ("", Zone.INTERNET),
        ("no address", Zone.INTERNET),
        ("127.0.0.1", None),
        ("fd00::5", None),
    ],
)
def test_the_zone_of_a_peer_is_that_of_its_most_specific_network(peer: str, zone: Zone | None) -> None:
    assert zone == ZONES.of_peer(peer)


@pytest.mark.parametrize(
    ("forwarded", "zone"),
    [
        ("10.2.3.4", Zone.OWN),
        ("10.2.3.4, 8.8.8.8", Zone.INTERNET),  # what stands before the last was written by a stranger
        ("8.8.8.8, 10.1.0.9, fd00::7", Zone.PEERING),
        ("", Zone.INTERNET),
        ("nonsense", Zone.INTERNET),
    ],
)
def test_behind_a_proxy_the_address_it_forwards_decides(forwarded: str, zone: Zone) -> None:
    assert zone == ZONES.of_forwarded("127.0.0.1", forwarded)


def test_without_networks_nobody_is_asked() -> None:
    assert not Zones(own="", peering="").are_named
    assert ZONES.are_named


@pytest.mark.parametrize(
    "wrong", [{"zones_own": "10.0.0.1/8"}, {"zones_peering": "x"}, {"zones_own": "10.0.0.0/33"}]
)
def test_what_is_no_network_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings.model_validate(wrong)


def test_a_network_cannot_be_in_two_zones() -> None:
    with pytest.raises(ValidationError, match=r"10\.0\.0\.0/8 is in zones_own too"):
        GatewaySettings(zones_own="10.0.0.0/8", zones_peering="203.0.113.0/24,10.0.0.0/8")
