"""What is kept beside the bytes, as columns of the index hold it: JSON, and NULL for nothing. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from json.encoder import encode_basestring_ascii as json_text
from types import MappingProxyType

from gateway.storage.model import Checksum, DefaultRetention, ObjectProperties, Retention, RetentionMode

COLUMNS_CACHED_MAX = 1024
"""How many different values of each column are kept read: most objects share a few."""
EXTRAS_CACHED_BYTES = 4096
"""Longer extras are read each time: those of a sealed object of 10,000 parts have 200 kB."""


@dataclass(frozen=True, slots=True)
class _Extras:
    """What few objects have."""

    tags: Mapping[str, str] = field(default_factory=dict)
    acl: str = ""
    retention: Retention | None = None
    legal_hold: bool = False
    sealing: Mapping[str, str] = field(default_factory=dict)


def dump_checksum(checksum: Checksum | None) -> str | None:
    """A checksum as it stands in a column."""
    if checksum is None:
        return None
    # Every put has one, and json.dumps() builds an encoder for each list.
    algorithm, value, kind = map(json_text, (checksum.algorithm, checksum.value, checksum.kind))
    return f"[{algorithm}, {value}, {kind}]"


@lru_cache(maxsize=COLUMNS_CACHED_MAX)
def load_checksum(column: str | None) -> Checksum | None:
    """A checksum from its column."""
    return None if column is None else Checksum(*json.loads(column))


def dump_parts(sizes: Sequence[int], checksums: Sequence[str]) -> str | None:
    """What an object was completed from: sizes in bytes, or pairs of size and checksum; None for a single PUT."""
    if not sizes:
        return None
    return json.dumps(list(zip(sizes, checksums, strict=True)) if checksums else list(sizes))


def load_parts(column: str | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Sizes and checksums of the parts; both empty for a single PUT, checksums also where none were kept."""
    parts = () if column is None else json.loads(column)
    if not parts or isinstance(parts[0], int):
        return tuple(parts), ()
    return tuple(size_bytes for size_bytes, _ in parts), tuple(checksum for _, checksum in parts)


def dump_headers(properties: ObjectProperties) -> str:
    """The headers as they stand in a column; checksum and extras have their own."""
    return _dump_headers(tuple(properties.headers.items()))


@lru_cache(maxsize=COLUMNS_CACHED_MAX)
def _dump_headers(headers: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(dict(headers), ensure_ascii=False)


@lru_cache(maxsize=COLUMNS_CACHED_MAX)
def _load_headers(column: str) -> Mapping[str, str]:
    """Nobody writes into what is returned."""
    return MappingProxyType(json.loads(column))


def dump_extras(properties: ObjectProperties) -> str | None:
    """Tags, access list, retention, hold and sealing; None for an object with none of them."""
    extras: dict[str, object] = {}
    if properties.tags:
        extras["tags"] = dict(properties.tags)
    if properties.acl:
        extras["acl"] = properties.acl
    if properties.retention is not None:
        extras["retention"] = [properties.retention.mode.value, properties.retention.until_us]
    if properties.legal_hold:
        extras["hold"] = True
    if properties.sealing:
        extras["sealing"] = dict(properties.sealing)
    return json.dumps(extras) if extras else None


def _load_extras(column: str) -> _Extras:
    return _short_extras(column) if len(column) <= EXTRAS_CACHED_BYTES else _read_extras(column)


@lru_cache(maxsize=COLUMNS_CACHED_MAX)
def _short_extras(column: str) -> _Extras:
    return _read_extras(column)


def _read_extras(column: str) -> _Extras:
    """Nobody writes into what is returned."""
    extras = json.loads(column)
    retention = extras.get("retention")
    return _Extras(
        MappingProxyType(extras.get("tags", {})),
        extras.get("acl", ""),
        None if retention is None else Retention(RetentionMode(retention[0]), retention[1]),
        "hold" in extras,
        MappingProxyType(extras.get("sealing", {})),
    )


def load_properties(headers: str, checksum: str | None, extras: str | None) -> ObjectProperties:
    """The properties from their three columns."""
    if extras is None:
        return ObjectProperties(_load_headers(headers), load_checksum(checksum))
    found = _load_extras(extras)
    return ObjectProperties(
        _load_headers(headers),
        load_checksum(checksum),
        found.tags,
        found.acl,
        found.retention,
        found.legal_hold,
        found.sealing,
    )


def load_tags(extras: str | None) -> Mapping[str, str]:
    """The tags alone."""
    return {} if extras is None else _load_extras(extras).tags


def dump_default_retention(retention: DefaultRetention | None) -> str | None:
    """A bucket's default retention as it stands in a column."""
    return None if retention is None else json.dumps([retention.mode.value, retention.days, retention.years])


@lru_cache(maxsize=COLUMNS_CACHED_MAX)
def load_default_retention(column: str | None) -> DefaultRetention | None:
    """A bucket's default retention from its column."""
    if column is None:
        return None
    mode, days, years = json.loads(column)
    return DefaultRetention(RetentionMode(mode), days, years)
