"""Prices of the co-op's services from a month on, read from and written to TOML.

It knows what a unit of each service is, what it costs whom and how much of it is free; not who used how much.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from billing.money import exponent, format_decimal, parse_decimal
from meter.refusal import Refusal
from meter.window import Month

PRICE_DECIMALS = 9
PRICE_NANO_MAX = 1_000_000 * 10**PRICE_DECIMALS
FREE_NANO_MAX = 1_000_000_000 * 10**PRICE_DECIMALS
TARIFF_BYTES_MAX = 64 * 1024
DEFAULT_TARIFF = Path(__file__).with_name("tariffs").joinpath("default.toml")
ENGINE_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
CLASSES = ("user", "worker", "supporter", "customer")
"""Who may have prices of their own: the classes of members, and who buys and is no member."""


class Service(StrEnum):
    """What is charged for; the value is the price's key in a tariff file."""

    GB_OUT = "gb_out"
    GB_OUT_PEERING = "gb_out_peering"
    GB_OUT_OWN = "gb_out_own"
    GB_IN = "gb_in"
    GB_MONTH = "gb_month"
    GB_MONTH_VERSIONS = "gb_month_versions"
    GB_MONTH_PARTS = "gb_month_parts"
    REQUESTS_A = "requests_a_1000"
    REQUESTS_B = "requests_b_1000"
    CREDITS = "credits"
    """No price in a tariff: what a member was given, by name and amount."""


PRICED: tuple[Service, ...] = tuple(one for one in Service if one is not Service.CREDITS)
"""What a tariff has prices of."""
SENT = (Service.GB_OUT, Service.GB_OUT_PEERING, Service.GB_OUT_OWN)
"""Together all that was sent."""
WORDS: Mapping[Service, str] = {
    Service.GB_OUT: "Sent to readers",
    Service.GB_OUT_PEERING: "Sent to readers over peering",
    Service.GB_OUT_OWN: "Sent within the co-op's network",
    Service.GB_IN: "Received from you",
    Service.GB_MONTH: "Kept in storage",
    Service.GB_MONTH_VERSIONS: "Old versions kept",
    Service.GB_MONTH_PARTS: "Unfinished uploads kept",
    Service.REQUESTS_A: "Requests that change or list",
    Service.REQUESTS_B: "Requests that read",
    Service.CREDITS: "Credit",
}
UNITS: Mapping[Service, str] = {
    Service.GB_OUT: "GB",
    Service.GB_OUT_PEERING: "GB",
    Service.GB_OUT_OWN: "GB",
    Service.GB_IN: "GB",
    Service.GB_MONTH: "GB-months",
    Service.GB_MONTH_VERSIONS: "GB-months",
    Service.GB_MONTH_PARTS: "GB-months",
    Service.REQUESTS_A: "thousand",
    Service.REQUESTS_B: "thousand",
    Service.CREDITS: "credit",
}
SAME_AS: Mapping[Service, Service] = {
    Service.GB_OUT_PEERING: Service.GB_OUT,
    Service.GB_OUT_OWN: Service.GB_OUT,
    Service.GB_MONTH_VERSIONS: Service.GB_MONTH,
    Service.GB_MONTH_PARTS: Service.GB_MONTH,
}
"""Services a tariff need not name; each then has the price of the other."""
_NOTES: Mapping[Service, str] = {
    Service.GB_OUT: "a GB (10^9 bytes) sent",
    Service.GB_OUT_PEERING: "a GB sent over peering",
    Service.GB_OUT_OWN: "a GB sent within our own network",
    Service.GB_IN: "a GB received",
    Service.GB_MONTH: "a GB stored for a whole calendar month",
    Service.GB_MONTH_VERSIONS: "a GB of old versions stored for a whole calendar month",
    Service.GB_MONTH_PARTS: "a GB of uploads not finished, stored for a whole calendar month",
    Service.REQUESTS_A: "1,000 requests that change or list",
    Service.REQUESTS_B: "1,000 requests that read",
}
_WHOLE_REQUESTS = 3
"""Decimals of a thousand that are whole requests."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What one class pays in place of the common prices, and its own free amounts in place of the common ones."""

    prices: Mapping[Service, int] = field(default_factory=dict)
    free: Mapping[Service, int] | None = None
    """None: the common free amounts; of an engine, none."""
    engines: Mapping[str, Rates] = field(default_factory=dict)
    """Of a class: what it pays on an engine, in place of what everybody pays there."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices in 10^-9 of the major unit ("nano") for one unit: a GB is 10^9 bytes, requests go by 1,000."""

    currency: str
    effective_from: Month
    prices: Mapping[Service, int]
    """Of every service but those in SAME_AS, which may be left out."""
    free: Mapping[Service, int] = field(default_factory=dict)
    """So many units a member and month are not charged, in 10^-9 units."""
    classes: Mapping[str, Rates] = field(default_factory=dict)
    engines: Mapping[str, Rates] = field(default_factory=dict)
    """Prices of buckets on a storage engine, by its name; what one does not name costs there what it costs elsewhere."""

    @property
    def engine_names(self) -> frozenset[str]:
        """Engines that anybody has prices of."""
        return frozenset(self.engines).union(*(rates.engines for rates in self.classes.values()))

    @property
    def tells_zones_apart(self) -> bool:
        """Whether what was sent over peering, or within the co-op's network, has a price of its own."""
        every = [self.prices, *(rates.prices for rates in self.classes.values())]
        return any(zone in prices for prices in every for zone in (SENT[1], SENT[2]))

    def of_class(self, name: str) -> Tariff:
        """The tariff as it is for one class: one rate a service line."""
        own = self.classes.get(name)
        if own is None:
            return self
        free = self.free if own.free is None else own.free
        engines = {
            engine: _over(self.engines.get(engine, Rates()), own.engines.get(engine, Rates()))
            for engine in {**self.engines, **own.engines}
        }
        return Tariff(
            self.currency, self.effective_from, {**self.prices, **own.prices}, free, engines=engines
        )

    def on_engine(self, name: str) -> Tariff:
        """The tariff of a class as it is for buckets on an engine; the common free amounts are none there."""
        own = self.engines[name]
        return Tariff(self.currency, self.effective_from, {**self.prices, **own.prices}, own.free or {})

    def apart_on(self, name: str) -> frozenset[Service]:
        """Services with a line of their own for buckets on an engine: those it has a price of."""
        own = self.engines[name].prices
        return frozenset(
            one for one in PRICED if one in own or (one not in self.prices and SAME_AS.get(one) in own)
        )

    def price_nano(self, service: Service) -> int:
        """The price of the service, named or not."""
        return self.prices[service if service in self.prices else SAME_AS[service]]

    def price_text(self, service: Service) -> str:
        """The price as a plain decimal, e.g. '0.01'."""
        return price_text(self.price_nano(service))


def _over(common: Rates, own: Rates) -> Rates:
    return Rates({**common.prices, **own.prices}, common.free if own.free is None else own.free)


def price_text(price_nano: int) -> str:
    """Billionths of the major unit as a plain decimal with two decimals or more."""
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
    known = ["currency", "effective_from", *(service.value for service in PRICED)]
    _refuse_unknown(table, [*known, "free", "class", "engine"])
    values = {key: _text(table, key) for key in known if key in table or key not in SAME_AS}
    exponent(values["currency"])
    prices = {service: _price(values[service], service) for service in PRICED if service in values}
    free, classes = _table(table, "free"), _table(table, "class")
    return Tariff(
        values["currency"],
        Month.parse(values["effective_from"]),
        prices,
        _free(free, "free"),
        {name: _class_rates(name, rates) for name, rates in classes.items()},
        _engines(table),
    )


def _refuse_unknown(table: Mapping[str, object], known: list[str], where: str = "the tariff") -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"; did you mean '{near[0]}'?" if near else f"; it has {', '.join(known)}"
            raise Refusal(f"{where} has an unknown key '{key[:60]}'{meant}")


def _table(table: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise Refusal(f"{key}: is a table of its own in a tariff, written [{key}]")
    return found


def _class_rates(name: str, table: object) -> Rates:
    where = f"class.{name}"
    if name not in CLASSES:
        raise Refusal(f"{where}: there is no class '{name[:60]}'; classes are {', '.join(CLASSES)}")
    return _rates(where, table, "engine")


def _engines(table: Mapping[str, object], where: str = "") -> dict[str, Rates]:
    found = {}
    for name, rates in _table(table, "engine").items():
        if ENGINE_NAME.fullmatch(name) is None:
            raise Refusal(f"{where}engine.{name[:40]}: is no engine's name; `weir engine list` shows them")
        found[name] = _rates(f"{where}engine.{name}", rates)
        if not found[name].prices:
            raise Refusal(f"{where}engine.{name}: has no price; name one, or leave the engine out")
    return found


def _rates(where: str, table: object, *more: str) -> Rates:
    if not isinstance(table, dict):
        raise Refusal(f"{where}: is a table of its own in a tariff, written [{where}]")
    _refuse_unknown(table, [*(one.value for one in PRICED), "free", *more], where)
    prices = {one: _price(_text(table, one, where), one, where) for one in PRICED if one in table}
    free = _free(_table(table, "free"), f"{where}.free") if "free" in table else None
    return Rates(prices, free, _engines(table, f"{where}.") if more else {})


def _free(table: Mapping[str, object], where: str) -> dict[Service, int]:
    _refuse_unknown(table, [one.value for one in PRICED], where)
    return {one: _amount(_text(table, one, where), one, where) for one in PRICED if one in table}


def _amount(text: str, service: Service, where: str) -> int:
    decimals = _WHOLE_REQUESTS if service in (Service.REQUESTS_A, Service.REQUESTS_B) else PRICE_DECIMALS
    amount = parse_decimal(text, field=f"{where}.{service.value}", decimals_max=decimals)
    amount *= int(10 ** (PRICE_DECIMALS - decimals))
    if amount > FREE_NANO_MAX:
        raise Refusal(f"{where}.{service.value}: '{text}' is too large; at most 1000000000 units are free")
    return amount


def _text(table: Mapping[str, object], key: str, where: str = "the tariff") -> str:
    if key not in table:
        raise Refusal(f"the tariff lacks '{key}'; a service that is free has the price \"0\"")
    value = table[key]
    if not isinstance(value, str):
        field_name = key if where == "the tariff" else f"{where}.{key}"
        raise Refusal(
            f'{field_name}: write it in quotes, so that it stays exact, for example {key} = "0.0100"'
        )
    return value


def _price(text: str, service: Service, where: str = "") -> int:
    name = f"{where}.{service.value}" if where else service.value
    price = parse_decimal(text, field=name, decimals_max=PRICE_DECIMALS)
    if price > PRICE_NANO_MAX:
        raise Refusal(f"{name}: '{text}' is too large; at most 1000000 a unit")
    return price


def tariff_toml(tariff: Tariff) -> str:
    """The tariff as a file that parse_tariff reads back to the same tariff."""
    lines = [f'currency = "{tariff.currency}"', f'effective_from = "{tariff.effective_from}"', ""]
    lines += [
        f'{one.value} = "{tariff.price_text(one)}"  # {_NOTES[one]}' for one in PRICED if one in tariff.prices
    ]
    if tariff.free:
        lines += ["", "[free]  # of each member and month, not charged", *_toml(tariff.free)]
    for name, rates in sorted(tariff.engines.items()):
        lines += _rates_toml(f"engine.{name}", rates)
    for name, rates in sorted(tariff.classes.items()):
        lines += _rates_toml(f"class.{name}", rates)
    return "\n".join(lines) + "\n"


def _rates_toml(where: str, rates: Rates) -> list[str]:
    lines = ["", f"[{where}]", *_toml(rates.prices)]
    if rates.free is not None:
        lines += ["", f"[{where}.free]", *_toml(rates.free)]
    for engine, own in sorted(rates.engines.items()):
        lines += _rates_toml(f"{where}.engine.{engine}", own)
    return lines


def _toml(amounts: Mapping[Service, int]) -> list[str]:
    return [f'{one.value} = "{price_text(amounts[one])}"' for one in PRICED if one in amounts]


def tariff_document(tariff: Tariff) -> dict[str, object]:
    """JSON-ready, stable keys; prices as nano integers. Free amounts, classes and engines only where there are any."""
    found: dict[str, object] = {
        "currency": tariff.currency,
        "effective_from": str(tariff.effective_from),
        "prices_nano": _document(tariff.prices),
    }
    if tariff.free:
        found["free_nano"] = _document(tariff.free)
    if tariff.classes:
        found["classes"] = _rates_document(tariff.classes)
    if tariff.engines:
        found["engines"] = _rates_document(tariff.engines)
    return found


def _rates_document(rates: Mapping[str, Rates]) -> dict[str, object]:
    return {
        name: {"prices_nano": _document(one.prices)}
        | ({} if one.free is None else {"free_nano": _document(one.free)})
        | ({"engines": _rates_document(one.engines)} if one.engines else {})
        for name, one in sorted(rates.items())
    }


def _document(amounts: Mapping[Service, int]) -> dict[str, int]:
    return {service.value: amounts[service] for service in PRICED if service in amounts}


def tariff_of(document: Mapping[str, Any]) -> Tariff:
    """A tariff out of its document; one of the time before free amounts, classes and engines has none."""
    return Tariff(
        document["currency"],
        Month.parse(document["effective_from"]),
        _amounts(document["prices_nano"]),
        _amounts(document.get("free_nano", {})),
        _rates_of(document.get("classes", {})),
        _rates_of(document.get("engines", {})),
    )


def _rates_of(document: Mapping[str, Any]) -> dict[str, Rates]:
    return {
        name: Rates(
            _amounts(one["prices_nano"]), _amounts(one["free_nano"]) if "free_nano" in one else None,
            _rates_of(one.get("engines", {})),
        )
        for name, one in document.items()
    }  # fmt: skip


def _amounts(named: Mapping[str, int]) -> dict[Service, int]:
    return {service: named[service.value] for service in PRICED if service.value in named}
