"""Prices of the co-op's services from a month on, read from and written to TOML.

It knows what a unit of each service is and what it costs; it does not know who used how much.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from billing.money import exponent, format_decimal, parse_decimal
from meter.refusal import Refusal
from meter.window import Month

PRICE_DECIMALS = 9
PRICE_NANO_MAX = 1_000_000 * 10**PRICE_DECIMALS
TARIFF_BYTES_MAX = 64 * 1024
DEFAULT_TARIFF = Path(__file__).with_name("tariffs").joinpath("default.toml")


class Service(StrEnum):
    """What is charged for; the value is the price's key in a tariff file."""

    GB_OUT = "gb_out"
    GB_IN = "gb_in"
    GB_MONTH = "gb_month"
    GB_MONTH_VERSIONS = "gb_month_versions"
    GB_MONTH_PARTS = "gb_month_parts"
    REQUESTS_A = "requests_a_1000"
    REQUESTS_B = "requests_b_1000"


WORDS: Mapping[Service, str] = {
    Service.GB_OUT: "Sent to readers",
    Service.GB_IN: "Received from you",
    Service.GB_MONTH: "Kept in storage",
    Service.GB_MONTH_VERSIONS: "Old versions kept",
    Service.GB_MONTH_PARTS: "Unfinished uploads kept",
    Service.REQUESTS_A: "Requests that change or list",
    Service.REQUESTS_B: "Requests that read",
}
UNITS: Mapping[Service, str] = {
    Service.GB_OUT: "GB",
    Service.GB_IN: "GB",
    Service.GB_MONTH: "GB-months",
    Service.GB_MONTH_VERSIONS: "GB-months",
    Service.GB_MONTH_PARTS: "GB-months",
    Service.REQUESTS_A: "thousand",
    Service.REQUESTS_B: "thousand",
}
SAME_AS: Mapping[Service, Service] = {
    Service.GB_MONTH_VERSIONS: Service.GB_MONTH,
    Service.GB_MONTH_PARTS: Service.GB_MONTH,
}
"""Services a tariff need not name; each then has the price of the other."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices in 10^-9 of the major unit ("nano") for one unit: a GB is 10^9 bytes, requests go by 1,000."""

    currency: str
    effective_from: Month
    prices: Mapping[Service, int]
    """Of every service but those in SAME_AS, which may be left out."""

    def price_nano(self, service: Service) -> int:
        """The price of the service, named or not."""
        return self.prices[service if service in self.prices else SAME_AS[service]]

    def price_text(self, service: Service) -> str:
        """The price as a plain decimal, e.g. '0.01'."""
        return _price_text(self.price_nano(service))


def _price_text(price_nano: int) -> str:
    whole, _, decimals = format_decimal(price_nano, PRICE_DECIMALS).partition(".")
    return f"{whole.replace(',', '')}.{decimals.rstrip('0').ljust(2, '0')}"


def parse_tariff(text: str) -> Tariff:
    """Read a tariff file. Raises Refusal naming the key that is wrong, and the nearest one we know."""
    if len(text.encode("utf-8", "surrogateescape")) > TARIFF_BYTES_MAX:
        raise Refusal(f"a tariff file has at most {TARIFF_BYTES_MAX} bytes")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"the tariff is not TOML: {error}") from None
    known = ["currency", "effective_from", *(service.value for service in Service)]
    for key in table:
        if key not in known:
            raise Refusal(_unknown_key(key, known))
    values = {key: _text(table, key) for key in known if key in table or key not in SAME_AS}
    exponent(values["currency"])
    prices = {service: _price(values[service], service) for service in Service if service in values}
    return Tariff(values["currency"], Month.parse(values["effective_from"]), prices)


def _unknown_key(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    meant = f"; did you mean '{near[0]}'?" if near else f"; a tariff has {', '.join(known)}"
    return f"the tariff has an unknown key '{key[:60]}'{meant}"


def _text(table: Mapping[str, object], key: str) -> str:
    if key not in table:
        raise Refusal(f"the tariff lacks '{key}'; a service that is free has the price \"0\"")
    value = table[key]
    if not isinstance(value, str):
        raise Refusal(f'{key}: write it in quotes, so that it stays exact, for example {key} = "0.0100"')
    return value


def _price(text: str, service: Service) -> int:
    price = parse_decimal(text, field=service.value, decimals_max=PRICE_DECIMALS)
    if price > PRICE_NANO_MAX:
        raise Refusal(f"{service.value}: '{text}' is too large; at most 1000000 a unit")
    return price


def tariff_toml(tariff: Tariff) -> str:
    """The tariff as a file that parse_tariff reads back to the same tariff."""
    notes = {
        Service.GB_OUT: "a GB (10^9 bytes) sent",
        Service.GB_IN: "a GB received",
        Service.GB_MONTH: "a GB stored for a whole calendar month",
        Service.GB_MONTH_VERSIONS: "a GB of old versions stored for a whole calendar month",
        Service.GB_MONTH_PARTS: "a GB of uploads not finished, stored for a whole calendar month",
        Service.REQUESTS_A: "1,000 requests that change or list",
        Service.REQUESTS_B: "1,000 requests that read",
    }
    lines = [f'currency = "{tariff.currency}"', f'effective_from = "{tariff.effective_from}"', ""]
    lines += [
        f'{one.value} = "{tariff.price_text(one)}"  # {notes[one]}' for one in Service if one in tariff.prices
    ]
    return "\n".join(lines) + "\n"


def tariff_document(tariff: Tariff) -> dict[str, object]:
    """JSON-ready, stable keys; prices as nano integers."""
    return {
        "currency": tariff.currency,
        "effective_from": str(tariff.effective_from),
        "prices_nano": {
            service.value: tariff.prices[service] for service in Service if service in tariff.prices
        },
    }
