"""Which storage engine a new bucket goes to, and what it is called there. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.engine_store import DISK_KIND, EngineRow
from gateway.errors import s3_error

UPSTREAM_NAME_CHARACTERS_MAX = 63
STANDARD = "STANDARD"


def choose(
    engines: Mapping[str, EngineRow], *, constraint: str, storage_class: str, region: str
) -> EngineRow:
    """The engine a CreateBucket asks for, or the co-op's default.

    A location constraint is an engine's location or its name; the gateway's own region, and the class
    STANDARD, ask for nothing. Raises S3Error InvalidLocationConstraint, InvalidStorageClass, and
    InvalidRequest for an engine that takes no new buckets.
    """
    found = None
    if constraint not in ("", region):
        found = _by_location(engines, constraint)
        if found is None:
            raise s3_error("InvalidLocationConstraint", LocationConstraint=constraint[:64])
    if storage_class not in ("", STANDARD):
        by_class = [one for one in engines.values() if one.storage_class == storage_class]
        if not by_class or (found is not None and found not in by_class):
            raise s3_error("InvalidStorageClass", StorageClassRequested=storage_class[:200])
        found = found or next((one for one in by_class if one.is_open), by_class[0])
    if found is None:
        return next(one for one in engines.values() if one.is_default)
    if not found.is_open:
        raise s3_error(
            "InvalidRequest",
            f"The storage engine '{found.name}' takes no new buckets; leave the location out, or name another.",
        )
    return found


def _by_location(engines: Mapping[str, EngineRow], constraint: str) -> EngineRow | None:
    """Open engines first: a location may have gone over from a closed one to its successor."""
    named = [one for one in engines.values() if constraint in (one.location, one.name)]
    return next((one for one in named if one.is_open), named[0] if named else None)


def upstream_name(engine: EngineRow, number: int, name: str) -> str:
    """The bucket's name on its engine: empty on the disk; else prefix, number and as much of the name as fits.

    The number makes it unique, the rest is for whoever looks at the upstream. Dots become hyphens: they
    break certificates of host-style addresses.
    """
    if engine.kind == DISK_KIND:
        return ""
    whole = f"{engine.bucket_prefix}{number}-{name.replace('.', '-')}"
    return whole[:UPSTREAM_NAME_CHARACTERS_MAX].rstrip("-")


def location_of(engines: Mapping[str, EngineRow], engine: str, *, region: str) -> str:
    """What GetBucketLocation tells: the engine's location, or the gateway's region where it has none."""
    found = engines.get(engine)
    return found.location if found is not None and found.location else region
